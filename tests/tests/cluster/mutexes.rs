//! Mutexes as users see them: turns, tries, what is lost and who is told, over nodes that are killed, stopped and cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use guthi::{Fence, Guard, LockError, Node, Outcome, testing::Cluster};
use guthi_tests::cluster::within;

async fn lock(node: &Node, name: &str) -> Guard {
    within("the mutex", node.mutex(name).lock()).await.unwrap()
}

#[tokio::test]
async fn one_task_at_a_time_has_a_mutex_whatever_its_node() {
    let cluster = Cluster::new(3).await;
    let (holders, grants) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut last = None::<Fence>;
    let tasks = (0..12).map(|task| {
        let mutex = cluster.node(task % 3).mutex("m");
        let (holders, grants) = (holders.clone(), grants.clone());
        tokio::spawn(async move {
            let mut fences = Vec::new();
            for _ in 0..10 {
                let guard = mutex.lock().await.unwrap();
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                assert!(guard.is_held() && !guard.previous_holder_died());
                tokio::time::sleep(Duration::from_millis(1)).await;
                fences.push((grants.fetch_add(1, Ordering::SeqCst), guard.fence()));
                holders.fetch_sub(1, Ordering::SeqCst);
            }
            fences
        })
    });
    let all = within("all of them", futures::future::join_all(tasks)).await;
    let mut fences: Vec<_> = all.into_iter().flat_map(Result::unwrap).collect();
    fences.sort_unstable();
    assert_eq!(fences.len(), 120);
    for (_, fence) in fences {
        assert!(last < Some(fence), "{last:?} {fence}");
        last = Some(fence);
    }
}

#[tokio::test]
async fn a_try_takes_what_is_free_and_waits_for_nothing() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0).mutex("m"), cluster.node(1).mutex("m"));
    let guard = within("a try", a.try_lock()).await.unwrap().expect("nobody has it");
    assert!(within("a try elsewhere", b.try_lock()).await.unwrap().is_none());
    assert!(within("a try here", a.try_lock()).await.unwrap().is_none());
    let begun = cluster.elapsed();
    let waited = b.lock_timeout(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(waited, LockError::Timeout { name: "m".into(), waited: Duration::from_millis(300) });
    assert_eq!((waited.outcome(), cluster.elapsed() - begun), (Outcome::NotApplied, Duration::from_millis(300)));
    guard.unlock().await.unwrap();
    assert!(within("a try when it is free", b.try_lock()).await.unwrap().is_some());
    assert!(within("and once more", a.try_lock()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_name_that_cannot_be_is_told_when_it_is_locked() {
    let cluster = Cluster::new(1).await;
    for name in ["", "a\nb", &"x".repeat(256)] {
        let mutex = cluster.node(0).mutex(name);
        assert_eq!(mutex.name(), name);
        let error = mutex.lock().await.unwrap_err();
        assert!(matches!(&error, LockError::BadName { name: bad, .. } if bad == name), "{error}");
        assert_eq!(mutex.try_lock().await.unwrap_err(), error);
    }
}

/// T18: whatever is dropped, at whichever point, the mutex goes on.
#[tokio::test]
async fn t18_a_future_that_is_dropped_leaves_nothing_behind() {
    let cluster = Cluster::builder().nodes(3).seed(7).start().await;
    let mutexes: Vec<_> = cluster.nodes().map(|node| node.mutex("m")).collect();
    // Every point between the beginning and the end of a wait, in steps of a tenth of the way between two nodes.
    for step in 0..200_u32 {
        let mutex = &mutexes[step as usize % 3];
        let patience = Duration::from_micros(u64::from(step) * 50);
        match step % 2 {
            0 => drop(tokio::time::timeout(patience, mutex.lock()).await),
            _ => drop(tokio::time::timeout(patience, mutex.try_lock()).await),
        }
    }
    for node in cluster.nodes() {
        drop(lock(node, "m").await);
    }
    cluster.settle().await;
    let page = cluster.node(0).mutexes("").await;
    assert!(page.unanswered.is_empty() && !page.more);
    assert!(page.items.iter().all(|info| info.holder.is_none() && info.waiters.is_empty()), "{page:?}");
}

#[tokio::test]
async fn a_guard_that_comes_when_nobody_waits_any_more_goes_on() {
    let cluster = Cluster::new(2).await;
    let guard = lock(cluster.node(0), "m").await;
    let mut waiting = Box::pin(async {
        let mutex = cluster.node(1).mutex("m");
        mutex.lock().await
    });
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    cluster.settle().await;
    drop(guard);
    // It has been granted by now, and the task has not looked.
    cluster.settle().await;
    drop(waiting);
    drop(lock(cluster.node(0), "m").await);
}

#[tokio::test]
async fn the_next_holder_is_told_that_the_one_before_was_killed() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(1), "m").await;
    let fence = guard.fence();
    let waiting = tokio::spawn({
        let mutex = cluster.node(2).mutex("m");
        async move { mutex.lock().await }
    });
    cluster.settle().await;
    cluster.kill(1);
    let next = within("the next holder", waiting).await.unwrap().unwrap();
    assert!(next.previous_holder_died() && next.fence() > fence && next.is_held());
    assert!(!guard.is_held(), "what is left of the first one knows better");
    drop(next);
    assert!(!lock(cluster.node(0), "m").await.previous_holder_died(), "it is told once");
}

/// T15, T9: a holder that stands still does not know it; when it goes on, its guard is lost.
#[tokio::test]
async fn t15_a_holder_that_stood_still_finds_its_guard_lost() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(1), "m").await;
    cluster.advance(Duration::from_secs(3)).await;
    assert!(guard.is_held(), "T14: it lasts as long as its node answers");
    cluster.pause(1);
    let next = lock(cluster.node(2), "m").await;
    assert!(next.previous_holder_died() && next.fence() > guard.fence());
    // The lease was over before anybody else was granted the mutex.
    assert!(!guard.is_held());
    within("the loss", guard.lost()).await;
    cluster.resume(1);
    cluster.wait_until(|cluster| cluster.node(1).members().len() == 3).await;
    assert!(!guard.is_held());
    let (name, fence) = ("m".to_owned(), guard.fence());
    assert_eq!(guard.unlock().await.unwrap_err(), LockError::Lost { name, fence });
    assert!(next.is_held());
    drop(next);
    drop(lock(cluster.node(1), "m").await);
}

