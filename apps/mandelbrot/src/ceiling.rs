//! How close the kernel comes to what this machine's arithmetic can do at all.
//!
//! One iteration is counted as 7 operations: three multiplications, three additions or subtractions, and the doubling of
//! x, which half of the vectors do by a multiplication and half by an addition.
//! The *ceiling* of a path takes these steps on 32 points at once without leaving the registers: no test of escape, no
//! memory, no divergence.
//! The *interior* row renders points that never escape, with the closed forms and the search for cycles switched off:
//! the inner loop as it is, with its tests, loads and stores.
//! The *seahorse* row renders a place where counts differ wildly from pixel to pixel, which adds the price of
//! divergence; only iterations that a pixel needed are counted, not those that a lane took in vain.
//! All of it runs on one thread.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::kernel::{Detail, LANES, Path, STRIDE, Shortcuts, render_by, vector};
use crate::view::{BENCHMARK, View};

/// What was measured on one path.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The instruction set.
    pub path: Path,
    /// Iterations per second of the arithmetic alone.
    pub ceiling: f64,
    /// Iterations per second of the kernel on points that never escape.
    pub interior: f64,
    /// Iterations per second of the kernel in the seahorse valley.
    pub seahorse: f64,
}

impl Row {
    /// The share of the ceiling that the kernel reaches on points that never escape.
    pub fn interior_share(&self) -> f64 {
        self.interior / self.ceiling
    }

    /// The share of the ceiling that the kernel reaches in the seahorse valley.
    pub fn seahorse_share(&self) -> f64 {
        self.seahorse / self.ceiling
    }
}

/// Billions of iterations per second, and shares of the ceiling.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<9} {:>8.3} {:>9.3} {:>6.2} {:>9.3} {:>6.2}",
            self.path.name(),
            self.ceiling / 1e9,
            self.interior / 1e9,
            self.interior_share(),
            self.seahorse / 1e9,
            self.seahorse_share()
        )
    }
}

/// The heading of a table of rows.
pub const HEADING: &str = "path       ceiling  interior  share  seahorse  share   (Giteration/s, one thread)";

/// Measures every vector path of this machine, which takes about five seconds for each.
///
/// The three measurements take turns, so that a noisy neighbour hurts all of them, and the median of
/// [`ROUNDS`] is taken.
pub fn measure() -> Vec<Row> {
    Path::available().into_iter().filter(|path| *path != Path::Scalar).map(measure_path).collect()
}

fn measure_path(path: Path) -> Row {
    let mut samples: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        samples[0].push(ceiling(path));
        samples[1].push(throughput(path, &interior()));
        samples[2].push(throughput(path, &BENCHMARK.view((1024, 576))));
    }
    let [ceiling, interior, seahorse] = samples.map(median);
    Row { path, ceiling, interior, seahorse }
}

/// Iterations per second of the arithmetic alone.
fn ceiling(path: Path) -> f64 {
    let points = vector::Points { cx: [-0.1; LANES], cy: [0.1; LANES] };
    let mut orbits = vector::Orbits::ORIGIN;
    let arithmetic = path.strides().arithmetic;
    let start = Instant::now();
    let mut rounds = 0_u64;
    while start.elapsed() < SAMPLE {
        arithmetic(black_box(&points), black_box(&mut orbits), BATCH);
        rounds += u64::from(BATCH);
    }
    (rounds * u64::from(STRIDE) * LANES as u64) as f64 / start.elapsed().as_secs_f64()
}

/// Iterations per second that the kernel finishes on this view, whose tile is rendered again and again.
fn throughput(path: Path, view: &View) -> f64 {
    let start = Instant::now();
    let mut iterations = 0_u64;
    while start.elapsed() < SAMPLE {
        let Some(rendered) = render_by(path, view, view.whole(), Detail::Counts, Shortcuts::NONE, &|| false) else {
            return 0.0;
        };
        let needed = |count: u32| u64::from(if count == 0 { view.iterations } else { count });
        iterations += rendered.counts.into_iter().map(needed).sum::<u64>();
    }
    iterations as f64 / start.elapsed().as_secs_f64()
}

/// A rectangle well inside the cardioid.
fn interior() -> View {
    View { center: (-0.2, 0.0), half_width: 0.2, size: (512, 256), iterations: 5000 }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// How often everything is measured; the median counts.
pub const ROUNDS: usize = 7;
/// The least time of one measurement.
const SAMPLE: Duration = Duration::from_millis(200);
/// The strides of the arithmetic between two looks at the clock.
const BATCH: u32 = 10_000;
