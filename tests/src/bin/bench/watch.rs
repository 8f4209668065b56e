//! `bench watch`: how soon others see what has changed, what a listing of many names takes, and what a channel carries.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures::{Stream, StreamExt, stream};
use guthi::{CallStream, Change, Context, EntryChange, Node, NodeId, Variable, VariableInfo};
use guthi_tests::{pipe::carry_bulk, process::now};
use serde::Serialize;

use crate::{
    bare,
    process::{MIB, Server, call, cluster, each, load, mebibytes_per_second, median, percentile},
    substream::{self, gives_over_substreams},
    variable::spread,
};

/// Changes of a round, each after the one before was seen.
const CHANGES: usize = 300;
/// The same of ephemeral values, of which one is told sixty times a second.
const POINTS: usize = 50;
const POINT_PAUSE: Duration = Duration::from_millis(20);
/// Watchers of one variable, on two nodes.
const WATCHERS: usize = 100;
/// For so long calls are alone.
const ALONE: Duration = Duration::from_secs(1);
/// Bytes of each value that is listed.
const LISTED_BYTES: usize = 100;
/// What is asked of a bare connection at once.
const PIECE_MEBIBYTES: u64 = 64;

#[derive(Args)]
#[command(after_help = "Examples:\n  bench watch\n  bench watch --json\n  bench watch --listed 0 --mebibytes 256")]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Alternations between the sides; the medians are taken over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// So many variables of 100 bytes are listed.
    #[arg(long, default_value_t = 100_000)]
    listed: usize,
    /// What is carried over a channel, each time.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
}

/// What was found; all medians over the rounds.
#[derive(Debug, Serialize)]
struct Figures {
    /// A round trip of an inline call to another process.
    call_us: f64,
    /// From the moment at which a write has returned at the variable's first home until a watcher on a third node has the value.
    change_to_remote_us: f64,
    change_to_remote_p50_ratio: f64,
    /// The same from the moment at which the write began.
    write_to_remote_us: f64,
    /// A write that nobody watches, that one node watches, and that a hundred watchers on two nodes do.
    set_unwatched_us: f64,
    set_watched_us: f64,
    set_watched_by_100_us: f64,
    /// The same call where there are two processes, if nothing has happened for 20 ms.
    rested_call_us: f64,
    /// From setting an ephemeral value, after such a rest, until a watcher on the other of them has it.
    ephemeral_us: f64,
    ephemeral_p50_ratio: f64,
    listed: usize,
    /// From beginning to watch them all until all were told, on a node that keeps a part of them.
    prefix_100k_listing_ms: f64,
    bulk: Bulk,
    channel_bulk_ratio: f64,
    load: f64,
}

/// Many bytes from one process to another, and the calls between them meanwhile.
#[derive(Debug, Serialize)]
struct Bulk {
    mebibytes: u64,
    tcp_mib_s: f64,
    /// A stream of a bare libp2p connection.
    substream_mib_s: f64,
    channel_mib_s: f64,
    /// Of the two, each time one after the other.
    channel_ratio: f64,
    call_p99_us: f64,
    call_beside_substream_p99_us: f64,
    call_beside_channel_p99_us: f64,
}

/// The numbers that a variable comes to have, each as soon as so many watchers have it, and when that was.
#[guthi::function]
async fn seen(ctx: Context, name: String, watchers: usize) -> Result<impl Stream<Item = (u64, u64)>, String> {
    let node = ctx.node().ok_or("the node has left")?;
    let variable = node.variable(name, 0_u64).await.map_err(|error| error.to_string())?;
    let mut missing = HashMap::new();
    let all = stream::select_all((0..watchers).map(|_| variable.watch()));
    Ok(all.filter_map(move |change| {
        let whole = change.value().filter(|number| {
            let missing = missing.entry(*number).or_insert(watchers);
            *missing -= 1;
            *missing == 0
        });
        std::future::ready(whole.map(|number| (number, now())))
    }))
}

/// The numbers that ephemeral values of this name come to have, and when that was.
#[guthi::function]
fn pointed(ctx: Context, name: String) -> impl Stream<Item = (u64, u64)> {
    let changes = ctx.node().map(|node| node.watch_ephemerals::<u64>(&name).into_stream());
    stream::iter(changes).flatten().filter_map(|change| {
        let number = if let EntryChange::Set { value, .. } = change { Some(value) } else { None };
        std::future::ready(number.map(|number| (number, now())))
    })
}

