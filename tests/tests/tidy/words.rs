//! What is written down is done.

use super::{
    code::Code,
    project::PROJECT,
    report::{Allowed, Count, Finding, Rule, allow, counts, ratchet},
};

const DONE: Rule = Rule {
    rule: "What is written down is done.",
    why: "a note in the code is found by nobody who looks for it, and a test that is passed over proves nothing",
    instead: "do it now, or say in a sentence what does not hold yet, where users read it; a test that cannot run \
              everywhere is `#[ignore = \"why, since when\"]`; a panic that is expected is caught, and its message \
              looked at",
};

const AWAKE: Rule = Rule {
    rule: "Tests do not sleep to wait for something.",
    why: "a sleep is too short on a busy machine and too long on every other",
    instead: "wait for the event, or ask again and again with `guthi_tests::cluster::eventually`; where the passing of \
              time is itself what is tested, add to the list in tests/tests/tidy/words.rs",
};

/// Spelt apart, because this file is looked at as well.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

const TEXTS: [&str; 10] = ["rs", "md", "toml", "yml", "yaml", "sh", "js", "css", "html", "run"];

/// How often each file of tests sleeps.
const LIST: &[Allowed] = &[
    allow("apps/guthi/tests/cli/kit.rs", "sleep", 1, "its own `eventually`"),
    allow("framework/src/calls/progress.rs", "sleep", 2, "intervals pass, on a paused clock"),
    allow("framework/src/calls/spare.rs", "sleep", 1, "buffers grow idle, on a paused clock"),
    allow("framework/src/network/conformance.rs", "sleep", 1, "its own `eventually`"),
    allow("framework/src/network/conformance/admission.rs", "sleep", 1, "a slow peer, on a paused clock"),
    allow("framework/src/network/memory/mod.rs", "sleep", 1, "nothing happens, on a paused clock"),
    allow("tests/src/load.rs", "sleep", 1, "who was refused does not ask again at once"),
    allow(
        "tests/src/bin/bench/variable.rs",
        "sleep",
        2,
        "what is remembered for a moment is forgotten, or a view changes",
    ),
    allow("tests/src/bin/bench/dashboard.rs", "sleep", 4, "nobody looks, or one browser does, for a time"),
    allow("tests/src/bin/bench/failover.rs", "sleep", 2, "processes are at rest, or all stopped, for a time"),
    allow("tests/src/bin/bench/idle.rs", "sleep", 2, "what it costs to do nothing for a time"),
    allow("tests/src/bin/bench/lock.rs", "sleep", 1, "a token is parked a moment after its guard was given back"),
    allow(
        "tests/src/bin/bench/watch.rs",
        "sleep",
        3,
        "nothing happens for a time, before and beside which is measured",
    ),
    allow(
        "tests/src/bin/bench/redis.rs",
        "sleep",
        3,
        "a server that starts, a replica that comes, and a client that tries again",
    ),
    allow("tests/src/cluster.rs", "sleep", 2, "the two `eventually`"),
    allow("tests/tests/browser/browser.rs", "sleep", 1, "its own `eventually`"),
    allow("tests/src/functions.rs", "sleep", 6, "functions that take long"),
    allow("tests/tests/cluster/mutexes.rs", "sleep", 1, "a guard is held for a time, on a paused clock"),
    allow("tests/tests/chaos/cohort.rs", "sleep", 2, "its own `eventually`, and how long a cut lasts"),
];

#[test]
fn what_is_written_down_is_done() {
    let notes = PROJECT.texts(&TEXTS).flat_map(|(path, text)| notes(path, &text));
    let findings: Vec<_> = notes.chain(PROJECT.code.iter().flat_map(undone)).collect();
    DONE.judge(&findings);
}

#[test]
fn tests_do_not_sleep() {
    let counts: Vec<_> = PROJECT.code.iter().flat_map(sleeps).collect();
    AWAKE.judge(&ratchet(&counts, LIST, None));
}

/// Notes to oneself, in comments and everywhere else.
fn notes(path: &str, text: &str) -> Vec<Finding> {
    let noted = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.find_map(|word| NOTES.iter().find(|note| word == **note))
    };
    let lines = text.lines().zip(1..).filter_map(|(text, line)| Some((noted(text)?, line)));
    lines.map(|(note, line)| Finding { path: path.into(), line, what: format!("`{note}`") }).collect()
}

/// Code that is not there yet, and tests that are passed over.
fn undone(code: &Code) -> Vec<Finding> {
    let words = ["dbg", "todo", "unimplemented"];
    let macros = code.words(&words).filter(|&at| code.text(at + 1) == "!");
    let ignored = code.find(&["[", "ignore", "]"]);
    let conditionally = code.find(&["cfg_attr", "("]).flat_map(|at| {
        let end = code.tokens[at + 1].partner;
        (at..end).filter(|&at| code.text(at) == "ignore" && matches!(code.text(at + 1), "," | ")"))
    });
    let panics = code.words(&["should_panic"]);
    let places = macros.chain(ignored.map(|at| at + 1)).chain(conditionally).chain(panics);
    places.map(|at| Finding::new(code, at, format!("`{}`", code.text(at)))).collect()
}

fn sleeps(code: &Code) -> Vec<Count> {
    let sleeps = code.paths.iter().filter(|path| {
        let ends = |last| path.ends_with(&["thread", last]) || path.ends_with(&["time", last]);
        (ends("sleep") || ends("sleep_until")) && code.tokens[path.at].test
    });
    counts(code, sleeps.map(|path| (path.at, "sleep".to_owned())))
}

#[test]
fn what_is_not_done_is_found() {
    let note = NOTES[0];
    assert_eq!(notes("a.md", &format!("a\n// {note}: b\n{note}s {note}_MAX\n")).len(), 1);
    let text = "fn f() { todo!() }\nfn g() { dbg!(1) }\nfn h() { unimplemented!(\"later\") }\n\
                #[test]\n#[ignore]\nfn i() {}\n\
                #[test]\n#[should_panic(expected = \"a\")]\nfn j() {}\n\
                #[cfg_attr(miri, ignore)]\nfn k() {}\n\
                #[ignore = \"needs two machines, since 2026-01\"]\nfn l() { let todo = \"dbg!\"; }\n";
    let found = undone(&Code::new("a.rs", text));
    let mut lines: Vec<_> = found.iter().map(|finding| finding.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3, 5, 8, 10], "{found:?}");
}

#[test]
fn a_test_that_sleeps_is_found() {
    let text = "fn f() { std::thread::sleep(a); }\n#[cfg(test)]\nmod tests { fn g() { time::sleep(b) } }\n";
    let product = sleeps(&Code::new("framework/src/a.rs", text));
    assert_eq!(ratchet(&product, &[], None)[0].line, 3);
    let tests = sleeps(&Code::new("tests/tests/a.rs", text));
    let listed = |number| ratchet(&tests, &[allow("tests/tests/a.rs", "sleep", number, "")], None);
    assert_eq!(listed(2), []);
    assert_eq!(listed(1).len(), 1);
}
