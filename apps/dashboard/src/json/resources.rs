use std::{sync::atomic::Ordering, time::Duration};

use futures::StreamExt;
use guthi::{CallError, NodeId, Resources};
use serde::Serialize;

use super::node::Names;
use crate::{app::App, http::refusal::Refusal};

/// Nodes that are asked at once, and how long one may take.
const ASKED_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(1);

/// What a machine has and does, or why nobody knows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ResourcesRow {
    pub(crate) node: String,
    name: Option<String>,
    #[serde(flatten)]
    told: Told,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Known(Known),
    Silent { error: Refusal },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Known {
    address: Option<String>,
    installed_bytes: u64,
    pub(crate) available_bytes: u64,
    pub(crate) memory_load: f64,
    pub(crate) cpu_usage: Option<f64>,
    cores: f32,
    pub(crate) process_cpu: Option<f64>,
    pub(crate) process_memory_bytes: u64,
    pub(crate) calls: u32,
    pub(crate) uptime_s: u64,
    os: String,
    pid: u32,
    version: String,
}

impl ResourcesRow {
    /// Where it stands in lists.
    pub(crate) fn rank(&self) -> String {
        format!("{}\0{}", self.name.as_deref().unwrap_or_default(), self.node)
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        match &self.told {
            Told::Known(known) => Some(known),
            Told::Silent { .. } => None,
        }
    }
}

/// Asks every member; one that does not answer has the error in its row. In the order of lists.
pub(crate) async fn resources(app: &App) -> Vec<(NodeId, ResourcesRow)> {
    let names = Names::of(&app.node);
    let nodes: Vec<NodeId> = app.node.members().iter().map(|member| member.id).collect();
    let asked = futures::stream::iter(nodes).map(async |node| (node, resources_of(app, &names, node).await));
    let mut rows: Vec<_> = asked.buffer_unordered(ASKED_MAX).collect().await;
    rows.sort_by_cached_key(|(node, row)| (*node != app.node.id(), row.rank()));
    rows
}

/// Asks one node.
pub(crate) async fn resources_of(app: &App, names: &Names, node: NodeId) -> ResourcesRow {
    app.resources_asked.fetch_add(1, Ordering::Relaxed);
    let answer = tokio::time::timeout(PATIENCE, app.node.resources(node)).await;
    let late = || CallError::Deadline { function: "guthi.resources".into(), started: true };
    let told = match answer.unwrap_or_else(|_| Err(late())) {
        Ok(resources) => {
            let known = known(names.address(node), resources);
            if node == app.node.id() {
                app.load.set(&known);
            }
            Told::Known(known)
        }
        Err(error) => Told::Silent { error: error.into() },
    };
    ResourcesRow { node: node.to_string(), name: names.name(node), told }
}

fn known(address: Option<String>, resources: Resources) -> Known {
    Known {
        address,
        installed_bytes: resources.memory_installed,
        available_bytes: resources.memory_available,
        memory_load: tenths(resources.memory_load()),
        cpu_usage: resources.cpu.map(tenths),
        cores: resources.cores,
        process_cpu: resources.process_cpu.map(tenths),
        process_memory_bytes: resources.process_memory,
        calls: resources.calls,
        uptime_s: resources.uptime.as_secs(),
        os: resources.os,
        pid: resources.pid,
        version: resources.version,
    }
}

fn tenths(percent: f32) -> f64 {
    (f64::from(percent) * 10.0).round() / 10.0
}
