//! A member of the cluster that has been let in and does not keep to the protocol.

use std::{collections::HashMap, future::poll_fn, sync::Arc, time::Duration};

use guthi_core::{
    protocol::{catalog, detector, membership::Policy, packet::Packet},
    wire::{
        codec,
        frame::{self, Kind},
        id::{Incarnation, Member, NodeId},
        limits::CHANNELS_MAX,
        name::Name,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{broadcast, mpsc},
};

use super::{World, ends, within};
use crate::{
    ClusterKey,
    calls::{
        channel::Doors,
        executor::Executor,
        message::{CallHeader, Named, Refusal, flags},
        pool::Pool,
    },
    network::{
        Connection, Event, Network, Protocol, Stream,
        admission::{Credentials, Links, Tag, admit},
        memory::Hub,
    },
    runtime::{
        driver::{Command, Driver, Echo, Setup},
        mutexes::Mutexes,
        roster::Roster,
    },
};

/// An honest node whose network is a hub. It has no functions.
struct Honest {
    id: NodeId,
    doors: Arc<Doors>,
    /// It ends with the last of these.
    _commands: mpsc::Sender<Command>,
}

fn credentials(node: NodeId, incarnation: u64) -> Credentials {
    let me = Member { node, incarnation: Incarnation(incarnation) };
    Credentials { me, cluster: "home".into(), keys: vec![ClusterKey::OPEN] }
}

async fn honest(world: &World) -> Honest {
    let end = world.end(1).await;
    let id = end.network.id();
    let (commands, inbox) = mpsc::channel(1);
    let life = Arc::new(arc_swap::ArcSwap::from_pointee(crate::runtime::life::Life::none(
        crate::runtime::clock::Clock::of_runtime(),
    )));
    let doors = Doors::new();
    let setup = Setup {
        network: end.network,
        doors: doors.clone(),
        credentials: credentials(id, 1),
        executor: Executor::new(id, HashMap::new(), HashMap::new(), Pool::threads(1).unwrap(), 1, 100).unwrap(),
        roster: Arc::new(Roster::default()),
        mutexes: Mutexes::new(life.clone(), true),
        rescue_dir: None,
        variables: crate::runtime::variables::Variables::new(life, true),
        sayings: crate::runtime::sayings::Sayings::new(id),
        replicas: 2,
        events: broadcast::channel(16).0,
        description: Vec::new(),
        echo: Echo::default(),
        policy: Policy::Majority,
        window: Duration::from_millis(100),
        presence: None,
        processes: None,
        born: 0,
        fetch_peers: true,
        join: Vec::new(),
        seed: 1,
        clock: crate::runtime::clock::Clock::of_runtime(),
        gauge: crate::runtime::gauge::Gauge::blind(),
        expect: 1,
    };
    tokio::spawn(Driver::run(setup, end.events, inbox));
    Honest { id, doors, _commands: commands }
}

/// A member that says what a test tells it to.
struct Hostile {
    network: Arc<dyn Network>,
    events: mpsc::Receiver<Event>,
    connection: Connection,
    tag: Tag,
    control: Stream,
    lane: Stream,
}

impl Hostile {
    /// Is let in by keeping to the protocol so far.
    async fn of(world: &World, honest: &Honest, seed: u8) -> Self {
        let mut end = world.end(seed).await;
        let address = format!("/memory/{}", honest.id);
        let connection = end.network.dial(vec![address], Some(honest.id)).await.unwrap();
        end.connected().await;
        let mut control = end.network.open(connection.id, Protocol::Control).await.unwrap();
        let credentials = credentials(end.network.id(), u64::from(seed));
        let tag = admit(&credentials, &connection, &Links::default(), &mut control).await.unwrap().tag;
        let mut lane = end.network.open(connection.id, Protocol::Calls).await.unwrap();
        let mut open = Vec::new();
        frame::put_empty(&mut open, Kind::Open, 0);
        lane.write_all(&open).await.unwrap();
        let mut hostile = Self { network: end.network, events: end.events, connection, tag, control, lane };
        // It answers no echo, which the node puts up with for a while.
        hostile.assert_linked("it is let in").await;
        hostile
    }

    /// Whether the node still keeps the link: it answers an echo on it.
    async fn assert_linked(&mut self, why: &str) {
        self.control
            .write_all(&packet(&Packet::Detector(detector::Message::Echo { sequence: 77, standing: None })))
            .await
            .unwrap();
        loop {
            let (kind, _, body) = read(&mut self.control).await.unwrap_or_else(|| panic!("the link is gone: {why}"));
            assert_eq!(kind, Kind::Control);
            let reply = codec::decode(&body);
            if matches!(reply, Ok(Packet::Detector(detector::Message::EchoReply { sequence: 77, .. }))) {
                return;
            }
        }
    }

    /// Waits until the node has closed the link.
    async fn assert_closed(mut self, why: &str) {
        loop {
            match self.events.recv().await {
                Some(Event::Closed { connection, .. }) if connection == self.connection.id => break,
                Some(_) => {}
                None => panic!("the network ended: {why}"),
            }
        }
        ends(self.control).await;
        ends(self.lane).await;
    }
}

fn packet(packet: &Packet) -> Vec<u8> {
    framed(Kind::Control, 0, &codec::encode(packet, 1 << 20).unwrap())
}

fn framed(kind: Kind, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = frame::put(&mut bytes, kind, flags, 5, |buffer| {
        buffer.extend_from_slice(body);
        Ok::<(), std::convert::Infallible>(())
    });
    bytes
}

fn call(function: u32, name: Option<&str>) -> Vec<u8> {
    let named = name.map(|name| Named { name: name.into(), signature: 0 });
    codec::encode(&CallHeader { function, named, deadline_ms: 0 }, 1000).unwrap()
}

fn traced(trace: &[u8]) -> Vec<u8> {
    [&call(0, Some("x")), trace].concat()
}

/// The kind, flags and body of the next frame; `None` at the end.
async fn read(stream: &mut Stream) -> Option<(Kind, u16, Vec<u8>)> {
    let length = stream.read_u32_le().await.ok()?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.resize(4 + length as usize, 0);
    stream.read_exact(&mut bytes[4..]).await.ok()?;
    let (frame, _) = frame::take(&bytes, 1 << 24).unwrap().unwrap();
    Some((frame.kind, frame.flags, frame.body.to_vec()))
}

fn huge() -> Vec<u8> {
    [&u32::MAX.to_le_bytes()[..], &[1, 2], &[0; 10]].concat()
}

/// A good packet, but for one byte.
fn with(position: usize, byte: u8) -> Vec<u8> {
    let mut bytes = packet(&Packet::PeersWanted);
    bytes[position] = byte;
    bytes
}

#[tokio::test]
async fn rubbish_on_the_control_stream_ends_the_link_and_nothing_else() {
    let rubbish = [
        ("no frame", vec![7; 100]),
        ("a huge length", huge()),
        ("a short length", vec![1, 0, 0, 0, 1]),
        ("another version", with(4, 9)),
        ("an unknown kind", with(5, 99)),
        ("a frame of the lane", framed(Kind::Call, 0, &call(0, Some("x")))),
        ("an unknown packet", framed(Kind::Control, 0, &[200])),
        ("bytes behind a packet", framed(Kind::Control, 0, &[3, 3])),
        ("more peers than bytes", framed(Kind::Control, 0, &[4, 255, 255, 255, 255, 15])),
    ];
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut witness = Hostile::of(&world, &honest, 2).await;
        for (why, bytes) in rubbish {
            let mut hostile = Hostile::of(&world, &honest, 3).await;
            hostile.control.write_all(&bytes).await.unwrap();
            hostile.assert_closed(why).await;
            witness.assert_linked(why).await;
        }
    })
    .await;
}

