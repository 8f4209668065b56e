//! Every queue has a bound.

use super::{
    code::Code,
    project::PROJECT,
    report::{Finding, Rule},
};

const RULE: Rule = Rule {
    rule: "Every queue has a bound.",
    why: "a queue without one turns a slow reader into a process that runs out of memory",
    instead: "use a bounded channel and decide what happens when it is full: to wait, to refuse, or to drop and count; \
              write the bound next to the queue",
};

#[test]
fn every_queue_has_a_bound() {
    let findings: Vec<_> = PROJECT.below(&["framework/", "fs/", "apps/"]).flat_map(unbounded).collect();
    RULE.judge(&findings);
}

fn unbounded(code: &Code) -> Vec<Finding> {
    let named = code.words(&["unbounded", "unbounded_channel", "UnboundedSender", "UnboundedReceiver"]);
    // The standard library's `channel` has no bound, and takes no argument; tokio's takes one, which is its bound.
    let standard = code.paths.iter().filter(|path| {
        let imported =
            path.contains(&["std", "sync", "mpsc"]) && (path.ends_with(&["channel"]) || path.ends_with(&["*"]));
        let called = path.ends_with(&["mpsc", "channel"]) && takes_nothing(code, path.next);
        imported || called
    });
    let named = named.map(|at| (at, code.text(at).to_owned()));
    let places = named.chain(standard.map(|path| (path.at, path.segments.join("::"))));
    let places = places.filter(|&(at, _)| !code.tokens[at].test);
    places.map(|(at, name)| Finding::new(code, at, format!("`{name}` has no bound"))).collect()
}

/// Whether a call without arguments stands there, its types named or not.
fn takes_nothing(code: &Code, at: usize) -> bool {
    let call = (at..).find(|&next| matches!(code.text(next), "(" | ";" | "")).unwrap_or(at);
    let types = call == at || code.has(at, &["::", "<"]);
    types && code.has(call, &["(", ")"])
}

#[test]
fn a_queue_without_a_bound_is_found() {
    for text in [
        "fn f() { let (a, b) = mpsc::unbounded_channel(); }",
        "use flume::unbounded as queue;",
        "use futures::channel::mpsc::{self, UnboundedSender};",
        "use std::sync::mpsc::{Sender, channel};",
        "use std::sync::mpsc; fn f() { mpsc::channel(); }",
        "use std::sync::mpsc; fn f() { mpsc::channel::<u8>(); }",
    ] {
        assert_eq!(unbounded(&Code::new("framework/src/a.rs", text)).len(), 1, "{text}");
    }
    for text in [
        "use std::sync::mpsc::sync_channel; fn f() { sync_channel(1) }",
        "use tokio::sync::mpsc; fn f() { mpsc::channel(QUEUED_MAX); mpsc::channel::<u8>(1); oneshot::channel() }",
        "const A: Bound<u8> = Bound::Unbounded;",
        "#[cfg(test)] mod tests { fn f() { mpsc::unbounded_channel() } }",
    ] {
        assert_eq!(unbounded(&Code::new("framework/src/a.rs", text)), [], "{text}");
    }
}
