use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// The changes that lead from one sequence of a catalog to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The sequence that a copy must have to take this.
    pub after: u64,
    /// The sequence that the copy has then.
    pub sequence: u64,
    /// What changed, in the order of its sequence.
    pub changes: Vec<Change>,
}

/// One entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which entry.
    pub key: String,
    /// Its bytes, or nothing if it was removed.
    pub value: Option<Vec<u8>>,
}
