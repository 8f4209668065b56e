//! What users wish of the membership.

use std::time::Duration;

use guthi_core::protocol::membership::Holdings;

use crate::{Event, JoinError, Node, testing::Cluster};

const HOLDS: Holdings = Holdings { variables: true, home: false, guards: false };

fn members(node: &Node) -> usize {
    node.view().members.len()
}

/// Waits in virtual time for an event of that name, and returns it.
async fn told(events: &mut crate::Events, name: &str) -> Event {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        let event = event.expect("it comes").expect("the node has not left");
        if event.name() == name {
            return event;
        }
    }
}

#[tokio::test]
async fn by_hand_two_of_five_go_on_and_with_a_quorum_nobody_does() {
    let mut cluster = Cluster::new(5).await;
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 5)).await;
    assert_eq!(cluster.node(0).fork().await, Err(JoinError::NotIsolated));
    let before = cluster.node(0).view();
    (2..5).for_each(|index| cluster.kill(index));
    cluster.wait_until(|cluster| [0, 1].iter().all(|index| cluster.node(*index).view().isolated)).await;
    let view = cluster.node(0).fork().await.expect("they go on");
    assert_eq!(view.members.len(), 2);
    assert_ne!(view.lineage, before.lineage);
    cluster.wait_until(|cluster| cluster.node(1).view() == cluster.node(0).view()).await;
    assert!(!cluster.node(0).view().isolated);
}

#[tokio::test]
async fn who_is_alone_with_its_wish_is_told_when_the_others_are_back() {
    let mut cluster = Cluster::new(3).await;
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 3)).await;
    cluster.partition(&[2], &[0, 1]);
    cluster.wait_until(|cluster| cluster.node(2).view().isolated).await;
    // Nobody else answers, so it goes on by itself; it knew what it did.
    let view = cluster.node(2).fork().await.expect("it goes on");
    assert_eq!(view.members.len(), 1);
    cluster.heal();
    // Neither holds anything, so they become one again.
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 3)).await;
}

#[tokio::test]
async fn two_lineages_that_hold_something_refuse_each_other_until_one_dissolves() {
    let mut cluster = Cluster::new(4).await;
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 4)).await;
    assert_eq!(cluster.node(3).dissolve().await, Err(JoinError::NoOtherLineage));
    cluster.partition(&[3], &[0, 1, 2]);
    cluster.wait_until(|cluster| cluster.node(3).view().isolated && members(cluster.node(0)) == 3).await;
    cluster.node(3).fork().await.expect("it goes on");
    for node in cluster.nodes() {
        node.hold(HOLDS).await;
    }
    let mut events = cluster.node(3).events();
    cluster.heal();
    let there = cluster.node(0).view().lineage;
    assert!(
        matches!(told(&mut events, "foreign_lineage").await, Event::ForeignLineage { lineage } if lineage == there)
    );
    cluster.advance(Duration::from_secs(30)).await;
    assert_eq!(members(cluster.node(3)), 1, "nothing is merged silently");
    assert_eq!(cluster.node(3).dissolve().await.map(|rescue| rescue.variables), Ok(0));
    assert!(matches!(told(&mut events, "dissolved").await, Event::Dissolved { rescued: 0 }));
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 4)).await;
    assert_eq!(cluster.node(3).view().lineage, there);
}

#[tokio::test]
async fn peers_say_how_they_are_and_whom_they_hear() {
    let mut cluster = Cluster::new(3).await;
    cluster.wait_until(|cluster| cluster.nodes().all(|node| members(node) == 3)).await;
    let hears = |cluster: &Cluster, peer: usize| {
        let id = cluster.node(peer).id();
        let peer = cluster.node(0).peers().into_iter().find(|peer| peer.id == id).expect("it is known");
        (peer.load.expect("it has answered").calls, peer.hears.unwrap_or_default())
    };
    cluster.advance(Duration::from_secs(1)).await;
    let all: Vec<_> = cluster.nodes().map(Node::id).collect();
    for peer in [1, 2] {
        let (calls, mut heard) = hears(&cluster, peer);
        heard.sort();
        let mut others: Vec<_> = all.iter().copied().filter(|id| *id != all[peer]).collect();
        others.sort();
        assert_eq!((calls, heard), (0, others));
    }
    // The two others do not hear each other any more, and stay members, since a quorum hears each.
    cluster.partition(&[1], &[2]);
    cluster.advance(Duration::from_secs(5)).await;
    assert_eq!(members(cluster.node(0)), 3);
    assert_eq!([1, 2].map(|peer| hears(&cluster, peer).1), [[all[0]]; 2].map(Vec::from));
}
