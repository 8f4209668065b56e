use super::{Fence, Ticket};
use crate::wire::{id::Member, name::Name};

/// What the machine tells its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Who waited has the mutex.
    Granted {
        /// Who.
        ticket: Ticket,
        /// Which.
        name: Name,
        /// Of the guard.
        fence: Fence,
        /// Who held it before is perhaps dead, and has not given it back.
        died: bool,
    },
    /// Who has tried does not get it.
    Busy {
        /// Who.
        ticket: Ticket,
    },
    /// Nobody wants this token. The node may grant guards of it by itself, each with the next higher fence, while the
    /// membership allows that; until it is recalled.
    Parked {
        /// Of which mutex.
        name: Name,
        /// Of the last guard that came of it.
        fence: Fence,
    },
    /// Grant no more guards of this token, and say [`Command::Returned`](super::Command::Returned) before anything else
    /// happens here.
    Recalled {
        /// Of which mutex.
        name: Name,
    },
    /// A token was made for this view, since nobody had brought the one of the view before.
    Made {
        /// Of which mutex.
        name: Name,
        /// Who held it before is perhaps dead.
        died: bool,
    },
    /// The token was passed on.
    Passed {
        /// Of which mutex.
        name: Name,
        /// To whom.
        to: Member,
    },
    /// A message or a command changed nothing.
    Ignored {
        /// Whom it came from, or is about.
        from: Member,
        /// Why.
        reason: Ignored,
    },
}

/// Why an input was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It comes from nobody of this view.
    NotMember,
    /// It is of an earlier view, or of another lineage. Who sent it will say it again in the next view.
    Old,
    /// It is of a later view, and too many are kept already.
    TooMany,
    /// This node is wedged. Who sent it will say it again in the next view.
    Wedged,
    /// The token was here before.
    Duplicate,
    /// It is about nothing that is under way.
    NotAsked,
    /// The guard is not the current one.
    NotHeld,
    /// Nobody who keeps the rules would say this.
    Unsound,
}
