//! The handshake: who gets in, and who does not whatever he tries.

use std::{future::Future, time::Duration};

use guthi_core::wire::{
    codec,
    frame::{self, Kind},
    id::{Incarnation, Member, NodeId},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::yield_now,
};

use super::{HANG, within};
use crate::{
    ClusterKey,
    network::{
        Connection, ConnectionId, Stream,
        admission::{Credentials, Links, Refused, Tag, admit},
    },
};

/// Longer than a handshake may take.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// One node as the handshake knows it.
struct Side {
    credentials: Credentials,
    links: Links,
    /// Of the links that it was let into.
    tags: Mutex<Vec<Tag>>,
}

type Outcome = Result<Member, Refused>;

impl Side {
    fn new(node: u8, cluster: &str, keys: &[u8]) -> Self {
        let me = Member { node: NodeId([node; 32]), incarnation: Incarnation(u64::from(node)) };
        let keys = keys.iter().map(|key| self::key(*key)).collect();
        Self {
            credentials: Credentials { me, cluster: cluster.into(), keys },
            links: Links::default(),
            tags: Mutex::default(),
        }
    }

    fn node(&self) -> NodeId {
        self.credentials.me.node
    }

    async fn admit(&self, connection: u64, peer: NodeId, dialled: bool, stream: DuplexStream) -> Outcome {
        let connection = Connection { id: ConnectionId(connection), peer, dialled, address: "test".into() };
        let mut stream: Stream = Box::pin(stream);
        let admitted = admit(&self.credentials, &connection, &self.links, &mut stream).await;
        admitted.map(|admitted| {
            self.tags.lock().push(admitted.tag);
            admitted.member
        })
    }

    fn holds(&self, connection: u64, peer: NodeId) -> bool {
        self.links.is_link(ConnectionId(connection), peer)
    }
}

fn key(number: u8) -> ClusterKey {
    let digits = data_encoding::BASE32_NOPAD.encode(&[number; 32]).to_lowercase();
    format!("gk1{digits}").parse().unwrap()
}

/// Both halves of a handshake over an honest wire.
async fn meet(dialler: &Side, listener: &Side, connection: u64) -> (Outcome, Outcome) {
    let (here, there) = duplex(4096);
    tokio::join!(
        dialler.admit(connection, listener.node(), true, here),
        listener.admit(connection, dialler.node(), false, there)
    )
}

fn assert_linked(a: &Side, b: &Side, connection: u64, outcome: (Outcome, Outcome)) {
    assert_eq!(outcome, (Ok(b.credentials.me), Ok(a.credentials.me)));
    assert!(a.holds(connection, b.node()) && b.holds(connection, a.node()));
    let tags = [a, b].map(|side| side.tags.lock().clone());
    assert!(tags[0].last().is_some() && tags[0].last() == tags[1].last(), "both ends name their link alike");
    assert!(tags[0].iter().filter(|tag| Some(*tag) == tags[0].last()).count() == 1, "and no two links alike");
}

/// The messages as they are on the wire, written down a second time so that a change of theirs shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Message {
    Hello { cluster: [u8; 16], nonce: [u8; 32], incarnation: u64 },
    Proof { mac: [u8; 32], elsewhere: bool, number: u64 },
    Verdict(Verdict),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Accept,
    Duplicate,
    WrongKey,
    WrongCluster,
    Refused(String),
}

fn framed(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Kind::Control, 0, 0, |body| codec::encode_into(message, body)).unwrap();
    bytes
}

/// Reads one message; `None` if the other end has ended.
async fn read(stream: &mut DuplexStream) -> Option<Message> {
    let length = stream.read_u32_le().await.ok()? as usize;
    let mut bytes = u32::try_from(length).unwrap().to_le_bytes().to_vec();
    bytes.resize(4 + length, 0);
    stream.read_exact(&mut bytes[4..]).await.ok()?;
    let (frame, _) = frame::take(&bytes, 4096).unwrap().unwrap();
    Some(codec::decode(frame.body).unwrap())
}

async fn write(stream: &mut DuplexStream, message: &Message) {
    // Who has been refused may find the stream closed.
    let _ = stream.write_all(&framed(message)).await;
}

