//! Maps: every item once, whoever comes and goes.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use guthi::{Builder, Node, NodeId, Outcome};
use guthi_tests::{
    cluster::{eventually, members, within},
    functions::{self, Counters, gate_at, hang_if, palindrome, patient_palindrome, square},
    maps::{assert_palindromes, gather},
};

use super::Home;

#[tokio::test(start_paused = true)]
async fn outputs_come_in_the_order_of_the_input() {
    let mut home = Home::new().await;
    let (a, _) = home.server().await;
    let (_b, _) = home.server().await;
    let caller = home.caller().await;
    members(&a, 3).await;
    for node in [&caller, &a] {
        let squares = within("the map", node.map::<square>(0..5000)).await.unwrap();
        assert_eq!(squares, (0..5000).map(|n| n * n).collect::<Vec<u64>>());
    }
    assert_eq!(caller.map::<square>([]).await, Ok(vec![]));
    let found = within("the map", caller.map::<palindrome>(0..=2000)).await.unwrap();
    assert_eq!(found.into_iter().filter(|found| *found).count(), 93);
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_where_each_item_was_done_and_ends_with_the_last() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let outputs =
        gather(caller.map::<palindrome>(0..=2000).stream(), |_, done| assert_eq!(done.node, server.id())).await;
    assert_palindromes(&outputs, 2000, 93);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_item_by_item() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let (tell, told) = std::sync::mpsc::channel();
    let map = caller.map::<square>(0..300).on_progress(move |progress| {
        tell.send((progress.done, progress.total, progress.node)).unwrap();
    });
    within("the map", map).await.unwrap();
    let told: Vec<_> = told.into_iter().collect();
    assert!(told.iter().map(|(done, _, _)| *done).eq(1..=300));
    assert!(told.iter().all(|(done, total, node)| done <= total && *total <= 300 && *node == server.id()));
    assert_eq!(told[299].1, 300);
}

