//! `guthi node`, and what else is about nodes.

use serde_json::{Value, json};

use super::start;
use crate::{
    arguments::{Globals, Ls, Node, Status},
    client::{Client, segment},
    failure::Failure,
    options,
    screen::Screen,
    table::{Cell, Grid},
    target,
    text::plain,
};

/// Does what was asked for.
pub(crate) fn run(command: Node, globals: &Globals, screen: &Screen) -> Result<(), Failure> {
    let find = || target::find(globals, screen);
    match command {
        Node::Start(options) => start::run(&options, globals, screen),
        Node::Ls(options) => list(&options, &find()?, screen),
        Node::Show { which } => show(which.as_deref(), &find()?, screen),
        Node::Connect { address } => connect(&address, &find()?, screen),
        Node::Leave { which } => leave(which.as_deref(), globals, screen),
        Node::Forget { which } => forget(&which, &find()?, screen),
    }
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

/// Lists the nodes as one of them sees them.
pub(crate) fn list(options: &Ls, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let status: Vec<_> = options.status.iter().map(|status| status.name()).collect();
    let status = status.join(",");
    let mut query = vec![("limit", "1000")];
    if !status.is_empty() {
        query.push(("status", &status));
    }
    let answer = client.get("/nodes", &query)?;
    screen.list(&answer, |nodes| table(nodes, screen))
}

fn table(nodes: &[Value], screen: &Screen) -> Grid {
    let mut grid = Grid::new(&[
        ("NAME", 0),
        ("ID", 0),
        ("ADDRESS", 2),
        ("ZONE", 4),
        ("STATUS", 0),
        ("RTT", 3),
        ("CPU", 5),
        ("MEM", 5),
        ("SINCE", 1),
        ("VERSION", 6),
        ("REASON", 0),
    ]);
    for node in nodes {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let star = if node["self"] == true { "*" } else { "" };
        // What was measured of somebody who has gone says nothing any more.
        let is_there = !matches!(text("status"), "failed" | "left");
        let measured = |key: &str| node[key].as_f64().filter(|_| is_there);
        let percent = |key: &str| measured(key).map(|share| format!("{share:.0}%")).unwrap_or_default();
        grid.row(vec![
            format!("{}{star}", text("name")).into(),
            text("short").into(),
            address(node).into(),
            text("zone").into(),
            Cell::word(text("status")),
            measured("rtt_ms").map(|ms| format!("{ms:.1} ms")).unwrap_or_default().into(),
            percent("cpu").into(),
            percent("memory").into(),
            screen.since(text("since")).into(),
            text("version").into(),
            text("reason").into(),
        ]);
    }
    grid
}

/// Host and port if it has them, else its first address.
fn address(node: &Value) -> String {
    match (node["ip"].as_str(), node["port"].as_u64()) {
        (Some(ip), Some(port)) if ip.contains(':') => format!("[{ip}]:{port}"),
        (Some(ip), Some(port)) => format!("{ip}:{port}"),
        _ => node["addresses"][0].as_str().unwrap_or_default().to_owned(),
    }
}

fn show(which: Option<&str>, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let path = which.map_or_else(|| "/self".to_owned(), |which| format!("/nodes/{}", segment(which)));
    let answer = client.get(&path, &[])?;
    if screen.is_json() {
        return screen.json(&answer);
    }
    let node = &answer["node"];
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        value => plain(&value.to_string()),
    };
    screen.line(&format!("{}  {}", text(&node["name"]), screen.word(&text(&node["status"]))))?;
    for (title, value) in [
        ("id", text(&node["id"])),
        ("reason", text(&node["reason"])),
        ("since", screen.since(node["since"].as_str().unwrap_or_default())),
        ("rtt", node["rtt_ms"].as_f64().map(|ms| format!("{ms:.3} ms")).unwrap_or_default()),
        ("functions", text(&node["functions"])),
        ("version", text(&node["version"])),
        ("incarnation", text(&node["incarnation"])),
        ("cluster", text(&answer["cluster"])),
        ("process", text(&answer["pid"])),
        ("dashboard", text(&answer["url"])),
    ] {
        if !value.is_empty() {
            screen.line(&format!("  {title:<12}{value}"))?;
        }
    }
    for address in node["addresses"].as_array().into_iter().flatten() {
        screen.line(&format!("  {:<12}{}", "address", text(address)))?;
    }
    for (key, value) in node["labels"].as_object().into_iter().flatten() {
        screen.line(&format!("  {:<12}{}={}", "label", plain(key), text(value)))?;
    }
    Ok(())
}

fn connect(address: &str, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.post("/nodes/connect", &json!({"address": address}))?;
    let node = &answer["node"];
    let text = |key: &str| plain(node[key].as_str().unwrap_or("?"));
    let said = format!("{} is linked with {} ({})", plain(&client.name), text("name"), text("short"));
    screen.say(&said, &answer)
}

/// A word too little must not end the wrong node.
fn leave(which: Option<&str>, globals: &Globals, screen: &Screen) -> Result<(), Failure> {
    let which = which.or(globals.node.as_deref());
    if which.is_none() {
        let nodes = target::choices()?;
        if nodes.len() > 1 {
            let names: Vec<_> = nodes.iter().map(|node| format!("{} ({})", node.name, node.id.short())).collect();
            let failure = Failure::usage("several nodes run here");
            return Err(failure.next(format!("say which one: {}", names.join(", "))));
        }
    }
    let client = target::find_named(which, globals, screen)?;
    let own = client.get("/self", &[])?;
    let answer = client.post("/self/leave", &json!({"confirm": own["node"]["name"]}))?;
    screen.say(&format!("{} leaves", plain(own["node"]["name"].as_str().unwrap_or("it"))), &answer)
}

fn forget(which: &str, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.post(&format!("/nodes/{}/forget", segment(which)), &json!({}))?;
    screen.say(&format!("{} is forgotten by all", plain(which)), &answer)
}

/// Prints what another node can join with.
pub(crate) fn ticket(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let own = client.get("/self", &[])?;
    let ticket = own["ticket"].as_str().unwrap_or_default();
    let mut addresses = own["node"]["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if addresses.all(options::is_loopback) {
        screen.note(
            "it is good on this machine only, since its node listens nowhere else: see `guthi node start --help`",
        );
    }
    screen.say(&plain(ticket), &json!({"ticket": ticket, "node": own["node"]["id"], "name": own["node"]["name"]}))
}

/// Prints what a browser opens.
pub(crate) fn dashboard(client: &Client, screen: &Screen) -> Result<(), Failure> {
    // It answers, so that nobody opens what is not there.
    let own = client.get("/self", &[])?;
    let url = client.start_url();
    screen.say(&plain(&url), &json!({"url": url, "node": own["node"]["id"], "name": own["node"]["name"]}))
}
