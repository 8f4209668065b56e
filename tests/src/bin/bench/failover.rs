//! `bench failover`: how long it takes until all agree again on who is there, and are served.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use clap::Args;
use guthi_tests::process::now;

use crate::{
    group::{Group, Setting},
    process::{load, median},
};

/// Between two rounds nothing changes for so long.
const CALM: Duration = Duration::from_millis(500);
/// And for one of these longer, so that rounds begin at any moment between two echoes.
const PHASES: [u64; 7] = [0, 37, 71, 108, 142, 179, 213];
/// Processes that are all stopped are stopped for so long.
const STOPPED: Duration = Duration::from_secs(10);
/// And are watched for so long: what they agree on at first may not last.
const WATCHED: Duration = Duration::from_secs(4);
const STARTED_AT_ONCE: usize = 10;

#[derive(Args)]
#[command(after_help = "Examples:\n  bench failover\n  bench failover --rounds 5 --json\n\n\
    Every time ends when the last of the others has a view that is active: it serves what needs agreement again.\n\
    With 20 rounds it takes about three minutes. Nothing fails by time: a goal that is missed is marked.")]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// How often each thing is done; the medians are taken over them.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many processes form the cluster.
    #[arg(long, default_value_t = 5)]
    nodes: usize,
}

#[derive(Args)]
pub(crate) struct HoldOptions {
    /// Whom to connect with.
    to: SocketAddr,
}

/// Milliseconds, round by round.
struct Row {
    key: &'static str,
    title: &'static str,
    goal: Option<f64>,
    times: Vec<f64>,
}

impl Row {
    const fn new(key: &'static str, title: &'static str, goal: Option<f64>) -> Self {
        Self { key, title, goal, times: Vec::new() }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let mut rows = vec![ends_of_connections(options)?];
    let mut local = Group::start(Setting::Local, options.nodes)?;
    let call_us = local.call_us()?;
    rows.push(kills("kill_ms_median_local", "kill -9, one machine", 300.0, &mut local, options)?);
    rows.extend(stops(&mut local, options)?);
    rows.extend(leaves(&mut local, options)?);
    rows.push(stops_of_all(&mut local, options)?);
    drop(local);
    let mut lan = Group::start(Setting::Lan, options.nodes)?;
    rows.insert(2, kills("kill_ms_median_lan", "kill -9, as on a LAN", 1300.0, &mut lan, options)?);
    drop(lan);
    rows.extend(starts(options)?);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&json(&mut rows, call_us, load, options))?);
    } else {
        print_table(&mut rows, call_us, load, options);
    }
    Ok(())
}

fn json(rows: &mut [Row], call_us: f64, load: f64, options: &Options) -> serde_json::Value {
    let mut object = serde_json::json!({
        "nodes": options.nodes,
        "rounds": options.rounds,
        "load_before": load,
        "call_p50_us": call_us,
    });
    for row in rows {
        object[row.key] = median(&mut row.times).into();
        object[format!("{}_worst", row.key)] = row.times.last().copied().into();
        if let Some(goal) = row.goal {
            object[format!("{}_goal", row.key)] = goal.into();
        }
    }
    object
}

fn print_table(rows: &mut [Row], call_us: f64, load: f64, options: &Options) {
    println!("{} processes on one machine; {} rounds; milliseconds", options.nodes, options.rounds);
    println!("load of the machine before: {load:.2}; who has to wait for a core is late");
    println!("round trip: a call of an inline function between two of them, p50 {call_us:.0} us\n");
    println!("{:<52}{:>9}{:>9}{:>9}{:>8}{:>13}", "", "median", "worst", "goal", "", "round trips");
    for row in rows {
        let median = median(&mut row.times);
        let worst = row.times.last().copied().unwrap_or(f64::NAN);
        let (goal, word) = match row.goal {
            Some(goal) => (format!("{goal:.0}"), if median < goal { "met" } else { "missed" }),
            None => ("-".into(), ""),
        };
        let trips = median * 1000.0 / call_us;
        println!("{:<52}{median:>9.1}{worst:>9.1}{goal:>9}{word:>8}{trips:>13.0}", row.title);
    }
}

