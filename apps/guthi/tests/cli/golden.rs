//! What each command prints, beside what it printed when somebody looked at it: `UPDATE_GOLDEN=1` rewrites the files,
//! and the difference is read by a person.

use std::fs;

use serde_json::{Value, json};

use crate::kit::{Home, Process, golden};

/// All commands but those that end a node or wait for another command, in JSON.
const ASKED: &[(&str, &[&str])] = &[
    ("node-ls", &["node", "ls"]),
    ("ps", &["ps"]),
    ("node-show", &["node", "show", "ben"]),
    ("node-show-self", &["node", "show"]),
    ("fn-ls", &["fn", "ls"]),
    ("fn-call", &["fn", "call", "math.add", "2", "3", "--on", "ben"]),
    ("fn-call-all", &["fn", "call", "echo", "hello", "--on", "all"]),
    ("fn-call-print", &["fn", "call", "echo", "hello", "--print"]),
    ("lock-ls", &["lock", "ls"]),
    (
        "lock-run",
        &["lock", "run", "other", "--", "sh", "-c", "echo '{\"lock\":\"'$GUTHI_LOCK'\",\"fence\":\"'$GUTHI_FENCE'\"}'"],
    ),
    ("var-set", &["var", "set", "site/limit", "20"]),
    ("var-get", &["var", "get", "site/limit"]),
    ("var-watch", &["var", "watch", "site/limit", "-n", "1"]),
    ("var-add", &["var", "add", "site/limit", "-2"]),
    ("var-ls", &["var", "ls"]),
    ("var-export", &["var", "export"]),
    ("var-import", &["var", "import", "site.jsonl"]),
    ("var-reset", &["var", "reset", "site/limit"]),
    ("var-rm", &["var", "rm", "site/limit"]),
    ("topic-pub", &["topic", "pub", "chat", "hello"]),
    ("events-watch", &["events", "watch", "--no-follow", "-n", "1"]),
    ("log-tail", &["log", "tail", "--on", "ben", "--contains", "serves", "-n", "1"]),
    ("view-show", &["view", "show"]),
    ("sees", &["sees"]),
    ("key-new", &["key", "new"]),
    ("ticket", &["ticket"]),
    ("dashboard", &["dashboard"]),
    ("doctor", &["doctor"]),
    ("completions", &["completions", "bash"]),
    ("lab", &["lab", "-n", "1", "--", "sh", "-c", "echo $GUTHI_NAME"]),
];

/// Those whose tables are looked at too, and how wide these are.
const DRAWN: &[(&str, &[&str], &str)] = &[
    ("node-ls", &["node", "ls"], "58"),
    ("fn-ls", &["fn", "ls"], "200"),
    ("fn-ls-narrow", &["fn", "ls"], "60"),
    ("lock-ls", &["lock", "ls"], "80"),
    ("view-show", &["view", "show"], "80"),
    ("sees", &["sees"], "80"),
    ("fn-call-all", &["fn", "call", "math.add", "2", "3", "--on", "all"], "80"),
    ("events-watch", &["events", "watch", "--no-follow", "-n", "1"], "80"),
    ("log-tail", &["log", "tail", "--contains", "serves", "-n", "1"], "200"),
];

#[test]
fn every_command_answers_as_it_did_when_somebody_looked() {
    let home = Home::new();
    let ann = home.start("ann", &[]);
    let ben = home.start("ben", &["--zone", "here"]);
    home.wait_for(2, "ann");
    home.wait_for(2, "ben");
    let mut held =
        Process::spawn(&mut home.command(&["lock", "run", "deploy", "--node", "ben", "--", "sh", "-c", "echo; cat"]));
    held.line();
    home.run(&["var", "set", "motd", "<b>hello</b>"]);
    fs::write(home.path("site.jsonl"), "{\"name\":\"site/other\",\"value\":1.5}\n").unwrap();
    let mut differ = Vec::new();
    differ.extend(differs("node-start.json", &pretty(ann.told.clone())));
    for (name, arguments, width) in DRAWN {
        let output = home.command(arguments).env("COLUMNS", width).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        differ.extend(differs(&format!("{name}.txt"), &masked_text(text, &[&ann.told, &ben.told])));
    }
    for (name, arguments) in ASKED {
        differ.extend(differs(&format!("{name}.json"), &pretty(answer(&home, arguments))));
    }
    differ.extend(differs("topic-sub.json", &pretty(heard(&home))));
    drop(held);
    let address = ben.told["node"]["addresses"][0].as_str().unwrap();
    differ.extend(differs("node-connect.json", &pretty(answer(&home, &["node", "connect", address]))));
    differ.extend(differs("node-forget.json", &pretty(answer(&home, &["node", "forget", "ben"]))));
    differ.extend(differs("node-leave.json", &pretty(answer(&home, &["node", "leave", "ann"]))));
    assert!(
        differ.is_empty(),
        "{}\nIf that is right: UPDATE_GOLDEN=1 cargo test -p guthi-cli --test cli",
        differ.join("\n")
    );
}

