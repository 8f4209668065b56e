//! `guthi fn`.

use std::time::Duration;

use serde_json::{Value, json};

use super::value::{given, value};
use crate::{
    arguments::{Call, Globals, Output},
    client::{Client, segment},
    embedded::{self, Order},
    failure::{Exit, Failure},
    progress::Progress,
    screen::Screen,
    table::{Cell, Grid},
    target, text,
};

/// Lists what can be called.
pub(crate) fn list(
    prefix: Option<&str>,
    contains: Option<&str>,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let given = [("prefix", prefix), ("contains", contains), ("limit", Some("1000"))];
    let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let answer = client.get("/functions", &query)?;
    screen.list(&answer, table)
}

fn table(functions: &[Value]) -> Grid {
    let columns = [("NAME", 0), ("SIGNATURE", 0), ("NODES", 1), ("CALLS", 3), ("P50", 4), ("P95", 4), ("DOCS", 2)];
    let mut grid = Grid::new(&columns);
    for function in functions {
        let word = |key: &str| function[key].as_str().unwrap_or_default();
        let calls = &function["calls"];
        let ms = |key: &str| calls[key].as_f64().map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
        grid.row(vec![
            word("name").into(),
            word("signature").into(),
            function["nodes"].as_array().map_or(0, Vec::len).to_string().into(),
            calls["count"].as_u64().map(|count| count.to_string()).unwrap_or_default().into(),
            ms("p50_ms").into(),
            ms("p95_ms").into(),
            word("docs").lines().next().unwrap_or_default().into(),
        ]);
    }
    grid
}

/// Calls a function, and prints what it gave.
pub(crate) fn call(call: Call, globals: &Globals, screen: &Screen) -> Result<Exit, Failure> {
    let order = Order {
        arguments: arguments(&call)?,
        name: call.name.clone(),
        on: call.on.clone(),
        deadline: call.deadline,
        attempts: call.attempts,
    };
    if call.print {
        let client = target::find(globals, screen)?;
        let request = client.request(&path(&order), &body(&order, false));
        let curl = request["curl"].as_str().unwrap_or_default().to_owned();
        return screen.say(&curl, &request).map(|()| Exit::Ok);
    }
    let answer = carry_out(&order, &call, globals, screen).map_err(|failure| explain(failure, &call))?;
    match answer["items"].as_array() {
        Some(rows) => print_all(rows, &answer, &call, screen),
        None => print_one(&answer, &call, screen).map(|()| Exit::Ok),
    }
}

/// Makes the call by a node within this command, or asks a local node to make it.
fn carry_out(order: &Order, call: &Call, globals: &Globals, screen: &Screen) -> Result<Value, Failure> {
    let progress = Progress::of(&order.name, screen);
    if call.path.to.is_some() || call.path.ephemeral || call.path.local {
        return embedded::call(order, &call.path, &progress);
    }
    let client = target::find(globals, screen)?;
    let body = body(order, progress.is_shown());
    client.call(&path(order), &body, order.deadline, |share| progress.show(share))
}

fn path(order: &Order) -> String {
    format!("/functions/{}/call", segment(&order.name))
}

fn body(order: &Order, progress: bool) -> Value {
    let deadline = u64::try_from(order.deadline.as_millis()).unwrap_or(u64::MAX);
    let mut body =
        json!({"args": order.arguments, "on": order.on, "deadline_ms": deadline, "attempts": order.attempts});
    if progress {
        body["progress"] = true.into();
    }
    body
}

fn arguments(call: &Call) -> Result<Value, Failure> {
    if let Some(all) = &call.args {
        let bad = |error| Failure::usage(format!("--args is no JSON: {error}"));
        return serde_json::from_str(&given(all)?).map_err(bad);
    }
    let mut values =
        call.arguments.iter().map(|argument| Ok(value(&given(argument)?))).collect::<Result<Vec<_>, Failure>>()?;
    Ok(match values.len() {
        0 => Value::Null,
        1 => values.remove(0),
        _ => Value::Array(values),
    })
}

/// What to do, where the error alone does not say it.
fn explain(failure: Failure, call: &Call) -> Failure {
    match failure.code() {
        "invalid_arguments" => {
            let name = &call.name;
            failure.or_next(format!("`guthi fn ls {name}` shows what it takes; to pass 5 as a text, write '\"5\"'"))
        }
        "no_node_has_it" | "no_such_function" => failure.next("`guthi fn ls` shows what can be called"),
        "deadline" => failure.or_next("give it more time with --deadline 2m"),
        "not_found" => failure.or_next("`guthi node ls` shows the nodes"),
        _ => failure,
    }
}

fn print_one(answer: &Value, call: &Call, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(answer);
    }
    screen.detail(&format!(
        "{} ran it, in {:.1} ms",
        text::plain(answer["name"].as_str().unwrap_or("?")),
        answer["elapsed_ms"].as_f64().unwrap_or_default()
    ));
    match &answer["result"] {
        Value::String(result) if call.raw => screen.raw(result),
        result => screen.json_line(result),
    }
}

fn print_all(rows: &[Value], answer: &Value, call: &Call, screen: &Screen) -> Result<Exit, Failure> {
    match screen.output {
        Output::Json => screen.json(answer)?,
        Output::Jsonl => rows.iter().try_for_each(|row| screen.json_line(row))?,
        Output::Table => screen.grid(&results(rows, call.raw))?,
    }
    let failed: Vec<_> = rows.iter().filter(|row| row.get("error").is_some()).collect();
    if rows.is_empty() {
        return Err(Failure::new("no_node_has_it", format!("no node has `{}`", call.name)));
    }
    Ok(match failed.first() {
        None => Exit::Ok,
        Some(row) if failed.len() == rows.len() => Failure::of(&row["error"]).exit,
        Some(_) => Exit::Partial,
    })
}

fn results(rows: &[Value], raw: bool) -> Grid {
    let mut grid = Grid::new(&[("NODE", 0), ("ID", 1), ("TIME", 2), ("STATUS", 0), ("RESULT", 0)]);
    for row in rows {
        let id = row["node"].as_str().unwrap_or_default();
        let short = id.char_indices().rev().nth(7).map_or(id, |(start, _)| &id[start..]);
        let (status, result) = match (row.get("error"), &row["ok"]) {
            (Some(error), _) => ("failed", error["message"].as_str().unwrap_or_default().to_owned()),
            (None, Value::String(text)) if raw => ("ok", text.clone()),
            (None, value) => ("ok", value.to_string()),
        };
        let elapsed = Duration::from_secs_f64(row["elapsed_ms"].as_f64().unwrap_or_default().max(0.0) / 1e3);
        grid.row(vec![
            row["name"].as_str().unwrap_or_default().into(),
            short.into(),
            format!("{:.1} ms", elapsed.as_secs_f64() * 1e3).into(),
            Cell::word(status),
            result.into(),
        ]);
    }
    grid
}