#[tokio::test]
async fn who_is_cut_off_loses_its_guard_before_the_others_have_another() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(0), "m").await;
    let lost = Arc::new(AtomicU64::new(0));
    let watched = tokio::spawn({
        let lost = lost.clone();
        async move {
            guard.lost().await;
            lost.store(1, Ordering::SeqCst);
            guard
        }
    });
    cluster.partition(&[0], &[1, 2]);
    let next = lock(cluster.node(2), "m").await;
    assert_eq!(lost.load(Ordering::SeqCst), 1, "the first one knew before");
    assert!(next.previous_holder_died());
    let page = cluster.node(0).mutexes("").await;
    assert_eq!((page.items[0].holder, page.unanswered.len()), (None, 2), "what it had is not listed as held");
    cluster.heal();
    let guard = within("the guard", watched).await.unwrap();
    cluster.wait_until(|cluster| cluster.node(0).members().len() == 3).await;
    assert!(!guard.is_held() && next.is_held());
}

#[tokio::test]
async fn a_short_cut_costs_no_guard() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(0), "m").await;
    cluster.partition(&[0], &[1, 2]);
    within("the lapse", guard.lost()).await;
    assert!(!guard.is_held());
    // The others have not gone on yet.
    cluster.heal();
    cluster.wait_until(|_| guard.is_held()).await;
    assert_eq!(cluster.node(1).view().epoch, cluster.node(0).view().epoch);
    guard.unlock().await.unwrap();
}

