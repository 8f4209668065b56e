//! Second connections, for large payloads and channels: made when the first of them leaves, and closed with the link.

use std::collections::{BTreeMap, BTreeSet};

use guthi_core::wire::id::NodeId;

use super::driver::{Driver, Pending, Purpose};
use crate::network::{Connection, ConnectionId, DialError, Protocol, Stream};

/// The second connections that are being made.
#[derive(Debug, Default)]
pub(super) struct Aparts {
    dialling: BTreeMap<NodeId, ConnectionId>,
    /// Those of which the network has not told yet.
    expected: BTreeSet<ConnectionId>,
}

impl Aparts {
    /// What a connection is for, of which the network has just told.
    pub(super) fn purpose(&mut self, connection: &Connection) -> Purpose {
        if self.expected.remove(&connection.id) {
            Purpose::Apart
        } else if connection.dialled && self.dialling.contains_key(&connection.peer) {
            Purpose::Undecided
        } else {
            Purpose::Link
        }
    }
}

impl Driver {
    pub(super) fn apart_wanted(&mut self, link: ConnectionId) {
        let Some(member) = self.linked_over(link) else { return };
        let mut addresses = self.peers.get(member.node).map(|state| state.peer.addresses.clone()).unwrap_or_default();
        // Where it was found is where it can be found.
        let found = self.connections.get(&link).filter(|pending| pending.connection.dialled);
        addresses.splice(..0, found.map(|pending| pending.connection.address.clone()));
        self.apart.dialling.insert(member.node, link);
        self.errands.dial_apart(link, member.node, addresses);
    }

    pub(super) fn apart_dialled(&mut self, link: ConnectionId, node: NodeId, result: Result<Connection, DialError>) {
        if self.apart.dialling.get(&node) == Some(&link) {
            self.apart.dialling.remove(&node);
        }
        let lane = self.linked_over(link).and_then(|_| self.peers.link(node)?.lane.clone());
        let made = match (&result, &lane) {
            (Ok(connection), Some(_)) => {
                match self.connections.get_mut(&connection.id) {
                    Some(pending) => pending.purpose = Purpose::Apart,
                    None => drop(self.apart.expected.insert(connection.id)),
                }
                Some(connection.id)
            }
            (Ok(connection), None) => {
                self.setup.network.close(connection.id);
                None
            }
            (Err(error), _) => {
                tracing::debug!(peer = ?node, %error, "no second connection; large payloads share the first");
                None
            }
        };
        if let Some(lane) = lane {
            lane.apart().answer(made);
        }
        // Whatever else came up meanwhile wants to be a link.
        let undecided =
            |pending: &&mut Pending| pending.connection.peer == node && pending.purpose == Purpose::Undecided;
        for pending in self.connections.values_mut().filter(undecided) {
            pending.purpose = Purpose::Link;
            self.errands.admit(pending.connection.clone(), None);
        }
    }

    /// A large payload or a channel, over whichever connection. Its first bytes say whether it belongs to the link of now.
    pub(super) fn inbound_apart(&mut self, id: ConnectionId, protocol: Protocol, stream: Stream) {
        let Some(pending) = self.connections.get_mut(&id) else { return };
        let Some(link) = self.peers.link(pending.connection.peer) else { return };
        let Some(lane) = &link.lane else { return };
        if link.connection != id {
            if pending.admitted || pending.connection.dialled {
                return;
            }
            pending.purpose = Purpose::Apart;
        }
        if protocol == Protocol::Channel {
            lane.channels().receive(stream);
        } else {
            lane.receive_apart(stream);
        }
    }

    /// The link with a node is gone, and with it whatever stood beside it.
    pub(super) fn close_apart(&self, node: NodeId) {
        let apart = |pending: &&Pending| pending.connection.peer == node && pending.purpose == Purpose::Apart;
        for pending in self.connections.values().filter(apart) {
            self.setup.network.close(pending.connection.id);
        }
    }
}
