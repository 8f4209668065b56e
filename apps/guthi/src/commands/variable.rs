//! `guthi var`.

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, IsTerminal, Write},
    mem,
    ops::ControlFlow,
    path::Path,
};

use serde_json::{Value, json};

use super::value::{name, told, wanted};
use crate::{
    arguments::{Globals, Var, VarSet},
    client::{Client, Condition, segment},
    failure::{Exit, Failure},
    progress::Progress,
    screen::Screen,
    table::{Cell, Grid},
    target,
    text::{plain, plain_json},
};

/// What a name ends in that stands for all that begin so.
const MANY: &str = "**";
/// What is sent at once of an import.
const CHUNK_BYTES_MAX: usize = 1 << 20;
const CHUNK_LINES_MAX: usize = 200;

/// Does what was asked for.
pub(crate) fn run(command: Var, globals: &Globals, screen: &Screen) -> Result<Exit, Failure> {
    let client = target::find(globals, screen)?;
    match command {
        Var::Ls { prefix, contains } => return list(prefix.as_deref(), contains.as_deref(), &client, screen),
        Var::Get { name, raw } => get(&name, raw, &client, screen)?,
        Var::Watch { name, updates_only, count } => watch(&name, updates_only, count, &client, screen)?,
        Var::Set(set) => write(&set, &client, screen)?,
        Var::Add { name, delta } => {
            let answer = client.post(&format!("{}/add", path(&name)), &json!({ "delta": delta })).map_err(explain)?;
            screen.say(&answer["value"].to_string(), &answer)?;
        }
        Var::Rm { name } => {
            let answer = client.delete(&path(&name)).map_err(explain)?;
            done(screen, &format!("{} is deleted", plain(&name)), &answer)?;
        }
        Var::Reset { name } => {
            let answer = client.post(&format!("{}/reset", path(&name)), &json!({})).map_err(explain)?;
            done(screen, &format!("{} is not lost any more", plain(&name)), &answer)?;
        }
        Var::Export { prefix, file } => return export(prefix.as_deref(), file.as_deref(), &client, screen),
        Var::Import { file, keep } => return import(&file, keep, &client, screen),
    }
    Ok(Exit::Ok)
}

fn path(name: &str) -> String {
    format!("/variables/{}", segment(name))
}

/// A word for people, and the answer for scripts.
fn done(screen: &Screen, text: &str, answer: &Value) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(answer);
    }
    screen.note(text);
    Ok(())
}

fn get(name: &str, raw: bool, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get(&path(name), &[]).map_err(explain)?;
    if screen.is_json() {
        return screen.json(&answer);
    }
    screen.detail(&format!("{} of the version {}", shape(&answer), answer["version"].as_str().unwrap_or("?")));
    match (answer.get("value"), &answer["base64"]) {
        (Some(Value::String(text)), _) if raw => screen.raw(text),
        (Some(value), _) => screen.json_line(value),
        (None, base64) => {
            screen.note("no node says what its type looks like: these are its bytes, as base64");
            screen.raw(base64.as_str().unwrap_or_default())
        }
    }
}

/// Prints each value as it comes, so many at most: of one variable, or of all whose names begin so.
fn watch(name: &str, updates_only: bool, count: u64, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let Some(prefix) = name.strip_suffix(MANY) else {
        let mut first = updates_only;
        return follow(&format!("{}/changes", path(name)), &[], count, client, screen, |line| {
            if mem::take(&mut first) { Ok(false) } else { change(name, line, screen).map(|()| true) }
        });
    };
    let mut listing = updates_only;
    follow("/changes/variables", &[("prefix", prefix)], count, client, screen, |line| {
        let is_listed = line["change"] == "listed";
        if listing {
            listing = !is_listed;
            return Ok(false);
        }
        change_of_many(line, screen).map(|()| !is_listed)
    })
}

