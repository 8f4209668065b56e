//! What the driver publishes for handles to read: who is there, and which lane leads where.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use guthi_core::{
    protocol::{packet::FunctionEntry, view::View},
    wire::id::NodeId,
};
use tokio::sync::watch;

use crate::{Peer, api::metrics::DriverCounts, calls::lane::Lane};

/// The peers of a node and the ways to them. Written by the driver alone.
#[derive(Debug)]
pub(crate) struct Roster {
    snapshot: ArcSwap<Snapshot>,
    changes: watch::Sender<u64>,
    counts: DriverCounts,
}

/// One state of the roster.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Every peer that is known, also those that failed or left.
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    /// The peers that can be called.
    pub(crate) routes: BTreeMap<NodeId, Route>,
    /// Who has a function of that name, by id.
    pub(crate) by_function: HashMap<String, Vec<NodeId>>,
    /// What is agreed; nothing before the driver runs.
    pub(crate) agreed: Option<Arc<Agreed>>,
    pub(crate) closed: bool,
}

/// The view that this node has installed last.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) view: View,
    pub(crate) active: bool,
    pub(crate) isolated: bool,
}

/// A way to a peer.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) lane: Arc<Lane>,
    pub(crate) functions: Arc<BTreeMap<String, FunctionEntry>>,
    /// How many plain functions it runs at once.
    pub(crate) workers: u32,
}

impl Default for Roster {
    fn default() -> Self {
        Self { snapshot: ArcSwap::default(), changes: watch::Sender::new(0), counts: DriverCounts::default() }
    }
}

impl Roster {
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(crate) fn load_full(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn publish(&self, mut snapshot: Snapshot) {
        for (node, route) in &snapshot.routes {
            for name in route.functions.keys() {
                snapshot.by_function.entry(name.clone()).or_default().push(*node);
            }
        }
        self.snapshot.store(Arc::new(snapshot));
        self.changes.send_modify(|revision| *revision += 1);
    }

    /// What the driver counts.
    pub(crate) const fn counts(&self) -> &DriverCounts {
        &self.counts
    }

    /// Tells of every later publication; what was published before counts as seen.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
