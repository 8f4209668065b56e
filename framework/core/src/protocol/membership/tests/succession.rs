use alloc::{vec, vec::Vec};

use super::{
    super::{Ballot, Event, Ignored, Message, Out, VOTERS_MAX},
    scene::{A, B, C, D, E, Scene, member, ms},
};
use crate::protocol::view::{Change, Epoch};

#[test]
fn newborn_nodes_become_one_cluster_and_serve() {
    let scene = Scene::of(5);
    assert_eq!(scene.members_at(E), [A, B, C, D, E]);
}

#[test]
fn who_is_killed_is_cut_and_the_view_is_active_after_its_leases() {
    let mut scene = Scene::of(3);
    scene.kill(B);
    scene.pass(ms(100));
    assert_eq!(scene.members_at(A), [A, C]);
    assert_eq!(scene.view(A), scene.view(C));
    assert!(!scene.serves(A), "B may still act, for all that anybody knows");
    scene.pass(ms(1050));
    assert!(scene.serves(A) && scene.serves(C));
    for survivor in [A, C] {
        let seen: Vec<_> = scene.installed(survivor).iter().map(|it| (it.joined.clone(), it.lost[0].0)).collect();
        assert_eq!(seen, [(vec![], B)]);
    }
}

#[test]
fn changes_that_come_together_become_one_view() {
    let mut scene = Scene::of(5);
    scene.kill(D);
    scene.kill(E);
    scene.pass(ms(200));
    assert_eq!(scene.members_at(A), [A, B, C]);
    assert_eq!(scene.installed(A).len(), 1);
}

#[test]
fn beyond_seven_members_the_oldest_vote() {
    let mut scene = Scene::of(9);
    assert_eq!(scene.view(A).voters().len(), VOTERS_MAX);
    scene.sent.clear();
    scene.kill(member(8));
    scene.pass(ms(2000));
    assert_eq!(scene.members_at(member(7)).len(), 8);
    assert_eq!(scene.sent["prepare"], 6, "one voter asks the six others");
}

#[test]
fn two_members_go_on_with_the_older_one_alone_and_not_with_the_younger_one() {
    let mut scene = Scene::of(2);
    scene.kill(B);
    scene.pass(ms(1500));
    assert_eq!(scene.members_at(A), [A]);
    assert!(scene.serves(A));

    let mut scene = Scene::of(2);
    scene.kill(A);
    scene.pass(ms(4000));
    assert_eq!(scene.members_at(B), [A, B]);
    assert!(!scene.serves(B));
    assert!(scene.said(B, &Event::Isolated { missing: 1 }), "it says why it stands still");
}

/// T19: the proposer dies when one voter alone has heard what was decided.
#[test]
fn t19_an_interrupted_change_is_finished_by_whoever_is_left() {
    let mut scene = Scene::of(5);
    scene.held = Some(|message| matches!(message, Message::Decided { .. }));
    scene.kill(E);
    scene.pass(ms(60));
    let decided = scene.take_held(Some(D));
    scene.take_held(None);
    scene.held = None;
    assert_eq!(scene.members_at(A), [A, B, C, D], "the oldest is the first to propose");
    scene.kill(A);
    for (from, to, message) in decided {
        scene.receive(to, from, message);
    }
    scene.pass(ms(2500));
    for survivor in [B, C, D] {
        assert_eq!(scene.members_at(survivor), [B, C, D]);
        assert!(scene.serves(survivor));
        let lost: Vec<_> = scene.installed(survivor).iter().flat_map(|it| it.lost.clone()).collect();
        assert_eq!(lost.iter().map(|(member, _)| *member).collect::<Vec<_>>(), [E, A]);
    }
}

/// T19: the proposer dies between the two phases, so all are wedged and nobody is left who wanted to wedge them.
#[test]
fn t19_who_was_wedged_for_nothing_begins_anew() {
    let mut scene = Scene::of(3);
    scene.held = Some(|message| matches!(message, Message::Promise { .. }));
    scene.propose(C, &[Change::Renew]);
    scene.deliver();
    assert!(!scene.serves(A) && !scene.serves(B));
    scene.take_held(None);
    scene.held = None;
    scene.kill(C);
    scene.pass(ms(2500));
    assert_eq!(scene.members_at(A), [A, B]);
    assert!(scene.serves(A) && scene.serves(B));
}