/// How many variables begin so, and how many milliseconds it took to be told of all.
#[guthi::function]
async fn lists(ctx: Context, prefix: String) -> Result<(usize, f64), String> {
    let node = ctx.node().ok_or("the node has left")?;
    let begin = Instant::now();
    let mut changes = node.watch_prefix::<Vec<u8>>(prefix).map_err(|error| error.to_string())?;
    let mut count = 0;
    while let Some(change) = changes.next().await {
        match change {
            Change::Listed => break,
            _ => count += 1,
        }
    }
    Ok((count, begin.elapsed().as_secs_f64() * 1e3))
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let name = cluster();
    let others = [Server::start(&name, None, None)?, Server::start(&name, None, None)?];
    let figures = runtime.block_on(async {
        let node = Node::local().cluster(&name).start().await?;
        node.wait_for(3).await?;
        let figures = measure(&node, &others, &mut Pointing::new(&format!("{name}-two")).await?, options, load).await?;
        node.leave().await?;
        anyhow::Ok(figures)
    })?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

async fn measure(
    node: &Node,
    others: &[Server; 2],
    pointing: &mut Pointing,
    options: &Options,
    load: f64,
) -> anyhow::Result<Figures> {
    let bulk = bulk(node, &others[0], options).await?;
    let mut watching = Watching::new(node).await?;
    let mut columns: [Vec<f64>; 10] = Default::default();
    for _ in 0..options.rounds {
        let round = [watching.changes().await?.as_slice(), &pointing.points().await?].concat();
        columns.iter_mut().zip(round).for_each(|(column, value)| column.push(value));
    }
    let [call, committed, begun, unwatched, one, many, change_ratio, rested, ephemeral, ephemeral_ratio] =
        columns.each_mut().map(|values| median(values));
    Ok(Figures {
        call_us: call,
        change_to_remote_us: committed,
        change_to_remote_p50_ratio: change_ratio,
        write_to_remote_us: begun,
        set_unwatched_us: unwatched,
        set_watched_us: one,
        set_watched_by_100_us: many,
        rested_call_us: rested,
        ephemeral_us: ephemeral,
        ephemeral_p50_ratio: ephemeral_ratio,
        listed: options.listed,
        prefix_100k_listing_ms: listing(node, others[1].ready.node.parse()?, options).await?,
        channel_bulk_ratio: bulk.channel_ratio,
        bulk,
        load,
    })
}

/// A variable that has its first home here, and what others see of it.
struct Watched {
    variable: Variable<u64>,
    seen: Vec<CallStream<seen>>,
    last: u64,
}

impl Watched {
    /// So many watchers on each of these nodes, which have all seen the first value.
    async fn new(node: &Node, name: &str, watchers: usize, on: &[NodeId]) -> anyhow::Result<Self> {
        let variable = node.variable(name, 0).await?;
        let seen = on.iter().map(|on| node.call_stream::<seen>((name.to_owned(), watchers)).on(*on)).collect();
        let mut watched = Self { variable, seen, last: 0 };
        watched.until_seen().await?;
        Ok(watched)
    }

    /// Writes, and waits until all watchers have that: when it began, when it had returned, and when the last has seen it.
    async fn write(&mut self) -> anyhow::Result<[u64; 3]> {
        self.last += 1;
        let begun = now();
        self.variable.set(self.last).await?;
        let returned = now();
        Ok([begun, returned, self.until_seen().await?])
    }

    async fn until_seen(&mut self) -> anyhow::Result<u64> {
        let mut last = 0;
        for seen in &mut self.seen {
            last = last.max(until(seen, self.last).await?);
        }
        Ok(last)
    }
}

/// When a number was seen.
async fn until<T: std::error::Error + Send + Sync + 'static>(
    seen: &mut (impl Stream<Item = Result<(u64, u64), T>> + Unpin),
    wanted: u64,
) -> anyhow::Result<u64> {
    loop {
        let (number, at) = seen.next().await.context("it is told")??;
        if number == wanted {
            return Ok(at);
        }
    }
}

struct Watching {
    node: Node,
    partner: NodeId,
    unwatched: Watched,
    watched: Watched,
    by_many: Watched,
}

