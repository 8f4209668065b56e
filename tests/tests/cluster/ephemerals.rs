//! Ephemeral values: all get the newest, nobody gets a queue.

use std::time::Duration;

use guthi::{Entry, EntryChange, Node, PublishError, testing::Cluster};
use guthi_tests::cluster::within;
use tokio::time::Instant;

/// How often values are told at most, in a second.
const RATE: u64 = 60;

fn values(node: &Node) -> Vec<(String, u64)> {
    node.ephemerals::<u64>("").into_iter().map(|Entry { name, value, .. }| (name, value)).collect()
}

#[tokio::test]
async fn a_value_is_there_as_long_as_somebody_has_it() {
    let mut cluster = Cluster::new(3).await;
    let id = cluster.node(0).id();
    let mut changes = cluster.node(1).watch_ephemerals::<u64>("cursor/");
    let cursor = cluster.node(0).ephemeral::<u64>("cursor/ann");
    let twin = cluster.node(0).ephemeral::<u64>("cursor/ann");
    let other = cluster.node(2).ephemeral::<u64>("elsewhere");
    cursor.set(1).unwrap();
    other.set(2).unwrap();
    let name = || "cursor/ann".to_owned();
    let set = |value| Some(EntryChange::Set { node: id, name: name(), value });
    let gone = || Some(EntryChange::Gone { node: id, name: name() });
    assert_eq!(within("a change", changes.next()).await, set(1));
    cursor.clear().unwrap();
    assert_eq!(within("a change", changes.next()).await, gone());
    cursor.set(3).unwrap();
    assert_eq!(within("a change", changes.next()).await, set(3));
    drop(twin);
    cluster.advance(Duration::from_millis(100)).await;
    assert_eq!(values(cluster.node(1)), [(name(), 3), ("elsewhere".into(), 2)]);
    drop(cursor);
    assert_eq!(within("a change", changes.next()).await, gone());
    let cursor = cluster.node(0).ephemeral::<u64>("cursor/ann");
    cursor.set(4).unwrap();
    assert_eq!(within("a change", changes.next()).await, set(4));
    cluster.kill(0);
    assert_eq!(within("a change", changes.next()).await, gone());
    assert_eq!(values(cluster.node(1)), [("elsewhere".into(), 2)]);
    let unnamed = cluster.node(1).ephemeral::<u64>("");
    assert!(matches!(unnamed.set(1), Err(PublishError::BadName { .. })));
}

#[tokio::test]
async fn the_others_are_told_at_once_and_then_at_most_sixty_times_a_second() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    cluster.settle().await;
    let told = || b.metrics().sayings.heard;
    let pointer = a.ephemeral::<u64>("pointer");
    pointer.set(0).unwrap();
    cluster.advance(Duration::from_millis(3)).await;
    assert_eq!((told(), values(b)), (1, vec![("pointer".into(), 0)]), "the first goes at once");
    for value in 1..=1000 {
        pointer.set(value).unwrap();
        cluster.advance(Duration::from_millis(1)).await;
    }
    assert!((RATE - 3..=RATE + 2).contains(&told()), "{} in a second", told());
    cluster.advance(Duration::from_millis(30)).await;
    assert_eq!(values(b), [("pointer".into(), 1000)], "what was set last is not lost");
    let before = told();
    cluster.advance(Duration::from_secs(1)).await;
    assert_eq!(told(), before);
}

#[tokio::test]
async fn a_slow_link_gets_the_newest_values_and_no_queue() {
    let cluster = Cluster::builder().nodes(2).delay(Duration::from_millis(300)..=Duration::from_millis(300));
    let cluster = cluster.start().await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let mut changes = b.watch_ephemerals::<u64>("");
    let pointer = a.ephemeral::<u64>("pointer");
    for value in 0..=100 {
        pointer.set(value).unwrap();
        cluster.advance(Duration::from_millis(30)).await;
    }
    // What was under way arrives, is acknowledged, and then the last value goes.
    cluster.advance(Duration::from_millis(900)).await;
    assert_eq!(values(b), [("pointer".into(), 100)]);
    // In four seconds there is time for so many ways there and back, and each brought one delta.
    let heard = b.metrics().sayings.heard;
    assert!((5..=8).contains(&heard), "{heard}");
    let Some(EntryChange::Set { value: 100, .. }) = within("a change", changes.next()).await else {
        panic!("a reader that has not looked is shown the newest alone");
    };
}

#[tokio::test]
async fn twenty_nodes_tell_each_other_sixty_times_a_second_and_all_are_up_to_date() {
    const NODES: usize = 20;
    const SECONDS: u64 = 2;
    let cluster = Cluster::builder().nodes(NODES).start().await;
    cluster.settle().await;
    let bytes = |cluster: &Cluster| cluster.nodes().map(|node| node.metrics().links.sent_bytes).sum::<u64>();
    let readings = |cluster: &Cluster| cluster.nodes().map(|node| node.metrics().catalog.readings).sum::<u64>();
    let begin = Instant::now();
    let readers: Vec<_> = cluster
        .nodes()
        .map(|node| {
            let mut changes = node.watch_ephemerals::<u64>("pointer/");
            tokio::spawn(async move {
                let (mut latest, mut count) = (Duration::ZERO, 0_u64);
                while let Some(EntryChange::Set { value, .. }) = changes.next().await {
                    latest = latest.max(begin.elapsed().saturating_sub(Duration::from_millis(value)));
                    count += 1;
                }
                (latest, count)
            })
        })
        .collect();
    let pointers: Vec<_> =
        cluster.nodes().map(|node| node.ephemeral::<u64>(format!("pointer/{}", node.name()))).collect();
    // The types are told first, once.
    pointers.iter().for_each(|pointer| pointer.set(0).unwrap());
    cluster.settle().await;
    let (bytes_before, readings_before) = (bytes(&cluster), readings(&cluster));
    let now = || u64::try_from(begin.elapsed().as_millis()).unwrap();
    let (start, mut last) = (now(), 0);
    for step in 0..RATE * SECONDS {
        last = now();
        pointers.iter().for_each(|pointer| pointer.set(last).unwrap());
        let next = start + (step + 1) * 1000 / RATE;
        cluster.advance(Duration::from_millis(next - last)).await;
    }
    let rate = (bytes(&cluster) - bytes_before) / SECONDS / NODES as u64;
    cluster.advance(Duration::from_millis(100)).await;
    for node in cluster.nodes() {
        let values: Vec<_> = values(node).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [last; NODES], "{}", node.name());
    }
    assert_eq!(readings(&cluster), readings_before, "nobody reads a whole copy for what moves");
    for pointer in pointers {
        drop(pointer);
    }
    let mut worst = Duration::ZERO;
    for reader in readers {
        // It ends with the first that is gone.
        let (latest, count) = within("a reader", reader).await.unwrap();
        worst = worst.max(latest);
        assert!(count >= (RATE - 2) * SECONDS * (NODES as u64 - 1), "{count}");
    }
    eprintln!("{NODES} nodes, {RATE} updates a second each: {rate} bytes a second and node, at most {worst:?} late");
    assert!(worst <= Duration::from_millis(100), "{worst:?}");
}
