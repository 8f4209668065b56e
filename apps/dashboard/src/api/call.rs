//! Calls of functions.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures::stream;
use guthi::{BadTrace, CallError, NodeId, Trace};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    app::App,
    http::{
        answer::{List, lines},
        input::{CallInput, Name},
        refusal::Refusal,
    },
    json,
};

const DEADLINE_MS: u64 = 30_000;
const DEADLINE_MS_MAX: u64 = 24 * 3600 * 1000;
/// Lines of progress that wait for a slow reader; what comes beyond is not told.
const LINES_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    args: Value,
    #[serde(default)]
    on: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    progress: bool,
}

/// A call that is about to be made.
#[derive(Clone)]
struct Order {
    app: Arc<App>,
    function: String,
    arguments: Value,
    deadline: Duration,
    attempts: u32,
    trace: Option<Trace>,
    /// Where to tell how far it is.
    lines: Option<mpsc::Sender<Value>>,
}

/// On which nodes it runs.
enum Where {
    Any,
    One(NodeId),
    All(Vec<NodeId>),
}

/// `POST /functions/{name}/call`; closing the request cancels the call.
pub(crate) async fn call(
    State(app): State<Arc<App>>,
    Name(function): Name,
    headers: HeaderMap,
    CallInput(wanted): CallInput<Wanted>,
) -> Result<Response, Refusal> {
    let deadline = match wanted.deadline_ms.unwrap_or(DEADLINE_MS) {
        deadline @ 1..=DEADLINE_MS_MAX => Duration::from_millis(deadline),
        _ => return Err(Refusal::bad_request(format!("deadline_ms is 1 to {DEADLINE_MS_MAX}"))),
    };
    let on = place(&app, &function, wanted.on.as_deref().unwrap_or("any"))?;
    let attempts = wanted.attempts.unwrap_or(1);
    let trace = trace(&headers)?;
    let order = Order { app, function, arguments: wanted.args, deadline, attempts, trace, lines: None };
    if wanted.progress {
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let order = Order { lines: Some(sender), ..order };
        return Ok(told_by_line(order.run(on), lines));
    }
    order.run(on).await.map(|answer| Json(answer).into_response())
}

/// The trace that the call belongs to: the header `traceparent`.
fn trace(headers: &HeaderMap) -> Result<Option<Trace>, Refusal> {
    let Some(parent) = headers.get("traceparent") else { return Ok(None) };
    let bad = |error: &dyn std::fmt::Display| Refusal::bad_request(format!("traceparent: {error}"));
    let parent = parent.to_str().map_err(|error| bad(&error))?;
    parent.trim().parse().map(Some).map_err(|error: BadTrace| bad(&error))
}

fn place(app: &App, function: &str, on: &str) -> Result<Where, Refusal> {
    match on {
        "any" => Ok(Where::Any),
        "all" => {
            let info = app.node.functions().into_iter().find(|info| info.name == function);
            let nodes = info.map(|info| info.nodes).unwrap_or_default();
            let nobody = || CallError::NoNodeHasIt { function: function.into() };
            if nodes.is_empty() { Err(nobody().into()) } else { Ok(Where::All(nodes)) }
        }
        node => json::find(&app.node, node).map(Where::One),
    }
}

impl Order {
    async fn run(self, on: Where) -> Result<Value, Refusal> {
        let began = Instant::now();
        let nodes = match on {
            Where::Any => return self.run_on(None).await.map(|(node, result)| self.answer(node, result, began)),
            Where::One(node) => {
                return self.run_on(Some(node)).await.map(|(node, result)| self.answer(node, result, began));
            }
            Where::All(nodes) => nodes,
        };
        let calls = nodes.into_iter().map(|node| self.row(node));
        let items = futures::future::join_all(calls).await;
        Ok(json!(List::whole(items, self.app.node.id())))
    }

    /// How it went on one of all nodes.
    async fn row(&self, node: NodeId) -> Value {
        let began = Instant::now();
        let result = self.run_on(Some(node)).await;
        let mut row = json!({ "node": node.to_string(), "name": self.name(node), "elapsed_ms": elapsed(began) });
        match result {
            Ok((_, result)) => row["ok"] = result,
            Err(refusal) => row["error"] = json!(refusal),
        }
        row
    }

    async fn run_on(&self, on: Option<NodeId>) -> Result<(NodeId, Value), Refusal> {
        let call = self.app.node.call_named(&self.function, self.arguments.clone());
        let mut call = call.deadline(self.deadline).attempts(self.attempts);
        if let Some(node) = on {
            call = call.on(node);
        }
        if let Some(trace) = self.trace {
            call = call.trace(trace);
        }
        if let Some(lines) = self.lines.clone() {
            let node = on.map(|node| node.to_string());
            call = call.on_progress(move |share| {
                // Whoever reads slowly hears the next one.
                let _ = lines.try_send(json!({ "progress": share, "node": node }));
            });
        }
        call.with_node().await.map_err(Refusal::from)
    }

    fn answer(&self, node: NodeId, result: Value, began: Instant) -> Value {
        let (id, name) = (node.to_string(), self.name(node));
        json!({ "result": result, "node": id, "name": name, "elapsed_ms": elapsed(began) })
    }

    fn name(&self, node: NodeId) -> Option<String> {
        json::name(&self.app.node, node)
    }
}

/// Lines of progress, and the answer or the error as the last one.
fn told_by_line(
    work: impl Future<Output = Result<Value, Refusal>> + Send + 'static,
    progress: mpsc::Receiver<Value>,
) -> Response {
    let work = Some(Box::pin(work));
    lines(stream::unfold((work, progress), async |(work, mut progress)| {
        let mut work = work?;
        let (value, work) = tokio::select! {
            biased;
            Some(value) = progress.recv() => (value, Some(work)),
            result = &mut work => (result.unwrap_or_else(|refusal| refusal.framed()), None),
        };
        Some((value, (work, progress)))
    }))
}

fn elapsed(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
