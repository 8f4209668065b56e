//! Whatever waits for the network is sent out as an errand: a task that comes back to the driver as an [`Input`].

use std::{io, sync::Arc, time::Duration};

use guthi_core::{
    protocol::packet::Packet,
    wire::{
        codec,
        frame::{self, Kind},
        id::{Member, NodeId},
        limits,
    },
};
use tokio::{
    io::AsyncRead,
    sync::{mpsc, oneshot},
};

use super::roster::Roster;
use crate::{
    JoinError,
    api::metrics::Count,
    calls::{lane::Lane, outbox::Outbox},
    network::{
        Connection, ConnectionId, DialError, Network, Protocol, Stream,
        address::Address,
        admission::{self, Admitted, Credentials, Links, Refused},
        buffer::ReadBuffer,
    },
};

const INPUTS_QUEUED_MAX: usize = 1024;
/// How long a second connection may take to be made.
const APART_MAX: Duration = Duration::from_secs(10);
/// How long the last words of a refusal may take.
const REFUSAL_GRACE: Duration = Duration::from_millis(200);

/// Somebody who waits for a link.
pub(super) type Waiter = oneshot::Sender<Result<NodeId, JoinError>>;

/// What comes back.
pub(super) enum Input {
    Admitted {
        connection: Connection,
        result: Result<Admitted, Refused>,
        stream: Stream,
    },
    Packet {
        connection: ConnectionId,
        packet: Packet,
    },
    ControlEnded {
        connection: ConnectionId,
        reason: String,
    },
    LaneOpened {
        connection: ConnectionId,
        result: io::Result<Stream>,
    },
    LaneEnded {
        connection: ConnectionId,
        reason: String,
    },
    /// A second connection is wanted beside that of a link.
    ApartWanted {
        link: ConnectionId,
    },
    /// An attempt to make one has ended.
    ApartDialled {
        link: ConnectionId,
        node: NodeId,
        result: Result<Connection, DialError>,
    },
    /// Somebody asked for a link with whoever is at an address.
    Connected {
        address: Address,
        waiter: Waiter,
        result: Result<Connection, DialError>,
    },
    /// The driver itself asked for a link with a node.
    Dialled {
        node: NodeId,
        result: Result<Connection, DialError>,
    },
}

/// Sends tasks out.
pub(super) struct Errands {
    network: Arc<dyn Network>,
    credentials: Credentials,
    links: Arc<Links>,
    roster: Arc<Roster>,
    inputs: mpsc::Sender<Input>,
}

impl Errands {
    pub(super) fn new(
        network: Arc<dyn Network>,
        credentials: Credentials,
        links: Arc<Links>,
        roster: Arc<Roster>,
    ) -> (Self, mpsc::Receiver<Input>) {
        let (inputs, inbox) = mpsc::channel(INPUTS_QUEUED_MAX);
        (Self { network, credentials, links, roster, inputs }, inbox)
    }

    /// From now on this node asks for admission as this member.
    pub(super) const fn renew(&mut self, me: Member) {
        self.credentials.me = me;
    }

    /// Links with whoever is at an address.
    pub(super) fn connect(&self, address: Address, waiter: Waiter) {
        let (network, inputs) = (self.network.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let result = if address.as_str().starts_with("/memory/") {
                network.dial(vec![address.as_str().to_owned()], None).await
            } else {
                match address.resolve().await {
                    Ok((found, expected)) => dial_in_turn(&*network, found, expected).await,
                    Err(reason) => Err(DialError::BadAddress { address: address.to_string(), reason }),
                }
            };
            let _ = inputs.send(Input::Connected { address, waiter, result }).await;
        });
    }

    /// Links with a node that is at one of these addresses.
    pub(super) fn dial(&self, node: NodeId, addresses: Vec<String>, patience: Duration) {
        let dialling = self.network.dial(addresses.clone(), Some(node));
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let late = DialError::Unreachable { addresses, reason: format!("no answer within {patience:?}") };
            let result = tokio::time::timeout(patience, dialling).await.unwrap_or(Err(late));
            let _ = inputs.send(Input::Dialled { node, result }).await;
        });
    }

    /// Makes a second connection beside that of a link.
    pub(super) fn dial_apart(&self, link: ConnectionId, node: NodeId, addresses: Vec<String>) {
        let dialling = self.network.dial(addresses.clone(), Some(node));
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let late = DialError::Unreachable { addresses, reason: format!("no answer within {APART_MAX:?}") };
            let result = tokio::time::timeout(APART_MAX, dialling).await.unwrap_or(Err(late));
            let _ = inputs.send(Input::ApartDialled { link, node, result }).await;
        });
    }

    /// Runs the admission on a control stream that is here already, or is opened now.
    pub(super) fn admit(&self, connection: Connection, stream: Option<Stream>) {
        let (network, inputs, links) = (self.network.clone(), self.inputs.clone(), self.links.clone());
        let credentials = self.credentials.clone();
        tokio::spawn(async move {
            let id = connection.id;
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

    /// Carries packets in both directions until either breaks.
    pub(super) fn run_control(&self, id: ConnectionId, control: Arc<Outbox>, stream: Stream) {
        let inputs = self.inputs.clone();
        let (reading, writing) = tokio::io::split(stream);
        let roster = self.roster.clone();
        tokio::spawn(async move {
            let counts = &roster.counts().links;
            let reason = tokio::select! {
                biased;
                reason = read_packets(reading, id, &inputs, &counts.received_bytes) => reason,
                carried = control.carry(writing, |bytes| counts.sent_bytes.add(bytes as u64)) => carried.map_or_else(|error| error.to_string(), |()| "closed".into()),
            };
            control.close();
            let _ = inputs.send(Input::ControlEnded { connection: id, reason }).await;
        });
    }

    pub(super) fn open_lane(&self, id: ConnectionId) {
        let opening = self.network.open(id, Protocol::Calls);
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let result = opening.await;
            let _ = inputs.send(Input::LaneOpened { connection: id, result }).await;
        });
    }

    pub(super) fn run_lane(&self, id: ConnectionId, lane: Arc<Lane>, stream: Stream) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let asking = async {
                loop {
                    lane.apart().asked().await;
                    let _ = inputs.send(Input::ApartWanted { link: id }).await;
                    lane.apart().answered().await;
                }
            };
            let reason = tokio::select! {
                reason = lane.clone().run(stream) => reason,
                () = asking => unreachable!("it asks as long as the lane runs"),
            };
            let _ = inputs.send(Input::LaneEnded { connection: id, reason }).await;
        });
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

async fn read_packets(
    mut stream: impl AsyncRead + Unpin,
    id: ConnectionId,
    inputs: &mpsc::Sender<Input>,
    received_bytes: &Count,
) -> String {
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
            Ok(bytes) => received_bytes.add(bytes as u64),
            Err(error) => return error.to_string(),
        }
    }
}
