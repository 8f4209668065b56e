//! One drawing from its options to its file.

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::StreamExt;
use guthi::{Event, NodeId};
use mandelbrot::{
    kernel::Rendered,
    palette::Palette,
    picture::{self, Layers, Picture},
    view::{Tile, View},
};

use crate::{
    arguments::Draw,
    crew::{Crew, render_tile},
    show::{Progress, summary},
};

/// Pixels along the edge of a tile: some hundred tiles in a picture, each a matter of milliseconds.
const TILE_EDGE: u32 = 64;

/// What one node has done for a picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    pub(crate) name: String,
    pub(crate) tiles: usize,
    pub(crate) pixels: usize,
    pub(crate) busy: Duration,
    pub(crate) failed: Option<String>,
}

/// A finished drawing.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) view: View,
    pub(crate) elapsed: Duration,
    pub(crate) shares: BTreeMap<NodeId, Share>,
}

pub(crate) async fn draw(options: Draw) -> anyhow::Result<()> {
    let view = options.view()?;
    let palette = palette(options.palette.as_deref())?;
    // A long computation should not end in an error that could be known before.
    for path in std::iter::once(&options.output).chain(&options.raw) {
        picture::probe(path)?;
    }
    let mut crew = Crew::gather(&options).await?;
    let layers = if options.raw.is_some() { Layers::Both } else { Layers::Smooth };
    let mut picture = Picture::new(view.clone(), layers);
    let finished = render(&mut crew, &mut picture, &options).await?;
    picture.write_png(&options.output, &palette, 1)?;
    if let Some(raw) = &options.raw {
        picture.write_raw(raw)?;
    }
    summary(&finished, &options)?;
    crew.dismiss().await
}

/// Nobody takes longer to fail than the timeout, and a moment.
const FAILURE_MAX: Duration = Duration::from_secs(5);

async fn render(crew: &mut Crew, picture: &mut Picture, options: &Draw) -> anyhow::Result<Finished> {
    let view = picture.view().clone();
    let tiles = view.tiles(TILE_EDGE);
    let counts = options.raw.is_some();
    let (start, total) = (Instant::now(), tiles.len());
    let mut shares = shares(crew);
    let mut progress = Progress::start(total, options.json);
    progress.nodes(&shares);
    let mut events = crew.node.events();
    let items = tiles.clone().into_iter().map({
        let view = view.clone();
        move |tile| (view.clone(), tile, counts)
    });
    let mut stream = pin!(crew.node.map::<render_tile>(items).stream());
    let (mut done, mut kill) = (0, options.kill_one);
    while done < total {
        tokio::select! {
            Some(next) = stream.next() => {
                let next = next?;
                let tile: Tile = tiles[next.index];
                let (smooth, counts) = next.output.with_context(|| format!("tile {} failed", next.index))?;
                let mut rendered = Rendered::default();
                rendered.smooth = smooth;
                rendered.counts = counts;
                picture.put(tile, &rendered)?;
                done += 1;
                let share = shares.entry(next.node).or_default();
                share.tiles += 1;
                share.pixels += tile.pixels();
                share.busy += next.elapsed;
                progress.tile(next.node, share);
                if kill && done * 2 >= total {
                    kill = false;
                    if let Some(pid) = crew.kill_one() {
                        progress.say(&format!("killed process {pid} half-way"));
                    }
                }
            }
            Some(event) = events.next() => note(event, &mut shares, &mut progress),
        }
    }
    let elapsed = start.elapsed();
    if options.kill_one {
        // The picture may be done before all have agreed that somebody is gone, and the summary tells of that.
        let failure = async {
            while shares.values().all(|share| share.failed.is_none())
                && let Some(event) = events.next().await
            {
                note(event, &mut shares, &mut progress);
            }
        };
        let _ = tokio::time::timeout(FAILURE_MAX, failure).await;
    }
    progress.finish();
    Ok(Finished { view, elapsed, shares })
}

fn shares(crew: &Crew) -> BTreeMap<NodeId, Share> {
    let share = |member: guthi::Member| (member.id, Share { name: member.name, ..Share::default() });
    crew.node.members().into_iter().map(share).collect()
}

fn note(event: Event, shares: &mut BTreeMap<NodeId, Share>, progress: &mut Progress) {
    match event {
        Event::Joined { peer } | Event::Recovered { peer } => {
            let share = shares.entry(peer.id).or_default();
            share.name = peer.name;
            share.failed = None;
            progress.nodes(shares);
        }
        Event::Failed { peer, reason } => {
            let share = shares.entry(peer.id).or_default();
            share.failed = Some(reason);
            progress.tile(peer.id, share);
        }
        _ => {}
    }
}

fn palette(name: Option<&str>) -> anyhow::Result<Palette> {
    let name = match name {
        Some(name) => name,
        None => Palette::names().next().context("there is a palette")?,
    };
    Palette::by_name(name).with_context(|| format!("no palette is called {name:?}; see `mandelbrot palettes`"))
}
