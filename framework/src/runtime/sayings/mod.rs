//! What nodes say to all others without agreement, as handles see it: entries of catalogs, and messages of topics.
//!
//! A handle writes down what it wants to be said and goes on; it waits for nobody. The driver takes the newest of each entry
//! from there when it is time, and puts down what others say, where handles read it by themselves.

mod drive;
mod entries;
mod heard;
mod topics;

use std::{sync::Arc, time::Duration};

use guthi_core::wire::id::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(in crate::runtime) use self::drive::is_said;
use self::{entries::Written, heard::Heard, topics::Topics};
pub(crate) use self::{
    entries::{Full, Own},
    heard::{News, Watch},
    topics::{Subscriber, Told},
};
use crate::api::metrics::SayingCounts;

/// An ephemeral value is told at most so often.
pub(crate) const EPHEMERAL_PAUSE: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// All that one node says and hears in this way.
#[derive(Debug)]
pub(crate) struct Sayings {
    pub(crate) me: NodeId,
    state: Mutex<State>,
    topics: Topics,
    /// There is something for the driver to tell.
    asked: Notify,
    pub(crate) counts: SayingCounts,
}

#[derive(Debug, Default)]
struct State {
    written: Written,
    heard: Heard,
}

/// The node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Sayings {
    pub(crate) fn new(me: NodeId) -> Arc<Self> {
        Arc::new(Self {
            me,
            state: Mutex::default(),
            topics: Topics::default(),
            asked: Notify::new(),
            counts: SayingCounts::default(),
        })
    }

    /// Resolves when there is something to tell.
    pub(in crate::runtime) async fn asked(&self) {
        self.asked.notified().await;
    }
}
