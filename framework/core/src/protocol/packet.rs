//! What the control stream of a link carries once both ends are admitted.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{catalog, detector, membership, mutex, variable};
use crate::wire::id::Member;

/// One control message between two linked members.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Packet {
    /// From detector to detector.
    Detector(detector::Message),
    /// From catalog to catalog.
    Catalog(catalog::Message),
    /// Whom do you know?
    PeersWanted,
    /// Those I am linked to.
    Peers(Vec<Whereabouts>),
    /// From membership to membership.
    Membership(membership::Message),
    /// From mutexes to mutexes.
    Mutex(mutex::Message),
    /// From variables to variables.
    Variable(variable::Message),
}

/// Where a node can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The version of the program's library: UTF-8.
    pub const VERSION: &str = "node/version";
    /// Whom the node knows to be banned: a postcard list of identities.
    pub const BANS: &str = "node/bans";
    /// Functions: the rest of the key is the name, the value a postcard [`FunctionEntry`](super::FunctionEntry).
    pub const FUNCTION: &str = "fn/";
    /// Types of variables: the rest of the key is what the type is called, 16 digits of base 16; the value says what it looks
    /// like.
    pub const TYPE: &str = "type/";
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
    pub fn name(&self) -> &'static str {
        match self {
            Self::Detector(detector::Message::Echo { .. }) => "echo",
            Self::Detector(detector::Message::EchoReply { .. }) => "echo_reply",
            Self::Detector(detector::Message::Leaving) => "leaving",
            Self::Catalog(catalog::Message::Have { .. }) => "catalog_have",
            Self::Catalog(catalog::Message::Delta(_)) => "catalog_delta",
            Self::Catalog(catalog::Message::Pull(_)) => "catalog_pull",
            Self::Catalog(catalog::Message::Taken { .. }) => "catalog_taken",
            Self::Membership(message) => message.name(),
            Self::Mutex(message) => message.name(),
            Self::Variable(message) => message.name(),
            Self::PeersWanted => "peers_wanted",
            Self::Peers(_) => "peers",
        }
    }
}
