//! A node with awkward functions, for tests that kill it, stop it and cut its network.
//!
//! It prints its id when it is linked with everybody, then a line of JSON for each event and each view. It does what its
//! standard input says, and ends with that: `feed BYTES` sends a text of that length to its first peer, again and again;
//! `load FIRST FILE` lets clients with numbers from FIRST upwards work on variables and write a history, and `rest` ends that.

use std::{io::Write, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use guthi::{Builder, ClusterKey, Event, Node, Quorum};
use guthi_tests::{
    cluster::HANG,
    functions::{self, Counters},
    load::Load,
    process::{Line, Seen, Told},
};
use tokio::time::MissedTickBehavior;

/// Nobody is told when a view changes, so it is looked at this often.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Parser)]
struct Options {
    /// Finds the other nodes of this machine through this directory.
    #[arg(long)]
    runtime_dir: Option<PathBuf>,
    /// Listens here.
    #[arg(long)]
    listen: Vec<String>,
    /// Links with the node at this address.
    #[arg(long)]
    join: Vec<String>,
    /// The key of the cluster.
    #[arg(long, env = "GUTHI_KEY", hide_env_values = true)]
    key: Option<ClusterKey>,
    /// Its secret key is this byte, 32 times.
    #[arg(long)]
    identity: Option<u8>,
    /// Who may go on when members are missing.
    #[arg(long)]
    quorum: Option<Who>,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Who {
    Majority,
    Any,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    die_with_the_parent()?;
    let builder = builder(Options::parse()).cluster("test").workers(2).patience(HANG);
    let node = builder.functions(functions::all()).state(Counters::default()).start().await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", node.id())?;
    let obeying = node.clone();
    let ended = tokio::task::spawn_blocking(move || obey(&obeying));
    tokio::select! {
        ended = ended => drop(ended??),
        told = tell(&node, &mut output) => told?,
    }
    Ok(())
}

/// Does what is said until nobody says anything any more.
fn obey(node: &Node) -> std::io::Result<()> {
    let mut load = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next().map(str::parse), words.next()) {
            (Some("feed"), Some(Ok(bytes)), None) => drop(tokio::spawn(feed(node.clone(), bytes))),
            (Some("load"), Some(Ok(first)), Some(path)) => load = Some(Load::start(node, path.as_ref(), first as u64)?),
            (Some("rest"), None, None) => drop(load.take()),
            _ => eprintln!("{line:?} is nothing that a worker does"),
        }
    }
    Ok(())
}

async fn feed(node: Node, bytes: usize) {
    let text = "x".repeat(bytes);
    while let Some(peer) = node.peers().first() {
        if let Err(error) = node.call::<functions::length>(text.clone()).on(peer).deadline(HANG * 10).await {
            eprintln!("{error}");
        }
    }
}

/// Who is stopped does not see its standard input end.
fn die_with_the_parent() -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

fn builder(options: Options) -> Builder {
    let mut builder = match options.runtime_dir {
        Some(directory) => Node::local().runtime_dir(directory),
        None => Node::builder(),
    };
    builder = options.listen.into_iter().fold(builder, Builder::listen);
    builder = options.join.into_iter().fold(builder, Builder::join);
    if let Some(key) = options.key {
        builder = builder.key(key);
    }
    if let Some(byte) = options.identity {
        builder = builder.identity([byte; 32]);
    }
    if let Some(quorum) = options.quorum {
        builder = builder.quorum(match quorum {
            Who::Majority => Quorum::Majority,
            Who::Any => Quorum::Any,
        });
    }
    match options.name {
        Some(name) => builder.name(name),
        None => builder,
    }
}

/// Prints what happens, without end.
async fn tell(node: &Node, output: &mut impl Write) -> anyhow::Result<()> {
    let mut events = node.events();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut shown, mut slowest) = (None, 1);
    loop {
        let echo = node.peers().iter().filter_map(|peer| peer.rtt).max().unwrap_or_default().as_millis() as u64;
        if echo * 2 >= slowest * 3 {
            slowest = echo;
            print(output, &Line::Echo(echo))?;
        }
        let view = seen(node);
        if shown.as_ref() != Some(&view) {
            print(output, &Line::View(view.clone()))?;
            shown = Some(view);
        }
        tokio::select! {
            Some(event) = events.next() => print(output, &Line::Event(told(&event)))?,
            _ = looks.tick() => {}
        }
    }
}

fn print(output: &mut impl Write, line: &Line) -> anyhow::Result<()> {
    writeln!(output, "{}", serde_json::to_string(line)?)?;
    Ok(())
}

fn told(event: &Event) -> Told {
    let peer = event.peer();
    Told {
        name: event.name().into(),
        peer: peer.map(|peer| (peer.id.to_string(), peer.incarnation.0)),
        reason: peer.and_then(|peer| peer.reason.clone()),
    }
}

fn seen(node: &Node) -> Seen {
    let view = node.view();
    let members = view.members.iter().map(|member| (member.id.to_string(), member.incarnation.0));
    Seen { lineage: view.lineage, epoch: view.epoch, members: members.collect(), isolated: view.isolated }
}
