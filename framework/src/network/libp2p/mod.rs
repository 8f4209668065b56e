//! The real network: libp2p over TCP, noise and yamux, and over QUIC with the feature `quic`.

mod behaviour;
mod sliced;
mod socket;
mod threads;
mod wakes;

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, io::BufReader};
use guthi_core::wire::id::NodeId;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    connection_limits::{self, ConnectionLimits},
    core::{ConnectedPoint, muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::{Keypair, PublicKey, ed25519},
    noise,
    swarm::{
        self, DialError as SwarmDialError, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use self::{sliced::Sliced, socket::Socket, threads::Threads, wakes::Gathering};
use super::{
    Connection, ConnectionId, DialError, EVENTS_QUEUED_MAX, Event, Network, Protocol, StartError, Stream, address,
};

/// Bytes read from a socket at once. Large reads halve the number of system calls under load.
const SOCKET_READ_BYTES: usize = 256 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the interfaces of the machine may take to be listed.
const WILDCARD_ADDRESSES_MAX: Duration = Duration::from_millis(50);
const COMMANDS_QUEUED_MAX: usize = 1024;
/// A link, one for large payloads from each side, and as many again while a link is made anew.
const CONNECTIONS_PER_PEER_MAX: u32 = 6;
const CONNECTIONS_PENDING_MAX: u32 = 64;
const CONNECTIONS_MAX: u32 = 2048;

/// A running swarm; dropping it closes everything.
pub(crate) struct Libp2p {
    id: NodeId,
    commands: mpsc::Sender<Command>,
    addresses: Arc<Mutex<Vec<String>>>,
    threads: Threads,
}

/// What a swarm needs to start.
pub(crate) struct Config {
    /// The secret half of the node's identity, 32 bytes.
    pub(crate) secret: [u8; 32],
    /// Where to listen.
    pub(crate) listen: Vec<Multiaddr>,
}

type DialReply = oneshot::Sender<Result<Connection, DialError>>;

enum Command {
    Dial { addresses: Vec<Multiaddr>, expected: Option<PeerId>, reply: oneshot::Sender<Result<Connection, DialError>> },
    Open { connection: ConnectionId, protocol: Protocol, reply: oneshot::Sender<io::Result<libp2p::Stream>> },
    Close(ConnectionId),
}

impl Libp2p {
    /// Starts a swarm on the current runtime; returns when it listens.
    pub(crate) async fn start(config: Config) -> Result<(Self, mpsc::Receiver<Event>), StartError> {
        let keypair = keypair(config.secret)?;
        let id = node_id(&keypair.public().to_peer_id()).expect("the key is ed25519");
        let threads = Threads::default();
        let mut swarm = swarm(&keypair, threads.clone())?;
        let wildcard = config.listen.iter().any(is_wildcard);
        for address in config.listen {
            let refused = |error: &dyn std::fmt::Display, in_use| StartError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
                in_use,
            };
            // The transport lets any number of sockets share a port, those of other processes too: we ask who is there.
            let port = address::plain(&address.to_string()).and_then(|text| text.parse::<SocketAddr>().ok());
            if let Some(port) = port
                && let Err(error) = TcpListener::bind(port)
                && error.kind() == io::ErrorKind::AddrInUse
            {
                return Err(refused(&error, true));
            }
            swarm.listen_on(address.clone()).map_err(|error| {
                let in_use = format!("{error:?}").contains("AddrInUse");
                refused(&error, in_use)
            })?;
            loop {
                match swarm.next().await {
                    Some(SwarmEvent::NewListenAddr { .. }) => break,
                    Some(SwarmEvent::ListenerClosed { reason, .. }) => {
                        return Err(refused(&format!("{reason:?}"), false));
                    }
                    Some(SwarmEvent::ListenerError { error, .. }) => return Err(refused(&error, false)),
                    Some(_) => {}
                    None => return Err(refused(&"the swarm ended", false)),
                }
            }
        }
        // A wildcard address stands for several, which come one by one.
        let more = async { while swarm.next().await.is_some() {} };
        if wildcard {
            let _ = tokio::time::timeout(WILDCARD_ADDRESSES_MAX, more).await;
        }
        let addresses = Arc::new(Mutex::new(swarm.listeners().map(ToString::to_string).collect()));
        let (commands, inbox) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let (events, outbox) = mpsc::channel(EVENTS_QUEUED_MAX);
        let keeper = Keeper {
            swarm,
            events,
            addresses: addresses.clone(),
            next: 0,
            ids: HashMap::new(),
            open: HashMap::new(),
            dials: HashMap::new(),
        };
        tokio::spawn(keeper.run(inbox));
        Ok((Self { id, commands, addresses, threads }, outbox))
    }
}

impl Network for Libp2p {
    fn id(&self) -> NodeId {
        self.id
    }

    fn addresses(&self) -> Vec<String> {
        self.addresses.lock().map(|addresses| addresses.clone()).unwrap_or_default()
    }

    fn dial(
        &self,
        addresses: Vec<String>,
        expected: Option<NodeId>,
    ) -> BoxFuture<'static, Result<Connection, DialError>> {
        let commands = self.commands.clone();
        Box::pin(async move {
            let parse = |address: &String| {
                address
                    .parse::<Multiaddr>()
                    .map_err(|error| DialError::BadAddress { address: address.clone(), reason: error.to_string() })
            };
            let addresses = addresses.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            let (reply, answer) = oneshot::channel();
            let command = Command::Dial { addresses, expected: expected.and_then(peer_id), reply };
            commands.send(command).await.map_err(|_| DialError::Stopping)?;
            answer.await.map_err(|_| DialError::Stopping)?
        })
    }

    fn open(&self, connection: ConnectionId, protocol: Protocol) -> BoxFuture<'static, io::Result<Stream>> {
        let commands = self.commands.clone();
        Box::pin(async move {
            let gone = || io::Error::from(io::ErrorKind::NotConnected);
            let (reply, answer) = oneshot::channel();
            commands.send(Command::Open { connection, protocol, reply }).await.map_err(|_| gone())?;
            let stream = answer.await.map_err(|_| gone())??;
            Ok(boxed(protocol, stream))
        })
    }

    fn close(&self, connection: ConnectionId) {
        // A full queue means that the swarm is overwhelmed or gone; the echo will notice what stays open.
        let _ = self.commands.try_send(Command::Close(connection));
    }

    fn bulk(&self) -> Option<Handle> {
        self.threads.bulk()
    }
}

