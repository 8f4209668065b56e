//! What has grown long was looked at once.

use std::collections::BTreeMap;

use super::{
    code::Code,
    project::PROJECT,
    report::{Allowed, Count, Rule, allow, ratchet},
};

const RULE: Rule = Rule {
    rule: "What has grown long was looked at once.",
    why: "a file or a function that has just become long often holds two things that have names of their own",
    instead: "look at it once and decide: split it, or write its size and a reason into the list in \
              tests/tests/tidy/size.rs; that is a decision, not a defeat",
};

/// Lines of code, without comments and blank lines.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// One in so many may be added before somebody has to look again.
const TOLERANCE: Option<usize> = Some(10);

/// `file` stands for the file as a whole, any other name for a function in it.
const LIST: &[Allowed] = &[
    allow("apps/guthi/src/arguments.rs", "file", 600, "one command after the other, as the help shows them"),
    allow(
        "framework/core/src/protocol/variable/recovery.rs",
        "file",
        535,
        "one way from reports to a shard that is served",
    ),
    allow(
        "framework/core/src/protocol/variable/tests/recovery.rs",
        "file",
        637,
        "one short play for each way in which a view can end",
    ),
    allow("framework/core/src/protocol/variable/tests/traps.rs", "file", 624, "one short play for each trap and hole"),
    allow(
        "framework/sim/src/models/variable/world.rs",
        "file",
        745,
        "nodes, letters, views, and each thing that can happen to them",
    ),
    allow("framework/sim/src/models/variable/worlds.rs", "beginnings", 88, "a table: one entry for each way to begin"),
    allow("framework/sim/src/scenario/variable/host.rs", "file", 622, "a node and its users, who want many things"),
    allow("framework/sim/src/scenario/variable/mod.rs", "file", 526, "what users do, and the rules that are checked"),
    allow(
        "framework/src/api/builder.rs",
        "file",
        505,
        "one setting after the other, and what they are put together to",
    ),
    allow("framework/src/api/builder.rs", "start", 80, "what a node is made of, one part after the other"),
    allow("framework/src/api/error.rs", "file", 794, "one enum for each operation, with its words"),
    allow(
        "framework/core/src/protocol/membership/machine.rs",
        "file",
        586,
        "one dispatch, leases, and the one way to install",
    ),
    allow(
        "framework/core/src/protocol/mutex/tests/failures.rs",
        "file",
        516,
        "one short play for each way in which a holder, a home or a view can end",
    ),
    allow(
        "framework/sim/src/models/membership/world.rs",
        "file",
        532,
        "nodes, letters, and each thing that can happen to them",
    ),
    allow(
        "framework/sim/src/models/mutex/world.rs",
        "file",
        547,
        "nodes, letters, views, and each thing that can happen to them",
    ),
    allow("framework/sim/src/script.rs", "follow", 86, "a dispatch: one short arm for each direction of a play"),
    allow("framework/sim/src/world.rs", "file", 693, "nodes, links and the one queue on which all of them happen"),
    allow("framework/src/calls/lane.rs", "file", 609, "the two directions of one stream share nearly all they know"),
    allow("framework/src/calls/signature/tests.rs", "file", 576, "one short test for each shape a type can have"),
    allow("framework/src/runtime/driver.rs", "file", 631, "one task that owns all that a node has agreed with others"),
];

#[test]
fn what_is_long_was_looked_at() {
    let counts: Vec<_> = PROJECT.code.iter().flat_map(long).collect();
    RULE.judge(&ratchet(&counts, LIST, TOLERANCE));
}

/// What is long in a file; of functions that share a name, the longest.
fn long(code: &Code) -> Vec<Count> {
    let mut found = BTreeMap::new();
    if code.lines() > FILE_LINES {
        found.insert("file", (1, code.lines()));
    }
    for (name, line, lines) in code.functions().filter(|&(_, _, lines)| lines > FUNCTION_LINES) {
        let longest = found.entry(name).or_insert((line, lines));
        if lines > longest.1 {
            *longest = (line, lines);
        }
    }
    let count = |(what, (line, number)): (&str, _)| Count { path: code.path.clone(), line, what: what.into(), number };
    found.into_iter().map(count).collect()
}

#[test]
fn what_has_become_long_is_found() {
    let body = |lines: usize| "    // Not counted.\n\n    g();\n".repeat(lines);
    let code = |lines| Code::new("a.rs", &format!("fn f() {{\n{}}}\n", body(lines)));
    assert_eq!(ratchet(&long(&code(FUNCTION_LINES - 2)), &[], TOLERANCE), []);
    let found = ratchet(&long(&code(FUNCTION_LINES - 1)), &[], TOLERANCE);
    assert_eq!((found.len(), found[0].line), (1, 1), "{found:?}");
    assert_eq!(ratchet(&long(&code(FILE_LINES)), &[], TOLERANCE).len(), 2);

    let list = [allow("a.rs", "f", 100, "")];
    assert_eq!(ratchet(&long(&code(108)), &list, TOLERANCE), []);
    assert_eq!(ratchet(&long(&code(109)), &list, TOLERANCE).len(), 1);
}
