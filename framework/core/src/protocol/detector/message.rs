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
    },
    /// I leave for good and take no more work.
    Leaving,
}
