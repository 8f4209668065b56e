//! The simulator at work: plays, regressions, planted bugs, and a campaign.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use guthi_core::protocol::bugs::{Bug, Bugs};
use guthi_sim::{
    campaign::{self, Campaign, RUNS_MIN},
    script,
};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

#[test]
fn plays_are_given_as_written() {
    let rewrite = env::var_os("UPDATE_PLAYS").is_some();
    let mut different = Vec::new();
    for file in files("plays", "play") {
        let text = fs::read_to_string(&file).unwrap();
        let scenario =
            script::scenario(&text).and_then(|name| campaign::scenario(name).ok_or_else(|| "no such scenario".into()));
        let given = scenario.and_then(|scenario| scenario.perform(&text));
        let given = given.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if given != text && rewrite {
            fs::write(&file, given).unwrap();
        } else if given != text {
            let line = given.lines().zip(text.lines()).position(|(given, written)| given != written);
            different.push(format!("{}, line {}", file.display(), line.map_or(0, |line| line + 1)));
        }
    }
    assert!(
        different.is_empty(),
        "these plays went another way:\n{}\nread what changed with: UPDATE_PLAYS=1 cargo test -p guthi-tests --test \
         simulation && git diff tests/plays",
        different.join("\n")
    );
}

#[test]
fn what_once_broke_a_rule_breaks_it_no_more_and_planted_bugs_still_do() {
    for file in files("regressions", "ron") {
        let text = fs::read_to_string(&file).unwrap();
        let header = campaign::header(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let scenario = campaign::scenario(&header.scenario).unwrap();
        let replay = format!("replay: cargo sim --replay {}", file.display());
        let sound = scenario.replay(&text, Bugs::NONE, false).unwrap();
        assert_eq!(sound.violation, None, "{replay}");
        if let Some(bug) = &header.bug {
            let bug = campaign::bug(bug).unwrap_or_else(|| panic!("{}: no such bug", file.display()));
            let violation = scenario.replay(&text, Bugs::plant(bug), false).unwrap().violation;
            let violation = violation.unwrap_or_else(|| panic!("the bug is not found any more; {replay}"));
            assert_eq!(campaign::rule(&violation), header.rule, "{replay}");
        }
    }
}

/// What breaks a rule only in an order of events that no seed came to, among 5,000, or among 600 of the variables. `cargo model` finds a counterexample for
/// each.
const FOUND_BY_THE_MODEL: [Bug; 9] = [
    Bug::OwnCutShrugged,
    Bug::AcceptPromisesNothing,
    Bug::GrantsForgotten,
    Bug::SinceIgnored,
    Bug::ForkSetLoose,
    Bug::RefusalIgnored,
    Bug::OldWriteTaken,
    Bug::FillTakenTwice,
    Bug::LastStoreWins,
];

/// Every bug that can be planted has a recorded plan that finds it.
#[test]
fn every_planted_bug_is_found_by_a_regression() {
    let texts: Vec<_> = files("regressions", "ron").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let found: Vec<_> = texts.iter().filter_map(|text| campaign::header(text).unwrap().bug).collect();
    let missing = Bug::ALL.into_iter().filter(|bug| !FOUND_BY_THE_MODEL.contains(bug));
    let missing: Vec<_> = missing.filter(|bug| !found.contains(&bug.name().to_owned())).collect();
    assert_eq!(
        missing,
        [],
        "cargo sim --bugs finds a seed, cargo sim --scenario .. --seed .. --bug .. --minimise keeps it"
    );
}

/// Three minutes in CI, a few seconds elsewhere.
#[test]
fn no_rule_is_broken_in_a_campaign() {
    let ci = env::var("CI").is_ok_and(|ci| ci == "true");
    let scenarios = campaign::scenarios();
    let time = Duration::from_secs(if ci { 180 } else { 6 }) / u32::try_from(scenarios.len()).unwrap();
    for scenario in scenarios {
        let began = Instant::now();
        let campaign = campaign_of(100);
        let more = |begun: u64| began.elapsed() < time || (ci && begun < RUNS_MIN);
        let tally = campaign.play(&*scenario, &more);
        let name = scenario.name();
        eprintln!(
            "{name}: {} seeds, {} steps, {:.2} M steps/s\n  done to it: {:?}\n  reached: {:?}",
            tally.runs,
            tally.steps,
            tally.steps as f64 / began.elapsed().as_secs_f64() / 1e6,
            tally.counters,
            tally.reached
        );
        if let Some((seed, violation)) = tally.broken.first() {
            panic!("{}\nreplay: cargo sim --scenario {name} --seed {seed:#x}", violation.what);
        }
        assert_eq!(tally.unstable, [0; 0], "the same seed twice was not the same run");
        if tally.runs >= RUNS_MIN {
            assert_eq!(tally.missing(scenario.markers()), [""; 0], "what a campaign never did, it has not tested");
        }
        assert!(!ci || tally.runs >= RUNS_MIN, "only {} seeds of {name} in {time:?}", tally.runs);
    }
}

/// The same runs, told by one number for each scenario.
#[test]
#[ignore = "`.ci/run` compares what it prints with what a release build does"]
fn digests() {
    for scenario in campaign::scenarios() {
        let tally = campaign_of(u64::MAX).play(&*scenario, &|begun| begun < 40);
        println!("{{\"scenario\":\"{}\",\"digest\":\"{:016x}\"}}", scenario.name(), tally.digest);
    }
}

fn campaign_of(twice_every: u64) -> Campaign {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    Campaign { from: 0, profile: None, bugs: Bugs::NONE, threads, twice_every }
}
