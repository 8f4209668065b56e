//! What each operation does.

use alloc::vec::Vec;

use super::{
    super::{Action, Binding, Guard, Number, Operation, Outcome, Refusal, Ticket},
    scene::{KIND, LEASED, Scene, WAITING, add, member, value},
};
use crate::{
    protocol::{
        bugs::Bug,
        mutex::Fence,
        view::{Change, Epoch, Lineage, View},
    },
    wire::{codec, name::Name},
};

/// A scene with one variable, which is 5.
fn given() -> (Scene, Name) {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    (scene, name)
}

fn play(scene: &mut Scene, name: &Name, action: Action) -> Outcome {
    let ticket = scene.act(1, name, action);
    scene.deliver();
    scene.outcome(ticket).unwrap()
}

fn version(scene: &mut Scene, name: &Name) -> super::super::Version {
    scene.copied(&[1], name);
    let copy = scene.nodes[1].machine.readable().find(|(known, _)| *known == name);
    copy.unwrap().1.version
}

#[test]
fn what_is_there_is_not_created_again() {
    let (mut scene, name) = given();
    assert_eq!(play(&mut scene, &name, Action::Create(value(6))), Outcome::Exists);
    assert_eq!(scene.asks(1, &name), Some(Some(5)));
}

#[test]
fn what_is_not_there_is_not_changed() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    let replace = Action::Replace { expected: super::super::Version::default(), value: value(1) };
    for action in [Action::Set(value(1)), Action::Swap(value(1)), replace, add(1), Action::Delete] {
        assert_eq!(play(&mut scene, &name, action), Outcome::Refused(Refusal::NotFound));
    }
    assert_eq!(scene.asks(1, &name), Some(None));
    assert_eq!(scene.nodes[0].machine.known("").count(), 0);
}

#[test]
fn a_variable_keeps_its_type() {
    let (mut scene, name) = given();
    let other = |action| Operation { kind: 2, guard: None, action };
    for action in [Action::Create(value(1)), Action::Set(value(1)), Action::Swap(value(1)), add(1)] {
        let ticket = scene.operate(1, &name, other(action));
        scene.deliver();
        assert_eq!(scene.refusal(ticket), Some(Refusal::OtherType(KIND)));
    }
    let ticket = scene.operate(1, &name, other(Action::Delete));
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done), "only who removes it need not know what it is");
    let ticket = scene.operate(1, &name, other(Action::Create(value(1))));
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn a_swap_says_what_was() {
    let (mut scene, name) = given();
    assert_eq!(play(&mut scene, &name, Action::Swap(value(6))), Outcome::Was(value(5)));
    assert_eq!(play(&mut scene, &name, Action::Swap(value(7))), Outcome::Was(value(6)));
}

#[test]
fn a_comparison_is_of_versions() {
    let (mut scene, name) = given();
    let old = version(&mut scene, &name);
    // There and back: the value is the same, and the version is not.
    [6, 5].into_iter().for_each(|to| _ = play(&mut scene, &name, Action::Set(value(to))));
    let replace = |expected| Action::Replace { expected, value: value(9) };
    assert_eq!(play(&mut scene, &name, replace(old)), Outcome::Refused(Refusal::Changed));
    let now = version(&mut scene, &name);
    assert_eq!(play(&mut scene, &name, replace(now)), Outcome::Done);
    assert_eq!(scene.asks(1, &name), Some(Some(9)));
}

#[test]
fn numbers_add_up_as_long_as_there_are_such_numbers() {
    fn bounds<T: serde::Serialize>(number: Number, min: T, max: T, limits: (i128, i128)) {
        let bytes = |it: T| codec::encode(&it, 16).unwrap().into();
        let (min, max) = (bytes(min), bytes(max));
        let (mut scene, name) = given();
        for (value, limit, beyond) in [(max, limits.1, 1), (min, limits.0, -1)] {
            let add = |delta| Action::Add { number, delta };
            assert_eq!(play(&mut scene, &name, Action::Set(value)), Outcome::Done);
            assert_eq!(play(&mut scene, &name, add(0)), Outcome::Sum(limit));
            for delta in [beyond, i128::MAX, i128::MIN] {
                let refused = play(&mut scene, &name, add(delta));
                assert_eq!(refused, Outcome::Refused(Refusal::Overflow), "{number:?} {delta}");
            }
            assert_eq!(play(&mut scene, &name, add(-beyond)), Outcome::Sum(limit - beyond));
            assert_eq!(play(&mut scene, &name, add(beyond)), Outcome::Sum(limit));
        }
        // From one end to the other, and back.
        let (whole, add) = (limits.1 - limits.0, |delta| Action::Add { number, delta });
        assert_eq!(play(&mut scene, &name, add(whole)), Outcome::Sum(limits.1));
        assert_eq!(play(&mut scene, &name, add(-whole)), Outcome::Sum(limits.0));
    }
    bounds(Number::U8, u8::MIN, u8::MAX, (0, u8::MAX.into()));
    bounds(Number::U16, u16::MIN, u16::MAX, (0, u16::MAX.into()));
    bounds(Number::U32, u32::MIN, u32::MAX, (0, u32::MAX.into()));
    bounds(Number::U64, u64::MIN, u64::MAX, (0, u64::MAX.into()));
    bounds(Number::I8, i8::MIN, i8::MAX, (i8::MIN.into(), i8::MAX.into()));
    bounds(Number::I16, i16::MIN, i16::MAX, (i16::MIN.into(), i16::MAX.into()));
    bounds(Number::I32, i32::MIN, i32::MAX, (i32::MIN.into(), i32::MAX.into()));
    bounds(Number::I64, i64::MIN, i64::MAX, (i64::MIN.into(), i64::MAX.into()));
}

