//! Imports run downward only.

use std::collections::BTreeMap;

use super::{
    code::{Code, Path},
    project::{PROJECT, Project},
    report::{Finding, Rule, note},
};

const RULE: Rule = Rule {
    rule: "Imports run downward only.",
    why: "a part that does not know those above it can be read, tested and replaced alone; each arrow upward makes two \
          parts one",
    instead: "let the lower part say what it needs as a value or a trait of its own, and the upper part fill it in; an \
              arrow that should be there goes into the table in tests/tests/tidy/directions.rs, and into \
              docs/architecture.md",
};

/// What each part may name, beside itself; the longest name counts. All that is not here is above everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("guthi", &["guthi", "guthi_core", "guthi_macros"]),
    ("guthi::api", &["guthi", "guthi::runtime", "guthi::calls", "guthi::network", "guthi_core"]),
    ("guthi::runtime", &["guthi::calls", "guthi::network", "guthi_core"]),
    ("guthi::calls", &["guthi::network", "guthi_core"]),
    ("guthi::network", &["guthi_core::wire"]),
    (
        "guthi::network::memory",
        // Time and chance are what the fabric is asked with.
        &[
            "guthi::network",
            "guthi_core::wire",
            "guthi_core::protocol::time",
            "guthi_core::protocol::random",
            "guthi_sim::fabric",
        ],
    ),
    ("guthi_core", &["guthi_core"]),
    ("guthi_core::protocol", &["guthi_core::wire"]),
    ("guthi_core::wire", &[]),
    ("guthi_sim", &["guthi_core"]),
    // What its expansions name.
    ("guthi_macros", &["guthi"]),
    ("guthi_fs", &["guthi"]),
    ("applications", &["guthi", "guthi_fs"]),
];

/// Single arrows that run upward all the same: from where, to what, and why that is borne.
const UPWARD: &[Upward] = &[
    // Plain data that users see: `api` is where they find it, the parts below are where it comes about.
    ("guthi::calls", "guthi::api::error::BuildError", "a function that cannot travel shows when it is registered"),
    ("guthi::calls", "guthi::api::error::CallError", "a call fails where it is carried"),
    ("guthi::calls", "guthi::api::error::ChannelError", "a channel ends where its bytes go by"),
    ("guthi::calls", "guthi::api::error::OpenError", "a channel is refused where it is opened"),
    ("guthi::calls", "guthi::api::error::Outcome", "only who carries a call knows whether it may have happened"),
    ("guthi::runtime", "guthi::api::error::BuildError", "the directory is looked at when a node starts"),
    ("guthi::runtime", "guthi::api::error::JoinError", "joining fails where links are made"),
    ("guthi::runtime", "guthi::api::event::Event", "what the driver tells"),
    ("guthi::runtime", "guthi::api::peer::Peer", "what the driver knows of a peer"),
    ("guthi::runtime", "guthi::api::peer::Load", "what the driver knows of a peer"),
    ("guthi::runtime", "guthi::api::peer::Rescue", "what became of what a node gave up"),
    ("guthi::runtime", "guthi::api::peer::Status", "what the driver knows of a peer"),
    ("guthi::runtime::directory", "guthi::api::key::ClusterKey", "nodes on one machine share a key in a file"),
    ("guthi::runtime::monitor", "guthi::api::resources::Resources", "what is told to those who ask"),
    ("guthi::runtime::monitor", "guthi::api::resources::VERSION", "what is told to those who ask"),
    ("guthi::network::admission", "guthi::api::key::ClusterKey", "32 bytes; what is done with them is there"),
    ("guthi::network::ticket", "guthi::api::key::ClusterKey", "32 bytes that a ticket may carry"),
    ("guthi::calls", "guthi::api::metrics", "what is counted where calls go by, as users see it"),
    ("guthi::runtime", "guthi::api::metrics", "what is counted where peers are judged, as users see it"),
    ("guthi::calls", "guthi::api::trace::Trace", "what a call belongs to travels with it"),
    ("guthi::runtime::variables", "guthi::api::variable_type::VariableType", "what types look like, as users see it"),
    // Knots: user code is run with a way back to its node.
    ("guthi::calls::executor", "guthi::api::context::Context", "it makes one for each call"),
    ("guthi::calls::executor", "guthi::api::node::Inner", "a context leads back to the node"),
    ("guthi::calls::executor", "guthi::api::node::Node", "a context leads back to the node"),
    ("guthi::calls::function", "guthi::api::context::Context", "what a function of the user is given"),
    ("guthi::calls::map", "guthi::api::node::Node", "a map keeps its node alive"),
    // What could lie lower.
    ("guthi::calls::router", "guthi::runtime::roster::Roster", "the driver publishes it, the router reads it"),
    ("guthi::calls::router", "guthi::runtime::roster::Snapshot", "the driver publishes it, the router reads it"),
];

