//! Variables as users see them: every node reads what was written last, over nodes that are killed, stopped and cut off.

use std::time::Duration;

use guthi::{Node, Outcome, ReadError, Variable, WriteError, testing::Cluster};
use guthi_tests::cluster::within;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Board {
    title: String,
    turn: u32,
}

async fn number(node: &Node, name: &str) -> Variable<u64> {
    within("a variable", node.variable(name, 0_u64)).await.unwrap()
}

async fn read(variable: &Variable<u64>) -> u64 {
    within("a read", variable.get()).await.unwrap()
}

#[tokio::test]
async fn what_one_node_writes_all_others_read() {
    let cluster = Cluster::new(3).await;
    let board = Board { title: "first".into(), turn: 0 };
    let mut handles = Vec::new();
    for node in cluster.nodes() {
        handles.push(within("a variable", node.variable("board", board.clone())).await.unwrap());
    }
    for (turn, writer) in (1..=9).zip((0..3).cycle()) {
        let written = Board { title: format!("by {writer}"), turn };
        let version = within("a write", handles[writer].set(written.clone())).await.unwrap();
        for handle in &handles {
            let (value, seen) = within("a read", handle.get_with_version()).await.unwrap();
            assert_eq!((&value, seen), (&written, version));
            assert_eq!(handle.snapshot().unwrap().value, written);
        }
    }
}

#[tokio::test]
async fn who_only_writes_gets_no_copies_and_who_reads_now_and_then_keeps_one() {
    let cluster = Cluster::new(3).await;
    let node = cluster.node(0);
    for index in 0..20 {
        number(cluster.node(1), &format!("v{index}")).await;
    }
    let elsewhere = node.variables("v").await.items.into_iter().find(|it| !it.homes.contains(&node.id())).unwrap();
    let copies = async || node.variables(&elsewhere.name).await.items[0].copies;
    let variable = number(node, &elsewhere.name).await;
    let mut sum = 0;
    for _ in 0..3 {
        assert_eq!(read(&variable).await, sum);
        assert!(copies().await > 0, "it was read here");
        // It comes with the first answer after that.
        for (adds, expected) in [(1, 1), (1, 0), (3, 0)] {
            for _ in 0..adds {
                sum = within("a sum", variable.add(1)).await.unwrap();
            }
            assert_eq!(copies().await, expected, "after the sum {sum}");
        }
    }
    let _watch = variable.watch();
    within("a sum", variable.add(1)).await.unwrap();
    within("a sum", variable.add(1)).await.unwrap();
    assert!(copies().await > 0, "who watches always has one");
}

#[tokio::test]
async fn the_first_value_counts_and_another_type_is_refused() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let (one, two) = tokio::join!(a.variable("v", 1_u64), b.variable("v", 2_u64));
    let (one, two) = (one.unwrap().get().await.unwrap(), two.unwrap().get().await.unwrap());
    assert!(one == two && (one == 1 || one == 2));
    let other = b.variable("v", String::new()).await.unwrap_err();
    assert!(matches!(other, WriteError::OtherType { .. }), "{other}");
    assert_eq!(other.outcome(), Outcome::NotApplied);
    let unnamed = b.variable("a\nb", 1).await.unwrap_err();
    assert!(matches!(unnamed, WriteError::BadName { .. }), "{unnamed}");
}

#[tokio::test]
async fn many_who_add_lose_nothing() {
    let cluster = Cluster::new(3).await;
    let mut tasks = Vec::new();
    for task in 0..30 {
        let total = number(cluster.node(task % 3), "total").await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                total.add(2).await.unwrap();
                total.sub(1).await.unwrap();
                total.update(|it| *it += 1).await.unwrap();
            }
        }));
    }
    within("all", futures::future::join_all(tasks)).await;
    assert_eq!(read(&number(cluster.node(1), "total").await).await, 600);
}

