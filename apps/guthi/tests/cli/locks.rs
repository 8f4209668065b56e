//! Commands that run under a mutex, and what is seen of it.

use std::{path::Path, time::Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::kit::{Home, Process, told};

/// Runs a command under the mutex `deploy`; it has begun when this returns. What it says first comes back as well.
fn hold(home: &Home, options: &[&str], script: &str) -> (Process, String) {
    let command = [&["lock", "run", "deploy"], options, &["--", "sh", "-c", script]].concat();
    let mut process = Process::spawn(&mut home.command(&command));
    let said = process.line().trim().to_owned();
    (process, said)
}

/// A fence as a pair of numbers.
fn fence(text: &str) -> (u64, u64) {
    let (epoch, number) = text.trim().split_once('.').unwrap_or_else(|| panic!("no fence: {text:?}"));
    (epoch.parse().unwrap(), number.parse().unwrap())
}

/// What goes on until its standard input ends, which is when the test lets go of it.
const GOES_ON: &str = "echo $GUTHI_FENCE; exec cat > /dev/null";
const STUBBORN: &str = "trap '' TERM; echo $GUTHI_FENCE; while :; do read line || sleep 0.05; done";

#[test]
fn a_command_runs_while_nobody_else_does() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    home.wait_for(2, "ben");
    let told_of = "echo $GUTHI_LOCK $GUTHI_PREVIOUS_HOLDER_DIED; echo $GUTHI_FENCE";
    let first = home.run(&["lock", "run", "deploy", "--", "sh", "-c", told_of]);
    let (lock, first) = first.split_once('\n').unwrap();
    assert_eq!(lock, "deploy");

    let (held, second) = hold(&home, &["--node", "ben"], GOES_ON);
    assert!(fence(&second) > fence(first), "{first} {second}");
    let list = home.json(&["lock", "ls", "dep"]);
    let row = &list["items"][0];
    assert_eq!(
        (&row["name"], &row["holder"]["name"], &row["holder"]["fence"]),
        (&json!("deploy"), &json!("ben"), &json!(second))
    );
    assert_eq!((&list["unanswered"], &list["more"]), (&json!([]), &json!(false)));
    assert_eq!(home.json(&["lock", "ls", "other"])["items"], json!([]));
    for node in ["ann", "ben"] {
        let run = |options: &[&str]| {
            home.refused(&[&["lock", "run", "deploy", "--node", node], options, &["--", "touch", "ran"]].concat())
        };
        let (code, error) = run(&["--try"]);
        assert!(code == 5 && error.contains("somebody has the mutex `deploy`"), "{error}");
        let (code, error) = run(&["--wait", "1200ms"]);
        assert!(code == 5 && error.contains("waiting for the mutex deploy: ben has had it for"), "{error}");
        assert!(error.contains("not to be had within 1.2s") && error.contains("guthi lock ls"), "{error}");
    }
    assert!(!home.path("ran").exists());

    let mut waits =
        Process::spawn(&mut home.command(&["lock", "run", "deploy", "--", "sh", "-c", "echo $GUTHI_FENCE"]));
    home.eventually("it waits", || home.json(&["lock", "ls"])["items"][0]["waiting"] == 1);
    let table = home.run(&["lock", "ls"]);
    assert!(table.starts_with("NAME") && table.contains("deploy") && table.contains("ann"), "{table}");
    assert_eq!(ends(held), Some(0));
    assert!(fence(&waits.line()) > fence(&second));
    assert_eq!(waits.rest().0, Some(0));
}

/// Ends the standard input of a command, and waits for it.
fn ends(mut held: Process) -> Option<i32> {
    drop(held.child.stdin.take());
    held.rest().0
}

#[test]
fn what_a_command_ends_with_is_passed_on() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let run = |command: &[&str]| {
        let output = home.output(&[&["lock", "run", "a/b c", "--try", "--"], command].concat());
        (output.status.code(), told(&output))
    };
    // Each of them finds the mutex free: it was given back before the one before ended.
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("exit 255", 255)] {
        let (found, told) = run(&["sh", "-c", script]);
        assert_eq!(found, Some(code), "{script}: {told}");
    }
    assert_eq!(run(&["./missing"]).0, Some(127));
    assert_eq!(run(&["/"]).0, Some(126));
    assert_eq!(run(&["cat"]).0, Some(0));
    assert_eq!(home.refused(&["lock", "run", "", "--", "true"]).0, 2);
    assert_eq!(home.refused(&["lock", "run", "m"]).0, 2);
}

