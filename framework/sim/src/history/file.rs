//! Histories as files. The format is described in the module's essay.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Client, History, Moment, Refused, Reply, Stamp};

/// Reads a history of variables and locks.
///
/// # Errors
/// If the input cannot be read, a line is not an event, or an event cannot be where it is. See [`ReadError`].
pub fn read(input: impl BufRead) -> Result<History<Call, Reply>, ReadError> {
    let mut history = History::new();
    for (index, line) in input.lines().enumerate() {
        let number = index + 1;
        let line = line.map_err(|source| ReadError::Input { line: number, source })?;
        if !line.trim().is_empty() {
            let event = serde_json::from_str(&line).map_err(|source| ReadError::Syntax { line: number, source })?;
            record(&mut history, event, number)?;
        }
    }
    Ok(history)
}

/// Writes a history, in the order in which it was recorded.
///
/// # Errors
/// If the output cannot be written.
pub fn write(history: &History<Call, Reply>, mut output: impl Write) -> io::Result<()> {
    let mut events: Vec<(Moment, Event)> = Vec::new();
    for object in history.objects() {
        for operation in history.operations(object) {
            let event = |moment: Moment| Event::at(moment.time, operation.client);
            let start = operation.start;
            let invoke = Event { object: Some(object.to_owned()), invoke: Some(operation.op), ..event(start) };
            events.push((start, invoke));
            if let Some((Reply { answer, version }, end)) = operation.outcome {
                events.push((end, Event { answer: Some(answer), version, ..event(end) }));
            }
        }
    }
    events.sort_unstable_by_key(|(moment, _)| moment.position);
    for (_, event) in events {
        serde_json::to_writer(&mut output, &event)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Why a file is not a history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input ended with an error.
    #[error("line {line}: cannot be read")]
    Input {
        /// Counted from 1.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not JSON, or has a field that it should not have.
    #[error("line {line}: {source}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line has not the fields that it should have.
    #[error("line {line}: an event has either time, object and invoke, or time and return, or outcome")]
    Shape {
        /// Counted from 1.
        line: usize,
    },
    /// The client cannot have done that.
    #[error("line {line}: {source}")]
    Refused {
        /// Counted from 1.
        line: usize,
        /// Why not.
        source: Refused,
    },
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    client: Client,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invoke: Option<Call>,
    #[serde(default, rename = "return", skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Unknown,
    NotApplied,
}

impl Event {
    const fn at(time: u64, client: Client) -> Self {
        Self { time: Some(time), client, object: None, invoke: None, answer: None, version: None, outcome: None }
    }
}

fn record(history: &mut History<Call, Reply>, event: Event, line: usize) -> Result<(), ReadError> {
    let client = event.client;
    let recorded = match event {
        Event {
            time: Some(time),
            object: Some(object),
            invoke: Some(call),
            answer: None,
            version: None,
            outcome: None,
            ..
        } => history.invoke(time, client, &object, call),
        Event {
            time: Some(time), object: None, invoke: None, answer: Some(answer), version, outcome: None, ..
        } => history.complete(time, client, Reply { answer, version }),
        Event { object: None, invoke: None, answer: None, version: None, outcome: Some(Outcome::Unknown), .. } => {
            history.give_up(client)
        }
        Event {
            object: None, invoke: None, answer: None, version: None, outcome: Some(Outcome::NotApplied), ..
        } => history.withdraw(client),
        _ => return Err(ReadError::Shape { line }),
    };
    recorded.map_err(|source| ReadError::Refused { line, source })
}
