use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use tokio::{sync::broadcast, task::JoinHandle};

use super::peer::Peer;

/// Something that happened to a peer, or to this node.
///
/// `Joined`, `Failed`, `Left` and `Recovered` follow from views that the members agree on: every member that survives sees
/// the same ones in the same order, each once. `Suspected` and `Trusted` are this node's own, and early.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A node that was not there before is a member.
    Joined {
        /// Who.
        peer: Peer,
    },
    /// A peer's link broke or it is late with an answer; it is being asked once more. Early and local.
    Suspected {
        /// Who.
        peer: Peer,
        /// What was noticed.
        reason: String,
    },
    /// A suspected peer has answered after all.
    Trusted {
        /// Who.
        peer: Peer,
    },
    /// A member is taken for dead by all. Once per failure.
    Failed {
        /// Who.
        peer: Peer,
        /// What was noticed.
        reason: String,
    },
    /// A node that had failed or left is a member again.
    Recovered {
        /// Who.
        peer: Peer,
    },
    /// A member has left.
    Left {
        /// Who.
        peer: Peer,
    },
    /// Another process with a peer's identity asks to be let in, and was refused while the first is there.
    DuplicateIdentity {
        /// The peer that is linked.
        peer: Peer,
    },
    /// Others went on without this node: it was silent for too long, or cut off. What it was doing for them has ended; it
    /// joins them again by itself, as a new life.
    Excluded,
    /// For a while now, too few of the voters answer. Nothing is lost, and nothing that needs agreement can be done.
    Isolated {
        /// How many voters do not answer.
        missing: u32,
    },
    /// Enough voters answer again.
    Connected,
    /// Another lineage of this cluster is in sight, and both hold variables, so neither joins the other by itself. Choose the
    /// one that gives way, and call [`Node::dissolve`](crate::Node::dissolve) on its nodes.
    ForeignLineage {
        /// Its name.
        lineage: String,
    },
    /// This node has given up what its lineage held and joins another, as [`Node::dissolve`](crate::Node::dissolve) asked.
    Dissolved {
        /// How many variables were written into rescue files.
        rescued: usize,
    },
    /// This reader was too slow, and so many events are lost to it.
    Missed(u64),
}

impl Event {
    /// The peer that it is about.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Joined { peer }
            | Self::Suspected { peer, .. }
            | Self::Trusted { peer }
            | Self::Failed { peer, .. }
            | Self::Recovered { peer }
            | Self::Left { peer }
            | Self::DuplicateIdentity { peer } => Some(peer),
            Self::Excluded
            | Self::Isolated { .. }
            | Self::Connected
            | Self::ForeignLineage { .. }
            | Self::Dissolved { .. }
            | Self::Missed(_) => None,
        }
    }

    /// The word for it: `joined`, `suspected`, `trusted`, `failed`, `recovered`, `left`, `duplicate_identity`,
    /// `excluded`, `isolated`, `connected`, `foreign_lineage`, `dissolved`, `missed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Suspected { .. } => "suspected",
            Self::Trusted { .. } => "trusted",
            Self::Failed { .. } => "failed",
            Self::Recovered { .. } => "recovered",
            Self::Left { .. } => "left",
            Self::DuplicateIdentity { .. } => "duplicate_identity",
            Self::Excluded => "excluded",
            Self::Isolated { .. } => "isolated",
            Self::Connected => "connected",
            Self::ForeignLineage { .. } => "foreign_lineage",
            Self::Dissolved { .. } => "dissolved",
            Self::Missed(_) => "missed",
        }
    }
}

/// Events a slow reader may be behind before it loses the oldest.
pub(crate) const EVENTS_BEHIND_MAX: usize = 4096;

/// The events of a node from the moment this was made; ends when the node leaves.
///
/// A slow reader never holds the node up: it gets [`Event::Missed`] where it lost some.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) const fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event, or `None` once the node has left.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send + 'static {
        futures::stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) })
    }
}

/// A callback that has been registered. It stays active when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    task: JoinHandle<()>,
}

impl Subscription {
    /// Runs `react` for every event that `pick` chooses, one after the other, on `runtime`.
    pub(crate) fn start<F, R>(
        runtime: &tokio::runtime::Handle,
        mut events: Events,
        pick: impl Fn(Event) -> Option<Peer> + Send + 'static,
        react: F,
    ) -> Self
    where
        F: Fn(Peer) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let task = runtime.spawn(async move {
            while let Some(event) = events.next().await {
                if let Event::Missed(missed) = event {
                    tracing::warn!(missed, "a callback is slower than the events it is for, and missed some");
                }
                if let Some(peer) = pick(event) {
                    react(peer).await;
                }
            }
        });
        Self { task }
    }

    /// Ends it; a callback that is running is dropped at its next await.
    pub fn cancel(self) {
        self.task.abort();
    }
}

impl Future for Subscription {
    type Output = ();

    /// Resolves when the node has left and the last callback has run.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.task).poll(cx).map(drop)
    }
}