#[test]
fn to_what_is_no_number_nothing_is_added() {
    let (mut scene, name) = given();
    for bytes in [&[][..], &[1, 2], &[255; 11]] {
        assert_eq!(play(&mut scene, &name, Action::Set(bytes.into())), Outcome::Done);
        let refused = play(&mut scene, &name, Action::Add { number: Number::U64, delta: 1 });
        assert_eq!(refused, Outcome::Refused(Refusal::OtherType(KIND)));
    }
}

#[test]
fn what_comes_after_a_deletion_has_a_higher_version() {
    let (mut scene, name) = given();
    let first = version(&mut scene, &name);
    assert_eq!(play(&mut scene, &name, Action::Delete), Outcome::Done);
    assert_eq!(scene.asks(1, &name), Some(None));
    assert_eq!(play(&mut scene, &name, Action::Create(value(5))), Outcome::Done);
    let second = version(&mut scene, &name);
    assert!(second > first);
    // Also if nobody knows any more that there was one.
    assert_eq!(play(&mut scene, &name, Action::Delete), Outcome::Done);
    scene.go_on(&[Change::Renew]);
    assert_eq!(version(&mut scene, &name), super::super::Version::default());
    scene.forget(1, &name);
    assert_eq!(play(&mut scene, &name, Action::Create(value(5))), Outcome::Done);
    assert!(version(&mut scene, &name) > second);
    let replace = Action::Replace { expected: first, value: value(6) };
    assert_eq!(play(&mut scene, &name, replace), Outcome::Refused(Refusal::Changed));
}

/// No two values of a shard have one version: a name that came, went and came has other versions than it had.
#[test]
fn versions_are_counted_by_shard() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    let shard = crate::protocol::home::Shard::of(&name);
    let other = scene.names(&[0]).find(|it| *it != name && crate::protocol::home::Shard::of(it) == shard).unwrap();
    let versions: Vec<_> = [&name, &other, &name, &other]
        .into_iter()
        .enumerate()
        .map(|(at, name)| {
            let action = if at < 2 { Action::Create(value(1)) } else { Action::Set(value(2)) };
            let ticket = scene.act(1, name, action);
            scene.deliver();
            scene.answer(ticket).unwrap().unwrap().version
        })
        .collect();
    assert_eq!(versions, [1, 2, 3, 4].map(|sequence| scene.version(sequence)));
}

#[test]
fn a_refusal_changes_no_version() {
    let (mut scene, name) = given();
    let before = version(&mut scene, &name);
    scene.copied(&[0], &name);
    assert_eq!(play(&mut scene, &name, Action::Create(value(6))), Outcome::Exists);
    assert_eq!(version(&mut scene, &name), before);
    assert_eq!(scene.sees(0, &name), Some(Some(5)), "and no copy is taken back for it");
}

#[test]
fn a_reset_of_what_is_well_does_nothing() {
    let (mut scene, name) = given();
    assert_eq!(play(&mut scene, &name, Action::Reset), Outcome::Done);
    assert_eq!(scene.asks(1, &name), Some(Some(5)));
}

// D10: fences.

fn guard(lineage: Lineage, mutex: &str, fence: (u64, u64)) -> Guard {
    let fence = Fence { epoch: Epoch(fence.0), grant: fence.1 };
    Guard { binding: Binding { mutex: Name::new(mutex).unwrap(), fence }, lineage }
}

/// A task begins to write under a guard.
fn begin(scene: &mut Scene, node: usize, name: &Name, guard: Guard, action: Action) -> Ticket {
    scene.operate(node, name, Operation { kind: KIND, guard: Some(guard), action })
}

fn guarded(scene: &mut Scene, name: &Name, mutex: &str, fence: (u64, u64), action: Action) -> Ticket {
    let guard = guard(scene.view.at.lineage, mutex, fence);
    let ticket = begin(scene, 1, name, guard, action);
    scene.deliver();
    ticket
}

