//! The kit: what is done to nodes, and what the others see of it.

use std::time::Duration;

use guthi::{
    CallError, ClusterKey, Node, Status,
    testing::{Cluster, ClusterBuilder},
};
use guthi_tests::{
    cluster::{event, status, within},
    functions::{Counters, hang, same, square},
};

/// How long a detector that was told nothing waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Nodes whose functions count what they do.
fn counting() -> ClusterBuilder {
    Cluster::builder().configure(|_, node| node.state(Counters::default()))
}

fn views(cluster: &Cluster) -> Vec<usize> {
    cluster.nodes().map(|node| node.members().len()).collect()
}

#[tokio::test]
async fn nodes_are_linked_with_each_other_and_named_in_turn() {
    let cluster = Cluster::new(4).await;
    assert_eq!(views(&cluster), [4; 4]);
    assert!(cluster.nodes().map(|node| node.name()).eq(["a", "b", "c", "d"]));
    for (index, node) in cluster.nodes().enumerate() {
        assert_eq!(cluster.index_of(node), Some(index));
        assert_eq!(cluster.node(0).call::<square>(7).on(node).await, Ok(49));
    }
    assert_eq!((cluster.len(), cluster.is_empty()), (4, false));
}

#[tokio::test]
async fn a_node_that_is_killed_is_known_to_be_lost_at_once_and_fails_once() {
    let mut cluster = counting().start().await;
    let lost = cluster.node(1).id();
    let call = tokio::spawn(cluster.node(0).call::<hang>(()).on(lost).into_future());
    cluster.settle().await;
    let mut events = [cluster.node(0).events(), cluster.node(2).events()];
    let killed = cluster.elapsed();
    cluster.kill(1);
    cluster.kill(1);
    let ended = within("the call", call).await.unwrap();
    assert!(matches!(ended, Err(CallError::PeerLost { .. })), "{ended:?}");
    assert!(cluster.elapsed() - killed < Duration::from_millis(10), "its links break");
    for events in &mut events {
        let (peer, before) = event(events, "failed", lost).await;
        assert_eq!(before, [("suspected", lost)]);
        assert!(peer.reason.is_some_and(|reason| reason.contains("link broke")));
    }
    assert_eq!((cluster.node(0).members().len(), cluster.node(2).members().len()), (2, 2));
    // What is left of it can do nothing.
    let late = cluster.node(1).call::<square>(2).on(cluster.node(0)).await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_view_is_active_once_whom_it_excludes_can_act_no_more() {
    let mut cluster = Cluster::new(3).await;
    cluster.advance(Duration::from_secs(5)).await;
    let before = cluster.node(0).view();
    assert!(before.active);
    cluster.kill(2);
    let killed = cluster.elapsed();
    let next = within("the next view", cluster.node(0).view_after(&before)).await.unwrap();
    assert_eq!((next.members.len(), next.active), (2, false), "it may be alive, and believe itself a member");
    let last = within("the end of its leases", cluster.node(0).view_after(&next)).await.unwrap();
    assert_eq!((last.epoch, last.members.len(), last.active), (next.epoch, 2, true));
    // The last promise was made an echo interval ago at most, and holds for a second.
    assert!(cluster.elapsed() - killed > Duration::from_millis(750), "{:?}", cluster.elapsed() - killed);
}

#[tokio::test]
async fn a_node_comes_back_in_a_later_life() {
    let mut cluster = Cluster::new(3).await;
    for life in 2..5 {
        let lost = cluster.node(2).members().pop().expect("it is a member itself");
        cluster.kill(2);
        cluster.wait_until(|cluster| views(cluster)[..2] == [2, 2]).await;
        cluster.restart(2).await;
        assert_eq!(views(&cluster), [3; 3]);
        let members = cluster.node(2).members();
        let again = members.last().expect("it is a member itself");
        assert_eq!(again.id, lost.id, "the newest is the last");
        assert!(again.incarnation > lost.incarnation);
        assert_eq!(cluster.node(0).call::<square>(life).on(lost.id).await, Ok(life * life));
    }
    // Nor does it have to be killed first.
    cluster.restart(0).await;
    cluster.wait_until(|cluster| views(cluster) == [3; 3]).await;
}

#[tokio::test]
async fn a_node_that_stands_still_is_silent_and_comes_back_with_all_that_was_held() {
    let mut cluster = Cluster::new(3).await;
    let b = cluster.node(1).id();
    // For a moment: nobody notices, and nothing is lost.
    let mut events = cluster.node(0).events();
    cluster.pause(1);
    let call = tokio::spawn(cluster.node(0).call::<square>(9).on(b).into_future());
    cluster.advance(Duration::from_secs(1)).await;
    assert!(!call.is_finished());
    cluster.resume(1);
    assert_eq!(within("the call", call).await.unwrap(), Ok(81));
    // For longer.
    cluster.pause(1);
    let paused = cluster.elapsed();
    cluster.wait_until(|cluster| status(cluster.node(0), b) == Some(Status::Failed)).await;
    let silence = cluster.elapsed() - paused;
    assert!(silence >= TIMEOUT - Duration::from_millis(250) && silence < 2 * TIMEOUT, "{silence:?}");
    let (peer, _) = event(&mut events, "failed", b).await;
    assert!(peer.reason.is_some_and(|reason| reason.contains("no answer")));
    cluster.resume(1);
    cluster.wait_until(|cluster| views(cluster) == [3; 3]).await;
}

#[tokio::test]
async fn a_node_that_stands_still_can_be_killed_and_started_again() {
    let mut cluster = Cluster::new(2).await;
    cluster.pause(1);
    cluster.kill(1);
    cluster.wait_until(|cluster| views(cluster)[0] == 1).await;
    cluster.pause(1);
    cluster.resume(1);
    cluster.restart(1).await;
    assert_eq!(views(&cluster), [2, 2]);
}

#[tokio::test]
async fn a_partition_separates_and_heals() {
    let mut cluster = Cluster::new(4).await;
    cluster.partition(&[0], &[1, 2, 3]);
    let call = tokio::spawn(cluster.node(0).call::<same>(1).on(cluster.node(1)).into_future());
    cluster.advance(Duration::from_secs(1)).await;
    assert!(!call.is_finished(), "it is held, not lost");
    assert_eq!(views(&cluster), [4; 4], "nobody knows of it yet");
    cluster.advance(2 * TIMEOUT).await;
    assert_eq!(views(&cluster), [4, 3, 3, 3], "who is alone decides nothing");
    assert!(cluster.node(0).view().isolated && !cluster.node(1).view().isolated);
    assert!(within("the call", call).await.unwrap().is_err());
    cluster.heal();
    cluster.wait_until(|cluster| views(cluster) == [4; 4]).await;
    assert_eq!(cluster.node(0).call::<same>(2).on(cluster.node(1)).await, Ok(2));
}

#[tokio::test]
async fn a_short_partition_is_noticed_by_nobody() {
    let mut cluster = Cluster::new(3).await;
    let mut events = cluster.node(0).events();
    cluster.partition(&[0], &[1, 2]);
    let call = tokio::spawn(cluster.node(0).call::<same>(1).on(cluster.node(1)).into_future());
    cluster.advance(Duration::from_secs(1)).await;
    cluster.heal();
    assert_eq!(within("the call", call).await.unwrap(), Ok(1));
    cluster.advance(Duration::from_secs(60)).await;
    assert_eq!(views(&cluster), [3; 3]);
    cluster.kill(2);
    let (_, before) = event(&mut events, "failed", cluster.node(2).id()).await;
    assert!(before.iter().all(|(name, _)| ["suspected", "trusted"].contains(name)), "{before:?}");
}

#[tokio::test]
async fn a_way_can_be_cut_in_one_direction() {
    let mut cluster = Cluster::new(2).await;
    cluster.cut(0, 1);
    cluster.advance(3 * TIMEOUT).await;
    assert_eq!(views(&cluster), [1, 2], "neither gets an answer, and of two the older one goes on");
    cluster.heal();
    cluster.wait_until(|cluster| views(cluster) == [2, 2]).await;
}

#[tokio::test]
async fn a_quiet_time_is_quiet() {
    let mut cluster = Cluster::new(3).await;
    cluster.settle().await;
    let mut events = cluster.node(0).events();
    cluster.advance(Duration::from_secs(600)).await;
    cluster.kill(1);
    let (_, before) = event(&mut events, "suspected", cluster.node(1).id()).await;
    assert_eq!(before, []);
}

#[tokio::test]
async fn a_node_that_has_left_is_waited_for_by_nobody_and_can_be_started_again() {
    let mut cluster = Cluster::new(3).await;
    cluster.node(1).clone().leave().await.unwrap();
    cluster.settle().await;
    assert_eq!(status(cluster.node(0), cluster.node(1).id()), Some(Status::Left));
    let before = cluster.elapsed();
    let fourth = cluster.add().await;
    assert!(cluster.elapsed() - before < Duration::from_secs(1), "{:?}", cluster.elapsed() - before);
    assert_eq!(cluster.node(fourth).members().len(), 3);
    cluster.restart(1).await;
    cluster.wait_until(|cluster| views(cluster) == [4; 4]).await;
}

#[tokio::test]
async fn a_clock_that_is_paused_already_is_no_obstacle() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_micros(700)).await;
    let cluster = Cluster::new(2).await;
    assert_eq!(views(&cluster), [2, 2]);
}

