//! What comes from those who do not keep the rules, or do not know of the view.

use alloc::vec::Vec;

use super::{
    super::{Config, Entry, Held, Ignored, Outcome, Part, Record, Report, State, Version},
    scene::{LEASED, Letter, Scene, add, all, life, member, to},
};
use crate::protocol::{
    home::Shard,
    view::{Change, Epoch},
};

fn letter(scene: &Scene, from: usize, to: usize, part: Part) -> Letter {
    Letter { from, to, at: scene.view.at, parts: [part].into() }
}

/// Nothing comes of it, and it is told why.
fn is_vain(scene: &mut Scene, part: Part, why: Ignored) {
    let before = scene.nodes[0].machine.clone();
    scene.said(0);
    scene.arrive(letter(scene, 1, 0, part.clone()));
    assert!(scene.has_ignored(0, 1, why), "{part:?}");
    assert!(scene.nodes[0].machine == before, "{part:?}");
    assert!(scene.mail.is_empty(), "{part:?}");
}

fn report(chunk: u32, last: bool, shards: Vec<Held>) -> Report {
    Report { chunk, last, settled: 0, holding: false, shards, copies: Vec::new() }
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut scene = Scene::new(3);
    let (name, other) = (scene.name(&[0, 1]), scene.name(&[2, 1]));
    scene.given(&name, 5);
    scene.copied(&[1], &name);
    let version = scene.version(1);
    let (state, shard) = (Some(State::default()), scene.shard(&name));
    for name in [name, other] {
        is_vain(&mut scene, Part::Data { name: name.clone(), nonce: 1, state: state.clone() }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Data { name: name.clone(), nonce: 1, state: None }, Ignored::NotAsked);
        for number in [0, 1, u64::MAX] {
            let copy = Some((1, State::default()));
            let outcomes = [Outcome::Done].into();
            let wrote = Part::Wrote { name: name.clone(), number, outcomes, version, copy };
            is_vain(&mut scene, wrote, Ignored::NotAsked);
        }
        is_vain(&mut scene, Part::Invalidated { name: name.clone(), version }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Stored { name: name.clone(), version }, Ignored::NotAsked);
        let records = [(name.clone(), Record::default())].into();
        is_vain(&mut scene, Part::Pulled { shard, records }, Ignored::NotAsked);
    }
    for chunk in [0, 1, u32::MAX] {
        is_vain(&mut scene, Part::Reported { chunk }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Offered { chunk }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Filled { shard, chunk }, Ignored::NotAsked);
    }
    for estate in [false, true] {
        is_vain(&mut scene, Part::Released { shards: [shard].into(), estate }, Ignored::NotAsked);
    }
}

#[test]
fn a_question_is_answered_at_home_alone() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[2, 0]);
    is_vain(&mut scene, Part::Read { name: name.clone(), nonce: 1 }, Ignored::NotHome);
    let operations = Vec::new();
    is_vain(
        &mut scene,
        Part::Write { name: name.clone(), number: 1, nonce: None, settled: 0, operations },
        Ignored::NotHome,
    );
    // Only the first home says what is to be kept.
    is_vain(&mut scene, Part::Store { name: name.clone(), record: Record::default() }, Ignored::NotHome);
    let shard = scene.shard(&name);
    let entries = Vec::new();
    is_vain(&mut scene, Part::Fill { shard, chunk: 0, last: true, entries }, Ignored::NotHome);
    // And only to a home.
    let name = scene.name(&[1, 2]);
    is_vain(&mut scene, Part::Store { name: name.clone(), record: Record::default() }, Ignored::NotHome);
    let shard = scene.shard(&name);
    is_vain(&mut scene, Part::Fill { shard, chunk: 0, last: true, entries: Vec::new() }, Ignored::NotHome);
}

