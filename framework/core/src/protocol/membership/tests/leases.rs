use alloc::vec::Vec;

use super::{
    super::{Ballot, Config, Message},
    scene::{A, B, C, D, Scene, member, ms},
};
use crate::{
    protocol::view::{Change, Standing},
    wire::id::Member,
};

/// T23: an excluded node that hears nothing goes on for no longer than its leases.
#[test]
fn t23_an_excluded_node_stops_before_the_others_begin() {
    let mut scene = Scene::of(3);
    scene.split(&[A, B], &[C]);
    let mut served_last = scene.now;
    let mut guarded_last = scene.now;
    while !scene.serves(A) || scene.members_at(A).contains(&C) {
        scene.pass(ms(5));
        served_last = if scene.serves(C) { scene.now } else { served_last };
        guarded_last = if scene.guards(C) { scene.now } else { guarded_last };
        assert!(scene.now.as_nanos() < 60_000_000_000, "nobody goes on");
    }
    assert!(guarded_last < scene.now && served_last < scene.now);
    assert!(!scene.serves(C) && !scene.guards(C));
}

/// T25: a process that was stopped finds its leases over when it runs again.
#[test]
fn t25_a_stopped_process_serves_nothing_when_it_wakes() {
    let mut scene = Scene::of(3);
    scene.now = scene.now + ms(1100);
    assert!([A, B, C].iter().all(|it| !scene.serves(*it) && !scene.guards(*it)), "nobody has polled anybody since");
}

/// T30: two changes in quick succession: the second waits for what the first one excluded.
#[test]
fn t30_the_wait_of_the_view_before_is_inherited() {
    let mut scene = Scene::of(3);
    scene.echo(C, B);
    scene.propose(B, &[Change::Cut(C)]);
    // C is told nothing.
    scene.split(&[A, B], &[C]);
    scene.deliver();
    assert_eq!(scene.members_at(A), [A, B]);
    scene.propose(A, &[Change::Renew]);
    scene.deliver();
    assert!(!scene.is_active(A) && !scene.is_active(B));
    assert!(scene.guards(C));
    while !scene.is_active(A) {
        scene.pass(ms(5));
    }
    assert!(!scene.guards(C));
}

/// H6: a voter that accepts its own cut would keep its guards until its leases end, and the others would not wait.
#[test]
fn h6_who_accepts_its_own_cut_gives_up_its_guards() {
    let mut scene = Scene::of(3);
    // B has never granted anything to C; A has, and is not heard any more.
    scene.now = scene.now + ms(1100);
    scene.echo(C, A);
    assert!(scene.guards(C));
    scene.held = Some(|_| true);
    let at = scene.view(C).at;
    let ballot = Ballot { round: 1, proposer: B };
    scene.receive(C, B, Message::Accept { at, ballot, changes: alloc::vec![Change::Cut(C)] });
    assert!(!scene.guards(C));
}

/// H14: whoever learns a view from another one than its proposer waits too.
#[test]
fn h14_a_view_learnt_second_hand_is_waited_for() {
    let mut scene = Scene::of(4);
    scene.echo(C, A);
    scene.held = Some(|message| matches!(message, Message::Decided { .. }));
    scene.split(&[A, B, D], &[C]);
    scene.propose(A, &[Change::Cut(C)]);
    scene.deliver();
    scene.take_held(None);
    scene.held = None;
    scene.echo(D, A);
    scene.deliver();
    assert_eq!(scene.members_at(D), [A, B, D]);
    assert!(scene.guards(C) && !scene.is_active(D) && !scene.is_active(A));
    while !scene.is_active(D) && !scene.is_active(A) {
        scene.pass(ms(5));
    }
    assert!(!scene.guards(C));
}

