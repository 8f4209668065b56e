//! Channels over sockets.

use futures::{StreamExt, TryStreamExt, stream};
use guthi::{ChannelError, OpenError};
use guthi_tests::{
    cluster::{Home, members, within},
    functions::{length, same},
    pipe::{BULK, carry_bulk, count_bulk, give_bulk, read_pattern, write_pattern},
    process::Worker,
};
use tokio::io::AsyncReadExt;

use super::WORKER;

const PROTOCOL: &str = "test/1";
const MIB: usize = 1 << 20;
/// More than the window of a stream.
const MUCH: usize = 400_000;

fn reason(error: &std::io::Error) -> ChannelError {
    error.get_ref().and_then(|error| error.downcast_ref::<ChannelError>()).expect("it says why").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_carry_much_both_ways_at_once_beside_calls() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let (caller, _) = home.server().await;
    members(&server, 2).await;
    let mut incoming = server.accept(PROTOCOL).unwrap();
    let taking = async {
        let mut ends = Vec::new();
        for _ in 0..100 {
            ends.push(incoming.next().await.unwrap());
        }
        ends
    };
    // More would wait at the door than may.
    let opening = stream::iter(0..100).map(|_| caller.open(&server, PROTOCOL)).buffered(50).try_collect::<Vec<_>>();
    let (mut ends, opened) = within("opening", async { tokio::join!(taking, opening) }).await;
    ends.extend(opened.unwrap());
    // Four tasks for each channel, all of which write before anybody reads.
    let tasks: Vec<_> = ends
        .into_iter()
        .flat_map(|end| {
            let (reads, writes) = tokio::io::split(end);
            [tokio::spawn(write_pattern(writes, MUCH)), tokio::spawn(read_pattern(reads))]
        })
        .collect();
    for n in 0..20 {
        assert_eq!(within("a call", caller.call::<same>(n).on(&server)).await, Ok(n));
    }
    assert_eq!(within("a payload", server.call::<length>("x".repeat(MIB)).on(&caller)).await, Ok(MIB as u64));
    for task in tasks {
        assert_eq!(within("a direction", task).await.unwrap().unwrap(), MUCH);
    }
    assert!(matches!(caller.open(&server, "test/2").await, Err(OpenError::NobodyAccepts { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_told_how_a_channel_has_ended() {
    let home = Home::new();
    let caller = home.caller().await;
    let worker = Worker::start(WORKER, &home);
    members(&caller, 2).await;
    within("carrying", carry_bulk(&caller, worker.id, 20 * MIB as u64)).await.unwrap();
    let mut incoming = caller.accept(BULK).unwrap();
    for kills in [false, true] {
        let giving = tokio::spawn(caller.call::<give_bulk>(u64::MAX).on(worker.id).into_future());
        let mut channel = within("taking", incoming.next()).await.unwrap();
        channel.read_exact(&mut vec![0; MIB]).await.unwrap();
        if kills {
            worker.kill();
        } else {
            // The function is dropped, and its channel with it.
            giving.abort();
        }
        let ended = reason(&within("its end", count_bulk(&mut channel)).await.unwrap_err());
        let (protocol, peer) = (BULK.to_owned(), worker.id);
        match ended {
            ChannelError::PeerLost { peer: lost, .. } => assert!(kills && lost == peer),
            other => assert_eq!((kills, other), (false, ChannelError::Dropped { protocol, peer })),
        }
    }
}

/// Whoever shares a thread with many bytes waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_has_threads_of_its_own_from_the_first_on() {
    let home = Home::new();
    let caller = home.caller().await;
    let worker = Worker::start(WORKER, &home);
    members(&caller, 2).await;
    let has_threads = || worker.threads().iter().any(|name| name == "guthi-bulk");
    assert_eq!(within("a call", caller.call::<same>(1).on(worker.id)).await, Ok(1));
    assert!(!has_threads(), "{:?}", worker.threads());
    for _ in 0..3 {
        assert_eq!(within("a payload", caller.call::<length>("x".repeat(MIB)).on(worker.id)).await, Ok(MIB as u64));
        assert!(has_threads(), "{:?}", worker.threads());
        within("carrying", carry_bulk(&caller, worker.id, MIB as u64)).await.unwrap();
    }
}
