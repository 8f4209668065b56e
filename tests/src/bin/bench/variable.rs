//! `bench variable`: what it costs to read a variable that is here, to write one, and how many additions go through, beside Redis.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures::future::try_join_all;
use guthi::{Node, NodeId, Variable, VariableInfo};
use redis::aio::MultiplexedConnection;
use serde::Serialize;

use crate::{
    process::{MIB, Server, TASKS, calls, cluster, each, load, median},
    redis as server,
};

/// Reads in a row that are timed together.
const BATCH: u32 = 1000;
const BATCHES: usize = 200;
/// Writes, calls and commands of a round, one after the other.
const CALLS: usize = 500;
/// Variables that they add to, when it is not one.
const MANY: usize = 1000;
/// Variables that one task sets at the same time, and how often in a round.
const JOINED: usize = 64;
const JOINS: usize = 50;
const TURN: Duration = Duration::from_millis(700);
/// Variables of which the homes are looked for.
const CANDIDATES: usize = 64;
/// Bytes of each of a crowd of variables, and how many of them are written after a node has died: some of each shard.
const CROWD_BYTES: usize = 100;
const CROWD_SAMPLE: usize = 8192;

#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Alternations between the sides; the medians are taken over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// So many variables of 100 bytes, for what they take and how long a node's death is felt; 0 leaves that out.
    #[arg(long, default_value_t = 100_000)]
    crowd: usize,
}

/// What was found; all medians over the rounds. Of what Redis was not there for, nothing.
#[derive(Debug, Serialize)]
struct Figures {
    /// A read of a variable that this node has read before.
    cached_get_ns: f64,
    /// The same by so many threads at once as there are cores, each read.
    cached_get_threads_ns: f64,
    threads: usize,
    /// A round trip of an inline call to another process.
    call_us: f64,
    /// A write from a node that does not keep the variable.
    set_remote_us: f64,
    set_remote_ratio: f64,
    /// A write from the first home.
    set_home_us: f64,
    set_home_ratio: f64,
    /// Of many that one task waits for at the same time, each.
    set_joined_us: f64,
    set_joined_ratio: f64,
    /// 256 tasks of a node that does not keep it add to one variable.
    adds_per_second_one: f64,
    /// The same tasks add to a thousand variables.
    adds_per_second_many: f64,
    cached_get_vs_redis: Option<f64>,
    redis: Option<RedisFigures>,
    crowd: Option<CrowdFigures>,
    load: f64,
}

/// Many variables on three nodes, of which one is killed.
#[derive(Debug, Serialize)]
struct CrowdFigures {
    variables: usize,
    created_per_second: f64,
    /// What another process uses before and after, in MiB.
    memory_before_mib: f64,
    memory_mib: f64,
    /// From the kill to a view of those who are left.
    view_ms: f64,
    /// From there until a variable was written that had its first home at the one that was killed.
    recovery_ms: f64,
    /// From the kill until variables of all shards were written again.
    served_ms: f64,
}

