use alloc::{collections::BTreeSet, format, string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    protocol::{
        contract::{Effect, Outbox, Protocol, ViewChange},
        time::Time,
    },
    wire::{
        id::{Incarnation, Member, NodeId},
        limits::{CATALOG_ENTRIES_MAX, CATALOG_VALUE_BYTES_MAX},
    },
};

fn member(number: u8) -> Member {
    Member { node: NodeId([number; 32]), incarnation: Incarnation(1) }
}

/// Some machines, and what is under way between them, oldest first.
struct Room {
    now: Time,
    machines: Vec<Machine>,
    under_way: Vec<(Member, Member, Message)>,
    events: Vec<(usize, Event)>,
    unanswered: Vec<invariant::UnderWay>,
}

impl Room {
    fn new(count: u8) -> Self {
        Self::with(count, Config::default())
    }

    fn with(count: u8, config: Config) -> Self {
        let machines = (0..count).map(|number| Machine::new(member(number), config)).collect();
        let unanswered = (0..count).map(|_| invariant::UnderWay::default()).collect();
        Self { now: Time::default(), machines, under_way: Vec::new(), events: Vec::new(), unanswered }
    }

    fn step(&mut self, at: usize, input: impl FnOnce(&mut Machine, Time, &mut Outbox<Effect<Machine>>)) {
        let mut out = Outbox::new();
        input(&mut self.machines[at], self.now, &mut out);
        let said = out.effects().iter().filter_map(|effect| match effect {
            Effect::Send { to, message } => Some((*to, message)),
            Effect::Emit(_) | Effect::Record(_) => None,
        });
        assert_eq!(self.unanswered[at].said(member(at as u8), said), Ok(()));
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => self.under_way.push((member(at as u8), to, message)),
                Effect::Emit(event) => self.events.push((at, event)),
                Effect::Record(_) => {}
            }
        }
    }

    fn set(&mut self, at: usize, key: &str, value: &[u8]) {
        let command = Command::Set { key: key.to_string(), value: value.to_vec() };
        self.step(at, |machine, now, out| machine.command(now, command, out));
    }

    fn remove(&mut self, at: usize, key: &str) {
        self.step(at, |machine, now, out| machine.command(now, Command::Remove { key: key.to_string() }, out));
    }

    fn link(&mut self, a: usize, b: usize) {
        for (at, peer) in [(a, b), (b, a)] {
            let change = ViewChange::Linked(member(peer as u8));
            self.unanswered[at].linked(member(peer as u8));
            self.step(at, |machine, now, out| machine.view_changed(now, change, out));
        }
    }

    fn unlink(&mut self, a: usize, b: usize) {
        for (at, peer) in [(a, b), (b, a)] {
            let change = ViewChange::Unlinked(member(peer as u8));
            self.step(at, |machine, now, out| machine.view_changed(now, change, out));
        }
    }

    fn deliver_next(&mut self) {
        let (from, to, message) = self.under_way.remove(0);
        self.unanswered[usize::from(to.node.0[0])].heard(to, from, &message);
        self.step(usize::from(to.node.0[0]), |machine, now, out| machine.receive(now, from, message, out));
    }

    fn deliver_all(&mut self) {
        while !self.under_way.is_empty() {
            self.deliver_next();
        }
    }

    fn wake(&mut self, at: usize) {
        self.now = self.machines[at].deadline().expect("it waits for something").max(self.now);
        self.step(at, |machine, now, out| machine.wake(now, out));
    }

    fn is_quiet(&self) -> bool {
        self.under_way.is_empty() && self.machines.iter().all(|machine| machine.deadline().is_none())
    }

    fn check(&self) {
        for reader in &self.machines {
            assert_eq!(invariant::check_waits(reader), Ok(()));
            for writer in &self.machines {
                assert_eq!(invariant::check_copy(reader, writer), Ok(()));
            }
        }
    }

    fn names_sent(&self) -> Vec<&'static str> {
        let name = |message: &Message| match message {
            Message::Have { .. } => "have",
            Message::Delta(_) => "delta",
            Message::Pull(_) => "pull",
            Message::Taken { .. } => "taken",
        };
        self.under_way.iter().map(|(_, _, message)| name(message)).collect()
    }
}

