//! The same seed is the same course of events.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use guthi::{Node, testing::Cluster};
use guthi_tests::functions::{all, hang_async, palindrome, patient_palindrome, square};
use tokio::time::Instant;

/// What happened, at which node, when.
type Story = Arc<Mutex<Vec<String>>>;

/// Writes down what a node is told.
fn listen(story: &Story, began: Instant, node: &Node) {
    let (story, mut events, name) = (story.clone(), node.events(), node.name().to_owned());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let peer = event.peer().map(|peer| (peer.name.clone(), peer.id, peer.reason.clone(), peer.rtt));
            story.lock().unwrap().push(format!("{:?} {name}: {} {peer:?}", began.elapsed(), event.name()));
        }
    });
}

/// Nodes that come and go, calls and maps, with a seed.
fn play(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let builder = Cluster::builder().nodes(4).seed(seed).functions(all());
        let builder = builder.configure(|_, node| node.state(guthi_tests::functions::Counters::default()).workers(2));
        let mut cluster = builder.start().await;
        let began = Instant::now() - cluster.elapsed();
        let story = Story::default();
        let tell = |text: String| story.lock().unwrap().push(format!("{:?} {text}", began.elapsed()));
        cluster.nodes().for_each(|node| listen(&story, began, node));
        let hanging: Vec<_> = (0..8)
            .map(|_| {
                let call = cluster.node(0).call::<hang_async>(()).deadline(Duration::from_secs(9));
                tokio::spawn(call.into_future())
            })
            .collect();
        // Plain functions as well as `async` ones: which node had which item, and in which order.
        let mut items = Box::pin(cluster.node(0).map::<patient_palindrome>(0..500).stream());
        while let Some(done) = items.next().await {
            let done = done.unwrap();
            tell(format!("{} {} {:?}", done.index, done.node, done.output));
            if done.index == 250 {
                cluster.kill(3);
            }
        }
        let mut items = Box::pin(cluster.node(1).map::<palindrome>(0..2000).stream());
        while let Some(done) = items.next().await {
            let done = done.unwrap();
            tell(format!("{} {}", done.index, done.node));
        }
        cluster.partition(&[0, 1], &[2]);
        cluster.advance(Duration::from_secs(4)).await;
        cluster.heal();
        cluster.restart(3).await;
        listen(&story, began, cluster.node(3));
        cluster.pause(1);
        cluster.advance(Duration::from_secs(4)).await;
        cluster.resume(1);
        let calls = (0..100).map(|n| cluster.node(2).call::<square>(n).into_future());
        for (answer, n) in futures::future::join_all(calls).await.into_iter().zip(0..) {
            tell(format!("{n} {answer:?}"));
        }
        for call in hanging {
            tell(format!("{:?}", call.await.unwrap()));
        }
        cluster.advance(Duration::from_secs(30)).await;
        tell("the end".into());
        story.lock().unwrap().clone()
    })
}

#[test]
fn the_same_seed_is_the_same_course_of_events() {
    for seed in [1, 2, 3] {
        let (first, second) = (play(seed), play(seed));
        let other = first.iter().zip(&second).position(|(first, second)| first != second);
        if let Some(at) = other {
            panic!("seed {seed}, line {at}:\n{:#?}\n{:#?}", &first[at.saturating_sub(3)..=at], &second[at]);
        }
        assert_eq!(first.len(), second.len());
        assert!(first.len() > 2600, "{}", first.len());
    }
}

#[test]
fn another_seed_is_another_one() {
    assert_ne!(play(1), play(2));
}
