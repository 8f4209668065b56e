//! The traps of coherence, and the holes that an earlier design had while views change.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    super::{Action, Event, Ignored, Outcome, Part, Refusal},
    scene::{LAPSED, LEASED, Letter, Scene, WAITING, add, all, member, rests_on, to, value},
};
use crate::protocol::{
    bugs::Bug,
    view::{Change, Epoch},
};

fn withdrawn(event: &Event) -> bool {
    matches!(event, Event::Withdrawn { .. })
}

#[test]
fn t1_a_slow_copy_that_was_overtaken_is_not_installed() {
    rests_on(Bug::FloorIgnored, 3, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.read(2, &name);
        let slow = scene.deliver_but(to(2, "data"));
        scene.set(1, &name, 6);
        scene.deliver();
        scene.arrive_all(slow);
        let stale = scene.sees(2, &name) == Some(Some(5));
        scene.deliver();
        // It is asked for again.
        !stale && scene.sees(2, &name) == Some(Some(6))
    });
}

#[test]
fn t1_a_copy_that_was_asked_for_before_it_was_forgotten_is_none() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.read(2, &name);
    let slow = scene.deliver_but(to(2, "data"));
    scene.forget(2, &name);
    scene.arrive(slow[0].clone());
    assert_eq!(scene.sees(2, &name), None);
    // Nor is it one for a later question: what was taken back between them left no trace here.
    scene.set(1, &name, 6);
    scene.deliver();
    scene.read(2, &name);
    let later = scene.take(to(0, "read"));
    scene.arrive_all(slow);
    assert_eq!(scene.sees(2, &name), None);
    assert!(scene.has_ignored(2, 0, Ignored::NotAsked));
    scene.arrive_all(later);
    scene.deliver();
    assert_eq!(scene.sees(2, &name), Some(Some(6)));
}

/// At its home a variable is read and written in one step, and what was read there waits until the step ends.
#[test]
fn t1_a_home_is_overtaken_by_its_own_commit() {
    let mut scene = Scene::with(4, 1, super::super::Config::default());
    let name = scene.name(&[0]);
    scene.given(&name, 5);
    scene.copied(&[3], &name);
    // While 6 is being written, the home itself asks, and another writes 7.
    scene.set(1, &name, 6);
    let held = scene.deliver_but(to(3, "invalidate"));
    scene.read(0, &name);
    scene.set(2, &name, 7);
    scene.deliver();
    scene.arrive_all(held);
    scene.deliver();
    assert_eq!(scene.asks(3, &name), Some(Some(7)));
    assert_eq!(scene.sees(0, &name), Some(Some(7)));
}

#[test]
fn t2_a_forgotten_copy_is_acknowledged_all_the_same() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.forget(2, &name);
    let ticket = scene.set(1, &name, 6);
    let told = scene.deliver_but(to(2, "invalidate"));
    assert_eq!((told.len(), scene.answer(ticket)), (1, None), "the home has not heard that it is forgotten");
    scene.arrive_all(told);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.said(2), [], "there was nothing to withdraw");
}

#[test]
fn t3_a_write_waits_for_every_home() {
    rests_on(Bug::AnsweredBeforeStored, 2, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let ticket = scene.set(0, &name, 6);
        let waited = scene.answer(ticket).is_none();
        scene.deliver();
        assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        waited
    });
}

#[test]
fn t3_a_write_waits_for_every_copy() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[1, 2, 3], &name);
    let ticket = scene.set(0, &name, 6);
    let letters = scene.take(|_| true);
    assert_eq!(letters.len(), 4);
    for letter in letters {
        assert_eq!(scene.answer(ticket), None);
        scene.arrive(letter);
        scene.deliver();
    }
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn t3_a_store_that_is_answered_does_not_stand_for_a_copy() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[1], &name);
    let ticket = scene.set(0, &name, 6);
    let held = scene.deliver_but(to(1, "invalidate"));
    assert_eq!((held.len(), scene.answer(ticket)), (1, None));
    assert_eq!(scene.sees(1, &name), Some(Some(5)), "the old value, until it is taken back");
}

