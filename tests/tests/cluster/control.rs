//! What a node tells of itself, and whom it lets in no more.

use std::time::Duration;

use guthi::{CallError, JoinError, Level, LogQuery, Logs, Status, testing::Cluster};
use guthi_tests::cluster::status;
use tracing_subscriber::prelude::*;

#[tokio::test]
async fn a_node_that_is_forgotten_is_let_in_by_nobody() {
    let mut cluster = Cluster::builder().nodes(4).start().await;
    let banned = cluster.node(3).id();
    cluster.node(1).forget(banned).await.unwrap();
    let three = |cluster: &Cluster| (0..3).all(|index| cluster.node(index).members().len() == 3);
    cluster.wait_until(three).await;
    // It goes on asking, and so do those who do not know why.
    cluster.advance(Duration::from_secs(30)).await;
    assert!(three(&cluster));
    for index in 0..3 {
        assert_eq!(status(cluster.node(index), banned), Some(Status::Failed), "{index}");
    }
    let reason = cluster.node(1).peers().into_iter().find(|peer| peer.id == banned).and_then(|peer| peer.reason);
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("banned")), "{reason:?}");
    // Whoever comes later learns it from those who are there.
    let late = cluster.add().await;
    cluster.advance(Duration::from_secs(30)).await;
    assert_eq!(cluster.node(late).members().len(), 4);
    assert_ne!(status(cluster.node(late), banned), Some(Status::Alive));
    assert!(!cluster.node(3).members().iter().any(|member| member.id == cluster.node(late).id()));
    // Once it is gone, its row can go as well.
    cluster.node(1).forget(banned).await.unwrap();
    assert_eq!(status(cluster.node(1), banned), None);
    // In another life it is the same node.
    cluster.restart(3).await;
    cluster.advance(Duration::from_secs(10)).await;
    assert_eq!(cluster.node(0).members().len(), 4);
    assert!(!cluster.node(0).members().iter().any(|member| member.id == banned));
}

#[tokio::test]
async fn nobody_forgets_itself() {
    let cluster = Cluster::new(2).await;
    let forgotten = cluster.node(0).forget(cluster.node(0)).await;
    assert!(matches!(forgotten, Err(JoinError::Myself { .. })), "{forgotten:?}");
    assert_eq!(cluster.node(1).members().len(), 2);
}

#[tokio::test]
async fn the_log_of_any_node_can_be_read_from_any_other() {
    let logs = Logs::new(100);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
        tracing::warn!(place = "here", "beware");
    });
    let kept = logs.clone();
    let configure = move |index, node: guthi::Builder| if index == 1 { node.logs(kept.clone()) } else { node };
    let cluster = Cluster::builder().configure(configure).start().await;
    let page = cluster.node(0).log(cluster.node(1), LogQuery::default()).await.unwrap();
    let lines: Vec<_> = page.lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!((lines, page.keeps, page.last), (vec![(Level::Warn, "beware")], true, 1));
    let page = cluster.node(1).log(cluster.node(0), LogQuery::default()).await.unwrap();
    assert_eq!((page.lines.len(), page.keeps), (0, false), "it keeps none, and says so");
}

#[tokio::test]
async fn resources_are_told_to_who_asks_and_services_are_not_in_the_store() {
    let mut cluster = Cluster::new(2).await;
    let there = cluster.node(0).resources(cluster.node(1)).await.unwrap();
    assert_eq!((there.version.as_str(), there.cpu, there.calls), (guthi::VERSION, None, 0));
    assert_eq!(cluster.node(0).peers()[0].version.as_deref(), Some(guthi::VERSION));
    assert!(cluster.node(0).functions().iter().all(|function| !function.name.starts_with("guthi.")));
    cluster.kill(1);
    cluster.settle().await;
    let gone = cluster.node(0).resources(cluster.node(1)).await;
    assert!(matches!(gone, Err(CallError::NotLinked { .. } | CallError::PeerLost { .. })), "{gone:?}");
}
