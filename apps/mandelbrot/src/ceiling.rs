//! How close the kernel comes to what this machine's arithmetic can do at all.
//!
//! One iteration is counted as 7 operations: three multiplications and four additions or subtractions, of which one is
//! the doubling of x.
//! The *ceiling* of a path takes these steps on six vectors at once without leaving the registers: no test of escape, no
//! memory, no divergence, and enough vectors to hide the latency of each.
//! The *interior* row renders points that never escape, with the closed forms and the search for cycles switched off:
//! the inner loop as it is, with its tests, loads and stores.
//! The *benchmark* row renders [`BENCHMARK`], where counts differ from pixel to pixel, which adds the price of divergence;
//! only iterations that a pixel needed are counted, not those that a lane took in vain.
//! The *seahorse* row does the same where pixels need only some 130 iterations on average, which adds the price of
//! starting and finishing a pixel.
//! All of it runs on one thread.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::kernel::{Detail, Path, Shortcuts, render_by};
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
    /// Iterations per second of the kernel on the benchmark.
    pub benchmark: f64,
    /// Iterations per second of the kernel in the seahorse valley.
    pub seahorse: f64,
}

impl Row {
    /// The share of the ceiling that the kernel reaches on points that never escape.
    pub fn interior_share(&self) -> f64 {
        self.interior / self.ceiling
    }

    /// The share of the ceiling that the kernel reaches on the benchmark.
    pub fn benchmark_share(&self) -> f64 {
        self.benchmark / self.ceiling
    }

    /// The share of the ceiling that the kernel reaches in the seahorse valley.
    pub fn seahorse_share(&self) -> f64 {
        self.seahorse / self.ceiling
    }
}

/// Billions of iterations per second, and shares of the ceiling.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {:>8.3}", self.path.name(), self.ceiling / 1e9)?;
        for (rate, share) in [
            (self.interior, self.interior_share()),
            (self.benchmark, self.benchmark_share()),
            (self.seahorse, self.seahorse_share()),
        ] {
            write!(f, " {:>10.3} {share:>6.2}", rate / 1e9)?;
        }
        Ok(())
    }
}

/// The heading of a table of rows.
pub const HEADING: &str = "path       ceiling   interior  share  benchmark  share   seahorse  share";

/// Measures every vector path of this machine, which takes about five seconds for each.
///
/// The measurements take turns, so that a noisy neighbour hurts all of them, and the median of [`ROUNDS`] is taken.
pub fn measure() -> Vec<Row> {
    Path::available().into_iter().filter(|path| *path != Path::Scalar).map(measure_path).collect()
}

fn measure_path(path: Path) -> Row {
    let [interior, benchmark, seahorse] =
        [interior(), BENCHMARK.view((256, 144)), seahorse()].map(|view| move || throughput(path, &view));
    let measurements: [&dyn Fn() -> f64; 4] = [&|| ceiling(path), &interior, &benchmark, &seahorse];
    let mut samples = measurements.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (samples, measurement) in samples.iter_mut().zip(measurements) {
            samples.push(measurement());
        }
    }
    let [ceiling, interior, benchmark, seahorse] = samples.map(median);
    Row { path, ceiling, interior, benchmark, seahorse }
}

/// Iterations per second of the arithmetic alone.
fn ceiling(path: Path) -> f64 {
    let arithmetic = path.strides().arithmetic;
    let start = Instant::now();
    let mut iterations = 0;
    while start.elapsed() < SAMPLE {
        iterations += arithmetic(black_box((-0.1, 0.1)), BATCH);
    }
    iterations as f64 / start.elapsed().as_secs_f64()
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

/// A rectangle full of tails, fixed here so that figures stay comparable.
fn seahorse() -> View {
    View { center: (-0.7453, 0.1127), half_width: 6.5e-4, size: (1024, 576), iterations: 5000 }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// How often everything is measured; the median counts.
pub const ROUNDS: usize = 15;
/// The least time of one measurement.
const SAMPLE: Duration = Duration::from_millis(75);
/// The steps of the arithmetic between two looks at the clock.
const BATCH: u32 = 100_000;
