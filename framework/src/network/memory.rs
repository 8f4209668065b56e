//! A network within one process, for tests and simulations: the same contract, no sockets.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use guthi_core::wire::id::NodeId;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Connection, ConnectionId, DialError, EVENTS_QUEUED_MAX, Event, Network, Protocol, Stream};

/// Bytes in flight in each direction of a stream.
const STREAM_BYTES_MAX: usize = 256 * 1024;

/// Joins the memory networks of one test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub(Arc<Mutex<Exchange>>);

#[derive(Debug, Default)]
struct Exchange {
    nodes: BTreeMap<NodeId, mpsc::Sender<Event>>,
    connections: BTreeMap<ConnectionId, Ends>,
}

#[derive(Clone, Debug)]
struct Ends {
    nodes: [NodeId; 2],
    closed: CancellationToken,
}

/// One node's end of a [`Hub`].
#[derive(Debug)]
pub(crate) struct Memory {
    id: NodeId,
    hub: Hub,
}

// Connection ids are unique in the process, which lets both ends share one.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

impl Memory {
    /// Plugs a node into the hub.
    pub(crate) fn join(hub: &Hub, id: NodeId) -> (Self, mpsc::Receiver<Event>) {
        let (events, queue) = mpsc::channel(EVENTS_QUEUED_MAX);
        hub.0.lock().nodes.insert(id, events);
        (Self { id, hub: hub.clone() }, queue)
    }

    /// The address under which a node of a hub is dialled.
    pub(crate) fn address(id: NodeId) -> String {
        format!("/memory/{id}")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mine: Vec<_> = {
            let mut exchange = self.hub.0.lock();
            exchange.nodes.remove(&self.id);
            let mine = exchange.connections.iter().filter(|(_, ends)| ends.nodes.contains(&self.id));
            mine.map(|(id, _)| *id).collect()
        };
        mine.into_iter().for_each(|connection| self.hub.close(connection, "the other node is gone"));
    }
}

impl Hub {
    fn close(&self, connection: ConnectionId, reason: &str) {
        let mut exchange = self.0.lock();
        let Some(ends) = exchange.connections.remove(&connection) else { return };
        ends.closed.cancel();
        for node in ends.nodes {
            if let Some(events) = exchange.nodes.get(&node).cloned() {
                deliver(events, Event::Closed { connection, reason: reason.into() });
            }
        }
    }
}

/// Events of one node stay in order as long as its queue has room, and tests keep it so.
fn deliver(events: mpsc::Sender<Event>, event: Event) {
    if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
        tokio::spawn(async move { drop(events.send(event).await) });
    }
}

impl Network for Memory {
    fn id(&self) -> NodeId {
        self.id
    }

    fn addresses(&self) -> Vec<String> {
        vec![Self::address(self.id)]
    }

    fn dial(
        &self,
        addresses: Vec<String>,
        expected: Option<NodeId>,
    ) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (me, hub) = (self.id, self.hub.clone());
        Box::pin(async move {
            let unreachable =
                |reason: &str| DialError::Unreachable { addresses: addresses.clone(), reason: reason.into() };
            let named = addresses.iter().find_map(|address| address.strip_prefix("/memory/")?.parse().ok());
            let Some(peer) = named.or(expected) else { return Err(unreachable("no such node")) };
            if peer == me {
                return Err(DialError::Myself);
            }
            if expected.is_some_and(|expected| expected != peer) {
                return Err(unreachable("another node answered"));
            }
            let mut exchange = hub.0.lock();
            let (Some(mine), Some(theirs)) = (exchange.nodes.get(&me).cloned(), exchange.nodes.get(&peer).cloned())
            else {
                return Err(unreachable("no such node"));
            };
            let id = ConnectionId(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed));
            exchange.connections.insert(id, Ends { nodes: [me, peer], closed: CancellationToken::new() });
            let connection = Connection { id, peer, dialled: true, address: Self::address(peer) };
            deliver(mine, Event::Connected(connection.clone()));
            deliver(theirs, Event::Connected(Connection { id, peer: me, dialled: false, address: Self::address(me) }));
            Ok(connection)
        })
    }

    fn open(&self, connection: ConnectionId, protocol: Protocol) -> BoxFuture<'static, io::Result<Stream>> {
        let (me, hub) = (self.id, self.hub.clone());
        Box::pin(async move {
            let gone = || io::Error::from(io::ErrorKind::NotConnected);
            let (events, closed) = {
                let exchange = hub.0.lock();
                let ends = exchange.connections.get(&connection).ok_or_else(gone)?;
                let peer = ends.nodes.iter().find(|node| **node != me).ok_or_else(gone)?;
                (exchange.nodes.get(peer).cloned().ok_or_else(gone)?, ends.closed.clone())
            };
            let (here, there) = tokio::io::duplex(STREAM_BYTES_MAX);
            let stream = Box::pin(Breakable::new(there, &closed));
            events.send(Event::Inbound { connection, protocol, stream }).await.map_err(|_| gone())?;
            Ok(Box::pin(Breakable::new(here, &closed)) as Stream)
        })
    }

    fn close(&self, connection: ConnectionId) {
        self.hub.close(connection, "closed");
    }
}

/// A stream that breaks when its connection is closed.
struct Breakable {
    stream: DuplexStream,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Breakable {
    fn new(stream: DuplexStream, closed: &CancellationToken) -> Self {
        Self { stream, closed: Box::pin(closed.clone().cancelled_owned()) }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Breakable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
