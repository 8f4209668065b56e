//! `cargo sim`: plays scenarios in the simulator.

use std::{
    fmt::Write as _,
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use guthi_core::protocol::bugs::{Bug, Bugs};
use guthi_sim::{
    campaign::{self, Campaign, Playable, RUNS_MIN, Tally},
    fault::Profile,
    scenario::membership,
    script,
};
use serde_json::json;

/// Plays scenarios in the simulator: many nodes, one virtual time, and every fault that a network and its machines have.
///
/// A seed decides everything. Whatever fails is printed with the one command that plays it again.
#[derive(Debug, Parser)]
#[command(name = "sim", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The scenario; all of them unless given.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Plays this seed alone, and tells what happened.
    #[arg(long, value_name = "SEED", value_parser = number)]
    seed: Option<u64>,
    /// How many seeds of each scenario.
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    seeds: Option<u64>,
    /// Plays for so long, all scenarios together, and at least 200 seeds of each.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// The first seed of a campaign.
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = number)]
    from: u64,
    /// safety, liveness, calm or targeted; drawn from the seed unless given.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Breaks a rule on purpose; an unknown name lists them.
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Plants every bug in turn, and shows how many seeds it takes to find it.
    #[arg(long)]
    bugs: bool,
    /// Makes a failing seed small, and keeps it under tests/regressions.
    #[arg(long, requires = "seed")]
    minimise: bool,
    /// Plays each seed twice and compares, and prints a digest to compare between builds.
    #[arg(long)]
    check_determinism: bool,
    /// Plays a regression again: one of a planted bug must break its rule, any other none.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "minutes", "play"])]
    replay: Option<PathBuf>,
    /// Gives a play, and prints it with what was said.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "minutes"])]
    play: Option<PathBuf>,
    /// Writes the play back into its file.
    #[arg(long, requires = "play")]
    write: bool,
    /// Prints what view changes and leases cost, in messages and bytes.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "minutes", "play"])]
    costs: bool,
    /// How many of the last lines of what happened are printed.
    #[arg(long, value_name = "N", default_value_t = 200)]
    lines: usize,
    /// Writes results as JSON.
    #[arg(long)]
    json: bool,
    /// How many seeds are played at the same time; as many as there are cores unless given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

const AFTER_HELP: &str = "Examples:
  cargo sim                                        200 seeds of each scenario
  cargo sim --minutes 4                            as much as four minutes allow
  cargo sim --scenario catalog --seed 0x2a         one run, with what happened in it
  cargo sim --scenario catalog --seed 0x2a --minimise
                                                   as little as still fails, kept as tests/regressions/NNN.ron
  cargo sim --replay tests/regressions/001.ron     that again
  cargo sim --play tests/plays/mutex-death.play     a scene with its conversation; --write keeps that
  cargo sim --bugs                                 bugs planted on purpose, and how soon each is found
  cargo sim --check-determinism --seeds 50         the same seed twice is the same run

Exit code:
  0  no rule was broken, and everything that should happen did; of a planted bug: it was found
  1  a rule was broken, a seed was not the same twice, a planted bug was not found, or a campaign left something undone
  2  the arguments make no sense";

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "expected a number such as 42 or 0x2a".to_owned())
}

fn main() -> ExitCode {
    // A machine that panics breaks a rule; the run says which, and where it stands in the journal.
    std::panic::set_hook(Box::new(|_| {}));
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(file) = &arguments.replay {
        return replay(file, arguments.lines);
    }
    if arguments.costs {
        print!("{}", membership::costs(&[3, 10, 30, 100]));
        return Ok(true);
    }
    if let Some(file) = &arguments.play {
        return perform(file, arguments.write);
    }
    let scenarios = match &arguments.scenario {
        None => campaign::scenarios(),
        Some(name) => {
            let names: Vec<_> = campaign::scenarios().iter().map(|scenario| scenario.name()).collect();
            let unknown = || anyhow!("there is no scenario {name:?}; there are {}", names.join(", "));
            vec![campaign::scenario(name).ok_or_else(unknown)?]
        }
    };
    let profile = arguments.profile.as_deref().map(profile).transpose()?;
    let bug = arguments.bug.as_deref().map(bug).transpose()?;
    if arguments.bugs {
        return find_bugs(arguments, &scenarios, profile);
    }
    if let Some(seed) = arguments.seed {
        let [scenario] = &scenarios[..] else { bail!("a seed belongs to a scenario: add --scenario NAME") };
        if arguments.minimise {
            return minimise(&**scenario, seed, profile, bug, arguments.lines);
        }
        return Ok(play_one(&**scenario, seed, profile, bug, arguments.lines));
    }
    let mut good = true;
    for scenario in &scenarios {
        good &= play_many(arguments, &**scenario, scenarios.len(), profile, bug);
    }
    Ok(good)
}

fn profile(name: &str) -> Result<Profile> {
    let found = Profile::ALL.into_iter().find(|profile| profile.name() == name);
    found.ok_or_else(|| anyhow!("there is no profile {name:?}; there are safety, liveness, calm and targeted"))
}

