//! `bench lock`: what a mutex costs where its token lies, how fast it goes from one process to another beside Redis, and how
//! fair it is.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures::future::{join_all, try_join};
use guthi::{Context, Fence, Node, NodeId};
use guthi_tests::process::now;
use serde::Serialize;

use crate::{
    process::{Server, calls, cluster, load, median},
    redis,
};

/// Locks in a row that are timed together.
const BATCH: u32 = 1000;
const BATCHES: usize = 200;
const CALLS: usize = 1000;
const TURN: Duration = Duration::from_millis(700);
const FAIR_NODES: usize = 8;
const FAIR_TASKS: usize = 64;

#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Alternations between the sides; the medians are taken over them.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long eight nodes hammer one mutex, in seconds; 0 leaves that out.
    #[arg(long, default_value_t = 30)]
    fair_seconds: u64,
}

/// From when to when somebody had the mutex, in nanoseconds on the clock of the machine.
type Held = (u64, u64);

/// Locks and unlocks again and again for so many microseconds.
#[guthi::function]
async fn contend(ctx: Context, name: String, micros: u64) -> Result<Vec<Held>, String> {
    let node = ctx.node().ok_or("the node has left")?;
    contend_here(&node, &name, Duration::from_micros(micros)).await.map_err(|error| error.to_string())
}

/// The same with Redis.
#[guthi::function]
async fn contend_redis(url: String, retry_micros: u64, micros: u64) -> Result<Vec<Held>, String> {
    let (retry, time) = (Duration::from_micros(retry_micros), Duration::from_micros(micros));
    contend_redis_here(&url, retry, time).await.map_err(|error| error.to_string())
}

async fn contend_here(node: &Node, name: &str, time: Duration) -> guthi::Result<Vec<Held>> {
    let mutex = node.mutex(name);
    let (end, mut held) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        let guard = mutex.lock().await?;
        let since = now();
        held.push((since, now()));
        drop(guard);
    }
    Ok(held)
}

async fn contend_redis_here(url: &str, retry: Duration, time: Duration) -> anyhow::Result<Vec<Held>> {
    let mut lock = redis::Lock::connect(url, "lock", retry).await?;
    let (end, mut held) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        lock.lock().await?;
        let since = now();
        held.push((since, now()));
        lock.unlock().await?;
    }
    Ok(held)
}

/// What was found; all medians over the rounds. Of what Redis was not there for, nothing.
#[derive(Debug, Serialize)]
struct Figures {
    /// A lock and an unlock of the idle token that is here.
    reacquire_ns: f64,
    /// The same with tokio's mutex, in the same rounds.
    tokio_ns: f64,
    /// A round trip of an inline call between the two processes.
    call_us: f64,
    /// From one process to the other: from before one gives it back until after the other has it.
    handoff_us: f64,
    handoff_ratio: f64,
    /// How long it takes until the mutex has changed hands, while both processes want it all the time.
    change_us: f64,
    locks_per_second: f64,
    redis: Option<RedisFigures>,
    fair: Option<Fair>,
    vs_redis_contended_busy: Option<f64>,
    vs_redis_contended_1ms: Option<f64>,
    vs_redis_uncontended: Option<f64>,
    load: f64,
}

#[derive(Debug, Serialize)]
struct RedisFigures {
    version: String,
    lock_and_unlock_us: f64,
    change_busy_us: f64,
    change_1ms_us: f64,
    locks_per_second_busy: f64,
    locks_per_second_1ms: f64,
}

