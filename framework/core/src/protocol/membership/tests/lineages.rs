use alloc::{vec, vec::Vec};

use super::{
    super::{Command, Config, Event, File, Holdings, Message, Out, Policy},
    scene::{A, B, C, D, E, Scene, member, ms},
};
use crate::{
    protocol::view::{At, Change, Epoch, Lineage, Rank},
    wire::id::{Incarnation, Member},
};

const HOLDING: Holdings = Holdings { variables: true, home: false, guards: false };

fn any() -> Config {
    Config { policy: Policy::Any, ..Config::default() }
}

/// T26: ten nodes that start together all choose the same lineage.
#[test]
fn t26_nodes_that_start_together_become_one() {
    let mut scene = Scene::new(Config::default());
    (0..10).for_each(|node| scene.start(member(node)));
    scene.pass(ms(3000));
    let view = scene.view(A);
    assert_eq!(view.seats.len(), 10);
    assert!((0..10).all(|node| scene.view(member(node)) == view && scene.serves(member(node))));
}

/// T26: during its window a newborn neither serves nor admits.
#[test]
fn t26_a_newborn_looks_around_first() {
    let mut scene = Scene::new(Config::default());
    scene.start(A);
    scene.pass(ms(490));
    assert!(!scene.serves(A) && !scene.machines[&A].is_open());
    scene.pass(ms(20));
    assert!(scene.serves(A) && scene.machines[&A].is_open());
}

/// H1: a newborn that holds nothing gives way, whatever its lineage is called.
#[test]
fn h1_a_newborn_never_takes_the_place_of_who_holds_variables() {
    for newborn in 1..20 {
        let mut scene = Scene::new(Config::default());
        scene.start(A);
        scene.pass(ms(1000));
        scene.command(A, Command::Hold(HOLDING));
        let before = scene.view(A).at.lineage;
        scene.start(member(newborn));
        scene.pass(ms(3000));
        assert_eq!(scene.view(member(newborn)).at.lineage, before);
        assert_eq!(scene.members_at(A), [A, member(newborn)]);
    }
}

/// H2: a rank that is told may be old. Whoever is asked compares with its own rank now, and refuses on its way elsewhere.
#[test]
fn h2_who_is_asked_compares_ranks_again() {
    let mut scene = Scene::of(2);
    scene.start(C);
    scene.held = Some(|_| true);
    let into = scene.view(A).at.lineage;
    let higher = Rank { holds: true, ..scene.machines[&C].rank() };
    let before = scene.view(A);
    scene.receive(A, C, Message::Join { into, rank: higher });
    scene.pass(ms(200));
    assert_eq!(scene.view(A), before);
    scene.command(A, Command::Leave);
    let lower = scene.machines[&C].rank();
    scene.receive(A, C, Message::Join { into, rank: lower });
    scene.receive(B, C, Message::Join { into, rank: lower });
    scene.held = None;
    scene.pass(ms(200));
    assert_eq!(scene.members_at(B), [B, C], "B has a quorum without A, and admits");
}

/// H2: a joiner drops nothing before it is in, and if something was put there meanwhile, it stays where it is.
#[test]
fn h2_a_joiner_that_holds_something_by_now_stays_what_it_is() {
    let mut scene = Scene::of(2);
    scene.start(C);
    scene.held = Some(|message| matches!(message, Message::View { .. }));
    scene.pass(ms(1000));
    assert_eq!(scene.members_at(A), [A, B, C]);
    let own = scene.view(C);
    scene.command(C, Command::Hold(HOLDING));
    scene.held = None;
    scene.pass(ms(10_000));
    assert_eq!(scene.view(C).at.lineage, own.at.lineage);
    assert!([A, B].iter().all(|it| scene.machines[it].out() == Some(Out::Moved) || !scene.view(*it).has(C)));
}

#[test]
fn two_lineages_that_both_hold_variables_refuse_each_other() {
    let mut scene = apart(2, 2);
    scene.command(A, Command::Hold(HOLDING));
    scene.command(B, Command::Hold(HOLDING));
    scene.command(C, Command::Hold(HOLDING));
    scene.command(D, Command::Hold(HOLDING));
    scene.heal();
    scene.pass(ms(10_000));
    assert_eq!(scene.members_at(A), [A, B]);
    assert_eq!(scene.members_at(C).len(), 2);
    let foreign = |event: &(Member, Event)| matches!(event.1, Event::ForeignLineage(_));
    assert!(scene.events.iter().any(foreign));
}

