//! A network within one process: the same contract, no sockets, and the clock of its runtime, which may be paused.
//!
//! Everything that one end does travels to the other as a parcel: the bytes of streams, their beginnings and ends, the
//! end of the connection. The [fabric](guthi_sim::fabric) says when a parcel arrives, or that it is held. Parcels of
//! one connection stay in order, none is ever lost, and what is held goes on when its way is free again: who cannot be
//! reached is silent, as behind a cable that was pulled, and only the detector ends such a link.

mod exchange;
mod stream;

use std::{io, mem, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use guthi_core::wire::id::NodeId;
use guthi_sim::fabric::{Conditions, Place};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use self::{
    exchange::{Cargo, End, Exchange, Line, Next, Plug, State},
    stream::{Half, Pipe},
};
use super::{Connection, ConnectionId, DialError, EVENTS_QUEUED_MAX, Event, Network, Protocol, Stream};

/// A dial that nobody hears ends after this.
const DIAL_MAX: Duration = Duration::from_secs(10);
const PREFIX: &str = "/memory/";

/// Joins the memory networks of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    exchange: Mutex<Exchange>,
    /// A way is free again.
    freed: Notify,
}

/// One node's end of a [`Hub`], for one life.
#[derive(Debug)]
pub(crate) struct Memory {
    id: NodeId,
    place: Place,
    life: u64,
    hub: Hub,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(0, Duration::ZERO, Duration::ZERO)
    }
}

impl Hub {
    /// A hub without nodes. What is sent takes `delay`, and up to `jitter` more by the lots of `seed`.
    pub(crate) fn new(seed: u64, delay: Duration, jitter: Duration) -> Self {
        let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        let conditions = Conditions { delay_us: micros(delay), jitter_us: micros(jitter), ..Conditions::default() };
        let exchange = Exchange::new(conditions, seed);
        Self(Arc::new(Shared { exchange: Mutex::new(exchange), freed: Notify::new() }))
    }

    /// Whether somebody at the place of a node would reach another one, which is there, and be reached by it.
    pub(crate) fn is_reached(&self, from: NodeId, to: NodeId) -> bool {
        let mut exchange = self.0.exchange.lock();
        let (from, to) = (exchange.place(from), exchange.place(to));
        let there = exchange.plugs.contains_key(&to) && !exchange.still.contains(&to);
        there && exchange.fabric.is_open(from, to) && exchange.fabric.is_open(to, from)
    }

    /// Nothing gets from one node to the other any more.
    pub(crate) fn cut(&self, from: NodeId, to: NodeId) {
        let mut exchange = self.0.exchange.lock();
        let (from, to) = (exchange.place(from), exchange.place(to));
        exchange.cuts.push((from, to));
        exchange.fabric.cut(from, to);
    }

    /// Takes all cuts back.
    pub(crate) fn mend(&self) {
        let mut exchange = self.0.exchange.lock();
        for (from, to) in mem::take(&mut exchange.cuts) {
            exchange.fabric.mend(from, to);
        }
        exchange.free();
        self.0.freed.notify_waiters();
    }

    /// Holds everything to and from a node, or lets it go again.
    pub(crate) fn hold(&self, node: NodeId, held: bool) {
        let mut exchange = self.0.exchange.lock();
        let place = exchange.place(node);
        if held {
            exchange.still.insert(place);
        } else {
            exchange.still.remove(&place);
        }
        exchange.clog();
        exchange.free();
        self.0.freed.notify_waiters();
    }

    /// Ends a node as the death of its process does: nothing of it is left, and its peers see their links break.
    pub(crate) fn unplug(&self, node: NodeId) {
        let life = {
            let exchange = self.0.exchange.lock();
            exchange.places.get(&node).and_then(|place| exchange.plugs.get(place)).map(|plug| plug.life)
        };
        if let Some(life) = life {
            self.end(node, life);
        }
    }

    /// Whether anything is under way that is not held.
    pub(crate) fn is_busy(&self) -> bool {
        let exchange = self.0.exchange.lock();
        let mut ends = exchange.lines.values().flat_map(|line| &line.ends);
        exchange.dials > 0 || ends.any(|end| end.parcels.iter().any(|parcel| parcel.arrives.is_some()))
    }