#[tokio::test]
async fn each_operation_does_what_it_says() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (number(cluster.node(0), "v").await, number(cluster.node(1), "v").await);
    assert_eq!(a.swap(7).await, Ok(0));
    assert_eq!(b.compare_and_set(&6, 8).await, Ok(false));
    assert_eq!(b.compare_and_set(&7, 8).await, Ok(true));
    assert_eq!(a.update(|it| *it *= 2).await, Ok(16));
    let small = cluster.node(0).variable("small", 250_u8).await.unwrap();
    assert_eq!(small.add(10).await, Err(WriteError::Overflow { name: "small".into() }));
    assert_eq!(small.get().await, Ok(250));
    b.delete().await.unwrap();
    assert_eq!(a.get().await, Err(ReadError::NotFound { name: "v".into() }));
    assert_eq!(a.set(1).await, Err(WriteError::NotFound { name: "v".into() }));
    assert_eq!(read(&number(cluster.node(0), "v").await).await, 0, "it is there again");
    let large = cluster.node(0).variable("large", vec![0_u8; 2_000_000]).await.unwrap_err();
    assert!(matches!(large, WriteError::TooLarge { .. }), "{large}");
    let list = within("the list", cluster.node(1).variables("")).await;
    let names: Vec<_> = list.items.iter().map(|it| (&*it.name, it.homes.len(), it.degraded)).collect();
    assert_eq!(names, [("small", 2, false), ("v", 2, false)]);
}

