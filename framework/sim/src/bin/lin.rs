//! `cargo lin FILE`: whether a recorded history is linearizable.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use guthi_sim::history::{self, Config, ObjectReport, Report, Verdict};
use serde_json::{Value, json};

/// Says whether a recorded history is linearizable: whether all that the clients were told could have been told if
/// one operation had happened after another, none before what had ended when it started.
#[derive(Debug, Parser)]
#[command(name = "lin", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The history; `-` reads the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Writes the result as one JSON object.
    #[arg(long)]
    json: bool,
    /// The budget of each object's search, in steps.
    #[arg(long, value_name = "N", default_value_t = Config::default().steps_max)]
    steps: u64,
    /// Gives up after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Searches even where each value was written once and a faster method would do.
    #[arg(long)]
    search: bool,
    /// Accepts `busy` from a lock that nobody holds.
    #[arg(long)]
    spurious_busy: bool,
}

const AFTER_HELP: &str = r#"Examples:
  cargo lin run.jsonl                all objects; a picture of what is wrong
  cargo lin run.jsonl --json         the same for programs
  cargo lin - < run.jsonl            from the standard input
  cargo lin run.jsonl --seconds 60   give up after a minute

Exit code:
  0  all objects are linearizable
  1  one is not
  2  the file is not a history, or the budget was spent before an answer

The file has one JSON object per line, one line per event, as recorded:
  {"time":10,"client":1,"object":"x","invoke":{"set":5}}
  {"time":14,"client":2,"object":"x","invoke":"get"}
  {"time":17,"client":1,"return":"done"}
  {"time":19,"client":2,"return":{"value":5}}
  {"time":20,"client":3,"object":"m","invoke":"lock"}
  {"time":21,"client":4,"object":"x","invoke":{"add":2}}
  {"time":30,"client":3,"return":{"fence":"1.1"}}
  {"time":31,"client":4,"outcome":"unknown"}

invoke   of variables: "get", {"set":5}, {"add":2}, {"swap":5}, "delete",
         {"compare_and_set":{"expected":{"value":5},"new":6}}
         where expected may also be {"value":null} or {"version":"1.3"};
         of locks: "lock", "try_lock", {"unlock":"1.1"}
return   "done", {"value":5}, {"value":null}, {"stored":true}, "missing",
         beside which there may be the variable's "version":"1.3";
         {"fence":"1.1"}, "busy", "lost"
outcome  "unknown": it may still happen; the client needs a new number
         "not_applied": it certainly did not happen and never will

A variable has no value at first.
What has neither return nor outcome is unknown.
The guard of a holder that crashes, or that lapses, is unlocked by another
client, from when it was last known to be held: without a return after a
crash, returning "lost" when the holder noticed that it had lapsed."#;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lin: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    let history = read(&arguments.file)?;
    let config =
        Config { steps_max: arguments.steps, spurious_busy: arguments.spurious_busy, search_only: arguments.search };
    let (sender, receiver) = mpsc::sync_channel(1);
    // If time runs out the thread is left behind, and ends with the process.
    thread::spawn(move || sender.send(history::check(&history, &config)));
    let patience = arguments.seconds.map_or(Duration::MAX, Duration::from_secs);
    let report = receiver.recv_timeout(patience).map_err(|_| anyhow!("there was no answer in time"))?;
    print(&report, arguments.json, started.elapsed())?;
    Ok(ExitCode::from(code(&report)))
}

fn read(file: &Path) -> Result<history::History<history::Call, history::Reply>> {
    let history = if file == Path::new("-") {
        history::read(io::stdin().lock())
    } else {
        let input = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        history::read(BufReader::new(input))
    };
    history.with_context(|| format!("{} is not a history", file.display()))
}

fn print(report: &Report, as_json: bool, elapsed: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let objects: Vec<Value> = report.objects.iter().map(object_as_json).collect();
        return writeln!(out, "{}", json!({ "linearizable": report.is_ok(), "objects": objects }));
    }
    let answered: usize = report.objects.iter().map(|object| object.answered).sum();
    write!(out, "{report}")?;
    writeln!(out, "{} objects, {answered} answers, {:.2} s", report.objects.len(), elapsed.as_secs_f64())
}

fn object_as_json(report: &ObjectReport) -> Value {
    let mut object = json!({
        "object": report.object,
        "method": report.method.to_string(),
        "answered": report.answered,
        "pending": report.pending,
        "verdict": match &report.verdict {
            Verdict::Linearizable { .. } => "linearizable",
            Verdict::NotLinearizable(_) => "not_linearizable",
            Verdict::OutOfBudget { .. } => "out_of_budget",
        },
    });
    if let Some(conflict) = report.verdict.conflict() {
        object["reason"] = conflict.reason.clone().into();
        object["picture"] = report.picture.clone().into();
    }
    object
}

fn code(report: &Report) -> u8 {
    let conflict = report.objects.iter().any(|object| object.verdict.conflict().is_some());
    match (report.is_ok(), conflict) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}
