//! Maps over real bytes, and over processes that are killed.

use guthi_tests::{
    cluster::{Home, members},
    functions::{prime, slow_palindrome},
    maps::{assert_palindromes, gather},
    process::Worker,
};

use super::WORKER;

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
