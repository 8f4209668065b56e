//! `bench dashboard`: what it costs to look at many nodes, and what an open dashboard costs while nobody looks.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use guthi::{Builder, Functions, Node};
use guthi_dashboard::Dashboard;
use serde::Serialize;
use tungstenite::{Message, client::IntoClientRequest};

use crate::{
    idle::Usage,
    process::{load, median},
};

/// What follows from a beginning or an end has ended by then.
const SETTLED: Duration = Duration::from_secs(3);
/// Of one core, in percent.
const CPU_GOAL: f64 = 1.0;
const TOPICS: &str = r#"{"subscribe":["nodes","view","sees","events","functions","resources","log:all:info"]}"#;

#[derive(Args)]
#[command(after_help = "Examples:\n  bench dashboard\n  bench dashboard --nodes 10 --seconds 20 --json\n\n\
    One node is served by this process; all others run in a second one, and the browser is a third.")]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// How many nodes form the cluster.
    #[arg(long, default_value_t = 50)]
    nodes: usize,
    /// How long each is watched, each time.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often nobody looks and one browser looks, one after the other; the table has medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Args)]
pub(crate) struct CrowdOptions {
    /// Their runtime directory.
    #[arg(long)]
    directory: PathBuf,
    /// How many.
    #[arg(long)]
    nodes: usize,
}

#[derive(Args)]
pub(crate) struct BrowserOptions {
    /// The start URL.
    #[arg(long)]
    url: String,
}

/// Percent of one core.
#[derive(Clone, Copy, Serialize)]
struct Cost {
    /// Of the process with the dashboard.
    served: f64,
    /// Of the process with all others, together.
    others: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let home = tempfile::tempdir()?;
    let directory = home.path().join("run");
    let runtime = tokio::runtime::Runtime::new()?;
    let others = options.nodes.saturating_sub(1);
    let crowd =
        Helper::start(&["crowd", "--directory", &directory.display().to_string(), "--nodes", &others.to_string()])?;
    let node = runtime.block_on(member(directory).start())?;
    runtime.block_on(node.wait_for(options.nodes))?;
    thread::sleep(SETTLED);
    let without = median_of(options, || cost(&crowd, options))?;
    let dashboard = runtime.block_on(Dashboard::serve(&node, "127.0.0.1:0"))?;
    let (mut closed, mut open, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        closed.push(cost(&crowd, options)?);
        let browser = Helper::start(&["browser", "--url", dashboard.url()])?;
        thread::sleep(SETTLED);
        open.push(cost(&crowd, options)?);
        bytes.push(browser.end()?);
        thread::sleep(SETTLED);
    }
    let (closed, open, bytes) = (middle(&closed), middle(&open), median(&mut bytes));
    if options.json {
        let object = serde_json::json!({
            "nodes": options.nodes, "seconds": options.seconds, "rounds": options.rounds, "load_before": load,
            "cpu_percent_goal": CPU_GOAL, "without": without, "nobody_looks": closed, "one_browser": open,
            "bytes_per_second": bytes,
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    println!("what a dashboard beside {} nodes costs, in percent of a core; before: load {load:.2}\n", options.nodes);
    println!("{:<28}{:>10}{:>10}{:>22}", "", "served", "more", "all others together");
    for (name, cost) in [("no dashboard", without), ("served, nobody looks", closed), ("one browser, all topics", open)]
    {
        println!("{name:<28}{:>10.2}{:>10.2}{:>22.2}", cost.served, cost.served - without.served, cost.others);
    }
    let met = if open.served - without.served < CPU_GOAL { "met" } else { "missed" };
    println!("\ngoal: less than {CPU_GOAL} % more: {met}; the browser was sent {bytes:.0} bytes a second");
    Ok(())
}

fn cost(crowd: &Helper, options: &Options) -> anyhow::Result<Cost> {
    let usage = || Ok::<_, anyhow::Error>((Usage::now(std::process::id())?, Usage::now(crowd.child.id())?));
    let (before, began) = (usage()?, Instant::now());
    thread::sleep(Duration::from_secs(options.seconds));
    let (after, elapsed) = (usage()?, began.elapsed().as_nanos() as f64);
    let percent = |before: &Usage, after: &Usage| after.cpu.saturating_sub(before.cpu) as f64 * 100.0 / elapsed;
    Ok(Cost { served: percent(&before.0, &after.0), others: percent(&before.1, &after.1) })
}

fn median_of(options: &Options, mut measure: impl FnMut() -> anyhow::Result<Cost>) -> anyhow::Result<Cost> {
    let costs: anyhow::Result<Vec<_>> = (0..options.rounds).map(|_| measure()).collect();
    Ok(middle(&costs?))
}

fn middle(costs: &[Cost]) -> Cost {
    let of = |part: fn(&Cost) -> f64| median(&mut costs.iter().map(part).collect::<Vec<_>>());
    Cost { served: of(|cost| cost.served), others: of(|cost| cost.others) }
}

fn member(directory: PathBuf) -> Builder {
    Node::local().runtime_dir(directory).cluster("bench").workers(1).functions(Functions::linked())
}

/// Nodes in one process, until its standard input closes.
pub(crate) fn crowd(options: &CrowdOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let nodes: anyhow::Result<Vec<_>> = runtime.block_on(async {
        let mut nodes = Vec::new();
        for _ in 0..options.nodes {
            nodes.push(member(options.directory.clone()).start().await?);
        }
        Ok(nodes)
    });
    let nodes = nodes?;
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    drop(nodes);
    Ok(())
}

/// A browser that subscribes to all topics; when its standard input closes it says how much it was sent in a second.
pub(crate) fn browser(options: &BrowserOptions) -> anyhow::Result<()> {
    let (address, token) = options.url.trim_start_matches("http://").split_once("/?t=").context("a start URL")?;
    let mut request = format!("ws://{address}/api/v1/stream").into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let (mut socket, _) = tungstenite::client(request, TcpStream::connect(address)?)?;
    socket.send(Message::text(TOPICS))?;
    println!("ready");
    let (ended, until) = (std::sync::mpsc::sync_channel(1), Instant::now() + SETTLED);
    let (end, ends) = ended;
    thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = end.send(());
    });
    // What the snapshots cost is not counted.
    let mut bytes = 0;
    while ends.try_recv().is_err() {
        let message = socket.read()?;
        if Instant::now() > until {
            bytes += message.len();
        }
    }
    println!("{}", bytes as f64 / until.elapsed().as_secs_f64());
    Ok(())
}

/// A process of this program that says when it is ready, and ends when it is told to.
struct Helper {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Helper {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("its output is piped")?);
        output.read_line(&mut String::new())?;
        Ok(Self { child, output })
    }

    /// The number that it says at its end.
    fn end(mut self) -> anyhow::Result<f64> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        Ok(said.trim().parse()?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
