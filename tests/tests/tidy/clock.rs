//! Who reads the clock, draws lots and starts tasks.

use super::{
    code::Code,
    project::PROJECT,
    report::{Allowed, Count, Finding, Rule, allow, counts, ratchet},
};

const PURE: Rule = Rule {
    rule: "The core and the simulator know no clock, no chance and no thread.",
    why: "a run is told by its seed alone, so that whatever was seen once can be seen again; the order of a hash map \
          is a lot drawn as well",
    instead: "take the time and the seed as arguments, and use `BTreeMap` or `BTreeSet`; what must be borne in spite \
              of it stands with a reason in tests/tests/tidy/clock.rs",
};

const FEW: Rule = Rule {
    rule: "Only a few places in `guthi` read the clock, draw lots or start tasks.",
    why: "a node on virtual time is possible only where time, chance and tasks come in at places that can be listed",
    instead: "take the moment, the bytes or the spawner as an argument from the place that has them; if there is none, \
              add to the list in tests/tests/tidy/clock.rs and say why",
};

/// What the core and the simulator name all the same. A hash map may come here only if nobody iterates it.
const IMPURE: &[Allowed] = &[
    allow(
        "framework/core/src/protocol/variable/tests/recovery.rs",
        "std::thread::Builder::new",
        1,
        "a stack that is small, to show that it suffices",
    ),
    allow("framework/sim/src/campaign.rs", "std::thread", 1, "runs of different seeds share nothing, on any thread"),
    allow("framework/sim/src/history/search.rs", "HashMap", 3, "asked and never iterated; its hashes have no secret"),
    allow("framework/sim/src/history/search.rs", "HashSet", 3, "asked and never iterated; its hashes have no secret"),
    allow("framework/sim/src/history/zones.rs", "HashMap", 3, "asked and never iterated; its hashes have no secret"),
];

/// How often each file of `guthi` does so, tests aside.
const LIST: &[Allowed] = &[
    allow("framework/src/api/builder.rs", "getrandom", 1, "the identity of a node that was given none"),
    allow("framework/src/api/call.rs", "Instant::now", 1, "a duration becomes a deadline where the caller waits"),
    allow("framework/src/api/call_stream.rs", "Instant::now", 1, "how long a call took whose results are streamed"),
    allow("framework/src/api/context.rs", "Instant::now", 1, "a function asks for its deadline"),
    allow("framework/src/api/key.rs", "getrandom", 1, "a key"),
    allow("framework/src/api/logs.rs", "SystemTime::now", 1, "when a line was logged, for people"),
    allow("framework/src/api/map.rs", "Instant::now", 1, "a duration becomes a deadline where the caller waits"),
    allow("framework/src/api/node.rs", "Instant::now", 4, "patience with what still runs when a node leaves"),
    allow("framework/src/calls/channel/link.rs", "tokio::spawn", 1, "whoever opens a channel is heard out"),
    allow("framework/src/calls/executor.rs", "Instant::now", 3, "deadlines, and how long a function took"),
    allow("framework/src/calls/lane.rs", "Instant::now", 4, "deadlines travel as the time that remains"),
    allow("framework/src/calls/map.rs", "Instant::now", 3, "the clock of the schedule"),
    allow("framework/src/calls/progress.rs", "Instant::now", 1, "whether it is time to say how far a call is"),
    allow("framework/src/calls/router.rs", "Instant::now", 2, "how long a call took, and its last try"),
    allow("framework/src/calls/spin.rs", "Instant::now", 2, "how long a caller has looked"),
    allow("framework/src/calls/streams.rs", "Instant::now", 2, "deadlines travel as the time that remains"),
    allow("framework/src/calls/turns.rs", "Instant::now", 2, "the real time that a function has taken, in tests"),
    allow("framework/src/network/admission.rs", "getrandom", 1, "the nonce of a handshake"),
    allow("framework/src/network/libp2p/mod.rs", "tokio::spawn", 1, "the task that owns the swarm"),
    allow("framework/src/network/libp2p/threads.rs", "tokio::spawn", 1, "the task of each connection, for the swarm"),
    allow("framework/src/network/memory/exchange.rs", "Instant::now", 1, "the clock of the fabric"),
    allow("framework/src/network/memory/mod.rs", "Instant::now", 1, "whether a parcel has arrived"),
    allow("framework/src/network/memory/mod.rs", "tokio::spawn", 1, "what carries parcels"),
    allow("framework/src/runtime/clock.rs", "Instant::now", 2, "the clock of a node"),
    allow("framework/src/runtime/clock.rs", "getrandom", 1, "the seed of a node's protocols"),
    allow("framework/src/runtime/directory.rs", "getrandom", 1, "a name that no other process chooses"),
    allow("framework/src/runtime/gauge.rs", "Instant::now", 1, "whether it is time to look at the machine again"),
    allow("framework/src/runtime/driver.rs", "Instant::now", 4, "since when strangers wait"),
    allow("framework/src/runtime/errands.rs", "tokio::spawn", 7, "whatever waits is spawned"),
    allow("framework/src/runtime/inner.rs", "tokio::spawn", 1, "a node in memory lives on its caller's runtime"),
    allow(
        "framework/src/runtime/goodbye.rs",
        "Instant::now",
        2,
        "until when a node waits for guards, and the others' leave",
    ),
    allow("framework/src/runtime/machine.rs", "Instant::now", 1, "since when the machine was busy"),
    allow("framework/src/runtime/monitor.rs", "Instant::now", 2, "whether it is time to look at the machine again"),
    allow("framework/src/runtime/neighbours.rs", "Instant::now", 1, "when to look for others of this machine again"),
    allow("framework/src/runtime/peers.rs", "SystemTime::now", 2, "since when a peer has its status, for people"),
    allow(
        "framework/src/runtime/views.rs",
        "Instant::now",
        3,
        "when to look at the files of others, and how long a leaver waits",
    ),
    allow("framework/src/runtime/sayings/drive.rs", "Instant::now", 2, "whether an entry may be told again"),
    allow("framework/src/runtime/variables/drive.rs", "Instant::now", 1, "since when a copy is here, for people"),
    allow("framework/src/runtime/variables/mod.rs", "Instant::now", 2, "how long a read or an operation took"),
    allow("framework/src/runtime/variables/rescue.rs", "SystemTime::now", 1, "a file that no other one is called as"),
    allow("framework/src/runtime/world.rs", "SystemTime::now", 1, "a new life of a node needs a larger number"),
    allow("framework/src/testing/cluster.rs", "Instant::now", 11, "virtual time is what it is for"),
];

