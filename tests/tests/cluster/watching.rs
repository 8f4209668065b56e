//! Those who watch variables: what they are told, what they may miss, and what never.

use std::time::Duration;

use futures::StreamExt as _;
use guthi::{Change, Changes, Node, Variable, testing::Cluster};
use guthi_tests::cluster::within;

async fn number(node: &Node, name: &str) -> Variable<u64> {
    within("a variable", node.variable(name, 0_u64)).await.unwrap()
}

async fn next(changes: &mut Changes<u64>) -> Change<u64> {
    within("a change", changes.next()).await.unwrap()
}

/// The next value, and how many are said to be skipped.
async fn value(changes: &mut Changes<u64>) -> (u64, u64) {
    match next(changes).await {
        Change::Set { value, skipped, .. } => (value, skipped),
        other => panic!("{other:?}"),
    }
}

/// Until there is nothing more for so long.
async fn rest(changes: &mut Changes<u64>) -> Vec<Change<u64>> {
    let mut rest = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(Duration::from_millis(500), changes.next()).await {
        rest.push(change);
    }
    rest
}

#[tokio::test]
async fn every_node_is_told_of_each_value_and_of_the_first_at_once() {
    let cluster = Cluster::new(3).await;
    let written = number(cluster.node(0), "board").await;
    let mut changes = Vec::new();
    for node in cluster.nodes() {
        changes.push(number(node, "board").await.watch());
    }
    for changes in &mut changes {
        assert_eq!(value(changes).await, (0, 0));
    }
    for number in 1..=20 {
        let version = within("a write", written.set(number)).await.unwrap();
        for changes in &mut changes {
            let expected = Change::Set { name: "board".into(), value: number, version, skipped: 0 };
            assert_eq!(next(changes).await, expected);
        }
    }
}

#[tokio::test]
async fn who_is_slow_gets_the_newest_and_is_told_how_many_it_has_missed() {
    let cluster = Cluster::new(3).await;
    let (written, watched) = (number(cluster.node(0), "board").await, number(cluster.node(2), "board").await);
    let (mut slow, mut quick) = (watched.watch(), watched.watch());
    assert_eq!((value(&mut slow).await, value(&mut quick).await), ((0, 0), (0, 0)));
    for number in 1..=50 {
        within("a write", written.set(number)).await.unwrap();
        assert_eq!(value(&mut quick).await, (number, 0), "it is slowed by nobody");
    }
    assert_eq!(value(&mut slow).await, (50, 49));
    assert_eq!(rest(&mut slow).await, []);
}

#[tokio::test]
async fn whoever_comes_later_begins_with_what_there_is_then() {
    let cluster = Cluster::new(3).await;
    let (written, watched) = (number(cluster.node(0), "board").await, number(cluster.node(2), "board").await);
    let mut changes = watched.watch();
    assert_eq!(value(&mut changes).await, (0, 0));
    drop(changes);
    written.set(1).await.unwrap();
    written.set(2).await.unwrap();
    let mut again = watched.watch();
    assert_eq!(value(&mut again).await, (2, 0), "and not with what somebody else was told");
    written.set(3).await.unwrap();
    let mut beside = watched.watch();
    assert_eq!((value(&mut again).await, value(&mut beside).await), ((3, 0), (3, 0)));
}

#[tokio::test]
async fn what_is_deleted_made_anew_or_of_another_type_is_said_as_that() {
    let cluster = Cluster::new(3).await;
    let (written, watched) = (number(cluster.node(0), "board").await, number(cluster.node(2), "board").await);
    let mut changes = watched.watch();
    assert_eq!(value(&mut changes).await, (0, 0));
    written.delete().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Deleted { name: "board".into() });
    let text = within("a variable", cluster.node(1).variable("board", "text".to_owned())).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Unreadable { .. }));
    text.delete().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Deleted { name: "board".into() });
    number(cluster.node(1), "board").await.set(7).await.unwrap();
    loop {
        match next(&mut changes).await {
            Change::Set { value: 7, .. } => break,
            Change::Set { value: 0, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Whichever of them the home is: views change, copies go, and the last value comes.
#[tokio::test]
async fn watching_goes_on_when_nodes_are_killed_and_cut_off() {
    for seed in 0..4 {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).start().await;
        let watched = number(cluster.node(4), "board").await;
        let mut changes = watched.watch();
        assert_eq!(value(&mut changes).await, (0, 0));
        let victim = usize::try_from(seed % 2).unwrap();
        for round in 1..=10 {
            let writer = number(cluster.node(2), "board").await;
            within("a write", writer.set(round)).await.unwrap();
            if round == 3 {
                cluster.kill(victim);
            }
            if round == 6 {
                // It is excluded, and comes back as another life: the stream is the same.
                cluster.pause(4);
                cluster.advance(Duration::from_secs(5)).await;
                cluster.resume(4);
            }
        }
        let mut last = 0;
        while last < 10 {
            let (value, _) = value(&mut changes).await;
            assert!(value > last, "{value} after {last}");
            last = value;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_node_leaves() {
    let cluster = Cluster::new(3).await;
    let mut changes = number(cluster.node(2), "board").await.watch();
    assert_eq!(value(&mut changes).await, (0, 0));
    within("leaving", cluster.node(2).clone().leave()).await.unwrap();
    assert!(within("the end", changes.next()).await.is_none());
    let mut late = number(cluster.node(1), "board").await.watch();
    assert_eq!(value(&mut late).await, (0, 0));
}
