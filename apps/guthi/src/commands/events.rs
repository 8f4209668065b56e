//! `guthi events`.

use serde_json::Value;

use crate::{
    client::{Client, Push},
    failure::Failure,
    screen::Screen,
    text::plain,
};

/// Prints the last events, and then, if asked to, each as it happens.
pub(crate) fn watch(lines: usize, follow: bool, client: &Client, screen: &Screen) -> Result<(), Failure> {
    if !follow {
        let limit = lines.clamp(1, 1000).to_string();
        let answer = client.get("/events", &[("limit", &limit)])?;
        return print(last(&answer["items"], lines), screen);
    }
    let mut stream = client.stream("events")?;
    let mut seen = None;
    while let Some(push) = stream.next()? {
        match push {
            // After a gap there is a fresh snapshot; what was printed already is not printed again.
            Push::Snapshot(snapshot) => {
                let items = items(&snapshot["items"]);
                let begin = if seen.is_none() { items.len().saturating_sub(lines) } else { 0 };
                let new = items[begin..].iter().filter(|event| event["seq"].as_u64() > seen);
                print(new, screen)?;
                seen = items.iter().filter_map(|event| event["seq"].as_u64()).max().max(seen).or(Some(0));
            }
            Push::Delta(delta) => {
                let items = items(&delta["append"]);
                print(items.iter(), screen)?;
                seen = items.iter().filter_map(|event| event["seq"].as_u64()).max().max(seen);
            }
            Push::Bye => break,
        }
    }
    screen.note(&format!("{} has left", plain(&client.name)));
    Ok(())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn last(value: &Value, lines: usize) -> impl Iterator<Item = &Value> {
    let items = items(value);
    items[items.len().saturating_sub(lines)..].iter()
}

fn print<'a>(events: impl Iterator<Item = &'a Value>, screen: &Screen) -> Result<(), Failure> {
    for event in events {
        if screen.is_json() {
            screen.json_line(event)?;
            continue;
        }
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let kind = text("event");
        let gap = " ".repeat(9_usize.saturating_sub(kind.len()));
        let line = format!("{}  {}{gap}  {}", screen.clock(text("at")), screen.word(&plain(kind)), plain(text("text")));
        screen.line(&line)?;
    }
    Ok(())
}