#[test]
fn a_shard_beyond_the_last_is_nowhere() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    for shard in [Shard(1024), Shard(u16::MAX)] {
        is_vain(&mut scene, Part::Pull { shard, estate: false, names: [name.clone()].into() }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Pull { shard, estate: true, names: Vec::new() }, Ignored::NotAsked);
        is_vain(&mut scene, Part::Pulled { shard, records: Vec::new() }, Ignored::NotAsked);
        let entries = [Entry::Same(name.clone(), Version::default())].into();
        is_vain(&mut scene, Part::Fill { shard, chunk: 0, last: true, entries }, Ignored::NotHome);
        is_vain(&mut scene, Part::Filled { shard, chunk: 0 }, Ignored::NotAsked);
        for estate in [false, true] {
            let before = scene.nodes[2].machine.clone();
            scene.arrive(letter(&scene, 0, 2, Part::Release { shards: [shard].into(), estate }));
            assert!(scene.nodes[2].machine == before);
            scene.mail.clear();
        }
    }
    // In a report it does no harm to the rest.
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    for mut letter in scene.take(all("report")) {
        let Part::Report(report) = &mut letter.parts[0] else { unreachable!() };
        let records = [(name.clone(), Version { epoch: Epoch(u64::MAX), sequence: u64::MAX })].into();
        report.shards.push(Held { shard: Shard(u16::MAX), full: Epoch(u64::MAX), records });
        scene.arrive(letter);
    }
    scene.deliver();
    assert_eq!(scene.asks(2, &name), Some(Some(5)));
}

#[test]
fn pieces_come_one_after_the_other() {
    let mut scene = Scene::with(3, 2, Config { chunk_bytes: 64, ..Config::default() });
    let names: Vec<_> = scene.names(&[0, 1]).take(10).collect();
    names.iter().for_each(|name| scene.given(name, 5));
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    let first = scene.take(|letter| letter.from == 1 && to(0, "report")(letter));
    let Part::Report(it) = first[0].part() else { unreachable!() };
    assert!(!it.last);
    for chunk in [1, 2, u32::MAX] {
        scene.arrive(letter(&scene, 1, 0, Part::Report(report(chunk, true, Vec::new()))));
        assert!(scene.has_ignored(0, 1, Ignored::NotAsked));
    }
    assert_eq!(scene.take(to(1, "reported")), [], "what is not taken is not acknowledged");
    let shard = scene.shard(&names[0]);
    for chunk in [1, u32::MAX] {
        scene.arrive(letter(&scene, 0, 1, Part::Fill { shard, chunk, last: true, entries: Vec::new() }));
        assert!(scene.has_ignored(1, 0, Ignored::NotHome));
    }
    assert_eq!(scene.take(to(0, "filled")), []);
    // A piece that comes again is acknowledged again, and counts once.
    scene.arrive(first[0].clone());
    scene.arrive(first[0].clone());
    assert_eq!(scene.take(|letter| letter.from == 0 && to(1, "reported")(letter)).len(), 2);
    scene.wait(core::time::Duration::from_millis(250));
    scene.die(&[0]);
    assert!(names.iter().all(|name| scene.asks(2, name) == Some(Some(5))));
}

#[test]
fn numbers_may_be_as_large_as_they_like() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    for (number, nonce, settled) in [(u64::MAX, u64::MAX, u64::MAX), (0, 0, u64::MAX), (u64::MAX, 0, 0)] {
        for operations in [Vec::new(), [super::super::Operation { kind: 1, guard: None, action: add(1) }].into()] {
            let write = Part::Write { name: name.clone(), number, nonce: Some(nonce), settled, operations };
            scene.arrive(letter(&scene, 2, 0, write));
            scene.deliver();
        }
        scene.arrive(letter(&scene, 2, 0, Part::Read { name: name.clone(), nonce }));
        scene.deliver();
    }
    let version = Version { epoch: Epoch(u64::MAX), sequence: u64::MAX };
    scene.arrive(letter(&scene, 2, 0, Part::Invalidate { name: name.clone(), version }));
    scene.deliver();
    // The others go on.
    let ticket = scene.act(1, &name, add(10));
    scene.deliver();
    assert!(matches!(scene.outcome(ticket), Some(Outcome::Sum(15..))));
}

#[test]
fn who_is_no_member_is_not_heard() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let stranger = scene.add(member(5));
    let before = scene.nodes[0].machine.clone();
    scene.arrive(letter(&scene, stranger, 0, Part::Read { name, nonce: 1 }));
    assert!(scene.has_ignored(0, stranger, Ignored::NotMember));
    assert!(scene.nodes[0].machine == before && scene.mail.is_empty());
}