    /// How many parcels were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.0.exchange.lock().sent
    }

    fn end(&self, node: NodeId, life: u64) {
        // Streams among them take the lock when they are dropped.
        let mut dropped = Vec::new();
        let mut exchange = self.0.exchange.lock();
        let place = exchange.place(node);
        if !exchange.is_alive(place, life) {
            return;
        }
        let plug = exchange.plugs.remove(&place);
        // A process that stands still can be killed: what it has written leaves all the same.
        exchange.still.remove(&place);
        exchange.clog();
        exchange.free();
        let lines: Vec<_> = exchange.lines.keys().copied().collect();
        for id in lines {
            if let Some(side) = exchange.side(id, place) {
                dropped.extend(exchange.close(id, side, "closed by the peer", State::Closed));
            }
        }
        drop(exchange);
        drop((plug, dropped));
    }

    fn close(&self, id: ConnectionId, (place, life): (Place, u64), reason: &str) {
        let mut exchange = self.0.exchange.lock();
        if !exchange.is_alive(place, life) {
            return;
        }
        let open = |side: &usize| exchange.lines[&id].ends[*side].state == State::Open;
        let dropped = exchange.side(id, place).filter(open).map(|side| {
            let dropped = exchange.close(id, side, "closed by the peer", State::Closing);
            let now = exchange.now();
            exchange.push(id, side, Some(now), Cargo::Closed(reason.into()));
            dropped
        });
        drop(exchange);
        drop(dropped);
    }

    /// Sends something from one end of a connection to the other, if both are open.
    fn send(&self, id: ConnectionId, from: usize, cargo: Cargo) {
        let mut exchange = self.0.exchange.lock();
        let unsent = exchange.send(id, from, cargo);
        drop(exchange);
        drop(unsent);
    }

    /// Makes a stream, one end of which travels to the other node.
    fn open(&self, id: ConnectionId, (place, life): (Place, u64), protocol: Protocol) -> Option<Stream> {
        let mut exchange = self.0.exchange.lock();
        if !exchange.is_alive(place, life) {
            return None;
        }
        let from = exchange.side(id, place)?;
        let [there, back] = [Arc::<Pipe>::default(), Arc::default()];
        let ends = exchange.lines[&id].ends.each_ref().map(|end| end.broken.clone());
        let half = |side: usize, incoming, outgoing| Half::new(self, (id, side), incoming, outgoing, &ends[side]);
        let here = half(from, &back, &there);
        let unsent = exchange.send(id, from, Cargo::Opened(protocol, Box::pin(half(1 - from, &there, &back))));
        drop(exchange);
        // It is dropped without the lock, which it takes.
        unsent.is_none().then(|| Box::pin(here) as Stream)
    }

    /// Resolves when a parcel that leaves now would arrive.
    async fn travel(&self, from: Place, to: Place) {
        loop {
            let freed = self.0.freed.notified();
            let at = {
                let mut exchange = self.0.exchange.lock();
                exchange.arrival(from, to).map(|at| exchange.instant(at))
            };
            match at {
                Some(at) if at <= Instant::now() => return,
                Some(at) => return tokio::time::sleep_until(at).await,
                None => freed.await,
            }
        }
    }

    /// Makes a connection from a node that is there to another one.
    async fn connect(self, me: NodeId, life: u64, peer: NodeId) -> Result<Connection, &'static str> {
        const NOBODY: &str = "nobody is there";
        let (mine, theirs) = {
            let mut exchange = self.0.exchange.lock();
            (exchange.place(me), exchange.place(peer))
        };
        // There, back, and there again: then both ends know who is at the other.
        for (from, to) in [(mine, theirs), (theirs, mine), (mine, theirs)] {
            self.travel(from, to).await;
            if !self.0.exchange.lock().plugs.contains_key(&theirs) {
                return Err(NOBODY);
            }
        }
        let events = self.0.exchange.lock().plugs.get(&mine).map(|plug| plug.events.clone());
        let permit = events.ok_or(NOBODY)?.reserve_owned().await.map_err(|_| NOBODY)?;
        let mut exchange = self.0.exchange.lock();
        if !exchange.is_alive(mine, life) || !exchange.plugs.contains_key(&theirs) {
            return Err(NOBODY);
        }
        exchange.last += 1;
        let id = ConnectionId(exchange.last);
        exchange.lines.insert(id, Line { ends: [End::new(mine), End::new(theirs)] });
        let connection = Connection { id, peer, dialled: true, address: Memory::address(peer) };
        permit.send(Event::Connected(connection.clone()));
        let accepted = Connection { id, peer: me, dialled: false, address: Memory::address(me) };
        let now = exchange.now();
        exchange.push(id, 1, Some(now), Cargo::Connected(accepted));
        for side in [0, 1] {
            tokio::spawn(self.clone().carry(id, side));
        }
        Ok(connection)
    }

    /// Brings to one end of a connection what arrives for it, in order, until it is closed.
    async fn carry(self, id: ConnectionId, side: usize) {
        let Some((arrived, events)) = self.0.exchange.lock().receiver(id, side) else { return };
        loop {
            let news = arrived.notified();
            let next = self.0.exchange.lock().next(id, side);
            let cargo = match next {
                Next::Arrived(cargo) => cargo,
                Next::Later(Some(at)) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => {}
                        () = news => {}
                    }
                    continue;
                }
                Next::Later(None) => {
                    news.await;
                    continue;
                }
                Next::Never => return,
            };
            // A queue of events that is full holds this way up; whoever is gone has no queue.
            let tell = async |event| {
                if let Some(events) = events.upgrade() {
                    let _ = events.send(event).await;
                }
            };
            match cargo {
                Cargo::Connected(connection) => tell(Event::Connected(connection)).await,
                Cargo::Opened(protocol, stream) => {
                    let inbound = Event::Inbound { connection: id, protocol, stream };
                    // A stream that nobody has room for is dropped, which its other end sees.
                    if let Some(Err(_)) = events.upgrade().map(|events| events.try_send(inbound)) {
                        tracing::debug!(protocol = protocol.name(), "refused a stream that nobody has room for");
                    }
                }
                Cargo::Bytes(pipe, bytes) => pipe.arrive(&bytes),
                Cargo::Ended(pipe) => pipe.end(),
                Cargo::Left(pipe) => pipe.leave(),
                Cargo::Closed(reason) => {
                    self.0.exchange.lock().told(id, side);
                    return tell(Event::Closed { connection: id, reason }).await;
                }
            }
        }
    }
}

