//! What an excluded life has had, and a later one offers.

use super::{
    super::{Action, Command, Config, Estate, Event, Outcome},
    scene::{LEASED, Scene, all, life, member, value},
};
use crate::protocol::view::{Change, Epoch};

/// The others go on without these, who live, and hear of that: what each leaves.
fn excluded(scene: &mut Scene, nodes: &[usize]) -> alloc::vec::Vec<Option<Estate>> {
    scene.die(nodes);
    nodes.iter().map(|node| scene.nodes[*node].machine.clone().into_estate()).collect()
}

/// A node comes again, and has this from its earlier life.
fn comes_again(scene: &mut Scene, node: usize, estate: Option<Estate>) -> usize {
    let again = scene.join(life(node, 2));
    scene.command(again, Command::Inherit(estate.unwrap()));
    scene.deliver();
    again
}

/// H23: both homes were excluded, and one of them comes again.
#[test]
fn h23_a_lost_shard_comes_back_with_who_had_it() {
    for back in [0, 1] {
        let mut scene = Scene::new(5);
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let estates = excluded(&mut scene, &[0, 1]);
        assert_eq!(scene.asks(4, &name), None);
        let again = comes_again(&mut scene, back, estates[back].clone());
        assert_eq!(scene.asks(4, &name), Some(Some(5)));
        assert!((2..5).chain([again]).all(|node| scene.nodes[node].machine.orphans().next().is_none()));
        // It is forgotten where it was kept, and is where all others are.
        assert!(!scene.nodes[again].machine.has_estate_of(scene.view.at));
        let ticket = scene.set(3, &name, 6);
        scene.deliver();
        assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        let home = scene.homes(&name, &scene.view)[0];
        scene.die(&[home]);
        assert_eq!(scene.asks(4, &name), Some(Some(6)));
    }
}

/// H23: who was home before, and not in the last view in which it was written, has an older value.
#[test]
fn h23_who_was_home_in_an_earlier_view_has_nothing_to_offer() {
    let mut scene = Scene::new(6);
    let next = scene.next(&[Change::Cut(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1, 2]);
    scene.given(&name, 5);
    let old = excluded(&mut scene, &[0]).remove(0);
    scene.set(3, &name, 6);
    scene.deliver();
    let last = excluded(&mut scene, &[1, 2]);
    // The first brings 5; it is the home, and says what it has, and that is not taken.
    let again = comes_again(&mut scene, 0, old);
    assert_eq!(scene.homes(&name, &scene.view)[0], again);
    assert_eq!(scene.asks(5, &name), None);
    assert!(scene.nodes[again].machine.has_estate_of(scene.view.at), "it keeps what nobody wants yet");
    comes_again(&mut scene, 2, last[1].clone());
    assert_eq!(scene.asks(5, &name), Some(Some(6)));
    assert!(!scene.nodes[again].machine.has_estate_of(scene.view.at));
}

/// H23: it was home in the last view, but that never became complete there: then what was before counts.
#[test]
fn h23_who_says_that_it_was_not_complete_sends_the_search_back() {
    let mut scene = Scene::new(5);
    let next = scene.next(&[Change::Retire(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1, 2]);
    scene.given(&name, 5);
    scene.install_all(&next, LEASED);
    scene.deliver_but(all("report"));
    // 0, 1 and 2 are excluded; of the two homes of this view none had all of it, and 1 of the one before.
    let estates = excluded(&mut scene, &[0, 1, 2]);
    assert_eq!(scene.asks(4, &name), None);
    comes_again(&mut scene, 1, estates[1].clone());
    assert_eq!(scene.asks(4, &name), Some(Some(5)));
}

#[test]
fn h23_what_is_offered_after_a_reset_is_not_wanted() {
    let mut scene = Scene::new(5);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let estates = excluded(&mut scene, &[0, 1]);
    scene.act(3, &name, Action::Reset);
    scene.deliver();
    scene.given(&name, 6);
    let again = comes_again(&mut scene, 1, estates[1].clone());
    assert_eq!(scene.asks(4, &name), Some(Some(6)));
    let estate = scene.nodes[again].machine.clone().estate;
    assert!(estate.is_none_or(|estate| !estate.stores.contains_key(&scene.shard(&name))));
}

#[test]
fn h23_who_waits_gets_it_when_it_comes() {
    let mut scene = Scene::new(5);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let estate = excluded(&mut scene, &[0, 1]).remove(0);
    scene.read(4, &name);
    scene.deliver();
    assert!(scene.said(4).contains(&Event::Lost { name: name.clone() }), "nobody waits for what may never come");
    comes_again(&mut scene, 0, estate);
    assert_eq!(scene.asks(4, &name), Some(Some(5)));
}

#[test]
fn an_estate_is_offered_again_in_each_view_until_it_is_taken() {
    let mut scene = Scene::with(6, 2, Config { chunk_bytes: 200, ..Config::default() });
    let names: alloc::vec::Vec<_> = scene.names(&[0, 1]).take(40).collect();
    names.iter().for_each(|name| scene.given(name, 5));
    let estate = excluded(&mut scene, &[0, 1]).remove(1).unwrap();
    let again = scene.join(life(1, 2));
    scene.command(again, Command::Inherit(estate));
    // In pieces, and the view ends at any of them.
    for pieces in 0..4 {
        for _ in 0..pieces {
            let offers = scene.deliver_but(all("offer"));
            scene.arrive_all(offers);
        }
        scene.mail.clear();
        let next = scene.next(&[Change::Renew]);
        scene.install_all(&next, LEASED);
    }
    scene.deliver();
    assert!(names.iter().all(|name| scene.asks(5, name) == Some(Some(5))));
    assert!(!scene.nodes[again].machine.has_estate_of(scene.view.at));
}

#[test]
fn an_estate_of_another_lineage_is_kept_for_oneself() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    let stranger = scene.add(member(7));
    scene.act(stranger, &name, Action::Create(value(9)));
    let estate = scene.nodes[stranger].machine.clone().into_estate();
    scene.nodes[stranger].dead = true;
    let again = scene.join(life(7, 2));
    scene.command(again, Command::Inherit(estate.unwrap()));
    assert_eq!(scene.mail.len(), 0);
    scene.go_on(&[Change::Renew]);
    assert_eq!(scene.asks(1, &name), Some(None));
    assert!(!scene.nodes[again].machine.has_estate_of(scene.view.at));
}

#[test]
fn who_has_kept_nothing_leaves_nothing() {
    let mut scene = Scene::new(3);
    scene.go_on(&[Change::Retire(member(0))]);
    assert_eq!(scene.nodes[0].machine.clone().into_estate(), None);
    assert_eq!(scene.view.at.epoch, Epoch(4));
}
