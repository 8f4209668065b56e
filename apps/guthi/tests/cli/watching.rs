//! Commands that go on: what is told as it happens.

use serde_json::Value;

use crate::kit::{Home, Process};

/// Lines of a watch until one that is wanted.
fn until(watch: &mut Process, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line: Value = serde_json::from_str(&watch.line()).unwrap();
        if wanted(&line) {
            return line;
        }
    }
}

#[test]
fn a_failure_is_told_as_it_happens_with_its_reason() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let mut events = Process::spawn(&mut home.command(&["events", "watch", "-o", "jsonl"]));
    let follow = ["log", "tail", "--follow", "--contains", "failed", "-o", "jsonl"];
    let mut log = Process::spawn(&mut home.command(&follow));
    let ben = home.start("ben", &[]);
    let joined = until(&mut events, |event| event["event"] == "joined");
    assert_eq!((joined["node"]["name"].as_str(), joined["reason"].as_str()), (Some("ben"), None));
    // Without a word.
    drop(ben);
    let failed = until(&mut events, |event| event["event"] == "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.starts_with("the link broke"), "{failed}");
    let seen = home.json(&["node", "show", "ben"]);
    assert_eq!((seen["node"]["status"].as_str(), seen["node"]["reason"].as_str()), (Some("failed"), Some(reason)));
    let line = until(&mut log, |_| true);
    assert!(line["level"] == "warn" && line.to_string().contains("ben"), "{line}");
    // They end with the node.
    home.run(&["node", "leave"]);
    for watch in [events, log] {
        let (code, _, error) = watch.rest();
        assert_eq!((code, error.as_str()), (Some(0), "ann has left\n"));
    }
}

#[test]
fn a_call_ends_with_its_command() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let running = || home.json(&["node", "show"])["resources"]["calls"].as_u64().unwrap();
    let idle = running();
    let call = Process::spawn(&mut home.command(&["fn", "call", "demo.sleep", "60000"]));
    home.eventually("the function runs", || running() > idle);
    // Ctrl-C does the same, unless whoever started this test ignores it.
    call.signal(rustix::process::Signal::TERM);
    home.eventually("it is cancelled", || running() == idle);
    assert_eq!(call.rest().0, None, "it ends by the signal");
}

#[test]
fn the_values_of_a_variable_are_told_as_they_come() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    home.run(&["var", "set", "site/hits", "1"]);
    let mut all = Process::spawn(&mut home.command(&["var", "watch", "site/hits"]));
    let mut updates =
        Process::spawn(&mut home.command(&["var", "watch", "site/hits", "--updates-only", "-o", "jsonl"]));
    assert_eq!(all.line().trim(), "1");
    // Whatever comes until it is watched is no update.
    home.eventually("an update", || {
        home.run(&["var", "add", "site/hits"]);
        home.run(&["var", "get", "site/hits"]).trim().parse::<u64>().unwrap() > 5
    });
    let update = until(&mut updates, |line| line["change"] == "set");
    assert!(update["variable"]["value"].as_u64() > Some(1), "{update}");
    until(&mut all, |line| line.as_u64() > Some(5));
    home.run(&["var", "rm", "site/hits"]);
    let deleted = until(&mut updates, |line| line["change"] == "deleted");
    assert_eq!(deleted["name"], "site/hits");
    home.run(&["node", "leave"]);
    let (code, _, error) = all.rest();
    assert!(code == Some(0) && error.ends_with("ann has left\n"), "{error}");
}
