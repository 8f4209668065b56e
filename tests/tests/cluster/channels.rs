//! Channels: what they carry, how they end, and whom they hold up.

use std::{io, time::Duration};

use futures::{FutureExt, StreamExt};
use guthi::{Channel, ChannelError, Incoming, Node, NodeId, OpenError, Outcome};
use guthi_tests::{
    cluster::{eventually_async, members, within},
    functions::square,
    pipe::{pattern, read_pattern, write_pattern},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Home;

const PROTOCOL: &str = "test/1";
/// More than is under way on a channel that nobody reads.
const MUCH: usize = 3 * 1024 * 1024;
/// The window of a stream, and what the channels at its two ends hold beside it.
const UNDER_WAY_MAX: usize = 512 * 1024;

/// Two nodes that are linked, the second of which accepts.
async fn pair(home: &mut Home) -> (Node, Node, Incoming) {
    let (a, b) = (home.caller().await, home.caller().await);
    members(&a, 2).await;
    let incoming = b.accept(PROTOCOL).unwrap();
    (a, b, incoming)
}

/// A channel, both its ends.
async fn channel(from: &Node, to: &Node, incoming: &mut Incoming) -> (Channel, Channel) {
    let here = within("opening", from.open(to, PROTOCOL)).await.unwrap();
    let there = within("taking", incoming.next()).await.unwrap();
    assert_eq!((here.peer(), there.peer()), (to.id(), from.id()));
    assert_eq!((here.protocol(), there.protocol()), (PROTOCOL, PROTOCOL));
    (here, there)
}

/// Writes until nobody takes any more; how many bytes that were.
fn fill(channel: &mut Channel) -> usize {
    let mut written = 0;
    while let Some(count) = channel.write(&pattern(written, 10_000)).now_or_never() {
        written += count.unwrap();
    }
    written
}

/// The error of a channel that has ended before its end.
fn reason(error: &io::Error) -> ChannelError {
    error.get_ref().and_then(|error| error.downcast_ref::<ChannelError>()).expect("it says why").clone()
}

async fn torn(channel: &mut Channel) -> (ChannelError, ChannelError) {
    let mut rest = Vec::new();
    let read = within("reading", channel.read_to_end(&mut rest)).await.unwrap_err();
    let written = within("writing", channel.write_all(&pattern(0, MUCH))).await.unwrap_err();
    assert_eq!(read.kind(), written.kind());
    (reason(&read), reason(&written))
}

async fn refused(node: &Node, peer: impl Into<NodeId>, protocol: &str) -> (OpenError, Outcome) {
    let error = within("opening", node.open(peer, protocol)).await.unwrap_err();
    let outcome = error.outcome();
    (error, outcome)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_both_ways_at_once_and_end() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    for from in [&a, &b] {
        let (here, there) = channel(from, &b, &mut incoming).await;
        // Both write all that they have before they read: two tasks for each end.
        let ends = [here, there].map(|end| {
            let (reads, writes) = tokio::io::split(end);
            [tokio::spawn(write_pattern(writes, MUCH)), tokio::spawn(read_pattern(reads))]
        });
        for task in ends.into_iter().flatten() {
            assert_eq!(within("a direction", task).await.unwrap().unwrap(), MUCH);
        }
    }
    let (sent, received) = (b.metrics().channels.sent_bytes, b.metrics().channels.received_bytes);
    assert_eq!((sent, received), (3 * MUCH as u64, 3 * MUCH as u64));
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_and_the_other_direction_goes_on() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    for from in [&a, &b] {
        let (mut here, mut there) = channel(from, &b, &mut incoming).await;
        here.write_all(b"question").await.unwrap();
        within("shutting down", here.shutdown()).await.unwrap();
        assert_eq!(here.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut text = String::new();
        within("the question", there.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "question");
        there.write_all(b"answer").await.unwrap();
        within("shutting down", there.shutdown()).await.unwrap();
        // What has its end may go.
        drop(there);
        within("the answer", here.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "questionanswer");
        assert_eq!(within("the end stays", here.read(&mut [0; 9])).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_leaves_without_a_flush_once_its_writer_reads() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    let (mut here, mut there) = channel(&a, &b, &mut incoming).await;
    let written = fill(&mut here);
    let asking = async { within("the answer", here.read_u8()).await.unwrap() };
    let answering = async {
        let mut read = vec![0; written];
        within("the question", there.read_exact(&mut read)).await.unwrap();
        assert!(read == pattern(0, written));
        there.write_u8(7).await.unwrap();
        there.flush().await.unwrap();
    };
    assert_eq!(tokio::join!(asking, answering).0, 7);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_dropped_has_no_end() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    for from in [&a, &b] {
        let (mut here, mut there) = channel(from, &b, &mut incoming).await;
        there.write_all(b"half a file").await.unwrap();
        drop(there);
        let mut read = vec![0; 11];
        within("what was written", here.read_exact(&mut read)).await.unwrap();
        assert_eq!(read, b"half a file");
        let dropped = ChannelError::Dropped { protocol: PROTOCOL.into(), peer: b.id() };
        assert_eq!(torn(&mut here).await, (dropped.clone(), dropped.clone()));
        assert_eq!(guthi::Error::from(dropped).outcome(), Outcome::Unknown);
        // The same where so much is under way that there is no room for a last word.
        let (mut here, mut there) = channel(from, &b, &mut incoming).await;
        let written = fill(&mut here);
        drop(here);
        let mut rest = Vec::new();
        let error = within("the rest", there.read_to_end(&mut rest)).await.unwrap_err();
        assert_eq!(reason(&error), ChannelError::Dropped { protocol: PROTOCOL.into(), peer: from.id() });
        assert!(rest.len() <= written && rest == pattern(0, rest.len()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_ends_with_its_peer() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    let (mut here, mut there) = channel(&a, &b, &mut incoming).await;
    let mut waiting = within("opening", a.open(&b, PROTOCOL)).await.unwrap();
    fill(&mut here);
    home.kill(&b);
    for end in [&mut here, &mut waiting] {
        let (read, written) = torn(end).await;
        assert!(matches!(&read, ChannelError::PeerLost { peer, .. } if *peer == b.id()), "{read:?}");
        assert_eq!(read, written);
    }
    // Who was killed is gone with all that it had.
    assert!(within("reading", there.read(&mut [0; 9])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_channel_ends_with_its_link_and_another_one_can_be_opened_over_the_next() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    let third = home.caller().await;
    members(&a, 3).await;
    let (mut here, mut there) = channel(&a, &b, &mut incoming).await;
    let (index_a, index_b) = (home.index_of(&a), home.index_of(&b));
    home.cluster.partition(&[index_a], &[index_b, home.index_of(&third)]);
    // Nothing tells of a cable that was pulled: only who is asked and does not answer.
    for end in [&mut here, &mut there] {
        let (read, written) = torn(end).await;
        assert!(matches!(read, ChannelError::PeerLost { .. }), "{read:?}");
        assert_eq!(read, written);
    }
    let (error, outcome) = refused(&a, &b, PROTOCOL).await;
    assert_eq!(error, OpenError::NotLinked { protocol: PROTOCOL.into(), peer: b.id() });
    assert_eq!(outcome, Outcome::NotApplied);
    home.cluster.heal();
    eventually_async("another one", || async { a.open(&b, PROTOCOL).await.is_ok() }).await;
    assert_eq!(within("it", incoming.next()).await.unwrap().peer(), a.id());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_accepts_nothing_more() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    let (mut here, mut there) = channel(&a, &b, &mut incoming).await;
    let (mut own, _own_end) = channel(&b, &b, &mut incoming).await;
    let handle = b.clone();
    within("leaving", b.leave()).await.unwrap();
    assert!(within("no more", incoming.next()).await.is_none());
    for end in [&mut here, &mut there, &mut own] {
        let (read, _) = torn(end).await;
        assert!(matches!(read, ChannelError::PeerLost { .. }), "{read:?}");
    }
    drop(incoming);
    assert_eq!(handle.accept(PROTOCOL).unwrap_err(), OpenError::Left);
    assert_eq!(refused(&handle, &a, PROTOCOL).await.0, OpenError::Left);
    assert_eq!(refused(&handle, &handle, PROTOCOL).await.0, OpenError::Left);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_accepts_is_refused() {
    let mut home = Home::new().await;
    let (a, b, incoming) = pair(&mut home).await;
    let nobody = |protocol: &str, peer: &Node| {
        (OpenError::NobodyAccepts { protocol: protocol.into(), peer: peer.id() }, Outcome::NotApplied)
    };
    for node in [&a, &b] {
        assert_eq!(refused(node, &b, "test/2").await, nobody("test/2", &b));
        assert_eq!(refused(node, &a, PROTOCOL).await, nobody(PROTOCOL, &a));
    }
    assert_eq!(a.metrics().channels.refused + b.metrics().channels.refused, 4);
    let stranger = NodeId([5; 32]);
    let not_linked = OpenError::NotLinked { protocol: PROTOCOL.into(), peer: stranger };
    assert_eq!(refused(&a, stranger, PROTOCOL).await, (not_linked, Outcome::NotApplied));
    let twice = OpenError::AlreadyAccepted { protocol: PROTOCOL.into() };
    assert_eq!(b.accept(PROTOCOL).unwrap_err(), twice);
    // A channel that was not taken ends with the door.
    let mut untaken = within("opening", a.open(&b, PROTOCOL)).await.unwrap();
    drop(incoming);
    let (read, _) = torn(&mut untaken).await;
    assert_eq!(read, ChannelError::Dropped { protocol: PROTOCOL.into(), peer: b.id() });
    assert_eq!(refused(&a, &b, PROTOCOL).await, nobody(PROTOCOL, &b));
    let mut again = b.accept(PROTOCOL).unwrap();
    channel(&a, &b, &mut again).await;
}

#[tokio::test(start_paused = true)]
async fn names_that_cannot_be_are_refused() {
    let mut home = Home::new().await;
    let (a, b, _incoming) = pair(&mut home).await;
    for name in ["", "a\nb", "guthi.files", &"x".repeat(256)] {
        let refused = [a.accept(name).unwrap_err(), a.open(&b, name).await.unwrap_err()];
        for error in refused {
            assert!(matches!(&error, OpenError::BadName { protocol, .. } if protocol == name), "{error:?}");
            assert!(error.next_step().is_some());
        }
    }
    let longest = "ü".repeat(127) + "1";
    let mut incoming = b.accept(&*longest).unwrap();
    let opened = within("opening", a.open(&b, &*longest)).await.unwrap();
    assert_eq!((opened.protocol(), incoming.next().await.unwrap().protocol()), (&*longest, &*longest));
}

#[tokio::test(start_paused = true)]
async fn channels_that_wait_are_bounded_and_the_rest_is_refused() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    for from in [&a, &b] {
        let before = b.metrics().channels;
        let mut waiting = Vec::new();
        for _ in 0..64 {
            waiting.push(within("opening", from.open(&b, PROTOCOL)).await.unwrap());
        }
        let full = OpenError::Full { protocol: PROTOCOL.into(), peer: b.id() };
        assert_eq!(refused(from, &b, PROTOCOL).await, (full, Outcome::NotApplied));
        let after = b.metrics().channels;
        assert_eq!((after.accepted - before.accepted, after.refused - before.refused), (64, 1));
        // Whoever takes one makes room for the next.
        let taken = incoming.next().await.unwrap();
        waiting.push(within("opening", from.open(&b, PROTOCOL)).await.unwrap());
        drop((taken, waiting));
        for _ in 0..64 {
            within("the rest", incoming.next()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_has_so_many_channels_to_another_and_no_more() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    let mut channels = Vec::new();
    for _ in 0..200 {
        channels.push(channel(&a, &b, &mut incoming).await);
    }
    let many = OpenError::TooMany { protocol: PROTOCOL.into(), peer: b.id() };
    assert_eq!(refused(&a, &b, PROTOCOL).await, (many.clone(), Outcome::NotApplied));
    // Whoever drops an end here has room here; the other end counts there until it is dropped as well.
    let (here, there) = channels.pop().unwrap();
    drop(here);
    assert_eq!(refused(&a, &b, PROTOCOL).await, (many, Outcome::NotApplied));
    drop(there);
    channel(&a, &b, &mut incoming).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_channels_at_once_are_not_mistaken_for_each_other() {
    let mut home = Home::new().await;
    let (a, b, incoming) = pair(&mut home).await;
    let serving = tokio::spawn(incoming.for_each_concurrent(None, async |mut channel| {
        let count = channel.read_u32().await.unwrap();
        write_pattern(&mut channel, count as usize).await.unwrap();
    }));
    let asking = (0..100_u32).map(|number| {
        let (a, b) = (&a, &b);
        async move {
            let mut channel = a.open(b, PROTOCOL).await.unwrap();
            let count = 100_000 + number;
            channel.write_u32(count).await.unwrap();
            channel.flush().await.unwrap();
            assert_eq!(read_pattern(channel).await.unwrap(), count as usize);
        }
    });
    // More would wait at the door than may.
    within("all", futures::stream::iter(asking).for_each_concurrent(60, |asking| asking)).await;
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_its_reader() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    for from in [&a, &b] {
        let (mut here, mut there) = channel(from, &b, &mut incoming).await;
        let mut written = fill(&mut here);
        // What is under way arrives, and still nobody reads it.
        home.cluster.advance(Duration::from_secs(60)).await;
        written += fill(&mut here);
        assert!((64 * 1024..=UNDER_WAY_MAX).contains(&written), "{written}");
        let reading = tokio::spawn(async move { read_pattern(&mut there).await });
        within("it goes on", here.write_all(&pattern(written, MUCH))).await.unwrap();
        within("the end", here.shutdown()).await.unwrap();
        assert_eq!(within("all of it", reading).await.unwrap().unwrap(), written + MUCH);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_nobody_reads_slows_neither_calls_nor_other_channels() {
    let mut home = Home::new().await;
    let (a, _) = home.server().await;
    let (b, _) = home.server().await;
    members(&a, 2).await;
    let mut incoming = b.accept(PROTOCOL).unwrap();
    let (mut here, mut there) = channel(&a, &b, &mut incoming).await;
    fill(&mut here);
    fill(&mut there);
    let (other, other_there) = channel(&a, &b, &mut incoming).await;
    let carried = async {
        let reading = tokio::spawn(read_pattern(other_there));
        write_pattern(other, MUCH).await.unwrap();
        reading.await.unwrap().unwrap()
    };
    let calls = async {
        for n in 0..100 {
            assert_eq!(a.call::<square>(n).on(&b).await, Ok(n * n));
            assert_eq!(b.call::<square>(n).on(&a).await, Ok(n * n));
        }
    };
    assert_eq!(within("all", async { tokio::join!(carried, calls) }).await.0, MUCH);
    assert_eq!((fill(&mut here), fill(&mut there)), (0, 0), "the first channel is still full");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_opening_leaves_nothing_behind() {
    let mut home = Home::new().await;
    let (a, b, mut incoming) = pair(&mut home).await;
    // Dropped at every point at which it waits.
    for polls in 0..20 {
        let mut opening = Box::pin(a.open(&b, PROTOCOL));
        for _ in 0..polls {
            if let Some(opened) = (&mut opening).now_or_never() {
                opened.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(opening);
        home.cluster.settle().await;
        // If the other side was given a channel, it has ended.
        while let Some(Some(mut given)) = incoming.next().now_or_never() {
            assert!(within("its end", given.read(&mut [0; 9])).await.is_err());
        }
    }
    let mut all = Vec::new();
    for _ in 0..200 {
        all.push(channel(&a, &b, &mut incoming).await);
    }
}
