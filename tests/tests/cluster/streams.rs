//! Results that are streamed: their order, how they end, and who waits for whom.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use guthi::{CallError, Node, Outcome, StreamFunction};
use guthi_tests::{
    cluster::{eventually, members, within},
    functions::{
        Counters, counting, counting_async, fails_to_stream, heavy, never_streams, panics_in_stream, square, stops_at,
    },
};
use serde_json::json;

use super::Home;

/// Two nodes, the first of which calls both itself and the second.
async fn pair(home: &mut Home) -> (Node, Node, Counters) {
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    members(&caller, 2).await;
    (caller, server, counters)
}

async fn all<F: StreamFunction>(node: &Node, arguments: F::Arguments) -> (Vec<F::Item>, Option<CallError>) {
    let mut results = node.call_stream::<F>(arguments);
    let mut good = Vec::new();
    loop {
        match within("a result", results.next()).await {
            Some(Ok(result)) => good.push(result),
            Some(Err(error)) => {
                assert!(within("after the end", results.next()).await.is_none());
                return (good, Some(error));
            }
            None => return (good, None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_arrive_in_order_and_end() {
    let mut home = Home::new().await;
    let (caller, server, _) = pair(&mut home).await;
    for node in [&caller, &server] {
        for count in [0, 1, 10, 100_000] {
            let expected: Vec<_> = (0..count).collect();
            assert_eq!(all::<counting>(node, count).await, (expected.clone(), None));
            assert_eq!(all::<counting_async>(node, count).await, (expected, None));
        }
        // Larger than anything that is under way at once.
        let (large, end) = all::<heavy>(node, (3, 2 << 20)).await;
        assert_eq!((large.iter().map(String::len).collect::<Vec<_>>(), end), (vec![2 << 20; 3], None));
    }
    let functions = caller.metrics().functions;
    assert_eq!((functions["counting"].count, functions["counting"].errors), (4, 0));
    assert_eq!(server.metrics().served.ok, 18);
}

#[tokio::test(start_paused = true)]
async fn results_arrive_while_the_function_still_runs() {
    let mut home = Home::new().await;
    let (caller, server, counters) = pair(&mut home).await;
    for (round, node) in (1..).zip([&caller, &server]) {
        let mut results = node.call_stream::<never_streams>(3);
        for n in 0..3 {
            assert_eq!(within("a result", results.next()).await, Some(Ok(n)));
        }
        assert!(results.next().now_or_never().is_none());
        assert_eq!((counters.started(), counters.dropped()), (round, round - 1));
        // Whoever does not want the rest says so by dropping it.
        drop(results);
        eventually("it is dropped", || counters.dropped() == round).await;
    }
    eventually("both are counted", || server.metrics().served.cancelled == 2).await;
    assert_eq!(server.metrics().calls.running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_the_last_result() {
    let mut home = Home::new().await;
    let (caller, server, _) = pair(&mut home).await;
    let failed =
        |function: &str, message: &str| Some(CallError::Failed { function: function.into(), message: message.into() });
    for node in [&caller, &server] {
        assert_eq!(all::<stops_at>(node, 3).await, (vec![0, 1, 2], failed("stops_at", "not 3")));
        assert_eq!(all::<fails_to_stream>(node, ()).await, (vec![], failed("fails_to_stream", "no stream")));
        let (good, error) = all::<panics_in_stream>(node, 2).await;
        let panicked = matches!(&error, Some(CallError::Panicked { message, .. }) if message == "at 2");
        assert!(good == [0, 1] && panicked, "{good:?} {error:?}");
        assert_eq!(error.unwrap().outcome(), Outcome::Applied);
    }
    assert_eq!((server.metrics().served.failed, server.metrics().served.panicked), (4, 2));
    assert_eq!(caller.metrics().functions["stops_at"].errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_last_result() {
    let mut home = Home::new().await;
    let (caller, server, counters) = pair(&mut home).await;
    for (round, node) in (1..).zip([&caller, &server]) {
        let mut results = node.call_stream::<never_streams>(2).deadline(Duration::from_secs(5));
        assert_eq!(within("a result", results.next()).await, Some(Ok(0)));
        assert_eq!(within("a result", results.next()).await, Some(Ok(1)));
        let error = within("the end", results.next()).await.unwrap().unwrap_err();
        assert_eq!(error, CallError::Deadline { function: "never_streams".into(), started: true });
        assert!(results.next().await.is_none());
        eventually("it is dropped there too", || counters.dropped() == round).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_node_is_the_last_result_and_nothing_is_tried_again() {
    let mut home = Home::new().await;
    let (caller, server, _) = pair(&mut home).await;
    let mut results = caller.call_stream::<never_streams>(2);
    assert_eq!(within("a result", results.next()).await, Some(Ok(0)));
    let (other, at_other) = home.server().await;
    members(&caller, 3).await;
    home.kill(&server);
    assert_eq!(within("what had arrived", results.next()).await, Some(Ok(1)));
    let error = within("the end", results.next()).await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::PeerLost { node, .. } if *node == server.id()), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(at_other.started(), 0);
    // The next one begins where it can.
    assert_eq!(all::<counting>(&caller, 2).await, (vec![0, 1], None));
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_stops_the_function() {
    let mut home = Home::new().await;
    let (caller, server, counters) = pair(&mut home).await;
    for node in [&caller, &server] {
        let before = counters.started();
        // Each result is counted where it is given.
        let mut results = node.call_stream::<heavy>((1000, 10_000));
        assert!(within("the first", results.next()).await.unwrap().is_ok());
        home.cluster.advance(Duration::from_secs(60)).await;
        let given = counters.started() - before;
        assert!(given < 100, "{given} results of 10,000 bytes were given and one was read");
        let rest = within("the rest", results.collect::<Vec<_>>()).await;
        assert!(rest.len() == 999 && rest.iter().all(Result::is_ok));
        assert_eq!(counters.started() - before, 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn by_name_all_results_come_as_one_array() {
    let mut home = Home::new().await;
    let (caller, server, _) = pair(&mut home).await;
    for node in [&caller, &server] {
        let call = async |name: &str, arguments| within(name, node.call_named(name, arguments)).await;
        assert_eq!(call("counting", json!(3)).await, Ok(json!([0, 1, 2])));
        assert_eq!(call("counting", json!(0)).await, Ok(json!([])));
        let failed = CallError::Failed { function: "stops_at".into(), message: "not 1".into() };
        assert_eq!(call("stops_at", json!(1)).await, Err(failed));
        // What is too large for one answer is given up on the way.
        let large = call("heavy", json!([10_000, 1 << 20])).await.unwrap_err();
        assert!(matches!(large, CallError::TooLarge { result: true, .. }), "{large:?}");
    }
    let info = caller.functions().into_iter().find(|function| function.name == "counting").unwrap();
    assert_eq!(info.shape, "u64 -> stream of u64");
}

/// `square` as a program thinks of it in which it streams.
#[derive(Debug)]
struct Squares;

impl StreamFunction for Squares {
    type Arguments = u64;
    type Item = u64;
    const NAME: &'static str = "square";
}

/// A function that no node has.
#[derive(Debug)]
struct Missing;

impl StreamFunction for Missing {
    type Arguments = String;
    type Item = u64;
    const NAME: &'static str = "missing";
}

#[tokio::test(start_paused = true)]
async fn what_cannot_begin_has_not_run() {
    let mut home = Home::new().await;
    let (caller, server, _) = pair(&mut home).await;
    let first = async |node: &Node, on: &Node| {
        let error = within("it", node.call_stream::<Squares>(3).on(on).next()).await.unwrap().unwrap_err();
        (error.outcome(), error)
    };
    for node in [&caller, &server] {
        let (outcome, error) = first(node, &server).await;
        assert!(matches!(error, CallError::SignatureMismatch { .. }), "{error:?}");
        assert_eq!(outcome, Outcome::NotApplied);
    }
    let (outcome, error) = first(&server, &caller).await;
    assert!(matches!(error, CallError::NoSuchFunction { .. }), "{error:?}");
    assert_eq!(outcome, Outcome::NotApplied);
    let nowhere = CallError::NoNodeHasIt { function: "missing".into() };
    assert_eq!(all::<Missing>(&caller, String::new()).await, (vec![], Some(nowhere)));
    let long = all::<Missing>(&caller, "x".repeat(2 << 20)).await.1.unwrap();
    assert!(matches!(long, CallError::TooLarge { result: false, .. }), "{long:?}");
    assert_eq!(within("a call beside it", caller.call::<square>(3)).await, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_not_mistaken_for_each_other() {
    let mut home = Home::new().await;
    let (caller, _server, _) = pair(&mut home).await;
    let calls = (0..50).map(|n| {
        let caller = &caller;
        async move { (n, all::<counting>(caller, n * 100).await) }
    });
    for (n, (results, error)) in within("all", futures::future::join_all(calls)).await {
        assert!(error.is_none() && results.iter().copied().eq(0..n * 100), "{n}: {error:?}");
    }
}