#[test]
fn t4_what_is_taken_back_late_takes_back_nothing_newer() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.set(1, &name, 6);
    let late = scene.deliver_but(to(2, "invalidate"));
    scene.arrive(late[0].clone());
    scene.deliver();
    scene.copied(&[2], &name);
    scene.arrive(late[0].clone());
    assert_eq!(scene.sees(2, &name), Some(Some(6)));
    // And the answer to it counts for no later version.
    let answer = scene.take(all("invalidated"));
    let ticket = scene.set(1, &name, 7);
    let held = scene.deliver_but(to(2, "invalidate"));
    scene.arrive_all(answer);
    scene.deliver();
    assert_eq!(scene.answer(ticket), None);
    scene.arrive_all(held);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn t4_the_later_of_two_comes_first() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.read(2, &name);
    let slow = scene.deliver_but(to(2, "data"));
    let mut late = Vec::new();
    for to_value in [6, 7] {
        scene.set(1, &name, to_value);
        late.extend(scene.deliver_but(to(2, "invalidate")));
        // The first is told again, and answered, so that there is a second.
        if to_value == 6 {
            scene.arrive(late[0].clone());
            scene.deliver();
            scene.read(3, &name);
            scene.deliver();
        }
    }
    scene.arrive_all(slow.clone());
    late.into_iter().rev().for_each(|letter| scene.arrive(letter));
    assert_eq!(scene.sees(2, &name), None);
    scene.deliver();
    scene.arrive_all(slow);
    assert_eq!(scene.sees(2, &name), Some(Some(7)));
}

/// Its copy can be read, and cannot be taken back.
#[test]
fn t5_who_cannot_be_told_holds_the_write_up_until_the_view_changes() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    let ticket = scene.set(3, &name, 6);
    for _ in 0..20 {
        let lost = scene.deliver_but(to(2, "invalidate"));
        assert!(lost.len() <= 1);
        scene.pass(Duration::from_secs(4));
    }
    assert_eq!((scene.answer(ticket), scene.sees(2, &name)), (None, Some(Some(5))));
    // It is excluded: what it was allowed to do has ended when the next view is active.
    scene.nodes[2].dead = true;
    let next = scene.next(&[Change::Cut(member(2))]);
    scene.install_all(&next, WAITING);
    scene.deliver();
    assert_eq!(scene.answer(ticket), None);
    [0, 1, 3].into_iter().for_each(|node| scene.allow(node, LEASED));
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.asks(1, &name), Some(Some(6)));
}

#[test]
fn t6_a_copy_is_withdrawn_before_anybody_hears_of_it() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[0, 2], &name);
    let ticket = scene.set(1, &name, 6);
    let asked = scene.deliver_but(to(2, "invalidate")).remove(0);
    assert_eq!(scene.course(asked), ["Withdrawn", "invalidated"]);
    // And the home reads the new value before the writer hears that it is there.
    let last = scene.take(to(0, "invalidated")).remove(0);
    assert_eq!(scene.course(last), ["Published", "Committed", "wrote"]);
    // Who writes reads it before its task hears that.
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    scene.copied(&[1], &name);
    scene.set(1, &name, 7);
    let answer = scene.deliver_but(to(1, "wrote")).remove(0);
    assert_eq!(scene.course(answer), ["Published", "Done"]);
}

#[test]
fn t7_nobody_reads_what_is_not_written_yet() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[0], &name);
    scene.set(3, &name, 6);
    let stores = scene.deliver_but(all("store"));
    scene.read(2, &name);
    scene.read(1, &name);
    scene.deliver();
    assert_eq!([0, 1, 2].map(|node| scene.sees(node, &name)), [Some(Some(5)), None, None]);
    scene.arrive_all(stores);
    scene.deliver();
    assert_eq!([0, 1, 2].map(|node| scene.sees(node, &name)), [Some(Some(6)); 3]);
}

