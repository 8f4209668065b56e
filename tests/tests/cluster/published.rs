//! What nodes publish under names of their own: all others see it, as long as the node is there.

use std::time::Duration;

use guthi::{Context, EntryChange, Failure, NodeId, Outcome, PublishError, testing::Cluster};
use guthi_tests::cluster::within;

#[tokio::test]
async fn what_a_node_publishes_all_see_until_it_takes_it_back() {
    let mut cluster = Cluster::new(3).await;
    let ids: Vec<_> = cluster.nodes().map(|node| node.id()).collect();
    cluster.node(0).publish("role", "renderer".to_owned()).unwrap();
    cluster.node(1).publish("role", "store".to_owned()).unwrap();
    cluster.node(1).publish("other", 7_u8).unwrap();
    assert_eq!(
        cluster.node(1).published::<String>("role"),
        [(ids[1], "store".to_owned())],
        "one's own is there at once"
    );
    cluster.settle().await;
    let mut all = vec![(ids[0], "renderer".to_owned()), (ids[1], "store".to_owned())];
    all.sort();
    for node in cluster.nodes() {
        assert_eq!(node.published::<String>("role"), all);
        assert_eq!(node.published::<u8>("other"), [(ids[1], 7)]);
    }
    cluster.node(1).unpublish("role").unwrap();
    cluster.node(2).unpublish("role").unwrap();
    cluster.node(0).publish("role", "nothing".to_owned()).unwrap();
    let latecomer = cluster.add().await;
    for index in [0, 1, 2, latecomer] {
        assert_eq!(cluster.node(index).published::<String>("role"), [(ids[0], "nothing".to_owned())]);
    }
}

#[tokio::test]
async fn who_is_killed_or_leaves_says_nothing_any_more_and_nothing_of_an_earlier_life() {
    let mut cluster = Cluster::new(4).await;
    let ids: Vec<_> = cluster.nodes().map(|node| node.id()).collect();
    for index in 0..3 {
        cluster.node(index).publish("a/life", 1_u32).unwrap();
    }
    cluster.settle().await;
    let mut changes = cluster.node(3).watch_published::<u32>("a/");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(within("a change", changes.next()).await.unwrap());
    }
    let name = || "a/life".to_owned();
    let mut expected = [0, 1, 2].map(|index| EntryChange::Set { node: ids[index], name: name(), value: 1 });
    expected.sort_by_key(node_of);
    assert_eq!(seen, expected);

    cluster.kill(0);
    assert_eq!(within("a change", changes.next()).await, Some(EntryChange::Gone { node: ids[0], name: name() }));
    within("leaving", cluster.node(1).clone().leave()).await.unwrap();
    assert_eq!(within("a change", changes.next()).await, Some(EntryChange::Gone { node: ids[1], name: name() }));
    assert_eq!(cluster.node(3).published::<u32>("a/life"), [(ids[2], 1)]);
    assert_eq!(cluster.node(1).publish("a/life", 2_u32), Err(PublishError::Left));

    cluster.restart(0).await;
    cluster.settle().await;
    assert_eq!(cluster.node(3).published::<u32>("a/life"), [(ids[2], 1)], "a new life has said nothing yet");
    cluster.node(0).publish("a/life", 2_u32).unwrap();
    let change = within("a change", changes.next()).await;
    assert_eq!(change, Some(EntryChange::Set { node: ids[0], name: name(), value: 2 }));
}

fn node_of<T>(change: &EntryChange<T>) -> NodeId {
    match change {
        EntryChange::Set { node, .. } | EntryChange::Gone { node, .. } => *node,
        _ => unreachable!("there is nothing else"),
    }
}

#[tokio::test]
async fn who_was_stopped_and_excluded_says_again_what_it_said() {
    let mut cluster = Cluster::new(3).await;
    let id = cluster.node(0).id();
    cluster.node(0).publish("a", 5_u64).unwrap();
    cluster.settle().await;
    cluster.pause(0);
    cluster.wait_until(|cluster| cluster.node(1).published::<u64>("a").is_empty()).await;
    cluster.wait_until(|cluster| cluster.node(1).members().len() == 2).await;
    cluster.resume(0);
    cluster.wait_until(|cluster| cluster.node(1).published::<u64>("a") == [(id, 5)]).await;
    cluster.node(0).publish("a", 6_u64).unwrap();
    cluster.wait_until(|cluster| cluster.node(1).published::<u64>("a") == [(id, 6)]).await;
}

#[tokio::test]
async fn values_of_another_type_are_passed_over_and_counted() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    a.publish("v", 1_u32).unwrap();
    cluster.settle().await;
    let unread = || b.metrics().sayings.unread;
    assert_eq!((b.published::<u64>("v"), unread()), (vec![], 1));
    let mut changes = b.watch_published::<u64>("");
    a.publish("w", 2_u64).unwrap();
    let set = EntryChange::Set { node: a.id(), name: "w".into(), value: 2_u64 };
    assert_eq!(within("a change", changes.next()).await, Some(set));
    assert_eq!(unread(), 2);
    // What was of this type and is of another one is gone for this reader.
    a.publish("w", "text".to_owned()).unwrap();
    let gone = EntryChange::Gone { node: a.id(), name: "w".into() };
    assert_eq!(within("a change", changes.next()).await, Some(gone));
}

#[tokio::test]
async fn bounds_are_told_and_leave_room_for_functions() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let refused = a.publish("large", vec![0_u8; 65_536]).unwrap_err();
    assert!(matches!(refused, PublishError::TooLarge { .. }), "{refused}");
    assert_eq!(refused.outcome(), Outcome::NotApplied);
    assert!(matches!(a.publish("a\nb", 1), Err(PublishError::BadName { .. })));
    let longest = "x".repeat(255);
    a.publish(longest.clone(), 1_u8).unwrap();
    let mut fit = 0;
    let full = loop {
        match a.publish(format!("v{fit}"), vec![1_u8; 60_000]) {
            Ok(()) => fit += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(full, PublishError::Full { .. }), "{full}");
    assert_eq!(fit, 17);
    for number in 0..100 {
        let answer = |_: Context, (): ()| async { Ok::<_, Failure>(1_u8) };
        within("a registration", a.register(format!("said.{number}"), answer)).await.unwrap();
    }
    cluster.settle().await;
    assert_eq!(b.published::<u8>(&longest), [(a.id(), 1)]);
    assert_eq!(b.published::<Vec<u8>>("v16").len(), 1);
    assert_eq!(b.functions().iter().filter(|function| function.name.starts_with("said.")).count(), 100);
    a.unpublish("v3").unwrap();
    a.publish("again", vec![1_u8; 60_000]).unwrap();
    cluster.advance(Duration::from_millis(50)).await;
    assert_eq!((b.published::<Vec<u8>>("v3").len(), b.published::<Vec<u8>>("again").len()), (0, 1));
}