#[test]
fn of_two_lineages_that_meet_the_lower_one_moves_member_by_member() {
    let mut scene = apart(3, 2);
    [A, B, C].into_iter().for_each(|it| scene.command(it, Command::Hold(HOLDING)));
    scene.heal();
    scene.pass(ms(4000));
    assert_eq!(scene.machines[&E].out().is_some() as u8 + scene.machines[&D].out().is_some() as u8, 1);
    let stayed = if scene.machines[&D].out().is_some() { E } else { D };
    assert_eq!(scene.members_at(A), [A, B, C, stayed], "the last one joins as it is, the others begin a new life");
}

#[test]
fn who_dissolves_rescues_and_joins() {
    let mut scene = apart(2, 1);
    [A, B, C].into_iter().for_each(|it| scene.command(it, Command::Hold(HOLDING)));
    scene.heal();
    scene.pass(ms(2000));
    assert_eq!(scene.members_at(C), [C]);
    scene.command(C, Command::Dissolve);
    scene.pass(ms(1200));
    assert!(scene.said(C, &Event::Rescue));
    scene.command(C, Command::Hold(Holdings::default()));
    scene.pass(ms(2000));
    assert_eq!(scene.members_at(A), [A, B, C]);
}

#[test]
fn who_comes_in_takes_over_how_many_homes_there_are() {
    let mut scene = Scene::with(2, Config { replicas: 3, ..Config::default() });
    scene.start_after(C, Config { replicas: 0, ..Config::default() });
    assert_eq!(scene.view(C).replicas, 1);
    scene.pass(ms(2000));
    assert_eq!(scene.view(C), scene.view(A));
    assert_eq!(scene.view(C).replicas, 3);
    let alone: Vec<_> = scene.view(C).former().last().into_iter().collect();
    assert_eq!(alone, [(Epoch(2), [A].into())], "the past is that of the lineage it came to");
}

#[test]
fn epochs_never_fall() {
    let mut scene = Scene::of(2);
    let far = Config { after: Epoch(1000), ..Config::default() };
    [A, B].into_iter().for_each(|it| scene.command(it, Command::Hold(HOLDING)));
    scene.start_after(C, far);
    scene.pass(ms(2000));
    assert!(scene.view(A).has(C) && scene.view(A).at.epoch > Epoch(1000));
}

/// H16: a node without a quorum keeps its vote and its epoch, and goes on when the others are back.
#[test]
fn h16_who_is_isolated_gives_nothing_up() {
    let mut scene = Scene::of(3);
    scene.split(&[A], &[B, C]);
    scene.split(&[B], &[C]);
    scene.pass(ms(10_000));
    for member in [A, B, C] {
        assert!(scene.said(member, &Event::Isolated { missing: 2 }));
        assert!(!scene.serves(member) && scene.machines[&member].out().is_none());
    }
    scene.start(D);
    scene.heal();
    scene.pass(ms(3000));
    assert!(scene.view(A).has(B) && scene.view(A).has(C) && scene.serves(C));
    assert!(scene.said(C, &Event::Connected));
}

/// T27: somebody comes and goes, and each time there is one change, and between them peace.
#[test]
fn t27_flapping_costs_no_storm() {
    let mut scene = Scene::of(3);
    scene.sent.clear();
    for life in 2..12 {
        scene.kill(Member { incarnation: Incarnation(life - 1), ..C });
        scene.pass(ms(500));
        scene.start(Member { incarnation: Incarnation(life), ..C });
        scene.pass(ms(2500));
        let now = Member { incarnation: Incarnation(life), ..C };
        assert_eq!(scene.members_at(A), [A, B, now], "life {life}");
    }
    let messages: u32 = scene.sent.values().sum();
    assert!(messages < 10 * 80, "{:?}", scene.sent);
}

/// T28: three nodes that came in at once and died would have taken the quorum with them.
#[test]
fn t28_those_who_come_in_and_die_stop_nobody() {
    let mut scene = Scene::new(Config::default());
    scene.start_after(A, Config { after: Epoch(1), ..Config::default() });
    scene.pass(ms(1000));
    [B, C, D].into_iter().for_each(|it| scene.start(it));
    while scene.view(A).seats.len() == 1 {
        scene.pass(ms(5));
    }
    [B, C, D].into_iter().for_each(|it| scene.kill(it));
    scene.pass(ms(5000));
    assert_eq!(scene.members_at(A), [A]);
    assert!(scene.serves(A));
}

/// T29: a living process is never left out without a quorum, however long it is silent.
#[test]
fn t29_silence_forks_nothing() {
    let mut scene = Scene::with(2, any());
    scene.split(&[A], &[B]);
    scene.pass(ms(60_000));
    assert_eq!(scene.members_at(B), [A, B], "the older one may be in a debugger");
    assert!(!scene.serves(B));
    assert_eq!(scene.members_at(A), [A], "which has a quorum by itself");
}

