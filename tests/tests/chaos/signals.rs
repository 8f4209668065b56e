//! Processes that are killed and stopped, and what their peers are told.

use std::time::{Duration, Instant};

use guthi::{Node, NodeId, Peer, Status};
use guthi_tests::{
    cluster::{Home, event, members, status, within},
    functions::square,
    process::Worker,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::WORKER;

/// The figures that nodes have unless told otherwise.
const ECHO_INTERVAL: Duration = Duration::from_millis(250);
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);

/// What `on_failure` and `on_recovery` of a node are called with.
fn reports(node: &Node) -> UnboundedReceiver<(&'static str, Peer)> {
    let (tell, told) = unbounded_channel();
    let tell_as = |word: &'static str| {
        let tell = tell.clone();
        move |peer: Peer| {
            let tell = tell.clone();
            async move { drop(tell.send((word, peer))) }
        }
    };
    // They stay active without being held.
    drop(node.on_failure(tell_as("failed")));
    drop(node.on_recovery(tell_as("recovered")));
    told
}

async fn next(reports: &mut UnboundedReceiver<(&'static str, Peer)>) -> (&'static str, NodeId, Option<String>) {
    let (word, peer) = within("a report", reports.recv()).await.expect("the node has not left");
    (word, peer.id, peer.reason)
}

#[tokio::test]
async fn a_killed_process_fails_once_at_every_survivor_and_says_why() {
    let home = Home::new();
    let (a, b) = (home.caller().await, home.caller().await);
    let (mut at_a, mut at_b) = (reports(&a), reports(&b));
    let workers = [Worker::start(WORKER, &home), Worker::start(WORKER, &home)];
    members(&a, 4).await;
    members(&b, 4).await;
    let mut events = a.events();
    for worker in &workers {
        let killed = Instant::now();
        worker.kill();
        for reports in [&mut at_a, &mut at_b] {
            // The first report after the last one: so nothing was told twice.
            let (word, id, reason) = next(reports).await;
            assert_eq!((word, id), ("failed", worker.id));
            assert!(reason.is_some_and(|reason| !reason.is_empty()));
        }
        println!("on_failure {:?} after kill -9", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(5));
        let (peer, before) = event(&mut events, "failed", worker.id).await;
        let mut before = before.iter().filter(|(_, id)| *id == worker.id);
        assert!(before.all(|(name, _)| ["joined", "suspected"].contains(name)), "it has failed once");
        assert_eq!(peer.status, Status::Failed);
    }
    assert_eq!((a.members().len(), b.members().len()), (2, 2));
    assert!(at_a.is_empty() && at_b.is_empty());
}

#[tokio::test]
async fn two_processes_that_die_together_are_both_told_of() {
    let home = Home::new();
    let a = home.caller().await;
    let mut reports = reports(&a);
    let workers = [Worker::start(WORKER, &home), Worker::start(WORKER, &home), Worker::start(WORKER, &home)];
    members(&a, 4).await;
    workers[0].kill();
    workers[1].kill();
    let mut failed = [next(&mut reports).await.1, next(&mut reports).await.1];
    let mut killed = [workers[0].id, workers[1].id];
    failed.sort();
    killed.sort();
    assert_eq!(failed, killed);
    assert_eq!(a.call::<square>(4).await, Ok(16), "the third goes on");
}

#[tokio::test]
async fn a_stopped_process_fails_in_time_and_recovers_when_it_goes_on() {
    let home = Home::new();
    let (a, b) = (home.caller().await, home.caller().await);
    let (mut at_a, mut at_b) = (reports(&a), reports(&b));
    let worker = Worker::start(WORKER, &home);
    let bystander = Worker::start(WORKER, &home);
    members(&a, 4).await;
    members(&b, 4).await;
    let mut events = a.events();
    let stopped = Instant::now();
    worker.stop();
    for reports in [&mut at_a, &mut at_b] {
        let (word, id, reason) = next(reports).await;
        assert_eq!((word, id), ("failed", worker.id));
        assert!(reason.is_some_and(|reason| reason.contains("no answer")));
    }
    println!("on_failure {:?} after kill -STOP", stopped.elapsed());
    assert!(stopped.elapsed() < ECHO_TIMEOUT + ECHO_INTERVAL + Duration::from_secs(10));
    assert!(stopped.elapsed() >= ECHO_TIMEOUT - ECHO_INTERVAL, "nobody is condemned before the time");
    let resumed = Instant::now();
    worker.resume();
    for reports in [&mut at_a, &mut at_b] {
        let (word, id, _) = next(reports).await;
        assert_eq!((word, id), ("recovered", worker.id));
    }
    println!("on_recovery {:?} after kill -CONT", resumed.elapsed());
    let (_, before) = event(&mut events, "recovered", worker.id).await;
    assert_eq!(before.iter().filter(|(name, _)| *name == "failed").count(), 1, "{before:?}");
    let mut others = before.iter().filter(|(_, id)| *id != worker.id);
    assert!(others.all(|(name, _)| *name == "joined"), "nothing happened to anybody else: {before:?}");
    assert_eq!(within("a call", a.call::<square>(3).on(worker.id)).await, Ok(9));
    assert_eq!(status(&a, bystander.id), Some(Status::Alive));
}

#[tokio::test]
async fn a_process_that_is_stopped_for_a_moment_is_not_condemned() {
    let home = Home::new();
    let a = home.caller().await;
    let worker = Worker::start(WORKER, &home);
    members(&a, 2).await;
    let mut events = a.events();
    for _ in 0..3 {
        worker.stop();
        // Stopped for sure, and for far less than the timeout: the call cannot be answered before it goes on.
        let call = tokio::spawn(a.call::<square>(5).on(worker.id).into_future());
        tokio::task::yield_now().await;
        worker.resume();
        assert_eq!(within("a call", call).await.unwrap(), Ok(25));
    }
    worker.kill();
    let (_, before) = event(&mut events, "failed", worker.id).await;
    assert!(before.iter().all(|(name, _)| ["joined", "suspected"].contains(name)), "{before:?}");
}
