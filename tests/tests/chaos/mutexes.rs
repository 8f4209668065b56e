//! Mutexes whose holders are real processes, which are killed and stopped.

use std::time::{Duration, Instant};

use guthi::Fence;
use guthi_tests::{
    cluster::{Home, eventually, eventually_async, members, within},
    functions::{add_under, is_kept, keep},
    process::Worker,
};

use super::WORKER;

/// On one machine a dead process is proven dead; this is far beyond what that takes.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_killed_holder_is_followed_by_who_waits_and_that_one_is_told() {
    let home = Home::new();
    let a = home.caller().await;
    let workers = [Worker::start(WORKER, &home), Worker::start(WORKER, &home)];
    members(&a, 3).await;
    let first: Fence = within("a guard", a.call::<keep>("m".into()).on(workers[0].id)).await.unwrap().parse().unwrap();
    let mutex = a.mutex("m");
    let waiting = tokio::spawn(async move { (mutex.lock().await, Instant::now()) });
    assert!(a.mutex("m").lock_timeout(Duration::from_millis(50)).await.is_err(), "it is held");
    let killed = Instant::now();
    workers[0].kill();
    let (guard, at) = within("the next guard", waiting).await.unwrap();
    let guard = guard.unwrap();
    println!("the next guard {:?} after kill -9", at - killed);
    assert!(guard.previous_holder_died() && guard.fence() > first && at - killed < SOON);
    drop(guard);
    let guard = within("a guard later", a.mutex("m").lock()).await.unwrap();
    assert!(!guard.previous_holder_died());
}

#[tokio::test]
async fn a_stopped_holder_finds_its_guard_lost_when_it_goes_on() {
    let home = Home::new();
    let a = home.caller().await;
    // The voters that are left are a quorum.
    let _others = [home.caller().await, home.caller().await];
    let worker = Worker::start(WORKER, &home);
    members(&a, 4).await;
    let first: Fence = within("a guard", a.call::<keep>("m".into()).on(worker.id)).await.unwrap().parse().unwrap();
    assert_eq!(within("a look", a.call::<is_kept>(()).on(worker.id)).await, Ok(vec![true]));
    let stopped = Instant::now();
    worker.stop();
    let guard = within("the next guard", a.mutex("m").lock()).await.unwrap();
    println!("the next guard {:?} after kill -STOP", stopped.elapsed());
    assert!(guard.previous_holder_died() && guard.fence() > first);
    worker.resume();
    eventually_async("it looks at its guard", || async {
        let looked = a.call::<is_kept>(()).on(worker.id).deadline(Duration::from_secs(1)).await;
        looked.is_ok_and(|held| {
            assert_eq!(held, [false]);
            true
        })
    })
    .await;
    assert!(guard.is_held());
}

/// The sum of an older design, in a file that is shared: nodes add 1 to 1000 and 1001 to 2000, while they are killed and
/// others begin where they ended.
#[tokio::test]
async fn a_sum_is_right_though_those_who_add_are_killed() {
    let home = Home::new();
    let a = home.caller().await;
    let path = home.path().with_file_name("total");
    let rows = [(1, 1000), (1001, 2000)];
    for round in 0.. {
        let workers = [Worker::start(WORKER, &home), Worker::start(WORKER, &home)];
        members(&a, 3).await;
        let adding = rows.iter().zip(&workers).map(|((from, to), worker)| {
            a.call::<add_under>((path.clone(), *from, *to))
                .on(worker.id)
                .deadline(Duration::from_secs(60))
                .into_future()
        });
        let both = tokio::spawn(futures::future::join_all(adding));
        if round < 3 {
            // In the middle of it, sooner or later.
            eventually("something is added", || {
                std::fs::read_to_string(&path).is_ok_and(|text| text.split(' ').count() > 2 + round % 2)
            })
            .await;
            workers[round % 2].kill();
            drop(workers);
            let _ = within("the rest", both).await;
            members(&a, 1).await;
            continue;
        }
        assert!(within("both rows", both).await.unwrap().iter().all(Result::is_ok));
        break;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.split(' ').next(), Some("2001000"), "{text}");
}
