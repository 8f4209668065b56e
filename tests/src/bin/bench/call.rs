//! `bench call`: latency, rate, CPU and bulk of calls between two processes over loopback.

use std::{
    borrow::Cow,
    process::{Command, Stdio},
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use guthi::{Node, NodeId};
use serde::{Deserialize, Serialize};

use crate::{
    bare,
    process::{Server, cluster, mebibytes_per_second, median, micros, percentile, pin},
};

const BULK_BYTES: usize = 64 * 1024 * 1024;
const BULK_RESULTS: usize = 4;
const LATENCY_CALLS: usize = 2000;

#[guthi::function(inline)]
fn echo(payload: Payload) -> Payload {
    payload
}

#[guthi::function]
fn echo_pooled(payload: Payload) -> Payload {
    payload
}

/// So many bytes that are there already, as they are for the bare server.
#[guthi::function]
fn bulk(bytes: usize) -> Bytes {
    Bytes(BULK.get_or_init(|| vec![7; BULK_BYTES]).get(..bytes).unwrap_or_default().into())
}

static BULK: OnceLock<Vec<u8>> = OnceLock::new();

/// 64 bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Payload([u64; 8]);

/// Bytes that are written as such, not one by one.
struct Bytes(Cow<'static, [u8]>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec().into()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Alternations between the two sides; the medians are taken over them.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

#[derive(Args)]
pub(crate) struct ClientOptions {
    #[arg(long)]
    pin: Option<usize>,
    #[arg(long)]
    rounds: usize,
    #[arg(long)]
    latency_only: bool,
}

/// What one measuring process found; all medians over the rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    bare_p50_us: f64,
    bare_p99_us: f64,
    inline_p50_us: f64,
    inline_p99_us: f64,
    pooled_p50_us: f64,
    pooled_p99_us: f64,
    /// The bare p50 of the last third of the rounds over that of the first.
    drift: f64,
    bare_rate16: f64,
    inline_rate16: f64,
    pooled_rate16: f64,
    bare_rate256: f64,
    inline_rate256: f64,
    pooled_rate256: f64,
    bare_cpu_us: f64,
    inline_cpu_us: f64,
    pooled_cpu_us: f64,
    raw_bulk_mib_s: f64,
    bulk_mib_s: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let pinned = measure(Some(0), options.rounds, true)?;
    let idle = measure(None, options.rounds, false)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&json(&pinned, &idle))?);
    } else {
        print_table(&pinned, &idle);
    }
    Ok(())
}

fn json(pinned: &Figures, idle: &Figures) -> serde_json::Value {
    serde_json::json!({
        "p50_ratio_pinned": pinned.inline_p50_us / pinned.bare_p50_us,
        "p50_ratio_idle": idle.inline_p50_us / idle.bare_p50_us,
        "p99_ratio_pinned": pinned.inline_p99_us / pinned.bare_p99_us,
        "rate16_ratio": idle.inline_rate16 / idle.bare_rate16,
        "rate256_ratio": idle.inline_rate256 / idle.bare_rate256,
        "bulk_ratio": idle.bulk_mib_s / idle.raw_bulk_mib_s,
        "valid": is_valid(pinned),
        "pinned": pinned,
        "idle": idle,
    })
}

/// A run in which the machine itself changed speed says nothing.
fn is_valid(pinned: &Figures) -> bool {
    (0.8..1.25).contains(&pinned.drift)
}

fn print_table(pinned: &Figures, idle: &Figures) {
    println!("64-byte echo between two processes over loopback; medians; ratio = Guthi / bare TCP\n");
    println!("{:<34}{:>12}{:>12}{:>9}{:>12}{:>9}", "", "bare TCP", "inline", "ratio", "pooled", "ratio");
    let row = |name: &str, bare: f64, inline: f64, pooled: f64, digits: usize| {
        println!(
            "{name:<34}{bare:>12.digits$}{inline:>12.digits$}{:>9.2}{pooled:>12.digits$}{:>9.2}",
            inline / bare,
            pooled / bare
        );
    };
    row("p50 us, one at a time, one core", pinned.bare_p50_us, pinned.inline_p50_us, pinned.pooled_p50_us, 1);
    row("p99 us, one at a time, one core", pinned.bare_p99_us, pinned.inline_p99_us, pinned.pooled_p99_us, 1);
    row("p50 us, one at a time, idle cores", idle.bare_p50_us, idle.inline_p50_us, idle.pooled_p50_us, 1);
    row("p99 us, one at a time, idle cores", idle.bare_p99_us, idle.inline_p99_us, idle.pooled_p99_us, 1);
    row("calls/s, 16 in flight", idle.bare_rate16, idle.inline_rate16, idle.pooled_rate16, 0);
    row("calls/s, 256 in flight", idle.bare_rate256, idle.inline_rate256, idle.pooled_rate256, 0);
    row("CPU us per call, 256 in flight", idle.bare_cpu_us, idle.inline_cpu_us, idle.pooled_cpu_us, 2);
    println!(
        "{:<34}{:>12.0}{:>12.0}{:>9.2}",
        "MiB/s, results of 64 MiB",
        idle.raw_bulk_mib_s,
        idle.bulk_mib_s,
        idle.bulk_mib_s / idle.raw_bulk_mib_s
    );
    if !is_valid(pinned) {
        println!("\nThe machine changed speed during the run (drift {:.2}): measure again.", pinned.drift);
    }
}