type Upward = (&'static str, &'static str, &'static str);

/// The crates that stand in this table, and the folders with their modules.
const CRATES: [(&str, &str); 5] = [
    ("framework/src/", "guthi"),
    ("framework/core/src/", "guthi_core"),
    ("framework/macros/src/", "guthi_macros"),
    ("framework/sim/src/", "guthi_sim"),
    ("fs/src/", "guthi_fs"),
];

/// The folders of those who use Guthi as everybody can.
const APPLICATIONS: [&str; 5] = ["apps/", "fs/examples/", "fs/tests/", "framework/examples/", "framework/tests/"];

#[test]
fn imports_run_downward_only() {
    let exported = exported(&PROJECT);
    let mut used = vec![false; UPWARD.len()];
    let below = PROJECT.below(&["framework/", "fs/", "apps/"]);
    let findings: Vec<_> = below.flat_map(|code| wrong_ways(code, &exported, UPWARD, &mut used)).collect();
    RULE.judge(&findings);
    for ((from, to, _), _) in UPWARD.iter().zip(used).filter(|(_, used)| !used) {
        note(&format!("{} need not let `{from}` name `{to}` any more: please take the line away.", file!()));
    }
}

/// Where the crate `guthi` keeps what it shows at its root.
type Exported = BTreeMap<String, Vec<String>>;

fn exported(project: &Project) -> Exported {
    let root = project.code.iter().find(|code| code.path == "framework/src/lib.rs").expect("the root of `guthi`");
    let imports = root.paths.iter().filter(|path| path.modules.is_empty());
    imports.filter_map(|path| Some((path.imported_as.clone()?, absolute(&["guthi".into()], path)?))).collect()
}

/// The arrows of a file that its place does not allow. `used` learns which of the exceptions are needed.
fn wrong_ways(code: &Code, exported: &Exported, exceptions: &[Upward], used: &mut [bool]) -> Vec<Finding> {
    let Some(module) = module(&code.path) else { return Vec::new() };
    let from = module.join("::");
    let mut findings = Vec::new();
    for path in &code.paths {
        // Tests set up what they test, with whatever that takes. Applications have no such excuse.
        if code.tokens[path.at].test && module[0] != "applications" {
            continue;
        }
        let Some(target) = absolute(&module, path) else { continue };
        // Within the crate it counts where an item is at home, not that the root shows it as well.
        let target = if module[0] == "guthi" { at_home(target, exported) } else { target.join("::") };
        if may_name(&from, &target) {
            continue;
        }
        let excuse = exceptions.iter().position(|(part, item, _)| is_within(&from, part) && is_within(&target, item));
        match excuse {
            Some(excuse) => used[excuse] = true,
            None => findings.push(Finding::new(code, path.at, format!("`{from}` names `{target}`"))),
        }
    }
    findings.dedup();
    findings
}

/// The module that a file is.
fn module(path: &str) -> Option<Vec<String>> {
    if let Some((rest, name)) = CRATES.iter().find_map(|(folder, name)| Some((path.strip_prefix(folder)?, name))) {
        let parts = rest.trim_end_matches(".rs").split('/');
        let parts = parts.filter(|part| !matches!(*part, "mod" | "lib"));
        return Some([*name].into_iter().chain(parts).map(str::to_owned).collect());
    }
    APPLICATIONS.iter().any(|folder| path.starts_with(folder)).then(|| vec!["applications".to_owned()])
}

/// The full name of what a path in that module names, if it is of ours.
fn absolute(module: &[String], path: &Path) -> Option<Vec<String>> {
    let mut segments = path.segments.as_slice();
    let mut absolute: Vec<_> = module.iter().chain(&path.modules).cloned().collect();
    match segments[0].as_str() {
        // Applications are many crates; what they name of their own is their own business.
        "crate" | "self" | "super" if module[0] == "applications" => return None,
        "crate" => absolute.truncate(1),
        "self" => {}
        "super" => {
            absolute.pop();
        }
        name if CRATES.iter().any(|(_, ours)| *ours == name) => absolute = vec![name.to_owned()],
        // At the root of a crate its modules need no `crate::`.
        _ if module.len() == 1
            && module[0] != "applications"
            && path.modules.is_empty()
            && path.imported_as.is_some() =>
        {
            absolute.extend(segments.first().cloned());
        }
        _ => return None,
    }
    segments = &segments[1..];
    while let [first, rest @ ..] = segments
        && first == "super"
    {
        absolute.pop();
        segments = rest;
    }
    absolute.extend_from_slice(segments);
    Some(absolute)
}

/// The name of an item where it is defined.
fn at_home(target: Vec<String>, exported: &Exported) -> String {
    match target.get(1).and_then(|name| exported.get(name)) {
        Some(home) if target[0] == "guthi" => home.iter().chain(&target[2..]).cloned().collect::<Vec<_>>().join("::"),
        _ => target.join("::"),
    }
}

fn may_name(from: &str, target: &str) -> bool {
    let parts = ARROWS.iter().filter(|(part, _)| is_within(from, part));
    let (part, lower) = parts.max_by_key(|(part, _)| part.len()).expect("every module is of a part");
    if is_within(target, "guthi::__private") {
        return matches!(*part, "guthi" | "guthi_macros");
    }
    is_within(target, part) || lower.iter().any(|lower| is_within(target, lower))
}

/// Whether a name is that of a part, or of something in it.
fn is_within(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn an_arrow_upward_is_found() {
    let exported = Exported::from([("Peer".into(), ["guthi", "api", "peer", "Peer"].map(String::from).into())]);
    let found = |path: &str, text: &str| {
        let exceptions = [("guthi::calls", "guthi::api::error", "")];
        let findings = wrong_ways(&Code::new(path, text), &exported, &exceptions, &mut [false]);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect::<Vec<_>>()
    };
    let wrong = [
        ("framework/src/runtime/a.rs", "use crate::Peer;", "`guthi::runtime::a` names `guthi::api::peer::Peer`"),
        ("framework/src/runtime/mod.rs", "use super::api::x;", "`guthi::runtime` names `guthi::api::x`"),
        (
            "framework/src/calls/a/b.rs",
            "fn f() { select! { crate::runtime::g() } }",
            "`guthi::calls::a::b` names `guthi::runtime::g`",
        ),
        ("framework/src/calls/a.rs", "mod b { use super::super::super::api; }", "`guthi::calls::a` names `guthi::api`"),
        ("framework/src/calls/a.rs", "use crate::*;", "`guthi::calls::a` names `guthi::*`"),
        (
            "framework/src/network/a.rs",
            "use guthi_core::{wire::id, protocol::time};",
            "`guthi::network::a` names `guthi_core::protocol::time`",
        ),
        ("framework/core/src/wire/a.rs", "use crate::protocol;", "`guthi_core::wire::a` names `guthi_core::protocol`"),
        ("framework/sim/src/a.rs", "use guthi::Node;", "`guthi_sim::a` names `guthi::Node`"),
        ("apps/a/src/main.rs", "use guthi_core::wire;", "`applications` names `guthi_core::wire`"),
        (
            "apps/a/tests/b.rs",
            "fn f() { ::guthi::__private::invoke() }",
            "`applications` names `guthi::__private::invoke`",
        ),
    ];
    for (path, text, what) in wrong {
        assert_eq!(found(path, text), [(1, what.to_owned())], "{path}: {text}");
    }
    let right = [
        ("framework/src/runtime/a.rs", "use crate::{calls::lane, network::*}; use super::b;"),
        ("framework/src/calls/a.rs", "use crate::api::error::CallError;"),
        ("framework/src/network/a.rs", "#[cfg(test)] mod tests { use crate::api::node; }"),
        ("framework/src/network/memory.rs", "use guthi_sim::fabric::Fabric; use super::Network;"),
        ("framework/core/src/protocol/a.rs", "use crate::wire::id; use super::time;"),
        ("apps/a/src/main.rs", "use guthi::{NodeId, prelude::*}; use crate::view;"),
        ("tests/src/a.rs", "use guthi_core::wire;"),
    ];
    for (path, text) in right {
        assert_eq!(found(path, text), [], "{path}: {text}");
    }
}
