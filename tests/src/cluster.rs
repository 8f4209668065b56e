//! Nodes in this process, and waiting for what they do.

use std::{future::Future, path::PathBuf, time::Duration};

use guthi::{Builder, Event, Events, Functions, Node, NodeId, Peer, Status};

use crate::functions::Counters;

/// Nothing in these tests takes a tenth of this, even on a machine that is busy with something else.
pub const HANG: Duration = Duration::from_secs(30);

/// A runtime directory of its own: nodes of one home find each other, and nobody else.
#[derive(Debug)]
pub struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The runtime directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A node that has these functions, and waits at its start until it is linked with everybody.
    #[must_use]
    pub fn node(&self, functions: Functions) -> Builder {
        Node::local().runtime_dir(self.path()).cluster("test").workers(2).patience(HANG).functions(functions)
    }

    /// A node without functions of its own: what it calls runs elsewhere.
    pub async fn caller(&self) -> Node {
        self.node(Functions::none()).start().await.expect("it starts")
    }

    /// A node with all functions of [`crate::functions`], and what they count.
    pub async fn server(&self) -> (Node, Counters) {
        let counters = Counters::default();
        let node = self.node(crate::functions::all()).state(counters.clone()).start().await.expect("it starts");
        (node, counters)
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits for something that must come about.
///
/// # Panics
/// If it does not within [`HANG`].
pub async fn within<T>(what: &str, future: impl IntoFuture<Output = T>) -> T {
    match tokio::time::timeout(HANG, future.into_future()).await {
        Ok(value) => value,
        Err(_) => panic!("it hangs: {what}"),
    }
}

/// Waits for a condition that nobody tells of.
///
/// # Panics
/// If it does not come true within [`HANG`].
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, waiting).await;
}

/// The same for a condition that has to be asked for.
///
/// # Panics
/// If it does not come true within [`HANG`].
pub async fn eventually_async<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, waiting).await;
}

/// Waits until the node has so many members in its view.
///
/// # Panics
/// If it has not within [`HANG`].
pub async fn members(node: &Node, count: usize) {
    within("members", node.wait_for(count)).await.expect("it has not left");
}

/// How a node sees a peer now.
#[must_use]
pub fn status(node: &Node, peer: NodeId) -> Option<Status> {
    node.peers().into_iter().find(|known| known.id == peer).map(|known| known.status)
}

/// Reads events up to the one that is wanted; returns it and the names of those before it, with whom they were about.
///
/// # Panics
/// If it does not come within [`HANG`].
pub async fn event(events: &mut Events, name: &str, about: NodeId) -> (Peer, Vec<(&'static str, NodeId)>) {
    let mut before = Vec::new();
    let waiting = async {
        loop {
            let event: Event = events.next().await.expect("the node has not left");
            let peer = event.peer().expect("no event is missed").clone();
            if event.name() == name && peer.id == about {
                return (peer, before);
            }
            before.push((event.name(), peer.id));
        }
    };
    within(name, waiting).await
}