/// What the kernel takes from `kill -9` until the other end of a connection reads its end.
fn ends_of_connections(options: &Options) -> anyhow::Result<Row> {
    let mut row = Row::new("kill_eof_ms", "kill -9, until a bare TCP peer reads the end", None);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    for _ in 0..options.rounds {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(["hold", &listener.local_addr()?.to_string()]).stdin(Stdio::piped()).spawn()?;
        let (mut stream, _) = listener.accept()?;
        std::thread::sleep(Duration::from_millis(20));
        let killed = now();
        child.kill()?;
        // The end or a reset.
        let _ = stream.read(&mut [0]);
        row.times.push(milliseconds(killed, now()));
        child.wait()?;
    }
    Ok(row)
}

/// The process that is killed for [`ends_of_connections`].
pub(crate) fn hold(options: &HoldOptions) -> anyhow::Result<()> {
    let _stream = TcpStream::connect(options.to)?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn kills(
    key: &'static str,
    title: &'static str,
    goal: f64,
    group: &mut Group,
    options: &Options,
) -> anyhow::Result<Row> {
    let mut row = Row::new(key, title, Some(goal));
    for round in 0..options.rounds {
        calm(group, round)?;
        let killed = group.kill(round)?;
        row.times.push(milliseconds(killed, group.agreed()?));
        group.add()?;
    }
    Ok(row)
}

fn stops(group: &mut Group, options: &Options) -> anyhow::Result<[Row; 2]> {
    // The timeout of the detector, an interval between two echoes, and one second for agreement and leases.
    let mut gone = Row::new("stop_ms_median", "kill -STOP of one", Some(3250.0));
    let mut back = Row::new("return_ms_median", "kill -CONT of it, until it is a member again", None);
    for round in 0..options.rounds {
        calm(group, round)?;
        let stopped = group.stop(round)?;
        gone.times.push(milliseconds(stopped, group.agreed()?));
        let resumed = group.resume()?;
        back.times.push(milliseconds(resumed, group.agreed()?));
    }
    Ok([gone, back])
}

fn leaves(group: &mut Group, options: &Options) -> anyhow::Result<[Row; 2]> {
    let mut gone = Row::new("leave_ms_median", "leave()", Some(150.0));
    let mut said = Row::new("leave_returned_ms_median", "leave(), until it returns", None);
    for round in 0..options.rounds {
        calm(group, round)?;
        let (began, agreed, left) = group.leave(round)?;
        gone.times.push(milliseconds(began, agreed));
        said.times.push(milliseconds(began, left));
        group.add()?;
    }
    Ok([gone, said])
}

fn stops_of_all(group: &mut Group, options: &Options) -> anyhow::Result<Row> {
    let mut row = Row::new("resume_ms_median", "all stopped for 10 s and continued", Some(3000.0));
    for round in 0..options.rounds.min(3) {
        calm(group, round)?;
        group.stop_all()?;
        std::thread::sleep(STOPPED);
        let resumed = group.resume()?;
        row.times.push(milliseconds(resumed, group.calm(WATCHED)?));
    }
    Ok(row)
}

fn starts(options: &Options) -> anyhow::Result<[Row; 2]> {
    let mut joined = Row::new("join10_ms", "10 processes started at once, until one view of 10", Some(3000.0));
    let mut ready = Row::new("join10_exec_ms", "10 processes, until the last one calls start()", None);
    for _ in 0..options.rounds.min(5) {
        let mut group = Group::empty(Setting::Local)?;
        let began = now();
        for _ in 0..STARTED_AT_ONCE {
            group.spawn()?;
        }
        joined.times.push(milliseconds(began, group.agreed()?));
        let starting = group.members.iter().filter_map(|member| member.starting).max().unwrap_or(began);
        ready.times.push(milliseconds(began, starting));
    }
    Ok([joined, ready])
}

fn calm(group: &mut Group, round: usize) -> anyhow::Result<()> {
    group.calm(CALM + Duration::from_millis(PHASES[round % PHASES.len()])).map(drop)
}

/// Nothing, if it was so before.
fn milliseconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}