#[tokio::test]
async fn plain_functions_take_no_time_unless_they_wait() {
    let cluster = counting().nodes(2).delay(Duration::ZERO..=Duration::ZERO).start().await;
    let before = cluster.elapsed();
    for n in 0..10 {
        assert_eq!(cluster.node(0).call::<square>(n).on(cluster.node(1)).await, Ok(n * n));
    }
    assert_eq!(cluster.elapsed(), before);
    // One that waits until it is no longer wanted lets the clock come to its deadline, and not far beyond.
    let call = cluster.node(0).call::<hang>(()).on(cluster.node(1)).deadline(Duration::from_millis(50));
    let ended = call.await;
    assert!(matches!(ended, Err(CallError::Deadline { started: true, .. })), "{ended:?}");
    let waited = cluster.elapsed() - before;
    assert!(waited >= Duration::from_millis(50) && waited < Duration::from_millis(100), "{waited:?}");
    cluster.settle().await;
}

#[tokio::test]
async fn an_application_may_bring_a_builder_of_its_own() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("run");
    let directory = path.clone();
    let own = move |_, _| {
        let node = Node::local().runtime_dir(&directory).listen("0.0.0.0:1").join("192.0.2.1:1").name("own");
        node.cluster("mine").key(ClusterKey::generate().unwrap())
    };
    let apart = Cluster::builder().nodes(2).patience(Duration::from_secs(5)).configure(own).start().await;
    assert_eq!(views(&apart), [1, 1], "each has a key of its own");
    assert!(!path.exists(), "it leaves no trace outside");
    let together = Cluster::builder().nodes(2).configure(|_, _| Node::local().name("own")).start().await;
    assert_eq!((views(&together), together.node(1).name()), (vec![2, 2], "own"));
}