#[test]
fn t8_an_old_home_has_no_copy_once_it_is_replaced() {
    let mut scene = Scene::new(3);
    let next = scene.next(&[Change::Retire(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1, 2]);
    scene.given(&name, 5);
    scene.copied(&[0, 2], &name);
    scene.install_all(&next, LEASED);
    assert_eq!([0, 2].map(|node| scene.sees(node, &name)), [None; 2]);
    assert!([0, 2].into_iter().all(|node| scene.said(node).iter().any(withdrawn)));
    scene.deliver();
    let ticket = scene.set(2, &name, 6);
    scene.deliver();
    assert_eq!((scene.outcome(ticket), scene.asks(0, &name)), (Some(Outcome::Done), Some(Some(6))));
}

#[test]
fn t8_what_an_old_home_writes_is_not_kept() {
    let mut scene = Scene::new(4);
    let next = scene.next(&[Change::Cut(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1, 2]);
    scene.given(&name, 5);
    // 0 knows nothing of the next view.
    let ticket = scene.set(0, &name, 6);
    let stores = scene.take(all("store"));
    [1, 2, 3].into_iter().for_each(|node| scene.install(node, &next, LEASED));
    scene.view = next;
    scene.deliver();
    scene.arrive_all(stores);
    assert!(scene.has_ignored(1, 0, Ignored::Old));
    assert_eq!((scene.under_way().len(), scene.answer(ticket)), (0, None));
    assert_eq!(scene.asks(3, &name), Some(Some(5)));
}

#[test]
fn t9_answers_and_refusals_wait_for_the_lease() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    for service in [LAPSED, WAITING] {
        scene.nodes[0].service = service;
        let tickets = [scene.act(2, &name, add(1)), scene.act(1, &name, Action::Create(value(1)))];
        let own = scene.act(0, &name, add(0));
        scene.deliver();
        scene.wait(Duration::from_secs(60));
        assert!(tickets.iter().chain([&own]).all(|ticket| scene.answer(*ticket).is_none()));
        assert!(scene.nodes[0].machine.is_blocked());
        scene.allow(0, LEASED);
        scene.deliver();
        assert!(matches!(scene.outcome(tickets[0]), Some(Outcome::Sum(_))));
        assert_eq!(scene.outcome(tickets[1]), Some(Outcome::Exists));
        assert!(matches!(scene.outcome(own), Some(Outcome::Sum(_))));
        assert!(!scene.nodes[0].machine.is_blocked());
    }
}

/// H24: what was looked up under a lease is told under a lease.
#[test]
fn h24_between_the_look_and_the_answer_the_lease_may_have_ended() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[0], &name);
    let expected = scene.version(1);
    let ticket = scene.act(2, &name, Action::Replace { expected, value: value(6) });
    let stored = scene.deliver_but(to(0, "stored"));
    scene.nodes[0].service = LAPSED;
    scene.arrive_all(stored);
    scene.deliver();
    assert_eq!((scene.answer(ticket), scene.sees(0, &name)), (None, Some(Some(5))));
    // In the next view it is known to be done, not done again.
    scene.go_on(&[Change::Renew]);
    assert_eq!((scene.outcome(ticket), scene.asks(0, &name)), (Some(Outcome::Done), Some(Some(6))));
}

// Views.

/// H7: the home was about to write, and only the other home heard of that.
#[test]
fn h7_who_has_a_copy_older_than_what_came_back_loses_it_first() {
    rests_on(Bug::StaleCopySpared, 4, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.copied(&[2], &name);
        let ticket = scene.set(0, &name, 6);
        scene.take(all("invalidate"));
        scene.deliver();
        let next = scene.next(&[Change::Renew]);
        scene.install_all(&next, LEASED);
        let late = scene.deliver_but(to(2, "invalidate"));
        scene.read(3, &name);
        scene.deliver();
        let spared = scene.sees(2, &name) == Some(Some(5));
        let waits = scene.sees(3, &name).is_none() && scene.answer(ticket).is_none();
        scene.arrive_all(late);
        scene.deliver();
        assert_eq!(scene.asks(3, &name), Some(Some(6)));
        assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        spared && waits && scene.sees(2, &name).is_none()
    });
}

/// H7 at the home itself, which wants a newer copy meanwhile (seed 0x66a).
#[test]
fn h7_what_a_home_wants_instead_of_an_old_copy_comes() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    assert_eq!(scene.asks(0, &name), Some(Some(5)));
    scene.set(1, &name, 6);
    let stores = scene.deliver_but(to(1, "store"));
    assert_eq!((stores.len(), scene.sees(0, &name)), (1, Some(Some(5))));
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    scene.set(0, &name, 7);
    scene.read(0, &name);
    scene.deliver();
    assert_eq!(scene.sees(0, &name), Some(Some(7)));
}