#[tokio::test(start_paused = true)]
async fn a_find_cancels_what_is_left_everywhere() {
    let mut home = Home::new().await;
    let (_a, at_a) = home.server().await;
    let (_b, at_b) = home.server().await;
    let caller = home.caller().await;
    members(&caller, 3).await;
    let items = std::iter::once(false).chain(std::iter::repeat_n(true, 20));
    let found = within("the map", caller.map::<hang_if>(items).find(|hung| !hung)).await;
    assert_eq!(found, Ok(Some(false)));
    eventually("what hangs is told", || at_a.cancelled() == at_a.started() && at_b.cancelled() == at_b.started()).await;
    let none = within("the map", caller.map::<palindrome>([2, 4, 6]).find(|found| *found)).await;
    assert_eq!(none, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_cancels_what_runs() {
    let mut home = Home::new().await;
    let (_server, counters) = home.server().await;
    let caller = home.caller().await;
    let mut items = Box::pin(caller.map::<hang_if>(std::iter::repeat_n(true, 10)).stream());
    tokio::select! {
        item = items.next() => panic!("they hang: {item:?}"),
        () = eventually("they run", || counters.started() > 0) => {}
    }
    drop(items);
    eventually("they are told", || counters.cancelled() == counters.started()).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_half_way_takes_part() {
    let mut home = Home::new().await;
    let (first, _) = home.server().await;
    let caller = home.caller().await;
    let mut items = Box::pin(caller.map::<patient_palindrome>(0..=10_000).stream());
    let mut outputs = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    while outputs.len() < 100 {
        let done = within("an item", items.next()).await.unwrap().unwrap();
        nodes.insert(done.node);
        outputs.insert(done.index, done.output.unwrap());
    }
    assert_eq!(nodes, BTreeSet::from([first.id()]));
    let (second, _) = home.server().await;
    members(&caller, 3).await;
    outputs.extend(
        gather(items, |_, done| {
            nodes.insert(done.node);
        })
        .await,
    );
    assert_eq!(nodes, BTreeSet::from([first.id(), second.id()]));
    assert_palindromes(&outputs, 10_000, 205);
}

/// Three workers, and a caller that has nothing of its own.
async fn three_workers(home: &mut Home) -> (Node, [NodeId; 3]) {
    let mut workers = [NodeId([0; 32]); 3];
    for worker in &mut workers {
        *worker = home.server().await.0.id();
    }
    let caller = home.caller().await;
    members(&caller, 4).await;
    (caller, workers)
}

#[tokio::test(start_paused = true)]
async fn every_item_counts_once_when_a_worker_is_killed() {
    let mut home = Home::new().await;
    let (caller, workers) = three_workers(&mut home).await;
    let mut last_of_the_dead = 0;
    let outputs = gather(caller.map::<patient_palindrome>(0..=10_000).stream(), |count, done| {
        if count == 1000 {
            home.kill(workers[0]);
        }
        if done.node == workers[0] {
            last_of_the_dead = count;
        }
    })
    .await;
    assert!(last_of_the_dead > 0, "it had taken part");
    assert!(last_of_the_dead < 10_000, "it did not do the last");
    assert_palindromes(&outputs, 10_000, 205);
}

#[tokio::test(start_paused = true)]
async fn every_item_counts_once_when_a_worker_is_stopped_and_comes_back() {
    let mut home = Home::new().await;
    let (caller, workers) = three_workers(&mut home).await;
    let stopped = home.index_of(workers[0]);
    let outputs = gather(caller.map::<patient_palindrome>(0..=10_000).stream(), |count, _| match count {
        1000 => home.cluster.pause(stopped),
        9000 => home.cluster.resume(stopped),
        _ => {}
    })
    .await;
    assert_palindromes(&outputs, 10_000, 205);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stays_stopped_holds_nothing_up() {
    let mut home = Home::new().await;
    let (caller, workers) = three_workers(&mut home).await;
    let stopped = home.index_of(workers[0]);
    let outputs = gather(caller.map::<patient_palindrome>(0..=2000).stream(), |count, _| {
        if count == 200 {
            home.cluster.pause(stopped);
        }
    })
    .await;
    assert_palindromes(&outputs, 2000, 93);
}

#[tokio::test(start_paused = true)]
async fn the_node_that_maps_does_its_share() {
    let mut home = Home::new().await;
    let (node, _) = home.server().await;
    let outputs = gather(node.map::<palindrome>(0..=2000).stream(), |_, done| assert_eq!(done.node, node.id())).await;
    assert_palindromes(&outputs, 2000, 93);
}

/// What a leaving worker has begun may have had its effect, so under `once` nobody begins it again.
#[tokio::test(start_paused = true)]
async fn what_must_run_once_is_not_begun_again_when_its_worker_leaves() {
    let mut home = Home::new().await;
    let counters = Counters::default();
    let state = counters.clone();
    let server = move |node: Builder| node.functions(functions::all()).state(state.clone()).workers(1);
    let worker = home.start(server.clone()).await;
    let caller = home.caller().await;
    let items = caller.map::<gate_at>((0..500).map(|n| (n, 100))).stream();
    let ended = tokio::spawn(items.collect::<Vec<_>>());
    eventually("it is in the middle of a batch", || counters.begun().contains_key(&100)).await;
    home.start(server).await;
    members(&caller, 3).await;
    let leaving = tokio::spawn(worker.leave());
    home.cluster.settle().await;
    counters.open();
    leaving.await.unwrap().unwrap();
    let ended = within("all items end", ended).await.unwrap();
    let unknown = ended.into_iter().filter_map(|done| done.unwrap().output.err());
    let unknown: Vec<_> = unknown.map(|error| error.outcome()).collect();
    assert!(!unknown.is_empty() && unknown.iter().all(|outcome| *outcome == Outcome::Unknown), "{unknown:?}");
    let twice: Vec<_> = counters.begun().into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(twice, []);
}
