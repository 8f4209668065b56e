//! Calls, on all of their ways.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kit::Home;

#[test]
fn a_call_has_three_ways() {
    let home = Home::new();
    let ann = home.start("ann", &[]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    // Through the local node, which asks another one.
    let report = ["fn", "call", "demo.report", "10", "--raw"];
    assert_eq!(home.run(&report), "Output is: [Status in the past 10 days is okay]\n");
    // Straight to a node, whose answer nobody wraps up.
    let address = ann.told["node"]["addresses"][0].as_str().unwrap();
    let ticket = home.run(&["ticket", "--node", "ann"]);
    for to in [address, ticket.trim()] {
        let straight = home.json(&["fn", "call", "demo.status", "18", "--to", to]);
        assert_eq!(straight["result"], "Status in the past 18 days is okay");
        assert_eq!(straight["node"], ann.told["node"]["id"]);
    }
    // The function runs in the command, and what it calls runs elsewhere.
    let local = home.json(&["fn", "call", "demo.report", "18", "--local"]);
    assert_eq!(local["result"], "Output is: [Status in the past 18 days is okay]");
    assert!(local["name"].as_str().unwrap().starts_with("guthi-"), "{local}");
    // A node within the command that lets others work.
    let ephemeral = home.json(&["fn", "call", "sys.info", "--ephemeral", "--on", "ann"]);
    assert_eq!(ephemeral["result"]["name"], "ann");
    let (code, error) = home.refused(&["fn", "call", "demo.status", "1", "--to", "127.0.0.1:1"]);
    assert!(code == 1 && error.contains("127.0.0.1:1"), "{error}");
}

#[test]
fn arguments_are_json_text_or_what_stands_in_a_file() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let call = |arguments: &[&str]| home.run(&[&["fn", "call"], arguments].concat());
    assert_eq!(call(&["math.add", "2", "-0.5"]), "1.5\n");
    assert_eq!(call(&["math.add", "--args", "[2, 3]"]), "5.0\n");
    assert_eq!(call(&["echo", "two words"]), "\"two words\"\n");
    assert_eq!(call(&["echo", "two words", "-r"]), "two words\n");
    assert_eq!(call(&["echo", "\"5\"", "-r"]), "5\n");
    assert_eq!(call(&["echo", "@@home", "-r"]), "@home\n");
    fs::write(home.path("text"), "from a file").unwrap();
    assert_eq!(call(&["echo", "@text", "-r"]), "from a file\n");
    let (code, error) = home.refused(&["fn", "call", "echo", "5"]);
    assert!(code == 2 && error.contains("guthi fn ls echo"), "{error}");
    assert_eq!(home.refused(&["fn", "call", "echo", "@missing"]).0, 2);
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    let code = |arguments: &[&str]| home.refused(&[&["fn", "call"], arguments].concat()).0;
    assert_eq!(code(&["no.such.function"]), 3);
    assert_eq!(code(&["echo", "x", "--on", "nobody"]), 3);
    assert_eq!(code(&["demo.sleep", "60000", "--deadline", "100ms"]), 4);
    assert_eq!(code(&["demo.fail", "no"]), 7);
    assert_eq!(code(&["demo.fail", "no", "--on", "all"]), 7);
    assert_eq!(code(&["echo"]), 2);
    let (_, error) = home.refused(&["fn", "call", "demo.fail", "no", "-o", "json"]);
    let error: Value = serde_json::from_str(&error).unwrap();
    let known = json!({"code": "failed", "message": "`demo.fail` failed: no", "next": null, "outcome": "applied"});
    assert_eq!(error["error"], known);
    // One of two does not answer in time.
    ben.signal(Signal::STOP);
    let output =
        home.output(&["fn", "call", "math.add", "2", "3", "--on", "all", "--deadline", "300ms", "-o", "jsonl"]);
    ben.signal(Signal::CONT);
    let lines = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), rows.len()), (Some(8), 2), "{rows:?}");
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!((of("ann")["ok"].clone(), of("ben")["error"]["code"].clone()), (json!(5.0), json!("deadline")));
}

#[test]
fn progress_is_shown_to_nobody_who_pipes() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let output = home.output(&["fn", "call", "demo.primes", "200000"]);
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"17984\n"[..], &b""[..]));
}
