//! `guthi log`.

use serde_json::Value;

use crate::{
    arguments::{Level, Tail},
    client::{Client, Push},
    failure::Failure,
    screen::Screen,
    text::plain,
};

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Prints the last lines, and then, if asked to, those that come.
pub(crate) fn tail(tail: &Tail, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let whose = id(tail.on.as_deref(), client)?;
    if tail.follow {
        return follow(tail, &whose, client, screen);
    }
    let limit = tail.lines.max(1).to_string();
    let contains = tail.contains.as_deref().unwrap_or_default();
    let query = [("node", whose.as_str()), ("level", tail.level.name()), ("limit", &limit), ("contains", contains)];
    let answer = client.get("/logs", &query)?;
    excuse(&answer["errors"], screen);
    if screen.output == crate::arguments::Output::Json {
        return screen.json(&answer);
    }
    let items = items(&answer["items"]);
    print(last(items, tail.lines), tail, screen)
}

fn follow(tail: &Tail, whose: &str, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let mut stream = client.stream(&format!("log:{whose}:{}", tail.level.name()))?;
    let mut begun = false;
    while let Some(push) = stream.next()? {
        match push {
            Push::Snapshot(snapshot) => {
                excuse(&snapshot["errors"], screen);
                if begun {
                    screen.note("some lines may be missing here");
                } else {
                    print(last(items(&snapshot["items"]), tail.lines), tail, screen)?;
                }
                begun = true;
            }
            Push::Delta(delta) => print(items(&delta["append"]), tail, screen)?,
            Push::Bye => break,
        }
    }
    screen.note(&format!("{} has left", plain(&client.name)));
    Ok(())
}

/// The id of the node whose log it is: that is what the interface wants in a topic.
fn id(named: Option<&str>, client: &Client) -> Result<String, Failure> {
    let path = match named {
        Some("all") => return Ok("all".into()),
        Some(name) => format!("/nodes/{}", crate::client::segment(name)),
        None => "/self".into(),
    };
    let answer = client.get(&path, &[])?;
    Ok(answer["node"]["id"].as_str().unwrap_or_default().to_owned())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn last(items: &[Value], lines: u32) -> &[Value] {
    &items[items.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX))..]
}

/// Nodes whose logs cannot be had.
fn excuse(errors: &Value, screen: &Screen) {
    for error in items(errors) {
        let text = |value: &Value| plain(value.as_str().unwrap_or("?"));
        screen.note(&format!("{}: {}", text(&error["name"]), text(&error["error"]["message"])));
    }
}

fn print(lines: &[Value], tail: &Tail, screen: &Screen) -> Result<(), Failure> {
    // What is pushed was not looked through.
    let wanted = |line: &&Value| match &tail.contains {
        Some(text) if tail.follow => has(line, text),
        _ => true,
    };
    for line in lines.iter().filter(wanted) {
        if screen.is_json() { screen.json_line(line)? } else { screen.line(&sentence(line, screen))? }
    }
    Ok(())
}

/// Whether a text stands in the line, or in one of its fields.
fn has(line: &Value, text: &str) -> bool {
    let fields = line["fields"].as_object().into_iter().flatten().map(|(_, value)| value);
    let mut texts = fields.chain([&line["message"], &line["target"]]).filter_map(Value::as_str);
    texts.any(|told| told.contains(text))
}

fn sentence(line: &Value, screen: &Screen) -> String {
    let text = |key: &str| plain(line[key].as_str().unwrap_or_default());
    let level = text("level");
    let gap = " ".repeat(5_usize.saturating_sub(level.len()));
    let fields = line["fields"].as_object().into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(" {}={}", plain(key), plain(&value))
    });
    let time = screen.clock(line["at"].as_str().unwrap_or_default());
    let (level, name) = (screen.word(&level), text("name"));
    format!("{time}  {level}{gap}  {name}  {}: {}{}", text("target"), text("message"), fields.collect::<String>())
}
