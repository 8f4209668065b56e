//! `bench map`: a million tiny tasks over two processes, and uneven work beside rayon on the same cores.

use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use guthi::Node;
use rayon::prelude::*;

use crate::process::{Server, cluster, median};

const TINY_TASKS: u64 = 1_000_000;
const UNEVEN_TASKS: u64 = 3000;

#[guthi::function]
fn increment(n: u64) -> u64 {
    n + 1
}

/// Work that differs by a factor of up to 1000 from item to item, with no order in it.
#[guthi::function]
fn uneven(item: u64) -> u64 {
    let random = mix(item);
    let rounds = 2000 + (1 << (random % 11)) * 2000;
    (0..rounds).fold(random, |state, _| mix(state))
}

/// One step of splitmix64.
const fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Alternations; the medians are taken over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cluster = cluster();
    let _server = Server::start(&cluster, None, None)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let node = runtime.block_on(Node::local().cluster(&cluster).start())?;
    runtime.block_on(node.wait_for(2))?;
    let (mut tiny, mut ours, mut rayons) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let start = Instant::now();
        let results = runtime.block_on(async { node.map::<increment>(0..TINY_TASKS).await })?;
        tiny.push(TINY_TASKS as f64 / start.elapsed().as_secs_f64());
        ensure!(results.iter().copied().eq(1..=TINY_TASKS), "the results are wrong");

        let start = Instant::now();
        let expected: Vec<u64> = (0..UNEVEN_TASKS).into_par_iter().map(uneven).collect();
        rayons.push(start.elapsed().as_secs_f64());

        let start = Instant::now();
        let results = runtime.block_on(async { node.map::<uneven>(0..UNEVEN_TASKS).await })?;
        ours.push(start.elapsed().as_secs_f64());
        ensure!(results == expected, "the results are wrong");
    }
    let (tiny, ours, rayon) = (median(&mut tiny), median(&mut ours), median(&mut rayons));
    if options.json {
        let figures = serde_json::json!({
            "tasks_per_second": tiny,
            "vs_rayon": rayon / ours,
            "uneven_seconds": ours,
            "rayon_seconds": rayon,
        });
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("map over two processes; medians of {} rounds\n", options.rounds);
        println!("{:<40}{tiny:>14.0}", "tiny tasks a second");
        println!("{:<40}{ours:>14.3}", "uneven work, seconds");
        println!("{:<40}{rayon:>14.3}", "the same with rayon in one process");
        println!("{:<40}{:>14.2}", "of rayon's speed", rayon / ours);
    }
    Ok(())
}
