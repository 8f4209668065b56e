//! The functions that nodes of `guthi node start` offer, so that there is something to call.

use std::time::{Duration, Instant};

use guthi::{Builder, Context};
use serde::{Deserialize, Serialize};

/// When this process began to be a node.
#[derive(Clone, Copy, Debug)]
struct Started(Instant);

/// Gives a node what these functions need.
pub(crate) fn equip(builder: Builder) -> Builder {
    builder.state(Started(Instant::now()))
}

/// The longest that `demo.sleep` sleeps.
const SLEEP_MS_MAX: u64 = 600_000;
/// The largest number that `demo.primes` looks at.
const PRIMES_MAX: u64 = 1_000_000_000;
/// So many numbers between two looks at whether anybody still wants to know.
const PRIMES_STEP: u64 = 100_000;

/// What a machine is, and the process of the node on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Info {
    /// The name of the node.
    pub(crate) name: String,
    /// The version of Guthi.
    pub(crate) version: String,
    /// The operating system.
    pub(crate) os: String,
    /// The kind of processor.
    pub(crate) architecture: String,
    /// How many threads can run at once.
    pub(crate) cores: u32,
    /// The process.
    pub(crate) pid: u32,
}

/// How long the node has been running, in seconds.
#[guthi::function(name = "sys.uptime")]
pub(crate) fn uptime(ctx: Context) -> u64 {
    ctx.state::<Started>().map_or(0, |started| started.0.elapsed().as_secs())
}

/// What the machine of the node is, and its process.
#[guthi::function(name = "sys.info")]
pub(crate) fn info(ctx: Context) -> Info {
    Info {
        name: ctx.node().map(|node| node.name().to_owned()).unwrap_or_default(),
        version: guthi::VERSION.into(),
        os: std::env::consts::OS.into(),
        architecture: std::env::consts::ARCH.into(),
        cores: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        pid: std::process::id(),
    }
}

/// Gives a text back as it is.
#[guthi::function]
pub(crate) fn echo(text: String) -> String {
    text
}

/// Adds two numbers.
#[guthi::function(name = "math.add")]
pub(crate) fn add(a: f64, b: f64) -> f64 {
    a + b
}

/// Says how the last days were.
#[guthi::function(name = "demo.status")]
pub(crate) fn status(days: u32) -> String {
    format!("Status in the past {days} days is okay")
}

/// Asks another node, if there is one, how the last days were, and wraps up what it says.
#[guthi::function(name = "demo.report")]
pub(crate) async fn report(ctx: Context, days: u32) -> Result<String, String> {
    let node = ctx.node().ok_or("the node is leaving")?;
    let named = node.functions().into_iter().find(|function| function.name == "demo.status");
    let nodes = named.map(|function| function.nodes).unwrap_or_default();
    let elsewhere = nodes.into_iter().find(|id| *id != node.id()).unwrap_or_else(|| node.id());
    let said = node.call::<status>(days).on(elsewhere).await.map_err(|error| error.to_string())?;
    Ok(format!("Output is: [{said}]"))
}

/// Counts the primes below a limit, and tells how far it has come.
#[guthi::function(name = "demo.primes")]
pub(crate) fn primes(ctx: Context, limit: u64) -> Result<u64, String> {
    if limit > PRIMES_MAX {
        return Err(format!("the limit may be {PRIMES_MAX} at most"));
    }
    let mut count = 0;
    for start in (0..limit).step_by(usize::try_from(PRIMES_STEP).unwrap_or(usize::MAX)) {
        if ctx.is_cancelled() {
            return Err("nobody wants to know any more".into());
        }
        count += (start..limit.min(start + PRIMES_STEP)).filter(|&n| is_prime(n)).count() as u64;
        ctx.progress(start as f32 / limit as f32);
    }
    Ok(count)
}

fn is_prime(n: u64) -> bool {
    n == 2 || n > 2 && !n.is_multiple_of(2) && (3..).step_by(2).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// Sleeps for some milliseconds, and says for how many.
#[guthi::function(name = "demo.sleep")]
pub(crate) async fn sleep(ms: u64) -> Result<u64, String> {
    if ms > SLEEP_MS_MAX {
        return Err(format!("it sleeps {SLEEP_MS_MAX} ms at most"));
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(ms)
}

/// Fails with the text that it is given.
#[guthi::function(name = "demo.fail")]
pub(crate) fn fail(reason: String) -> Result<(), String> {
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted() {
        let count = |limit| primes(Context::detached(), limit);
        assert_eq!(
            [count(0), count(2), count(3), count(100), count(200_000)].map(Result::unwrap),
            [0, 0, 1, 25, 17_984]
        );
        assert!(count(u64::MAX).is_err());
    }
}