impl Memory {
    /// Plugs a node into the hub.
    pub(crate) fn join(hub: &Hub, id: NodeId) -> (Self, mpsc::Receiver<Event>) {
        let (events, queue) = mpsc::channel(EVENTS_QUEUED_MAX);
        let mut exchange = hub.0.exchange.lock();
        let place = exchange.place(id);
        exchange.last += 1;
        let life = exchange.last;
        exchange.plugs.insert(place, Plug { life, events });
        exchange.clog();
        drop(exchange);
        (Self { id, place, life, hub: hub.clone() }, queue)
    }

    /// The address under which a node of a hub is dialled.
    pub(crate) fn address(id: NodeId) -> String {
        format!("{PREFIX}{id}")
    }

    /// The node that an address names, whatever follows it.
    fn named(address: &str) -> Option<NodeId> {
        address.strip_prefix(PREFIX)?.split('/').next()?.parse().ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.hub.end(self.id, self.life);
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
        let (me, life, hub) = (self.id, self.life, self.hub.clone());
        Box::pin(async move {
            let unreachable =
                |reason: &str| DialError::Unreachable { addresses: addresses.clone(), reason: reason.into() };
            let named = addresses.iter().find_map(|address| Self::named(address));
            let Some(peer) = named else { return Err(unreachable("no such node")) };
            if peer == me {
                return Err(DialError::Myself);
            }
            if expected.is_some_and(|expected| expected != peer) {
                return Err(unreachable("another node is there"));
            }
            let _dialling = Dialling::begin(&hub);
            match tokio::time::timeout(DIAL_MAX, hub.clone().connect(me, life, peer)).await {
                Ok(connected) => connected.map_err(unreachable),
                Err(_) => Err(unreachable("no answer")),
            }
        })
    }

    fn open(&self, connection: ConnectionId, protocol: Protocol) -> BoxFuture<'static, io::Result<Stream>> {
        let opened = self
            .hub
            .open(connection, (self.place, self.life), protocol)
            .ok_or_else(|| io::ErrorKind::NotConnected.into());
        Box::pin(std::future::ready(opened))
    }

    fn close(&self, connection: ConnectionId) {
        self.hub.close(connection, (self.place, self.life), "closed");
    }
}

