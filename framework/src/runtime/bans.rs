//! Bans: whom somebody forgets is let in by nobody any more.
//!
//! A ban stands in the catalog of everybody who knows of it, so it lasts as long as one of them does, and newcomers learn
//! it from whomever they meet first. It holds for an identity, in all its lives. Whoever has the key of the cluster can ban
//! everybody else: members trust each other.

use std::collections::BTreeSet;

use guthi_core::{
    protocol::{engine::Input, packet::keys},
    wire::{
        codec,
        id::NodeId,
        limits::{BANS_MAX, CATALOG_VALUE_BYTES_MAX},
    },
};
use tokio::sync::oneshot;

use super::{driver::Driver, peers::State};
use crate::{JoinError, Status};

impl Driver {
    /// Bans a node for all, and drops it from the list if it is gone already.
    pub(super) fn forget(&mut self, node: NodeId, reply: oneshot::Sender<Result<(), JoinError>>) {
        let address = node.to_string();
        let result = if node == self.setup.credentials.me.node {
            Err(JoinError::Myself { address })
        } else if self.ban(node, node) {
            Ok(())
        } else {
            Err(JoinError::Refused { address, reason: format!("{BANS_MAX} nodes are banned already") })
        };
        if result.is_ok() && self.is_gone(node) {
            self.peers.remove(node);
            self.stop_hearing(node);
            self.dirty = true;
            self.publish();
        }
        let _ = reply.send(result);
    }

    /// Takes over the bans of those who have told something new.
    pub(super) fn heed(&mut self) {
        while let Some(node) = self.to_heed.pop_first() {
            self.learn_bans(node);
        }
    }

    fn learn_bans(&mut self, from: NodeId) {
        let Some((_, catalog)) = self.engine.catalog().copy(from) else { return };
        let bans = catalog.get(keys::BANS).and_then(|value| codec::decode::<Vec<NodeId>>(value).ok());
        for node in bans.unwrap_or_default().into_iter().take(BANS_MAX) {
            self.ban(node, from);
        }
    }

    /// False if there is no room for one more. A node that was banned by others does nothing: they have closed the door.
    fn ban(&mut self, node: NodeId, by: NodeId) -> bool {
        let bans = self.links.bans();
        if bans.contains(&node) {
            return true;
        }
        if node == self.setup.credentials.me.node || bans.len() >= BANS_MAX {
            return node == self.setup.credentials.me.node;
        }
        tracing::warn!(peer = node.short(), by = by.short(), "a node was banned: nobody links with it any more");
        self.links.ban(node);
        self.publish_bans(&self.links.bans());
        self.strangers.remove(&node);
        let connections = self.connections.iter().filter(|(_, pending)| pending.connection.peer == node);
        for connection in connections.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.unlinked(connection, "it was banned");
            self.setup.network.close(connection);
        }
        true
    }

    fn publish_bans(&mut self, bans: &BTreeSet<NodeId>) {
        let value = codec::encode(bans, CATALOG_VALUE_BYTES_MAX).expect("so many identities fit");
        self.step(Input::Set { key: keys::BANS.to_owned(), value });
    }

    /// Nobody counts on it any more.
    fn is_gone(&self, node: NodeId) -> bool {
        let member = self.engine.membership().view().life(node).is_some();
        let is_gone = |state: &State| state.link.is_none() && state.peer.status != Status::Alive;
        !member && self.peers.get(node).is_some_and(is_gone)
    }
}