#[test]
fn a_link_brings_both_catalogs_over_and_then_there_is_silence() {
    let mut room = Room::new(2);
    room.set(0, "name", b"ann");
    room.set(1, "name", b"bob");
    room.link(0, 1);
    assert_eq!(room.names_sent(), ["have", "have"]);
    room.deliver_all();
    assert_eq!(room.machines[0].copy(member(1).node).unwrap().1.get("name"), Some(&b"bob"[..]));
    assert_eq!(room.machines[1].copy(member(0).node).unwrap().1.get("name"), Some(&b"ann"[..]));
    assert!(room.is_quiet());
}

#[test]
fn a_change_costs_one_delta_and_one_acknowledgement() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.deliver_all();
    room.set(0, "name", b"ann");
    assert_eq!(room.names_sent(), ["delta"]);
    room.deliver_next();
    assert_eq!(room.names_sent(), ["taken"]);
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn a_copy_is_described_once_a_link_and_only_when_it_is_complete() {
    let mut room = Room::new(2);
    room.set(0, "name", b"ann");
    room.link(0, 1);
    room.deliver_all();
    room.set(0, "name", b"anna");
    room.deliver_all();
    let described = |room: &Room| {
        room.events.iter().filter(|(at, event)| *at == 1 && *event == Event::Described(member(0))).count()
    };
    assert_eq!(described(&room), 1);
    room.unlink(0, 1);
    room.set(0, "name", b"anne");
    room.link(0, 1);
    // Its own greeting arrives first: the copy that it has is not taken for the present one.
    room.deliver_next();
    assert_eq!(described(&room), 1);
    room.deliver_all();
    assert_eq!(described(&room), 2);
}

#[test]
fn a_lost_delta_is_asked_for_after_the_head_is_repeated() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.deliver_all();
    room.set(0, "name", b"ann");
    room.under_way.clear();
    room.wake(0);
    room.deliver_all();
    assert!(!room.is_quiet(), "the reader waits a moment for what may be under way");
    room.wake(1);
    assert_eq!(room.names_sent(), ["pull"]);
    room.deliver_all();
    assert_eq!(invariant::check_arrived(&room.machines[1], &room.machines[0]), Ok(()));
    assert!(room.is_quiet());
}

/// Found by the simulator: the writer took the greeting of a peer, which named its last sequence, for the
/// acknowledgement of its own greeting, which was lost; so the peer never knew that its copy was complete.
#[test]
fn a_lost_greeting_is_repeated_although_the_peer_lacks_nothing() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.under_way.remove(0);
    room.deliver_all();
    assert!(!room.events.contains(&(1, Event::Described(member(0)))));
    room.wake(0);
    room.deliver_all();
    assert!(room.events.contains(&(1, Event::Described(member(0)))));
    assert!(room.is_quiet());
}

