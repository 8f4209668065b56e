//! The driver: one task that owns what this node knows about the others.
//!
//! It never waits for the network or for a peer: whatever waits is spawned and comes back as an [`Input`].
//!
//! Peers are judged by evidence of their links: a connection that breaks and cannot be made again at once, or echoes that
//! stay unanswered. Agreed views will take the place of these judgements where [`Driver::joined`], [`Driver::failed`] and
//! [`Driver::left`] are called; whatever else the driver does stays as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use guthi_core::{
    protocol::{
        catalog,
        packet::{FunctionEntry, Packet, Whereabouts, keys},
    },
    wire::{
        codec,
        frame::{self, Kind},
        id::{Member, NodeId},
        limits,
    },
};
use tokio::{
    io::AsyncRead,
    sync::{broadcast, mpsc, oneshot},
};

use super::roster::{Roster, Route, Snapshot};
use crate::{
    Event, JoinError, Peer, Status,
    calls::{executor::Executor, lane::Lane, outbox::Outbox},
    network::{
        self, Connection, ConnectionId, DialError, Network, Protocol, Stream,
        address::Address,
        admission::{self, Credentials, Links, Refused},
        buffer::ReadBuffer,
    },
};

/// How peers are polled. All are durations of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Time between two echoes to a peer.
    pub interval: Duration,
    /// Silence after which a peer is taken for dead; at least three intervals.
    pub timeout: Duration,
}

impl Default for Echo {
    fn default() -> Self {
        Self { interval: Duration::from_millis(250), timeout: Duration::from_secs(2) }
    }
}

impl Echo {
    /// The slow figures of an older design: 20 s between echoes, 10 s more until a peer counts as failed.
    #[must_use]
    pub const fn classic() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(30) }
    }
}

const INPUTS_QUEUED_MAX: usize = 1024;
/// A connection that is not admitted by then is closed.
const ADMISSION_MAX: Duration = Duration::from_secs(10);
/// How long the last words of a refusal may take.
const REFUSAL_GRACE: Duration = Duration::from_millis(200);
/// The one attempt to link again at once, before a peer with a broken link counts as failed.
const REDIAL_AT_ONCE_MAX: Duration = Duration::from_millis(1000);
const REDIAL_DELAY_MIN: Duration = Duration::from_millis(250);
const REDIAL_DELAY_MAX: Duration = Duration::from_secs(30);
/// A failed peer stays listed, and is dialled now and then, for so long.
const FAILED_LISTED: Duration = Duration::from_secs(24 * 3600);
const DIALS_MAX: usize = 32;
const CATALOG_DELTA_BYTES: usize = 256 * 1024;
const GOODBYE_MAX: Duration = Duration::from_millis(250);

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Link with the node at an address.
    Connect { address: Address, reply: oneshot::Sender<Result<NodeId, JoinError>> },
    /// This node's functions have changed.
    Announce { function: String, entry: FunctionEntry, reply: oneshot::Sender<Result<(), catalog::Refused>> },
    /// Say goodbye and end.
    Leave { reply: oneshot::Sender<()> },
}

/// What a driver is made of.
pub(crate) struct Setup {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) credentials: Credentials,
    pub(crate) executor: Arc<Executor>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) catalog: catalog::Writer,
    pub(crate) echo: Echo,
    pub(crate) fetch_peers: bool,
}

enum Input {
    Admitted { connection: Connection, result: Result<Member, Refused>, stream: Stream },
    Packet { connection: ConnectionId, packet: Packet },
    ControlEnded { connection: ConnectionId, reason: String },
    LaneOpened { connection: ConnectionId, result: std::io::Result<Stream> },
    LaneEnded { connection: ConnectionId, reason: String },
    Dialled { purpose: Purpose, result: Result<Connection, DialError> },
}

/// Why a dial was made.
enum Purpose {
    Connect { address: Address, reply: oneshot::Sender<Result<NodeId, JoinError>> },
    Meet(NodeId),
    Relink(NodeId),
}

pub(crate) struct Driver {
    setup: Setup,
    me: NodeId,
    links: Arc<Links>,
    inputs: mpsc::Sender<Input>,
    connections: BTreeMap<ConnectionId, Pending>,
    peers: BTreeMap<NodeId, State>,
    /// Who asked to be told when the connection is admitted.
    waiting: BTreeMap<ConnectionId, (Address, oneshot::Sender<Result<NodeId, JoinError>>)>,
    /// Who asked to be told when the peer is there.
    greeting: BTreeMap<NodeId, Vec<oneshot::Sender<Result<NodeId, JoinError>>>>,
    dialling: BTreeSet<NodeId>,
    /// Whom peers have named, to be dialled in turn.
    strangers: BTreeMap<NodeId, Vec<String>>,
    dirty: bool,
    awake: Instant,
}