/// The task that owns the swarm.
struct Keeper {
    swarm: Swarm<Composite>,
    events: mpsc::Sender<Event>,
    addresses: Arc<Mutex<Vec<String>>>,
    next: u64,
    ids: HashMap<swarm::ConnectionId, ConnectionId>,
    open: HashMap<ConnectionId, (swarm::ConnectionId, PeerId)>,
    dials: HashMap<swarm::ConnectionId, (Vec<Multiaddr>, DialReply)>,
}

#[derive(NetworkBehaviour)]
struct Composite {
    limits: connection_limits::Behaviour,
    streams: behaviour::Behaviour,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            let event = tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => {
                        self.command(command);
                        continue;
                    }
                    None => return,
                },
                event = self.swarm.select_next_some() => self.translate(event),
            };
            // The driver never waits for the network, so waiting for it here cannot lock both.
            if let Some(event) = event
                && self.events.send(event).await.is_err()
            {
                return;
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Dial { addresses, expected, reply } => self.dial(addresses, expected, reply),
            Command::Open { connection, protocol, reply } => {
                // An unknown connection drops `reply`, which is the answer.
                if let Some(&(id, peer)) = self.open.get(&connection) {
                    self.swarm.behaviour_mut().streams.open(peer, id, protocol, reply);
                }
            }
            Command::Close(connection) => {
                if let Some(&(id, _)) = self.open.get(&connection) {
                    self.swarm.close_connection(id);
                }
            }
        }
    }

    fn dial(&mut self, addresses: Vec<Multiaddr>, expected: Option<PeerId>, reply: DialReply) {
        let Some(first) = addresses.first().cloned() else {
            let _ = reply.send(Err(DialError::Unreachable { addresses: vec![], reason: "no address is known".into() }));
            return;
        };
        // From a port of its own: two nodes that dial each other from their listening ports at the same moment would
        // make one TCP connection with a dialler at both ends, and neither attempt would succeed.
        let options = match expected {
            Some(peer) => {
                let options = DialOpts::peer_id(peer).condition(PeerCondition::Always);
                options.addresses(addresses.clone()).allocate_new_port().build()
            }
            None => DialOpts::unknown_peer_id().address(first).allocate_new_port().build(),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(id, (addresses, reply));
            }
            Err(error) => {
                let _ = reply.send(Err(dial_error(error, &addresses)));
            }
        }
    }

    fn translate(&mut self, event: SwarmEvent<CompositeEvent>) -> Option<Event> {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.established(peer_id, connection_id, &endpoint)
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                let connection = self.ids.remove(&connection_id)?;
                self.open.remove(&connection);
                let reason = cause.map_or_else(|| "closed".into(), |cause| root_cause(&cause));
                Some(Event::Closed { connection, reason })
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some((addresses, reply)) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Err(dial_error(error, &addresses)));
                }
                None
            }
            SwarmEvent::NewListenAddr { .. } | SwarmEvent::ExpiredListenAddr { .. } => {
                if let Ok(mut addresses) = self.addresses.lock() {
                    *addresses = self.swarm.listeners().map(ToString::to_string).collect();
                }
                None
            }
            SwarmEvent::Behaviour(CompositeEvent::Streams(arrival)) => {
                let connection = *self.ids.get(&arrival.connection)?;
                Some(Event::Inbound {
                    connection,
                    protocol: arrival.protocol,
                    stream: boxed(arrival.protocol, arrival.stream),
                })
            }
            _ => None,
        }
    }

    fn established(
        &mut self,
        peer: PeerId,
        connection_id: swarm::ConnectionId,
        endpoint: &ConnectedPoint,
    ) -> Option<Event> {
        let dial = self.dials.remove(&connection_id);
        let Some(node) = node_id(&peer) else {
            // Guthi's nodes have ed25519 identities; whoever has another is none.
            self.swarm.close_connection(connection_id);
            return None;
        };
        self.next += 1;
        let id = ConnectionId(self.next);
        self.ids.insert(connection_id, id);
        self.open.insert(id, (connection_id, peer));
        let connection = Connection {
            id,
            peer: node,
            dialled: endpoint.is_dialer(),
            address: endpoint.get_remote_address().to_string(),
        };
        if let Some((_, reply)) = dial {
            let _ = reply.send(Ok(connection.clone()));
        }
        Some(Event::Connected(connection))
    }
}

