//! What people and scripts see.

use std::{collections::BTreeMap, time::Duration};

use guthi::NodeId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mandelbrot::{ceiling, palette::Palette, view::PLACES};

use crate::{
    arguments::Draw,
    drawing::{Finished, Share},
};

/// Live progress, one line for each node and one for all; nothing if nobody looks.
pub(crate) struct Progress {
    bars: MultiProgress,
    total: ProgressBar,
    nodes: BTreeMap<NodeId, ProgressBar>,
    tiles: u64,
    quiet: bool,
}

impl Progress {
    pub(crate) fn start(tiles: usize, quiet: bool) -> Self {
        let bars = MultiProgress::new();
        let tiles = tiles as u64;
        let total = bars.add(ProgressBar::new(tiles));
        total.set_style(style("{msg:>16} {wide_bar:.green} {pos}/{len} tiles  {elapsed} (left: {eta})"));
        total.set_message("all");
        if quiet {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { bars, total, nodes: BTreeMap::new(), tiles, quiet }
    }

    /// Gives every node its line.
    pub(crate) fn nodes(&mut self, shares: &BTreeMap<NodeId, Share>) {
        for (id, share) in shares {
            let bar = self.nodes.entry(*id).or_insert_with(|| {
                let bar = self.bars.insert_before(&self.total, ProgressBar::new(self.tiles));
                bar.set_style(style("{prefix:>16} {wide_bar} {pos:>5} tiles  {msg}"));
                bar
            });
            bar.set_prefix(share.name.clone());
        }
    }

    /// Shows what a node has done.
    pub(crate) fn tile(&self, id: NodeId, share: &Share) {
        let Some(bar) = self.nodes.get(&id) else { return };
        bar.set_position(share.tiles as u64);
        self.total.set_position(self.nodes.values().map(ProgressBar::position).sum());
        match &share.failed {
            Some(reason) => bar.abandon_with_message(format!("✗ failed: {reason}")),
            None => bar.set_message(format!("{:.1} Mpixel/s", rate(share))),
        }
    }

    /// Prints a line above the bars.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet && self.bars.println(line).is_err() {
            eprintln!("{line}");
        }
    }

    pub(crate) fn finish(&self) {
        self.nodes.values().for_each(|bar| {
            if !bar.is_finished() {
                bar.abandon()
            }
        });
        self.total.abandon();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is right")
}

/// Megapixels per second of one thread.
fn rate(share: &Share) -> f64 {
    let busy = share.busy.max(Duration::from_nanos(1)).as_secs_f64();
    share.pixels as f64 / 1e6 / busy
}

/// What was drawn, by whom, and how long it took.
pub(crate) fn summary(finished: &Finished, options: &Draw) -> anyhow::Result<()> {
    let seconds = finished.elapsed.as_secs_f64();
    let failed = finished.shares.values().filter(|share| share.failed.is_some()).count();
    if options.json {
        let nodes = finished.shares.iter().map(|(id, share)| {
            serde_json::json!({
                "id": id.to_string(),
                "name": share.name,
                "tiles": share.tiles,
                "pixels": share.pixels,
                "busy_seconds": share.busy.as_secs_f64(),
                "failed": share.failed,
            })
        });
        let object = serde_json::json!({
            "file": options.output,
            "raw": options.raw,
            "view": finished.view,
            "seconds": seconds,
            "nodes": nodes.collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    for share in finished.shares.values() {
        let fate = share.failed.as_ref().map(|reason| format!("  ✗ {reason}")).unwrap_or_default();
        println!("{:>16} {:>5} tiles  {:>7.1} Mpixel/s a thread{fate}", share.name, share.tiles, rate(share));
    }
    let (width, height) = finished.view.size;
    let count = finished.shares.len();
    let nodes = if count == 1 { "1 node".into() } else { format!("{count} nodes") };
    let failures = if failed == 0 { String::new() } else { format!(" ({failed} failed)") };
    println!("wrote {}  {width}x{height}  {seconds:.2} s  {nodes}{failures}", options.output.display());
    Ok(())
}

pub(crate) fn places() -> anyhow::Result<()> {
    for place in &PLACES {
        println!("{:<12} {}", place.name, place.about);
    }
    Ok(())
}

pub(crate) fn palettes() -> anyhow::Result<()> {
    Palette::names().for_each(|name| println!("{name}"));
    Ok(())
}

pub(crate) fn ceiling() -> anyhow::Result<()> {
    println!("{}", ceiling::HEADING);
    ceiling::measure().iter().for_each(|row| println!("{row}"));
    Ok(())
}
