//! Many nodes in this process on virtual time: how calls and maps end, what is told, and the kit itself.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod calls;
mod channels;
mod control;
mod ephemerals;
mod kit;
mod maps;
mod metrics;
mod mutexes;
mod outcomes;
mod progress;
mod published;
mod same_again;
mod streams;
mod telling;
mod topics;
mod traces;
mod variables;
mod watching;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use guthi::{Builder, Functions, Node, NodeId, testing::Cluster};
use guthi_tests::functions::{self, Counters};

type Configure = Box<dyn Fn(Builder) -> Builder + Send>;

/// A cluster to which nodes of every sort are added one by one, all linked with each other.
struct Home {
    cluster: Cluster,
    /// What is particular to each node.
    configure: Arc<Mutex<Vec<Configure>>>,
}

impl Home {
    /// An empty one.
    async fn new() -> Self {
        let configure = Arc::<Mutex<Vec<Configure>>>::default();
        let each = configure.clone();
        let cluster = Cluster::builder().nodes(0);
        let cluster = cluster.configure(move |index, node| each.lock().unwrap()[index](node)).start().await;
        Self { cluster, configure }
    }

    /// One more node.
    async fn start(&mut self, configure: impl Fn(Builder) -> Builder + Send + 'static) -> Node {
        self.configure.lock().unwrap().push(Box::new(move |node| configure(node.workers(2))));
        let index = self.cluster.add().await;
        self.cluster.node(index).clone()
    }

    /// One more node without functions of its own: what it calls runs elsewhere.
    async fn caller(&mut self) -> Node {
        self.start(|node| node.functions(Functions::none())).await
    }

    /// One more node with all functions of [`guthi_tests::functions`], and what they count.
    async fn server(&mut self) -> (Node, Counters) {
        let counters = Counters::default();
        let state = counters.clone();
        (self.start(move |node| node.functions(functions::all()).state(state.clone())).await, counters)
    }

    fn index_of(&self, node: impl Into<NodeId>) -> usize {
        self.cluster.index_of(node).unwrap()
    }

    fn kill(&mut self, node: impl Into<NodeId>) {
        self.cluster.kill(self.index_of(node));
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cluster.fmt(f)
    }
}
