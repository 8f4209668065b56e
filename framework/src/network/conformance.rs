//! The contract of [`super`], sentence by sentence, against both networks; then the handshake and the bytes on the wire.

mod admission;
mod hostile;
mod wire;

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use guthi_core::wire::id::NodeId;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Connection, ConnectionId, DialError, EVENTS_QUEUED_MAX, Event, Network, Protocol, Stream,
    libp2p::{self, Config, Libp2p},
    memory::{Hub, Memory},
};

/// Nothing here takes a tenth of this, even on a machine that is busy with something else.
const HANG: Duration = Duration::from_secs(30);
/// Larger than the window of a stream, so that a writer stalls when nobody reads.
const MORE_THAN_A_WINDOW: usize = 3 * 1024 * 1024;

/// Which network a test runs on.
#[derive(Clone)]
enum World {
    Memory(Hub),
    Loopback,
}

/// A network and its events.
struct End {
    network: Arc<dyn Network>,
    events: mpsc::Receiver<Event>,
}

impl World {
    /// A node whose identity is made from `seed`.
    async fn end(&self, seed: u8) -> End {
        let id = libp2p::identity([seed; 32]).unwrap();
        match self {
            Self::Memory(hub) => {
                let (network, events) = Memory::join(hub, id);
                End { network: Arc::new(network), events }
            }
            Self::Loopback => {
                let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
                let (network, events) = Libp2p::start(Config { secret: [seed; 32], listen }).await.unwrap();
                End { network: Arc::new(network), events }
            }
        }
    }
}

impl End {
    fn id(&self) -> NodeId {
        self.network.id()
    }

    async fn dial(&self, other: &Self) -> Connection {
        self.network.dial(other.network.addresses(), Some(other.id())).await.unwrap()
    }

    async fn connected(&mut self) -> Connection {
        match self.events.recv().await {
            Some(Event::Connected(connection)) => connection,
            other => panic!("expected a connection: {other:?}"),
        }
    }

    async fn closed(&mut self) -> ConnectionId {
        match self.events.recv().await {
            Some(Event::Closed { connection, .. }) => connection,
            other => panic!("expected the end of a connection: {other:?}"),
        }
    }

    async fn inbound(&mut self) -> (ConnectionId, Protocol, Stream) {
        match self.events.recv().await {
            Some(Event::Inbound { connection, protocol, stream }) => (connection, protocol, stream),
            other => panic!("expected a stream: {other:?}"),
        }
    }

    /// Opens a stream that the other end will see: it sees none before the first bytes.
    async fn open(&self, connection: &Connection, protocol: Protocol) -> io::Result<Stream> {
        let mut stream = self.network.open(connection.id, protocol).await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        Ok(stream)
    }
}

/// Two ends and a connection between them, as each of the two sees it.
async fn pair(world: &World) -> (End, End, Connection, Connection) {
    let (mut a, mut b) = (world.end(1).await, world.end(2).await);
    let dialled = a.dial(&b).await;
    assert_eq!(a.connected().await, dialled);
    let accepted = b.connected().await;
    (a, b, dialled, accepted)
}

/// A stream from `a` to `b`, both its ends.
async fn stream(a: &End, b: &mut End, connection: &Connection, protocol: Protocol) -> (Stream, Stream) {
    let here = a.open(connection, protocol).await.unwrap();
    let (_, found, mut there) = b.inbound().await;
    assert_eq!(found, protocol);
    assert_eq!(there.read_u8().await.unwrap(), b'!');
    (here, there)
}

/// A byte at a position of a stream; its period is prime, so that a lost or repeated block shows.
fn pattern(from: u8, position: usize) -> u8 {
    u8::try_from(position % 251).unwrap() ^ from
}

