//! The rules of the essay as predicates over machines, for tests, the simulator and the model checker.

use alloc::collections::BTreeMap;

use super::{Head, Machine, Message};
use crate::wire::id::Member;

/// C1 for one reader and the writer that it has a copy of, if the writer is still in that life.
///
/// # Errors
/// A sentence that names the rule.
pub fn check_copy(reader: &Machine, writer: &Machine) -> Result<(), &'static str> {
    let me = writer.me();
    let Some((life, copy)) = reader.copy(me.node) else { return Ok(()) };
    if life != me.incarnation {
        return Ok(());
    }
    let own = writer.own();
    if copy.sequence() > own.sequence() {
        return Err("C1: a copy is ahead of its writer");
    }
    for (key, sequence, value) in copy.entries_with_sequences() {
        let now = own.entry(key);
        // What has changed since then cannot be compared any more; what has not, must be the same.
        if now.is_some_and(|(at, original)| at == sequence && original != value) {
            return Err("C1: a copy has another value than its writer wrote");
        }
        if now.is_some_and(|(at, _)| at < sequence) || (now.is_none() && sequence > own.floor()) {
            return Err("C1: a copy has an entry that its writer never wrote");
        }
    }
    for (key, sequence, value) in own.entries_with_sequences() {
        let known = copy.entry(key).is_some_and(|(at, _)| at == sequence);
        if value.is_some() && sequence <= copy.sequence() && !known {
            return Err("C1: a copy lacks what its writer wrote before");
        }
    }
    if copy.sequence() == own.sequence() && !copy.with_prefix("").eq(own.with_prefix("")) {
        return Err("C1: a copy at its writer's sequence is not equal to it");
    }
    Ok(())
}

/// C2 for one linked pair, after both have had time: the copy has arrived.
///
/// # Errors
/// A sentence that names the rule.
pub fn check_arrived(reader: &Machine, writer: &Machine) -> Result<(), &'static str> {
    let me = writer.me();
    let arrived = reader
        .copy(me.node)
        .is_some_and(|(life, copy)| life == me.incarnation && copy.sequence() == writer.own().sequence());
    if arrived { check_copy(reader, writer) } else { Err("C2: a copy of a linked node is not up to date") }
}

/// C3 for one writer: whoever lacks something of its catalog has something under way to it.
///
/// # Errors
/// A sentence that names the rule.
pub fn check_waits(writer: &Machine) -> Result<(), &'static str> {
    if writer.lets_wait_for_nothing() { Err("C3: a change waits, and nothing is under way") } else { Ok(()) }
}

/// C3 for one writer, from what it hears and says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// How far each peer comes with the delta that it was sent, until it has acknowledged that or asks anew.
    sent: BTreeMap<Member, u64>,
}

impl UnderWay {
    /// A link has come up: nothing is under way over it.
    pub fn linked(&mut self, peer: Member) {
        self.sent.remove(&peer);
    }

    /// The writer is about to hear this.
    pub fn heard(&mut self, writer: Member, from: Member, message: &Message) {
        let ended = match message {
            Message::Pull(Head { of, .. }) => *of == writer,
            Message::Taken { head: Head { of, sequence }, .. } => {
                *of == writer && self.sent.get(&from).is_some_and(|sent| sent <= sequence)
            }
            Message::Have { .. } | Message::Delta(_) => false,
        };
        if ended {
            self.sent.remove(&from);
        }
    }

    /// In one step the writer has said this, to whom.
    ///
    /// # Errors
    /// A sentence that names the rule.
    pub fn said<'a>(
        &mut self,
        writer: Member,
        said: impl Iterator<Item = (Member, &'a Message)>,
    ) -> Result<(), &'static str> {
        let before = self.sent.clone();
        for (to, message) in said {
            let Message::Delta(delta) = message else { continue };
            if delta.of == writer && before.contains_key(&to) {
                return Err("C3: a delta is sent before the one that is under way is acknowledged");
            }
            if delta.of == writer {
                self.sent.insert(to, delta.sequence);
            }
        }
        Ok(())
    }
}