fn hello_of(cluster: &str) -> Message {
    let hash = blake3::derive_key("guthi 2026 cluster tag", cluster.as_bytes());
    Message::Hello { cluster: *hash.first_chunk().unwrap(), nonce: [7; 32], incarnation: 1 }
}

/// What a listener says to somebody who plays `script` at it.
async fn against_listener<R>(
    listener: &Side,
    peer: NodeId,
    script: impl AsyncFnOnce(DuplexStream) -> R,
) -> (R, Outcome) {
    let (here, there) = duplex(64 * 1024);
    tokio::join!(script(here), listener.admit(1, peer, false, there))
}

async fn against_dialler<R>(dialler: &Side, peer: NodeId, script: impl AsyncFnOnce(DuplexStream) -> R) -> (R, Outcome) {
    let (here, there) = duplex(64 * 1024);
    tokio::join!(script(here), dialler.admit(1, peer, true, there))
}

const STRANGER: NodeId = NodeId([200; 32]);

#[tokio::test]
async fn nodes_of_one_cluster_with_one_key_admit_each_other() {
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[1]));
    assert_linked(&a, &b, 1, meet(&a, &b, 1).await);
    // The node of the larger id may dial as well.
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[1]));
    assert_linked(&b, &a, 1, meet(&b, &a, 1).await);
}

#[tokio::test]
async fn another_key_is_told_to_both_and_links_neither() {
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[2]));
    assert_eq!(meet(&a, &b, 1).await, (Err(Refused::WrongKey), Err(Refused::WrongKey)));
    assert!(!a.holds(1, b.node()) && !b.holds(1, a.node()));
}

#[tokio::test]
async fn another_cluster_is_told_to_both_and_links_neither() {
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "work", &[1]));
    assert_eq!(meet(&a, &b, 1).await, (Err(Refused::WrongCluster), Err(Refused::WrongCluster)));
    assert!(!a.holds(1, b.node()) && !b.holds(1, a.node()));
}

#[tokio::test]
async fn another_wire_version_is_named() {
    for dialled in [false, true] {
        let me = Side::new(1, "home", &[1]);
        let (mut here, there) = duplex(4096);
        let mut bytes = framed(&hello_of("home"));
        bytes[4] = 9;
        here.write_all(&bytes).await.unwrap();
        assert_eq!(me.admit(1, STRANGER, dialled, there).await, Err(Refused::WrongVersion(9)));
    }
}

#[tokio::test]
async fn keys_can_be_changed_one_node_at_a_time() {
    // From the old key to the new one: first everybody accepts it, then everybody uses it.
    let generations: [&[u8]; 3] = [&[1], &[1, 2], &[2, 1]];
    for neighbours in generations.windows(2) {
        for (dialler, listener) in [(0, 1), (1, 0)] {
            let (a, b) = (Side::new(1, "home", neighbours[dialler]), Side::new(2, "home", neighbours[listener]));
            assert_linked(&a, &b, 1, meet(&a, &b, 1).await);
        }
    }
    // Last, when everybody uses the new one, the old one is dropped.
    let (a, b) = (Side::new(1, "home", &[2, 1]), Side::new(2, "home", &[2]));
    assert_linked(&a, &b, 1, meet(&a, &b, 1).await);
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[2]));
    assert_eq!(meet(&a, &b, 1).await.0, Err(Refused::WrongKey), "the first and the last have no key in common");
}

#[tokio::test]
async fn whoever_has_no_key_learns_nothing_that_a_key_has_touched() {
    let listener = Side::new(1, "home", &[1]);
    let (heard, outcome) = against_listener(&listener, STRANGER, async |mut stream| {
        write(&mut stream, &hello_of("home")).await;
        let hello = read(&mut stream).await;
        write(&mut stream, &Message::Proof { mac: [0; 32], elsewhere: false, number: 1 }).await;
        (hello, read(&mut stream).await, read(&mut stream).await)
    })
    .await;
    assert_eq!(outcome, Err(Refused::WrongKey));
    assert!(matches!(heard.0, Some(Message::Hello { .. })), "{heard:?}");
    assert_eq!((heard.1, heard.2), (Some(Message::Verdict(Verdict::WrongKey)), None), "a refusal and no proof");
}

