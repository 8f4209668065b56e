use core::{mem, time::Duration};
use std::{vec, vec::Vec};

use super::scene::{Scene, all, member, rests_on, to, value};
use crate::{
    protocol::{
        bugs::Bug,
        variable::{Action, Command, Event, Outcome, Part},
        view::Change,
    },
    wire::name::Name,
};

impl Scene {
    fn watch(&mut self, nodes: &[usize], name: &Name) {
        for node in nodes {
            self.command(*node, Command::Watch { name: name.clone() });
            self.deliver();
        }
    }

    /// The values that a node was told of since this was last asked.
    fn told(&mut self, node: usize) -> Vec<Option<u8>> {
        let published = self.said(node).into_iter().filter_map(|event| match event {
            Event::Published { state, .. } => Some(state.value.map(|value| value.bytes[0])),
            _ => None,
        });
        published.collect()
    }
}

#[test]
fn who_watches_is_told_what_there_is_and_each_value_that_is_written() {
    rests_on(Bug::WatchForgotten, 3, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.watch(&[0, 1, 2], &name);
        for number in 6..9 {
            scene.set(1, &name, number);
            scene.deliver();
        }
        [0, 1, 2].iter().all(|node| scene.told(*node) == [5, 6, 7, 8].map(Some))
    });
}

/// H25: there is no value that a later word makes readable, so there is none that a wrong word makes so. Whoever gives its copy
/// back asks for the next in the same breath, and has it when that is written.
#[test]
fn h25_the_next_value_comes_when_it_is_written_and_not_before() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.watch(&[2], &name);
    assert_eq!(scene.told(2), [Some(5)]);
    let ticket = scene.set(0, &name, 6);
    let slow = scene.deliver_but(to(1, "store"));
    // The home knows that nobody reads the old value, and who wants the new one; the other home does not have it yet.
    assert_eq!((scene.told(2), scene.sees(2, &name), scene.answer(ticket)), (vec![], None, None));
    scene.arrive_all(slow);
    scene.deliver();
    assert_eq!((scene.told(2), scene.outcome(ticket)), (vec![Some(6)], Some(Outcome::Done)));
}

/// H25: what was asked for in a view that ends is asked for again in the next, and what was on its way then is nothing.
#[test]
fn h25_what_was_not_written_when_the_view_ends_is_told_only_if_it_is_written() {
    for written in [false, true] {
        let mut scene = Scene::new(4);
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.watch(&[2, 3], &name);
        scene.told(2);
        scene.set(0, &name, 6);
        // The other home has it or not.
        let lost = scene.deliver_but(|letter| !written && to(1, "store")(letter) || to(2, "data")(letter));
        scene.die(&[0]);
        scene.deliver();
        scene.arrive_all(lost);
        scene.deliver();
        let expected = Some(if written { 6 } else { 5 });
        assert_eq!((scene.told(2).last(), scene.sees(2, &name)), (Some(&expected), Some(expected)));
        scene.set(3, &name, 7);
        scene.deliver();
        assert_eq!([2, 3].map(|node| scene.told(node).pop()), [Some(Some(7)); 2]);
    }
}

#[test]
fn watchers_cost_who_writes_one_round_however_many_they_are() {
    for watchers in [1, 8, 98] {
        let mut scene = Scene::new(watchers + 2);
        let name = Name::new("watched").unwrap();
        let homes = scene.homes(&name, &scene.view);
        let nodes: Vec<_> = (0..watchers + 2).filter(|node| !homes.contains(node)).collect();
        scene.given(&name, 5);
        scene.watch(&nodes, &name);
        let ticket = scene.set(homes[0], &name, 6);
        // To all at once, and back; then it is done.
        let first = mem::take(&mut scene.mail);
        assert_eq!(first.len(), watchers + 1);
        scene.arrive_all(first);
        let second = mem::take(&mut scene.mail);
        assert_eq!(second.len(), watchers + 1, "who gives back a copy asks for the next in the same message");
        scene.arrive_all(second);
        assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        let third = mem::take(&mut scene.mail);
        assert!(third.len() == watchers && third.iter().all(all("data")));
        scene.arrive_all(third);
        assert!(nodes.iter().all(|node| scene.sees(*node, &name) == Some(Some(6))) && scene.mail.is_empty());
    }
}

#[test]
fn who_watches_no_more_is_asked_to_give_back_its_copy_and_asks_for_nothing() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.watch(&[2], &name);
    scene.command(2, Command::Unwatch { name: name.clone() });
    assert_eq!(scene.sees(2, &name), Some(Some(5)), "it may be read as before");
    for number in [6, 7] {
        scene.set(1, &name, number);
        scene.deliver();
    }
    assert_eq!((scene.told(2), scene.sees(2, &name)), (vec![Some(5)], None));
}

#[test]
fn what_a_watcher_writes_comes_to_it_with_the_answer() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.watch(&[2], &name);
    scene.set(2, &name, 6);
    let letters = mem::take(&mut scene.mail);
    let parts: Vec<_> = letters.iter().flat_map(|letter| &letter.parts).collect();
    assert!(matches!(parts[..], [Part::Write { nonce: Some(_), .. }]), "{parts:?}");
    scene.arrive_all(letters);
    scene.deliver();
    assert_eq!(scene.told(2), [Some(5), Some(6)]);
}

/// It is asked for again and again, in whichever view, until somebody begins it anew or brings it back.
#[test]
fn what_is_lost_is_watched_on() {
    rests_on(Bug::WatchEndsWithView, 5, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.watch(&[3], &name);
        scene.die(&[0, 1]);
        scene.deliver();
        assert!(scene.said(3).contains(&Event::Lost { name: name.clone() }));
        scene.go_on(&[Change::Cut(member(4))]);
        scene.deliver();
        scene.act(2, &name, Action::Reset);
        scene.deliver();
        scene.act(2, &name, Action::Create(value(6)));
        scene.deliver();
        scene.wait(Duration::from_secs(8));
        scene.deliver();
        scene.told(3).last() == Some(&Some(6))
    });
}