/// How eight nodes in one process shared one mutex.
#[derive(Debug, Serialize)]
struct Fair {
    seconds: f64,
    grants: u64,
    /// What the guarded counter says in the end.
    counter: u64,
    fences_rise: bool,
    longest_wait_ms: f64,
    /// Of all tasks that wait, each in its turn.
    fair_wait_ms: f64,
    /// The longest wait over that.
    longest_to_fair: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let load = load()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let name = cluster();
    let figures = {
        let partner = Server::start(&name, None, None)?;
        let redis = redis::Server::start()?;
        runtime.block_on(async {
            let node = Node::local().cluster(&name).start().await?;
            node.wait_for(2).await?;
            let pair = Pair { partner: partner.ready.node.parse()?, node };
            let figures = pair.measure(options.rounds, redis.as_ref(), load).await?;
            pair.node.leave().await?;
            anyhow::Ok(figures)
        })?
    };
    let fair = (options.fair_seconds > 0).then(|| runtime.block_on(fair(Duration::from_secs(options.fair_seconds))));
    let figures = Figures { fair: fair.transpose()?, ..figures };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

struct Pair {
    node: Node,
    partner: NodeId,
}

/// Of one round: from hand to hand, and locks in a second.
struct Contended {
    change_us: f64,
    handoff_us: f64,
    locks: f64,
}

impl Pair {
    async fn measure(&self, rounds: usize, redis: Option<&redis::Server>, load: f64) -> anyhow::Result<Figures> {
        let mut columns: [Vec<f64>; 12] = Default::default();
        let mut note = |column: usize, value: f64| columns[column].push(value);
        for _ in 0..rounds {
            note(0, self.reacquire().await?);
            note(1, reacquire_tokio().await);
            note(2, calls(&self.node, self.partner, CALLS).await?);
            let ours = self.contended().await?;
            note(3, ours.handoff_us);
            note(4, ours.change_us);
            note(5, ours.locks);
            let Some(redis) = redis else { continue };
            note(6, redis_alone(&redis.url).await?);
            let busy = self.redis_contended(&redis.url, Duration::ZERO).await?;
            let polite = self.redis_contended(&redis.url, Duration::from_millis(1)).await?;
            note(7, busy.change_us);
            note(8, polite.change_us);
            note(9, busy.locks);
            note(10, polite.locks);
            // Ratios are of what was measured one after the other.
            note(11, busy.change_us / ours.change_us);
        }
        let [
            reacquire_ns,
            tokio_ns,
            call_us,
            handoff_us,
            change_us,
            locks,
            alone,
            busy,
            polite,
            busy_locks,
            polite_locks,
            _,
        ] = columns.each_mut().map(|values| median(values));
        let figures = redis.map(|redis| RedisFigures {
            version: redis.version.clone(),
            lock_and_unlock_us: alone,
            change_busy_us: busy,
            change_1ms_us: polite,
            locks_per_second_busy: busy_locks,
            locks_per_second_1ms: polite_locks,
        });
        Ok(Figures {
            reacquire_ns,
            tokio_ns,
            call_us,
            handoff_us,
            handoff_ratio: handoff_us / call_us,
            change_us,
            locks_per_second: locks,
            vs_redis_contended_busy: redis.map(|_| busy / change_us),
            vs_redis_contended_1ms: redis.map(|_| polite / change_us),
            vs_redis_uncontended: redis.map(|_| alone * 1000.0 / reacquire_ns),
            redis: figures,
            fair: None,
            load,
        })
    }

    async fn reacquire(&self) -> anyhow::Result<f64> {
        let mutex = self.node.mutex("idle");
        drop(mutex.lock().await?);
        // The token is parked a moment after the first guard was given back.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut batches = Vec::with_capacity(BATCHES);
        for _ in 0..BATCHES {
            let begun = Instant::now();
            for _ in 0..BATCH {
                drop(mutex.lock().await?);
            }
            batches.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
        }
        Ok(median(&mut batches))
    }

    async fn contended(&self) -> anyhow::Result<Contended> {
        let micros = u64::try_from(TURN.as_micros())?;
        let there = self.node.call::<contend>(("contended".to_owned(), micros)).on(self.partner);
        let node = self.node.clone();
        let here = tokio::spawn(async move { contend_here(&node, "contended", TURN).await });
        let here = async { Ok(here.await??) };
        let (here, there) = try_join(here, async { anyhow::Ok(there.await?) }).await?;
        Ok(contended(&here, &there))
    }

    async fn redis_contended(&self, url: &str, retry: Duration) -> anyhow::Result<Contended> {
        let (micros, retry_micros) = (u64::try_from(TURN.as_micros())?, u64::try_from(retry.as_micros())?);
        let there = self.node.call::<contend_redis>((url.to_owned(), retry_micros, micros)).on(self.partner);
        let here = contend_redis_here(url, retry, TURN);
        let (here, there) = try_join(here, async { anyhow::Ok(there.await?) }).await?;
        Ok(contended(&here, &there))
    }
}

/// What two processes have noted: while both were at it.
fn contended(here: &[Held], there: &[Held]) -> Contended {
    let first = |held: &[Held]| held.first().map_or(0, |(from, _)| *from);
    let last = |held: &[Held]| held.last().map_or(0, |(from, _)| *from);
    let (begin, end) = (first(here).max(first(there)), last(here).min(last(there)));
    let mut all: Vec<_> = here.iter().map(|held| (*held, false)).collect();
    all.extend(there.iter().map(|held| (*held, true)));
    all.retain(|((from, _), _)| (begin..=end).contains(from));
    all.sort_unstable();
    let changes = all.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let mut handoffs: Vec<_> = changes.map(|pair| pair[1].0.0.saturating_sub(pair[0].0.1) as f64 / 1e3).collect();
    let nanos = end.saturating_sub(begin) as f64;
    Contended {
        change_us: nanos / 1e3 / handoffs.len().max(1) as f64,
        handoff_us: median(&mut handoffs),
        locks: all.len() as f64 * 1e9 / nanos,
    }
}

async fn reacquire_tokio() -> f64 {
    let mutex = tokio::sync::Mutex::new(());
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            drop(mutex.lock().await);
        }
        batches.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    median(&mut batches)
}