async fn write_pattern(mut stream: impl AsyncWrite + Unpin, from: u8, written: Arc<AtomicUsize>) {
    let bytes: Vec<u8> = (0..MORE_THAN_A_WINDOW).map(|position| pattern(from, position)).collect();
    for chunk in bytes.chunks(32 * 1024) {
        stream.write_all(chunk).await.unwrap();
        stream.flush().await.unwrap();
        written.fetch_add(chunk.len(), Ordering::Relaxed);
    }
    stream.shutdown().await.unwrap();
}

async fn read_pattern(mut stream: impl AsyncRead + Unpin, from: u8) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len(), MORE_THAN_A_WINDOW);
    let wrong = bytes.iter().enumerate().position(|(position, byte)| *byte != pattern(from, position));
    assert_eq!(wrong, None, "the first byte out of order");
}

/// Reads until the stream breaks or ends, which it must; how it says so is its own affair.
async fn ends(mut stream: Stream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// Waits for something that comes about without telling.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn within(test: impl Future<Output = ()>) {
    tokio::time::timeout(HANG, test).await.expect("it hangs");
}

/// Runs every test on every network.
macro_rules! suite {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() {
                super::within(super::$test(super::World::Memory(super::Hub::default()))).await;
            })*
        }
        // What is on its way takes its time, and not always the same.
        mod in_slow_memory {
            use std::time::Duration;
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                let hub = super::Hub::new(7, Duration::from_millis(1), Duration::from_millis(20));
                super::within(super::$test(super::World::Memory(hub))).await;
            })*
        }
        mod over_loopback {
            // Sockets of two nodes are at work at the same time, as they are between machines.
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::within(super::$test(super::World::Loopback)).await;
            })*
        }
    };
}

suite! {
    both_ends_are_told_of_a_connection_and_who_is_there
    every_connection_is_told_once_first_and_ended_once_last
    who_answers_under_another_identity_is_refused
    nobody_is_unreachable
    a_node_does_not_connect_to_itself
    an_address_that_is_none_connects_nothing
    streams_carry_bytes_both_ways_in_order
    a_stream_that_nobody_reads_holds_up_no_other
    many_streams_open_at_once_and_none_is_mistaken
    several_connections_between_two_nodes_are_kept_apart
    two_nodes_may_dial_each_other_in_the_same_moment
    closing_breaks_the_streams_at_both_ends_and_twice_is_harmless
    a_stream_that_is_dropped_ends_alone
    dropping_the_network_closes_its_connections
    a_flood_of_streams_does_no_lasting_harm
}

async fn both_ends_are_told_of_a_connection_and_who_is_there(world: World) {
    let (a, b, dialled, accepted) = pair(&world).await;
    assert_ne!(a.id(), b.id());
    assert_eq!((dialled.peer, dialled.dialled), (b.id(), true));
    assert_eq!((accepted.peer, accepted.dialled), (a.id(), false));
}

async fn every_connection_is_told_once_first_and_ended_once_last(world: World) {
    let (mut a, mut b) = (world.end(1).await, world.end(2).await);
    let mut expected = Vec::new();
    for protocol in Protocol::ALL {
        let dialled = a.dial(&b).await;
        // Opened at once: it may not overtake the connection that carries it.
        let stream = a.open(&dialled, protocol).await.unwrap();
        expected.push(dialled.id);
        let (_, _, mut there) = loop {
            match b.events.recv().await.unwrap() {
                Event::Connected(connection) => assert_eq!(connection.peer, a.id()),
                Event::Inbound { connection, protocol, stream } => break (connection, protocol, stream),
                Event::Closed { .. } => panic!("nobody closed it"),
            }
        };
        there.write_all(b"?").await.unwrap();
        there.flush().await.unwrap();
        a.network.close(dialled.id);
        // Nothing comes between the stream and the end.
        b.closed().await;
        drop(stream);
    }
    let mut told: BTreeMap<ConnectionId, Vec<&str>> = BTreeMap::new();
    while told.values().filter(|words| words.contains(&"closed")).count() < expected.len() {
        match a.events.recv().await.unwrap() {
            Event::Connected(connection) => told.entry(connection.id).or_default().push("connected"),
            Event::Closed { connection, .. } => told.entry(connection).or_default().push("closed"),
            Event::Inbound { connection, .. } => told.entry(connection).or_default().push("inbound"),
        }
    }
    let wanted = expected.into_iter().map(|id| (id, vec!["connected", "closed"])).collect();
    assert_eq!(told, wanted);
    assert!(a.events.try_recv().is_err(), "and nothing after it");
}

