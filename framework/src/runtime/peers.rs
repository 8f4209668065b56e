//! What the driver keeps of each peer for its handles to read.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use guthi_core::{
    protocol::{
        catalog::Book,
        detector,
        packet::{FunctionEntry, Packet, Whereabouts, keys},
    },
    wire::{
        codec,
        id::{Member, NodeId},
        limits, name,
    },
};

use super::roster::{Route, Snapshot};
use crate::{
    Load, Peer, Status,
    calls::{lane::Lane, outbox::Outbox},
    network::{ConnectionId, admission::Tag},
};

/// All peers, linked or not.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<NodeId, State>);

/// One peer.
#[derive(Debug)]
pub(super) struct State {
    pub(super) peer: Peer,
    functions: Arc<BTreeMap<String, FunctionEntry>>,
    workers: u32,
    /// The mean time of its echoes, of which the peer tells when it has changed by more than an eighth.
    rtt: Option<Duration>,
    pub(super) link: Option<Link>,
    /// It can be called.
    pub(super) ready: bool,
    /// It was told to have joined.
    pub(super) was_member: bool,
    /// How its last link ended, in words.
    pub(super) broken: String,
}

/// The link with a peer, as the driver sees it: what leaves over it, and how.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) member: Member,
    pub(super) connection: ConnectionId,
    pub(super) tag: Tag,
    pub(super) control: Arc<Outbox>,
    pub(super) lane: Option<Arc<Lane>>,
    /// The peer has asked for this node's peers, and is told once it is ready itself: so of two that join at once, the
    /// later one is told of the earlier.
    pub(super) wants_peers: bool,
}

impl Peers {
    pub(super) fn get(&self, node: NodeId) -> Option<&State> {
        self.0.get(&node)
    }

    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut State> {
        self.0.get_mut(&node)
    }

    pub(super) fn enter(&mut self, member: Member) -> &mut State {
        let state = self.0.entry(member.node).or_insert_with(|| State::new(member));
        state.peer.incarnation = member.incarnation;
        state
    }

    /// What is known of a member's node, which may not be linked, or be here as a later life.
    pub(super) fn meet(&mut self, member: Member) -> &mut State {
        let state = self.0.entry(member.node).or_insert_with(|| State::new(member));
        state.peer.incarnation = state.peer.incarnation.max(member.incarnation);
        state
    }

    /// All links are gone, and everybody is to be found again: the addresses of those who were here.
    pub(super) fn start_anew(&mut self) -> Vec<(NodeId, Vec<String>)> {
        let mut known = Vec::new();
        for (node, state) in &mut self.0 {
            state.ready = false;
            if !matches!(state.peer.status, Status::Failed | Status::Left) {
                state.set_status(Status::Joining, None);
            }
            if state.peer.status != Status::Left && !state.peer.addresses.is_empty() {
                known.push((*node, state.peer.addresses.clone()));
            }
        }
        known
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    pub(super) fn is_ready(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|state| state.ready)
    }

    pub(super) fn link(&self, node: NodeId) -> Option<&Link> {
        self.get(node)?.link.as_ref()
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.0.values().filter_map(|state| state.link.as_ref())
    }

    /// Takes the link over this connection away, if there is one.
    pub(super) fn unlink(&mut self, node: NodeId, connection: ConnectionId, reason: &str) -> Option<Link> {
        let state = self.0.get_mut(&node)?;
        let link = state.link.take_if(|link| link.connection == connection)?;
        reason.clone_into(&mut state.broken);
        link.close(reason);
        Some(link)
    }

    /// Whom this node can name to a peer that looks for others.
    pub(super) fn whereabouts(&self, asker: NodeId) -> Packet {
        let ready = self.0.values().filter(|state| state.ready && state.peer.id != asker);
        let whereabouts = ready.take(limits::PEERS_MAX).map(|state| Whereabouts {
            member: Member { node: state.peer.id, incarnation: state.peer.incarnation },
            addresses: state.peer.addresses.clone(),
        });
        Packet::Peers(whereabouts.collect())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (node, state) in &self.0 {
            snapshot.peers.insert(*node, state.peer.clone());
            let lane = state.link.as_ref().and_then(|link| link.lane.clone());
            if let (true, Some(lane)) = (state.ready, lane) {
                let functions = state.functions.clone();
                snapshot.routes.insert(*node, Route { lane, functions, workers: state.workers });
            }
        }
        snapshot
    }

