use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use guthi_core::wire::id::{Incarnation, NodeId};

/// Another node, as this one sees it. A snapshot: it does not change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Peer {
    /// Its identity.
    pub id: NodeId,
    /// Which of its lives this is.
    pub incarnation: Incarnation,
    /// Its name; the short id until it has told one.
    pub name: String,
    /// Where it can be reached, as multiaddresses.
    pub addresses: Vec<String>,
    /// What it says of itself, such as its `zone`.
    pub labels: BTreeMap<String, String>,
    /// How it is.
    pub status: Status,
    /// How long an echo takes to it and back; `None` before the first answer.
    pub rtt: Option<Duration>,
    /// The names of its functions, sorted.
    pub functions: Vec<String>,
    /// Since when it has this status.
    pub since: SystemTime,
    /// Why it has this status, if it failed or is suspected.
    pub reason: Option<String>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is being linked, and has not described itself yet.
    Joining,
    /// It answers.
    Alive,
    /// Its link broke, or it is late; it is being asked.
    Suspected,
    /// It does not answer. Nothing is sent to it but attempts to link again.
    Failed,
    /// It has said goodbye.
    Left,
}

impl Status {
    /// The word for it, the same everywhere: `joining`, `alive`, `suspected`, `failed`, `left`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One node of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its identity.
    pub id: NodeId,
    /// Which of its lives this is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
}

/// The nodes that belong together now, this one among them.
///
/// For now this is each node's own observation of its links; nodes may differ for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Who belongs to it, by id.
    pub members: Vec<Member>,
}

/// A function in the global store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// Its types, such as `(f64, f64, f64) -> f64`; empty if it was registered without any.
    pub shape: String,
    /// The first paragraph of its documentation.
    pub docs: String,
    /// It is never retried after an unknown outcome.
    pub once: bool,
    /// Who has it, by id, this node included.
    pub nodes: Vec<NodeId>,
}