/// H7, the other way round: what comes back is that there is nothing, and even of that nothing is left.
#[test]
fn h7_a_copy_of_what_was_deleted_is_taken_back() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.act(3, &name, Action::Delete);
    scene.deliver_but(to(2, "invalidate"));
    // Who has deleted it is gone, so nobody asks any more what came of that.
    scene.die(&[3]);
    assert_eq!(scene.asks(1, &name), Some(None));
    assert_eq!(scene.sees(2, &name), None);
    scene.given(&name, 6);
    assert_eq!(scene.sees(2, &name), None);
}

#[test]
fn h7_a_copy_that_is_as_it_was_stays_and_is_known() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[0, 2], &name);
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    scene.deliver();
    assert_eq!([0, 2].map(|node| scene.sees(node, &name)), [Some(Some(5)); 2]);
    scene.set(1, &name, 6);
    scene.deliver();
    assert_eq!([0, 2].map(|node| scene.sees(node, &name)), [Some(Some(6)), None]);
}

/// H8: 0 is home, then another, then 0 again, and one member sees nothing of that between.
#[test]
fn h8_a_copy_over_a_jump_is_known_or_taken_back() {
    for written in [false, true] {
        let mut scene = Scene::new(4);
        let without = scene.next(&[Change::Retire(member(0))]);
        let name = scene.name_that_moves(&[0, 1], &without, &[1, 2]);
        scene.given(&name, 5);
        scene.copied(&[3], &name);
        // 3 hears nothing of this view; so no shard becomes active in it.
        let reports = {
            [0, 1, 2].into_iter().for_each(|node| scene.install(node, &without, LEASED));
            scene.view = without;
            scene.deliver_but(|letter| letter.to == 3)
        };
        assert!(!reports.is_empty());
        let ticket = written.then(|| scene.set(1, &name, 6));
        scene.deliver_but(|letter| letter.to == 3);
        let mut back = scene.next(&[Change::Renew]);
        back.seats.iter_mut().for_each(|seat| seat.leaving = false);
        back.past[0].came = [member(0)].into();
        assert!(back.is_sound());
        scene.install_all(&back, LEASED);
        assert_eq!(scene.sees(3, &name), Some(Some(5)), "its home is the same as before");
        scene.deliver();
        if let Some(ticket) = ticket {
            assert_eq!((scene.outcome(ticket), scene.sees(3, &name)), (Some(Outcome::Done), None));
        }
        scene.set(2, &name, 7);
        scene.deliver();
        assert_eq!((scene.sees(3, &name), scene.asks(3, &name)), (None, Some(Some(7))));
    }
}

#[test]
fn h9_the_copy_that_comes_with_an_answer_may_have_been_overtaken() {
    rests_on(Bug::WriterCopyForced, 3, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        scene.copied(&[2], &name);
        let ticket = scene.set(2, &name, 6);
        let answer = scene.deliver_but(to(2, "wrote"));
        scene.set(1, &name, 7);
        scene.deliver();
        scene.arrive_all(answer);
        assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        let stale = scene.sees(2, &name).is_some();
        scene.deliver();
        !stale && scene.sees(2, &name) == Some(Some(7))
    });
}

/// H9: who has written, forgotten and read again has another copy than the one it gave up.
#[test]
fn h9_a_copy_that_was_read_after_it_was_given_up_is_taken_back() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    let ticket = scene.set(2, &name, 6);
    let slow = scene.take(all("write"));
    scene.forget(2, &name);
    scene.copied(&[2], &name);
    assert_eq!(scene.sees(2, &name), Some(Some(5)));
    scene.arrive_all(slow);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.asks(1, &name), Some(Some(6)));
    assert_ne!(scene.sees(2, &name), Some(Some(5)));
}

/// H9: a batch that comes twice says twice that its sender has no copy.
#[test]
fn h9_a_copy_that_was_read_after_the_answer_is_taken_back() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.set(2, &name, 6);
    let twice = scene.take(all("write"));
    scene.arrive(twice[0].clone());
    scene.deliver();
    // While 7 is written it reads again, the batch comes again, and the home writes 8.
    scene.set(3, &name, 7);
    let held = scene.deliver_but(all("store"));
    scene.read(2, &name);
    scene.deliver();
    scene.arrive_all(twice);
    let ticket = scene.set(0, &name, 8);
    scene.arrive_all(held);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.asks(1, &name), Some(Some(8)));
    assert_ne!(scene.sees(2, &name), Some(Some(7)));
}