    /// Ends every link, and says what remains to be known.
    pub(super) fn close(&mut self, reason: &str) -> Snapshot {
        for state in self.0.values_mut() {
            if let Some(link) = state.link.take() {
                link.close(reason);
            }
        }
        let peers = self.0.iter().map(|(node, state)| (*node, state.peer.clone())).collect();
        Snapshot { peers, closed: true, ..Snapshot::default() }
    }
}

impl State {
    fn new(member: Member) -> Self {
        let peer = Peer {
            id: member.node,
            incarnation: member.incarnation,
            name: member.node.short(),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            version: None,
            status: Status::Joining,
            rtt: None,
            load: None,
            hears: None,
            functions: Vec::new(),
            since: SystemTime::now(),
            reason: None,
        };
        Self {
            peer,
            functions: Arc::default(),
            workers: 1,
            rtt: None,
            link: None,
            ready: false,
            was_member: false,
            broken: String::new(),
        }
    }

    pub(super) fn set_status(&mut self, status: Status, reason: Option<String>) {
        self.peer.status = status;
        self.peer.reason = reason;
        self.peer.since = SystemTime::now();
    }

    /// Notes how long an echo took; true if that is news to whoever reads it.
    pub(super) fn answered(&mut self, rtt: Duration) -> bool {
        let mean = self.rtt.map_or(rtt, |before| (before * 7 + rtt) / 8);
        self.rtt = Some(mean);
        // Echoes are answered all the time, and each change is published to all who watch the roster.
        let news = self.peer.rtt.is_none_or(|told| told.abs_diff(mean) > told / 8);
        if news {
            self.peer.rtt = Some(mean);
        }
        news
    }

    /// Notes how the peer is, and whom it hears if that is known; true if that is news to whoever reads it.
    pub(super) fn felt(&mut self, load: detector::Load, hears: Option<Vec<NodeId>>) -> bool {
        let percent = |value: u8| (value <= 100).then_some(value);
        let load = Load { cpu: percent(load.cpu), memory: percent(load.memory), calls: load.calls };
        let news = self.peer.load.is_none_or(|told| told.is_far_from(&load)) || self.peer.hears != hears;
        if news {
            self.peer.load = Some(load);
            self.peer.hears = hears;
        }
        news
    }

    /// Reads what the peer says of itself; what cannot be read is left out.
    pub(super) fn describe(&mut self, catalog: &Book) {
        if let Some(name) = catalog.get(keys::NAME).and_then(|value| std::str::from_utf8(value).ok())
            && name::check(name).is_ok()
        {
            self.peer.name = name.to_owned();
        }
        if let Some(addresses) = catalog.get(keys::ADDRESSES).and_then(|value| codec::decode::<Vec<String>>(value).ok())
        {
            self.peer.addresses = addresses.into_iter().take(limits::ADDRESSES_MAX).collect();
        }
        self.workers = catalog.get(keys::WORKERS).and_then(|value| codec::decode(value).ok()).unwrap_or(1);
        let version = catalog.get(keys::VERSION).and_then(|value| std::str::from_utf8(value).ok());
        self.peer.version = version.filter(|version| name::check(version).is_ok()).map(str::to_owned);
        if let Some(labels) = catalog.get(keys::LABELS).and_then(|value| codec::decode(value).ok()) {
            self.peer.labels = labels;
        }
        let functions = catalog.with_prefix(keys::FUNCTION).filter_map(|(key, value)| {
            let name = key.strip_prefix(keys::FUNCTION)?;
            Some((name.to_owned(), codec::decode::<FunctionEntry>(value).ok()?))
        });
        let functions: BTreeMap<_, _> = functions.collect();
        if *self.functions != functions {
            self.peer.functions = functions.keys().cloned().collect();
            self.functions = Arc::new(functions);
        }
    }
}

impl Link {
    fn close(&self, reason: &str) {
        self.control.close();
        if let Some(lane) = &self.lane {
            lane.close(reason);
        }
    }
}