#[tokio::test]
async fn two_clusters_in_one_process_know_nothing_of_each_other() {
    let mut one = Cluster::builder().nodes(2).seed(1).start().await;
    let other = Cluster::builder().nodes(2).seed(2).start().await;
    one.advance(Duration::from_secs(5)).await;
    assert_eq!((views(&one), views(&other)), (vec![2, 2], vec![2, 2]));
    assert!(one.nodes().all(|node| other.index_of(node).is_none()), "other seeds are other identities");
    // The same seed: the same identities, in another world.
    let twin = Cluster::builder().nodes(2).seed(1).start().await;
    assert_eq!(twin.node(0).id(), one.node(0).id());
    one.kill(1);
    one.advance(Duration::from_secs(5)).await;
    assert_eq!((views(&one)[0], views(&twin)), (1, vec![2, 2]));
}

/// Only what needs agreement stops without a quorum.
#[tokio::test]
async fn calls_and_maps_go_on_between_those_who_are_isolated() {
    let mut cluster = Cluster::new(5).await;
    cluster.partition(&[3, 4], &[0, 1, 2]);
    cluster.wait_until(|cluster| [3, 4].iter().all(|index| cluster.node(*index).view().isolated)).await;
    let (here, there) = (cluster.node(3), cluster.node(4));
    assert_eq!(here.members().len(), 5, "nobody may decide who is gone");
    assert_eq!(here.call::<square>(7).on(there).await, Ok(49));
    let squares: Vec<_> = (0..200).map(|n| n * n).collect();
    assert_eq!(within("a map", here.map::<square>(0..200)).await, Ok(squares));
    cluster.heal();
    cluster.wait_until(|cluster| cluster.nodes().all(|node| node.members().len() == 5 && !node.view().isolated)).await;
    assert_eq!(cluster.node(0).call::<square>(8).on(cluster.node(4)).await, Ok(64));
}