/// The PeerId of a node, if its id is a point on the curve.
pub(crate) fn peer_id(node: NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&node.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The node of a PeerId, if its key is ed25519 and thus stands in it whole.
pub(crate) fn node_id(peer: &PeerId) -> Option<NodeId> {
    let bytes = peer.as_ref().digest();
    let key = PublicKey::try_decode_protobuf(bytes).ok()?.try_into_ed25519().ok()?;
    Some(NodeId(key.to_bytes()))
}

/// The node that a secret key makes.
pub(crate) fn identity(secret: [u8; 32]) -> Result<NodeId, StartError> {
    let peer = keypair(secret)?.public().to_peer_id();
    Ok(node_id(&peer).expect("the key is ed25519"))
}

fn keypair(mut secret: [u8; 32]) -> Result<Keypair, StartError> {
    Keypair::ed25519_from_bytes(&mut secret).map_err(|error| StartError::Identity(error.to_string()))
}

fn swarm(keypair: &Keypair, threads: Threads) -> Result<Swarm<Composite>, StartError> {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(CONNECTIONS_PENDING_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_established_incoming(Some(CONNECTIONS_MAX));
    let behaviour =
        Composite { limits: connection_limits::Behaviour::new(limits), streams: behaviour::Behaviour::default() };
    let config = swarm::Config::with_executor(threads)
        // Streams are opened with the first bytes, which saves a round trip: each request names one protocol.
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(behaviour::NEGOTIATING_MAX)
        .with_idle_connection_timeout(Duration::from_secs(365 * 24 * 3600));
    Ok(Swarm::new(transport(keypair)?, behaviour, keypair.public().to_peer_id(), config))
}

/// What others may read and write on threads of their own.
fn boxed(protocol: Protocol, stream: libp2p::Stream) -> Stream {
    match protocol {
        Protocol::Bulk | Protocol::Channel => Box::pin(Gathering::new(stream).compat()),
        Protocol::Control | Protocol::Calls => Box::pin(stream.compat()),
    }
}

fn transport(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, StartError> {
    let noise = noise::Config::new(keypair).map_err(|error| StartError::Identity(error.to_string()))?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(|socket, _| BufReader::with_capacity(SOCKET_READ_BYTES, Sliced::new(Socket::new(socket))))
        .upgrade(Version::V1)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(with_quic(tcp, keypair))
}

#[cfg(not(feature = "quic"))]
fn with_quic<T>(tcp: T, _: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output = (PeerId, StreamMuxerBox)> + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    tcp.boxed()
}

#[cfg(feature = "quic")]
fn with_quic<T>(tcp: T, keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output = (PeerId, StreamMuxerBox)> + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let quic = libp2p::quic::tokio::Transport::new(libp2p::quic::Config::new(keypair))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed()
}

fn dial_error(error: SwarmDialError, addresses: &[Multiaddr]) -> DialError {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    match error {
        // The swarm leaves out those addresses that it listens on itself, and here nothing else was left.
        SwarmDialError::LocalPeerId { .. } | SwarmDialError::NoAddresses => DialError::Myself,
        SwarmDialError::WrongPeerId { obtained, .. } => match node_id(&obtained) {
            Some(found) => DialError::Unreachable { addresses, reason: format!("{found} answered instead") },
            None => DialError::Unreachable { addresses, reason: "a stranger answered".into() },
        },
        SwarmDialError::Transport(errors) => {
            let reasons: Vec<_> = errors.iter().map(|(_, error)| root_cause(error)).collect();
            DialError::Unreachable { addresses, reason: reasons.join("; ") }
        }
        other => DialError::Unreachable { addresses, reason: other.to_string() },
    }
}

fn is_wildcard(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        libp2p::multiaddr::Protocol::Ip4(ip) => ip.is_unspecified(),
        libp2p::multiaddr::Protocol::Ip6(ip) => ip.is_unspecified(),
        _ => false,
    })
}

/// The innermost sentence of an error: "Connection refused" says more than five wrappers around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
