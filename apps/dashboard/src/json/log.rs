use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use guthi::{CallError, Level, LogLine, LogPage, LogQuery, Node, NodeId};
use serde::Serialize;

use super::node::Names;
use crate::{http::refusal::Refusal, timestamp::rfc3339_of_ms};

/// Nodes that are asked at once, and how long one may take.
const ASKED_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(2);

/// A line of a node's log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LineRow {
    node: String,
    name: Option<String>,
    seq: u64,
    at: String,
    #[serde(skip)]
    at_ms: u64,
    level: &'static str,
    target: String,
    message: String,
    fields: BTreeMap<String, String>,
}

impl LineRow {
    /// The order in which lines of several nodes are told.
    pub(crate) fn place(&self) -> (u64, String, u64) {
        (self.at_ms, self.node.clone(), self.seq)
    }
}

/// A node whose log is not told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogError {
    pub(crate) node: String,
    name: Option<String>,
    error: Refusal,
}

/// A part of one node's log.
pub(crate) struct LogPart {
    pub(crate) lines: Vec<LineRow>,
    /// What to ask after for what comes then.
    pub(crate) last: u64,
}

/// Asks these nodes, each for what comes after a number.
pub(crate) async fn logs(
    node: &Node,
    whom: Vec<(NodeId, Option<u64>)>,
    query: &LogQuery,
) -> Vec<(NodeId, Result<LogPart, LogError>)> {
    let names = Names::of(node);
    let asked = futures::stream::iter(whom).map(async |(id, after)| {
        let query = LogQuery { after, ..query.clone() };
        (id, log(node, names.name(id), id, query).await)
    });
    asked.buffer_unordered(ASKED_MAX).collect().await
}

async fn log(node: &Node, name: Option<String>, id: NodeId, query: LogQuery) -> Result<LogPart, LogError> {
    let limit = query.limit as usize;
    let answer = tokio::time::timeout(PATIENCE, node.log(id, query)).await;
    let late = || CallError::Deadline { function: "guthi.log".into(), started: true };
    let error = |error: Refusal| LogError { node: id.to_string(), name: name.clone(), error };
    match answer.unwrap_or_else(|_| Err(late())) {
        Ok(page) if page.keeps => Ok(part(name, id, page, limit)),
        Ok(_) => {
            let refusal = Refusal::new("keeps_no_log", "the program of this node keeps no log");
            Err(error(refusal.next("give it one: Builder::logs(Logs::new(5_000))")))
        }
        Err(failed) => Err(error(failed.into())),
    }
}

fn part(name: Option<String>, id: NodeId, page: LogPage, limit: usize) -> LogPart {
    // A full page has left something behind it.
    let is_full = page.lines.len() >= limit;
    let last = page.lines.last().filter(|_| is_full).map_or(page.last, |line| line.seq);
    LogPart { lines: page.lines.into_iter().map(|line| row(id, name.clone(), line)).collect(), last }
}

fn row(id: NodeId, name: Option<String>, line: LogLine) -> LineRow {
    LineRow {
        node: id.to_string(),
        name,
        seq: line.seq,
        at: rfc3339_of_ms(line.at_ms),
        at_ms: line.at_ms,
        level: line.level.name(),
        target: line.target,
        message: line.message,
        fields: line.fields.into_iter().collect(),
    }
}

/// The level of a text; `info` if there is none.
pub(crate) fn level(text: Option<&str>) -> Result<Level, Refusal> {
    text.unwrap_or("info").parse().map_err(|error: guthi::UnknownLevel| Refusal::bad_request(error.to_string()))
}

/// The nodes that are meant by `all`, an id, a short id or a name; this node if nothing is said.
pub(crate) fn whose(node: &Node, text: Option<&str>) -> Result<Vec<NodeId>, Refusal> {
    match text {
        None => Ok(vec![node.id()]),
        Some("all") => Ok(node.members().iter().map(|member| member.id).collect()),
        Some(text) => super::find(node, text).map(|id| vec![id]),
    }
}