#[test]
fn what_is_said_in_an_earlier_view_is_not_heard_and_is_said_again() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let ticket = scene.act(2, &name, add(1));
    scene.read(2, &name);
    let old = scene.take(to(0, "write"));
    scene.go_on(&[Change::Renew]);
    assert_eq!((scene.outcome(ticket), scene.asks(2, &name)), (Some(Outcome::Sum(6)), Some(Some(6))));
    scene.arrive_all(old);
    assert!(scene.has_ignored(0, 2, Ignored::Old));
    assert!(scene.mail.is_empty());
}

#[test]
fn what_is_said_in_a_later_view_is_kept_until_that_comes() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let next = scene.next(&[Change::Renew]);
    [1, 2].into_iter().for_each(|node| scene.install(node, &next, LEASED));
    let ticket = scene.act(2, &name, add(1));
    scene.read(1, &name);
    scene.deliver();
    assert!(scene.answer(ticket).is_none());
    scene.install(0, &next, LEASED);
    scene.view = next;
    scene.deliver();
    assert_eq!((scene.outcome(ticket), scene.asks(1, &name)), (Some(Outcome::Sum(6)), Some(Some(6))));
}

#[test]
fn of_later_views_sixty_four_messages_are_kept_for_each_member() {
    let mut scene = Scene::new(3);
    let names: Vec<_> = scene.names(&[0, 1]).take(70).collect();
    let next = scene.next(&[Change::Renew]);
    let at = next.at;
    for (name, nonce) in names.iter().zip(1..) {
        scene.arrive(Letter { from: 2, to: 0, at, parts: [Part::Read { name: name.clone(), nonce }].into() });
        assert_eq!(scene.has_ignored(0, 2, Ignored::TooMany), nonce > 64);
    }
    scene.arrive(Letter { from: 1, to: 0, at, parts: [Part::Read { name: names[0].clone(), nonce: 1 }].into() });
    assert_eq!(scene.said(0), [], "another has room of its own");
    scene.install_all(&next, LEASED);
    let answers = scene.deliver_but(all("data"));
    assert_eq!(answers.iter().filter(|letter| letter.to == 2).count(), 64);
    assert_eq!(answers.len(), 65);
    // A view after that is still later.
    let later = crate::protocol::view::At { epoch: Epoch(at.epoch.0 + 2), ..at };
    scene.arrive(Letter { from: 2, to: 0, at: later, parts: [Part::Read { name: names[0].clone(), nonce: 1 }].into() });
    scene.go_on(&[Change::Renew]);
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    assert_eq!(scene.deliver_but(all("data")).len(), 1);
}

#[test]
fn nobody_offers_what_another_node_had() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.die(&[0, 1]);
    let home = scene.homes(&name, &scene.view)[0];
    let from = 5 - home;
    let held = Held { shard: scene.shard(&name), full: Epoch(u64::MAX), records: Vec::new() };
    let offer = |of| Part::Offer { of, report: report(0, true, [held.clone()].into()) };
    for of in [member(0), life(from, 1), life(from, 2)] {
        scene.said(home);
        scene.arrive(letter(&scene, from, home, offer(of)));
        assert!(scene.has_ignored(home, from, Ignored::NotAsked));
        scene.deliver();
        assert_eq!(scene.asks(from, &name), None);
    }
}

#[test]
fn nobody_is_made_to_forget_by_who_is_not_home() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let shards = [scene.shard(&name)];
    // A stranger to the shard says it to a home, and a home to a home.
    for (from, node) in [(2, 0), (3, 1), (0, 1)] {
        scene.arrive(letter(&scene, from, node, Part::Release { shards: shards.into(), estate: false }));
        scene.deliver();
    }
    scene.die(&[0]);
    assert_eq!(scene.asks(3, &name), Some(Some(5)));
}

#[test]
fn who_was_no_home_has_all_of_nothing_whatever_it_says() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    let reports = scene.take(|letter| letter.from == 3 && to(0, "report")(letter));
    for mut letter in reports {
        let Part::Report(report) = &mut letter.parts[0] else { unreachable!() };
        let records = [(name.clone(), Version { epoch: Epoch(u64::MAX), sequence: 1 })].into();
        report.shards.push(Held { shard: Shard::of(&name), full: Epoch(u64::MAX), records });
        scene.arrive(letter);
    }
    scene.deliver();
    assert_eq!(scene.asks(2, &name), Some(Some(5)));
}