/// Measures in a process of its own, so that pinning holds for all its threads.
fn measure(core: Option<usize>, rounds: usize, latency_only: bool) -> anyhow::Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["call-client", "--rounds", &rounds.to_string()]).stdout(Stdio::piped());
    if let Some(core) = core {
        command.args(["--pin", &core.to_string()]);
    }
    if latency_only {
        command.arg("--latency-only");
    }
    let output = command.spawn()?.wait_with_output()?;
    ensure!(output.status.success(), "the measuring process failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measuring process printed no figures")
}

pub(crate) fn client(options: &ClientOptions) -> anyhow::Result<()> {
    pin(options.pin)?;
    let cluster = cluster();
    let server = Server::start(&cluster, options.pin, None)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let node = runtime.block_on(Node::local().cluster(&cluster).start())?;
    runtime.block_on(node.wait_for(2))?;
    let pair = Pair { server, runtime, node };
    let figures = pair.figures(options)?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

struct Pair {
    server: Server,
    runtime: tokio::runtime::Runtime,
    node: Node,
}

impl Pair {
    fn figures(&self, options: &ClientOptions) -> anyhow::Result<Figures> {
        let mut columns: Vec<(&str, Vec<f64>)> = Vec::new();
        let mut note = |name: &'static str, value: f64| match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => columns.push((name, vec![value])),
        };
        self.bare_latency()?;
        self.latency::<echo>()?;
        for _ in 0..options.rounds {
            for (p50, p99, (low, high)) in [
                ("bare_p50_us", "bare_p99_us", self.bare_latency()?),
                ("inline_p50_us", "inline_p99_us", self.latency::<echo>()?),
                ("pooled_p50_us", "pooled_p99_us", self.latency::<echo_pooled>()?),
            ] {
                note(p50, low);
                note(p99, high);
            }
        }
        if !options.latency_only {
            for _ in 0..options.rounds.min(5) {
                note("bare_rate16", self.bare_rate(16)?.0);
                note("inline_rate16", self.rate::<echo>(16)?.0);
                note("pooled_rate16", self.rate::<echo_pooled>(16)?.0);
                for (rate, cpu, (calls, cost)) in [
                    ("bare_rate256", "bare_cpu_us", self.bare_rate(256)?),
                    ("inline_rate256", "inline_cpu_us", self.rate::<echo>(256)?),
                    ("pooled_rate256", "pooled_cpu_us", self.rate::<echo_pooled>(256)?),
                ] {
                    note(rate, calls);
                    note(cpu, cost);
                }
                note("raw_bulk_mib_s", self.raw_bulk()?);
                note("bulk_mib_s", self.bulk()?);
            }
        }
        let bare = columns[0].1.clone();
        let third = (bare.len() / 3).max(1);
        let drift = median(&mut bare[bare.len() - third..].to_vec()) / median(&mut bare[..third].to_vec());
        let mut map: serde_json::Map<_, _> =
            serde_json::to_value(Figures::default())?.as_object().cloned().context("figures are an object")?;
        for (name, mut values) in columns {
            map.insert(name.into(), median(&mut values).into());
        }
        map.insert("drift".into(), drift.into());
        Ok(serde_json::from_value(map.into())?)
    }

    fn bare_latency(&self) -> anyhow::Result<(f64, f64)> {
        bare::block_on(async {
            let client = bare::Client::connect(self.server.ready.bare).await?;
            let mut times = Vec::with_capacity(LATENCY_CALLS);
            for _ in 0..LATENCY_CALLS {
                let start = Instant::now();
                ensure!(client.call(&[1; 64]).await == 64, "the echo came back short");
                times.push(micros(start.elapsed()));
            }
            Ok(percentiles(times))
        })?
    }

    fn latency<F>(&self) -> anyhow::Result<(f64, f64)>
    where
        F: guthi::Function<Arguments = Payload, Output = Payload>,
    {
        let peer: NodeId = self.server.ready.node.parse()?;
        self.runtime.block_on(async {
            let mut times = Vec::with_capacity(LATENCY_CALLS);
            for _ in 0..LATENCY_CALLS {
                let start = Instant::now();
                self.node.call::<F>(Payload([1; 8])).on(peer).await?;
                times.push(micros(start.elapsed()));
            }
            Ok(percentiles(times))
        })
    }

    /// Calls per second and CPU microseconds per call.
    fn bare_rate(&self, in_flight: usize) -> anyhow::Result<(f64, f64)> {
        let (start, before) = (Instant::now(), self.server.cpu()?);
        let calls = bare::block_on(async {
            let client = Rc::new(bare::Client::connect(self.server.ready.bare).await?);
            let end = Instant::now() + RATE_TIME;
            let tasks = (0..in_flight).map(|_| {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    let mut calls = 0u64;
                    while !calls.is_multiple_of(16) || Instant::now() < end {
                        client.call(&[1; 64]).await;
                        calls += 1;
                    }
                    calls
                })
            });
            let mut calls = 0;
            for task in tasks.collect::<Vec<_>>() {
                calls += task.await?;
            }
            anyhow::Ok(calls)
        })??;
        self.rate_of(calls, start, before)
    }

    fn rate<F>(&self, in_flight: usize) -> anyhow::Result<(f64, f64)>
    where
        F: guthi::Function<Arguments = Payload, Output = Payload>,
    {
        let peer: NodeId = self.server.ready.node.parse()?;
        let (start, before) = (Instant::now(), self.server.cpu()?);
        let calls = Arc::new(AtomicU64::new(0));
        self.runtime.block_on(async {
            let end = Instant::now() + RATE_TIME;
            let tasks = (0..in_flight).map(|_| {
                let (node, calls) = (self.node.clone(), calls.clone());
                tokio::spawn(async move {
                    let mut mine = 0u64;
                    while !mine.is_multiple_of(16) || Instant::now() < end {
                        node.call::<F>(Payload([1; 8])).on(peer).await?;
                        mine += 1;
                    }
                    calls.fetch_add(mine, Ordering::Relaxed);
                    anyhow::Ok(())
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await??;
            }
            anyhow::Ok(())
        })?;
        self.rate_of(calls.load(Ordering::Relaxed), start, before)
    }

    fn rate_of(&self, calls: u64, start: Instant, cpu_before: Duration) -> anyhow::Result<(f64, f64)> {
        let elapsed = start.elapsed().as_secs_f64();
        let cpu = micros(self.server.cpu()?.saturating_sub(cpu_before));
        Ok((calls as f64 / elapsed, cpu / calls as f64))
    }

    fn raw_bulk(&self) -> anyhow::Result<f64> {
        bare::block_on(async {
            let mut stream = tokio::net::TcpStream::connect(self.server.ready.bare).await?;
            stream.set_nodelay(true)?;
            let mut buffer = Vec::new();
            bare::receive_raw(&mut stream, BULK_BYTES, &mut buffer).await?;
            let start = Instant::now();
            for _ in 0..BULK_RESULTS {
                bare::receive_raw(&mut stream, BULK_BYTES, &mut buffer).await?;
            }
            Ok(mebibytes_per_second((BULK_RESULTS * BULK_BYTES) as u64, start.elapsed()))
        })?
    }

    fn bulk(&self) -> anyhow::Result<f64> {
        let peer: NodeId = self.server.ready.node.parse()?;
        self.runtime.block_on(async {
            // A result may be 64 MiB with its length.
            let bytes = BULK_BYTES - 16;
            let start = Instant::now();
            // Two at a time, so that making, sending and reading results overlap as they do in a stream of raw bytes.
            let one = || async {
                for _ in 0..BULK_RESULTS / 2 {
                    let result = self.node.call::<bulk>(bytes).on(peer).await?;
                    ensure!(result.0.len() == bytes, "the result is short");
                }
                Ok(())
            };
            tokio::try_join!(one(), one())?;
            Ok(mebibytes_per_second((BULK_RESULTS * bytes) as u64, start.elapsed()))
        })
    }
}

const RATE_TIME: Duration = Duration::from_millis(700);

fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    (percentile(&mut times, 50), percentile(&mut times, 99))
}