#[tokio::test]
async fn whoever_does_not_know_the_cluster_learns_nothing_of_it() {
    let listener = Side::new(1, "home", &[1]);
    let (heard, outcome) = against_listener(&listener, STRANGER, async |mut stream| {
        write(&mut stream, &hello_of("work")).await;
        (read(&mut stream).await, read(&mut stream).await)
    })
    .await;
    assert_eq!(outcome, Err(Refused::WrongCluster));
    assert_eq!(heard, (Some(Message::Verdict(Verdict::WrongCluster)), None));
}

/// Carries messages between two honest nodes and keeps a copy of what each said.
async fn pump(mut from: DuplexStream, mut to: DuplexStream) -> (Vec<Message>, Vec<Message>) {
    let (mut said, mut answered) = (Vec::new(), Vec::new());
    // The order of the handshake: hello, hello, proof, proof and verdict, verdict.
    for turn in [true, false, true, false, false, true] {
        let (source, target, log) =
            if turn { (&mut from, &mut to, &mut said) } else { (&mut to, &mut from, &mut answered) };
        let Some(message) = read(source).await else { break };
        write(target, &message).await;
        log.push(message);
    }
    (said, answered)
}

/// What both sides of an honest handshake have said.
async fn overheard(dialler: &Side, listener: &Side) -> (Vec<Message>, Vec<Message>) {
    let (a, a_end) = duplex(4096);
    let (b, b_end) = duplex(4096);
    let (first, second, heard) = tokio::join!(
        dialler.admit(1, listener.node(), true, a),
        listener.admit(1, dialler.node(), false, b),
        pump(a_end, b_end)
    );
    assert!(first.is_ok() && second.is_ok());
    assert_eq!((heard.0.len(), heard.1.len()), (3, 3));
    heard
}

#[tokio::test]
async fn a_proof_that_was_overheard_is_worth_nothing_on_another_connection() {
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[1]));
    let (said, answered) = overheard(&a, &b).await;
    // Even by somebody who could speak with the same identity.
    b.links.forget(ConnectionId(1), a.node());
    a.links.forget(ConnectionId(1), b.node());
    let (_, outcome) = against_listener(&b, a.node(), async |mut stream| {
        for message in &said {
            write(&mut stream, message).await;
        }
        while read(&mut stream).await.is_some() {}
    })
    .await;
    assert_eq!(outcome, Err(Refused::WrongKey));
    let (_, outcome) = against_dialler(&a, b.node(), async |mut stream| {
        for message in &answered {
            write(&mut stream, message).await;
        }
        while read(&mut stream).await.is_some() {}
    })
    .await;
    assert_eq!(outcome, Err(Refused::WrongKey));
    assert!(!b.holds(1, a.node()) && !a.holds(1, b.node()));
}

#[tokio::test]
async fn a_proof_that_is_sent_back_is_worth_nothing() {
    let a = Side::new(1, "home", &[1]);
    for peer in [STRANGER, a.node()] {
        let (_, outcome) = against_dialler(&a, peer, async |mut stream| {
            for _ in 0..2 {
                let message = read(&mut stream).await.unwrap();
                write(&mut stream, &message).await;
            }
            write(&mut stream, &Message::Verdict(Verdict::Accept)).await;
            while read(&mut stream).await.is_some() {}
        })
        .await;
        assert_eq!(outcome, Err(Refused::WrongKey), "{peer}");
    }
}

#[tokio::test]
async fn a_proof_for_one_peer_is_worth_nothing_at_another() {
    // Somebody between two members passes on what each says, word for word; noise names him to both.
    let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[1]));
    let (to_a, a_end) = duplex(4096);
    let (to_b, b_end) = duplex(4096);
    let (at_a, at_b, _) =
        tokio::join!(a.admit(1, STRANGER, true, to_a), b.admit(1, STRANGER, false, to_b), pump(a_end, b_end));
    assert_eq!((at_a, at_b), (Err(Refused::WrongKey), Err(Refused::WrongKey)));
}

#[tokio::test]
async fn a_verdict_does_not_stand_for_a_proof() {
    let a = Side::new(1, "home", &[1]);
    let accept = Message::Verdict(Verdict::Accept);
    let proof = Message::Proof { mac: [3; 32], elsewhere: false, number: 1 };
    for script in [vec![&accept], vec![&accept, &accept], vec![&proof, &accept], vec![&proof, &accept, &accept]] {
        let (_, outcome) = against_listener(&a, STRANGER, async |mut stream| {
            write(&mut stream, &hello_of("home")).await;
            for message in &script {
                write(&mut stream, message).await;
            }
            while read(&mut stream).await.is_some() {}
        })
        .await;
        assert!(outcome.is_err(), "{script:?}");
        assert!(!a.holds(1, STRANGER));
    }
}