/// T20: two proposers with different changes. One succeeds, and the other's change comes after it.
#[test]
fn t20_overlapping_changes_follow_each_other() {
    let mut scene = Scene::of(5);
    scene.propose(A, &[Change::Cut(D)]);
    scene.propose(B, &[Change::Cut(E)]);
    scene.pass(ms(3000));
    let views: Vec<_> = [A, B, C].map(|at| scene.view(at)).into();
    assert!(views.iter().all(|view| *view == views[0]), "{views:?}");
    assert_eq!([A, B, C].map(|at| scene.serves(at)), [true; 3]);
}

/// T20, H19: whoever is beyond an instance answers for it with the view, and with nothing else.
#[test]
fn t20_h19_an_old_instance_is_answered_with_the_view() {
    let mut scene = Scene::of(3);
    let old = scene.view(A).at;
    scene.propose(A, &[Change::Renew]);
    scene.deliver();
    scene.held = Some(|_| true);
    let ballot = Ballot { round: 99, proposer: C };
    scene.receive(A, C, Message::Prepare { at: old, ballot });
    let answers: Vec<_> = scene.take_held(Some(C)).into_iter().map(|(.., message)| message).collect();
    assert!(matches!(&answers[..], [Message::View { view, .. }] if view.at == scene.view(A).at), "{answers:?}");
}

/// T21: a quorum is counted by who has answered, not by how many answers came.
#[test]
fn t21_the_same_voice_counts_once() {
    let mut scene = Scene::of(5);
    scene.held = Some(|_| true);
    scene.propose(A, &[Change::Renew]);
    let at = scene.view(A).at;
    let ballot = Ballot { round: 1, proposer: A };
    for _ in 0..5 {
        scene.receive(A, B, Message::Promise { at, ballot, accepted: None });
    }
    assert!(!scene.under_way.iter().any(|(.., message)| matches!(message, Message::Accept { .. })));
    scene.receive(A, C, Message::Promise { at, ballot, accepted: None });
    assert!(scene.under_way.iter().any(|(.., message)| matches!(message, Message::Accept { .. })));
    for _ in 0..5 {
        scene.receive(A, B, Message::Accepted { at, ballot, wait: ms(0) });
    }
    assert_eq!(scene.view(A).at, at, "two of five have accepted");
}

/// T22: a voter that has restarted is another member, so it cannot forget on behalf of the one that promised.
#[test]
fn t22_a_later_life_has_no_vote() {
    let mut scene = Scene::of(3);
    let later = crate::wire::id::Member { incarnation: crate::wire::id::Incarnation(2), ..B };
    scene.kill(B);
    scene.held = Some(|_| true);
    scene.propose(A, &[Change::Renew]);
    let at = scene.view(A).at;
    let ballot = Ballot { round: 1, proposer: A };
    scene.receive(A, later, Message::Promise { at, ballot, accepted: None });
    assert!(!scene.under_way.iter().any(|(.., message)| matches!(message, Message::Accept { .. })));
}

/// T24: of a chain nobody is cut: the one in the middle hears all.
#[test]
fn t24_a_chain_keeps_its_view_and_serves() {
    let mut scene = Scene::of(3);
    scene.split(&[A], &[C]);
    scene.pass(ms(10_000));
    for member in [A, B, C] {
        assert_eq!(scene.members_at(member), [A, B, C]);
        assert!(scene.serves(member), "with the lease of the middle and its own vote");
    }
}

/// T24: nothing gets from A to B, both notice after a while that they do not get answers.
#[test]
fn t24_a_one_way_cut_keeps_an_agreed_view() {
    let mut scene = Scene::of(5);
    scene.cut.insert((A, B));
    scene.pass(ms(10_000));
    let view = scene.view(A);
    assert!([A, B, C, D, E].iter().all(|member| scene.view(*member) == view && scene.serves(*member)));
}

/// T28: of three, one after the other is gone. The oldest of the last two goes on, and takes others in again.
#[test]
fn t28_a_shrunken_view_can_grow_again() {
    let mut scene = Scene::of(3);
    scene.kill(C);
    scene.pass(ms(1500));
    scene.kill(B);
    scene.pass(ms(1500));
    assert_eq!(scene.members_at(A), [A]);
    scene.start(D);
    scene.pass(ms(2000));
    assert_eq!(scene.members_at(D), [A, D]);
    assert!(scene.serves(D));
}

