use alloc::vec::Vec;

use super::Fence;
use crate::{
    protocol::view::View,
    wire::{id::Member, name::Name},
};

/// One local task that waits for a mutex. No two of one life have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the node asks of its mutexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Wait for this mutex.
    Acquire {
        /// Which.
        name: Name,
        /// Who waits.
        ticket: Ticket,
    },
    /// Take this mutex if nobody else has it or wants it.
    Try {
        /// Which.
        name: Name,
        /// Who asks.
        ticket: Ticket,
    },
    /// Wait no more. A guard that was granted meanwhile is not given back by that.
    Cancel {
        /// For which mutex.
        name: Name,
        /// Who waits no more.
        ticket: Ticket,
    },
    /// A guard is given back. One that is not the current one has no effect.
    Release {
        /// Of which mutex.
        name: Name,
        /// Of the guard.
        fence: Fence,
    },
    /// All guards of this node are lost, though nobody has given them back: it leaves. Whoever gets their tokens is told.
    Abandon,
    /// What has become of a parked token: the answer to [`Event::Recalled`](super::Event::Recalled), in the same step.
    Returned {
        /// Of which mutex.
        name: Name,
        /// Of the last guard that came of it.
        fence: Fence,
        /// That guard has not been given back yet.
        held: bool,
    },
    /// A view is installed.
    Install {
        /// The view.
        view: View,
        /// Who was in the view before it, and has not said before it went that it holds nothing any more.
        cut: Vec<Member>,
    },
    /// Perhaps more can be done now than before.
    Proceed,
}