#[test]
fn a_proven_death_ends_its_leases_at_once() {
    let mut scene = Scene::with(3, any());
    scene.kill(C);
    for observer in [A, B] {
        scene.command(observer, dead(C, None));
    }
    scene.pass(ms(60));
    assert_eq!(scene.members_at(A), [A, B]);
    assert!(scene.serves(A));
}

/// H17: those who are left fork as one set, and mint the same lineage.
#[test]
fn h17_the_survivors_fork_together() {
    let mut scene = Scene::with(4, any());
    let before = scene.view(C).at;
    for gone in [A, B] {
        let written = scene.recorded.get(&gone).copied();
        scene.kill(gone);
        for observer in [C, D] {
            scene.command(observer, dead(gone, written));
        }
    }
    scene.pass(ms(100));
    assert_eq!(scene.members_at(C), [C, D]);
    assert_eq!(scene.view(C), scene.view(D));
    assert_ne!(scene.view(C).at.lineage, before.lineage);
    assert!(scene.view(C).at.epoch > before.epoch);
    assert!(scene.installed(C).iter().all(|it| !it.orphaned));
    assert!(scene.serves(C) && scene.serves(D), "no lease of the dead is waited for");
}

/// T29, H17: who does not know of the same deaths does not agree.
#[test]
fn h17_a_fork_needs_everybody_who_is_not_dead() {
    let mut scene = Scene::with(4, any());
    scene.kill(A);
    scene.kill(B);
    for gone in [A, B] {
        scene.command(C, dead(gone, None));
    }
    scene.pass(ms(3000));
    assert_eq!(scene.members_at(C).len(), 4);
    for gone in [A, B] {
        scene.command(D, dead(gone, None));
    }
    scene.pass(ms(500));
    assert_eq!(scene.members_at(C), [C, D]);
}

/// Second round of the counterexamples: A cut B, took in J and is dead; B must not go on from the view that it knows.
#[test]
fn nobody_forks_from_a_view_that_somebody_alive_is_beyond() {
    let mut scene = Scene::with(2, any());
    scene.split(&[A], &[B]);
    scene.command(A, Command::Suspect(B));
    scene.pass(ms(2000));
    scene.start(C);
    scene.cut.extend([(B, C), (C, B)]);
    scene.pass(ms(2500));
    assert_eq!(scene.members_at(C), [A, C]);
    let written = scene.recorded.get(&A).copied();
    scene.kill(A);
    let living = File { member: C, dead: false, written: scene.recorded.get(&C).copied() };
    for observer in [B, C] {
        scene.command(observer, Command::Files(vec![File { member: A, dead: true, written }, living]));
    }
    scene.pass(ms(1000));
    assert_eq!(scene.members_at(C), [C]);
    assert_eq!(scene.members_at(B), [A, B], "it waits, and serves nothing");
    assert!(!scene.serves(B));
    // Nobody of the old lineage is left to tell it. But once it hears C, and C has had the time to call it a member, it knows.
    scene.heal();
    scene.pass(ms(1000));
    assert!(!scene.events.iter().any(|(who, event)| *who == B && matches!(event, Event::Excluded(_))));
    scene.pass(ms(2000));
    assert!(scene.events.iter().any(|(who, event)| *who == B && matches!(event, Event::Excluded(_))));
}

/// Seed 0x3283 of `membership-any`: what a dead member had said in the old lineage made that a lineage in sight, and since
/// nobody goes back to what it has left, the fork ended its own life.
#[test]
fn who_forks_does_not_run_after_what_was_said_before() {
    let mut scene = Scene::new(any());
    scene.start_after(A, Config { after: Epoch(1), ..any() });
    scene.start(B);
    scene.pass(ms(800));
    assert_eq!(scene.members_at(B), [A, B]);
    // It is not known yet that A is gone, and what it said is fresh.
    scene.machines.remove(&A);
    scene.command(B, dead(A, None));
    scene.pass(ms(1500));
    assert_eq!(scene.members_at(B), [B]);
    assert!(!scene.events.iter().any(|(who, event)| *who == B && matches!(event, Event::Moved(_))));
}

/// Who agreed to a fork and was cut from it before it heard that it had come to be: nobody tells it, but it sees.
#[test]
fn who_was_left_behind_by_its_own_fork_begins_anew() {
    let mut scene = Scene::with(4, any());
    scene.kill(A);
    scene.kill(B);
    for gone in [A, B] {
        scene.command(C, dead(gone, None));
    }
    // D agrees, and hears neither that C does nor what came of it.
    scene.held = Some(|message| matches!(message, Message::View { .. } | Message::Forked { .. }));
    for gone in [A, B] {
        scene.command(D, dead(gone, None));
    }
    scene.pass(ms(500));
    for (from, to, message) in scene.take_held(Some(C)) {
        scene.receive(to, from, message);
    }
    assert_eq!(scene.members_at(C), [C, D]);
    assert_eq!(scene.members_at(D).len(), 4);
    scene.split(&[C], &[D]);
    scene.command(C, Command::Suspect(D));
    scene.take_held(None);
    scene.pass(ms(3000));
    assert_eq!(scene.members_at(C), [C]);
    scene.held = None;
    scene.heal();
    scene.pass(ms(3000));
    assert!(scene.events.iter().any(|(who, event)| *who == D && matches!(event, Event::Excluded(_))));
}