impl Watching {
    async fn new(node: &Node) -> anyhow::Result<Self> {
        let list = spread(node, "watch/").await?;
        let others: Vec<_> = node.members().iter().map(|it| it.id).filter(|it| *it != node.id()).collect();
        let mut here = list.iter().filter(|it| it.homes.first() == Some(&node.id()));
        let mut next = || here.next().context("some are at home here");
        let third = |info: &VariableInfo| others.iter().copied().find(|it| !info.homes.contains(it)).context("a third");
        let (unwatched, watched, by_many) = (next()?, next()?, next()?);
        Ok(Self {
            unwatched: Watched::new(node, &unwatched.name, 0, &[]).await?,
            watched: Watched::new(node, &watched.name, 1, &[third(watched)?]).await?,
            by_many: Watched::new(node, &by_many.name, WATCHERS / others.len(), &others).await?,
            partner: others[0],
            node: node.clone(),
        })
    }

    /// A call; from the return of a write to a watcher, and from its beginning; a write that nobody, one, and many watch; and
    /// how much longer than a call it takes to a watcher.
    async fn changes(&mut self) -> anyhow::Result<[f64; 7]> {
        let mut columns: [Vec<f64>; 6] = Default::default();
        for _ in 0..CHANGES {
            let call = call(&self.node, self.partner).await?;
            let [begun, returned, at] = self.watched.write().await?;
            let unwatched = self.unwatched.write().await?;
            let many = self.by_many.write().await?;
            let row = [
                call,
                between(returned, at),
                between(begun, at),
                between(unwatched[0], unwatched[1]),
                between(begun, returned),
                between(many[0], many[1]),
            ];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [call, committed, begun, unwatched, one, many] = columns.each_mut().map(|values| median(values));
        Ok([call, committed, begun, unwatched, one, many, committed / call])
    }
}

/// An ephemeral value and one node that watches it. There are two nodes: what is told to three at once waits for a core.
struct Pointing {
    node: Node,
    partner: NodeId,
    pointer: guthi::Ephemeral<u64>,
    pointed: CallStream<pointed>,
    last: u64,
    _other: Server,
}

impl Pointing {
    async fn new(cluster: &str) -> anyhow::Result<Self> {
        let other = Server::start(cluster, None, None)?;
        let node = Node::local().cluster(cluster).start().await?;
        node.wait_for(2).await?;
        let pointer = node.ephemeral("point");
        pointer.set(0)?;
        let partner = other.ready.node.parse()?;
        let mut pointed = node.call_stream::<pointed>("point".to_owned()).on(partner);
        until(&mut pointed, 0).await?;
        Ok(Self { node, partner, pointer, pointed, last: 0, _other: other })
    }

    /// A call after a rest, how long an ephemeral value is on its way after one, and how much longer that is.
    async fn points(&mut self) -> anyhow::Result<[f64; 3]> {
        let mut columns: [Vec<f64>; 2] = Default::default();
        for _ in 0..POINTS {
            tokio::time::sleep(POINT_PAUSE).await;
            columns[0].push(call(&self.node, self.partner).await?);
            tokio::time::sleep(POINT_PAUSE).await;
            self.last += 1;
            let begun = now();
            self.pointer.set(self.last)?;
            columns[1].push(between(begun, until(&mut self.pointed, self.last).await?));
        }
        let [call, ephemeral] = columns.each_mut().map(|values| median(values));
        Ok([call, ephemeral, ephemeral / call])
    }
}

/// From one moment to another on the clock that all share; what is seen before the writer knows it takes less than nothing.
fn between(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e3
}

async fn listing(node: &Node, on: NodeId, options: &Options) -> anyhow::Result<f64> {
    each(options.listed, |number| {
        let node = node.clone();
        async move {
            node.variable(format!("listed/{number}"), [number as u8; LISTED_BYTES].to_vec()).await?;
            Ok(())
        }
    })
    .await?;
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        let (count, ms) = node.call::<lists>("listed/".to_owned()).on(on).await?;
        ensure!(count == options.listed, "{count} of {} are told", options.listed);
        times.push(ms);
    }
    Ok(median(&mut times))
}