#[tokio::test]
async fn a_task_goes_on_waiting_when_its_node_begins_a_new_life() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(1), "m").await;
    let waiting = tokio::spawn({
        let mutex = cluster.node(0).mutex("m");
        async move { mutex.lock().await }
    });
    cluster.settle().await;
    cluster.partition(&[0], &[1, 2]);
    cluster.advance(Duration::from_secs(6)).await;
    assert_eq!(cluster.node(1).members().len(), 2);
    assert!(guard.is_held());
    cluster.heal();
    cluster.wait_until(|cluster| cluster.node(1).members().len() == 3).await;
    drop(guard);
    drop(within("the mutex", waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn a_node_that_leaves_refuses_and_its_guards_are_waited_for() {
    let cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(0), "m").await;
    let left = cluster.node(0).mutex("m");
    let waiting = tokio::spawn({
        let mutex = left.clone();
        async move { mutex.lock().await }
    });
    cluster.settle().await;
    let leaving = tokio::spawn(cluster.node(0).clone().leave());
    assert_eq!(within("the end of waiting", waiting).await.unwrap().unwrap_err(), LockError::Left);
    assert_eq!(left.lock().await.unwrap_err(), LockError::Left);
    assert!(guard.is_held());
    drop(guard);
    within("the leave", leaving).await.unwrap().unwrap();
    let next = lock(cluster.node(1), "m").await;
    assert!(!next.previous_holder_died(), "it has given it back");
}

#[tokio::test]
async fn a_guard_is_lost_when_its_node_has_left() {
    let cluster = Cluster::new(2).await;
    let guard = lock(cluster.node(0), "m").await;
    within("the leave", cluster.node(0).clone().leave()).await.unwrap();
    assert!(!guard.is_held());
    within("the loss", guard.lost()).await;
    assert!(lock(cluster.node(1), "m").await.previous_holder_died(), "it was not given back");
}

#[tokio::test]
async fn what_is_held_and_waited_for_can_be_seen_from_everywhere() {
    let mut cluster = Cluster::new(3).await;
    let guard = lock(cluster.node(1), "jobs/a").await;
    drop(lock(cluster.node(1), "jobs/idle").await);
    drop(lock(cluster.node(2), "other").await);
    let waiting: Vec<_> = [0, 2, 2]
        .map(|node| {
            let mutex = cluster.node(node).mutex("jobs/a");
            tokio::spawn(async move { mutex.lock().await })
        })
        .into();
    cluster.advance(Duration::from_secs(2)).await;
    for node in cluster.nodes() {
        let page = node.mutexes("jobs/").await;
        let names: Vec<_> = page.items.iter().map(|info| info.name.as_str()).collect();
        assert_eq!((names, page.more, page.unanswered), (vec!["jobs/a", "jobs/idle"], false, vec![]));
        let holder = page.items[0].holder.unwrap();
        assert_eq!((holder.node, holder.fence), (cluster.node(1).id(), guard.fence()));
        assert!(holder.held_for >= Duration::from_secs(2) && holder.held_for < Duration::from_secs(4), "{holder:?}");
        let mut waiters = page.items[0].waiters.clone();
        waiters.sort_unstable_by_key(|(_, count)| *count);
        assert_eq!(waiters, [(cluster.node(0).id(), 1), (cluster.node(2).id(), 2)]);
        assert_eq!((page.items[1].holder, page.items[1].token), (None, Some(cluster.node(1).id())));
    }
    cluster.pause(2);
    let page = cluster.node(0).mutexes("").await;
    assert_eq!(page.unanswered, [cluster.node(2).id()]);
    drop(waiting);
}

/// The sum of an older design: nodes add 1 to 1000 and 1001 to 2000 into one number under the mutex.
#[tokio::test]
async fn two_nodes_add_into_one_number_which_is_right_in_the_end() {
    let cluster = Cluster::new(2).await;
    let total = Arc::new(AtomicU64::new(0));
    let adders = [1..=1000_u64, 1001..=2000].into_iter().enumerate().map(|(node, numbers)| {
        let (mutex, total) = (cluster.node(node).mutex("total_sum"), total.clone());
        tokio::spawn(async move {
            for number in numbers {
                let guard = mutex.lock().await.unwrap();
                let before = total.load(Ordering::Relaxed);
                tokio::task::yield_now().await;
                total.store(before + number, Ordering::Relaxed);
                drop(guard);
            }
        })
    });
    within("both", futures::future::join_all(adders)).await.into_iter().for_each(Result::unwrap);
    assert_eq!(total.load(Ordering::Relaxed), 2_001_000);
}

#[tokio::test]
async fn mutexes_are_counted() {
    let cluster = Cluster::new(2).await;
    let mutex = cluster.node(0).mutex("m");
    for _ in 0..5 {
        drop(mutex.lock().await.unwrap());
        cluster.settle().await;
    }
    let guard = mutex.lock().await.unwrap();
    assert!(cluster.node(1).mutex("m").try_lock().await.unwrap().is_none());
    cluster.advance(Duration::from_secs(1)).await;
    drop(guard);
    drop(lock(cluster.node(1), "m").await);
    let (a, b) = (cluster.node(0).metrics(), cluster.node(1).metrics());
    assert_eq!((a.mutexes.grants, b.mutexes.grants, b.mutexes.refusals), (6, 1, 1));
    assert_eq!((a.mutex_waits.count(), a.mutex_holds.count(), a.mutexes.losses), (6, 6, 0));
    assert!(a.mutex_holds.sum() >= Duration::from_secs(1));
    assert_eq!(a.mutexes.made + b.mutexes.made, 1);
}
