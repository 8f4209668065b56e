//! Calls that succeed, or that nobody wants any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use guthi::{CallError, NodeId};
use guthi_tests::{
    cluster::{Home, eventually, members, within},
    functions::{calls_back, hang, hang_async, here, length, letters, nothing, patience_ms, same, square, three},
};
use serde_json::{Value, json};

/// A deadline that ends nothing here.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn calls_find_a_node_that_has_the_function() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    assert_eq!(caller.call::<square>(12).await, Ok(144));
    assert_eq!(caller.call::<nothing>(()).await, Ok(7));
    assert_eq!(caller.call::<three>((1, "two".into(), vec![-3])).await.as_deref(), Ok("1 two [-3]"));
    assert_eq!(caller.call::<same>(u64::MAX).await, Ok(u64::MAX));
    assert_eq!(caller.call::<here>(()).await, Ok((server.id(), caller.id())));
    assert_eq!(server.call::<here>(()).await, Ok((server.id(), server.id())));
    assert_eq!(caller.call::<square>(12).on(&server).await, Ok(144));
}

#[tokio::test]
async fn a_function_may_call_back_while_it_is_called() {
    let home = Home::new();
    let (a, _) = home.server().await;
    let (b, _) = home.server().await;
    members(&a, 2).await;
    assert_eq!(within("both calls", a.call::<calls_back>(9).on(&b)).await, Ok(81));
}

#[tokio::test]
async fn calls_by_name_take_and_give_json() {
    let home = Home::new();
    let (_server, _) = home.server().await;
    let caller = home.caller().await;
    let call = async |name: &str, arguments: Value| within(name, caller.call_named(name, arguments)).await;
    assert_eq!(call("nothing", Value::Null).await, Ok(json!(7)));
    assert_eq!(call("same", json!(u64::MAX)).await, Ok(json!(u64::MAX)), "no detour over floats");
    assert_eq!(call("square", json!(12)).await, Ok(json!(144)));
    assert_eq!(call("three", json!([1, "two", [-3]])).await, Ok(json!("1 two [-3]")));
    let failed = call("fails", json!("no")).await;
    assert_eq!(failed, Err(CallError::Failed { function: "fails".into(), message: "no".into() }));
}

#[tokio::test]
async fn everybody_who_has_a_function_is_called_once() {
    let home = Home::new();
    let (a, _) = home.server().await;
    let (b, _) = home.server().await;
    let caller = home.caller().await;
    members(&a, 3).await;
    let sorted = |mut nodes: Vec<NodeId>| {
        nodes.sort();
        nodes
    };
    for node in [&caller, &a] {
        let answers = within("all", node.call_all::<here>(())).await;
        for (asked, answer) in &answers {
            assert_eq!(*answer, Ok((*asked, node.id())));
        }
        let asked = answers.into_iter().map(|(asked, _)| asked).collect();
        assert_eq!(sorted(asked), sorted(vec![a.id(), b.id()]));
    }
}

#[tokio::test]
async fn thousands_of_calls_at_once_are_all_answered() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let calls = (0..5000u64).map(|n| {
        let caller = &caller;
        async move { if n % 2 == 0 { caller.call::<square>(n).await } else { caller.call::<same>(n).await } }
    });
    let answers = within("all", futures::future::join_all(calls)).await;
    for (n, answer) in (0..5000u64).zip(answers) {
        assert_eq!(answer, Ok(if n % 2 == 0 { n * n } else { n }));
    }
    drop(server);
}

#[tokio::test]
async fn large_payloads_travel_both_ways_and_small_calls_do_not_wait_for_them() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let (caller, _) = home.server().await;
    members(&server, 2).await;
    let large: Vec<_> = [1u64 << 20, 20 << 20, 1 << 20, 20 << 20]
        .into_iter()
        .flat_map(|bytes| [(bytes, &caller, server.id()), (bytes, &server, caller.id())])
        .map(|(bytes, from, to)| {
            let from = from.clone();
            tokio::spawn(async move {
                let text = "x".repeat(usize::try_from(bytes).unwrap());
                assert_eq!(from.call::<length>(text).on(to).await, Ok(bytes));
                assert_eq!(from.call::<letters>(bytes).on(to).await.map(|text| text.len() as u64), Ok(bytes));
            })
        })
        .collect();
    let answered = Arc::new(AtomicU64::new(0));
    let small = tokio::spawn({
        let (caller, id, answered) = (caller.clone(), server.id(), answered.clone());
        async move {
            loop {
                let n = answered.load(Ordering::Relaxed);
                assert_eq!(caller.call::<same>(n).on(id).await, Ok(n));
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for call in large {
        within("a large payload", call).await.unwrap();
    }
    small.abort();
    let answered = answered.load(Ordering::Relaxed);
    println!("{answered} small calls were answered beside 168 MiB");
    assert!(answered > 50, "{answered} small calls were answered meanwhile");
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_where_it_runs() {
    let home = Home::new();
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    for (round, node) in (1..).zip([&caller, &server]) {
        let plain = tokio::spawn(node.call::<hang>(()).deadline(LONG).into_future());
        let future = tokio::spawn(node.call::<hang_async>(()).deadline(LONG).into_future());
        eventually("both run", || counters.started() == 2 * round).await;
        assert_eq!((counters.cancelled(), counters.dropped()), (round - 1, round - 1));
        plain.abort();
        eventually("the plain one is told", || counters.cancelled() == round).await;
        future.abort();
        eventually("the async one is dropped", || counters.dropped() == round).await;
    }
}

#[tokio::test]
async fn a_call_is_cancelled_when_its_caller_is_lost() {
    let home = Home::new();
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    let call = tokio::spawn(caller.call::<hang>(()).deadline(LONG).into_future());
    eventually("it runs", || counters.started() == 1).await;
    assert_eq!(counters.cancelled(), 0);
    // Leaving ends the links; nobody drops the call.
    caller.leave().await.unwrap();
    eventually("it is told", || counters.cancelled() == 1).await;
    assert!(within("the call", call).await.unwrap().is_err());
    drop(server);
}

#[tokio::test]
async fn the_deadline_travels_with_the_call() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for node in [&caller, &server] {
        let left = node.call::<patience_ms>(()).deadline(Duration::from_secs(300)).await.unwrap().unwrap();
        assert!((200_000..=300_000).contains(&left), "{left}");
        let usual = node.call::<patience_ms>(()).await.unwrap().unwrap();
        assert!((1..=30_000).contains(&usual), "{usual}");
    }
}