#[tokio::test]
async fn rubbish_on_the_lane_ends_the_link_and_nothing_else() {
    let rubbish = [
        ("no frame", vec![7; 100]),
        ("a huge length", huge()),
        ("another version", with(4, 9)),
        ("a packet", packet(&Packet::PeersWanted)),
        ("a call without a header", framed(Kind::Call, 0, &[255])),
        ("unknown flags", framed(Kind::Call, 1 << 9, &call(0, Some("x")))),
        ("a function that was never named", framed(Kind::Call, 0, &call(3, None))),
        ("a progress without a share", framed(Kind::Progress, 0, &[])),
        ("a progress that is no number", framed(Kind::Progress, 0, &f32::NAN.to_le_bytes())),
        ("a progress beyond the end", framed(Kind::Progress, 0, &1.5f32.to_le_bytes())),
        ("a progress with flags", framed(Kind::Progress, 1, &0.5f32.to_le_bytes())),
        ("a trace that is none", framed(Kind::Call, flags::TRACED, &traced(&[0; 24]))),
        ("half a trace", framed(Kind::Call, flags::TRACED, &traced(&[1; 23]))),
        ("a number far too large", framed(Kind::Call, 0, &call(4_000_000, Some("x")))),
    ];
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut witness = Hostile::of(&world, &honest, 2).await;
        for (why, bytes) in rubbish {
            let mut hostile = Hostile::of(&world, &honest, 3).await;
            hostile.lane.write_all(&bytes).await.unwrap();
            hostile.assert_closed(why).await;
            witness.assert_linked(why).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_of_a_frame_ends_the_link() {
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        for lane in [false, true] {
            let mut hostile = Hostile::of(&world, &honest, 3).await;
            let bytes = framed(if lane { Kind::Call } else { Kind::Control }, 0, &[1; 50]);
            let stream = if lane { &mut hostile.lane } else { &mut hostile.control };
            stream.write_all(&bytes[..40]).await.unwrap();
            stream.shutdown().await.unwrap();
            hostile.assert_closed("half a frame").await;
        }
    })
    .await;
}

