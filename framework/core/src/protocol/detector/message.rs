use serde::{Deserialize, Serialize};

use crate::protocol::view::Standing;

/// What detectors say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Are you there?
    Echo {
        /// Comes back with the answer.
        sequence: u64,
        /// Where I stand.
        standing: Option<Standing>,
    },
    /// I am here.
    EchoReply {
        /// Of the echo that this answers.
        sequence: u64,
        /// Where I stand: to a member of the same view that is not wedged, this renews its lease.
        standing: Option<Standing>,
        /// How I am.
        vitals: Vitals,
    },
    /// I leave for good and take no more work.
    Leaving,
}

/// How a node is, for whoever asks: nothing is decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vitals {
    /// What its machine is doing.
    pub load: Load,
    /// Whom it hears of the first 64 members of its view, the oldest in the lowest bit; its own bit is not set.
    pub hears: u64,
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// Percent of all its cores that were busy; above 100 means that it is not known.
    pub cpu: u8,
    /// Percent of its memory that is in use; above 100 means that it is not known.
    pub memory: u8,
    /// Calls that are running there or wait to.
    pub calls: u32,
}
