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

#[test]
fn many_variables_are_told_with_their_names() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    home.run(&["var", "set", "board/a", "1"]);
    home.run(&["var", "set", "other", "2"]);
    let mut board = Process::spawn(&mut home.command(&["var", "watch", "board/**"]));
    assert_eq!(board.line(), "board/a: 1\n");
    home.run(&["var", "set", "board/b", "text"]);
    assert_eq!(board.line(), "board/b: \"text\"\n");
    home.run(&["var", "set", "board/c", "AQID", "--base64", "--kind", "00000000000000ff"]);
    assert_eq!(board.line(), "board/c: AQID\n");
    home.run(&["var", "rm", "board/a"]);
    assert_eq!(board.line(), "board/a is deleted\n");

    let mut all = Process::spawn(&mut home.command(&["var", "watch", "**", "-o", "jsonl"]));
    let names: Vec<_> = (0..3).map(|_| until(&mut all, |_| true)["variable"]["name"].take()).collect();
    assert!(["board/b", "board/c", "other"].iter().all(|name| names.contains(&(*name).into())), "{names:?}");
    assert_eq!(until(&mut all, |_| true), serde_json::json!({ "change": "listed" }));
    // What was listed does not count, nor what is passed over.
    let count = ["var", "watch", "bo**", "-n", "3", "-o", "jsonl"];
    let mut counted = Process::spawn(&mut home.command(&count));
    until(&mut counted, |line| line["change"] == "listed");
    let mut updates =
        Process::spawn(&mut home.command(&["var", "watch", "**", "--updates-only", "-n", "1", "-o", "json"]));
    home.eventually("an update", || {
        home.run(&["var", "add", "other"]);
        updates.has_ended()
    });
    let (code, update, _) = updates.rest();
    let update: Value = serde_json::from_str(&update).unwrap();
    assert!(code == Some(0) && update["variable"]["value"].as_u64() > Some(2), "{update}");
    home.run(&["var", "set", "board/b", "more"]);
    let (code, last, _) = counted.rest();
    assert!(code == Some(0) && last.lines().count() == 1 && last.contains("\"more\""), "{last}");

    // A name that ends so itself is among those that begin so.
    home.run(&["var", "set", "odd**", "7"]);
    assert_eq!(home.run(&["var", "watch", "odd****", "-n", "1"]), "odd**: 7\n");
    let (code, error) = home.refused(&["var", "watch", &format!("{}**", "x".repeat(256))]);
    assert!(code == 2 && error.contains("no name begins with") && error.contains("next: "), "{error}");
}