async fn redis_alone(url: &str) -> anyhow::Result<f64> {
    let mut lock = redis::Lock::connect(url, "idle", Duration::ZERO).await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        lock.lock().await?;
        lock.unlock().await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// Eight tasks on each of eight nodes of this process hammer one mutex.
async fn fair(time: Duration) -> anyhow::Result<Fair> {
    let cluster = format!("{}-fair", cluster());
    let mut nodes = Vec::new();
    for _ in 0..FAIR_NODES {
        nodes.push(Node::local().cluster(&cluster).workers(1).start().await?);
    }
    nodes[0].wait_for(FAIR_NODES).await?;
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let begun = Instant::now();
    let tasks = (0..FAIR_TASKS).map(|task| {
        let (mutex, counter) = (nodes[task % FAIR_NODES].mutex("fair"), counter.clone());
        tokio::spawn(async move {
            let (mut grants, mut longest) = (Vec::<(u64, Fence)>::new(), Duration::ZERO);
            while begun.elapsed() < time {
                let asked = Instant::now();
                let guard = mutex.lock().await?;
                longest = longest.max(asked.elapsed());
                // Not atomically: it is the mutex that makes it right.
                let count = counter.load(std::sync::atomic::Ordering::Relaxed);
                grants.push((count, guard.fence()));
                counter.store(count + 1, std::sync::atomic::Ordering::Relaxed);
                drop(guard);
            }
            guthi::Result::<_>::Ok((grants, longest))
        })
    });
    let (mut grants, mut longest) = (Vec::new(), Duration::ZERO);
    for task in join_all(tasks).await {
        let (its, wait) = task.context("a task panicked")??;
        grants.extend(its);
        longest = longest.max(wait);
    }
    let seconds = begun.elapsed().as_secs_f64();
    grants.sort_unstable();
    let fences_rise = grants.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
    let fair_wait_ms = seconds * 1e3 / grants.len() as f64 * FAIR_TASKS as f64;
    let longest_wait_ms = longest.as_secs_f64() * 1e3;
    for node in nodes {
        node.leave().await?;
    }
    Ok(Fair {
        seconds,
        grants: grants.len() as u64,
        counter: counter.load(std::sync::atomic::Ordering::Relaxed),
        fences_rise,
        longest_wait_ms,
        fair_wait_ms,
        longest_to_fair: longest_wait_ms / fair_wait_ms,
    })
}

fn print(figures: &Figures) {
    println!("Two processes over loopback; medians; load {:.1}\n", figures.load);
    println!("{:<58}{:>10}{:>12}", "one node, its token idle there", "ns", "ratio");
    println!("{:<58}{:>10.0}", "lock and unlock", figures.reacquire_ns);
    println!("{:<58}{:>10.0}{:>12.2}", "tokio's mutex", figures.tokio_ns, figures.reacquire_ns / figures.tokio_ns);
    println!("\n{:<58}{:>10}{:>12}", "two processes, both at it all the time", "us", "ratio");
    println!("{:<58}{:>10.1}", "an inline call, there and back", figures.call_us);
    println!(
        "{:<58}{:>10.1}{:>12.2}",
        "from one to the other, against that call", figures.handoff_us, figures.handoff_ratio
    );
    println!("{:<58}{:>10.1}", "until it has changed hands", figures.change_us);
    println!("{:<58}{:>10.0}", "locks in a second", figures.locks_per_second);
    match &figures.redis {
        None => println!("\nRedis is missing: on Debian, apt-get install redis-server"),
        Some(redis) => {
            println!("\n{:<58}{:>10}{:>12}", redis.version, "us", "ours faster");
            let ratio = |ratio: Option<f64>| ratio.unwrap_or(f64::NAN);
            let row = |name: &str, us: f64, faster: f64| println!("{name:<58}{us:>10.1}{faster:>12.1}");
            row("alone: lock and unlock", redis.lock_and_unlock_us, ratio(figures.vs_redis_uncontended));
            row("changed hands, retried at once", redis.change_busy_us, ratio(figures.vs_redis_contended_busy));
            row("changed hands, retried after 1 ms", redis.change_1ms_us, ratio(figures.vs_redis_contended_1ms));
            println!("{:<58}{:>10.0}", "locks in a second, retried at once", redis.locks_per_second_busy);
            println!("{:<58}{:>10.0}", "locks in a second, retried after 1 ms", redis.locks_per_second_1ms);
        }
    }
    if let Some(fair) = &figures.fair {
        println!("\n{FAIR_TASKS} tasks on {FAIR_NODES} nodes, one mutex, {:.0} s", fair.seconds);
        println!("{:<58}{:>10}", "guards", fair.grants);
        println!("{:<58}{:>10}", "the counter that they guarded", fair.counter);
        println!("{:<58}{:>10}", "each fence higher than the one before", fair.fences_rise);
        println!("{:<58}{:>10.1}", "a fair wait, ms", fair.fair_wait_ms);
        println!(
            "{:<58}{:>10.1}{:>12.2}",
            "the longest wait, ms, and against that", fair.longest_wait_ms, fair.longest_to_fair
        );
    }
}