#[test]
fn every_golden_file_is_that_of_a_command() {
    let others = ["topic-sub", "node-start", "node-connect", "node-forget", "node-leave"];
    let json = ASKED.iter().map(|(name, _)| *name).chain(others).map(|name| format!("{name}.json"));
    let text = DRAWN.iter().map(|(name, ..)| format!("{name}.txt"));
    let known: Vec<_> = json.chain(text).collect();
    for file in fs::read_dir(golden()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "nothing makes tests/golden/{name}");
    }
}

/// One value, or all values of those that print several.
fn answer(home: &Home, arguments: &[&str]) -> Value {
    let output = home.run(&[&["-o", "json"], arguments].concat());
    let mut values: Vec<Value> = serde_json::Deserializer::from_str(&output).into_iter().map(Result::unwrap).collect();
    if values.len() == 1 { values.remove(0) } else { json!(values) }
}

/// A message that somebody who subscribes has heard.
fn heard(home: &Home) -> Value {
    let hears = Process::spawn(&mut home.command(&["topic", "sub", "chat", "-n", "1", "-o", "json"]));
    home.eventually("it is heard", || home.json(&["topic", "pub", "chat", "hello"])["nodes"] == 1);
    serde_json::from_str(&hears.rest().1).unwrap()
}

fn pretty(value: Value) -> String {
    let mut text = serde_json::to_string_pretty(&masked("", value)).unwrap();
    text.push('\n');
    text
}

/// Keys whose values are others in each run.
const CHANGING: &[&str] = &[
    "address",
    "addresses",
    "at",
    "authorization",
    "available_bytes",
    "calls",
    "colour",
    "copies",
    "cores",
    "cpu",
    "cpu_usage",
    "curl",
    "dashboard",
    "elapsed_ms",
    "epoch",
    "fence",
    "held_ms",
    "homes",
    "incarnation",
    "installed_bytes",
    "key",
    "lineage",
    "memory",
    "memory_load",
    "os",
    "p50_ms",
    "p95_ms",
    "pid",
    "port",
    "process_cpu",
    "process_memory_bytes",
    "rtt_ms",
    "runtime_dir",
    "script",
    "seq",
    "short",
    "since",
    "started",
    "ticket",
    "token",
    "uptime_s",
    "url",
    "version",
];

/// The same without what is another in each run: it is there, and that is all that matters.
fn masked(key: &str, value: Value) -> Value {
    match value {
        _ if CHANGING.contains(&key.to_lowercase().as_str()) => json!("…"),
        Value::String(text) if text.starts_with("12D3Koo") => json!("<id>"),
        // What the doctor says is for people, and of this machine.
        Value::String(_) if key == "message" => json!("…"),
        Value::Array(items) => items.into_iter().map(|item| masked("", item)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key.clone(), masked(&key, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        value => value,
    }
}

/// The same for tables: numbers, ids, and how far the columns are apart.
fn masked_text(text: String, nodes: &[&Value]) -> String {
    let hide = |text: String, node: &&Value| {
        let id = node["node"]["id"].as_str().unwrap();
        text.replace(id, "<id>").replace(&id[id.len() - 8..], "<short>")
    };
    let text = nodes.iter().fold(text, hide);
    let mut masked = String::new();
    for line in text.lines() {
        let words = line.split("  ").map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(|word| without_numbers(&without_lineage(word))).collect();
        masked.push_str(words.join("  ").trim_end());
        masked.push('\n');
    }
    masked
}

fn without_lineage(text: &str) -> String {
    let is_lineage = |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let lineage = text.split(|c: char| !c.is_alphanumeric()).find(is_lineage);
    lineage.map_or_else(|| text.to_owned(), |lineage| text.replace(lineage, "<lineage>"))
}

/// Each number becomes a `#`; types such as `f64` keep theirs.
fn without_numbers(text: &str) -> String {
    let mut masked = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if masked.ends_with('#') => {}
            '0'..='9' if !masked.ends_with(|last: char| last.is_alphanumeric()) || masked.ends_with(['T', 'Z']) => {
                masked.push('#')
            }
            c => masked.push(c),
        }
    }
    masked
}

/// How a file differs from what it should hold; it is written if that is wanted.
fn differs(name: &str, text: &str) -> Option<String> {
    let path = golden().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    (expected != text).then(|| format!("--- {name}, as it was\n{expected}--- as it is\n{text}"))
}
