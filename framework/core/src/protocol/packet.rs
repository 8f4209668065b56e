//! What the control stream of a link carries once both ends are admitted.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{catalog, detector, membership, mutex, variable};
use crate::wire::{bytes::Bytes, id::Member, name::Name};

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
    /// To all who subscribe to a topic.
    Broadcast(Broadcast),
}

/// A message of a topic. It may be lost, and arrives at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Broadcast {
    /// The name of the topic.
    pub topic: Name,
    /// Which of the receiver's subscriptions it is for: what its catalog has under [`keys::TOPIC`] and this name.
    pub subscription: u64,
    /// How many were sent for that subscription before: a gap tells how many were lost.
    pub number: u64,
    /// What the type of the value is called.
    pub kind: u64,
    /// The value.
    pub value: Bytes,
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
    /// What the program has published: the rest of the key is the name, the value what the type is called, 8 bytes with the
    /// lowest first, and what follows is of that type.
    pub const PUBLISHED: &str = "published/";
    /// Ephemeral values, written as those that are published.
    pub const EPHEMERAL: &str = "ephemeral/";
    /// Topics to which the node subscribes: the rest of the key is the name, the value the number of the subscription, a
    /// postcard u64.
    pub const TOPIC: &str = "topic/";
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
            Self::Broadcast(_) => "broadcast",
            Self::PeersWanted => "peers_wanted",
            Self::Peers(_) => "peers",
        }
    }
}