#[tokio::test]
async fn answers_and_cancellations_that_nobody_waits_for_are_ignored() {
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut hostile = Hostile::of(&world, &honest, 2).await;
        for _ in 0..1000 {
            hostile.lane.write_all(&framed(Kind::Reply, 0, b"nonsense")).await.unwrap();
            hostile.lane.write_all(&framed(Kind::Reply, flags::REFUSED, b"nonsense")).await.unwrap();
            hostile.lane.write_all(&framed(Kind::Cancel, 0, &[])).await.unwrap();
            hostile.lane.write_all(&framed(Kind::Progress, 0, &0.5f32.to_le_bytes())).await.unwrap();
        }
        hostile
            .control
            .write_all(&packet(&Packet::Detector(detector::Message::EchoReply {
                sequence: 12345,
                standing: None,
                vitals: detector::Vitals::default(),
            })))
            .await
            .unwrap();
        let of = Member { node: NodeId([9; 32]), incarnation: Incarnation(1) };
        let backwards = catalog::Delta { of, after: 99, sequence: 5, floor: 0, changes: Vec::new() };
        hostile.control.write_all(&packet(&Packet::Catalog(catalog::Message::Delta(backwards)))).await.unwrap();
        // A call behind them is answered.
        hostile.lane.write_all(&framed(Kind::Call, 0, &call(0, Some("missing")))).await.unwrap();
        loop {
            let (kind, found, body) = read(&mut hostile.lane).await.expect("the lane is there");
            if kind == Kind::Reply {
                assert_eq!((found, codec::decode(&body)), (flags::REFUSED, Ok(Refusal::NoSuchFunction)));
                break;
            }
        }
        hostile.assert_linked("strange answers").await;
    })
    .await;
}

#[tokio::test]
async fn streams_that_nobody_asked_for_are_refused_and_the_link_stays() {
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut hostile = Hostile::of(&world, &honest, 2).await;
        for protocol in [Protocol::Control, Protocol::Calls] {
            let second = hostile.network.open(hostile.connection.id, protocol).await.unwrap();
            ends(second).await;
        }
        // A payload beyond all bounds is refused as soon as its header is read.
        let mut bulk = hostile.network.open(hostile.connection.id, Protocol::Bulk).await.unwrap();
        bulk.write_all(&[&hostile.tag.0[..], &huge()].concat()).await.unwrap();
        ends(bulk).await;
        // One for another link is refused when its tag is read, on this connection and on another.
        let address = format!("/memory/{}", honest.id);
        let second = hostile.network.dial(vec![address], Some(honest.id)).await.unwrap();
        for connection in [hostile.connection.id, second.id] {
            let mut bulk = hostile.network.open(connection, Protocol::Bulk).await.unwrap();
            bulk.write_all(&[7; 16]).await.unwrap();
            ends(bulk).await;
        }
        // So many that say nothing are kept waiting for, and no more.
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(hostile.network.open(hostile.connection.id, Protocol::Bulk).await.unwrap());
        }
        ends(silent.pop().unwrap()).await;
        hostile.assert_linked("a flood").await;
        drop(silent);
    })
    .await;
}