#[test]
fn d10_who_was_overtaken_by_a_later_guard_writes_no_more() {
    super::scene::rests_on(Bug::FenceUnchecked, 2, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let mut write = |fence, to| {
            let ticket = guarded(scene, &name, "m", fence, Action::Set(value(to)));
            scene.outcome(ticket).unwrap()
        };
        assert_eq!(write((3, 1), 1), Outcome::Done);
        assert_eq!(write((3, 2), 2), Outcome::Done);
        assert_eq!(write((3, 2), 3), Outcome::Done, "a guard writes as often as it likes");
        let later = Fence { epoch: Epoch(3), grant: 2 };
        write((3, 1), 9) == Outcome::Refused(Refusal::Fenced(later)) && scene.asks(0, &name) == Some(Some(3))
    });
}

#[test]
fn d10_a_fence_holds_for_every_action_and_in_the_next_view() {
    let (mut scene, name) = given();
    guarded(&mut scene, &name, "m", (3, 2), Action::Set(value(6)));
    scene.nodes[0].dead = true;
    scene.go_on(&[Change::Cut(member(0))]);
    let expected = version(&mut scene, &name);
    let replace = Action::Replace { expected, value: value(1) };
    for action in [Action::Set(value(1)), Action::Swap(value(1)), replace, add(1), Action::Delete] {
        let ticket = guarded(&mut scene, &name, "m", (3, 1), action);
        assert!(matches!(scene.refusal(ticket), Some(Refusal::Fenced(_))));
    }
    assert_eq!(scene.asks(1, &name), Some(Some(6)));
    let ticket = guarded(&mut scene, &name, "m", (4, 1), Action::Set(value(7)));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn d10_a_variable_is_bound_to_one_mutex() {
    let (mut scene, name) = given();
    guarded(&mut scene, &name, "m", (3, 1), Action::Set(value(6)));
    let ticket = guarded(&mut scene, &name, "n", (9, 9), Action::Set(value(7)));
    assert_eq!(scene.refusal(ticket), Some(Refusal::OtherMutex(Name::new("m").unwrap())));
    // Who creates it anew binds it anew.
    scene.act(1, &name, Action::Delete);
    let ticket = guarded(&mut scene, &name, "n", (1, 1), Action::Create(value(7)));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    let ticket = guarded(&mut scene, &name, "m", (9, 9), Action::Set(value(8)));
    assert_eq!(scene.refusal(ticket), Some(Refusal::OtherMutex(Name::new("n").unwrap())));
}

#[test]
fn d10_whom_a_refusal_met_has_bound_nothing() {
    let (mut scene, name) = given();
    let ticket = guarded(&mut scene, &name, "m", (9, 9), Action::Create(value(7)));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Exists));
    let ticket = guarded(&mut scene, &name, "n", (1, 1), Action::Set(value(7)));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

/// What waits is written in the lineage into which its node comes; but not what waits under a guard.
#[test]
fn d10_a_guard_writes_nothing_in_another_lineage() {
    super::scene::rests_on(Bug::GuardOfOtherLineage, 2, |scene| {
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let joiner = scene.add(member(2));
        let alone = scene.nodes[joiner].machine.view().successor(&[Change::Renew]);
        scene.install(joiner, &alone, WAITING);
        let guards = [alone.at.lineage, scene.view.at.lineage].map(|lineage| guard(lineage, "m", (3, 1)));
        let [elsewhere, here] = guards.map(|guard| begin(scene, joiner, &name, guard, add(1)));
        assert_eq!((scene.answer(elsewhere), scene.answer(here)), (None, None));
        scene.go_on(&[Change::Admit(member(2), Epoch(9))]);
        assert_eq!(scene.refusal(here), None);
        scene.refusal(elsewhere) == Some(Refusal::OtherLineage) && scene.asks(1, &name) == Some(Some(6))
    });
}

#[test]
fn d10_a_guard_writes_in_all_views_of_its_lineage_and_not_after_a_fork() {
    let (mut scene, name) = given();
    let old = guard(scene.view.at.lineage, "m", (3, 1));
    let lost_and_said_again = |scene: &mut Scene, view: &View| {
        let ticket = begin(scene, 1, &name, old.clone(), add(1));
        scene.mail.clear();
        scene.install_all(view, LEASED);
        scene.deliver();
        ticket
    };
    let next = scene.next(&[Change::Renew]);
    let ticket = lost_and_said_again(&mut scene, &next);
    assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(6)));
    let forked = next.fork(Lineage([9; 16]), &[member(0), member(1)]);
    let ticket = lost_and_said_again(&mut scene, &forked);
    assert_eq!(scene.refusal(ticket), Some(Refusal::OtherLineage));
    // The guard is there still, and names the lineage to which it was taken along.
    let ticket = guarded(&mut scene, &name, "m", (3, 1), add(1));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(7)));
}
