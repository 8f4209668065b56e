//! A node within a command: for what does not go through a local node.

use std::{path::Path as FilePath, time::Duration};

use guthi::{CallError, JoinError, Node, NodeId, Outcome, Ticket};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{arguments::Path, failure::Failure, functions, options, progress::Progress, target};

/// A call as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) arguments: Value,
    pub(crate) on: String,
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
}

/// Makes the call, and answers as the HTTP interface does.
pub(crate) fn call(order: &Order, path: &Path, progress: &Progress) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let node = start(path.to.as_deref(), &path.cluster, path.key_file.as_deref()).await?;
        let answer = tokio::select! {
            answer = carry_out(&node, order, path, progress) => answer,
            _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted", "it was interrupted").outcome("unknown")),
        };
        let _ = node.leave().await;
        answer
    })
}

/// A node that has joined the others of this machine: alone, it would have each mutex for itself.
pub(crate) async fn member(cluster: &str, key_file: Option<&FilePath>, patience: Duration) -> Result<Node, Failure> {
    let others: Vec<_> = target::local_nodes()?.into_iter().filter(|node| node.cluster == cluster).collect();
    let alone = |what: &str| {
        let failure =
            Failure::new("no_local_node", format!("{what} the cluster {cluster:?} here, and alone it is no use"));
        failure.next("start a node with `guthi node start`, or say which cluster with --cluster")
    };
    if others.is_empty() {
        return Err(alone("there is no node of"));
    }
    let node = start(None, cluster, key_file).await?;
    let joined = async {
        let mut view = node.view();
        while !view.members.iter().any(|member| others.iter().any(|other| other.id == member.id)) {
            view = node.view_after(&view).await?;
        }
        Ok::<_, JoinError>(())
    };
    match timeout(patience, joined).await {
        Ok(Ok(())) => Ok(node),
        Ok(Err(_)) | Err(_) => {
            let _ = node.leave().await;
            Err(alone("it could not join"))
        }
    }
}

/// With `--to` it knows nobody but whom it calls; otherwise it is a node of this machine like all others.
async fn start(to: Option<&str>, cluster: &str, key_file: Option<&FilePath>) -> Result<Node, Failure> {
    let ticket = to.and_then(|address| address.parse::<Ticket>().ok());
    let cluster = ticket.as_ref().map_or(cluster, Ticket::cluster);
    let told = || ticket.as_ref().and_then(Ticket::key);
    let mut key = options::key(key_file)?.or_else(told);
    let builder = match to {
        Some(_) => {
            key = key.or_else(options::shared_key);
            Node::builder().fetch_peers(false)
        }
        None => Node::local(),
    };
    let builder = key.into_iter().fold(builder.cluster(cluster), guthi::Builder::key);
    let name = format!("guthi-{}", std::process::id());
    functions::equip(builder.name(name)).start().await.map_err(options::not_started)
}

async fn carry_out(node: &Node, order: &Order, path: &Path, progress: &Progress) -> Result<Value, Failure> {
    if let Some(address) = &path.to {
        let peer = node.connect(address.as_str()).await.map_err(not_joined)?;
        return one(node, order, Some(peer.id), progress).await;
    }
    match order.on.as_str() {
        _ if path.local => one(node, order, Some(node.id()), progress).await,
        "any" => one(node, order, None, progress).await,
        "all" => Ok(all(node, order).await),
        name => one(node, order, Some(named(node, name)?), progress).await,
    }
}

async fn one(node: &Node, order: &Order, on: Option<NodeId>, progress: &Progress) -> Result<Value, Failure> {
    let begin = tokio::time::Instant::now();
    let call = node.call_named(&order.name, order.arguments.clone()).deadline(order.deadline).attempts(order.attempts);
    let progress = progress.clone();
    let call = on.into_iter().fold(call, guthi::NamedCall::on).on_progress(move |share| progress.show(share.into()));
    let (ran, result) = call.with_node().await.map_err(not_called)?;
    Ok(json!({"result": result, "node": ran.to_string(), "name": name(node, ran), "elapsed_ms": elapsed(begin)}))
}

async fn all(node: &Node, order: &Order) -> Value {
    let functions = node.functions();
    let has = functions.into_iter().find(|function| function.name == order.name);
    let calls = has.map(|function| function.nodes).unwrap_or_default().into_iter().map(|id| async move {
        let begin = tokio::time::Instant::now();
        let call = node.call_named(&order.name, order.arguments.clone()).on(id).deadline(order.deadline);
        let done = call.attempts(order.attempts).await;
        let mut row = json!({"node": id.to_string(), "name": name(node, id), "elapsed_ms": elapsed(begin)});
        match done {
            Ok(result) => row["ok"] = result,
            Err(error) => row["error"] = not_called(error).to_json()["error"].take(),
        }
        row
    });
    json!({"items": futures::future::join_all(calls).await, "next": null, "as_seen_by": node.id().to_string()})
}

fn elapsed(begin: tokio::time::Instant) -> f64 {
    (begin.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// What a node is called.
pub(crate) fn name(node: &Node, id: NodeId) -> String {
    if id == node.id() {
        return node.name().to_owned();
    }
    node.peers().into_iter().find(|peer| peer.id == id).map_or_else(|| id.short(), |peer| peer.name)
}

fn named(node: &Node, wanted: &str) -> Result<NodeId, Failure> {
    let peers = node.peers();
    let is_wanted =
        |peer: &&guthi::Peer| peer.name == wanted || peer.id.to_string() == wanted || peer.id.short() == wanted;
    match peers.iter().filter(is_wanted).collect::<Vec<_>>().as_slice() {
        [peer] => Ok(peer.id),
        [] => Err(Failure::new("not_found", format!("no node is called {wanted:?}"))),
        _ => Err(Failure::new("ambiguous", format!("several nodes are called {wanted:?}"))),
    }
}

fn not_joined(error: JoinError) -> Failure {
    let code = match &error {
        JoinError::BadAddress { .. } => "bad_address",
        JoinError::Unreachable { .. } => "unreachable",
        JoinError::WrongKey { .. } => "wrong_key",
        JoinError::WrongCluster { .. } => "wrong_cluster",
        JoinError::WrongVersion { .. } => "wrong_version",
        JoinError::Refused { .. } => "refused",
        _ => "failure",
    };
    advised(Failure::new(code, error.to_string()), error.next_step())
}

fn not_called(error: CallError) -> Failure {
    let code = match &error {
        CallError::NoSuchFunction { .. } => "no_such_function",
        CallError::NoNodeHasIt { .. } => "no_node_has_it",
        CallError::NotLinked { .. } => "not_linked",
        CallError::SignatureMismatch { .. } => "signature_mismatch",
        CallError::InvalidArguments { .. } => "invalid_arguments",
        CallError::PeerLost { .. } => "peer_lost",
        CallError::Deadline { .. } => "deadline",
        CallError::Cancelled { .. } => "cancelled",
        CallError::Overloaded { .. } => "overloaded",
        CallError::TooLarge { .. } => "too_large",
        CallError::Failed { .. } => "failed",
        CallError::Panicked { .. } => "panicked",
        _ => "failure",
    };
    let outcome = match error.outcome() {
        Outcome::NotApplied => "not_applied",
        Outcome::Applied => "applied",
        Outcome::Unknown => "unknown",
    };
    advised(Failure::new(code, error.to_string()).outcome(outcome), error.next_step())
}

fn advised(failure: Failure, next: Option<&str>) -> Failure {
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}
