//! What all routes share.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use guthi::Node;
use tokio::sync::{Semaphore, watch};

use crate::{
    http::gate::Gate,
    json::OwnLoad,
    stream::{history::History, ring::Ring, topics::Topics},
};

/// Sockets that may be open at once.
pub(crate) const SOCKETS_MAX: usize = 32;

/// Requests that may hold a mutex, or wait for one, at once.
pub(crate) const HOLDERS_MAX: usize = 256;

/// Requests that may watch variables, or subscribe to a topic, at once.
pub(crate) const WATCHERS_MAX: usize = 256;

/// Events that are kept.
const EVENTS_MAX: usize = 10_000;

/// A node and those who look at it.
pub(crate) struct App {
    pub(crate) node: Node,
    pub(crate) gate: Gate,
    /// Where the page is, without a secret.
    pub(crate) url: String,
    /// Since when it is served.
    pub(crate) began: SystemTime,
    /// The events of the node since then.
    pub(crate) events: Arc<Ring>,
    pub(crate) topics: Topics,
    /// What machines did while somebody looked.
    pub(crate) history: Arc<History>,
    pub(crate) load: OwnLoad,
    /// How often nodes were asked for their resources.
    pub(crate) resources_asked: AtomicU64,
    /// How often all members were asked for their variables.
    pub(crate) variables_asked: AtomicU64,
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) holders: Arc<Semaphore>,
    pub(crate) watchers: Arc<Semaphore>,
    /// Why sockets should say goodbye; `None` while they should not.
    pub(crate) ending: watch::Sender<Option<&'static str>>,
}

impl App {
    pub(crate) fn new(node: Node, gate: Gate, url: String) -> Arc<Self> {
        Arc::new(Self {
            node,
            gate,
            url,
            began: SystemTime::now(),
            events: Arc::new(Ring::new(EVENTS_MAX)),
            topics: Topics::default(),
            history: Arc::default(),
            load: OwnLoad::default(),
            resources_asked: AtomicU64::new(0),
            variables_asked: AtomicU64::new(0),
            sockets: Arc::new(Semaphore::new(SOCKETS_MAX)),
            holders: Arc::new(Semaphore::new(HOLDERS_MAX)),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            ending: watch::Sender::new(None),
        })
    }

    /// Lets all sockets say goodbye, the first time.
    pub(crate) fn end(&self, reason: &'static str) {
        self.ending.send_if_modified(|ending| {
            let is_first = ending.is_none();
            ending.get_or_insert(reason);
            is_first
        });
    }

    /// Waits until no socket is open any more.
    pub(crate) async fn sockets_closed(&self) {
        let _ = self.sockets.acquire_many(SOCKETS_MAX as u32).await;
    }
}