#[tokio::test]
async fn what_was_written_survives_the_death_of_any_node() {
    for victim in 0..3 {
        let mut cluster = Cluster::new(3).await;
        for name in ["a", "b", "c", "d", "e"] {
            let variable = number(cluster.node(0), name).await;
            within("a write", variable.set(5)).await.unwrap();
            assert_eq!(read(&number(cluster.node(2), name).await).await, 5);
        }
        cluster.kill(victim);
        let survivor = (victim + 1) % 3;
        for name in ["a", "b", "c", "d", "e"] {
            let variable = number(cluster.node(survivor), name).await;
            assert_eq!(read(&variable).await, 5);
            assert_eq!(within("a write", variable.add(1)).await, Ok(6));
        }
        cluster.restart(victim).await;
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(read(&number(cluster.node(victim), name).await).await, 6);
        }
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_neither_reads_nor_writes_and_goes_on_later() {
    let mut cluster = Cluster::new(3).await;
    let (a, c) = (number(cluster.node(0), "v").await, number(cluster.node(2), "v").await);
    assert_eq!((read(&a).await, read(&c).await), (0, 0));
    cluster.partition(&[0], &[1, 2]);
    assert_eq!(within("a write of the others", c.add(1)).await, Ok(1));
    let late = tokio::time::timeout(Duration::from_secs(5), a.get()).await;
    assert!(late.is_err(), "{late:?}");
    cluster.heal();
    assert_eq!(read(&a).await, 1);
    assert_eq!(within("a write", a.add(1)).await, Ok(2));
}

#[tokio::test]
async fn a_holder_that_was_stopped_writes_nothing_under_its_fence() {
    let mut cluster = Cluster::new(3).await;
    let (a, b) = (number(cluster.node(0), "v").await, number(cluster.node(1), "v").await);
    let guard = within("the mutex", cluster.node(0).mutex("m").lock()).await.unwrap();
    within("a write", a.set_fenced(&guard, 1)).await.unwrap();
    cluster.pause(0);
    let later = within("the mutex", cluster.node(1).mutex("m").lock()).await.unwrap();
    within("a write", b.set_fenced(&later, 2)).await.unwrap();
    cluster.resume(0);
    // The first write is said by a life that the others went on without; whatever it was, a later one is told.
    let unknown = within("a write", a.set_fenced(&guard, 3)).await.unwrap_err();
    assert_eq!(unknown.outcome(), Outcome::Unknown);
    let refused = within("a write", a.set_fenced(&guard, 3)).await.unwrap_err();
    assert_eq!(refused, WriteError::Fenced { name: "v".into(), fence: later.fence() });
    assert_eq!(read(&a).await, 2);
    let other = within("the mutex", cluster.node(1).mutex("other").lock()).await.unwrap();
    let refused = within("a write", b.set_fenced(&other, 4)).await.unwrap_err();
    assert_eq!(refused, WriteError::OtherMutex { name: "v".into(), mutex: "m".into() });
}

/// Two of four go on by themselves; one of them has a guard, is excluded by the other one, and comes to the first two.
#[tokio::test]
async fn a_guard_goes_along_with_a_fork_and_writes_nothing_in_another_lineage() {
    let mut cluster = Cluster::new(4).await;
    let (a, d) = (number(cluster.node(0), "v").await, number(cluster.node(3), "v").await);
    let guard = within("the mutex", cluster.node(3).mutex("m").lock()).await.unwrap();
    within("a write", d.set_fenced(&guard, 1)).await.unwrap();
    cluster.partition(&[2, 3], &[0, 1]);
    cluster.wait_until(|cluster| [2, 3].iter().all(|index| cluster.node(*index).view().isolated)).await;
    within("the fork", cluster.node(3).fork()).await.unwrap();
    assert_eq!(within("a read", d.get()).await, Err(ReadError::Lost { name: "v".into() }));
    within("a reset", d.reset()).await.unwrap();
    within("a write", d.set_fenced(&guard, 2)).await.unwrap();
    assert!(guard.is_held());
    cluster.partition(&[3], &[2]);
    cluster.wait_until(|cluster| cluster.node(2).members().len() == 1).await;
    cluster.heal();
    cluster.wait_until(|cluster| cluster.node(3).view() == cluster.node(0).view()).await;
    assert_eq!(cluster.node(3).members().len(), 3);
    let refused = within("a write", d.set_fenced(&guard, 3)).await.unwrap_err();
    assert_eq!((refused.outcome(), &refused), (Outcome::NotApplied, &WriteError::OtherLineage { name: "v".into() }));
    assert_eq!(read(&a).await, 1);
    let guard = within("the mutex", cluster.node(3).mutex("m").lock()).await.unwrap();
    within("a write", d.set_fenced(&guard, 4)).await.unwrap();
    assert_eq!(read(&a).await, 4);
}

#[tokio::test]
async fn all_who_leave_hand_over() {
    let mut cluster = Cluster::new(4).await;
    for index in 0..20 {
        number(cluster.node(0), &format!("v{index}")).await.set(index).await.unwrap();
    }
    for leaver in 0..3 {
        within("leaving", cluster.node(leaver).clone().leave()).await.unwrap();
    }
    for index in 0..20 {
        assert_eq!(read(&number(cluster.node(3), &format!("v{index}")).await).await, index);
    }
    let joiner = cluster.add().await;
    assert_eq!(read(&number(cluster.node(joiner), "v7").await).await, 7);
}

#[tokio::test]
async fn if_all_who_kept_it_die_at_once_it_is_lost_until_somebody_begins_anew() {
    let mut cluster = Cluster::new(5).await;
    let names: Vec<_> = (0..40).map(|index| format!("v{index}")).collect();
    for name in &names {
        number(cluster.node(0), name).await.set(7).await.unwrap();
    }
    let list = cluster.node(2).variables("").await;
    cluster.kill(0);
    cluster.kill(1);
    let dead = [cluster.node(0).id(), cluster.node(1).id()];
    let mut lost = 0;
    for info in list.items {
        let gone = info.homes.iter().all(|home| dead.contains(home));
        let variable = within("a variable", cluster.node(3).variable(info.name.clone(), 1_u64)).await;
        if gone {
            lost += 1;
            assert_eq!(variable.unwrap_err(), WriteError::Lost { name: info.name });
        } else {
            assert_eq!(read(&variable.unwrap()).await, 7);
        }
    }
    assert!(lost > 0, "no variable was kept by these two alone");
}