#[tokio::test]
async fn refusals_of_the_other_end_are_understood() {
    let cases = [
        (Verdict::WrongKey, Refused::WrongKey),
        (Verdict::WrongCluster, Refused::WrongCluster),
        (Verdict::Duplicate, Refused::Duplicate),
        (Verdict::Refused("leaving".into()), Refused::Other("leaving".into())),
    ];
    for (verdict, expected) in cases {
        let a = Side::new(1, "home", &[1]);
        let (_, outcome) = against_dialler(&a, STRANGER, async |mut stream| {
            write(&mut stream, &Message::Verdict(verdict)).await;
            while read(&mut stream).await.is_some() {}
        })
        .await;
        assert_eq!(outcome, Err(expected));
    }
}

/// Texts that are no handshake, each followed by the end of the stream.
fn rubbish() -> Vec<Vec<u8>> {
    let hello = framed(&hello_of("home"));
    let mut rubbish = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![255; 4096],
        [&u32::MAX.to_le_bytes()[..], &[1, 5]].concat(),
        [&1025u32.to_le_bytes()[..], &[1, 5], &[0; 2000]].concat(),
        [&0u32.to_le_bytes()[..], &[1]].concat(),
        // A frame with nothing in it, and one of a kind that belongs elsewhere.
        vec![12, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![12, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![12, 0, 0, 0, 1, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    rubbish.extend((0..hello.len()).map(|end| hello[..end].to_vec()));
    // A byte too many inside the frame.
    let mut longer = hello.clone();
    longer[0] += 1;
    longer.push(0);
    rubbish.push(longer);
    // An unknown message.
    let mut unknown = hello;
    unknown[16] = 77;
    rubbish.push(unknown);
    // Noise, the same at every run.
    let mut state = 1u64;
    rubbish.extend((0..200).map(|length| {
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[7]
        };
        // Half of them begin like a frame, so that they get further.
        let head: &[u8] = if length % 2 == 0 { &[] } else { &[60, 0, 0, 0, 1, 5] };
        head.iter().copied().chain((0..length).map(|_| byte())).collect()
    }));
    rubbish
}

#[tokio::test]
async fn rubbish_is_refused_by_both_ends() {
    for dialled in [false, true] {
        for bytes in rubbish() {
            let me = Side::new(1, "home", &[1]);
            let (mut here, there) = duplex(64 * 1024);
            here.write_all(&bytes).await.unwrap();
            here.shutdown().await.unwrap();
            let outcome = tokio::time::timeout(HANG, me.admit(1, STRANGER, dialled, there)).await.expect("it hangs");
            assert!(outcome.is_err(), "{bytes:?}");
            assert!(!me.holds(1, STRANGER), "{bytes:?}");
        }
    }
}

async fn patience_of(handshake: impl Future<Output = Outcome>) -> (Outcome, Duration) {
    let began = tokio::time::Instant::now();
    let outcome = tokio::time::timeout(FOR_EVER, handshake).await.expect("it waits for ever");
    (outcome, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_waited_for() {
    for dialled in [false, true] {
        let me = Side::new(1, "home", &[1]);
        let (_here, there) = duplex(4096);
        let (outcome, waited) = patience_of(me.admit(1, STRANGER, dialled, there)).await;
        assert!(matches!(outcome, Err(Refused::Other(_))), "{outcome:?}");
        assert!(waited <= Duration::from_secs(10), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_message_is_not_waited_for_either() {
    let hello = framed(&hello_of("home"));
    for end in [3, 5, 16, hello.len() - 1] {
        let me = Side::new(1, "home", &[1]);
        let (mut here, there) = duplex(4096);
        here.write_all(&hello[..end]).await.unwrap();
        let (outcome, waited) = patience_of(me.admit(1, STRANGER, false, there)).await;
        assert!(matches!(outcome, Err(Refused::Other(_))), "{outcome:?}");
        assert!(waited <= Duration::from_secs(10), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_buys_no_time() {
    let me = Side::new(1, "home", &[1]);
    let (mut here, there) = duplex(4096);
    let dripping = tokio::spawn(async move {
        for byte in framed(&hello_of("home")) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if here.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let (outcome, waited) = patience_of(me.admit(1, STRANGER, false, there)).await;
    assert!(matches!(outcome, Err(Refused::Other(_))), "{outcome:?}");
    assert!(waited <= Duration::from_secs(10), "{waited:?}");
    dripping.await.unwrap();
}

/// Passes bytes on in pieces and at moments that `seed` chooses.
async fn stutter(from: DuplexStream, to: DuplexStream, seed: u64) {
    let (mut a_reads, mut a_writes) = tokio::io::split(from);
    let (mut b_reads, mut b_writes) = tokio::io::split(to);
    let one_way = async |reads: &mut tokio::io::ReadHalf<DuplexStream>,
                         writes: &mut tokio::io::WriteHalf<DuplexStream>,
                         mut state: u64| {
        let mut buffer = [0; 64];
        loop {
            let Ok(count @ 1..) = reads.read(&mut buffer).await else { return };
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for _ in 0..state >> 60 {
                yield_now().await;
            }
            if writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(
        one_way(&mut a_reads, &mut b_writes, seed),
        one_way(&mut b_reads, &mut a_writes, seed.wrapping_mul(31) + 7)
    );
}

async fn meet_with_stutter(dialler: &Side, listener: &Side, connection: u64, seed: u64) -> (Outcome, Outcome) {
    let (here, here_end) = duplex(4096);
    let (there, there_end) = duplex(4096);
    let carrying = tokio::spawn(stutter(here_end, there_end, seed));
    let outcome = tokio::join!(
        dialler.admit(connection, listener.node(), true, here),
        listener.admit(connection, dialler.node(), false, there)
    );
    carrying.abort();
    outcome
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_connection_and_the_same() {
    within(async {
        for seed in 0..500 {
            let (a, b) = (Side::new(1, "home", &[1]), Side::new(2, "home", &[1]));
            let (from_a, (from_b_there, from_b_here)) =
                tokio::join!(meet_with_stutter(&a, &b, 1, seed), meet_with_stutter(&b, &a, 2, seed + 1000));
            let outcomes = [from_a, (from_b_here, from_b_there)];
            let kept = |side: &Side, other: &Side| [1, 2].map(|connection| side.holds(connection, other.node()));
            assert_eq!(kept(&a, &b), kept(&b, &a), "seed {seed}: both keep the same: {outcomes:?}");
            assert_eq!(kept(&a, &b).iter().filter(|kept| **kept).count(), 1, "seed {seed}: {outcomes:?}");
            let position = kept(&a, &b).iter().position(|kept| *kept).unwrap();
            assert!(outcomes[position].0.is_ok() && outcomes[position].1.is_ok(), "seed {seed}: {outcomes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_that_only_one_end_has_lost_is_replaced() {
    for (dialler, listener) in [(1, 2), (2, 1)] {
        let (a, b) = (Side::new(dialler, "home", &[1]), Side::new(listener, "home", &[1]));
        assert_linked(&a, &b, 1, meet(&a, &b, 1).await);
        // The dialler knows that it is broken, the other does not yet.
        a.links.forget(ConnectionId(1), b.node());
        assert_linked(&a, &b, 2, meet(&a, &b, 2).await);
        assert!(!b.holds(1, a.node()));
    }
}

#[tokio::test]
async fn another_process_with_a_linked_identity_is_refused() {
    for (first, second) in [(1, 2), (2, 1)] {
        let (a, b) = (Side::new(first, "home", &[1]), Side::new(second, "home", &[1]));
        assert_linked(&a, &b, 1, meet(&a, &b, 1).await);
        let mut twin = Side::new(first, "home", &[1]);
        twin.credentials.me.incarnation = Incarnation(99);
        let (at_twin, at_b) = meet(&twin, &b, 2).await;
        assert!(at_b.is_err(), "{at_b:?}");
        assert!(at_twin.is_err() || !b.holds(2, a.node()), "{at_twin:?}");
        assert!(b.holds(1, a.node()), "the first keeps its link");
    }
}
