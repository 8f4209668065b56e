//! Calls that succeed, small and large, one and many.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use guthi::Trace;
use guthi_tests::{
    cluster::{Home, members, within},
    functions::{here, length, letters, nothing, same, slow_steps, square, three},
};

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
async fn a_traced_call_tells_how_far_it_is_and_is_counted() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    let trace: Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    for node in [&caller, &server] {
        let begin = Instant::now();
        let told = Arc::<Mutex<Vec<f32>>>::default();
        let callback = || {
            let told = told.clone();
            move |share| told.lock().unwrap().push(share)
        };
        let call = node.call::<slow_steps>(300).on(&server).trace(trace).on_progress(callback());
        assert_eq!(within("on the pool", call.with_node()).await, Ok((server.id(), 300)));
        let call = node.call_named("patient_steps", 300.into()).on(&server).trace(trace).on_progress(callback());
        assert_eq!(within("on the runtime", call.with_node()).await, Ok((server.id(), 300.into())));
        let (told, took) = (told.lock().unwrap().clone(), begin.elapsed().as_millis());
        // Whoever is late to look misses some.
        assert!(told.len() >= 2 && told.len() as u128 <= took / 50 + 4, "{took} ms {told:?}");
    }
    let functions = caller.metrics().functions;
    assert_eq!((functions["slow_steps"].count, functions["patient_steps"].errors), (1, 0));
    assert!(functions["slow_steps"].durations.quantile(0.5).unwrap().as_millis() > 150);
    assert_eq!(server.metrics().served.ok, 4);
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

/// How many TCP connections this process has at the port on which a node listens.
#[cfg(target_os = "linux")]
fn connections(node: &guthi::Node) -> usize {
    const ESTABLISHED: &str = "01";
    let address = node.addresses()[0].to_string();
    let port: u16 = address.split('/').skip_while(|part| *part != "tcp").nth(1).unwrap().parse().unwrap();
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&local) && row[3] == ESTABLISHED).count()
}

/// So an echo does not wait for what the kernel has taken of a large payload.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn large_payloads_have_a_connection_of_their_own() {
    let home = Home::new();
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    members(&server, 2).await;
    assert_eq!(caller.call::<length>("xxxxx".into()).await, Ok(5));
    let count = || connections(&server) + connections(&caller);
    // Of two that dialled each other at once, one connection is left.
    guthi_tests::cluster::eventually("there is one link", || count() == 1).await;
    assert_eq!(caller.call::<length>("x".repeat(1 << 20)).await, Ok(1 << 20));
    assert_eq!(count(), 2, "one for what the caller sends");
    assert_eq!(caller.call::<letters>(1 << 20).await.map(|text| text.len()), Ok(1 << 20));
    assert_eq!(count(), 3, "and one for what the server sends");
    assert_eq!(caller.call::<letters>(1 << 20).await.map(|text| text.len()), Ok(1 << 20));
    assert_eq!(count(), 3, "made once");
    let id = caller.id();
    within("leaving", caller.leave()).await.unwrap();
    guthi_tests::cluster::eventually("all are closed", || connections(&server) == 0).await;
    assert!(server.peers().iter().any(|peer| peer.id == id));
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
