//! Every way in which a call or a map can end without a result, and whether it may have had an effect.

use std::time::Duration;

use guthi::{CallError, Function, Functions, MapError, NodeId, Outcome, RegisterError};
use guthi_tests::{
    cluster::{eventually, eventually_async, members, within},
    functions::{
        Counters, PANIC_LINE, all, fails, fails_at, fatal_at, gate, hang, hang_once, length, letters, nothing_async,
        one_at_a_time, panics, panics_inline, panics_later, same, square,
    },
};

use super::Home;

/// `square` as a program thinks of it that was built from other sources.
#[derive(Debug)]
struct SquareOfText;

impl Function for SquareOfText {
    type Arguments = String;
    type Output = f64;
    const NAME: &'static str = "square";
    const ONCE: bool = false;
}

/// A function that no node has.
#[derive(Debug)]
struct Missing;

impl Function for Missing {
    type Arguments = ();
    type Output = ();
    const NAME: &'static str = "missing";
    const ONCE: bool = false;
}

fn name(function: &str) -> String {
    function.to_owned()
}

async fn ended<T: std::fmt::Debug>(call: impl IntoFuture<Output = Result<T, CallError>>) -> (CallError, Outcome) {
    let error = within("the call", call).await.unwrap_err();
    let outcome = error.outcome();
    (error, outcome)
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_not_there_did_not_run() {
    let mut home = Home::new().await;
    let (a, b) = (home.caller().await, home.caller().await);
    members(&a, 2).await;
    let (missing, function) = (|| name("missing"), || name("square"));
    let nowhere = (CallError::NoNodeHasIt { function: missing() }, Outcome::NotApplied);
    assert_eq!(ended(a.call::<Missing>(())).await, nowhere);
    assert_eq!(ended(a.call_named("missing", ().into())).await, nowhere);
    let not_there = |node| (CallError::NoSuchFunction { function: function(), node }, Outcome::NotApplied);
    assert_eq!(ended(a.call::<square>(1).on(&b)).await, not_there(b.id()));
    assert_eq!(ended(a.call::<square>(1).on(&a)).await, not_there(a.id()));
    let stranger = NodeId([5; 32]);
    let not_linked = CallError::NotLinked { function: function(), node: stranger };
    assert_eq!(ended(a.call::<square>(1).on(stranger)).await, (not_linked, Outcome::NotApplied));
}

#[tokio::test(start_paused = true)]
async fn a_function_of_other_types_did_not_run() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for call in [
        caller.call::<SquareOfText>("3".into()),
        caller.call::<SquareOfText>("3".into()).on(&server),
        server.call::<SquareOfText>("3".into()),
        server.call::<SquareOfText>("3".into()).on(&server),
    ] {
        let (error, outcome) = ended(call).await;
        let CallError::SignatureMismatch { function, here: found_here, there: found_there } = error else {
            panic!("{error:?}")
        };
        assert_eq!(function, "square");
        assert_eq!((found_here.as_str(), found_there.as_str()), ("String -> f64", "u64 -> u64"));
        assert_eq!(outcome, Outcome::NotApplied);
    }
    assert_eq!(caller.call::<square>(3).await, Ok(9), "the lane is none the worse for it");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_refused() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let wrong = [serde_json::json!("three"), serde_json::json!(-1), serde_json::json!([1, 2]), serde_json::Value::Null];
    for arguments in wrong {
        for node in [&server, &caller] {
            let (error, outcome) = ended(node.call_named("square", arguments.clone())).await;
            assert!(matches!(error, CallError::InvalidArguments { .. }), "{arguments}: {error:?}");
            assert_eq!(outcome, Outcome::NotApplied);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_for_functions_that_may_run_twice() {
    let mut home = Home::new().await;
    let caller = home.caller().await;
    let (worker, at_worker) = home.server().await;
    let again = tokio::spawn(caller.call::<gate>(()).attempts(3).into_future());
    let once = tokio::spawn(caller.call::<hang_once>(()).attempts(3).into_future());
    eventually("both run", || at_worker.started() == 2).await;
    // Somebody else could take over both.
    let (server, counters) = home.server().await;
    counters.open();
    members(&caller, 3).await;
    home.kill(&worker);
    assert_eq!(within("it is tried again", again).await.unwrap(), Ok(server.id()));
    let (error, outcome) = ended(async { once.await.unwrap() }).await;
    assert!(matches!(error, CallError::PeerLost { .. }), "{error:?}");
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!(counters.started(), 1, "only the one that may be tried again");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_at_both_ends() {
    let mut home = Home::new().await;
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    for node in [&caller, &server] {
        let before = counters.cancelled();
        let (error, outcome) = ended(node.call::<hang>(()).on(&server).deadline(Duration::from_millis(100))).await;
        assert_eq!((error, outcome), (CallError::Deadline { function: name("hang"), started: true }, Outcome::Unknown));
        eventually("the function is told", || counters.cancelled() > before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_before_the_call_starts_nothing() {
    let mut home = Home::new().await;
    let (server, counters) = home.server().await;
    let caller = home.caller().await;
    for node in [&caller, &server] {
        let (error, outcome) = ended(node.call::<hang>(()).deadline(Duration::ZERO)).await;
        assert_eq!(error, CallError::Deadline { function: name("hang"), started: false });
        assert_eq!(outcome, Outcome::NotApplied);
    }
    assert_eq!(counters.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_not_begun_when_a_node_leaves_is_cancelled_and_what_has_is_finished() {
    let mut home = Home::new().await;
    let counters = Counters::default();
    let state = counters.clone();
    let server = home.start(move |node| node.functions(all()).workers(1).state(state.clone())).await;
    let caller = home.caller().await;
    let id = server.id();
    let running = tokio::spawn(caller.call::<gate>(()).on(id).into_future());
    eventually("it runs", || counters.started() == 1).await;
    let queued: Vec<_> = (0..3).map(|n| tokio::spawn(caller.call::<square>(n).on(id).into_future())).collect();
    // They are there when a call that was made after them is answered.
    tokio::task::yield_now().await;
    assert_eq!(caller.call::<same>(1).on(id).await, Ok(1));
    let leaving = tokio::spawn(server.leave());
    let cancelled = CallError::Cancelled { function: name("nothing_async"), started: false };
    eventually_async("it takes no more", || async {
        caller.call::<nothing_async>(()).on(id).await == Err(cancelled.clone())
    })
    .await;
    counters.open();
    assert_eq!(within("what runs", running).await.unwrap(), Ok(id));
    for call in queued {
        let (error, outcome) = ended(async { call.await.unwrap() }).await;
        let expected = CallError::Cancelled { function: name("square"), started: false };
        assert_eq!((error, outcome), (expected, Outcome::NotApplied));
    }
    assert_eq!(within("leaving", leaving).await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_node_at_its_limits_refuses_and_another_one_is_asked() {
    let mut home = Home::new().await;
    let counters = Counters::default();
    let state = counters.clone();
    let small = home.start(move |node| node.functions(all()).calls_max(1).state(state.clone())).await;
    let caller = home.caller().await;
    let full = tokio::spawn(caller.call::<gate>(()).into_future());
    eventually("it runs", || counters.started() == 1).await;
    for node in [&caller, &small] {
        let (error, outcome) = ended(node.call::<square>(1)).await;
        assert_eq!((error, outcome), (CallError::Overloaded { function: name("square") }, Outcome::NotApplied));
    }
    let (other, at_other) = home.server().await;
    members(&caller, 3).await;
    assert_eq!(within("the other one", caller.call::<square>(4)).await, Ok(16));
    assert!(matches!(ended(caller.call::<square>(4).on(&small)).await.0, CallError::Overloaded { .. }));
    counters.open();
    assert_eq!(within("it ends", full).await.unwrap(), Ok(small.id()));
    // A function may have a limit of its own.
    let first = caller.call::<one_at_a_time>(true).on(&other).deadline(Duration::from_secs(3600));
    let first = tokio::spawn(first.into_future());
    eventually("the first one runs", || at_other.started() == 1).await;
    let overloaded = CallError::Overloaded { function: name("one_at_a_time") };
    let second = ended(caller.call::<one_at_a_time>(false).on(&other)).await;
    assert_eq!(second, (overloaded, Outcome::NotApplied));
    first.abort();
    eventually_async("there is room again", || async { caller.call::<one_at_a_time>(false).on(&other).await == Ok(1) })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_told_with_its_size() {
    const LIMIT: u64 = 64 << 20;
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let text = "x".repeat(64 << 20);
    let (error, outcome) = ended(caller.call::<length>(text)).await;
    let CallError::TooLarge { function, bytes, limit: LIMIT, result: false } = error else { panic!("{error:?}") };
    assert_eq!((function.as_str(), outcome), ("length", Outcome::NotApplied));
    assert!(bytes > LIMIT);
    for node in [&caller, &server] {
        let (error, outcome) = ended(node.call::<letters>(LIMIT)).await;
        assert!(matches!(error, CallError::TooLarge { limit: LIMIT, result: true, .. }), "{error:?}");
        assert_eq!(outcome, Outcome::Applied);
    }
    // The largest that may be.
    assert_eq!(caller.call::<letters>(LIMIT - 4).await.map(|text| text.len() as u64), Ok(LIMIT - 4));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_or_panics_did_run() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for node in [&caller, &server] {
        let failed = CallError::Failed { function: name("fails"), message: name("no milk") };
        assert_eq!(ended(node.call::<fails>("no milk".into())).await, (failed, Outcome::Applied));
        let (error, outcome) = ended(node.call::<panics>("dear".into())).await;
        let CallError::Panicked { function, message, location } = error else { panic!("{error:?}") };
        assert_eq!((function.as_str(), message.as_str(), outcome), ("panics", "oh dear", Outcome::Applied));
        assert!(location.contains(&format!("functions.rs:{PANIC_LINE}:")), "{location}");
        for (error, message) in [
            (ended(node.call::<panics_later>("x".into())).await.0, "later x"),
            (ended(node.call::<panics_inline>("x".into())).await.0, "at once x"),
        ] {
            assert!(
                matches!(&error, CallError::Panicked { message: found, location, .. }
                    if found == message && location.contains("functions.rs:")),
                "{error:?}"
            );
        }
        assert_eq!(node.call::<square>(3).await, Ok(9), "the threads live on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_left_makes_no_calls() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let gone = caller.clone();
    caller.leave().await.unwrap();
    let (error, outcome) = ended(gone.call::<square>(1)).await;
    assert_eq!((error, outcome), (CallError::NoNodeHasIt { function: name("square") }, Outcome::NotApplied));
    assert!(matches!(ended(gone.call::<square>(1).on(&server)).await.0, CallError::NotLinked { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_cannot_be_registered_is_not() {
    let mut home = Home::new().await;
    let node = home.start(|node| node.functions(Functions::none().with::<square>())).await;
    let other = |_, n: u64| async move { Ok::<_, String>(n) };
    let duplicate = RegisterError::Duplicate { name: name("square") };
    assert_eq!(node.register("square", other).await, Err(duplicate));
    let long = "x".repeat(256);
    for bad in ["", "a\nb", "guthi.mine", &long] {
        let refused = node.register(bad, other).await;
        assert!(matches!(refused, Err(RegisterError::BadName { .. })), "{bad}: {refused:?}");
    }
    let anything = |_, value: serde_json::Value| async move { Ok::<_, String>(value) };
    let refused = node.register("anything", anything).await;
    assert!(matches!(refused, Err(RegisterError::UnsupportedType { .. })), "{refused:?}");
    let names: Vec<_> = node.functions().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["square"]);
    let gone = node.clone();
    node.leave().await.unwrap();
    assert_eq!(gone.register("late", other).await, Err(RegisterError::Left));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_cannot_be_announced_is_not_kept() {
    let mut home = Home::new().await;
    let node = home.caller().await;
    let other = |_, n: u64| async move { Ok::<_, String>(n) };
    let mut count = 0;
    let refused = loop {
        match node.register(format!("f{count}"), other).await {
            Ok(()) => count += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, RegisterError::TooMuchToTell { .. }), "{refused:?}");
    assert_eq!(node.functions().len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_map_names_the_item_that_fails() {
    let mut home = Home::new().await;
    let (_server, _) = home.server().await;
    let caller = home.caller().await;
    let failed = within("the map", caller.map::<fails_at>((0..100).map(|n| (n, 63)))).await.unwrap_err();
    let source = CallError::Failed { function: name("fails_at"), message: name("not 63") };
    assert_eq!(failed, MapError::Item { index: 63, source });
    assert_eq!(failed.outcome(), Outcome::Applied);
    // What cannot be sent is named as well.
    let texts = [String::new(), "x".repeat(33 << 20)];
    let failed = within("the map", caller.map::<length>(texts)).await.unwrap_err();
    assert!(
        matches!(failed, MapError::Item { index: 1, source: CallError::TooLarge { result: false, .. } }),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_map_gives_an_item_up_that_kills_its_nodes() {
    let mut home = Home::new().await;
    let caller = home.caller().await;
    // A late batch is copied, so that its item may take a second node down before the first loss is known.
    let mut doomed = Vec::new();
    for _ in 0..4 {
        doomed.push(home.server().await);
    }
    members(&caller, 5).await;
    let mut map = caller.map::<fatal_at>((0..50).map(|n| (n, 21))).attempts(2).into_future();
    let failed = loop {
        let dying = doomed.iter().map(|(node, counters)| {
            Box::pin(async move {
                counters.fatal().await;
                node.id()
            })
        });
        tokio::select! {
            biased;
            (dead, ..) = futures::future::select_all(dying) => home.kill(dead),
            failed = within("the map", &mut map) => break failed.unwrap_err(),
        }
    };
    // Which item is named is the schedule's own test: here the copy of the fatal one may take down a node on which an
    // innocent one has its last chance.
    assert!(matches!(failed, MapError::Poisoned { attempts: 2, .. }), "{failed:?}");
    assert_eq!(failed.outcome(), Outcome::Unknown);
    // What is not at fault gets done by whoever comes next.
    home.server().await;
    let done = within("the map", caller.map::<fatal_at>((0..50).map(|n| (n, 99)))).await;
    assert_eq!(done.unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_map_ends_at_its_deadline() {
    let mut home = Home::new().await;
    let (_server, counters) = home.server().await;
    let caller = home.caller().await;
    let map = caller.map::<hang>(std::iter::repeat_n((), 3)).deadline(Duration::from_millis(200));
    let failed = within("the map", map).await.unwrap_err();
    assert_eq!(failed, MapError::Deadline { done: 0, total: 3 });
    assert_eq!(failed.outcome(), Outcome::Unknown);
    eventually("what ran is told", || counters.cancelled() == counters.started() && counters.started() > 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_map_that_nobody_can_run_says_so() {
    let mut home = Home::new().await;
    let node = home.caller().await;
    // Half a minute of patience.
    let failed = node.map::<Missing>([(), ()]).await.unwrap_err();
    assert!(matches!(failed, MapError::Item { source: CallError::NoNodeHasIt { .. }, .. }), "{failed:?}");
    assert_eq!(failed.outcome(), Outcome::NotApplied);
}
