//! A call whose node is killed.

use guthi::{CallError, Node, NodeId, Outcome};
use guthi_tests::{
    cluster::{Home, eventually_async, members, within},
    functions::{counts, hang},
    process::Worker,
};

use super::WORKER;

#[tokio::test]
async fn nobody_knows_whether_a_call_ran_whose_node_is_killed() {
    let home = Home::new();
    let caller = home.caller().await;
    let worker = Worker::start(WORKER, &home);
    members(&caller, 2).await;
    let call = tokio::spawn(caller.call::<hang>(()).on(worker.id).into_future());
    started(&caller, worker.id, 1).await;
    worker.kill();
    let error = within("the call", call).await.unwrap().unwrap_err();
    let outcome = error.outcome();
    assert!(matches!(error, CallError::PeerLost { node, .. } if node == worker.id), "{error:?}");
    assert_eq!(outcome, Outcome::Unknown);
}

/// Waits until a node in another process has begun so many runs.
async fn started(caller: &Node, node: NodeId, runs: u64) {
    eventually_async("it runs", || async { caller.call::<counts>(()).on(node).await.unwrap().0 >= runs }).await;
}
