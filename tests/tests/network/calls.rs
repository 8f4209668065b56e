//! Calls that succeed, small and large, one and many.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use guthi_tests::{
    cluster::{Home, members, within},
    functions::{here, length, letters, nothing, same, square, three},
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
