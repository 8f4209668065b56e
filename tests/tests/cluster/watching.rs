//! Those who watch variables: what they are told, what they may miss, and what never.

use std::{collections::BTreeMap, time::Duration};

use guthi::{Change, Changes, Node, Variable, WatchError, testing::Cluster};
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

// Many at once.

/// What a stream has told by the time that all is listed.
async fn listed(changes: &mut Changes<u64>) -> BTreeMap<String, u64> {
    let mut there = BTreeMap::new();
    loop {
        match next(changes).await {
            Change::Set { name, value, .. } => assert_eq!(there.insert(name, value), None),
            Change::Listed => return there,
            other => panic!("{other:?}"),
        }
    }
}

async fn numbers(node: &Node, count: u64) -> Vec<Variable<u64>> {
    let variables = (0..count).map(|it| async move {
        let variable = number(node, &format!("board/{it}")).await;
        variable.set(it).await.unwrap();
        variable
    });
    futures::future::join_all(variables).await
}

#[tokio::test]
async fn all_that_begin_alike_are_listed_and_then_told_as_they_change() {
    let cluster = Cluster::new(3).await;
    let variables = numbers(cluster.node(0), 50).await;
    number(cluster.node(0), "bo").await.set(1).await.unwrap();
    let mut streams = Vec::new();
    for node in cluster.nodes() {
        let mut changes = node.watch_prefix::<u64>("board/").unwrap();
        let expected = (0..50).map(|it| (format!("board/{it}"), it)).collect();
        assert_eq!(listed(&mut changes).await, expected);
        streams.push(changes);
    }
    for (variable, number) in variables.iter().zip(1000..) {
        let version = variable.set(number).await.unwrap();
        for changes in &mut streams {
            let expected = Change::Set { name: variable.name().into(), value: number, version, skipped: 0 };
            assert_eq!(next(changes).await, expected);
        }
    }
    variables[7].delete().await.unwrap();
    for changes in &mut streams {
        assert_eq!(next(changes).await, Change::Deleted { name: "board/7".into() });
        assert_eq!(rest(changes).await, []);
    }
    let text = cluster.node(1).variable("board/text", String::new()).await.unwrap();
    assert!(matches!(next(&mut streams[2]).await, Change::Unreadable { .. }), "{}", text.name());
}

#[tokio::test]
async fn who_follows_slowly_gets_of_each_the_newest_and_slows_nobody() {
    let cluster = Cluster::new(3).await;
    let variables = numbers(cluster.node(0), 3).await;
    let mut slow = cluster.node(2).watch_prefix::<u64>("board/").unwrap();
    let mut quick = cluster.node(2).watch_prefix::<u64>("board/").unwrap();
    assert_eq!((listed(&mut slow).await.len(), listed(&mut quick).await.len()), (3, 3));
    for number in 1..=40 {
        for variable in &variables {
            variable.set(number).await.unwrap();
            assert_eq!(value(&mut quick).await, (number, 0));
        }
    }
    for _ in 0..3 {
        assert_eq!(value(&mut slow).await, (40, 39));
    }
    assert_eq!(rest(&mut slow).await, []);
    // Whoever comes now begins with what there is.
    let mut late = cluster.node(2).watch_prefix::<u64>("board/").unwrap();
    assert!(listed(&mut late).await.values().all(|value| *value == 40));
}

#[tokio::test]
async fn following_goes_on_when_nodes_are_killed_and_excluded() {
    for seed in 0..3 {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).start().await;
        let variables = numbers(cluster.node(2), 30).await;
        let mut changes = cluster.node(4).watch_prefix::<u64>("board/").unwrap();
        let mut known = listed(&mut changes).await;
        cluster.kill(usize::try_from(seed % 2).unwrap());
        within("a write", variables[1].set(101)).await.unwrap();
        cluster.pause(4);
        cluster.advance(Duration::from_secs(6)).await;
        within("a write", variables[2].set(102)).await.unwrap();
        within("a deletion", variables[3].delete()).await.unwrap();
        cluster.resume(4);
        while let Ok(Some(change)) = tokio::time::timeout(Duration::from_secs(20), changes.next()).await {
            match change {
                Change::Set { name, value, .. } => assert_ne!(known.insert(name, value), Some(value), "said twice"),
                Change::Deleted { name } => assert!(known.remove(&name).is_some(), "{name}"),
                other => panic!("{other:?}"),
            }
        }
        let mut expected: BTreeMap<_, _> = (0..30).map(|it| (format!("board/{it}"), it)).collect();
        expected.extend([("board/1".to_owned(), 101), ("board/2".to_owned(), 102)]);
        expected.remove("board/3");
        assert_eq!(known, expected, "seed {seed}");
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let cluster = Cluster::new(1).await;
    let node = cluster.node(0);
    let bad = node.watch_prefix::<u64>("a\nb").unwrap_err();
    assert!(matches!(bad, WatchError::BadPrefix { .. }), "{bad}");
    let mut many: Vec<_> = (0..256).map(|it| node.watch_prefix::<u64>(format!("{it}/")).unwrap()).collect();
    let over = node.watch_prefix::<u64>("one more").unwrap_err();
    assert!(matches!(over, WatchError::TooMany { limit: 256 }), "{over}");
    many.pop();
    let mut all = node.watch_prefix::<u64>("").unwrap();
    assert_eq!(listed(&mut all).await, BTreeMap::new());
    within("leaving", node.clone().leave()).await.unwrap();
    assert!(within("the end", all.next()).await.is_none());
}