/// A dial under way.
struct Dialling(Hub);

impl Dialling {
    fn begin(hub: &Hub) -> Self {
        hub.0.exchange.lock().dials += 1;
        Self(hub.clone())
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.0.exchange.lock().dials -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const WAY: Duration = Duration::from_millis(5);

    /// Two nodes, a stream between them, and its two ends.
    async fn pair(hub: &Hub) -> ([Memory; 2], [mpsc::Receiver<Event>; 2], [Stream; 2]) {
        let (a, mut at_a) = Memory::join(hub, NodeId([1; 32]));
        let (b, mut at_b) = Memory::join(hub, NodeId([2; 32]));
        let connection = a.dial(b.addresses(), None).await.unwrap();
        let here = a.open(connection.id, Protocol::Calls).await.unwrap();
        assert!(matches!(at_a.recv().await, Some(Event::Connected(_))));
        assert!(matches!(at_b.recv().await, Some(Event::Connected(_))));
        let Some(Event::Inbound { stream: there, .. }) = at_b.recv().await else { panic!("a stream was opened") };
        ([a, b], [at_a, at_b], [here, there])
    }

    async fn read(stream: &mut Stream, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        stream.read_exact(&mut read).await.unwrap();
        read
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_takes_its_time() {
        let hub = Hub::new(1, WAY, Duration::ZERO);
        let began = Instant::now();
        let (_nodes, _events, [mut here, mut there]) = pair(&hub).await;
        assert_eq!(began.elapsed(), 4 * WAY, "there, back and there again; and the stream");
        here.write_all(b"abc").await.unwrap();
        assert_eq!(read(&mut there, 3).await, b"abc");
        assert_eq!(began.elapsed(), 5 * WAY);
        assert!(!hub.is_busy());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_comes_later_in_order_and_whole() {
        let hub = Hub::new(1, WAY, WAY);
        let ([a, b], _events, [mut here, mut there]) = pair(&hub).await;
        for hold in [true, false] {
            here.write_all(b"ab").await.unwrap();
            if hold {
                hub.hold(b.id, true)
            } else {
                hub.cut(a.id, b.id)
            }
            here.write_all(b"cd").await.unwrap();
            here.write_all(b"ef").await.unwrap();
            assert_eq!(read(&mut there, 2).await, b"ab", "what was on its way arrives");
            let none = tokio::time::timeout(Duration::from_secs(60), there.read_u8()).await;
            assert!(none.is_err(), "{none:?}");
            there.write_all(b"x").await.unwrap();
            let back = tokio::time::timeout(Duration::from_secs(60), here.read_u8()).await;
            assert_eq!(back.is_ok(), !hold, "a cut is in one direction, who stands still says nothing");
            if hold {
                hub.hold(b.id, false)
            } else {
                hub.mend()
            }
            here.write_all(b"gh").await.unwrap();
            assert_eq!(read(&mut there, 6).await, b"cdefgh");
            if hold {
                assert_eq!(read(&mut here, 1).await, b"x");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_unplugged_is_gone_and_its_old_handle_harms_no_later_life() {
        let hub = Hub::new(1, WAY, WAY);
        let ([a, b], [mut at_a, mut at_b], [mut here, mut there]) = pair(&hub).await;
        there.write_all(b"last words").await.unwrap();
        hub.unplug(b.id);
        assert!(at_b.recv().await.is_none(), "its queue ends");
        assert!(there.read_u8().await.is_err(), "its streams break at once");
        let mut words = Vec::new();
        let broken = here.read_to_end(&mut words).await;
        assert!(broken.is_err() && b"last words".starts_with(&words), "{words:?}");
        assert!(matches!(at_a.recv().await, Some(Event::Closed { .. })));
        assert!(a.dial(b.addresses(), None).await.is_err());
        let (again, _queue) = Memory::join(&hub, b.id);
        let connection = a.dial(again.addresses(), None).await.unwrap();
        b.close(connection.id);
        drop(b);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(a.open(connection.id, Protocol::Calls).await.is_ok(), "the later life goes on");
    }
}