fn bug(name: &str) -> Result<Bug> {
    let names: Vec<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    campaign::bug(name).ok_or_else(|| anyhow!("there is no bug {name:?}; there are {}", names.join(", ")))
}

fn bugs(bug: Option<Bug>) -> Bugs {
    bug.map_or(Bugs::NONE, Bugs::plant)
}

/// The one command that plays a seed again.
fn command(scenario: &str, seed: u64, profile: Option<Profile>, bug: Option<Bug>) -> String {
    let mut command = format!("cargo sim --scenario {scenario} --seed {seed:#x}");
    if let Some(profile) = profile {
        let _ = write!(command, " --profile {}", profile.name());
    }
    if let Some(bug) = bug {
        let _ = write!(command, " --bug {}", bug.name());
    }
    command
}

// One run.

fn play_one(scenario: &dyn Playable, seed: u64, profile: Option<Profile>, bug: Option<Bug>, lines: usize) -> bool {
    let outcome = scenario.play(seed, profile, bugs(bug), true);
    println!("plan: {}\n", scenario.plan(seed, profile));
    println!("what happened last:\n{}", last(&outcome.journal, lines));
    println!("commit {}, guthi-sim {}", commit(), env!("CARGO_PKG_VERSION"));
    println!(
        "{} steps, {} messages, {:.1} s of virtual time, trace {}",
        outcome.steps,
        outcome.messages,
        outcome.time.as_nanos() as f64 / 1e9,
        outcome.hash
    );
    match &outcome.violation {
        None => println!("no rule was broken"),
        Some(violation) => {
            println!("broken: {}", violation.what);
            println!("replay: {}", command(scenario.name(), seed, profile, bug));
        }
    }
    outcome.violation.is_none()
}

fn last(text: &str, lines: usize) -> String {
    let count = text.lines().count();
    text.lines().skip(count.saturating_sub(lines)).map(|line| format!("{line}\n")).collect()
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "unknown".into(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

fn minimise(
    scenario: &dyn Playable,
    seed: u64,
    profile: Option<Profile>,
    bug: Option<Bug>,
    lines: usize,
) -> Result<bool> {
    let Some((text, outcome)) = scenario.minimise(seed, profile, bug, MINIMISING_PLAYS) else {
        println!("seed {seed:#x} breaks no rule, so there is nothing to make small");
        return Ok(true);
    };
    let file = next_regression(Path::new("tests/regressions"))?;
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{text}\n\nwhat happened last:\n{}", last(&outcome.journal, lines));
    println!("kept as {}; tell its story there", file.display());
    println!("replay: cargo sim --replay {}", file.display());
    Ok(false)
}

const MINIMISING_PLAYS: u32 = 3000;

fn next_regression(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}; run this from the top of the repository", folder.display()))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str()?.parse::<u32>().ok());
    let next = numbers.max().unwrap_or(0) + 1;
    Ok(folder.join(format!("{next:03}.ron")))
}

fn replay(file: &Path, lines: usize) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let header = campaign::header(&text).map_err(|error| anyhow!("{} is no regression: {error}", file.display()))?;
    let scenario = campaign::scenario(&header.scenario)
        .ok_or_else(|| anyhow!("{} is of an unknown scenario {:?}", file.display(), header.scenario))?;
    let bug = header.bug.as_deref().map(bug).transpose()?;
    let outcome = scenario.replay(&text, bugs(bug), true).map_err(|error| anyhow!("{error}"))?;
    println!("{}\n\nwhat happened last:\n{}", header.story, last(&outcome.journal, lines));
    match (&outcome.violation, bug) {
        (Some(violation), Some(bug)) => println!("broken, as it should be with {}: {}", bug.name(), violation.what),
        (Some(violation), None) => println!("broken: {}", violation.what),
        (None, Some(bug)) => println!("no rule was broken, and {} should break one", bug.name()),
        (None, None) => println!("no rule was broken"),
    }
    // With its bug planted, a regression is good if it is still found.
    Ok(outcome.violation.is_some() == bug.is_some())
}

fn perform(file: &Path, write: bool) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = script::scenario(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let names = || campaign::scenarios().iter().map(|scenario| scenario.name()).collect::<Vec<_>>().join(", ");
    let scenario = campaign::scenario(name)
        .ok_or_else(|| anyhow!("{}: there is no scenario {name:?}; there are {}", file.display(), names()))?;
    let given = scenario.perform(&text).map_err(|error| anyhow!("{}, {error}", file.display()))?;
    if write {
        fs::write(file, &given).with_context(|| format!("cannot write {}", file.display()))?;
    } else {
        print!("{given}");
    }
    Ok(true)
}

// Many runs.

fn play_many(
    arguments: &Arguments,
    scenario: &dyn Playable,
    scenarios: usize,
    profile: Option<Profile>,
    bug: Option<Bug>,
) -> bool {
    let began = Instant::now();
    let time = arguments.minutes.map(|minutes| Duration::from_secs_f64((minutes * 60.0).max(0.0) / scenarios as f64));
    let wanted = arguments.seeds.unwrap_or(RUNS_MIN);
    let more = |played: u64| match time {
        Some(time) => began.elapsed() < time,
        None => played < wanted,
    };
    let campaign = Campaign {
        from: arguments.from,
        profile,
        bugs: bugs(bug),
        threads: threads(arguments),
        twice_every: if arguments.check_determinism { 1 } else { 100 },
    };
    let tally = campaign.play(scenario, &more);
    report(arguments, scenario, &tally, began.elapsed(), profile, bug)
}