async fn bulk(node: &Node, server: &Server, options: &Options) -> anyhow::Result<Bulk> {
    let peer: NodeId = server.ready.node.parse()?;
    let substream: Arc<str> = node.call::<gives_over_substreams>(()).on(peer).await?.into();
    let bytes = options.mebibytes * MIB;
    let mut columns: [Vec<f64>; 7] = Default::default();
    for _ in 0..options.rounds {
        columns[0].push(tokio::task::block_in_place(|| tcp(server, options.mebibytes))?);
        let bare = mebibytes_per_second(bytes, substream::take(&substream, bytes).await?);
        let channel = mebibytes_per_second(bytes, carry_bulk(node, peer, bytes).await?);
        columns[1].push(bare);
        columns[2].push(channel);
        columns[6].push(channel / bare);
        columns[3].push(
            calls_beside(node, peer, async {
                tokio::time::sleep(ALONE).await;
                Ok(())
            })
            .await?,
        );
        let (address, taker) = (substream.clone(), node.clone());
        columns[4].push(calls_beside(node, peer, async move { substream::take(&address, bytes).await }).await?);
        columns[5].push(calls_beside(node, peer, async move { carry_bulk(&taker, peer, bytes).await }).await?);
    }
    let [tcp, substream, channel, alone, beside_substream, beside_channel, channel_ratio] =
        columns.each_mut().map(|values| median(values));
    Ok(Bulk {
        mebibytes: options.mebibytes,
        tcp_mib_s: tcp,
        substream_mib_s: substream,
        channel_mib_s: channel,
        channel_ratio,
        call_p99_us: alone,
        call_beside_substream_p99_us: beside_substream,
        call_beside_channel_p99_us: beside_channel,
    })
}

/// Raw bytes over TCP, in MiB a second.
fn tcp(server: &Server, mebibytes: u64) -> anyhow::Result<f64> {
    bare::block_on(async {
        let mut stream = tokio::net::TcpStream::connect(server.ready.bare).await?;
        let (begun, mut buffer) = (Instant::now(), Vec::new());
        let pieces = mebibytes.div_ceil(PIECE_MEBIBYTES);
        for _ in 0..pieces {
            bare::receive_raw(&mut stream, (PIECE_MEBIBYTES * MIB) as usize, &mut buffer).await?;
        }
        Ok(mebibytes_per_second(pieces * PIECE_MEBIBYTES * MIB, begun.elapsed()))
    })?
}

/// How long calls take, one after the other, while something else goes on: 99 in a hundred are faster.
async fn calls_beside<T: Send + 'static>(
    node: &Node,
    to: NodeId,
    other: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<f64> {
    let other = tokio::spawn(other);
    let mut times = Vec::new();
    while !other.is_finished() {
        times.push(call(node, to).await?);
    }
    other.await??;
    Ok(percentile(&mut times, 99))
}

fn print(figures: &Figures) {
    println!("Three processes over loopback, two homes; medians; load {:.1}\n", figures.load);
    let row = |name: &str, value: f64| println!("{name:<66}{value:>12.1}");
    let ratio = |name: &str, value: f64, ratio: f64| println!("{name:<66}{value:>12.1}{ratio:>10.2}");
    println!("{:<66}{:>12}{:>10}", "one after the other", "us", "ratio");
    row("an inline call, there and back", figures.call_us);
    let committed = "from a write's return at its first home to a watcher elsewhere";
    ratio(committed, figures.change_to_remote_us, figures.change_to_remote_p50_ratio);
    row("from its beginning", figures.write_to_remote_us);
    let set = |name: &str, value: f64| ratio(name, value, value / figures.call_us);
    set("set at the first home, unwatched", figures.set_unwatched_us);
    set("set that one watches elsewhere", figures.set_watched_us);
    set(&format!("set that {WATCHERS} watch on two other nodes"), figures.set_watched_by_100_us);
    println!("\n{:<66}{:>12}{:>10}", "between two processes, after a rest of 20 ms", "us", "ratio");
    row("an inline call, there and back", figures.rested_call_us);
    ratio("from setting an ephemeral value to a watcher elsewhere", figures.ephemeral_us, figures.ephemeral_p50_ratio);
    println!("\n{:<66}{:>12}", "a prefix", "ms");
    row(&format!("{} variables of {LISTED_BYTES} bytes are listed", figures.listed), figures.prefix_100k_listing_ms);
    let bulk = &figures.bulk;
    println!("\n{:<66}{:>12}{:>10}", format!("{} MiB from process to process", bulk.mebibytes), "MiB/s", "ratio");
    row("TCP", bulk.tcp_mib_s);
    row("a stream of a bare libp2p connection", bulk.substream_mib_s);
    ratio("a channel, and as a part of that", bulk.channel_mib_s, figures.channel_bulk_ratio);
    println!("\n{:<66}{:>12}{:>10}", "calls meanwhile, one after the other, p99", "us", "ratio");
    row("beside nothing", bulk.call_p99_us);
    let beside = |name: &str, value: f64| ratio(name, value, value / bulk.call_p99_us);
    beside("beside the bare stream", bulk.call_beside_substream_p99_us);
    beside("beside a channel", bulk.call_beside_channel_p99_us);
}
