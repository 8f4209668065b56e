use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use guthi_core::{
    protocol::membership::Policy,
    wire::id::{Incarnation, NodeId},
};

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
    /// The version of Guthi that it was built with; `None` until it has told.
    pub version: Option<String>,
    /// How it is.
    pub status: Status,
    /// How long an echo takes to it and back; `None` before the first answer.
    pub rtt: Option<Duration>,
    /// What its machine is doing; `None` before the first answer.
    pub load: Option<Load>,
    /// Whom of the first 64 members of the view it hears, the oldest first and itself left out; `None` while it stands in
    /// another view than this node.
    pub hears: Option<Vec<NodeId>>,
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

/// What a machine is doing, as its node told a moment ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Percent of all its cores that were busy, 0 to 100, over the last two seconds; `None` if it does not say.
    pub cpu: Option<u8>,
    /// Percent of its memory that is in use, 0 to 100; `None` if it does not say.
    pub memory: Option<u8>,
    /// Calls that are running on the node, or wait to.
    pub calls: u32,
}

impl Load {
    /// Whether the other one is news to people: echoes come four times a second.
    pub(crate) fn is_far_from(&self, other: &Self) -> bool {
        let far = |a: Option<u8>, b: Option<u8>| match (a, b) {
            (Some(a), Some(b)) => a.abs_diff(b) >= 5,
            _ => a != b,
        };
        let size = |calls: u32| u32::BITS - calls.leading_zeros();
        far(self.cpu, other.cpu) || far(self.memory, other.memory) || size(self.calls) != size(other.calls)
    }
}

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is known, and no member yet.
    Joining,
    /// It is a member, and answers.
    Alive,
    /// Its link broke, or it is late; it is being asked.
    Suspected,
    /// It is taken for dead. Nothing is sent to it but attempts to link again.
    Failed,
    /// It has left.
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

/// The members of the cluster, as all of them agree: the view that this node has installed last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// The line of views that it belongs to, 32 hexadecimal digits: minted when a cluster is born or forks.
    pub lineage: String,
    /// Its number there; it rises with every change.
    pub epoch: u64,
    /// Who belongs to it, the oldest first; this node is one of them.
    pub members: Vec<Member>,
    /// All that its excluded members were allowed to do has ended. What needs the agreement of a view is served from then
    /// on, and never before.
    pub active: bool,
    /// For a while now, too few voters answer: nothing that needs agreement can be done.
    pub isolated: bool,
}

/// What became of what a node gave up by [`Node::dissolve`](crate::Node::dissolve).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescue {
    /// How many variables were written into rescue files.
    pub variables: usize,
}

/// Who may go on when members are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quorum {
    /// More than half of the voters (the seven oldest members), or exactly half with the oldest of them. Of two parts of a
    /// split network one goes on at most. Of two members the older one goes on alone, and the younger one waits.
    #[default]
    Majority,
    /// For members on one machine. The same, and besides: if the processes of the missing are *proven* dead, by the locks
    /// on their files in the runtime directory, all others go on, however few. A process that is merely silent is never
    /// left behind without a majority.
    Any,
}

impl From<Quorum> for Policy {
    fn from(quorum: Quorum) -> Self {
        match quorum {
            Quorum::Majority => Self::Majority,
            Quorum::Any => Self::Any,
        }
    }
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
