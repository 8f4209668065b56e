//! `guthi topic`.

use std::ops::ControlFlow;

use serde_json::Value;

use super::value::{name, told, wanted};
use crate::{
    arguments::{Globals, Topic},
    client::{Client, segment},
    failure::Failure,
    screen::Screen,
    target,
    text::plain_json,
};

/// Does what was asked for.
pub(crate) fn run(command: Topic, globals: &Globals, screen: &Screen) -> Result<(), Failure> {
    let client = target::find(globals, screen)?;
    match command {
        Topic::Pub { name, value, of_type, base64, kind } => {
            let message = wanted(&value, of_type.as_deref(), base64, kind.as_deref())?;
            publish(&name, &message, &client, screen)
        }
        Topic::Sub { name, count } => subscribe(&name, count, &client, screen),
    }
}

fn publish(name: &str, message: &Value, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.post(&format!("/topics/{}/publish", segment(name)), message).map_err(explain)?;
    let nodes = answer["nodes"].as_u64().unwrap_or_default();
    screen.say(&format!("handed to {}", counted(nodes, "node")), &answer)
}

/// Prints each message as it comes, so many at most.
fn subscribe(name: &str, mut left: u64, client: &Client, screen: &Screen) -> Result<(), Failure> {
    client.follow(&format!("/topics/{}/messages", segment(name)), &[], screen, |line| {
        if line["watched"] == true {
            return Ok(ControlFlow::Continue(()));
        }
        show(line, screen)?;
        left -= u64::from(line["missed"].is_null());
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

fn show(line: &Value, screen: &Screen) -> Result<(), Failure> {
    let missed = line["missed"].as_u64();
    if let Some(missed) = missed {
        let were = if missed == 1 { "was" } else { "were" };
        screen.note(&format!("{} {were} missed", counted(missed, "message")));
    }
    if screen.is_json() {
        return screen.json_line(line);
    }
    if missed.is_some() {
        return Ok(());
    }
    screen.line(&format!("{}: {}", name(&line["from"]), plain_json(&told(line))))
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What to do, where the error alone does not say it.
fn explain(failure: Failure) -> Failure {
    match failure.code() {
        "bad_value" => failure.or_next("to say 5 as a text, write '\"5\"', or use --type string"),
        "bad_request" => failure.or_next("`guthi topic pub --help` has examples"),
        _ => failure,
    }
}
