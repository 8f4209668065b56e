//! Labs: several nodes that come and go together.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::kit::{Home, Process};

/// Lines of the lab until one that is wanted.
fn until(lab: &mut Process, wanted: &str) -> Value {
    loop {
        let line: Value = serde_json::from_str(&lab.line()).unwrap();
        if line["line"].as_str().unwrap().contains(wanted) {
            return line;
        }
    }
}

#[test]
fn a_lab_is_a_cluster_of_its_own_and_ends_as_a_whole() {
    let home = Home::new();
    let _stranger = home.start("zoe", &[]);
    let mut lab = Process::spawn(&mut home.command(&["lab", "-n", "3", "-o", "jsonl"]));
    // All three, in whatever order they come up: until then one is there that cannot be asked yet.
    let serving: BTreeSet<_> = (0..3).map(|_| until(&mut lab, "dashboard")["name"].to_string()).collect();
    assert_eq!(serving.len(), 3, "{serving:?}");
    home.wait_for(3, "ann");
    let told = home.json(&["node", "show", "--node", "ben"]);
    assert!(told["cluster"].as_str().unwrap().starts_with("lab-"), "{told}");
    // One is killed: the lab says so, and the other one goes on.
    let pid = Pid::from_raw(i32::try_from(told["pid"].as_u64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    home.wait_for(2, "ann");
    lab.signal(Signal::INT);
    let (code, out, error) = lab.rest();
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("ben has ended: signal: 9") && error.contains("the lab ends"), "{error}");
    assert!(!error.contains("does not end"), "{error}");
    let failed: Vec<_> = out.lines().filter(|line| line.contains("has failed")).collect();
    assert!(failed.iter().all(|line| line.contains("ben")), "the others say goodbye: {failed:?}");
    assert_eq!(home.refused(&["node", "ls", "--node", "ann"]).0, 6, "they have left");
    assert!(home.run(&["node", "ls"]).starts_with("NAME"), "strangers are left alone");
}

#[test]
fn a_lab_whose_programs_have_ended_ends() {
    let home = Home::new();
    let script = "echo $GUTHI_NAME; echo bad >&2; exit 3";
    let output = home.output(&["lab", "-n", "1", "--restart", "--", "sh", "-c", script]);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!((out.matches("ann  ann").count(), out.matches("ann  bad").count()), (6, 6), "{out}");
    assert!(error.contains("exit status: 3") && error.contains("too often"), "{error}");
    let (code, error) = home.refused(&["lab", "--", "/no/such/program"]);
    assert!(code == 1 && error.contains("/no/such/program"), "{error}");
}

#[test]
fn a_lab_ends_with_whoever_started_it() {
    let home = Home::new();
    let mut lab = Process::spawn(&mut home.command(&["lab", "-n", "1", "-o", "jsonl"]));
    until(&mut lab, "dashboard");
    // Without a word, so that it can tell nobody.
    lab.signal(Signal::KILL);
    home.eventually("its nodes have left", || home.refused(&["node", "ls"]).0 == 6);
}
