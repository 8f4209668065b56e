//! What the control stream of a link carries once both ends are admitted.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::catalog;
use crate::wire::id::Member;

/// One control message between two linked members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
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
    /// My catalog has changed.
    Catalog(catalog::Delta),
    /// Whom do you know?
    PeersWanted,
    /// Those I am linked to.
    Peers(Vec<Whereabouts>),
    /// I leave for good and take no more work.
    Leaving,
}

/// Where a node can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Who.
    pub member: Member,
    /// Multiaddresses, the best first.
    pub addresses: Vec<String>,
}

/// The keys under which every node describes itself in its catalog.
pub mod keys {
    /// The node's name, UTF-8.
    pub const NAME: &str = "node/name";
    /// The node's addresses: a postcard list of texts.
    pub const ADDRESSES: &str = "node/addresses";
    /// The node's labels: a postcard map of texts.
    pub const LABELS: &str = "node/labels";
    /// How many plain functions the node runs at once: a postcard u32.
    pub const WORKERS: &str = "node/workers";
    /// Functions: the rest of the key is the name, the value a postcard [`FunctionEntry`](super::FunctionEntry).
    pub const FUNCTION: &str = "fn/";
}

/// A function as its node describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionEntry {
    /// The hash of its shape; zero if it was registered without one.
    pub signature: u64,
    /// Its shape for people: `(f64, f64, f64) -> f64`.
    pub shape: String,
    /// The first paragraph of its documentation.
    pub docs: String,
    /// It must not be retried after an unknown outcome.
    pub once: bool,
}

impl Packet {
    /// A name for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Echo { .. } => "echo",
            Self::EchoReply { .. } => "echo_reply",
            Self::Catalog(_) => "catalog",
            Self::PeersWanted => "peers_wanted",
            Self::Peers(_) => "peers",
            Self::Leaving => "leaving",
        }
    }
}