async fn who_answers_under_another_identity_is_refused(world: World) {
    let (mut a, mut b) = (world.end(1).await, world.end(2).await);
    let c = world.end(3).await;
    let refused = a.network.dial(b.network.addresses(), Some(c.id())).await;
    assert!(matches!(refused, Err(DialError::Unreachable { .. })), "{refused:?}");
    // The first that this end hears of is the next one. The other may have seen the attempt.
    let dialled = a.dial(&b).await;
    assert_eq!(a.connected().await, dialled);
    let opened = a.open(&dialled, Protocol::Control).await.unwrap();
    while !matches!(b.events.recv().await.unwrap(), Event::Inbound { .. }) {}
    drop(opened);
}

async fn nobody_is_unreachable(world: World) {
    let a = world.end(1).await;
    let gone = world.end(2).await;
    let (addresses, id) = (gone.network.addresses(), gone.id());
    drop(gone);
    for expected in [None, Some(id)] {
        // A swarm that is dropped gives its port back in its own time.
        let failed = loop {
            match a.network.dial(addresses.clone(), expected).await {
                Ok(connection) => a.network.close(connection.id),
                Err(error) => break error,
            }
        };
        assert!(matches!(failed, DialError::Unreachable { .. }), "{failed:?}");
    }
    let nowhere = a.network.dial(Vec::new(), Some(id)).await;
    assert!(matches!(nowhere, Err(DialError::Unreachable { .. })), "{nowhere:?}");
}

async fn a_node_does_not_connect_to_itself(world: World) {
    let mut a = world.end(1).await;
    for expected in [None, Some(a.id())] {
        assert_eq!(a.network.dial(a.network.addresses(), expected).await, Err(DialError::Myself));
    }
    assert!(a.events.try_recv().is_err(), "nothing is told of it");
}

async fn an_address_that_is_none_connects_nothing(world: World) {
    let a = world.end(1).await;
    let refused = a.network.dial(vec!["/ip4/300.0.0.1/tcp/x".into()], None).await;
    assert!(matches!(refused, Err(DialError::BadAddress { .. } | DialError::Unreachable { .. })), "{refused:?}");
}

/// Writes as `from` and, once `reading` is cancelled, reads what `other` has written: in one task, as every user of a
/// stream must. Below, the two halves share the place for one waker in some states.
async fn exchange(stream: Stream, from: u8, other: u8, written: Arc<AtomicUsize>, reading: CancellationToken) {
    let (reads, writes) = tokio::io::split(stream);
    let read = async {
        reading.cancelled().await;
        read_pattern(reads, other).await;
    };
    tokio::join!(write_pattern(writes, from, written), read);
}

/// Both ends write what they can before anybody reads.
async fn fill(streams: (Stream, Stream), reading: &CancellationToken) -> [JoinHandle<()>; 2] {
    let written = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let ends = [
        tokio::spawn(exchange(streams.0, 1, 2, written[0].clone(), reading.clone())),
        tokio::spawn(exchange(streams.1, 2, 1, written[1].clone(), reading.clone())),
    ];
    let full = || written.iter().all(|bytes| bytes.load(Ordering::Relaxed) >= 128 * 1024);
    eventually("both ends write", full).await;
    ends
}

async fn streams_carry_bytes_both_ways_in_order(world: World) {
    let (a, mut b, connection, _) = pair(&world).await;
    for protocol in Protocol::ALL {
        let reading = CancellationToken::new();
        let ends = fill(stream(&a, &mut b, &connection, protocol).await, &reading).await;
        reading.cancel();
        for end in ends {
            end.await.unwrap();
        }
    }
}

