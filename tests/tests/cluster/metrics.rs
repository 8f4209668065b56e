//! What a node counts, as whoever looks after it sees it.

use std::time::Duration;

use guthi::{CallError, Metrics, Node};
use guthi_tests::{
    cluster::{eventually, members, within},
    functions::{fails, gate, hang, hang_async, one_at_a_time, panics, patient_steps, same, square},
};

use super::Home;

fn made(node: &Node, function: &str) -> (u64, u64) {
    node.metrics().functions.get(function).map_or((0, 0), |function| (function.count, function.errors))
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_function_where_they_are_made() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for n in 0..5 {
        assert_eq!(within("square", caller.call::<square>(n)).await, Ok(n * n));
    }
    assert_eq!(within("by name", caller.call_named("square", 3.into())).await, Ok(9.into()));
    within("on itself", server.call::<same>(7).on(&server)).await.unwrap();
    within("fails", caller.call::<fails>("no".into())).await.unwrap_err();
    within("unfit", caller.call_named("square", "three".into())).await.unwrap_err();
    assert_eq!(made(&caller, "square"), (7, 1));
    assert_eq!(made(&caller, "fails"), (1, 1));
    assert_eq!((made(&server, "same"), made(&server, "square")), ((1, 0), (0, 0)));
    // Any text can be a name; that of a function that is known keeps its place.
    for name in ["missing", "../../etc/passwd", &"x".repeat(100_000), "other"] {
        within("missing", caller.call_named(name, ().into())).await.unwrap_err();
    }
    within("elsewhere", caller.call_named("square", 1.into()).on(&caller)).await.unwrap_err();
    assert_eq!((made(&caller, "other"), made(&caller, "square")), ((4, 4), (8, 2)));
    let functions = caller.metrics().functions;
    assert_eq!(functions.keys().collect::<Vec<_>>(), ["fails", "other", "square"]);
}

#[tokio::test(start_paused = true)]
async fn durations_are_what_calls_take() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    for _ in 0..9 {
        within("short", server.call::<patient_steps>(10).on(&server)).await.unwrap();
    }
    within("long", server.call::<patient_steps>(1000).on(&server)).await.unwrap();
    let durations = server.metrics().functions["patient_steps"].durations.clone();
    assert_eq!(durations.count(), 10);
    let near = |share, millis: u64| {
        let found = durations.quantile(share).unwrap();
        let expected = Duration::from_millis(millis);
        assert!(expected / 2 < found && found < 2 * expected, "{share}: {found:?} for {expected:?}");
    };
    near(0.5, 10);
    near(0.99, 1000);
    assert!(durations.sum() >= Duration::from_millis(1090), "{durations:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_node_serves_is_counted_by_how_it_ends() {
    let mut home = Home::new().await;
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    within("ok", caller.call::<square>(3)).await.unwrap();
    within("inline", caller.call::<same>(3)).await.unwrap();
    within("its own", server.call::<square>(3).on(&server)).await.unwrap();
    within("fails", caller.call::<fails>("no".into())).await.unwrap_err();
    within("panics", caller.call::<panics>("no".into())).await.unwrap_err();
    within("refused", caller.call_named("missing", ().into()).on(&server)).await.unwrap_err();
    within("late", caller.call::<hang>(()).deadline(Duration::from_millis(20))).await.unwrap_err();
    let busy = tokio::spawn(caller.call::<one_at_a_time>(true).into_future());
    eventually("it hangs", || counters.started() == 2).await;
    let error = within("busy", caller.call::<one_at_a_time>(false)).await.unwrap_err();
    assert!(matches!(error, CallError::Overloaded { .. }), "{error:?}");
    busy.abort();
    let dropped = tokio::spawn(caller.call::<hang_async>(()).into_future());
    eventually("it runs", || counters.started() == 3).await;
    dropped.abort();
    let served = || server.metrics().served;
    eventually("the dropped ones have ended", || served().cancelled + served().ok == 5).await;
    let served = served();
    assert_eq!((served.failed, served.panicked, served.refused, served.late), (1, 1, 1, 1));
    // A plain function that is dropped ends with whatever it returns.
    assert_eq!((served.ok, served.cancelled, served.overloaded), (4, 1, 1));
    assert_eq!(made(&caller, "hang_async"), (0, 0), "it was dropped before its end");
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_rises_and_falls() {
    let mut home = Home::new().await;
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    let gauges = |node: &Node| (node.metrics().calls.unanswered, node.metrics().calls.running);
    let calls = [0, 1].map(|_| tokio::spawn(caller.call::<gate>(()).into_future()));
    eventually("both run", || counters.started() == 2).await;
    assert_eq!((gauges(&caller), gauges(&server)), ((2, 0), (0, 2)));
    counters.open();
    for call in calls {
        within("it passes", call).await.unwrap().unwrap();
    }
    assert_eq!((gauges(&caller), gauges(&server)), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn items_of_a_map_are_counted_and_are_no_calls() {
    let mut home = Home::new().await;
    let (_server, _) = home.server().await;
    let caller = home.caller().await;
    within("the map", caller.map::<square>(0..1000)).await.unwrap();
    let square = caller.metrics().functions["square"].clone();
    assert_eq!((square.items, square.count, square.errors), (1000, 0, 0));
}

/// An answer, and nothing else: the header of a frame and a number.
const ANSWER_BYTES: u64 = 16 + 2;

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_at_both_ends_and_unwanted_progress_is_none() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let bytes = |node: &Node| (node.metrics().calls.sent_bytes, node.metrics().calls.received_bytes);
    within("the first", caller.call::<patient_steps>(300)).await.unwrap();
    let before = bytes(&caller);
    within("unasked", caller.call::<patient_steps>(300)).await.unwrap();
    assert_eq!(bytes(&caller).1 - before.1, ANSWER_BYTES);
    within("asked", caller.call::<patient_steps>(300).on_progress(drop)).await.unwrap();
    assert!(bytes(&caller).1 - before.1 > 2 * ANSWER_BYTES + 5 * 20);
    assert_eq!(bytes(&caller), (bytes(&server).1, bytes(&server).0));
    let before = bytes(&caller);
    within("large", caller.call_named("length", "x".repeat(1_000_000).into())).await.unwrap();
    assert!(bytes(&caller).0 - before.0 > 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn what_the_protocols_say_is_counted() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let b = home.caller().await;
    members(&a, 2).await;
    home.cluster.advance(Duration::from_secs(5)).await;
    let before = a.metrics();
    assert_eq!((before.links.made, before.links.lost), (1, 0));
    assert_eq!((before.detector.joins, before.detector.suspicions), (1, 0));
    assert_eq!((before.membership.joined, before.membership.lost), (1, 0));
    assert!(before.membership.views >= 1 && before.catalog.changes >= 1, "{before:?}");
    assert!(before.detector.echoes >= 15 && before.detector.answers >= 15, "{:?}", before.detector);
    home.kill(&b);
    eventually("it has failed", || a.metrics().detector.failures == 1).await;
    let after = a.metrics();
    assert_eq!((after.links.made, after.links.lost, after.detector.suspicions), (1, 1, 1));
    assert!(after.detector.relinks >= 1, "{:?}", after.detector);
    let sample = |metrics: &Metrics, name: &str| {
        metrics.samples().into_iter().find(|sample| sample.name == name).map(|sample| sample.value)
    };
    assert_eq!(sample(&after, "guthi_detector_failures_total"), Some(1));
    assert_eq!(sample(&after, "guthi_link_lost_total"), Some(1));
}