/// The first words on a stream that wants to be a channel.
fn hello(tag: Tag, name: &[u8]) -> Vec<u8> {
    [&tag.0[..], &[u8::try_from(name.len()).unwrap()], name].concat()
}

impl Hostile {
    async fn ask(&self, bytes: &[u8]) -> Stream {
        let mut stream = self.network.open(self.connection.id, Protocol::Channel).await.unwrap();
        // A stream that has been refused takes no more.
        let _ = stream.write_all(bytes).await;
        stream
    }

    /// What is answered to a beginning of a channel.
    async fn answer(&self, bytes: &[u8]) -> (Stream, Option<u8>) {
        let mut stream = self.ask(bytes).await;
        let answer = stream.read_u8().await.ok();
        (stream, answer)
    }
}

#[tokio::test]
async fn streams_that_are_no_channels_are_refused_and_the_link_stays() {
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut hostile = Hostile::of(&world, &honest, 2).await;
        let tag = hostile.tag;
        let mut door = honest.doors.accept(Name::new("fs").unwrap()).unwrap();
        let rubbish =
            [hello(Tag([7; 16]), b"fs"), hello(tag, b""), hello(tag, b"a\nb"), hello(tag, &[0xff; 255]), vec![0; 600]];
        for (refused, bytes) in (1..).zip(rubbish) {
            assert_eq!(hostile.answer(&bytes).await.1, None, "{bytes:?}");
            assert_eq!(honest.doors.counts().seen().refused, refused);
        }
        assert_eq!(hostile.answer(&hello(tag, b"fx")).await.1, Some(1), "nobody accepts it");
        // So many wait at the door, so many are there in all, and no more.
        let mut channels = Vec::new();
        for turn in 0..4 {
            for _ in 0..64.min(CHANNELS_MAX - channels.len()) {
                let (stream, answer) = hostile.answer(&hello(tag, b"fs")).await;
                assert_eq!(answer, Some(0));
                channels.push((stream, None));
            }
            let no = if channels.len() < CHANNELS_MAX { 2 } else { 3 };
            assert_eq!(hostile.answer(&hello(tag, b"fs")).await.1, Some(no), "{turn}");
            for (_, taken) in channels.iter_mut().filter(|(_, taken)| taken.is_none()) {
                *taken = poll_fn(|cx| door.poll_next(cx)).await;
            }
        }
        assert_eq!(channels.len(), CHANNELS_MAX);
        // What is no piece ends a channel, and nothing else.
        let (mut stream, channel) = channels.pop().unwrap();
        stream.write_all(&[&[1, 0, 0, 0, b'x'][..], &[0, 0, 0, 1]].concat()).await.unwrap();
        let mut read = Vec::new();
        channel.unwrap().read_to_end(&mut read).await.unwrap_err();
        assert_eq!(read, b"x");
        // So many that say nothing are heard out, and no more.
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(hostile.ask(&tag.0).await);
        }
        ends(silent.pop().unwrap()).await;
        hostile.assert_linked("a flood").await;
        drop((silent, channels));
    })
    .await;
}

#[tokio::test]
async fn what_comes_before_admission_is_not_heard() {
    within(async {
        let world = World::Memory(Hub::default());
        let honest = honest(&world).await;
        let mut stranger = world.end(3).await;
        let address = format!("/memory/{}", honest.id);
        let connection = stranger.network.dial(vec![address], Some(honest.id)).await.unwrap();
        stranger.connected().await;
        let mut bulk = stranger.network.open(connection.id, Protocol::Bulk).await.unwrap();
        let _ = bulk.write_all(&framed(Kind::Call, 0, &call(u32::MAX, Some("missing")))).await;
        ends(bulk).await;
        let mut channel = stranger.network.open(connection.id, Protocol::Channel).await.unwrap();
        let _ = channel.write_all(&hello(Tag([0; 16]), b"fs")).await;
        ends(channel).await;
        let mut lane = stranger.network.open(connection.id, Protocol::Calls).await.unwrap();
        let _ = lane.write_all(&framed(Kind::Call, 0, &call(0, Some("missing")))).await;
        let mut control = stranger.network.open(connection.id, Protocol::Control).await.unwrap();
        control.write_all(&packet(&Packet::PeersWanted)).await.unwrap();
        // The packet is no handshake: the connection is closed, and nothing else was ever said.
        stranger.closed().await;
        let mut answer = Vec::new();
        let _ = lane.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
        ends(control).await;
    })
    .await;
}
