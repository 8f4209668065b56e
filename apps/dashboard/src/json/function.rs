use guthi::{FunctionInfo, FunctionMetrics, Node};
use serde::Serialize;

use super::node::milliseconds;

/// A function of the global store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FunctionRow {
    pub(crate) name: String,
    signature: String,
    docs: String,
    once: bool,
    nodes: Vec<String>,
    /// How this node's calls of it went; `None` if it made none.
    calls: Option<CallStatistics>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CallStatistics {
    count: u64,
    errors: u64,
    p50_ms: f64,
    p95_ms: f64,
}

impl CallStatistics {
    fn of(made: &FunctionMetrics) -> Option<Self> {
        let quantile = |share| made.durations.quantile(share).map(milliseconds);
        let (p50_ms, p95_ms) = (quantile(0.5)?, quantile(0.95)?);
        Some(Self { count: made.count, errors: made.errors, p50_ms, p95_ms })
    }
}

/// All that are known, by name.
pub(crate) fn functions(node: &Node) -> Vec<FunctionRow> {
    let made = node.metrics().functions;
    let row = |info: FunctionInfo| FunctionRow {
        calls: made.get(&info.name).and_then(CallStatistics::of),
        name: info.name,
        signature: info.shape,
        docs: info.docs,
        once: info.once,
        nodes: info.nodes.iter().map(ToString::to_string).collect(),
    };
    node.functions().into_iter().map(row).collect()
}