#[derive(Debug, Serialize)]
struct RedisFigures {
    version: String,
    get_us: f64,
    set_us: f64,
    /// With one replica, and WAIT 1 after it.
    set_replicated_us: f64,
    incr_per_second: f64,
    /// With one replica, and WAIT 1 after each.
    incr_replicated_per_second: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let name = cluster();
    let _others = [Server::start(&name, None, None)?, Server::start(&name, None, None)?];
    let redis = server::Server::start()?;
    let replicated = server::Server::start()?;
    let replica = replicated.as_ref().map(server::Server::replica).transpose()?.flatten();
    let figures = runtime.block_on(async {
        let node = Node::local().cluster(&name).start().await?;
        node.wait_for(3).await?;
        let side = Side::new(node).await?;
        if let (Some(server), true) = (&replicated, replica.is_some()) {
            server::replicated(&server.url).await?;
        }
        let peers = Peers { redis, replicated: replicated.filter(|_| replica.is_some()) };
        let figures = side.measure(options.rounds, &peers, load).await?;
        side.node.leave().await?;
        anyhow::Ok(figures)
    })?;
    drop(replica);
    let crowd = (options.crowd > 0).then(|| runtime.block_on(crowd(options.crowd))).transpose()?;
    let figures = Figures { crowd, ..figures };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

struct Peers {
    redis: Option<server::Server>,
    replicated: Option<server::Server>,
}

struct Side {
    node: Node,
    /// It has its first home here.
    home: Variable<u64>,
    /// Others keep it.
    remote: Variable<u64>,
    /// Who is its first home.
    partner: NodeId,
    many: Vec<Variable<u64>>,
}

impl Side {
    async fn new(node: Node) -> anyhow::Result<Self> {
        let list = spread(&node, "bench/").await?;
        let here = node.id();
        let home = list.iter().find(|it| it.homes.first() == Some(&here)).context("one is at home here")?;
        let remote = list.iter().find(|it| !it.homes.contains(&here)).context("one is kept by others")?;
        let partner = remote.homes[0];
        let (home, remote) = (node.variable(&home.name, 0).await?, node.variable(&remote.name, 0).await?);
        let many = (0..MANY).map(|number| node.variable(format!("many/{number}"), 0_u64));
        let many = try_join_all(many).await?;
        Ok(Self { node, home, remote, partner, many })
    }

    async fn measure(&self, rounds: usize, peers: &Peers, load: f64) -> anyhow::Result<Figures> {
        let threads = std::thread::available_parallelism()?.get();
        let mut columns: [Vec<f64>; 17] = Default::default();
        let mut note = |column: usize, value: f64| columns[column].push(value);
        for _ in 0..rounds {
            let get = self.cached_get().await?;
            let call = calls(&self.node, self.partner, CALLS).await?;
            let (remote, home) = (timed(&self.remote).await?, timed(&self.home).await?);
            note(0, get);
            note(1, self.cached_get_threads(threads).await?);
            note(2, call);
            note(3, remote);
            note(4, home);
            note(5, remote / call);
            note(6, home / call);
            note(7, adds(std::slice::from_ref(&self.remote)).await?);
            note(8, adds(&self.many).await?);
            let joined = joined(&self.many[..JOINED]).await?;
            note(15, joined);
            note(16, joined / call);
            if let Some(redis) = &peers.redis {
                let mut connection = server::connect(&redis.url).await?;
                let redis_get = command(&mut connection, get_command).await?;
                note(9, redis_get);
                note(10, command(&mut connection, set_command).await?);
                note(11, incr(&connection, false).await?);
                note(12, redis_get * 1000.0 / get);
            }
            if let Some(redis) = &peers.replicated {
                let mut connection = server::connect(&redis.url).await?;
                note(13, replicated_set(&mut connection).await?);
                note(14, incr(&connection, true).await?);
            }
        }
        let column = columns.each_mut().map(|values| median(values));
        let [get, get_threads, call, remote, home, remote_ratio, home_ratio, one, many, ..] = column;
        let redis = peers.redis.as_ref().map(|redis| RedisFigures {
            version: redis.version.clone(),
            get_us: column[9],
            set_us: column[10],
            set_replicated_us: column[13],
            incr_per_second: column[11],
            incr_replicated_per_second: column[14],
        });
        Ok(Figures {
            cached_get_ns: get,
            cached_get_threads_ns: get_threads,
            threads,
            call_us: call,
            set_remote_us: remote,
            set_remote_ratio: remote_ratio,
            set_home_us: home,
            set_home_ratio: home_ratio,
            set_joined_us: column[15],
            set_joined_ratio: column[16],
            adds_per_second_one: one,
            adds_per_second_many: many,
            cached_get_vs_redis: redis.as_ref().map(|_| column[12]),
            redis,
            crowd: None,
            load,
        })
    }

    async fn cached_get(&self) -> anyhow::Result<f64> {
        self.remote.get().await?;
        reads(&self.remote).await
    }

