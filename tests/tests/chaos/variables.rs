//! Variables under kills, stops and cuts: all that clients were told is one history, and that has an order.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use guthi_sim::history::{self, Call, Config, History, Reply};
use guthi_tests::{load, process};
use serde_json::{Value, json};

use super::cohort::Cohort;

const NODES: usize = 5;
/// How many operations must be answered: so many in CI's share, and as many as this variable says by hand.
const OPERATIONS: usize = 100_000;
const OPERATIONS_BY_HAND: &str = "GUTHI_CHAOS_OPERATIONS";
/// Longer than it takes until somebody who is stopped or cut off is excluded.
const AWAY: Duration = Duration::from_secs(4);
/// How long nothing happens between two faults.
const BETWEEN: Duration = Duration::from_secs(1);
/// So many numbers are free for the clients of each life of a worker.
const CLIENTS_MAX: u64 = 10_000;

/// A cohort whose workers write histories.
struct Run {
    cohort: Cohort,
    directory: tempfile::TempDir,
    files: Vec<PathBuf>,
    faults: BTreeMap<&'static str, Vec<u64>>,
}

impl Run {
    fn start() -> Option<Self> {
        let cohort = Cohort::in_lab(NODES)?;
        let directory = tempfile::tempdir().unwrap();
        let mut run = Self { cohort, directory, files: Vec::new(), faults: BTreeMap::new() };
        for number in 0..NODES {
            run.load(number);
        }
        Some(run)
    }

    /// The clients of a life begin.
    fn load(&mut self, number: usize) {
        let life = self.files.len();
        let path = self.directory.path().join(format!("{life}.jsonl"));
        self.cohort.workers()[number].load(life as u64 * CLIENTS_MAX, &path);
        self.files.push(path);
    }

    fn note(&mut self, fault: &'static str) {
        self.faults.entry(fault).or_default().push(process::now());
    }

    /// All that was written down, by time. What has no time goes with what its client did before.
    fn events(&self) -> Vec<(u64, bool, String)> {
        let mut events = Vec::new();
        for file in &self.files {
            let mut last = BTreeMap::new();
            for line in fs::read_to_string(file).unwrap_or_default().split_inclusive('\n') {
                // The last line of who was killed may be a part of one.
                let Some(line) = line.strip_suffix('\n') else { continue };
                let event: Value = serde_json::from_str(line).unwrap();
                let client = event["client"].as_u64().unwrap();
                let time = event["time"].as_u64().or_else(|| last.get(&client).copied()).unwrap();
                last.insert(client, time);
                events.push((time, event["invoke"].is_null(), line.to_owned()));
            }
        }
        events.sort_by_key(|(time, ends, _)| (*time, *ends));
        events
    }

    fn answered(&self) -> usize {
        let count = |file: &PathBuf| fs::read_to_string(file).unwrap_or_default().matches("\"return\"").count();
        self.files.iter().map(count).sum()
    }

    /// For each kill, how long it took until each variable was written again by an operation that began later.
    fn failovers(&self, history: &History<Call, Reply>) -> Vec<Duration> {
        let writes: Vec<Vec<_>> = history
            .objects()
            .map(|object| {
                history.operations(object).into_iter().filter(|it| it.op != Call::Get && !it.is_pending()).collect()
            })
            .collect();
        let killed = self.faults.get("kill").into_iter().flatten();
        let failover = |killed: &u64| {
            let ends = writes.iter().map(|writes| {
                let after = writes.iter().filter(|write| write.start.time > *killed);
                after.map(|write| write.end().time).min().unwrap_or(u64::MAX)
            });
            Duration::from_nanos(ends.max().unwrap_or_default().saturating_sub(*killed))
        };
        killed.map(failover).collect()
    }
}

/// D1 to D11 as users see them: nothing that was acknowledged is lost, nothing stale is read, and what is unknown has happened
/// once or never.
#[test]
fn what_clients_were_told_is_linearizable_under_kills_stops_and_cuts() {
    let Some(mut run) = Run::start() else { return };
    let wanted = env::var(OPERATIONS_BY_HAND).ok().map_or(OPERATIONS, |text| text.parse().unwrap());
    let began = Instant::now();
    let mut views = Vec::new();
    for round in 0.. {
        let victim = round % NODES;
        match round % 3 {
            0 => {
                run.note("kill");
                let killed = Instant::now();
                let others: Vec<_> = run.cohort.all().into_iter().filter(|number| *number != victim).collect();
                run.cohort.restart(victim, |cohort| cohort.agree(&others));
                views.push(killed.elapsed());
                run.load(victim);
            }
            1 => {
                run.note("stop");
                run.cohort.workers()[victim].stop();
                run.cohort.pass(Instant::now() + AWAY);
                run.cohort.workers()[victim].resume();
            }
            _ => {
                run.note("cut");
                let those: Vec<_> = run.cohort.all().into_iter().filter(|number| *number != victim).collect();
                run.cohort.lab().partition(&[victim], &those);
                run.cohort.pass(Instant::now() + AWAY);
                run.cohort.lab().heal();
            }
        }
        run.cohort.wait("all are members again", Cohort::is_one);
        run.cohort.pass(Instant::now() + BETWEEN);
        // Each fault three times at least, and each of them to more than one.
        if round >= 8 && run.answered() >= wanted {
            break;
        }
    }
    run.cohort.workers().iter().for_each(process::Worker::rest);
    run.cohort.pass(Instant::now() + BETWEEN);
    judge(&run, wanted, began, &views);
}

fn judge(run: &Run, wanted: usize, began: Instant, views: &[Duration]) {
    let events = run.events();
    let answered = run.answered();
    let unknown = events.iter().filter(|(_, _, line)| line.contains("\"unknown\"")).count();
    let faults = run.faults.values().map(Vec::len).sum::<usize>();
    println!(
        "{answered} operations were answered and {unknown} are unknown, in {:?} with {faults} faults",
        began.elapsed()
    );
    println!("from a kill to a view of the others, with the new life: {views:?}");
    // Whoever comes first gives each variable its first value.
    let given = (0..load::NAMES).map(|number| {
        let (client, name) = (u64::MAX - number, load::name(number));
        let asked = json!({ "time": 0, "client": client, "object": name, "invoke": { "set": 0 } });
        format!("{asked}\n{}\n", json!({ "time": 0, "client": client, "return": "done" }))
    });
    let text: String = given.chain(events.into_iter().map(|(_, _, line)| line + "\n")).collect();
    let history = history::read(text.as_bytes()).unwrap();
    println!("from a kill until all variables were written again: {:?}", run.failovers(&history));
    let objects: BTreeSet<_> = history.objects().map(ToOwned::to_owned).collect();
    let judged = Instant::now();
    let report = history::check(&history, &Config::default());
    println!("judged in {:?}", judged.elapsed());
    if !report.is_ok() {
        let kept = env::temp_dir().join("guthi-history.jsonl");
        fs::write(&kept, &text).unwrap();
        panic!("{report}\nthe history is kept: cargo lin {}", kept.display());
    }
    // A run that did too little shows nothing.
    assert!(answered >= wanted && unknown > 0, "{answered} answered, {unknown} unknown");
    assert_eq!(objects.len() as u64, load::NAMES);
    assert!(["kill", "stop", "cut"].iter().all(|fault| run.faults[fault].len() >= 3), "{:?}", run.faults);
}