/// H15: what was promised in an earlier epoch is waited for in a later one.
#[test]
fn h15_promises_survive_an_install() {
    let mut scene = Scene::of(3);
    for grantor in [A, B] {
        scene.echo(C, grantor);
    }
    scene.propose(A, &[Change::Renew]);
    scene.deliver();
    // All have shown that they are in the new epoch, and nobody has a new lease there.
    let at = scene.view(A).at;
    for (from, to) in [(C, A), (C, B)] {
        scene.receive(to, from, Message::WouldYou { at, query: 1, changes: alloc::vec![] });
    }
    scene.split(&[A, B], &[C]);
    scene.propose(A, &[Change::Cut(C)]);
    scene.deliver();
    assert_eq!(scene.members_at(A), [A, B]);
    assert!(scene.guards(C), "its leases of the epoch before count while they run");
    assert!(!scene.is_active(A));
    while !scene.is_active(A) {
        scene.pass(ms(5));
    }
    assert!(!scene.guards(C));
}

/// H25: somebody of whom nothing is heard in this epoch may live by leases of the one before, that this voter did not give.
#[test]
fn h25_who_was_not_heard_in_this_view_is_waited_for_a_lease_long() {
    let mut scene = Scene::of(4);
    scene.now = scene.now + ms(1100);
    scene.propose(A, &[Change::Renew]);
    scene.deliver();
    let installed = scene.now;
    scene.split(&[A, B, D], &[C]);
    scene.propose(A, &[Change::Cut(C)]);
    scene.deliver();
    while !scene.is_active(A) {
        scene.pass(ms(5));
    }
    assert!(scene.now.saturating_since(installed) >= ms(1000));
}

/// H25: two clocks may differ by one in a hundred; the holder counts on the safe side, and so does whoever waits.
#[test]
fn h25_a_lease_ends_earlier_for_its_holder_than_for_its_grantor() {
    let mut scene = Scene::of(3);
    scene.now = scene.now + ms(1100);
    scene.echo(C, A);
    let holder = scene.machines[&C].lease_end().unwrap().saturating_since(scene.now);
    assert_eq!(holder, ms(980));
    scene.split(&[A, B], &[C]);
    scene.propose(A, &[Change::Cut(C)]);
    scene.deliver();
    let started = scene.now;
    while !scene.is_active(B) {
        scene.pass(ms(1));
    }
    assert!(scene.now.saturating_since(started) >= ms(1020));
}

/// T24, V3: a wedged node answers, and what it answers is no lease.
#[test]
fn a_wedged_grantor_gives_no_lease_and_is_alive() {
    let mut scene = Scene::of(3);
    scene.held = Some(|_| true);
    scene.propose(A, &[Change::Renew]);
    let wedged = scene.machines[&A].standing();
    assert_eq!(wedged, Some(Standing { at: scene.view(A).at, wedged: true }));
    scene.now = scene.now + ms(1100);
    scene.echo(C, A);
    assert!(!scene.guards(C));
}

/// In a large view the voters poll everybody, and the others poll the voters alone: nobody is astray for it.
#[test]
fn in_a_large_view_only_voters_are_polled_by_those_who_are_none() {
    let mut scene = Scene::new(Config { poll_all_max: 8, ..Config::default() });
    scene.unpolled = true;
    (0..10).for_each(|node| scene.start(member(node)));
    scene.pass(ms(10_000));

    let seats: Vec<_> = scene.view(A).members().collect();
    assert_eq!(seats.len(), 10);
    let [voter, other, third, last] = [seats[0], seats[7], seats[8], seats[9]];
    let spared = |scene: &Scene, by: Member| scene.machines[&by].spared().collect::<Vec<_>>();
    assert_eq!(spared(&scene, voter), []);
    assert_eq!(spared(&scene, other), [third, last]);
    // They hear nothing of each other, and it is not held against anybody.
    scene.sent.clear();
    scene.pass(ms(10_000));
    assert_eq!(scene.sent, [].into(), "and nothing is said but echoes");
    assert!(scene.alive().into_iter().all(|it| scene.serves(it) && scene.members_at(it).len() == 10));
    // Who is silent is still noticed, by the voters.
    scene.machines.remove(&last);
    scene.voters_suspect(last);
    scene.pass(ms(3000));
    assert_eq!(scene.members_at(other).len(), 9);
    assert!(!scene.machines[&other].is_silent(scene.now, third), "it did not say where it stands, and need not");
}
