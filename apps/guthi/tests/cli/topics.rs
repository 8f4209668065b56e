//! Topics that commands write to and read from.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::kit::{Home, Process};

#[test]
fn what_one_node_says_is_heard_at_another() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    home.wait_for(2, "ben");
    assert_eq!(home.run(&["topic", "pub", "chat", "hello"]), "handed to 0 nodes\n");
    let mut heard = Process::spawn(&mut home.command(&["topic", "sub", "chat", "--node", "ben"]));
    let say = |rest: &[&str]| home.run(&[&["topic", "pub", "chat", "--node", "ann"], rest].concat());
    home.eventually("somebody hears it", || say(&["hello"]) == "handed to 1 node\n");
    assert_eq!(heard.line(), "ann: \"hello\"\n");
    for (said, line) in [
        (&["5"][..], "ann: 5\n"),
        (&["5", "--type", "string"], "ann: \"5\"\n"),
        (&["{\"a\":[1]}", "--type", "json"], "ann: {\"a\":[1]}\n"),
        (&["AQID", "--base64", "--kind", "00000000000000ff"], "ann: AQID\n"),
        (&["\u{1b}[2J"], "ann: \"\\u001b[2J\"\n"),
    ] {
        say(said);
        assert_eq!(heard.line(), line);
    }
    let mut two = Process::spawn(&mut home.command(&["topic", "sub", "chat", "-n", "2", "-o", "jsonl"]));
    home.eventually("both have come", || {
        say(&["-1"]);
        two.has_ended()
    });
    let (code, lines, _) = two.rest();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(0), 2));
    assert_eq!((&lines[1]["from"]["name"], &lines[1]["value"]), (&json!("ann"), &json!(-1)));

    home.run(&["node", "leave", "ben"]);
    let (code, _, error) = heard.rest();
    assert_eq!((code, error.as_str()), (Some(0), "ben has left\n"));
}

#[test]
fn what_cannot_be_said_is_refused_with_what_to_do() {
    let home = Home::new();
    let (code, error) = home.refused(&["topic", "pub", "chat", "hello"]);
    assert!(code == 6 && error.contains("guthi node start"), "{error}");
    let _ann = home.start("ann", &[]);
    let large = "x".repeat(70_000);
    for (arguments, exit, words) in [
        (&["topic", "pub", "chat", "[1]"][..], 2, "json takes all"),
        (&["topic", "pub", "chat", "1", "--type", "u63"], 2, "there is no type"),
        (&["topic", "pub", "chat", "x", "--type", "u8"], 2, "next: "),
        (&["topic", "pub", "a\nb", "1"], 2, "without control characters"),
        (&["topic", "sub", "a\nb"], 2, "without control characters"),
        (&["topic", "sub", ""], 2, "a value is required"),
        (&["topic", "pub", "chat", &large], 1, "at most 65536"),
    ] {
        let (code, error) = home.refused(arguments);
        assert!(code == exit && error.contains(words), "{arguments:?}: {code} {error}");
    }
}

#[test]
fn what_was_missed_is_told_beside_the_messages() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?t=secret", listener.local_addr().unwrap());
    let node = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let lines = "{\"missed\":3}\n{\"watched\":true}\n{\"from\":{\"node\":\"12D\",\"name\":null},\"value\":1}\n";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", lines.len());
            stream.write_all(format!("{head}{lines}").as_bytes()).unwrap();
        }
    });
    let output = home.output(&["topic", "sub", "chat", "-n", "1", "--node", &url]);
    assert_eq!(output.stdout, b"12D: 1\n");
    assert_eq!(output.stderr, b"3 messages were missed\n");
    let output = home.output(&["topic", "sub", "chat", "-n", "1", "--node", &url, "-o", "json"]);
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 2, "{output:?}");
    assert_eq!(output.stderr, b"3 messages were missed\n");
    node.join().unwrap();
}
