//! What a node is told of the others: that they come and go, their names, their functions.

use guthi::{Functions, JoinError, Node, Status};
use guthi_tests::{
    cluster::{event, eventually, eventually_async, members, status, within},
    functions::square,
};

use super::Home;

fn who_has(node: &Node, function: &str) -> Vec<guthi::NodeId> {
    node.functions().into_iter().find(|info| info.name == function).map(|info| info.nodes).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_is_told_as_left_and_not_as_failed() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let mut events = a.events();
    let b = home.start(|node| node.functions(Functions::none().with::<square>())).await;
    let id = b.id();
    event(&mut events, "joined", id).await;
    b.leave().await.unwrap();
    let (_, before) = event(&mut events, "left", id).await;
    assert_eq!(before, []);
    assert!(who_has(&a, "square").is_empty());
    let c = home.caller().await;
    let (_, before) = event(&mut events, "joined", c.id()).await;
    assert_eq!(before, [], "nothing more is told of the node that left");
    assert_eq!((status(&a, id), a.members().len()), (Some(Status::Left), 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_lets_a_node_leave_again_waits_for_the_same_goodbye() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let mut events = a.events();
    let b = home.caller().await;
    let id = b.id();
    event(&mut events, "joined", id).await;
    // One has begun, and was dropped half-way; one goes on while another begins.
    let mut dropped = Box::pin(b.clone().leave());
    assert!(futures::poll!(dropped.as_mut()).is_pending());
    drop(dropped);
    let mut first = Box::pin(b.clone().leave());
    assert!(futures::poll!(first.as_mut()).is_pending());
    b.clone().leave().await.unwrap();
    assert_eq!(within("the end", b.wait_for(1)).await, Err(JoinError::Left), "it returns when the node has left");
    within("the end", first).await.unwrap();
    let (_, before) = event(&mut events, "left", id).await;
    assert_eq!(before, []);
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_told_what_events_tell() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tell_as = |word: &'static str| {
        let tell = tell.clone();
        move |peer: guthi::Peer| {
            let tell = tell.clone();
            async move { tell.send((word, peer.id)).unwrap() }
        }
    };
    let subscriptions =
        [a.on_join(tell_as("joined")), a.on_failure(tell_as("failed")), a.on_recovery(tell_as("recovered"))];
    let cancelled = a.on_join(tell_as("never"));
    cancelled.cancel();
    let id = home.caller().await.id();
    assert_eq!(within("joined", told.recv()).await, Some(("joined", id)));
    home.kill(id);
    assert_eq!(within("failed", told.recv()).await, Some(("failed", id)));
    home.cluster.restart(home.index_of(id)).await;
    assert_eq!(within("recovered", told.recv()).await, Some(("recovered", id)));
    // They end with the node.
    a.leave().await.unwrap();
    for subscription in subscriptions {
        within("its end", subscription).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_and_waiting_end_when_the_node_leaves() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let mut events = a.events();
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.wait_for(2).await }
    });
    let view = a.view();
    a.clone().leave().await.unwrap();
    assert!(within("the end", events.next()).await.is_none());
    assert_eq!(within("the end", waiting).await.unwrap(), Err(JoinError::Left));
    assert_eq!(within("the end", a.view_after(&view)).await, Err(JoinError::Left));
    assert!(within("the end", a.events().next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_and_labels_are_told_to_the_others() {
    let mut home = Home::new().await;
    let a = home.caller().await;
    let b = home.start(|node| node.name("Bärbel").label("zone", "attic")).await;
    members(&a, 2).await;
    let peer = a.peers().into_iter().find(|peer| peer.id == b.id()).unwrap();
    assert_eq!((peer.name.as_str(), peer.labels["zone"].as_str()), ("Bärbel", "attic"));
    eventually("a round trip is measured", || a.peers()[0].rtt.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_registered_later_is_known_to_all() {
    let mut home = Home::new().await;
    let (a, b) = (home.caller().await, home.caller().await);
    members(&a, 2).await;
    a.register("twice", |_, n: u64| async move { Ok::<_, String>(n * 2) }).await.unwrap();
    eventually("it is announced", || who_has(&b, "twice") == [a.id()]).await;
    assert_eq!(b.call_named("twice", 21.into()).await, Ok(42.into()));
    let c = home.caller().await;
    eventually("it is told to who comes later", || who_has(&c, "twice") == [a.id()]).await;
    // What others register is called by its own types.
    b.register("twice", |_, n: u64| async move { Ok::<_, String>(n * 2) }).await.unwrap();
    eventually_async("both have it", || async { who_has(&c, "twice").len() == 2 }).await;
}
