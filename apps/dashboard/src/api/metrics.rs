//! Figures for Prometheus.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, atomic::Ordering},
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use guthi::{FunctionMetrics, Histogram, Metrics, Status};

use crate::{
    app::{App, HOLDERS_MAX, SOCKETS_MAX},
    json::{self, Names},
};

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = Exposition::default();
    node(&app, &mut text);
    let metrics = app.node.metrics();
    counted(&metrics, &mut text);
    functions(&metrics, &mut text);
    waits(&metrics, &mut text);
    process(&app, &mut text).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}

fn node(app: &App, text: &mut Exposition) {
    let view = app.node.view();
    let peers = app.node.peers();
    text.family("guthi_peers", "gauge", "Other nodes that are known, by status.");
    for status in [Status::Joining, Status::Alive, Status::Suspected, Status::Failed, Status::Left] {
        let count = peers.iter().filter(|peer| peer.status == status).count();
        text.sample("guthi_peers", &[("status", status.name())], count);
    }
    text.single("guthi_view_members", "gauge", "Members of the view.", view.members.len());
    text.single("guthi_view_epoch", "gauge", "The number of the view in its lineage.", view.epoch);
    text.single("guthi_view_active", "gauge", "Whether the view is active.", u8::from(view.active));
    text.single("guthi_view_isolated", "gauge", "Whether too few voters answer.", u8::from(view.isolated));
    text.family("guthi_node_info", "gauge", "The node; always 1.");
    let labels = [("name", app.node.name()), ("cluster", app.node.cluster()), ("version", guthi::VERSION)];
    text.sample("guthi_node_info", &labels, 1);
    let sockets = SOCKETS_MAX - app.sockets.available_permits();
    text.single("guthi_dashboard_sockets", "gauge", "Sockets that are open.", sockets);
    let holders = HOLDERS_MAX - app.holders.available_permits();
    let help = "Requests that hold a mutex, or wait for one.";
    text.single("guthi_dashboard_mutex_requests", "gauge", help, holders);
    let asked = app.resources_asked.load(Ordering::Relaxed);
    let help = "How often a node was asked for its resources.";
    text.single("guthi_dashboard_resources_asked_total", "counter", help, asked);
    let asked = app.variables_asked.load(Ordering::Relaxed);
    let help = "How often all members were asked for their variables.";
    text.single("guthi_dashboard_variables_asked_total", "counter", help, asked);
}

/// What the framework has counted, under its own names.
fn counted(metrics: &Metrics, text: &mut Exposition) {
    let mut last = "";
    for sample in metrics.samples() {
        if sample.name != last {
            text.family(sample.name, if sample.gauge { "gauge" } else { "counter" }, sample.help);
            last = sample.name;
        }
        text.sample(sample.name, sample.label.as_slice(), sample.value);
    }
}

/// The calls of each function that this node has made.
fn functions(metrics: &Metrics, text: &mut Exposition) {
    let mut counter = |name, help, value: fn(&FunctionMetrics) -> u64| {
        text.family(name, "counter", help);
        for (function, made) in &metrics.functions {
            text.sample(name, &[("function", function)], value(made));
        }
    };
    counter("guthi_call_made_total", "Calls that have ended.", |made| made.count);
    counter("guthi_call_errors_total", "Calls that gave no result.", |made| made.errors);
    counter("guthi_call_items_total", "Items of maps that have ended.", |made| made.items);
    text.family("guthi_call_duration_seconds", "histogram", "What calls took, tries that failed included.");
    for (function, made) in &metrics.functions {
        text.histogram("guthi_call_duration_seconds", &[("function", function)], &made.durations);
    }
}

/// What tasks of this node have waited for mutexes and variables, and for how long they had the former.
fn waits(metrics: &Metrics, text: &mut Exposition) {
    let mut histogram = |name, help, durations| {
        text.family(name, "histogram", help);
        text.histogram(name, &[], durations);
    };
    let help = "What tasks of this node have waited for their guards.";
    histogram("guthi_mutex_wait_seconds", help, &metrics.mutex_waits);
    histogram("guthi_mutex_hold_seconds", "For how long they have held them.", &metrics.mutex_holds);
    let help = "What tasks of this node have waited for what they wanted to be done with variables.";
    histogram("guthi_variable_seconds", help, &metrics.variable_waits);
}

async fn process(app: &App, text: &mut Exposition) {
    let row = json::resources_of(app, &Names::of(&app.node), app.node.id()).await;
    let Some(known) = row.known() else { return };
    let memory = known.process_memory_bytes;
    text.single("process_resident_memory_bytes", "gauge", "Memory that the process holds.", memory);
    text.single("guthi_node_uptime_seconds", "gauge", "For how long the node has been running.", known.uptime_s);
    text.single("guthi_node_calls", "gauge", "Calls that are running on the node, or wait to.", known.calls);
    if let Some(cpu) = known.process_cpu {
        let help = "Share of one core that the process used since it was asked for last.";
        text.single("guthi_process_cpu_ratio", "gauge", help, cpu / 100.0);
    }
}

/// Prometheus' text format.
#[derive(Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// What comes then belongs to one family; all its samples follow each other.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ =
            writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", help.replace('\\', "\\\\").replace('\n', "\\n"));
    }

    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let labels: Vec<_> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// The samples of a histogram, whose family has been named.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], durations: &Histogram) {
        let (bucket, count) = (format!("{name}_bucket"), durations.count());
        for (at_most, count) in durations.buckets() {
            self.sample(&bucket, &[labels, &[("le", &at_most.as_secs_f64().to_string())]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), count);
        self.sample(&format!("{name}_sum"), labels, durations.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, count);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Names of nodes and functions may hold anything.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let mut text = Exposition::default();
        text.family("f", "counter", "What\nit is.");
        text.sample("f", &[("a", "x\"} 1\n\\evil"), ("b", "")], 7);
        assert_eq!(text.0, "# HELP f What\\nit is.\n# TYPE f counter\nf{a=\"x\\\"} 1\\n\\\\evil\",b=\"\"} 7\n");
    }
}