    /// All threads read the same variable.
    async fn cached_get_threads(&self, threads: usize) -> anyhow::Result<f64> {
        self.remote.get().await?;
        let tasks = (0..threads).map(|_| {
            let variable = self.remote.clone();
            tokio::spawn(async move { reads(&variable).await })
        });
        let mut times = Vec::new();
        for task in futures::future::join_all(tasks).await {
            times.push(task??);
        }
        Ok(median(&mut times))
    }
}

async fn reads(variable: &Variable<u64>) -> anyhow::Result<f64> {
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            std::hint::black_box(variable.get().await?);
        }
        batches.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    Ok(median(&mut batches))
}

/// Writes one after the other, in microseconds.
async fn timed(variable: &Variable<u64>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS as u64 {
        let begun = Instant::now();
        variable.set(number).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// The same for each of several that are written at the same time, by one task.
async fn joined(variables: &[Variable<u64>]) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(JOINS);
    for number in 0..JOINS as u64 {
        let begun = Instant::now();
        try_join_all(variables.iter().map(|variable| variable.set(number))).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6 / variables.len() as f64);
    }
    Ok(median(&mut times))
}

/// Additions in a second by all tasks together.
async fn adds(variables: &[Variable<u64>]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        // Each goes through all of them, from a place of its own.
        let variables = variables.to_vec();
        tokio::spawn(async move {
            let (mut at, mut count) = (task * variables.len() / TASKS, 0_u64);
            while begun.elapsed() < TURN {
                variables[at % variables.len()].add(1).await?;
                (at, count) = (at + 1, count + 1);
            }
            anyhow::Ok(count)
        })
    });
    let mut count = 0;
    for task in futures::future::join_all(tasks).await {
        count += task??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// What many variables take, and how long it takes until all are served again when a node dies.
async fn crowd(count: usize) -> anyhow::Result<CrowdFigures> {
    let name = format!("{}-crowd", cluster());
    let (mut victim, other) = (Server::start(&name, None, None)?, Server::start(&name, None, None)?);
    let node = Node::local().cluster(&name).start().await?;
    node.wait_for(3).await?;
    let memory_before_mib = other.memory()? / MIB as f64;
    let begun = Instant::now();
    each(count, |number| {
        let node = node.clone();
        async move {
            node.variable(format!("crowd/{number}"), [number as u8; CROWD_BYTES].to_vec()).await?;
            Ok(())
        }
    })
    .await?;
    let created_per_second = count as f64 / begun.elapsed().as_secs_f64();
    // What was asked of late is remembered for a moment.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let memory_mib = other.memory()? / MIB as f64;
    let sample = (0..count.min(CROWD_SAMPLE)).map(|number| node.variable(format!("crowd/{number}"), Vec::<u8>::new()));
    let sample = try_join_all(sample).await?;
    let orphan = at_home_with(&node, victim.ready.node.parse()?).await?;
    victim.kill()?;
    let killed = Instant::now();
    while node.members().len() > 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let view_ms = killed.elapsed().as_secs_f64() * 1e3;
    orphan.set(1).await?;
    let recovery_ms = killed.elapsed().as_secs_f64() * 1e3 - view_ms;
    try_join_all(sample.iter().map(|variable| variable.set(vec![1; CROWD_BYTES]))).await?;
    let served_ms = killed.elapsed().as_secs_f64() * 1e3;
    node.leave().await?;
    Ok(CrowdFigures {
        variables: count,
        created_per_second,
        memory_before_mib,
        memory_mib,
        view_ms,
        recovery_ms,
        served_ms,
    })
}

/// A variable that has its first home there.
async fn at_home_with(node: &Node, home: NodeId) -> anyhow::Result<Variable<u64>> {
    let list = spread(node, "home/").await?;
    let found = list.iter().find(|it| it.homes.first() == Some(&home)).context("one is at home there")?;
    Ok(node.variable(&found.name, 0).await?)
}

/// Variables of zero whose names begin so, of all homes.
pub(crate) async fn spread(node: &Node, prefix: &str) -> anyhow::Result<Vec<VariableInfo>> {
    try_join_all((0..CANDIDATES).map(|number| node.variable(format!("{prefix}{number}"), 0_u64))).await?;
    Ok(node.variables(prefix).await.items)
}

fn get_command(_: u64) -> redis::Cmd {
    let mut command = redis::cmd("GET");
    command.arg("value");
    command
}

fn set_command(number: u64) -> redis::Cmd {
    let mut command = redis::cmd("SET");
    command.arg("value").arg(number);
    command
}

/// Commands one after the other, in microseconds.
async fn command(connection: &mut MultiplexedConnection, make: impl Fn(u64) -> redis::Cmd) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS as u64 {
        let begun = Instant::now();
        let _: redis::Value = make(number).query_async(connection).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// Both in one pipeline, so that the connection is crossed once.
async fn replicated_set(connection: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS as u64 {
        let begun = Instant::now();
        let mut pipe = redis::pipe();
        pipe.add_command(set_command(number)).cmd("WAIT").arg(1).arg(0);
        let _: redis::Value = pipe.query_async(connection).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// INCR of one key by as many tasks as add, over one connection as redis-rs multiplexes it.
async fn incr(connection: &MultiplexedConnection, replicated: bool) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|_| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let mut count = 0_u64;
            while begun.elapsed() < TURN {
                let mut pipe = redis::pipe();
                pipe.cmd("INCR").arg("count");
                if replicated {
                    pipe.cmd("WAIT").arg(1).arg(0);
                }
                let _: redis::Value = pipe.query_async(&mut connection).await?;
                count += 1;
            }
            anyhow::Ok(count)
        })
    });
    let mut count = 0;
    for task in futures::future::join_all(tasks).await {
        count += task??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn print(figures: &Figures) {
    println!("Three processes over loopback, two homes; medians; load {:.1}\n", figures.load);
    let row = |name: &str, value: f64| println!("{name:<62}{value:>12.1}");
    let ratio = |name: &str, value: f64, ratio: f64| println!("{name:<62}{value:>12.1}{ratio:>10.2}");
    println!("{:<62}{:>12}", "a variable that this node has read before", "ns");
    row("get", figures.cached_get_ns);
    row(&format!("get, {} threads at once, each", figures.threads), figures.cached_get_threads_ns);
    println!("\n{:<62}{:>12}{:>10}", "writes, one after the other", "us", "ratio");
    row("an inline call, there and back", figures.call_us);
    ratio("set, from a node that does not keep it", figures.set_remote_us, figures.set_remote_ratio);
    ratio("set, from its first home", figures.set_home_us, figures.set_home_ratio);
    let joined = format!("set of {JOINED} variables at once by one task, each");
    ratio(&joined, figures.set_joined_us, figures.set_joined_ratio);
    println!("\n{:<62}{:>12}", format!("{TASKS} tasks of one node add"), "a second");
    row("to one variable that others keep", figures.adds_per_second_one);
    row(&format!("to {MANY} variables"), figures.adds_per_second_many);
    if let Some(crowd) = &figures.crowd {
        println!("\n{} variables of {CROWD_BYTES} bytes on three nodes, of which one is killed", crowd.variables);
        row("created, a second", crowd.created_per_second);
        row("memory of a node before, MiB", crowd.memory_before_mib);
        row("memory of a node then, MiB", crowd.memory_mib);
        row("from the kill to the next view, ms", crowd.view_ms);
        row("from there until a variable of the killed home is written, ms", crowd.recovery_ms);
        row("from the kill until variables of all shards are written, ms", crowd.served_ms);
    }
    match &figures.redis {
        None => println!("\nRedis is missing: on Debian, apt-get install redis-server"),
        Some(redis) => {
            println!("\n{:<62}{:>12}", redis.version, "us");
            ratio("GET, and how much faster a get is", redis.get_us, figures.cached_get_vs_redis.unwrap_or(f64::NAN));
            row("SET", redis.set_us);
            row("SET with one replica and WAIT 1", redis.set_replicated_us);
            println!("{:<62}{:>12}", "", "a second");
            row(&format!("INCR by {TASKS} tasks over one connection"), redis.incr_per_second);
            row("the same with one replica and WAIT 1", redis.incr_replicated_per_second);
        }
    }
}
