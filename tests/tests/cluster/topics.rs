//! Topics: what is published reaches whoever subscribes, in order, at most once; what is lost is told.

use std::time::Duration;

use guthi::{Messages, Node, NodeId, PublishError, Topic, TopicEvent, testing::Cluster};
use guthi_tests::cluster::within;

async fn next(messages: &mut Messages<u64>) -> TopicEvent<u64> {
    within("a message", messages.next()).await.unwrap()
}

fn topic(node: &Node) -> Topic<u64> {
    node.topic("chat")
}

fn message(from: &Node, value: u64) -> TopicEvent<u64> {
    told(from.id(), value)
}

fn told(from: NodeId, value: u64) -> TopicEvent<u64> {
    TopicEvent::Message { from, value }
}

#[tokio::test]
async fn messages_of_one_node_come_in_order_to_all_who_subscribe() {
    let mut cluster = Cluster::new(4).await;
    assert_eq!(topic(cluster.node(0)).publish(&0), Ok(0), "nobody subscribes");
    let mut readers: Vec<_> = (0..3).map(|index| topic(cluster.node(index)).subscribe().unwrap()).collect();
    let mut twin = topic(cluster.node(1)).subscribe().unwrap();
    cluster.settle().await;
    for value in 1..=50 {
        assert_eq!(topic(cluster.node(0)).publish(&value), Ok(3), "this node subscribes as well");
        assert_eq!(topic(cluster.node(3)).publish(&value), Ok(3));
    }
    for messages in readers.iter_mut().chain([&mut twin]) {
        let mut expected = [1, 1];
        for _ in 0..100 {
            let TopicEvent::Message { from, value } = next(messages).await else { panic!("nothing is lost") };
            let from = usize::from(from == cluster.node(3).id());
            assert_eq!(value, expected[from]);
            expected[from] += 1;
        }
    }
    let sent = cluster.node(3).metrics().sayings;
    assert_eq!((sent.sent, sent.dropped, cluster.node(1).metrics().sayings.received), (150, 0, 100));

    drop(twin);
    drop(readers.pop());
    cluster.settle().await;
    assert_eq!(topic(cluster.node(3)).publish(&51), Ok(2));
    cluster.kill(1);
    cluster.wait_until(|cluster| topic(cluster.node(3)).publish(&52) == Ok(1)).await;
    within("leaving", cluster.node(0).clone().leave()).await.unwrap();
    let mut last = readers.remove(0);
    while within("the end", last.next()).await.is_some() {}
    assert_eq!(topic(cluster.node(0)).publish(&53), Err(PublishError::Left));
    assert!(matches!(topic(cluster.node(0)).subscribe(), Err(PublishError::Left)));
}

#[tokio::test]
async fn a_slow_subscriber_is_told_how_many_it_has_missed() {
    let cluster = Cluster::new(2).await;
    let mut messages = topic(cluster.node(1)).subscribe().unwrap();
    cluster.settle().await;
    for value in 0..2000 {
        topic(cluster.node(0)).publish(&value).unwrap();
    }
    cluster.settle().await;
    assert_eq!(next(&mut messages).await, TopicEvent::Missed(976));
    for value in 976..2000 {
        assert_eq!(next(&mut messages).await, message(cluster.node(0), value));
    }
    assert_eq!(cluster.node(1).metrics().sayings.missed, 976);
}

#[tokio::test]
async fn what_a_link_cannot_carry_is_dropped_and_told_at_the_other_end() {
    let mut cluster = Cluster::new(2).await;
    let (from, to) = (cluster.node(0).topic::<(u64, Vec<u8>)>("t"), cluster.node(1).topic::<(u64, Vec<u8>)>("t"));
    let mut messages = to.subscribe().unwrap();
    cluster.settle().await;
    cluster.cut(0, 1);
    for value in 0..60 {
        assert_eq!(from.publish(&(value, vec![0; 60_000])), Ok(1));
        cluster.advance(Duration::from_millis(5)).await;
    }
    // Nothing else waits behind it.
    let role = "first".to_owned();
    cluster.node(0).publish("role", role.clone()).unwrap();
    cluster.heal();
    let (mut missed, mut came) = (0, Vec::new());
    while came.last() != Some(&59) {
        match within("a message", messages.next()).await.unwrap() {
            TopicEvent::Message { value: (value, _), .. } => came.push(value),
            TopicEvent::Missed(count) => {
                missed += count;
                assert_eq!(cluster.node(1).published::<String>("role"), [(cluster.node(0).id(), role.clone())]);
            }
            told => panic!("{told:?}"),
        }
    }
    assert!(came.is_sorted() && missed > 0 && came.len() as u64 + missed == 60, "{came:?}, {missed} missed");
    assert_eq!(cluster.node(0).metrics().sayings.dropped, missed);
}

#[tokio::test]
async fn who_subscribes_again_misses_nothing_that_it_did_not_want() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    for round in 0..20 {
        let mut messages = topic(b).subscribe().unwrap();
        if round % 2 == 0 {
            cluster.settle().await;
        }
        for value in 0..10 {
            topic(a).publish(&value).unwrap();
        }
        if round % 2 == 0 {
            for value in 0..10 {
                assert_eq!(next(&mut messages).await, message(a, value));
            }
            // These are on their way when nobody wants them any more.
            topic(a).publish(&10).unwrap();
        }
    }
}

#[tokio::test]
async fn a_later_life_of_a_node_counts_its_messages_anew() {
    let mut cluster = Cluster::new(3).await;
    let from = cluster.node(0).id();
    let mut messages = topic(cluster.node(1)).subscribe().unwrap();
    cluster.settle().await;
    topic(cluster.node(0)).publish(&0).unwrap();
    assert_eq!(next(&mut messages).await, told(from, 0));
    cluster.kill(0);
    cluster.restart(0).await;
    cluster.settle().await;
    topic(cluster.node(0)).publish(&1).unwrap();
    assert_eq!(next(&mut messages).await, told(from, 1));
}

#[tokio::test]
async fn messages_of_another_type_are_passed_over_and_bounds_are_told() {
    let cluster = Cluster::new(2).await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let mut messages = topic(b).subscribe().unwrap();
    cluster.settle().await;
    assert_eq!(a.topic::<String>("chat").publish(&"text".to_owned()), Ok(1));
    topic(a).publish(&7).unwrap();
    assert_eq!(next(&mut messages).await, message(a, 7));
    assert_eq!(b.metrics().sayings.unread, 1);
    let large = a.topic::<Vec<u8>>("chat").publish(&vec![0; 65_536]).unwrap_err();
    assert!(matches!(large, PublishError::TooLarge { .. }), "{large}");
    assert!(matches!(a.topic::<u8>("").publish(&1), Err(PublishError::BadName { .. })));
    assert!(matches!(a.topic::<u8>("").subscribe(), Err(PublishError::BadName { .. })));
}
