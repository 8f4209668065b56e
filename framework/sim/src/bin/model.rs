//! `cargo model NAME`: every state of a small world.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Parser;
use guthi_core::protocol::bugs::Bug;
use guthi_sim::{
    explore::{Bound, Bounds, Counts, Report, Verdict},
    models::{ALL, Named, Scope},
};
use serde_json::json;

/// Visits every state of a small world of real machines, and tells the shortest way to one in which a rule is broken.
#[derive(Debug, Parser)]
#[command(name = "model", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The model, or `all`; without it, the models are listed.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The large scope, for a night.
    #[arg(long)]
    long: bool,
    /// States that take so many actions are visited, and not left.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Visits so many different states.
    #[arg(long, value_name = "N")]
    states: Option<u64>,
    /// Explores each model for so long.
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Plants a fault in the machines, such as `gap-not-pulled`.
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Writes one JSON object for each model.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cargo model                             list the models
  cargo model catalog                     exhaust one of them
  cargo model all                         exhaust the small scope of each
  cargo model catalog --long --minutes 60
                                          the large scope, as far as it goes in an hour
  cargo model catalog --bug head-not-repeated
                                          show that a planted fault is found

Exit code: 0 if nothing is broken and all states were visited, or as many as was asked for; 1 if something is broken,
or if all states were visited and something that must happen in them never did; 2 if the arguments make no sense; 3 if
not all states were visited though nobody asked to stop, or if they were too few for all that must happen.";

/// Beyond this the memory of a usual machine is at risk, unless more is asked for.
const STATES_MAX: u64 = 30_000_000;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("model: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8> {
    let Some(name) = &arguments.name else {
        list()?;
        return Ok(0);
    };
    let models = match Named::find(name) {
        Some(model) => vec![model],
        None if name == "all" => ALL.to_vec(),
        None => bail!("there is no model `{name}`; `cargo model` lists them"),
    };
    let bug = arguments.bug.as_deref().map(bug).transpose()?;
    let mut worst = 0;
    for model in models {
        let started = Instant::now();
        let report = explore(model, arguments, bug, started)?;
        print(model, &report, arguments.json, started.elapsed())?;
        // A broken rule outweighs what is not known.
        worst = match (worst, code(&report, arguments)) {
            (1, _) | (_, 1) => 1,
            (before, now) => before.max(now),
        };
    }
    Ok(worst)
}

fn explore(model: Named, arguments: &Arguments, bug: Option<Bug>, started: Instant) -> Result<Report> {
    let scope = if arguments.long { Scope::Long } else { Scope::Fast };
    let bounds = Bounds { depth: arguments.depth.unwrap_or(u32::MAX), states: arguments.states.unwrap_or(STATES_MAX) };
    let patience = match arguments.minutes {
        Some(minutes) => Duration::try_from_secs_f64(minutes * 60.0)?,
        None => Duration::MAX,
    };
    let mut watch = |_: &Counts| {
        if started.elapsed() < patience { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    Ok(model.explore(scope, bug, &bounds, &mut watch))
}

fn bug(name: &str) -> Result<Bug> {
    match Bug::ALL.into_iter().find(|bug| bug.name() == name) {
        Some(bug) => Ok(bug),
        None => bail!("there is no bug `{name}`, only {}", Bug::ALL.map(Bug::name).join(", ")),
    }
}

fn code(report: &Report, arguments: &Arguments) -> u8 {
    match &report.verdict {
        Verdict::Exhausted => 0,
        Verdict::Violated(_) | Verdict::Unmet => 1,
        Verdict::Bounded(_) if !report.unmet.is_empty() => 3,
        Verdict::Bounded(Bound::States(_)) if arguments.states.is_none() => 3,
        Verdict::Bounded(_) => 0,
    }
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for model in ALL {
        writeln!(out, "{:<18} {}", model.name, model.about)?;
    }
    writeln!(out, "\n`cargo model NAME` explores one of them, `cargo model all` each; see `cargo model --help`.")
}

fn print(model: Named, report: &Report, as_json: bool, elapsed: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Report { verdict, counts, met, unmet } = report;
    let seconds = elapsed.as_secs_f64();
    let per_second = counts.states as f64 / seconds.max(1e-6);
    if as_json {
        let counterexample = report.counterexample().map(|found| {
            json!({ "broken": found.broken, "path": found.path, "recovery": found.recovery, "test": found.test })
        });
        let line = json!({
            "model": model.name,
            "verdict": match verdict {
                Verdict::Exhausted => "exhausted",
                Verdict::Unmet => "unmet",
                Verdict::Bounded(_) => "bounded",
                Verdict::Violated(_) => "violated",
            },
            "bound": if let Verdict::Bounded(bound) = verdict { Some(bound.to_string()) } else { None },
            "states": counts.states,
            "unique": counts.unique,
            "depth": counts.depth,
            "waiting": counts.waiting,
            "outside": counts.outside,
            "recovering": counts.recovering,
            "seconds": seconds,
            "met": met,
            "unmet": unmet,
            "counterexample": counterexample,
        });
        return writeln!(out, "{line}");
    }
    writeln!(
        out,
        "{:<18} {verdict}\n{:<18} {} states, {} unique, depth {}, {} more in recovery, {seconds:.1} s, {:.0} states/s",
        model.name, "", counts.states, counts.unique, counts.depth, counts.recovering, per_second,
    )?;
    if counts.waiting > 0 && matches!(verdict, Verdict::Bounded(_)) {
        writeln!(out, "{:<18} {} of them were not left yet", "", counts.waiting)?;
    }
    if counts.outside > 0 {
        writeln!(out, "{:<18} {} actions led out of the boundary", "", counts.outside)?;
    }
    let Some(counterexample) = report.counterexample() else {
        for marker in unmet {
            writeln!(out, "{:<18} never met: {marker}", "")?;
        }
        return Ok(());
    };
    writeln!(out, "\n{counterexample}")
}
