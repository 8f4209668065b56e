//! What is true of the variables on one node after each step. What is true of all nodes together - D1 to D10 - only the
//! simulator and the model can see.

use super::{Machine, recovery::Phase};

/// # Errors
/// The sentence that is not true.
pub(super) fn check(machine: &Machine) -> Result<(), &'static str> {
    let sound = |broken, what| if broken { Err(what) } else { Ok(()) };
    sound(machine.here.unanswered.len() > machine.writers.len(), "of each variable one batch is unanswered at most")?;
    let idle = machine.writers.values().any(|writer| writer.sealed.is_none());
    sound(idle, "who has something to write has said some of it")?;
    let unserved = |shard| machine.homing.get(shard).is_none_or(|homing| homing.phase != Phase::Full);
    sound(machine.full.iter().any(unserved), "a shard that waits for its view is complete")
}