/// A connection, admitted or not.
struct Pending {
    connection: Connection,
    since: Instant,
    admitted: bool,
    /// The control stream has been opened: a second one is refused.
    handshaking: bool,
    /// The lane came before the admission was known here.
    early_lane: Option<Stream>,
}

struct State {
    peer: Peer,
    copy: catalog::Copy,
    functions: Arc<BTreeMap<String, FunctionEntry>>,
    workers: u32,
    link: Option<Link>,
    redial: Option<Redial>,
    known_once: bool,
}

struct Link {
    connection: ConnectionId,
    control: Arc<Outbox>,
    lane: Option<Arc<Lane>>,
    /// What the peer knows of our catalog.
    told: u64,
    described: bool,
    /// It has asked for our peers, and is told once it is a member itself: so of two that join at once, the later one
    /// is told of the earlier.
    wants_peers: bool,
    heard: Instant,
    echo: EchoState,
}

struct EchoState {
    next: Instant,
    sequence: u64,
    sent: Instant,
    answered: bool,
}

struct Redial {
    at: Instant,
    delay: Duration,
    /// The peer fails if this attempt does.
    decisive: Option<String>,
}

impl Driver {
    pub(crate) async fn run(
        setup: Setup,
        mut network_events: mpsc::Receiver<network::Event>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let (inputs, mut inbox) = mpsc::channel(INPUTS_QUEUED_MAX);
        let mut driver = Self {
            me: setup.network.id(),
            setup,
            links: Arc::default(),
            inputs,
            connections: BTreeMap::new(),
            peers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            greeting: BTreeMap::new(),
            dialling: BTreeSet::new(),
            strangers: BTreeMap::new(),
            dirty: false,
            awake: Instant::now(),
        };
        loop {
            let deadline = driver.deadline();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(deadline.into()) => driver.wake(deadline),
                event = network_events.recv() => match event {
                    Some(event) => driver.network_event(event),
                    None => break,
                },
                Some(input) = inbox.recv() => driver.input(input),
                command = commands.recv() => match command {
                    Some(Command::Leave { reply }) => {
                        driver.leave().await;
                        // Whoever waits for this finds the links closed.
                        driver.end();
                        let _ = reply.send(());
                        return;
                    }
                    Some(command) => driver.command(command),
                    // The last handle is gone: links are closed without a goodbye.
                    None => break,
                },
            }
            driver.meet_next();
            driver.publish();
        }
        driver.end();
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { address, reply } => self.connect(address, reply),
            Command::Announce { function, entry, reply } => {
                let key = format!("{}{function}", keys::FUNCTION);
                let value = codec::encode(&entry, limits::CATALOG_VALUE_BYTES_MAX).unwrap_or_default();
                let result = self.setup.catalog.set(&key, value);
                self.tell_catalog();
                let _ = reply.send(result);
            }
            Command::Leave { .. } => unreachable!("the loop takes it"),
        }
    }

    fn connect(&self, address: Address, reply: oneshot::Sender<Result<NodeId, JoinError>>) {
        let (network, inputs) = (self.setup.network.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let result = if address.as_str().starts_with("/memory/") {
                network.dial(vec![address.as_str().to_owned()], None).await
            } else {
                match address.resolve().await {
                    Ok((found, expected)) => dial_in_turn(&*network, found, expected).await,
                    Err(reason) => Err(DialError::BadAddress { address: address.to_string(), reason }),
                }
            };
            let _ = inputs.send(Input::Dialled { purpose: Purpose::Connect { address, reply }, result }).await;
        });
    }

    fn network_event(&mut self, event: network::Event) {
        match event {
            network::Event::Connected(connection) => self.connected(connection),
            network::Event::Closed { connection, reason } => self.closed(connection, &reason),
            network::Event::Inbound { connection, protocol, stream } => self.inbound(connection, protocol, stream),
        }
    }

    fn connected(&mut self, connection: Connection) {
        let id = connection.id;
        let dialled = connection.dialled;
        let pending =
            Pending { connection, since: Instant::now(), admitted: false, handshaking: dialled, early_lane: None };
        self.connections.insert(id, pending);
        if dialled {
            self.handshake(id, None);
        }
    }

    /// Runs the admission on a control stream that is here already, or is opened now.
    fn handshake(&self, id: ConnectionId, stream: Option<Stream>) {
        let connection = self.connections[&id].connection.clone();
        let (network, inputs, links) = (self.setup.network.clone(), self.inputs.clone(), self.links.clone());
        let credentials = self.setup.credentials.clone();
        tokio::spawn(async move {
            let opened = match stream {
                Some(stream) => Ok(stream),
                None => network.open(id, Protocol::Control).await,
            };
            let Ok(mut stream) = opened else { return network.close(id) };
            let result = admission::admit(&credentials, &connection, &links, &mut stream).await;
            let refused = result.is_err();
            let _ = inputs.send(Input::Admitted { connection, result, stream }).await;
            if refused {
                tokio::time::sleep(REFUSAL_GRACE).await;
                network.close(id);
            }
        });
    }

    fn inbound(&mut self, id: ConnectionId, protocol: Protocol, stream: Stream) {
        let Some(pending) = self.connections.get_mut(&id) else { return };
        match protocol {
            Protocol::Control if !pending.connection.dialled && !pending.handshaking => {
                pending.handshaking = true;
                self.handshake(id, Some(stream));
            }
            Protocol::Calls if !pending.connection.dialled && !pending.admitted => {
                pending.early_lane = Some(stream);
            }
            Protocol::Calls if !pending.connection.dialled => self.lane_opened(id, Ok(stream)),
            Protocol::Bulk if pending.admitted => {
                let peer = pending.connection.peer;
                let link = self.peers.get(&peer).and_then(|state| state.link.as_ref());
                if let Some(lane) = link.filter(|link| link.connection == id).and_then(|link| link.lane.as_ref()) {
                    lane.receive_apart(stream);
                }
            }
            // A stream that nobody may open is dropped, which resets it.
            Protocol::Control | Protocol::Calls | Protocol::Bulk => {
                tracing::debug!(peer = ?pending.connection.peer, protocol = protocol.name(), "refused a stream");
            }
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Admitted { connection, result: Ok(member), stream } => self.admitted(&connection, member, stream),
            Input::Admitted { connection, result: Err(refused), .. } => self.refused(&connection, refused),
            Input::Packet { connection, packet } => self.packet(connection, packet),
            Input::ControlEnded { connection, reason } | Input::LaneEnded { connection, reason } => {
                // Both streams live as long as the link: if one breaks, the link is broken.
                self.setup.network.close(connection);
                self.unlinked(connection, &reason);
            }
            Input::LaneOpened { connection, result } => self.lane_opened(connection, result),
            Input::Dialled { purpose, result } => self.dialled(purpose, result),
        }
    }

    fn admitted(&mut self, connection: &Connection, member: Member, stream: Stream) {
        let id = connection.id;
        let Some(pending) = self.connections.get_mut(&id) else { return };
        if !self.links.is_link(id, member.node) {
            return self.setup.network.close(id);
        }
        pending.admitted = true;
        let early_lane = pending.early_lane.take();
        let before = self.peers.get(&member.node).and_then(|state| state.link.as_ref()).map(|link| link.connection);
        if let Some(old) = before {
            self.unlink_quietly(old, "a newer link took its place");
        }
        let now = Instant::now();
        let control = Arc::new(Outbox::default());
        let state = self.peers.entry(member.node).or_insert_with(|| State::new(member));
        if state.peer.incarnation != member.incarnation {
            state.peer.incarnation = member.incarnation;
        }
        state.copy = catalog::Copy::default();
        state.redial = None;
        state.link = Some(Link {
            connection: id,
            control: control.clone(),
            lane: None,
            told: 0,
            described: false,
            wants_peers: false,
            heard: now,
            echo: EchoState { next: now, sequence: 0, sent: now, answered: true },
        });
        if !state.known_once {
            state.set_status(Status::Joining, None);
        }
        self.dialling.remove(&member.node);
        self.spawn_control(id, control, stream);
        self.tell_catalog();
        if self.setup.fetch_peers && connection.dialled {
            self.send(member.node, &Packet::PeersWanted);
        }
        if connection.dialled {
            self.open_lane(id);
        } else if let Some(stream) = early_lane {
            self.lane_opened(id, Ok(stream));
        }
        if let Some((_, reply)) = self.waiting.remove(&id) {
            self.greeting.entry(member.node).or_default().push(reply);
        }
        self.dirty = true;
    }

    fn refused(&mut self, connection: &Connection, refused: Refused) {
        tracing::debug!(peer = ?connection.peer, address = connection.address, %refused, "not admitted");
        if let (Refused::Other(reason), Some(state)) = (&refused, self.peers.get(&connection.peer))
            && reason.contains("this identity")
            && !connection.dialled
        {
            let peer = state.peer.clone();
            tracing::warn!(peer = ?peer.id, "another process has the identity of a linked peer; it was refused");
            self.emit(Event::DuplicateIdentity { peer });
        }
        if refused == Refused::Duplicate {
            // The link is, or will be, another connection: whoever waits, waits for the peer.
            if let Some((_, reply)) = self.waiting.remove(&connection.id) {
                self.greet(connection.peer, reply);
            }
            return;
        }
        self.dialling.remove(&connection.peer);
        if let Some((address, reply)) = self.waiting.remove(&connection.id) {
            let _ = reply.send(Err(join_error(address.to_string(), refused)));
        }
    }

    fn greet(&mut self, node: NodeId, reply: oneshot::Sender<Result<NodeId, JoinError>>) {
        if self.peers.get(&node).is_some_and(State::is_ready) {
            let _ = reply.send(Ok(node));
        } else {
            self.greeting.entry(node).or_default().push(reply);
        }
    }

    fn spawn_control(&self, id: ConnectionId, control: Arc<Outbox>, stream: Stream) {
        let inputs = self.inputs.clone();
        let (reading, writing) = tokio::io::split(stream);
        tokio::spawn(async move {
            let reason = tokio::select! {
                reason = read_packets(reading, id, &inputs) => reason,
                carried = control.carry(writing) => carried.map_or_else(|error| error.to_string(), |()| "closed".into()),
            };
            control.close();
            let _ = inputs.send(Input::ControlEnded { connection: id, reason }).await;
        });
    }

    fn open_lane(&self, id: ConnectionId) {
        let opening = self.setup.network.open(id, Protocol::Calls);
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let result = opening.await;
            let _ = inputs.send(Input::LaneOpened { connection: id, result }).await;
        });
    }

    fn lane_opened(&mut self, id: ConnectionId, result: std::io::Result<Stream>) {
        let Some(node) = self.connections.get(&id).map(|pending| pending.connection.peer) else { return };
        let Some(link) = self.peers.get_mut(&node).and_then(|state| state.link.as_mut()) else { return };
        if link.connection != id || link.lane.is_some() {
            return;
        }
        let stream = match result {
            Ok(stream) => stream,
            Err(error) => return self.unlinked(id, &format!("no lane could be opened: {error}")),
        };
        let lane = Lane::new(node, id, self.setup.network.clone(), self.setup.executor.clone());
        link.lane = Some(lane.clone());
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let reason = lane.run(stream).await;
            let _ = inputs.send(Input::LaneEnded { connection: id, reason }).await;
        });
        self.check_ready(node);
    }

    fn packet(&mut self, id: ConnectionId, packet: Packet) {
        let Some(node) = self.connections.get(&id).map(|pending| pending.connection.peer) else { return };
        let Some(state) = self.peers.get_mut(&node) else { return };
        let Some(link) = state.link.as_mut().filter(|link| link.connection == id) else { return };
        let now = Instant::now();
        link.heard = now;
        match packet {
            Packet::Echo { sequence } => self.send(node, &Packet::EchoReply { sequence }),
            Packet::EchoReply { sequence } => {
                if sequence == link.echo.sequence && !link.echo.answered {
                    link.echo.answered = true;
                    let rtt = now - link.echo.sent;
                    state.peer.rtt = Some(state.peer.rtt.map_or(rtt, |before| (before * 7 + rtt) / 8));
                    self.dirty = true;
                }
            }
            Packet::Catalog(delta) => self.catalog(node, delta),
            Packet::PeersWanted => {
                link.wants_peers = true;
                self.tell_peers(node);
            }
            Packet::Peers(list) => self.meet(list),
            Packet::Leaving => self.said_goodbye(node),
        }
    }

    fn catalog(&mut self, node: NodeId, delta: catalog::Delta) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        if let Err(ignored) = state.copy.apply(delta) {
            tracing::warn!(peer = ?node, ?ignored, "a catalog change was ignored");
            return;
        }
        state.describe();
        if let Some(link) = &mut state.link {
            link.described = true;
        }
        self.dirty = true;
        self.check_ready(node);
    }

    fn tell_peers(&mut self, node: NodeId) {
        let Some(state) = self.peers.get_mut(&node).filter(|state| state.is_ready()) else { return };
        if state.link.as_mut().is_some_and(|link| std::mem::take(&mut link.wants_peers)) {
            let packet = self.peers_packet(node);
            self.send(node, &packet);
        }
    }

    fn peers_packet(&self, asker: NodeId) -> Packet {
        let linked = self.peers.values().filter(|state| state.is_ready() && state.peer.id != asker);
        let whereabouts = linked.take(limits::PEERS_MAX).map(|state| Whereabouts {
            member: Member { node: state.peer.id, incarnation: state.peer.incarnation },
            addresses: state.peer.addresses.clone(),
        });
        Packet::Peers(whereabouts.collect())
    }

    /// Notes those whom a peer knows and this node perhaps does not.
    fn meet(&mut self, list: Vec<Whereabouts>) {
        if !self.setup.fetch_peers {
            return;
        }
        for Whereabouts { member, addresses } in list.into_iter().take(limits::PEERS_MAX) {
            if self.strangers.len() < limits::PEERS_MAX && !addresses.is_empty() {
                let addresses = addresses.into_iter().take(limits::ADDRESSES_MAX).collect();
                self.strangers.insert(member.node, addresses);
            }
        }
    }

    /// Dials strangers as long as there is room for one more dial.
    fn meet_next(&mut self) {
        while self.dialling.len() < DIALS_MAX {
            let Some((node, addresses)) = self.strangers.pop_first() else { return };
            let linked = self.peers.get(&node).is_some_and(|state| state.link.is_some());
            if node != self.me && !linked && self.dialling.insert(node) {
                self.dial(Purpose::Meet(node), node, addresses, ADMISSION_MAX);
            }
        }
    }

    fn dial(&self, purpose: Purpose, node: NodeId, addresses: Vec<String>, patience: Duration) {
        let dialling = self.setup.network.dial(addresses.clone(), Some(node));
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let late = DialError::Unreachable { addresses, reason: format!("no answer within {patience:?}") };
            let result = tokio::time::timeout(patience, dialling).await.unwrap_or(Err(late));
            let _ = inputs.send(Input::Dialled { purpose, result }).await;
        });
    }

    fn dialled(&mut self, purpose: Purpose, result: Result<Connection, DialError>) {
        match (purpose, result) {
            (Purpose::Connect { address, reply }, Ok(connection)) => {
                if self.connections.contains_key(&connection.id) {
                    self.waiting.insert(connection.id, (address, reply));
                } else {
                    self.greet(connection.peer, reply);
                }
            }
            (Purpose::Connect { address, reply }, Err(error)) => {
                let address = address.to_string();
                let error = match error {
                    DialError::BadAddress { reason, .. } => JoinError::BadAddress { address, reason },
                    DialError::Myself => JoinError::Myself { address },
                    DialError::Unreachable { reason, .. } => JoinError::Unreachable { address, reason },
                    DialError::Stopping => JoinError::Left,
                };
                let _ = reply.send(Err(error));
            }
            (Purpose::Meet(_) | Purpose::Relink(_), Ok(_)) => {}
            (Purpose::Meet(node), Err(error)) => {
                tracing::debug!(peer = ?node, %error, "a peer of a peer cannot be reached");
                self.dialling.remove(&node);
            }
            (Purpose::Relink(node), Err(error)) => self.relink_failed(node, &error),
        }
    }

    fn relink_failed(&mut self, node: NodeId, error: &DialError) {
        self.dialling.remove(&node);
        let Some(state) = self.peers.get_mut(&node) else { return };
        if state.link.is_some() {
            return;
        }
        if !state.known_once {
            self.peers.remove(&node);
            self.dirty = true;
            return;
        }
        let Some(redial) = &mut state.redial else { return };
        redial.delay = (redial.delay * 2).min(REDIAL_DELAY_MAX);
        redial.at = Instant::now() + redial.delay;
        if let Some(reason) = redial.decisive.take() {
            tracing::debug!(peer = ?node, %error, "linking again at once failed");
            self.failed(node, &reason);
        }
    }

    /// A connection is gone, whoever closed it.
    fn closed(&mut self, id: ConnectionId, reason: &str) {
        self.unlinked(id, reason);
        let Some(pending) = self.connections.remove(&id) else { return };
        self.links.forget(id, pending.connection.peer);
        if let Some((address, reply)) = self.waiting.remove(&id) {
            let (address, reason) = (address.to_string(), format!("the connection was closed: {reason}"));
            let _ = reply.send(Err(JoinError::Unreachable { address, reason }));
        }
        if !pending.admitted {
            self.dialling.remove(&pending.connection.peer);
        }
    }

    /// The link over this connection is broken: one immediate attempt decides whether the peer is.
    fn unlinked(&mut self, id: ConnectionId, reason: &str) {
        let Some(node) = self.unlink_quietly(id, reason) else { return };
        let Some(state) = self.peers.get_mut(&node) else { return };
        if state.peer.status == Status::Left {
            return;
        }
        let reason = format!("the link broke: {reason}");
        state.redial = Some(Redial { at: Instant::now(), delay: REDIAL_DELAY_MIN, decisive: Some(reason.clone()) });
        if state.peer.status == Status::Alive {
            state.set_status(Status::Suspected, Some(reason.clone()));
            let peer = state.peer.clone();
            self.emit(Event::Suspected { peer, reason });
        }
        self.dirty = true;
        self.redial_due(Instant::now());
    }

    /// Takes the link over this connection away, if there is one; calls over it end as lost.
    fn unlink_quietly(&mut self, id: ConnectionId, reason: &str) -> Option<NodeId> {
        let node = self.connections.get(&id)?.connection.peer;
        let state = self.peers.get_mut(&node)?;
        let link = state.link.take_if(|link| link.connection == id)?;
        link.control.close();
        if let Some(lane) = link.lane {
            lane.close(reason);
        }
        self.links.forget(id, node);
        self.setup.network.close(id);
        self.dirty = true;
        Some(node)
    }

    fn said_goodbye(&mut self, node: NodeId) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        state.redial = None;
        self.left(node);
    }

    fn check_ready(&mut self, node: NodeId) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        if !state.link.as_ref().is_some_and(|link| link.described && link.lane.is_some()) {
            return;
        }
        self.joined(node);
        self.tell_peers(node);
        // Whoever waits finds the peer in the roster, and its functions.
        self.publish();
        for reply in self.greeting.remove(&node).unwrap_or_default() {
            let _ = reply.send(Ok(node));
        }
    }

    /// A linked peer has described itself.
    fn joined(&mut self, node: NodeId) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        let before = state.peer.status;
        if before == Status::Alive {
            return;
        }
        state.set_status(Status::Alive, None);
        let known = std::mem::replace(&mut state.known_once, true);
        let peer = state.peer.clone();
        self.dirty = true;
        // Whoever reacts to the event finds the peer in the roster.
        self.publish();
        self.emit(match before {
            Status::Suspected => Event::Trusted { peer },
            Status::Failed | Status::Left if known => Event::Recovered { peer },
            _ => Event::Joined { peer },
        });
    }

    /// A peer is taken for dead.
    fn failed(&mut self, node: NodeId, reason: &str) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        if !matches!(state.peer.status, Status::Alive | Status::Suspected) {
            return;
        }
        state.set_status(Status::Failed, Some(reason.to_owned()));
        let peer = state.peer.clone();
        self.dirty = true;
        self.publish();
        self.emit(Event::Failed { peer, reason: reason.to_owned() });
    }

    /// A peer has said goodbye.
    fn left(&mut self, node: NodeId) {
        let Some(state) = self.peers.get_mut(&node) else { return };
        if state.peer.status == Status::Left {
            return;
        }
        let known = state.known_once;
        state.set_status(Status::Left, None);
        let peer = state.peer.clone();
        self.dirty = true;
        self.publish();
        if known {
            self.emit(Event::Left { peer });
        }
    }

    fn emit(&self, event: Event) {
        if let Some(peer) = event.peer() {
            let reason = peer.reason.as_deref().unwrap_or_default();
            tracing::info!(peer = peer.id.short(), name = peer.name, reason, "{}", event.name());
        }
        // Nobody listens.
        let _ = self.setup.events.send(event);
    }

    /// When something is due; at the latest in a second, which shows a stall of this process.
    fn deadline(&self) -> Instant {
        let echoes = self.peers.values().filter_map(|state| state.link.as_ref()).map(|link| link.echo.next);
        let redials = self.peers.values().filter_map(|state| state.redial.as_ref()).map(|redial| redial.at);
        let admissions = self.connections.values().filter(|pending| !pending.admitted);
        let admissions = admissions.map(|pending| pending.since + ADMISSION_MAX);
        let soonest = echoes.chain(redials).chain(admissions).min();
        let latest = Instant::now() + self.setup.echo.interval.min(Duration::from_secs(1));
        soonest.map_or(latest, |soonest| soonest.min(latest))
    }

    fn wake(&mut self, due: Instant) {
        let now = Instant::now();
        // This process itself was stopped or starved: others cannot be blamed for what it did not hear.
        if now - due.min(now) > self.setup.echo.interval && now - self.awake > self.setup.echo.interval {
            for link in self.peers.values_mut().filter_map(|state| state.link.as_mut()) {
                link.heard = now;
            }
        }
        self.awake = now;
        self.echo(now);
        self.redial_due(now);
        self.close_strangers(now);
        self.peers.retain(|_, state| {
            let gone = matches!(state.peer.status, Status::Failed | Status::Left);
            !gone || state.peer.since.elapsed().is_ok_and(|age| age < FAILED_LISTED)
        });
    }

    fn echo(&mut self, now: Instant) {
        let Echo { interval, timeout } = self.setup.echo;
        let mut silent = Vec::new();
        let mut due = Vec::new();
        for (node, state) in &mut self.peers {
            let Some(link) = &mut state.link else { continue };
            if link.lane.as_ref().is_some_and(|lane| lane.heard()) {
                link.heard = now;
            }
            if now - link.heard >= timeout {
                silent.push((*node, link.connection));
            } else if now >= link.echo.next {
                link.echo.next = now + interval;
                // An unanswered echo is not repeated under a new number, so that its answer still counts.
                if link.echo.answered || now - link.echo.sent >= timeout {
                    link.echo = EchoState { sequence: link.echo.sequence + 1, sent: now, answered: false, ..link.echo };
                }
                due.push((*node, link.echo.sequence));
            }
        }
        for (node, sequence) in due {
            self.send(node, &Packet::Echo { sequence });
        }
        for (node, connection) in silent {
            let reason = format!("no answer for {:.1} s", timeout.as_secs_f64());
            self.unlink_quietly(connection, &reason);
            if let Some(state) = self.peers.get_mut(&node) {
                state.redial = Some(Redial { at: now + REDIAL_DELAY_MIN, delay: REDIAL_DELAY_MIN, decisive: None });
            }
            self.failed(node, &reason);
        }
    }

    fn redial_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (node, state) in &mut self.peers {
            let Some(redial) = state.redial.as_mut().filter(|redial| redial.at <= now) else { continue };
            // Set forward even if a dial is under way: its failure sets the real time.
            redial.at = now + redial.delay + jitter(redial.delay);
            if !self.dialling.contains(node) && self.dialling.len() < DIALS_MAX {
                let patience = if redial.decisive.is_some() { REDIAL_AT_ONCE_MAX } else { ADMISSION_MAX };
                due.push((*node, state.peer.addresses.clone(), patience));
            }
        }
        for (node, addresses, patience) in due {
            self.dialling.insert(node);
            self.dial(Purpose::Relink(node), node, addresses, patience);
        }
    }

    fn close_strangers(&mut self, now: Instant) {
        let late = |pending: &&mut Pending| !pending.admitted && now - pending.since >= ADMISSION_MAX;
        for pending in self.connections.values_mut().filter(late) {
            // Asked again after another period, should it still be there.
            pending.since = now;
            self.setup.network.close(pending.connection.id);
        }
    }

    fn tell_catalog(&mut self) {
        let sequence = self.setup.catalog.sequence();
        let nodes: Vec<_> = self.peers.keys().copied().collect();
        for node in nodes {
            let Some(link) = self.peers.get_mut(&node).and_then(|state| state.link.as_mut()) else { continue };
            let told = std::mem::replace(&mut link.told, sequence);
            for delta in self.setup.catalog.deltas(told, CATALOG_DELTA_BYTES) {
                self.send(node, &Packet::Catalog(delta));
            }
        }
    }

    fn send(&self, node: NodeId, packet: &Packet) {
        let Some(link) = self.peers.get(&node).and_then(|state| state.link.as_ref()) else { return };
        // A closed outbox means that the link is ending, which comes as an input of its own.
        let _ = link.control.push(|buffer| {
            frame::put(buffer, Kind::Control, 0, 0, |body| codec::encode_into(packet, body))
                .expect("a packet is plain data");
        });
    }

    fn publish(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let mut snapshot = Snapshot::default();
        for (node, state) in &self.peers {
            snapshot.peers.insert(*node, state.peer.clone());
            let lane = state.link.as_ref().and_then(|link| link.lane.clone());
            if let (Status::Alive, Some(lane)) = (state.peer.status, lane) {
                snapshot
                    .routes
                    .insert(*node, Route { lane, functions: state.functions.clone(), workers: state.workers });
            }
        }
        self.setup.roster.publish(snapshot);
    }

    /// Says goodbye to all; the future gives the words time to leave.
    fn leave(&self) -> impl Future<Output = ()> + use<> {
        for node in self.peers.keys() {
            self.send(*node, &Packet::Leaving);
        }
        let links = self.peers.values().filter_map(|state| state.link.as_ref());
        let outboxes: Vec<_> = links.map(|link| link.control.clone()).collect();
        async move {
            let sent = async {
                while outboxes.iter().any(|outbox| !outbox.is_empty()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                // What has left the buffers is still in the hands of the connection task.
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let _ = tokio::time::timeout(GOODBYE_MAX, sent).await;
        }
    }

    fn end(&mut self) {
        for state in self.peers.values_mut() {
            if let Some(link) = state.link.take() {
                link.control.close();
                if let Some(lane) = link.lane {
                    lane.close("this node has left");
                }
            }
        }
        for id in self.connections.keys() {
            self.setup.network.close(*id);
        }
        let peers = self.peers.iter().map(|(node, state)| (*node, state.peer.clone())).collect();
        self.setup.roster.publish(Snapshot { peers, closed: true, ..Snapshot::default() });
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
            status: Status::Joining,
            rtt: None,
            functions: Vec::new(),
            since: SystemTime::now(),
            reason: None,
        };
        Self {
            peer,
            copy: catalog::Copy::default(),
            functions: Arc::default(),
            workers: 1,
            link: None,
            redial: None,
            known_once: false,
        }
    }

    fn set_status(&mut self, status: Status, reason: Option<String>) {
        self.peer.status = status;
        self.peer.reason = reason;
        self.peer.since = SystemTime::now();
    }

    fn is_ready(&self) -> bool {
        self.peer.status == Status::Alive
    }

    /// Reads what the peer's catalog says; what cannot be read is left out.
    fn describe(&mut self) {
        let one = |key: &'static str| {
            self.copy.with_prefix(key).next().filter(|(found, _)| *found == key).map(|(_, value)| value)
        };
        if let Some(name) = one(keys::NAME).and_then(|value| std::str::from_utf8(value).ok())
            && crate::api::builder::check_name(name).is_ok()
        {
            self.peer.name = name.to_owned();
        }
        if let Some(addresses) = one(keys::ADDRESSES).and_then(|value| codec::decode::<Vec<String>>(value).ok()) {
            self.peer.addresses = addresses.into_iter().take(limits::ADDRESSES_MAX).collect();
        }
        self.workers = one(keys::WORKERS).and_then(|value| codec::decode(value).ok()).unwrap_or(1);
        if let Some(labels) = one(keys::LABELS).and_then(|value| codec::decode(value).ok()) {
            self.peer.labels = labels;
        }
        let functions = self.copy.with_prefix(keys::FUNCTION).filter_map(|(key, value)| {
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

/// Tries addresses one after the other where no identity is expected, since the swarm takes but one then.
async fn dial_in_turn(
    network: &dyn Network,
    addresses: Vec<libp2p::Multiaddr>,
    expected: Option<NodeId>,
) -> Result<Connection, DialError> {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if expected.is_some() {
        return network.dial(addresses, expected).await;
    }
    let mut last = DialError::Unreachable { addresses: Vec::new(), reason: "no address is known".into() };
    for address in addresses {
        match network.dial(vec![address], None).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn read_packets(mut stream: impl AsyncRead + Unpin, id: ConnectionId, inputs: &mpsc::Sender<Input>) -> String {
    let mut buffer = ReadBuffer::new(4096);
    loop {
        loop {
            let (packet, taken) = match frame::take(buffer.unread(), limits::CONTROL_FRAME_BYTES_MAX) {
                Ok(Some((frame, taken))) if frame.kind == Kind::Control => match codec::decode(frame.body) {
                    Ok(packet) => (packet, taken),
                    Err(error) => return format!("a packet that cannot be read: {error}"),
                },
                Ok(Some(_)) => return "a frame that does not belong on the control stream".into(),
                Ok(None) => break,
                Err(error) => return error.to_string(),
            };
            buffer.take(taken);
            if inputs.send(Input::Packet { connection: id, packet }).await.is_err() {
                return "this node has left".into();
            }
        }
        match buffer.fill(&mut stream).await {
            Ok(0) => return "closed by the peer".into(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

fn join_error(address: String, refused: Refused) -> JoinError {
    match refused {
        Refused::WrongKey => JoinError::WrongKey { address },
        Refused::WrongCluster => JoinError::WrongCluster { address },
        Refused::WrongVersion(version) => {
            JoinError::WrongVersion { address, version, ours: guthi_core::wire::version::WIRE_VERSION }
        }
        Refused::Duplicate => JoinError::Refused { address, reason: "it is linked already".into() },
        Refused::Other(reason) => JoinError::Refused { address, reason },
    }
}

/// Up to a quarter of the delay, so that those who lost each other do not dial in step.
fn jitter(delay: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without entropy they do, and the admission sorts it out.
    let _ = getrandom::fill(&mut byte);
    delay / 1024 * u32::from(byte[0])
}