/// Found by the simulator: an acknowledgement of the link before arrived late, so the writer did not repeat a greeting
/// that was lost.
#[test]
fn an_acknowledgement_of_an_earlier_link_is_none() {
    let mut room = Room::new(2);
    room.set(0, "name", b"ann");
    room.link(0, 1);
    while room.names_sent().contains(&"delta") || room.names_sent().contains(&"have") {
        room.deliver_next();
    }
    let late: Vec<_> = room.under_way.drain(..).collect();
    room.unlink(0, 1);
    room.link(0, 1);
    room.under_way.remove(0);
    room.deliver_all();
    room.under_way = late;
    room.deliver_all();
    room.wake(0);
    assert_eq!(room.names_sent(), ["have"]);
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn a_gap_is_asked_for_at_once() {
    let mut room = Room::with(2, Config { delta_bytes: 1, ..Config::default() });
    room.set(0, "a", b"1");
    room.set(0, "b", b"2");
    room.link(0, 1);
    while room.names_sent() != ["taken", "delta", "delta"] {
        room.deliver_next();
    }
    room.under_way.drain(..2);
    room.deliver_next();
    assert_eq!(room.names_sent(), ["pull"]);
    assert_eq!(room.machines[1].copy(member(0).node).unwrap().1.sequence(), 0);
    room.deliver_all();
    assert_eq!(invariant::check_arrived(&room.machines[1], &room.machines[0]), Ok(()));
}

/// What one delta says: which entries it changes, and to what.
fn said(message: &Message) -> Vec<(&str, &[u8])> {
    let Message::Delta(delta) = message else { panic!("{message:?} is no delta") };
    delta.changes.iter().map(|change| (&*change.key, change.value.as_deref().unwrap_or(b"removed"))).collect()
}

#[test]
fn what_changes_faster_than_the_link_carries_goes_as_one_delta_of_the_newest_values() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.deliver_all();
    for value in b'1'..=b'9' {
        room.set(0, "a", &[value]);
    }
    room.set(0, "b", b"1");
    room.remove(0, "b");
    assert_eq!(room.names_sent(), ["delta"]);
    assert_eq!(said(&room.under_way[0].2), [("a", &b"1"[..])]);
    room.deliver_next();
    room.deliver_next();
    assert_eq!(room.names_sent(), ["delta"]);
    assert_eq!(said(&room.under_way[0].2), [("a", &b"9"[..]), ("b", b"removed")]);
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn what_is_written_together_goes_as_one_delta_and_what_is_refused_keeps_the_rest_from_nothing() {
    let mut room = Room::new(2);
    room.set(0, "a", b"1");
    room.link(0, 1);
    room.deliver_all();
    let large = vec![0; CATALOG_VALUE_BYTES_MAX + 1];
    let entries = [("a", None), ("b", Some(large)), ("c", Some(b"3".to_vec()))];
    let write = Command::Write(entries.map(|(key, value)| (key.to_string(), value)).into());
    room.step(0, |machine, now, out| machine.command(now, write, out));
    assert_eq!(room.names_sent(), ["delta"]);
    assert_eq!(said(&room.under_way[0].2), [("a", &b"removed"[..]), ("c", b"3")]);
    assert!(matches!(&room.events[..], [.., (0, Event::Refused { key, .. })] if key == "b"));
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn what_waits_comes_with_the_answer_about_a_delta_that_was_lost() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.deliver_all();
    room.set(0, "a", b"1");
    room.under_way.clear();
    room.set(0, "b", b"2");
    room.wake(0);
    room.deliver_all();
    room.wake(1);
    room.deliver_next();
    assert_eq!(said(&room.under_way[0].2), [("a", &b"1"[..]), ("b", b"2")]);
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn what_waits_for_an_acknowledgement_that_was_lost_goes_when_the_head_is_repeated() {
    let mut room = Room::new(2);
    room.link(0, 1);
    room.deliver_all();
    room.set(0, "a", b"1");
    room.deliver_next();
    room.under_way.clear();
    room.set(0, "a", b"2");
    room.wake(0);
    // The repeated head is that of what was sent: nobody asks for what waits.
    room.deliver_next();
    assert_eq!(room.names_sent(), ["taken"]);
    room.deliver_next();
    assert_eq!(room.names_sent(), ["delta"]);
    room.deliver_all();
    assert!(room.is_quiet());
}

#[test]
fn who_is_told_of_a_change_is_told_which_entries() {
    let mut room = Room::new(2);
    for key in ["a", "b", "c"] {
        room.set(0, key, b"1");
    }
    room.link(0, 1);
    room.deliver_all();
    let told = |room: &mut Room| {
        let all = room.events.drain(..).filter_map(|(at, event)| match event {
            Event::Changed { of, keys } if (at, of) == (1, member(0).node) => Some(keys),
            _ => None,
        });
        all.flatten().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(told(&mut room), ["a", "b", "c"]);
    room.set(0, "b", b"2");
    room.remove(0, "c");
    room.deliver_all();
    assert_eq!(told(&mut room), ["b", "c"]);
}

/// A whole says nothing of what was removed and forgotten, and yet these entries are others than before.
#[test]
fn a_copy_that_starts_anew_tells_of_what_it_has_no_more() {
    let change = |key: &str, sequence| Change { key: key.to_string(), sequence, value: Some(vec![]) };
    let mut copy = Book::default();
    copy.apply(Delta { of: member(0), after: 0, sequence: 2, floor: 0, changes: vec![change("x", 1), change("y", 2)] })
        .unwrap();
    let whole = Delta { of: member(0), after: 0, sequence: 9, floor: 8, changes: vec![change("y", 2), change("z", 9)] };
    assert_eq!(copy.apply(whole).unwrap().into_iter().collect::<Vec<_>>(), ["x", "y", "z"]);
}

#[test]
fn a_reader_without_the_writer_asks_others() {
    let mut room = Room::new(3);
    room.link(0, 1);
    room.link(0, 2);
    room.deliver_all();
    room.unlink(0, 2);
    room.set(0, "name", b"ann");
    room.deliver_all();
    room.link(1, 2);
    room.deliver_all();
    room.wake(2);
    room.deliver_all();
    assert_eq!(room.machines[2].copy(member(0).node).unwrap().1.get("name"), Some(&b"ann"[..]));
    assert!(room.is_quiet());
}

#[test]
fn a_writer_that_is_gone_is_asked_for_once_at_each_peer() {
    let mut room = Room::new(3);
    room.link(0, 2);
    room.link(1, 2);
    room.deliver_all();
    room.unlink(0, 2);
    let head = Head { of: member(0), sequence: 9 };
    room.step(2, |machine, now, out| {
        machine.receive(now, member(1), Message::Have { link: 2, heads: vec![head] }, out)
    });
    room.wake(2);
    assert_eq!(room.names_sent(), ["pull"]);
    room.deliver_all();
    room.wake(2);
    assert!(room.is_quiet());
}

#[test]
fn a_later_life_begins_with_an_empty_copy_and_an_earlier_one_is_not_heard() {
    let mut room = Room::new(2);
    room.set(0, "name", b"ann");
    room.link(0, 1);
    room.deliver_all();
    let later = Member { incarnation: Incarnation(2), ..member(0) };
    room.step(1, |machine, now, out| machine.view_changed(now, ViewChange::Linked(later), out));
    assert_eq!(room.machines[1].copy(later.node).unwrap().1.sequence(), 0);
    let delta = room.machines[0].own().deltas(member(0), 0, 100).remove(0);
    room.step(1, |machine, now, out| machine.receive(now, member(0), Message::Delta(delta.clone()), out));
    room.step(1, |machine, now, out| machine.receive(now, later, Message::Delta(delta), out));
    assert_eq!(room.machines[1].copy(later.node).unwrap().1.sequence(), 0);
    let ignored = |reason| {
        room.events.iter().any(|(_, event)| matches!(event, Event::Ignored { reason: why, .. } if *why == reason))
    };
    assert!(ignored(Ignored::NotLinked) && ignored(Ignored::NoCopy));
}

#[test]
fn setting_the_same_again_is_no_change() {
    let mut book = Book::default();
    book.set("a", vec![1]).unwrap();
    book.set("a", vec![1]).unwrap();
    assert_eq!(book.sequence(), 1);
}

/// Found by the model: the late delta brought `a` back, and nobody would ever have removed it again.
#[test]
fn a_delta_from_below_the_floor_is_not_taken_between_two_parts_of_a_whole() {
    let change = |key: &str, sequence| Change { key: key.to_string(), sequence, value: Some(vec![]) };
    let delta = |after, sequence, floor, changes| Delta { of: member(0), after, sequence, floor, changes };
    let mut copy = Book::default();
    copy.apply(delta(0, 2, 0, vec![change("x", 1), change("y", 2)])).unwrap();
    copy.apply(delta(0, 4, 12, vec![change("g", 4)])).unwrap();
    assert_eq!(copy.apply(delta(2, 5, 0, vec![change("a", 3), change("g", 4), change("h", 5)])), Err(Unfit::Old));
    copy.apply(delta(4, 14, 12, vec![change("h", 5)])).unwrap();
    let keys: Vec<_> = copy.with_prefix("").map(|(key, _)| key).collect();
    assert_eq!(keys, ["g", "h"]);
}

#[test]
fn bounds_hold_on_both_sides() {
    let mut book = Book::default();
    let large = vec![0; CATALOG_VALUE_BYTES_MAX + 1];
    assert!(matches!(book.set("a", large.clone()), Err(Refused::ValueTooLarge { .. })));
    for entry in 0..CATALOG_ENTRIES_MAX {
        book.set(&entry.to_string(), vec![]).unwrap();
    }
    assert_eq!(book.set("one more", vec![]), Err(Refused::Full));
    book.remove("0");
    assert_eq!(book.set("one more", vec![]), Ok(()));

    let delta = |changes| Delta { of: member(0), after: 0, sequence: 9, floor: 0, changes };
    let change =
        |key: &str, sequence, value: &[u8]| Change { key: key.to_string(), sequence, value: Some(value.to_vec()) };
    let mut copy = Book::default();
    assert_eq!(copy.apply(delta(vec![change("a", 1, &large)])), Err(Unfit::TooLarge));
    assert_eq!(copy.apply(delta(vec![change("a", 2, b""), change("b", 1, b"")])), Err(Unfit::Disordered));
    assert_eq!(copy.apply(delta(vec![change("a", 1, b""), change("a", 2, b"")])), Err(Unfit::Disordered));
    assert_eq!(copy.apply(delta(vec![change("a", 10, b"")])), Err(Unfit::Disordered));
    assert_eq!(copy, Book::default());
}

#[test]
fn the_weight_of_a_catalog_is_bounded() {
    let mut book = Book::default();
    let full = (0..).find(|number: &u32| book.set(&number.to_string(), vec![0; CATALOG_VALUE_BYTES_MAX]).is_err());
    assert_eq!(full, Some(63));
    // What is there can become smaller, and then there is room again.
    book.set("0", vec![]).unwrap();
    book.set("x", vec![0; 1000]).unwrap();
}

proptest! {
    #[test]
    fn copies_are_equal_whatever_is_lost_or_comes_late(
        steps in proptest::collection::vec((0u8..10, 0u8..3, 0u8..8, any::<u8>()), 0..120),
    ) {
        let mut room = Room::new(3);
        for (step, node, key, value) in steps {
            let at = usize::from(node);
            match step {
                0..3 => room.set(at, &format!("{key}"), &[value]),
                3 => room.remove(at, &format!("{key}")),
                4 => room.link(at, (at + 1) % 3),
                5 => room.unlink(at, (at + 1) % 3),
                // One message is lost, comes early, or comes twice.
                6 if !room.under_way.is_empty() => _ = room.under_way.remove(usize::from(value) % room.under_way.len()),
                7 if !room.under_way.is_empty() => {
                    let early = room.under_way.remove(usize::from(value) % room.under_way.len());
                    room.under_way.insert(0, early.clone());
                    room.under_way.push(early);
                }
                8 if room.machines[at].deadline().is_some() => room.wake(at),
                _ if !room.under_way.is_empty() => room.deliver_next(),
                _ => {}
            }
            room.check();
        }
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            room.link(a, b);
        }
        for _ in 0..50 {
            room.deliver_all();
            room.check();
            for at in 0..3 {
                if room.machines[at].deadline().is_some() {
                    room.wake(at);
                }
            }
        }
        prop_assert!(room.is_quiet());
        for (reader, writer) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            prop_assert_eq!(invariant::check_arrived(&room.machines[reader], &room.machines[writer]), Ok(()));
        }
    }
}

#[test]
fn patience_doubles_up_to_its_bound() {
    let mut room = Room::new(2);
    room.step(0, |machine, now, out| machine.view_changed(now, ViewChange::Linked(member(1)), out));
    let pauses = (0..7).map(|_| {
        let before = room.now;
        room.wake(0);
        room.now.saturating_since(before)
    });
    let pauses: Vec<_> = pauses.map(|pause| pause.as_secs()).collect();
    assert_eq!(pauses, [1, 1, 2, 4, 8, 10, 10]);
}
