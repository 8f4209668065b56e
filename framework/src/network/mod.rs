//! The network seam: one trait, two implementations.
//!
//! # The contract
//! What the driver may rely on, and nothing more:
//! - A *connection* joins two nodes whose identities are proven; nobody is admitted yet, that is the driver's business.
//! - `Connected` comes first, `Closed` last, each once per connection, and everything between them in order.
//! - A stream delivers its bytes in order or breaks; it may break at any time, together with its connection or alone.
//! - A stream is read and written by one task: its two halves may share a waker while it is being negotiated.
//! - Bytes that were written are not therefore received: only an answer proves that.
//! - Several connections between the same two nodes may exist for a while, in both directions.
//! - Silence is possible: a dead peer need not show as `Closed`.
//! - An inbound stream that nobody has room for is refused, and counted, never queued without bound.
//! - Dropping the handle closes every connection and ends the event queue.
//!
//! The driver in turn never waits for the network: it spawns what waits.

pub(crate) mod address;
pub(crate) mod admission;
pub(crate) mod buffer;
pub(crate) mod libp2p;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod memory;
pub(crate) mod ticket;

#[cfg(test)]
mod conformance;

use std::{io, pin::Pin};

use futures::future::BoxFuture;
use guthi_core::wire::id::NodeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

/// What the driver needs from below: authenticated connections that carry streams.
pub(crate) trait Network: Send + Sync + 'static {
    /// Who this node is.
    fn id(&self) -> NodeId;

    /// Where this node listens, as multiaddresses.
    fn addresses(&self) -> Vec<String>;

    /// Connects to one of `addresses`, where `expected` must answer if it is given.
    /// Success is reported here and as [`Event::Connected`].
    fn dial(
        &self,
        addresses: Vec<String>,
        expected: Option<NodeId>,
    ) -> BoxFuture<'static, Result<Connection, DialError>>;

    /// Opens a stream on a connection.
    /// The other end may not know of it before the first bytes are written.
    fn open(&self, connection: ConnectionId, protocol: Protocol) -> BoxFuture<'static, io::Result<Stream>>;

    /// Closes a connection and all its streams. Closing twice is harmless.
    fn close(&self, connection: ConnectionId);

    /// Where whoever moves large payloads runs best; nowhere in particular, if nothing is said.
    fn bulk(&self) -> Option<Handle> {
        None
    }
}

/// The events of a network wait here; the bound makes the network wait for the driver.
pub(crate) const EVENTS_QUEUED_MAX: usize = 256;

/// What happened below.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection was made, by either side.
    Connected(Connection),
    /// A connection is gone.
    Closed { connection: ConnectionId, reason: String },
    /// The peer has opened a stream.
    Inbound { connection: ConnectionId, protocol: Protocol, stream: Stream },
}

/// One connection between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: NodeId,
    /// This side has dialled.
    pub(crate) dialled: bool,
    /// The address that was dialled, or from which the peer came.
    pub(crate) address: String,
}

/// Names a connection as long as the process lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Admission, then the packets of the protocols. One per connection, opened by who dialled.
    Control,
    /// Calls and replies in both directions. One per link, opened by who dialled.
    Calls,
    /// One large payload, then the end.
    Bulk,
    /// The bytes of a channel, in both directions.
    Channel,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Control, Self::Calls, Self::Bulk, Self::Channel];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Control => "/guthi/control/1",
            Self::Calls => "/guthi/calls/1",
            Self::Bulk => "/guthi/bulk/1",
            Self::Channel => "/guthi/channel/1",
        }
    }
}

/// A stream of bytes in both directions.
pub(crate) type Stream = Pin<Box<dyn Duplex>>;

/// Anything that can be read, written and sent to another thread.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl std::fmt::Debug for dyn Duplex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// Why no connection was made. No variant means that anything was done at the other end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    /// The address cannot be understood or resolved.
    #[error("{address:?} is no address: {reason}")]
    BadAddress { address: String, reason: String },
    /// Nobody answered there.
    #[error("nobody answers at {}: {reason}", addresses.join(", "))]
    Unreachable { addresses: Vec<String>, reason: String },
    /// This node itself answered.
    #[error("that address is this node itself")]
    Myself,
    /// The network is shutting down.
    #[error("this node is stopping")]
    Stopping,
}

/// Why a network could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: String, reason: String, in_use: bool },
    /// The cryptography refused the identity.
    #[error("the identity cannot be used: {0}")]
    Identity(String),
}
