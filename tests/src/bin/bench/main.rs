//! Benchmarks: Guthi beside the bare network and other libraries, alternating in one run.
//!
//! What carries over from machine to machine are the ratios. Absolute figures belong to the machine that printed them.

mod bare;
mod call;
mod dashboard;
mod failover;
mod group;
mod idle;
mod lock;
mod map;
mod member;
mod process;
mod redis;
mod substream;
mod variable;
mod watch;

use clap::{Parser, Subcommand};

/// Measures Guthi beside what it stands on.
///
/// Every command prints a table and, with --json, one object.
#[derive(Parser)]
#[command(
    name = "bench",
    after_help = "Examples:\n  bench call\n  bench call --json\n  bench map --json\n  bench failover\n  bench idle\n  bench lock --json\n  bench variable --json\n  bench watch --json\n  bench dashboard"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Calls between two processes beside a bare TCP request loop with the same framing.
    Call(call::Options),
    /// A map of a million tiny tasks, and of uneven work beside rayon.
    Map(map::Options),
    /// How long it takes until all agree again after one was killed, stopped, or left, or ten were started.
    Failover(failover::Options),
    /// What nodes cost that do nothing.
    Idle(idle::Options),
    /// Mutexes: on one node, between two beside Redis, and how fair they are among eight.
    Lock(lock::Options),
    /// Variables: reads of what is here, writes, and additions of many tasks, beside Redis.
    Variable(variable::Options),
    /// Watching: how soon others see what has changed, listing, and channels beside a bare connection.
    Watch(watch::Options),
    /// What it costs to look at many nodes by a dashboard.
    Dashboard(dashboard::Options),
    /// A browser, started by the others.
    #[command(hide = true)]
    Browser(dashboard::BrowserOptions),
    /// The measuring process, started by the others.
    #[command(hide = true)]
    CallClient(call::ClientOptions),
    /// Many nodes in one process, started by the others.
    #[command(hide = true)]
    Crowd(dashboard::CrowdOptions),
    /// A process that holds a connection, started by the others.
    #[command(hide = true)]
    Hold(failover::HoldOptions),
    /// A process with a node that says what it sees, started by the others.
    #[command(hide = true)]
    Member(member::MemberOptions),
    /// The answering process, started by the others.
    #[command(hide = true)]
    Serve(process::ServeOptions),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Call(options) => call::run(&options),
        Command::Map(options) => map::run(&options),
        Command::Failover(options) => failover::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Lock(options) => lock::run(&options),
        Command::Variable(options) => variable::run(&options),
        Command::Watch(options) => watch::run(&options),
        Command::Dashboard(options) => dashboard::run(&options),
        Command::Browser(options) => dashboard::browser(&options),
        Command::Crowd(options) => dashboard::crowd(&options),
        Command::CallClient(options) => call::client(&options),
        Command::Hold(options) => failover::hold(&options),
        Command::Member(options) => member::run(&options),
        Command::Serve(options) => process::serve(&options),
    }
}