#[test]
fn signals_go_to_the_command_and_the_mutex_is_held_until_it_has_ended() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let waits = "trap 'echo told; read line; exit 3' TERM; echo $GUTHI_FENCE; while :; do sleep 0.05; done";
    let (mut held, _) = hold(&home, &[], waits);
    held.signal(Signal::TERM);
    assert_eq!(held.line(), "told\n");
    assert_eq!(home.refused(&["lock", "run", "deploy", "--try", "--", "true"]).0, 5);
    assert_eq!(ends(held), Some(3));
    home.run(&["lock", "run", "deploy", "--try", "--", "true"]);

    let (held, _) = hold(&home, &[], GOES_ON);
    let waiting = Process::spawn(&mut home.command(&["lock", "run", "deploy", "--", "true"]));
    home.eventually("it waits", || home.json(&["lock", "ls"])["items"][0]["waiting"] == 1);
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.rest().0, Some(143), "whoever waits ends at once");
    home.eventually("nobody waits", || home.json(&["lock", "ls"])["items"][0]["waiting"] == 0);
    assert_eq!(ends(held), Some(0));
}

#[test]
fn a_runner_that_is_killed_frees_the_mutex_for_the_next() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let (mut held, first) = hold(&home, &[], GOES_ON);
    held.child.kill().unwrap();
    let next = home.run(&["lock", "run", "deploy", "--wait", "30s", "--", "sh", "-c", "echo $GUTHI_FENCE"]);
    assert!(fence(&next) > fence(&first));
}

#[test]
fn a_command_whose_mutex_is_lost_is_told_to_end_and_killed_if_it_does_not() {
    let home = Home::new();
    let ann = home.start("ann", &[]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    home.wait_for(2, "ben");
    let (held, first) = hold(&home, &["--node", "ann", "--grace", "300ms"], STUBBORN);
    // Without a word.
    drop(ann);
    let begin = Instant::now();
    let (code, _, error) = held.rest();
    assert_eq!(code, Some(5), "{error}");
    assert!(
        error.contains("the mutex `deploy` was lost") && error.contains("the connection to the node ann broke"),
        "{error}"
    );
    assert!(error.contains("GUTHI_FENCE") && error.contains("is killed"), "{error}");
    assert!(begin.elapsed() < crate::kit::HANG / 2);
    let next = home.run(&["lock", "run", "deploy", "--", "sh", "-c", "echo $GUTHI_PREVIOUS_HOLDER_DIED $GUTHI_FENCE"]);
    let (died, next) = next.split_once(' ').unwrap();
    assert!(died == "1" && fence(next) > fence(&first), "{died} {next}");

    // A node that leaves says so.
    let (held, _) = hold(&home, &["-o", "json"], GOES_ON);
    home.run(&["node", "leave", "ben"]);
    let (code, _, error) = held.rest();
    let error: Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    assert_eq!(
        (code, &error["error"]["code"], &error["error"]["outcome"]),
        (Some(5), &json!("lost"), &json!("unknown"))
    );
    assert_eq!(home.refused(&["lock", "run", "deploy", "--", "true"]).0, 6);
}

#[test]
fn who_does_not_answer_is_named() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    ben.signal(Signal::STOP);
    let output = home.output(&["lock", "ls", "--node", "ann", "-o", "json"]);
    ben.signal(Signal::CONT);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &list["unanswered"][0]["name"]), (Some(8), &json!("ben")), "{list}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("no answer from ben"));
}

#[test]
fn a_node_within_the_command_holds_it_too() {
    let home = Home::new();
    let alone = home.refused(&["lock", "run", "deploy", "--ephemeral", "--", "true"]);
    assert!(alone.0 == 6 && alone.1.contains("guthi node start"), "{}", alone.1);
    let _ann = home.start("ann", &[]);
    let (held, first) = hold(&home, &["--ephemeral"], GOES_ON);
    assert_eq!(home.refused(&["lock", "run", "deploy", "--try", "--", "true"]).0, 5);
    assert_eq!(home.refused(&["lock", "run", "deploy", "--try", "--ephemeral", "--", "true"]).0, 5);
    assert_eq!(ends(held), Some(0));
    let next = home.run(&["lock", "run", "deploy", "--ephemeral", "--", "sh", "-c", "echo $GUTHI_FENCE; touch ran"]);
    assert!(fence(&next) > fence(&first) && Path::new(&home.path("ran")).exists());
}
