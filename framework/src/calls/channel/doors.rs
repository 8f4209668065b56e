//! Who accepts channels on this node.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    task::{Context, Poll},
};

use guthi_core::wire::{id::NodeId, name::Name};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Bond, Channel, hello::Answer};
use crate::{OpenError, api::metrics::ChannelCounts};

/// Channels that wait at one door to be taken; beyond that they are refused, and counted.
const WAITING_MAX: usize = 64;
/// Bytes that are on their way from this node to itself, on one channel and in one direction.
const HERE_BYTES_MAX: usize = 256 * 1024;

/// The doors of a node, by protocol.
#[derive(Debug)]
pub(crate) struct Doors {
    waiting: Mutex<BTreeMap<Name, mpsc::Sender<Channel>>>,
    counts: Arc<ChannelCounts>,
    /// The life of the node.
    bond: Arc<Bond>,
}

impl Doors {
    pub(crate) fn new() -> Arc<Self> {
        let counts = Arc::<ChannelCounts>::default();
        Arc::new(Self { waiting: Mutex::default(), bond: Bond::new(true, counts.clone()), counts })
    }

    pub(crate) const fn counts(&self) -> &Arc<ChannelCounts> {
        &self.counts
    }

    /// Accepts channels of a protocol from now on, until the door is dropped.
    pub(crate) fn accept(self: &Arc<Self>, protocol: Name) -> Result<Door, OpenError> {
        let mut waiting = self.waiting.lock();
        if self.is_closed() {
            return Err(OpenError::Left);
        }
        match waiting.entry(protocol.clone()) {
            Entry::Occupied(_) => Err(OpenError::AlreadyAccepted { protocol: protocol.to_string() }),
            Entry::Vacant(place) => {
                let (sender, channels) = mpsc::channel(WAITING_MAX);
                place.insert(sender);
                Ok(Door { doors: self.clone(), protocol, channels })
            }
        }
    }

    /// A place before the door of a protocol.
    pub(super) fn reserve(&self, protocol: &Name) -> Result<mpsc::OwnedPermit<Channel>, Answer> {
        let door = self.waiting.lock().get(protocol).cloned().ok_or(Answer::Nobody)?;
        door.try_reserve_owned().map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Answer::Full,
            mpsc::error::TrySendError::Closed(_) => Answer::Nobody,
        })
    }

    /// Opens a channel from this node to itself.
    pub(crate) fn open_here(&self, me: NodeId, protocol: &Name) -> Result<Channel, OpenError> {
        if self.is_closed() {
            return Err(OpenError::Left);
        }
        let permit = self.reserve(protocol).map_err(|answer| {
            self.counts.refused.one();
            refused(answer, me, protocol)
        })?;
        let (here, there) = tokio::io::duplex(HERE_BYTES_MAX);
        let channel = |stream| Channel::new(me, protocol.clone(), Box::pin(stream), self.bond.clone(), None);
        permit.send(channel(there));
        self.counts.opened.one();
        self.counts.accepted.one();
        Ok(channel(here))
    }

    /// The node has left.
    pub(crate) fn close(&self, reason: &str) {
        let mut waiting = self.waiting.lock();
        self.bond.end(reason);
        waiting.clear();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.bond.over.is_cancelled()
    }
}

/// What an answer means to whoever has asked.
pub(super) fn refused(answer: Answer, peer: NodeId, protocol: &Name) -> OpenError {
    let protocol = protocol.to_string();
    match answer {
        Answer::Full => OpenError::Full { protocol, peer },
        Answer::TooMany => OpenError::TooMany { protocol, peer },
        Answer::Accepted | Answer::Nobody => OpenError::NobodyAccepts { protocol, peer },
    }
}

/// Where the channels of one protocol wait to be taken.
#[derive(Debug)]
pub(crate) struct Door {
    doors: Arc<Doors>,
    protocol: Name,
    channels: mpsc::Receiver<Channel>,
}

impl Door {
    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The next channel; none once the node has left.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Channel>> {
        self.channels.poll_recv(cx)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.doors.waiting.lock().remove(&self.protocol);
    }
}
