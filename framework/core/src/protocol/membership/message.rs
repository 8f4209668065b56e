use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::view::{At, Change, Lineage, Rank, View},
    wire::id::Member,
};

/// What memberships say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// This is where I stand, and how my lineage ranks.
    Hello {
        /// It names the lineage and the epoch too.
        rank: Rank,
        /// I am not on my way elsewhere, and admit others.
        open: bool,
    },
    /// Take me into this lineage.
    Join {
        /// Of him who is asked.
        into: Lineage,
        /// Of the lineage, of one member, that comes in.
        rank: Rank,
    },
    /// I want to leave.
    Leave {
        /// Where I am.
        at: At,
        /// I serve no more: leave me out.
        parted: bool,
    },
    /// Would you agree to these changes?
    WouldYou {
        /// In which view.
        at: At,
        /// Comes back with the answer.
        query: u64,
        /// Asked one by one.
        changes: Vec<Change>,
    },
    /// To these I would.
    Would {
        /// In which view.
        at: At,
        /// Of the question.
        query: u64,
        /// Those of the changes to which I would agree.
        changes: Vec<Change>,
    },
    /// Promise to take no lower ballot (phase 1a).
    Prepare {
        /// The instance.
        at: At,
        /// The number of the attempt.
        ballot: Ballot,
    },
    /// I promise (phase 1b).
    Promise {
        /// The instance.
        at: At,
        /// The attempt.
        ballot: Ballot,
        /// The value of the highest ballot that I have accepted.
        accepted: Option<(Ballot, Vec<Change>)>,
    },
    /// Accept this value (phase 2a).
    Accept {
        /// The instance.
        at: At,
        /// The attempt.
        ballot: Ballot,
        /// The value.
        changes: Vec<Change>,
    },
    /// I have accepted (phase 2b).
    Accepted {
        /// The instance.
        at: At,
        /// The attempt.
        ballot: Ballot,
        /// So long nobody may take for over what those who are cut were allowed to do.
        wait: Duration,
    },
    /// I have promised a higher ballot than yours.
    Refused {
        /// The instance.
        at: At,
        /// What I have promised.
        promised: Ballot,
    },
    /// This value is chosen.
    Decided {
        /// The instance.
        at: At,
        /// The value.
        changes: Vec<Change>,
        /// The view is active after so long.
        wait: Duration,
    },
    /// You are behind: this is the view I have installed.
    View {
        /// The whole of it.
        view: View,
        /// It is active after so long.
        wait: Duration,
    },
    /// I am behind: which view have you installed?
    ViewWanted {
        /// What I have.
        at: At,
    },
    /// Go on with exactly these members, in a lineage of their own.
    Fork {
        /// The view that lacks a quorum.
        at: At,
        /// In the order of the view.
        members: Vec<Member>,
        /// Somebody asked for it who knows that the others are gone, or who takes the blame.
        by_hand: bool,
    },
    /// I go on with exactly these.
    Forked {
        /// The view that lacks a quorum.
        at: At,
        /// The new lineage, which names the members too.
        into: Lineage,
        /// What is left of the waits of my own.
        wait: Duration,
    },
}

/// The number of an attempt. No two proposers have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Counts attempts.
    pub round: u64,
    /// Whose attempt it is.
    pub proposer: Member,
}

impl Message {
    /// The changes that it names.
    pub(super) const fn changes(&self) -> Option<&Vec<Change>> {
        match self {
            Self::WouldYou { changes, .. }
            | Self::Would { changes, .. }
            | Self::Accept { changes, .. }
            | Self::Decided { changes, .. }
            | Self::Promise { accepted: Some((_, changes)), .. } => Some(changes),
            _ => None,
        }
    }

    /// A name for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::WouldYou { .. } => "would_you",
            Self::Would { .. } => "would",
            Self::Prepare { .. } => "prepare",
            Self::Promise { .. } => "promise",
            Self::Accept { .. } => "accept",
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::Decided { .. } => "decided",
            Self::View { .. } => "view",
            Self::ViewWanted { .. } => "view_wanted",
            Self::Fork { .. } => "fork",
            Self::Forked { .. } => "forked",
        }
    }
}
