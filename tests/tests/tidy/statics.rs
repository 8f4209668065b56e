//! No state of the process.

use super::{
    code::Code,
    project::PROJECT,
    report::{Allowed, Count, Finding, Rule, allow, ratchet},
};

const RULE: Rule = Rule {
    rule: "Nothing in the framework belongs to the process.",
    why: "two nodes in one process are as separate as two machines; a static is what they would share, and what one \
          test leaves to the next",
    instead: "keep it in the node, the executor or the driver, and hand it on; the list of exceptions is in \
              tests/tests/tidy/statics.rs",
};

const LIST: &[Allowed] = &[
    allow(
        "framework/sim/src/scenario/variable/host.rs",
        "static TWINS",
        1,
        "two names of one shard, which are looked for once and never change",
    ),
    allow("framework/src/calls/function.rs", "inventory::collect!", 1, "the functions that are declared at link time"),
    allow("framework/src/calls/panic.rs", "static INSTALLED", 1, "the panic hook is one for the process"),
    allow("framework/src/calls/panic.rs", "static CATCHING", 1, "how the hook knows whose panic it sees"),
    allow("framework/src/calls/panic.rs", "static LOCATION", 1, "how the hook tells where it was"),
    allow("framework/src/network/libp2p/threads.rs", "static LEAVES", 1, "what the task that is polled has asked for"),
    allow("framework/src/network/libp2p/threads.rs", "static APART", 1, "whose thread it is"),
    allow("framework/src/network/libp2p/wakes.rs", "static GATHERED", 1, "whom the task that is polled has woken"),
];

#[test]
fn nothing_belongs_to_the_process() {
    let counts: Vec<_> = PROJECT.below(&["framework/"]).flat_map(statics).collect();
    RULE.judge(&ratchet(&counts, LIST, None));
}

/// The statics of a file, those of threads among them, and tables that the linker fills.
fn statics(code: &Code) -> Vec<Count> {
    let count = |at, what| Count { path: code.path.clone(), line: code.line(at), what, number: 1 };
    let statics = code.words(&["static"]).map(|at| {
        let name = (at + 1..).find(|&next| !matches!(code.text(next), "mut" | "ref")).unwrap_or(at);
        count(at, format!("static {}", code.text(name)))
    });
    let collected = code.find(&["inventory", "::", "collect", "!"]).map(|at| count(at, "inventory::collect!".into()));
    let linked = code.words(&["distributed_slice", "link_section"]).map(|at| count(at, code.text(at).into()));
    statics.chain(collected).chain(linked).collect()
}

#[test]
fn a_static_is_found() {
    let text = "fn f() -> &'static str { \"static\" }\n\
                static A: LazyLock<u8> = LazyLock::new(g);\n\
                thread_local! {\n    static B: Cell<u8> = const { Cell::new(0) };\n}\n\
                static mut C: u8 = 0;\n\
                inventory::collect!(D);\n";
    let code = Code::new("framework/src/a.rs", text);
    let found: Vec<Finding> = ratchet(&statics(&code), &[], None);
    assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 4, 6, 7], "{found:?}");
}
