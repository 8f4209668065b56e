//! The rules of the essay as predicates over machines, for tests, the simulator and the model checker.

use super::Machine;

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
