//! `bench idle`: what nodes cost that are asked for nothing.

use std::{fs, thread, time::Duration};

use anyhow::Context;
use clap::Args;
use guthi_tests::process::now;
use serde::Serialize;

use crate::{
    group::{Group, Setting},
    process::load,
};

/// What follows from the start has ended by then.
const SETTLED: Duration = Duration::from_secs(3);
/// How long others are watched who use the loopback interface as well.
const WATCHED: Duration = Duration::from_secs(3);
/// Of one core, in percent.
const CPU_GOAL: f64 = 1.0;

#[derive(Args)]
#[command(after_help = "Examples:\n  bench idle\n  bench idle --nodes 2,20 --seconds 60 --json\n  \
    unshare -rn sh -c 'ip link set lo up; bench idle'\n\n\
    Packets and bytes are those of the loopback interface, acknowledgements and headers included: what others send over \
    it meanwhile is counted as well. The last example has an interface of its own.")]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// How many nodes form the cluster, one figure for each measurement.
    #[arg(long, value_delimiter = ',', default_values_t = [3, 5, 9])]
    nodes: Vec<usize>,
    /// How long each is watched.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// What one node costs: the mean over all of them, in a second.
#[derive(Serialize)]
struct Figures {
    nodes: usize,
    cpu_percent: f64,
    /// Of the node that used most.
    cpu_percent_worst: f64,
    wakeups: f64,
    packets_sent: f64,
    bytes_sent: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let (before, began) = (Loopback::now()?, now());
    thread::sleep(WATCHED);
    let others = Loopback::now()?.since(&before).per_second(now() - began);
    let figures: anyhow::Result<Vec<_>> = options.nodes.iter().map(|nodes| measure(*nodes, options)).collect();
    let figures = figures?;
    if options.json {
        let object = serde_json::json!({
            "seconds": options.seconds,
            "load_before": load,
            "cpu_percent_goal": CPU_GOAL,
            "others": { "packets_sent": others.packets, "bytes_sent": others.bytes },
            "idle": figures,
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
    } else {
        print_table(&figures, &others, load, options);
    }
    Ok(())
}

fn print_table(figures: &[Figures], others: &Loopback, load: f64, options: &Options) {
    println!("what a node costs in a second, idle for {} s; local nodes, default timings", options.seconds);
    println!("before: load {load:.2}, {:.0} packets a second of others over the loopback interface\n", others.packets);
    println!(
        "{:>6}{:>12}{:>12}{:>8}{:>8}{:>12}{:>14}{:>12}",
        "nodes", "% of a core", "worst", "goal", "", "wake-ups", "packets sent", "bytes sent"
    );
    for row in figures {
        let word = if row.cpu_percent < CPU_GOAL { "met" } else { "missed" };
        println!(
            "{:>6}{:>12.2}{:>12.2}{CPU_GOAL:>8.0}{word:>8}{:>12.1}{:>14.1}{:>12.0}",
            row.nodes, row.cpu_percent, row.cpu_percent_worst, row.wakeups, row.packets_sent, row.bytes_sent
        );
    }
}

fn measure(nodes: usize, options: &Options) -> anyhow::Result<Figures> {
    let mut group = Group::start(Setting::Local, nodes)?;
    group.calm(SETTLED)?;
    let pids: Vec<_> = group.members.iter().map(|member| member.pid()).collect();
    let usage = || pids.iter().map(|pid| Usage::now(*pid)).collect::<anyhow::Result<Vec<_>>>();
    let (loopback, before, began) = (Loopback::now()?, usage()?, now());
    thread::sleep(Duration::from_secs(options.seconds));
    let (after, elapsed) = (usage()?, now() - began);
    let sent = Loopback::now()?.since(&loopback).per_second(elapsed);
    let count = nodes as f64;
    let shares = before.iter().zip(&after).map(|(before, after)| after.cpu.saturating_sub(before.cpu));
    let shares: Vec<_> = shares.map(|cpu| cpu as f64 * 100.0 / elapsed as f64).collect();
    let wakeups = before.iter().zip(&after).map(|(before, after)| after.wakeups.saturating_sub(before.wakeups));
    Ok(Figures {
        nodes,
        cpu_percent: shares.iter().sum::<f64>() / count,
        cpu_percent_worst: shares.iter().copied().fold(0.0, f64::max),
        wakeups: wakeups.sum::<u64>() as f64 * 1e9 / elapsed as f64 / count,
        packets_sent: sent.packets / count,
        bytes_sent: sent.bytes / count,
    })
}

/// What a process has used so far.
pub(crate) struct Usage {
    /// In nanoseconds.
    pub(crate) cpu: u64,
    /// How often one of its threads has slept.
    wakeups: u64,
}

impl Usage {
    pub(crate) fn now(pid: u32) -> anyhow::Result<Self> {
        let mut usage = Self { cpu: 0, wakeups: 0 };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let scheduled = fs::read_to_string(task.join("schedstat"))?;
            usage.cpu += scheduled.split(' ').next().context("a time")?.parse::<u64>()?;
            let status = fs::read_to_string(task.join("status"))?;
            let slept = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            usage.wakeups += slept.context("the switches")?.trim().parse::<u64>()?;
        }
        Ok(usage)
    }
}

/// What was sent over the loopback interface.
struct Loopback {
    bytes: f64,
    packets: f64,
}

impl Loopback {
    fn now() -> anyhow::Result<Self> {
        let table = fs::read_to_string("/proc/net/dev")?;
        let fields = table.lines().find_map(|line| line.trim().strip_prefix("lo:")).context("a loopback interface")?;
        // Eight columns of what was received stand before.
        let mut sent = fields.split_whitespace().skip(8).map(str::parse);
        let mut next = || sent.next().context("a counter");
        Ok(Self { bytes: next()??, packets: next()?? })
    }

    fn since(&self, before: &Self) -> Self {
        Self { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }

    fn per_second(&self, nanoseconds: u64) -> Self {
        let seconds = nanoseconds as f64 / 1e9;
        Self { bytes: self.bytes / seconds, packets: self.packets / seconds }
    }
}
