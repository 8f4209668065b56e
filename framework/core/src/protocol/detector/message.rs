use serde::{Deserialize, Serialize};

/// What detectors say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Are you there?
    Echo {
        /// Comes back with the answer.
        sequence: u64,
    },
    /// I am here.
    EchoReply {
        /// Of the echo that this answers.
        sequence: u64,
    },
    /// I leave for good and take no more work.
    Leaving,
}