#[test]
fn the_core_knows_no_clock() {
    let pure = PROJECT.below(&["framework/core/", "framework/sim/src/"]).filter(|code| !is_program(&code.path));
    let counts: Vec<_> = pure.flat_map(impure).collect();
    PURE.judge(&ratchet(&counts, IMPURE, None));
}

#[test]
fn few_places_read_the_clock() {
    let counts: Vec<_> = PROJECT.below(&["framework/src/"]).flat_map(worldly).collect();
    FEW.judge(&ratchet(&counts, LIST, None));
}

fn is_program(path: &str) -> bool {
    path.contains("/bin/") || path.ends_with("/main.rs")
}

fn impure(code: &Code) -> Vec<Count> {
    let words = ["HashMap", "HashSet", "async", "await"];
    let words = code.words(&words).map(|at| (at, code.text(at).to_owned()));
    let paths = code.paths.iter().filter_map(|path| {
        let first = path.segments[0].as_str();
        let forbidden = path.contains(&["Instant", "now"])
            || path.contains(&["SystemTime", "now"])
            // To ask whether a test has failed starts nothing.
            || path.contains(&["std", "thread"]) && !path.ends_with(&["panicking"])
            || path.contains(&["std", "time", "Instant"])
            || path.contains(&["std", "time", "SystemTime"])
            || matches!(first, "getrandom" | "rand" | "fastrand" | "tokio");
        forbidden.then(|| (path.at, path.segments.join("::")))
    });
    counts(code, words.chain(paths))
}

fn worldly(code: &Code) -> Vec<Count> {
    let paths = code.paths.iter().filter(|path| !code.tokens[path.at].test).filter_map(|path| {
        let what = if path.contains(&["Instant", "now"]) {
            "Instant::now"
        } else if path.contains(&["SystemTime", "now"]) {
            "SystemTime::now"
        } else if path.segments[0] == "getrandom" {
            "getrandom"
        } else if path.segments[0] == "tokio" && path.ends_with(&["spawn"]) {
            "tokio::spawn"
        } else {
            return None;
        };
        Some((path.at, what.to_owned()))
    });
    counts(code, paths)
}

#[test]
fn a_clock_in_the_core_is_found() {
    for text in [
        "fn f() { let now = Instant::now(); }",
        "fn f() { let now = started.unwrap_or_else(std::time::SystemTime::now); }",
        "use std::{thread, fmt};",
        "fn f() { std::thread::spawn(g); }",
        "use rand::Rng;",
        "fn f() { getrandom::fill(&mut bytes); }",
        "struct A(HashMap<u8, u8>);",
        "async fn f() {}",
    ] {
        let code = Code::new("framework/sim/src/a.rs", text);
        let found: Vec<Finding> = ratchet(&impure(&code), &[], None);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
    let text = "/// Never `Instant::now()`.\nuse core::time::Duration; use alloc::collections::BTreeMap;";
    assert!(impure(&Code::new("framework/core/src/a.rs", text)).is_empty());
    assert!(is_program("framework/sim/src/bin/sim.rs") && !is_program("framework/sim/src/world.rs"));
}

#[test]
fn one_more_look_at_the_clock_is_found() {
    let text = "use tokio::{spawn, time::Instant};\n\
                fn f() {\n    let now = Instant::now();\n    select! { () = until(now) => later(Instant::now()) }\n}\n\
                #[cfg(test)]\nmod tests { fn f() { Instant::now(); } }\n";
    let counts = worldly(&Code::new("framework/src/a.rs", text));
    let path = "framework/src/a.rs";
    let found =
        |now| ratchet(&counts, &[allow(path, "Instant::now", now, ""), allow(path, "tokio::spawn", 1, "")], None);
    assert_eq!(found(2), []);
    assert_eq!(found(1).iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
    assert_eq!(ratchet(&counts, &[], None).len(), 2);
}