fn threads(arguments: &Arguments) -> usize {
    arguments.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get)).max(1)
}

fn report(
    arguments: &Arguments,
    scenario: &dyn Playable,
    tally: &Tally,
    elapsed: Duration,
    profile: Option<Profile>,
    bug: Option<Bug>,
) -> bool {
    let rate = tally.steps as f64 / elapsed.as_secs_f64().max(1e-9);
    let per_core = rate / threads(arguments) as f64;
    // What a campaign of one profile or with a bug leaves undone says nothing.
    let whole = profile.is_none() && bug.is_none() && tally.runs >= RUNS_MIN;
    let missing = if whole { tally.missing(scenario.markers()) } else { Vec::new() };
    let too_few = arguments.minutes.is_some() && tally.runs < RUNS_MIN && tally.broken.is_empty();
    let good = tally.broken.is_empty() && tally.unstable.is_empty() && missing.is_empty() && !too_few;
    if arguments.json {
        let faults: serde_json::Map<_, _> =
            tally.counters.iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
        let broken = tally.broken.iter().map(|(seed, violation)| json!({ "seed": seed, "rule": violation.what }));
        let object = json!({
            "scenario": scenario.name(),
            "seeds": tally.runs,
            "steps": tally.steps,
            "messages": tally.messages,
            "virtual_seconds": tally.nanos as f64 / 1e9,
            "seconds": elapsed.as_secs_f64(),
            "steps_per_second_and_core": per_core,
            "faults": faults,
            "reached": tally.reached,
            "missing": missing,
            "unstable": tally.unstable,
            "digest": format!("{:016x}", tally.digest),
            "broken": broken.collect::<Vec<_>>(),
        });
        println!("{object}");
        return good;
    }
    println!(
        "{}: {} seeds, {} steps, {} messages, {:.1} h of virtual time in {:.1} s; {:.2} M steps/s and core; digest {:016x}",
        scenario.name(),
        tally.runs,
        tally.steps,
        tally.messages,
        tally.nanos as f64 / 3.6e12,
        elapsed.as_secs_f64(),
        per_core / 1e6,
        tally.digest,
    );
    println!("  done to it");
    tally.counters.iter().for_each(|(name, count)| println!("    {count:>9}  {name}"));
    println!("  reached");
    tally.reached.iter().for_each(|(name, count)| println!("    {count:>9}  {name}"));
    for (seed, violation) in &tally.broken {
        println!("  BROKEN  {}", violation.what);
        println!("  replay: {}", command(scenario.name(), *seed, profile, bug));
    }
    for seed in &tally.unstable {
        println!("  NOT THE SAME TWICE  {}", command(scenario.name(), *seed, profile, bug));
    }
    missing.iter().for_each(|name| println!("  NEVER  {name}"));
    if too_few {
        println!("  TOO FEW  {} seeds in that time, at least {RUNS_MIN} are asked for", tally.runs);
    }
    good
}

// Bugs.

fn find_bugs(arguments: &Arguments, scenarios: &[Box<dyn Playable>], profile: Option<Profile>) -> Result<bool> {
    let most = arguments.seeds.unwrap_or(5000);
    let wanted = arguments.bug.as_deref().map(bug).transpose()?;
    let mut all_found = true;
    if !arguments.json {
        println!("{:<24} {:>9} {:>6} {:>8}  broken", "bug", "scenario", "seeds", "seed");
    }
    for bug in Bug::ALL.into_iter().filter(|bug| wanted.is_none_or(|wanted| wanted == *bug)) {
        let found = (0..most).find_map(|number| {
            scenarios.iter().find_map(|scenario| {
                let outcome = scenario.play(arguments.from + number, profile, Bugs::plant(bug), false);
                Some((scenario.name(), number, outcome.violation?))
            })
        });
        all_found &= found.is_some();
        match found {
            Some((scenario, number, violation)) if arguments.json => {
                let seed = arguments.from + number;
                let object = json!({
                    "bug": bug.name(), "scenario": scenario, "seeds": number + 1, "seed": seed, "rule": violation.what,
                });
                println!("{object}");
            }
            Some((scenario, number, violation)) => {
                let seed = format!("{:#x}", arguments.from + number);
                println!("{:<24} {scenario:>9} {:>6} {seed:>8}  {}", bug.name(), number + 1, violation.what);
            }
            None if arguments.json => println!("{}", json!({ "bug": bug.name(), "seeds": most, "seed": null })),
            None => println!("{:<24} {:>9} {most:>6} {:>8}  NOT FOUND", bug.name(), "", ""),
        }
    }
    if !arguments.json {
        println!("to see one: cargo sim --scenario SCENARIO --seed SEED --bug BUG");
    }
    Ok(all_found)
}
