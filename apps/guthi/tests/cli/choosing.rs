//! Which node is asked.

use crate::kit::Home;

/// The name of the node that answers.
fn asked(home: &Home, options: &[&str]) -> String {
    let own = home.json(&[&["node", "show"], options].concat());
    own["node"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn without_a_node_it_is_said_how_to_start_one() {
    let home = Home::new();
    for arguments in [
        &["node", "ls"][..],
        &["fn", "call", "echo", "x"],
        &["events", "watch"],
        &["ticket"],
        &["sees"],
        &["lock", "ls"],
        &["lock", "run", "m", "--", "true"],
    ] {
        let (code, error) = home.refused(arguments);
        assert_eq!((code, error.as_str()), (6, "error: no node is running here — start one with `guthi node start`\n"));
    }
    let (code, error) = home.refused(&["node", "ls", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, error["error"]["code"].as_str()), (6, Some("no_local_node")));
}

#[test]
fn the_oldest_node_is_asked_and_any_other_by_its_names() {
    let home = Home::new();
    let foreign = home.start("zoe", &["--cluster", "studio"]);
    assert_eq!(asked(&home, &[]), "zoe", "it is the only one");
    let _ann = home.start("ann", &[]);
    let ben = home.start("ben", &[]);
    assert_eq!(asked(&home, &[]), "ann", "the cluster `local` comes first");
    let (id, short) = (ben.told["node"]["id"].as_str().unwrap(), ben.told["node"]["short"].as_str().unwrap());
    let start_url = ben.told["dashboard"].as_str().unwrap();
    let base = start_url.split('?').next().unwrap();
    assert_eq!(home.run(&["dashboard", "--node", "ben"]).trim(), start_url);
    for wanted in ["ben", id, short, start_url, base] {
        assert_eq!(asked(&home, &["--node", wanted]), "ben", "{wanted}");
    }
    let by_environment = home.command(&["node", "show"]).env("GUTHI_NODE", "zoe").output().unwrap();
    assert!(String::from_utf8(by_environment.stdout).unwrap().starts_with("zoe "));
    let by_cluster = home.command(&["node", "show"]).env("GUTHI_CLUSTER", "studio").output().unwrap();
    assert!(String::from_utf8(by_cluster.stdout).unwrap().starts_with("zoe "));

    let (code, error) = home.refused(&["node", "ls", "--node", "eve"]);
    assert!(code == 6 && error.contains("\"eve\"") && error.contains("ann ("), "{error}");
    let _twin = home.start("ben", &[]);
    let (code, error) = home.refused(&["node", "ls", "--node", "ben"]);
    assert!(code == 5 && error.contains(short), "{error}");
    let (code, error) = home.refused(&["node", "leave"]);
    assert!(code == 2 && error.contains("several nodes"), "{error}");

    let (_, note) = home.refused(&["ticket"]);
    assert!(note.contains("this machine only"), "a ticket that leads nowhere else says so: {note}");
    let told = home.command(&["node", "ls", "-v"]).output().unwrap();
    assert!(String::from_utf8(told.stderr).unwrap().starts_with("asking ann ("));
    drop(foreign);
}

#[test]
fn a_node_without_a_dashboard_cannot_be_asked() {
    let home = Home::new();
    let silent = home.start("ann", &["--no-dashboard"]);
    assert!(silent.told["dashboard"].is_null());
    let (code, error) = home.refused(&["node", "ls"]);
    assert!(code == 6 && error.contains("ann has no dashboard"), "{error}");
}

#[test]
fn a_node_leaves_when_it_is_told_to() {
    let home = Home::new();
    let mut ann = home.start("ann", &[]);
    assert_eq!(home.run(&["node", "leave"]), "ann leaves\n");
    home.eventually("the process ends", || ann.has_ended());
    assert_eq!(ann.rest().0, Some(0));
    assert_eq!(home.refused(&["node", "ls"]).0, 6);
}