/// T31, H18: who suspects somebody that all others hear may ask, and wedges nobody, not even itself.
#[test]
fn t31_h18_a_flaky_member_stops_nobody() {
    let mut scene = Scene::of(3);
    scene.split(&[A], &[B]);
    for _ in 0..100 {
        scene.pass(ms(100));
        assert!([A, B, C].iter().all(|member| scene.serves(*member)), "at {:?}", scene.now);
    }
    assert!(scene.sent["would_you"] > 10, "A and B each ask C to cut the other");
}

/// H3: to accept is to promise. Ballot 1 is promised by A and C, ballot 2 by A and B; A and C accept ballot 2, so it is
/// chosen; then the late ACCEPT of ballot 1 reaches C.
#[test]
fn h3_accepting_promises() {
    let mut scene = Scene::of(3);
    scene.held = Some(|_| true);
    let at = scene.view(A).at;
    let [low, high] = [Ballot { round: 1, proposer: A }, Ballot { round: 2, proposer: B }];
    scene.receive(C, A, Message::Prepare { at, ballot: low });
    scene.receive(C, B, Message::Accept { at, ballot: high, changes: vec![Change::Renew] });
    scene.take_held(None);
    scene.receive(C, A, Message::Accept { at, ballot: low, changes: vec![Change::Cut(B)] });
    let answers: Vec<_> = scene.take_held(Some(A)).into_iter().map(|(.., message)| message).collect();
    assert_eq!(answers, [Message::Refused { at, promised: high }]);
}

/// H19: a wedged voter still takes part in the instance; a view of another lineage is only taken when it was asked for.
#[test]
fn h19_an_uninvited_view_is_ignored() {
    let mut scene = Scene::of(3);
    let mut foreign = scene.view(A);
    foreign.at.lineage = crate::protocol::view::Lineage([9; 16]);
    foreign.at.epoch = Epoch(1000);
    let before = scene.view(A);
    scene.receive(A, B, Message::View { view: foreign, wait: ms(0) });
    assert_eq!(scene.view(A), before);
    assert!(scene.said(A, &Event::Ignored { from: B, reason: Ignored::Uninvited }));
}

/// H20: a member that was cut and taken in again by a late word of it finds another `since` than its own.
#[test]
fn h20_who_was_cut_in_between_notices() {
    let mut scene = Scene::of(3);
    let mut later = scene.view(A).successor(&[Change::Cut(C)]);
    later.gone.clear();
    let later = later.successor(&[Change::Admit(C, Epoch(1))]);
    assert!(later.has(C));
    scene.receive(C, A, Message::View { view: later, wait: ms(0) });
    assert_eq!(scene.machines[&C].out(), Some(Out::Excluded));
}

/// H25: what was promised and accepted belongs to one epoch.
#[test]
fn h25_an_acceptor_starts_anew_with_each_view() {
    let mut scene = Scene::of(3);
    scene.propose(B, &[Change::Renew]);
    scene.deliver();
    let at = scene.view(C).at;
    scene.held = Some(|_| true);
    let ballot = Ballot { round: 1, proposer: A };
    scene.receive(C, A, Message::Prepare { at, ballot });
    let answers: Vec<_> = scene.take_held(Some(A)).into_iter().map(|(.., message)| message).collect();
    assert_eq!(answers, [Message::Promise { at, ballot, accepted: None }]);
}

#[test]
fn who_missed_a_decision_learns_it_from_the_next_echo() {
    let mut scene = Scene::of(3);
    scene.held = Some(|message| matches!(message, Message::Decided { .. } | Message::View { .. }));
    scene.propose(A, &[Change::Renew]);
    scene.deliver();
    scene.take_held(None);
    scene.held = None;
    assert_ne!(scene.view(C).at, scene.view(A).at);
    scene.pass(ms(300));
    assert_eq!(scene.view(C), scene.view(A));
}

#[test]
fn three_of_five_go_on_and_the_two_come_back_as_newer_lives() {
    let mut scene = Scene::of(5);
    scene.split(&[A, B, C], &[D, E]);
    scene.pass(ms(1000));
    assert!(!scene.serves(D) && !scene.serves(E), "a lease later they have stopped");
    scene.pass(ms(4000));
    assert_eq!(scene.members_at(C), [A, B, C]);
    assert!(scene.serves(C));
    scene.heal();
    scene.pass(ms(600));
    assert_eq!([D, E].map(|it| scene.machines[&it].out()), [Some(Out::Excluded); 2]);
}