/// Shows each change, until so many of those that count were shown.
fn follow(
    path: &str,
    query: &[(&str, &str)],
    mut left: u64,
    client: &Client,
    screen: &Screen,
    mut show: impl FnMut(&Value) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    client.follow(path, query, screen, |line| {
        if !line["change"].is_null() && show(line)? {
            left -= 1;
        }
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

fn change(name: &str, line: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json_line(line);
    }
    skipped(line, screen);
    let variable = &line["variable"];
    match (line["change"].as_str(), variable.get("value"), variable["base64"].as_str()) {
        (Some("set"), Some(value), _) => {
            screen.detail(&format!("the version {}", variable["version"].as_str().unwrap_or("?")));
            screen.json_line(value)
        }
        (Some("set"), None, base64) => screen.raw(base64.unwrap_or_default()),
        (change, ..) => {
            screen.note(&format!("{} is {}", plain(name), plain(change.unwrap_or("?"))));
            Ok(())
        }
    }
}

/// The same of one among many: its name stands before its value.
fn change_of_many(line: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json_line(line);
    }
    skipped(line, screen);
    let variable = &line["variable"];
    match line["change"].as_str() {
        Some("set") => {
            let name = plain(variable["name"].as_str().unwrap_or("?"));
            screen.line(&format!("{name}: {}", plain_json(&told(variable))))
        }
        Some("listed") => {
            screen.detail("that is all there is: from here on it is changes");
            Ok(())
        }
        change => {
            let name = plain(line["name"].as_str().unwrap_or("?"));
            screen.line(&format!("{name} is {}", plain(change.unwrap_or("?"))))
        }
    }
}

fn skipped(line: &Value, screen: &Screen) {
    if let Some(skipped) = line["skipped"].as_u64().filter(|skipped| *skipped > 0) {
        screen.note(&format!("{skipped} values came and went meanwhile"));
    }
}

fn write(set: &VarSet, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let wanted = wanted(&set.value, set.of_type.as_deref(), set.base64, set.kind.as_deref())?;
    let condition = match (&set.if_version, set.new) {
        (Some(version), _) => Condition::Version(version.to_string()),
        (None, true) => Condition::New,
        (None, false) => Condition::None,
    };
    let answer = client.put(&path(&set.name), &wanted, &condition).map_err(explain)?;
    let version = answer["version"].as_str().unwrap_or("?");
    let word = if answer["created"] == true { "is created, with the version" } else { "has the version" };
    done(screen, &format!("{} {word} {version}", plain(&set.name)), &answer)
}

/// What to do, where the error alone does not say it.
fn explain(failure: Failure) -> Failure {
    match failure.code() {
        "bad_value" => failure.or_next("`guthi var ls` shows its type; to give 5 as a text, write '\"5\"'"),
        "conflict" => failure.next("look at what it is now with `guthi var get`, and decide anew"),
        "not_found" => failure.next("`guthi var ls` shows those that are there; `guthi var set` creates one"),
        "bad_request" => failure.or_next("`guthi var set --help` has examples"),
        _ => failure,
    }
}

fn list(prefix: Option<&str>, contains: Option<&str>, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
    let given = [("prefix", prefix), ("contains", contains), ("limit", Some("1000"))];
    let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let answer = client.get("/variables", &query)?;
    screen.list(&answer, table)?;
    if answer["more"] == true || answer["next"].is_string() {
        screen.note("there are more: say how those begin that you look for");
    }
    let silent: Vec<_> = items(&answer["unanswered"]).iter().map(name).collect();
    if silent.is_empty() {
        return Ok(Exit::Ok);
    }
    screen.note(&format!("no answer from {}: there may be more", silent.join(", ")));
    Ok(Exit::Partial)
}

fn table(variables: &[Value]) -> Grid {
    let columns =
        [("NAME", 0), ("VALUE", 0), ("TYPE", 2), ("VERSION", 2), ("BYTES", 3), ("HOMES", 1), ("COPIES", 4), ("", 0)];
    let mut grid = Grid::new(&columns);
    for variable in variables {
        let homes: Vec<_> = items(&variable["homes"]).iter().map(name).collect();
        grid.row(vec![
            variable["name"].as_str().unwrap_or_default().into(),
            shown(variable).into(),
            shape(variable).into(),
            variable["version"].as_str().unwrap_or_default().into(),
            variable["bytes"].to_string().into(),
            homes.join(", ").into(),
            variable["copies"].to_string().into(),
            if variable["degraded"] == true { Cell::word("degraded") } else { "".into() },
        ]);
    }
    grid
}

/// The value in so many characters as fit a line.
fn shown(variable: &Value) -> String {
    const CHARS_MAX: usize = 40;
    let Some(value) = variable.get("value") else { return "…".into() };
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn shape(variable: &Value) -> String {
    let kind = || variable["kind"].as_str().map(|kind| format!("? {kind}"));
    variable["shape"].as_str().map(str::to_owned).or_else(kind).unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn export(prefix: Option<&str>, file: Option<&Path>, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
    let refused = |error: std::io::Error| match file {
        Some(file) => Failure::usage(format!("{} cannot be written: {error}", file.display())),
        None => error.into(),
    };
    let mut out: Box<dyn Write> = match file {
        Some(file) => Box::new(BufWriter::new(fs::File::create(file).map_err(refused)?)),
        None => Box::new(std::io::stdout().lock()),
    };
    let steers = file.is_none() && std::io::stdout().is_terminal();
    let progress = file.map(|_| Progress::of("export", screen));
    let mut incomplete = Value::Null;
    let mut told = 0_u64;
    client.export(prefix.unwrap_or_default(), |mut line, count| {
        if line["incomplete"].is_object() {
            incomplete = line["incomplete"].take();
            return Ok(());
        }
        told += 1;
        if let (Some(progress), Some(count)) = (&progress, count) {
            progress.show(told as f64 / count.max(1) as f64);
        }
        let line = line.to_string();
        let line = if steers { plain_json(&line) } else { line };
        writeln!(out, "{line}").map_err(refused)
    })?;
    out.flush().map_err(refused)?;
    drop(progress);
    if let Some(file) = file {
        let word = if told == 1 { "variable is" } else { "variables are" };
        screen.note(&format!("{told} {word} in {}", file.display()));
    }
    if incomplete.is_null() {
        return Ok(Exit::Ok);
    }
    let silent: Vec<_> = items(&incomplete["unanswered"]).iter().map(name).collect();
    if !silent.is_empty() {
        screen.note(&format!("no answer from {}: there may be more", silent.join(", ")));
    }
    if incomplete["more"] == true {
        screen.note("there are more: export them part by part, by how their names begin");
    }
    complain(items(&incomplete["failed"]), screen);
    Ok(Exit::Partial)
}

fn complain(failed: &[Value], screen: &Screen) {
    for failed in failed {
        let message = failed["error"]["message"].as_str().unwrap_or("it failed");
        screen.note(&format!("{}: {}", plain(failed["name"].as_str().unwrap_or("?")), plain(message)));
    }
}

fn import(file: &Path, keep: bool, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
    let is_standard = file == Path::new("-");
    let refused = |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", file.display()));
    let (reader, length): (Box<dyn BufRead>, _) = if is_standard {
        (Box::new(std::io::stdin().lock()), None)
    } else {
        let file = fs::File::open(file).map_err(refused)?;
        let length = file.metadata().ok().map(|it| it.len());
        (Box::new(BufReader::new(file)), length)
    };
    let progress = length.map(|_| Progress::of("import", screen));
    let mut sum = Sum::default();
    let (mut chunk, mut lines, mut read) = (String::new(), 0, 0_u64);
    for line in reader.lines() {
        let line = line.map_err(refused)?;
        read += line.len() as u64 + 1;
        lines += 1;
        chunk.push_str(&line);
        chunk.push('\n');
        if lines >= CHUNK_LINES_MAX || chunk.len() >= CHUNK_BYTES_MAX {
            sum.add(client.import(&chunk, keep)?);
            (lines, chunk) = (0, String::new());
            if let (Some(progress), Some(length)) = (&progress, length) {
                progress.show(read as f64 / length.max(1) as f64);
            }
        }
    }
    if !chunk.is_empty() {
        sum.add(client.import(&chunk, keep)?);
    }
    drop(progress);
    let Sum { imported, kept, failed } = sum;
    if screen.is_json() {
        screen.json(&json!({ "imported": imported, "kept": kept, "failed": failed }))?;
    } else {
        let kept = if kept > 0 { format!(", {kept} stay as they are") } else { String::new() };
        screen.note(&format!("{imported} imported{kept}"));
        complain(&failed, screen);
    }
    Ok(match failed.first() {
        None => Exit::Ok,
        Some(first) if imported + kept == 0 => Failure::of(&first["error"]).exit,
        Some(_) => Exit::Partial,
    })
}

#[derive(Default)]
struct Sum {
    imported: u64,
    kept: u64,
    failed: Vec<Value>,
}

impl Sum {
    fn add(&mut self, answer: Value) {
        self.imported += answer["imported"].as_u64().unwrap_or_default();
        self.kept += answer["kept"].as_u64().unwrap_or_default();
        self.failed.extend(items(&answer["failed"]).iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_no_more_than_a_line() {
        assert_eq!(shown(&json!({ "value": [1, "ü"] })), "[1,\"ü\"]");
        assert_eq!(shown(&json!({ "value": "ü".repeat(100) })).chars().count(), 41);
        assert_eq!(shown(&json!({ "base64": "AA==" })), "…");
        assert_eq!(shape(&json!({ "shape": null, "kind": "00ff" })), "? 00ff");
    }
}