#[test]
fn h10_what_was_done_is_known_to_every_home() {
    rests_on(Bug::RecentAtHomeOnly, 4, |scene| {
        let next = scene.next(&[Change::Cut(member(0))]);
        let name = scene.name_that_moves(&[0, 1], &next, &[1]);
        scene.given(&name, 0);
        // It is done, and the answer is lost; then another writes, and then the home dies.
        let ticket = scene.act(2, &name, add(1));
        scene.deliver_but(to(2, "wrote"));
        scene.act(3, &name, add(10));
        scene.deliver_but(to(2, "wrote"));
        scene.die(&[0]);
        assert_eq!(
            scene.asks(3, &name).flatten().map(|sum| sum % 10),
            scene.asks(2, &name).flatten().map(|sum| sum % 10)
        );
        scene.outcome(ticket) == Some(Outcome::Sum(1)) && scene.asks(3, &name) == Some(Some(11))
    });
}

#[test]
fn h11_a_store_that_comes_again_does_not_go_backwards() {
    rests_on(Bug::LastStoreWins, 3, |scene| {
        let next = scene.next(&[Change::Cut(member(0))]);
        let name = scene.name_that_moves(&[0, 1], &next, &[1]);
        scene.given(&name, 5);
        scene.set(0, &name, 6);
        let first = scene.take(all("store"));
        scene.arrive(first[0].clone());
        scene.deliver();
        scene.set(0, &name, 7);
        scene.deliver();
        scene.arrive(first[0].clone());
        // It is acknowledged, by its version.
        let answers = scene.take(all("stored"));
        assert!(matches!(answers[0].part(), Part::Stored { version, .. } if *version == scene.version(2)));
        scene.die(&[0]);
        scene.asks(2, &name) == Some(Some(7))
    });
}

#[test]
fn h11_an_acknowledgement_counts_for_the_version_that_it_names() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.set(0, &name, 6);
    let first = scene.deliver_but(all("stored"));
    scene.arrive(first[0].clone());
    scene.deliver();
    let ticket = scene.set(0, &name, 7);
    let stores = scene.take(all("store"));
    scene.arrive(first[0].clone());
    assert_eq!(scene.answer(ticket), None);
    assert!(scene.has_ignored(0, 1, Ignored::NotAsked));
    scene.arrive_all(stores);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn h11_a_shard_that_is_filled_again_keeps_what_was_stored_since() {
    rests_on(Bug::FillTakenTwice, 4, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let next = scene.next(&[Change::Renew]);
        scene.install_all(&next, LEASED);
        let shard = crate::protocol::home::Shard::of(&name);
        let of_shard = |letter: &Letter| matches!(letter.part(), Part::Fill { shard: it, .. } if *it == shard);
        let fills = scene.deliver_but(|letter| of_shard(letter));
        assert_eq!(fills.len(), 1);
        scene.arrive(fills[0].clone());
        scene.deliver();
        scene.set(2, &name, 6);
        scene.deliver();
        scene.arrive(fills[0].clone());
        assert_eq!(scene.under_way(), ["filled"]);
        scene.deliver();
        let next = scene.next(&[Change::Cut(member(0))]);
        assert_eq!(scene.homes(&name, &next)[0], 1);
        scene.die(&[0]);
        scene.asks(3, &name) == Some(Some(6))
    });
}

// D8: each operation is done once.

#[test]
fn d8_a_batch_that_comes_twice_is_done_once() {
    rests_on(Bug::OperationNumberIgnored, 3, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 0);
        let ticket = scene.act(2, &name, add(1));
        let twice = scene.take(all("write"));
        // Together, before it is done: and after it.
        (0..2).for_each(|_| scene.arrive(twice[0].clone()));
        let stores = scene.take(all("store"));
        scene.arrive(twice[0].clone());
        scene.arrive_all(stores);
        scene.deliver();
        scene.arrive(twice[0].clone());
        scene.deliver();
        assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(1)));
        scene.act(2, &name, add(1));
        scene.deliver();
        scene.arrive(twice[0].clone());
        scene.deliver();
        scene.asks(1, &name) == Some(Some(2))
    });
}

