use super::{Estate, Operation, Prefix};
use crate::{protocol::view::View, wire::name::Name};
use alloc::vec::Vec;

/// One local task that waits for an operation. No two of one life have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the node asks of its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Get a copy of this variable, and say so; if there is one already, say so again.
    Read {
        /// Which.
        name: Name,
    },
    /// Always have a copy of this variable, and say each anew: whoever takes it back is asked for the next in the same message.
    Watch {
        /// Which.
        name: Name,
    },
    /// Have a copy of it only when somebody reads it, as of any other.
    Unwatch {
        /// Which.
        name: Name,
    },
    /// From now on tell of all variables whose names begin so: first what there is, then each change.
    Follow {
        /// How they begin.
        prefix: Prefix,
    },
    /// Tell no more of them.
    Unfollow {
        /// How they begin.
        prefix: Prefix,
    },
    /// Do these with their variables, each by one task. What comes together goes together.
    Operate(Vec<(Name, Ticket, Operation)>),
    /// Do not, if it was not said to anybody yet.
    Cancel {
        /// With which variable.
        name: Name,
        /// Who waits no more.
        ticket: Ticket,
    },
    /// Nobody here wants a copy of it any more.
    Forget {
        /// Of which variable.
        name: Name,
    },
    /// A view is installed.
    Install {
        /// The view.
        view: View,
        /// Those who are gone may have changed what nobody knows of: all that was before is orphaned.
        orphaned: bool,
    },
    /// What an earlier life has kept, to be offered to whoever lacks it.
    Inherit(Estate),
    /// Perhaps more can be done now than before.
    Proceed,
}
