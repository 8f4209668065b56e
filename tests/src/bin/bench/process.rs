//! The second process of every measurement, and what both processes cost.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use guthi::{Node, NodeId};
use serde::{Deserialize, Serialize};

use crate::bare;

pub(crate) const MIB: u64 = 1 << 20;
/// Tasks that do something at the same time.
pub(crate) const TASKS: usize = 256;

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Stay on this core.
    #[arg(long)]
    pin: Option<usize>,
    /// The cluster to belong to.
    #[arg(long)]
    cluster: String,
    /// Compute threads.
    #[arg(long)]
    workers: Option<usize>,
}

/// What the answering process says of itself when it is ready.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) bare: SocketAddr,
    pub(crate) node: String,
}

/// Answers until its standard input closes.
pub(crate) fn serve(options: &ServeOptions) -> anyhow::Result<()> {
    pin(options.pin)?;
    let bare = bare::serve()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let node = runtime.block_on(async {
        let mut builder = Node::local().cluster(&options.cluster);
        if let Some(workers) = options.workers {
            builder = builder.workers(workers);
        }
        builder.start().await
    })?;
    println!("{}", serde_json::to_string(&Ready { bare, node: node.id().to_string() })?);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// The answering process; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready: Ready,
}

impl Server {
    pub(crate) fn start(cluster: &str, pin: Option<usize>, workers: Option<usize>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--cluster", cluster]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(core) = pin {
            command.args(["--pin", &core.to_string()]);
        }
        if let Some(workers) = workers {
            command.args(["--workers", &workers.to_string()]);
        }
        let mut child = command.spawn().context("the answering process could not be started")?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready = serde_json::from_str(&line).context("the answering process did not start")?;
        Ok(Self { child, ready })
    }

    /// CPU time that both processes have used so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        Ok(cpu_of("self")? + cpu_of(&self.child.id().to_string())?)
    }
}

impl Server {
    /// Its memory that is in use, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it says what it uses")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn cpu_of(pid: &str) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().context("a stat line")?.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Keeps this process, and the threads that it starts from now on, on one core.
pub(crate) fn pin(core: Option<usize>) -> anyhow::Result<()> {
    if let Some(core) = core {
        let mut set = rustix::thread::CpuSet::new();
        set.set(core);
        rustix::thread::sched_setaffinity(None, &set)?;
    }
    Ok(())
}

/// A cluster that no other run has.
pub(crate) fn cluster() -> String {
    format!("bench-{}", std::process::id())
}

/// How many threads of this machine wanted a core in the last minute, on average.
pub(crate) fn load() -> anyhow::Result<f64> {
    let averages = std::fs::read_to_string("/proc/loadavg")?;
    Ok(averages.split(' ').next().context("an average")?.parse()?)
}

/// Does something with each number, by [`TASKS`] tasks.
pub(crate) async fn each<F>(count: usize, act: impl Fn(usize) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        if tasks.len() == TASKS
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        tasks.spawn(act(number));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

#[guthi::function(inline)]
fn there_and_back(number: u64) -> u64 {
    number
}

/// What a round trip of an inline call takes, in microseconds.
pub(crate) async fn call(node: &Node, to: NodeId) -> anyhow::Result<f64> {
    let begun = Instant::now();
    node.call::<there_and_back>(1).on(to).await?;
    Ok(micros(begun.elapsed()))
}

/// The median of so many, one after the other.
pub(crate) async fn calls(node: &Node, to: NodeId, count: usize) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(call(node, to).await?);
    }
    Ok(median(&mut times))
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn mebibytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / MIB as f64 / elapsed.as_secs_f64()
}

/// The value in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.is_empty() { f64::NAN } else { values[values.len() / 2] }
}

/// The value below which so many in a hundred are.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).copied().unwrap_or(f64::NAN)
}
