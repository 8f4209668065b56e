use super::{Outcome, Prefix, State, Ticket, Version};
use crate::{
    protocol::{home::Shard, view::Epoch},
    wire::{id::Member, name::Name},
};

/// What the machine tells its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This is a copy of the variable: it may be read as long as the membership allows that, until it is withdrawn.
    Published {
        /// Of which variable.
        name: Name,
        /// What it is.
        state: State,
    },
    /// There is no copy of it any more.
    Withdrawn {
        /// Of which variable.
        name: Name,
    },
    /// There is nothing to be read: all who had it are gone.
    Lost {
        /// Which variable.
        name: Name,
    },
    /// A variable that is followed is there, has another value, or is gone.
    Followed {
        /// By this.
        prefix: Prefix,
        /// Which variable.
        name: Name,
        /// What it is.
        state: State,
        /// So many values came and went since the one before that was told.
        skipped: u64,
    },
    /// All that there was when somebody began to follow these is told by now, but for what is lost.
    Listed {
        /// How they begin.
        prefix: Prefix,
    },
    /// An operation is over.
    Done {
        /// Whose.
        ticket: Ticket,
        /// What came of it.
        result: Result<Answer, Unanswered>,
    },
    /// This node is home of a shard of which nobody is left who had it.
    Orphaned {
        /// Which.
        shard: Shard,
        /// Those who had it in this view are gone.
        since: Epoch,
    },
    /// This node is home of a shard that was orphaned, and begins it anew, with nothing in it.
    Reset {
        /// Which.
        shard: Shard,
    },
    /// This node is home of a shard, and serves it from now on.
    Active {
        /// Which.
        shard: Shard,
    },
    /// A version is written, by so many operations at once, for so many copies that were taken back.
    Committed {
        /// How many.
        operations: u32,
        /// How many copies.
        copies: u32,
    },
    /// A message or a command changed nothing.
    Ignored {
        /// Whom it came from, or is about.
        from: Member,
        /// Why.
        reason: Ignored,
    },
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Done or refused.
    pub outcome: Outcome,
    /// The version of the variable after it.
    pub version: Version,
}

/// Why nobody knows what came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// It was said, and the node has come into another lineage since.
    Moved,
    /// It was not to be done any more, and was not said to anybody.
    Canceled,
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
    /// It is about nothing that is at home here.
    NotHome,
    /// It is about nothing that is under way.
    NotAsked,
}
