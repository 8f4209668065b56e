//! Calls that succeed, or that nobody wants any more.

use std::time::Duration;

use guthi::{CallError, NodeId};
use guthi_tests::{
    cluster::{eventually, members, within},
    functions::{calls_back, hang, hang_async, here, patience_ms},
};
use serde_json::{Value, json};

use super::Home;

/// A deadline that ends nothing here.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_function_may_call_back_while_it_is_called() {
    let mut home = Home::new().await;
    let (a, _) = home.server().await;
    let (b, _) = home.server().await;
    members(&a, 2).await;
    assert_eq!(within("both calls", a.call::<calls_back>(9).on(&b)).await, Ok(81));
}

#[tokio::test(start_paused = true)]
async fn calls_by_name_take_and_give_json() {
    let mut home = Home::new().await;
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

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_which_node_it_was() {
    let mut home = Home::new().await;
    let (a, _) = home.server().await;
    let (b, _) = home.server().await;
    let caller = home.caller().await;
    members(&a, 3).await;
    let mut by = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (node, (ran, called)) = within("typed", caller.call::<here>(()).with_node()).await.unwrap();
        assert_eq!((ran, called), (node, caller.id()));
        let (named, ran) = within("named", caller.call_named("here", Value::Null).with_node()).await.unwrap();
        assert_eq!(ran[0], json!(named));
        by.extend([node, named]);
    }
    assert!(by.is_subset(&[a.id(), b.id()].into()), "{by:?}");
    assert_eq!(within("here", a.call::<here>(()).on(&a).with_node()).await, Ok((a.id(), (a.id(), a.id()))));
}

#[tokio::test(start_paused = true)]
async fn everybody_who_has_a_function_is_called_once() {
    let mut home = Home::new().await;
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

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_cancelled_where_it_runs() {
    let mut home = Home::new().await;
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

#[tokio::test(start_paused = true)]
async fn a_call_is_cancelled_when_its_caller_is_lost() {
    let mut home = Home::new().await;
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

#[tokio::test(start_paused = true)]
async fn the_deadline_travels_with_the_call() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for node in [&caller, &server] {
        let left = node.call::<patience_ms>(()).deadline(Duration::from_secs(300)).await.unwrap().unwrap();
        assert!((200_000..=300_000).contains(&left), "{left}");
        let usual = node.call::<patience_ms>(()).await.unwrap().unwrap();
        assert!((1..=30_000).contains(&usual), "{usual}");
    }
}
