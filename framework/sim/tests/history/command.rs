//! The command `lin`.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

const GOOD: &str = r#"
{"time":10,"client":1,"object":"x","invoke":{"set":5}}
{"time":14,"client":2,"object":"x","invoke":"get"}
{"time":17,"client":1,"return":"done"}
{"time":19,"client":2,"return":{"value":5},"version":"1.3"}
{"time":20,"client":3,"object":"m","invoke":"lock"}
{"time":21,"client":4,"object":"x","invoke":{"add":2}}
{"time":22,"client":5,"object":"m","invoke":"try_lock"}
{"time":23,"client":5,"outcome":"not_applied"}
{"time":30,"client":3,"return":{"fence":"1.1"}}
{"time":31,"client":4,"outcome":"unknown"}
"#;

const STALE: &str = r#"
{"time":10,"client":1,"object":"x","invoke":{"set":5}}
{"time":20,"client":1,"return":"done"}
{"time":30,"client":2,"object":"x","invoke":{"set":7}}
{"time":40,"client":2,"return":"done"}
{"time":50,"client":3,"object":"x","invoke":"get"}
{"time":60,"client":3,"return":{"value":5}}
"#;

#[test]
fn a_linearizable_history_exits_with_0() {
    let output = lin(&["-"], GOOD);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("m: linearizable (1 answered, 0 pending, by search)\nx: linearizable (2 answered, 1 pending")
    );
}

#[test]
fn a_stale_read_exits_with_1_and_is_shown() {
    let output = lin(&["-"], STALE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "\
x: NOT LINEARIZABLE (3 answered, 0 pending, by zones)
5 must come before 7 and after it.
client 1: set 5 ended before client 2: set 7 started.
client 2: set 7 ended before client 3: get = 5 started.

client 1 │├ set 5 ┤
client 2 │         ├ set 7 ┤
client 3 │                  ├ get = 5 ┤  <- does not fit
  10 .. 20  client 1: set 5
  30 .. 40  client 2: set 7
  50 .. 60  client 3: get = 5
";
    assert!(text.starts_with(expected), "{text}");

    let json = lin(&["-", "--json"], STALE);
    assert_eq!(json.status.code(), Some(1), "{json:?}");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["linearizable"], false);
    assert_eq!(json["objects"][0]["verdict"], "not_linearizable");
}

#[test]
fn a_spent_budget_and_bad_input_exit_with_2() {
    assert_eq!(lin(&["-", "--search", "--steps", "2"], STALE).status.code(), Some(2));
    for (input, message) in [
        ("{\"time\":1,\"client\":1,\"object\":\"x\",\"invoke\":\"gut\"}", "line 1: unknown variant `gut`"),
        ("{\"time\":1,\"client\":1,\"return\":\"done\"}", "line 1: client 1 has no operation that could end"),
        ("\n{\"time\":1,\"client\":1,\"object\":\"x\"}", "line 2: an event has either"),
    ] {
        let output = lin(&["-"], input);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn the_help_describes_the_file() {
    let output = lin(&["--help"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cargo lin run.jsonl --json") && text.contains("\"compare_and_set\""), "{text}");
}

fn lin(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lin"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever only asks for help does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
