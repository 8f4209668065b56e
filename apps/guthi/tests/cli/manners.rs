//! How the program behaves between others: pipes, colours, narrow terminals, and text that would steer them.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, process::Stdio};

use crate::kit::{Home, told};

#[test]
fn without_a_command_five_are_shown() {
    let home = Home::new();
    let help = home.run::<&str>(&[]);
    assert_eq!(help.lines().filter(|line| line.starts_with("  guthi ")).count(), 5, "{help}");
    let (code, error) = home.refused(&["node", "lss"]);
    assert!(code == 2 && error.contains("'ls'"), "{error}");
    assert_eq!(home.refused(&["node"]).0, 2);
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    fs::write(home.path("long"), "a".repeat(1 << 20)).unwrap();
    let mut command = home.command(&["fn", "call", "echo", "@long"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The answer is larger than a pipe.
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{}", told(&output));
}

#[test]
fn tables_fit_where_they_are_shown_and_are_plain_in_a_pipe() {
    let home = Home::new();
    let _ann = home.start("ann", &["--zone", "a-zone-with-a-long-name"]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    for (columns, has_address) in [("60", false), ("200", true)] {
        for arguments in [&["node", "ls"][..], &["fn", "ls"], &["doctor"]] {
            let output = home.command(arguments).env("COLUMNS", columns).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let width: usize = columns.parse().unwrap();
            assert!(text.lines().all(|line| line.chars().count() <= width), "{columns}: {text}");
            assert!(!text.contains('\x1b'), "{text:?}");
            if arguments == ["node", "ls"] {
                assert!(text.starts_with("NAME") && text.contains("alive"), "{text}");
                assert_eq!(text.contains("VERSION"), has_address, "{columns}: {text}");
            }
        }
    }
    let painted = home.run(&["node", "ls", "--color", "always"]);
    assert!(painted.contains("\x1b[") && painted.contains("alive"), "{painted:?}");
}

#[test]
fn text_of_others_steers_no_terminal() {
    let home = Home::new();
    let _ann = home.start("ann", &["--label", "evil=\u{1b}[2J\u{202e}"]);
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}";
    let shown = [
        home.run(&["node", "show"]),
        home.run(&["node", "show", "-o", "json"]),
        home.run(&["node", "ls", "-o", "jsonl"]),
        home.run(&["fn", "call", "echo", evil]),
        home.refused(&["lock", "run", evil, "--", "true"]).1,
        home.refused(&["lock", "run", "\u{202e}m", "--", "\u{202e}missing"]).1,
        home.run(&["lock", "ls"]),
        home.run(&["fn", "call", "echo", evil, "--on", "all"]),
        home.run(&["fn", "call", "echo", evil, "-o", "json"]),
        home.refused(&["fn", "call", "demo.fail", evil]).1,
        home.refused(&["fn", "call", "demo.fail", evil, "-o", "json"]).1,
        home.refused(&["fn", "call", evil]).1,
        home.refused(&["node", "show", evil]).1,
        home.refused(&["node", "ls", "--node", evil]).1,
    ];
    for text in shown {
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
    }
    // Whoever asks for the text itself, in a pipe, gets it.
    assert_eq!(home.run(&["fn", "call", "echo", evil, "--raw"]), format!("{evil}\n"));
}

#[test]
fn the_doctor_tells_a_fault_from_a_good_state() {
    let home = Home::new();
    let ann = home.start("ann", &[]);
    let healthy = home.json(&["doctor"]);
    assert_eq!(healthy["healthy"], true, "{healthy:#}");
    drop(ann);
    let dead = home.run(&["doctor"]);
    assert!(dead.contains("left their files behind") && dead.contains("guthi node start"), "{dead}");
    fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let sick = home.command(&["doctor"]).env("GUTHI_KLUSTER", "x").env("GUTHI_KEY", "secret").output().unwrap();
    let text = String::from_utf8(sick.stdout).unwrap();
    assert_eq!(sick.status.code(), Some(1), "{text}");
    assert!(text.contains("chmod 700") && text.contains("GUTHI_KLUSTER means nothing"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_key_goes_into_a_file_that_only_its_owner_reads() {
    let home = Home::new();
    assert!(home.run(&["key", "new"]).starts_with("gk1"));
    home.run(&["key", "new", "--file", "studio.key"]);
    assert_eq!(fs::metadata(home.path("studio.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.refused(&["key", "new", "--file", "studio.key"]).0, 5, "it is not overwritten");
    let ann = home.start("ann", &["--listen", "127.0.0.1:0", "--key-file", "studio.key"]);
    let address = ann.told["node"]["addresses"][0].as_str().unwrap();
    let call = ["fn", "call", "echo", "hello", "--to", address];
    assert_eq!(home.run(&[&call[..], &["--key-file", "studio.key"]].concat()), "\"hello\"\n");
    home.run(&["key", "new", "--file", "other.key"]);
    let (code, error) = home.refused(&[&call[..], &["--key-file", "other.key"]].concat());
    assert!(code == 1 && error.contains("key"), "{error}");
}