async fn a_stream_that_nobody_reads_holds_up_no_other(world: World) {
    let (a, mut b, connection, _) = pair(&world).await;
    let never = CancellationToken::new();
    let full = fill(stream(&a, &mut b, &connection, Protocol::Bulk).await, &never).await;
    let reading = CancellationToken::new();
    let ends = fill(stream(&a, &mut b, &connection, Protocol::Calls).await, &reading).await;
    reading.cancel();
    for end in ends {
        end.await.unwrap();
    }
    assert!(full.iter().all(|end| !end.is_finished()), "the first stream is still full");
    full.iter().for_each(JoinHandle::abort);
}

async fn many_streams_open_at_once_and_none_is_mistaken(world: World) {
    // More than may be in negotiation at once.
    const STREAMS: u32 = 200;
    let (a, mut b, connection, accepted) = pair(&world).await;
    let echo = tokio::spawn(async move {
        for _ in 0..STREAMS {
            let (id, protocol, mut stream) = b.inbound().await;
            assert_eq!((id, protocol), (accepted.id, Protocol::Bulk));
            tokio::spawn(async move {
                let number = stream.read_u32().await.unwrap();
                stream.write_u32(number * 3).await.unwrap();
                stream.flush().await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
        b
    });
    let asking = (0..STREAMS).map(|number| {
        let opening = a.network.open(connection.id, Protocol::Bulk);
        async move {
            let mut stream = opening.await.unwrap();
            stream.write_u32(number).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_u32().await.unwrap()
        }
    });
    let answers = futures::future::join_all(asking).await;
    assert!(answers.into_iter().eq((0..STREAMS).map(|number| number * 3)));
    drop(echo.await.unwrap());
}

async fn several_connections_between_two_nodes_are_kept_apart(world: World) {
    let (mut a, mut b) = (world.end(1).await, world.end(2).await);
    let (from_a, from_b) = tokio::join!(a.dial(&b), b.dial(&a));
    assert!(from_a.dialled && from_b.dialled);
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        at_a.push(a.connected().await);
        at_b.push(b.connected().await);
    }
    at_a.sort_by_key(|connection| !connection.dialled);
    at_b.sort_by_key(|connection| connection.dialled);
    assert_eq!((at_a[0].id, at_b[1].id), (from_a.id, from_b.id));
    assert_ne!(at_a[0].id, at_a[1].id);
    for (mine, theirs) in at_a.iter().zip(&at_b) {
        let opened = a.open(mine, Protocol::Control).await.unwrap();
        let (arrived_on, _, _) = b.inbound().await;
        assert_eq!(arrived_on, theirs.id);
        drop(opened);
    }
    a.network.close(at_a[0].id);
    assert_eq!((a.closed().await, b.closed().await), (at_a[0].id, at_b[0].id));
    // The other one goes on.
    let opened = b.open(&at_b[1], Protocol::Calls).await.unwrap();
    assert_eq!(a.inbound().await.0, at_a[1].id);
    drop(opened);
}

/// TCP makes one connection of two attempts that meet, with a dialler at both ends, if each comes from the port that the
/// other one dials.
async fn two_nodes_may_dial_each_other_in_the_same_moment(world: World) {
    let (mut a, mut b) = (world.end(1).await, world.end(2).await);
    for _ in 0..50 {
        let (from_a, from_b) = tokio::join!(a.dial(&b), b.dial(&a));
        assert!(from_a.dialled && from_b.dialled);
        for end in [&mut a, &mut b] {
            end.connected().await;
            end.connected().await;
        }
        a.network.close(from_a.id);
        b.network.close(from_b.id);
        for end in [&mut a, &mut b] {
            end.closed().await;
            end.closed().await;
        }
    }
}

async fn closing_breaks_the_streams_at_both_ends_and_twice_is_harmless(world: World) {
    let (mut a, mut b, dialled, accepted) = pair(&world).await;
    let (here, there) = stream(&a, &mut b, &dialled, Protocol::Calls).await;
    b.network.close(accepted.id);
    b.network.close(accepted.id);
    assert_eq!((a.closed().await, b.closed().await), (dialled.id, accepted.id));
    ends(here).await;
    ends(there).await;
    assert!(a.network.open(dialled.id, Protocol::Calls).await.is_err(), "nothing opens on what is closed");
    a.network.close(dialled.id);
    b.network.close(accepted.id);
    // The next that both hear of is the next connection.
    let next = a.dial(&b).await;
    assert_eq!(a.connected().await, next);
    assert_ne!(next.id, dialled.id, "ids are never used again");
    assert_ne!(b.connected().await.id, accepted.id);
}

async fn a_stream_that_is_dropped_ends_alone(world: World) {
    let (a, mut b, connection, _) = pair(&world).await;
    let (here, there) = stream(&a, &mut b, &connection, Protocol::Bulk).await;
    let (mut other, mut other_there) = stream(&a, &mut b, &connection, Protocol::Control).await;
    drop(here);
    ends(there).await;
    other.write_all(b"still").await.unwrap();
    other.flush().await.unwrap();
    let mut bytes = [0; 5];
    other_there.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"still");
}

async fn dropping_the_network_closes_its_connections(world: World) {
    let (a, mut b, dialled, accepted) = pair(&world).await;
    let (here, there) = stream(&a, &mut b, &dialled, Protocol::Calls).await;
    let End { network, mut events } = a;
    drop(network);
    assert_eq!(b.closed().await, accepted.id);
    ends(there).await;
    ends(here).await;
    while events.recv().await.is_some() {}
}

async fn a_flood_of_streams_does_no_lasting_harm(world: World) {
    const STREAMS: usize = 1500;
    let (mut a, mut b, dialled, accepted) = pair(&world).await;
    let flood: Vec<_> = (0..STREAMS)
        .map(|_| {
            let opening = a.network.open(dialled.id, Protocol::Bulk);
            tokio::spawn(async move {
                let Ok(mut stream) = opening.await else { return };
                if stream.write_all(b"!").await.is_ok() && stream.flush().await.is_ok() {
                    ends(stream).await;
                }
            })
        })
        .collect();
    // Nobody takes them, and so they do not pile up beyond the queue.
    let full = || b.events.len() == EVENTS_QUEUED_MAX || flood.iter().all(JoinHandle::is_finished);
    eventually("the queue of events is full", full).await;
    let mut closed = false;
    while !flood.iter().all(JoinHandle::is_finished) {
        let taken = tokio::time::timeout(Duration::from_millis(10), b.events.recv()).await;
        match taken {
            Ok(Some(Event::Closed { connection, .. })) => closed = connection == accepted.id,
            Ok(Some(event)) => drop(event),
            Ok(None) => panic!("the network ended"),
            Err(_) => {}
        }
    }
    // It may have cost the connection; then both ends are told, and the next one holds.
    let mut connection = dialled.clone();
    let opened = loop {
        if closed && connection == dialled {
            connection = a.dial(&b).await;
        }
        let opened = a.open(&connection, Protocol::Control).await;
        match control_or_end(&mut b).await {
            Some(_) => break opened.unwrap(),
            None => assert!(!std::mem::replace(&mut closed, true), "nothing ends the second connection"),
        }
    };
    if closed {
        let told = |event| matches!(event, Event::Closed { connection, .. } if connection == dialled.id);
        while !told(a.events.recv().await.unwrap()) {}
    }
    drop(opened);
}

/// Passes over what a flood has left behind: to the next control stream, or to the end of the connection.
async fn control_or_end(end: &mut End) -> Option<Stream> {
    loop {
        match end.events.recv().await.unwrap() {
            Event::Inbound { protocol: Protocol::Control, stream, .. } => return Some(stream),
            Event::Closed { .. } => return None,
            Event::Connected(_) | Event::Inbound { .. } => {}
        }
    }
}