#[test]
fn d8_a_batch_that_stands_behind_its_original_is_done_once() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    let ticket = scene.act(2, &name, add(1));
    let twice = scene.take(all("write"));
    scene.act(3, &name, add(10));
    let stores = scene.deliver_but(all("store"));
    // Both wait for what is under way.
    (0..2).for_each(|_| scene.arrive(twice[0].clone()));
    scene.arrive_all(stores);
    scene.deliver();
    assert_eq!((scene.outcome(ticket), scene.asks(1, &name)), (Some(Outcome::Sum(11)), Some(Some(11))));
}

#[test]
fn d8_a_refusal_that_is_asked_for_again_stays_one() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    let ticket = scene.set(2, &name, 1);
    let twice = scene.take(all("write"));
    scene.arrive(twice[0].clone());
    let lost = scene.take(all("wrote"));
    assert_eq!(lost.len(), 1);
    scene.given(&name, 5);
    scene.arrive(twice[0].clone());
    scene.deliver();
    assert_eq!(scene.refusal(ticket), Some(Refusal::NotFound));
    assert_eq!(scene.asks(2, &name), Some(Some(5)));
}

#[test]
fn d8_in_the_next_view_the_same_is_the_same() {
    for stored in [false, true] {
        for dies in [false, true] {
            let mut scene = Scene::new(4);
            let next = scene.next(&[Change::Cut(member(0))]);
            let name = scene.name_that_moves(&[0, 1], &next, &[1]);
            scene.given(&name, 0);
            let tickets = [2, 3].map(|node| scene.act(node, &name, add(1)));
            scene.deliver_but(|letter| {
                let kept = stored && all("store")(letter);
                !kept && (letter.to == 2 || letter.to == 3 || letter.to == 1)
            });
            if dies {
                scene.die(&[0]);
            } else {
                scene.go_on(&[Change::Renew]);
            }
            assert!(tickets.iter().all(|ticket| matches!(scene.outcome(*ticket), Some(Outcome::Sum(_)))));
            assert_eq!(scene.asks(2, &name), Some(Some(2)), "stored {stored}, dies {dies}");
        }
    }
}

#[test]
fn d8_all_operations_of_a_batch_are_remembered() {
    let mut scene = Scene::new(3);
    let next = scene.next(&[Change::Cut(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1]);
    scene.given(&name, 0);
    let operation = |action| super::super::Operation { kind: super::scene::KIND, guard: None, action };
    let actions = [add(1), Action::Create(value(9)), add(1), Action::Swap(value(7))];
    let tickets = scene.operate_all(2, &name, actions.map(operation));
    scene.deliver_but(to(2, "wrote"));
    scene.die(&[0]);
    let outcomes: Vec<_> = tickets.iter().map(|ticket| scene.outcome(*ticket).unwrap()).collect();
    assert_eq!(outcomes, [Outcome::Sum(1), Outcome::Exists, Outcome::Sum(2), Outcome::Was(value(2))]);
    assert_eq!(scene.asks(2, &name), Some(Some(7)));
}

/// What was done last is remembered for each member that has written, as long as it has not said that it knows.
#[test]
fn d8_nobody_is_remembered_for_longer_than_it_asks() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    [1, 2].into_iter().for_each(|node| {
        scene.act(node, &name, add(1));
        scene.deliver();
    });
    let remembered = |scene: &Scene| {
        let shard = crate::protocol::home::Shard::of(&name);
        scene.nodes[0].machine.stores[&shard].records[&name].recent.len()
    };
    assert_eq!(remembered(&scene), 3);
    scene.go_on(&[Change::Renew]);
    assert_eq!(remembered(&scene), 0);
    // Who is gone asks nothing any more.
    let ticket = scene.act(2, &name, add(1));
    scene.deliver_but(to(2, "wrote"));
    scene.go_on(&[Change::Renew]);
    assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(3)));
    scene.act(2, &name, add(1));
    scene.deliver_but(to(2, "wrote"));
    scene.die(&[2]);
    assert_eq!(remembered(&scene), 0);
    assert_eq!(scene.view.at.epoch, Epoch(6));
}