/// The same, and nobody of the later view is alive: then the younger one goes on, and says that something is lost.
#[test]
fn a_fork_from_behind_is_orphaned() {
    let mut scene = Scene::with(2, any());
    scene.split(&[A], &[B]);
    scene.command(A, Command::Suspect(B));
    scene.pass(ms(2000));
    let written = scene.recorded.get(&A).copied();
    scene.kill(A);
    scene.command(B, dead(A, written));
    scene.pass(ms(500));
    assert_eq!(scene.members_at(B), [B]);
    assert!(scene.installed(B).iter().any(|it| it.orphaned));
}

/// Who agreed to a fork installs no later view of the lineage that it leaves.
#[test]
fn who_agreed_to_a_fork_does_not_go_back() {
    let mut scene = Scene::with(4, any());
    let old = scene.view(C).successor(&[Change::Cut(D)]);
    scene.kill(A);
    scene.kill(B);
    for gone in [A, B] {
        scene.command(C, dead(gone, None));
    }
    scene.receive(C, D, Message::View { view: old.clone(), wait: ms(0) });
    assert_ne!(scene.view(C), old);
}

#[test]
fn by_hand_those_who_answer_go_on() {
    let mut scene = Scene::of(5);
    [A, B, C].into_iter().for_each(|it| scene.kill(it));
    scene.pass(ms(3000));
    assert!(!scene.serves(D));
    scene.command(D, Command::Fork);
    scene.pass(ms(3000));
    assert_eq!(scene.members_at(D), [D, E]);
    assert!(scene.serves(D) && scene.serves(E));
    assert!(scene.installed(D).iter().all(|it| it.orphaned), "what only the dead had is lost, and said to be");
}

/// Whoever says how many there will be serves nothing before they were all there once.
#[test]
fn nothing_is_served_before_all_who_are_expected_were_there() {
    let mut scene = Scene::new(Config { expect: 3, ..Config::default() });
    for (node, serves) in [(A, false), (B, false), (C, true)] {
        scene.start(node);
        scene.pass(ms(2500));
        assert_eq!(scene.alive().iter().any(|it| scene.serves(*it)), serves);
    }
    scene.kill(C);
    scene.pass(ms(3500));
    assert!(scene.members_at(A).len() == 2 && scene.serves(A), "once is enough");
}

#[test]
fn with_a_quorum_nobody_forks_by_hand() {
    let mut scene = Scene::of(3);
    scene.command(A, Command::Fork);
    scene.pass(ms(1000));
    assert_eq!(scene.members_at(A), [A, B, C]);
}

/// Second round of the counterexamples: with a term that looks at the other lineage there were circles of three.
#[test]
fn rank_is_a_total_order() {
    let lineage = |byte| core::cmp::Reverse(Lineage([byte; 16]));
    let mut ranks = Vec::new();
    for bits in 0..32_u8 {
        let [holds, quorum] = [bits & 1 > 0, bits & 2 > 0];
        let epoch = Epoch(u64::from(bits >> 2 & 1));
        let (members, lineage) = (u32::from(bits >> 3 & 1), lineage(bits >> 4 & 1));
        ranks.push(Rank { holds, quorum, members, epoch, lineage });
    }
    ranks.sort();
    assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]));
    let lower = Rank { holds: false, members: 9, ..ranks[31] };
    assert!(lower < ranks[31], "who holds variables is above all who hold none");
}

fn dead(member: Member, written: Option<At>) -> Command {
    Command::Files(vec![File { member, dead: true, written }])
}

/// Two lineages of so many members each, that have not met yet.
fn apart(one: u8, other: u8) -> Scene {
    let mut scene = Scene::of(one);
    let there: Vec<_> = (one..one + other).map(member).collect();
    for joiner in &there {
        let here: Vec<_> = (0..one).map(member).collect();
        for old in here {
            scene.cut.extend([(old, *joiner), (*joiner, old)]);
        }
        scene.start(*joiner);
        scene.pass(ms(3000));
    }
    assert_eq!(scene.members_at(there[0]).len(), usize::from(other));
    scene.events.clear();
    scene
}
