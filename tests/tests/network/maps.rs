//! Maps over real bytes, and over processes that are killed.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt};
use guthi::{Done, MapError};
use guthi_tests::{
    cluster::{Home, members, within},
    functions::{palindrome, prime, slow_palindrome},
    process::Worker,
};

use super::WORKER;

/// Takes in what a map gives, and asserts that nothing comes twice.
async fn gather<T>(
    items: impl Stream<Item = Result<Done<T>, MapError>>,
    mut watch: impl FnMut(usize, &Done<T>),
) -> BTreeMap<usize, T> {
    let mut items = std::pin::pin!(items);
    let mut outputs = BTreeMap::new();
    while let Some(done) = within("an item", items.next()).await {
        let done = done.unwrap();
        watch(outputs.len() + 1, &done);
        let twice = outputs.insert(done.index, done.output.unwrap());
        assert!(twice.is_none(), "item {} came twice", done.index);
    }
    outputs
}

fn assert_palindromes(outputs: &BTreeMap<usize, bool>, last: usize, count: usize) {
    assert_eq!(outputs.len(), last + 1);
    assert!(outputs.keys().copied().eq(0..=last));
    assert!(outputs.iter().all(|(n, found)| *found == palindrome(*n as u64)));
    assert_eq!(outputs.values().filter(|found| **found).count(), count);
}

#[tokio::test]
async fn two_million_numbers_hold_as_many_primes_as_they_should() {
    let home = Home::new();
    let (_a, _) = home.server().await;
    let caller = home.caller().await;
    let found =
        tokio::time::timeout(std::time::Duration::from_secs(120), caller.map::<prime>(2..=2_000_001).into_future());
    let found = found.await.expect("it hangs").unwrap();
    assert_eq!(found.len(), 2_000_000);
    assert_eq!(found.into_iter().filter(|found| *found).count(), 148_933);
}

#[tokio::test]
async fn every_item_counts_once_when_a_worker_is_killed() {
    let home = Home::new();
    let caller = home.caller().await;
    let workers: Vec<_> = (0..3).map(|_| Worker::start(WORKER, &home)).collect();
    members(&caller, 4).await;
    let mut last_of_the_dead = 0;
    let outputs = gather(caller.map::<slow_palindrome>(0..=10_000).stream(), |count, done| {
        if count == 1000 {
            workers[0].kill();
        }
        if done.node == workers[0].id {
            last_of_the_dead = count;
        }
    })
    .await;
    assert!(last_of_the_dead > 0, "it had taken part");
    assert!(last_of_the_dead < 10_000, "it did not do the last");
    assert_palindromes(&outputs, 10_000, 205);
}
