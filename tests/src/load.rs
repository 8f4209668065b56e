//! Clients that work on variables and write down what they asked for and what they were told.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use guthi::{Node, Outcome, ReadError, Variable, Version, WriteError};
use guthi_core::protocol::random::Random;
use serde_json::{Value, json};

use crate::process::now;

/// So many clients work at each node, on so many variables. That keeps what overlaps on one variable, and so the search for an
/// order, small.
pub const CLIENTS: u64 = 4;
/// See [`CLIENTS`].
pub const NAMES: u64 = 16;

/// After an error a client waits, rather than to fail as often as it can.
const AFTER_AN_ERROR: Duration = Duration::from_millis(20);

/// The clients of one life of one process. They end when this is dropped.
#[derive(Debug)]
pub struct Load {
    rests: Arc<AtomicBool>,
}

/// The file of one process. Each line is one write to it, so it outlives `kill -9`, and nothing is asked for that it lacks.
#[derive(Clone)]
struct Book(Arc<Mutex<File>>);

struct Client {
    number: u64,
    /// The number after those of all clients of this process so far.
    next: u64,
    last: u64,
    /// How many values it has thought of.
    values: u64,
    random: Random,
    book: Book,
}

/// What came of an operation, in the words of `guthi_sim::history`.
enum Told {
    Answer(Value, Option<Version>),
    NotApplied,
    Unknown,
}

/// The name of one of the variables.
#[must_use]
pub fn name(number: u64) -> String {
    format!("load/{number}")
}

impl Load {
    /// Begins. The clients have numbers from `first` upwards.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn start(node: &Node, path: &Path, first: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let book = Book(Arc::new(Mutex::new(file)));
        let rests = Arc::new(AtomicBool::new(false));
        for client in 0..CLIENTS {
            // Whoever is retired goes on under a number that is free.
            let number = first + client;
            let client =
                Client { number, next: number, last: 0, values: 0, random: Random::new(number), book: book.clone() };
            tokio::spawn(client.work(node.clone(), rests.clone()));
        }
        Ok(Self { rests })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.rests.store(true, Ordering::Relaxed);
    }
}

impl Client {
    async fn work(mut self, node: Node, rests: Arc<AtomicBool>) {
        let mut variables = Vec::new();
        for number in 0..NAMES {
            match node.variable(name(number), 0_i64).await {
                Ok(variable) => variables.push(variable),
                Err(error) => return eprintln!("{}: {error}", name(number)),
            }
        }
        let mut known = 0;
        while !rests.load(Ordering::Relaxed) {
            let place = self.random.below(NAMES);
            let variable = &variables[place as usize];
            if let Err(error) = self.act(variable, &mut known).await {
                return eprintln!("the book cannot be written: {error}");
            }
        }
    }

    async fn act(&mut self, variable: &Variable<i64>, known: &mut i64) -> io::Result<()> {
        // Each value is written once, so a read names its write; what is added to it is in the low digits.
        self.values += 1;
        let value = ((self.number << 40) | (self.values << 20)).cast_signed();
        match self.random.below(20) {
            0..10 => {
                let read = async { variable.get_with_version().await };
                let told = self.ask(variable, &json!("get"), async { read_said(read.await) }).await?;
                if let Some(read) = told {
                    *known = read;
                }
            }
            10..13 => {
                let written = async { variable.set(value).await };
                let said = |it| written_said(it, |version| (json!("done"), Some(version)));
                self.ask(variable, &json!({ "set": value }), async { said(written.await) }).await?;
            }
            13..16 => {
                let written = async { variable.add(1).await };
                let said = |it| written_said(it, |sum| (json!({ "value": sum }), None));
                self.ask(variable, &json!({ "add": 1 }), async { said(written.await) }).await?;
            }
            16..18 => {
                let written = async { variable.swap(value).await };
                let said = |it| written_said(it, |old| (json!({ "value": old }), None));
                self.ask(variable, &json!({ "swap": value }), async { said(written.await) }).await?;
            }
            _ => {
                let expected = *known;
                let written = async { variable.compare_and_set(&expected, value).await };
                let said = |it| written_said(it, |stored| (json!({ "stored": stored }), None));
                let call = json!({ "compare_and_set": { "expected": { "value": expected }, "new": value } });
                self.ask(variable, &call, async { said(written.await) }).await?;
            }
        }
        Ok(())
    }

    /// Does it, and writes it down; gives the value that was read.
    async fn ask(
        &mut self,
        variable: &Variable<i64>,
        call: &Value,
        does: impl Future<Output = Told>,
    ) -> io::Result<Option<i64>> {
        let client = self.number;
        let time = self.time();
        self.book.note(&json!({ "time": time, "client": client, "object": variable.name(), "invoke": call }))?;
        let told = does.await;
        let time = self.time();
        match told {
            Told::Answer(answer, version) => {
                let mut line = json!({ "time": time, "client": client, "return": answer });
                if let Some(version) = version {
                    line["version"] = json!(version.to_string());
                }
                self.book.note(&line)?;
                return Ok(answer["value"].as_i64());
            }
            Told::NotApplied => self.book.note(&json!({ "client": client, "outcome": "not_applied" }))?,
            Told::Unknown => {
                self.book.note(&json!({ "client": client, "outcome": "unknown" }))?;
                self.next += CLIENTS;
                self.number = self.next;
            }
        }
        tokio::time::sleep(AFTER_AN_ERROR).await;
        Ok(None)
    }

    /// Later than before.
    fn time(&mut self) -> u64 {
        self.last = now().max(self.last + 1);
        self.last
    }
}

impl Book {
    fn note(&self, line: &Value) -> io::Result<()> {
        let text = format!("{line}\n");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())
    }
}

fn read_said(read: Result<(i64, Version), ReadError>) -> Told {
    match read {
        Ok((value, version)) => Told::Answer(json!({ "value": value }), Some(version)),
        Err(error) => {
            eprintln!("a read: {error}");
            Told::NotApplied
        }
    }
}

fn written_said<T>(written: Result<T, WriteError>, said: impl FnOnce(T) -> (Value, Option<Version>)) -> Told {
    match written {
        Ok(told) => {
            let (answer, version) = said(told);
            Told::Answer(answer, version)
        }
        Err(error) if error.outcome() == Outcome::Unknown => Told::Unknown,
        Err(error) => {
            eprintln!("a write: {error}");
            Told::NotApplied
        }
    }
}
