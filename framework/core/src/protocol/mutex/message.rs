use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::view::{At, Epoch},
    wire::name::Name,
};

/// What mutexes say to each other. Each message is about one name in one view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// In which view.
    pub at: At,
    /// Of which mutex.
    pub name: Name,
    /// What.
    pub body: Body,
}

/// What is said of a mutex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// I want the token.
    Request {
        /// Of the sender; it rises with each.
        number: u64,
    },
    /// I want the token if nobody else has or wants it.
    Try {
        /// Of the sender; it rises with each.
        number: u64,
    },
    /// Somebody else has it or wants it.
    Busy {
        /// Of the try that this answers.
        number: u64,
    },
    /// You have the token.
    Token {
        /// How often it was passed on in this view.
        pass: u64,
        /// The token.
        token: Token,
    },
    /// I have got the token; or, as its home, I know of your guard.
    Taken {
        /// Of the token; 0 for the guard that was brought into the view.
        pass: u64,
    },
    /// I am home and about to make a token for this view: what have you brought into it?
    ReportWanted,
    /// This is what I have brought into this view.
    Report(Report),
}

/// The token of one mutex: there is at most one in each view. Members are named by their places in that view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Of the last guard.
    pub fence: Fence,
    /// LN: of each member, in the order of the view, the last request that was served.
    pub served: Vec<u64>,
    /// Q: who gets it next, and after that.
    pub queue: Vec<u16>,
    /// Who has held it last is perhaps dead, and has not given it back. The next guard says so.
    pub died: bool,
}

/// What a survivor brings into a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Report {
    /// It has brought a guard of this name, and with it the token.
    pub held: bool,
    /// Where the token was when it heard of it last.
    pub sighting: Option<Sighting>,
    /// It has brought nothing of any name, so it need not be asked again.
    pub nothing_else: bool,
}

/// Where a token was last, as far as somebody knows. The greatest is the latest, and who had the token knows better than who
/// gave it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sighting {
    /// In which view.
    pub epoch: Epoch,
    /// How often it had been passed on there.
    pub pass: u64,
    /// Who tells has had it.
    pub first_hand: bool,
    /// Who had it is dead, or has got it from somebody who was and has not used it.
    pub died: bool,
}

/// The number of a guard: it is higher than that of all guards of the mutex before it, whatever has failed meanwhile.
///
/// Its text form is `epoch.number`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The epoch of the view for which the token was made.
    pub epoch: Epoch,
    /// Counts the guards that came of that token, from 1.
    pub grant: u64,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.grant)
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Message {
    /// A name for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.body {
            Body::Request { .. } => "mutex_request",
            Body::Try { .. } => "mutex_try",
            Body::Busy { .. } => "mutex_busy",
            Body::Token { .. } => "mutex_token",
            Body::Taken { .. } => "mutex_taken",
            Body::ReportWanted => "mutex_report_wanted",
            Body::Report(_) => "mutex_report",
        }
    }
}
