use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::wire::id::Member;

/// What catalogs say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// So far go my own catalog and my copies of those of the nodes that I am linked to.
    /// It opens the conversation of a link.
    Have {
        /// The sender's number for this link; it rises with each.
        link: u64,
        /// How far it knows which catalogs, its own first.
        heads: Vec<Head>,
    },
    /// What follows something that the receiver has.
    Delta(Delta),
    /// I lack what follows this: send it, whoever has it.
    Pull(Head),
    /// I have heard how far your catalog goes, and have come so far.
    Taken {
        /// The receiver's number for this link, so that an acknowledgement of an earlier one is not taken for it.
        link: u64,
        /// Whose catalog, and how far.
        head: Head,
    },
}

/// How far somebody knows a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Whose catalog.
    pub of: Member,
    /// The last change that is known.
    pub sequence: u64,
}

/// The changes that lead from one sequence of a catalog to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delta {
    /// Whose catalog.
    pub of: Member,
    /// The least sequence that a copy must have to take this.
    pub after: u64,
    /// The sequence that the copy has then.
    pub sequence: u64,
    /// Removals up to here are forgotten: a copy that had not come so far starts anew, with a delta after 0.
    pub floor: u64,
    /// Every entry whose last change lies between the two, in the order of these changes.
    pub changes: Vec<Change>,
}

/// One entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// Which entry.
    pub key: String,
    /// The sequence of its last change.
    pub sequence: u64,
    /// Its bytes, or nothing if it was removed.
    pub value: Option<Vec<u8>>,
}
