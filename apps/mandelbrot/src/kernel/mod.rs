//! Escape counts and smooth counts, the same bits on every machine and on every instruction set.
//!
//! # Definitions
//! z₁ = c and zₙ₊₁ = zₙ² + c, computed as `x' = (x·x − y·y) + cx` and `y' = (2x)·y + cy`, each operation rounded once.
//! The count of c is the first n with |zₙ| > 2, strictly, and 0 when there is none up to the limit.
//! The smooth count ν continues the orbit until |z| > 256 and is `n + 1 − log₂(ln|z| / ln 256)` there.
//!
//! # How a tile is drawn
//! 1. *Start*: 32 neighbouring pixels take their first 16 steps together and are tested before each of them.
//!    Far from the set most pixels end here; where the last 32 have all survived, one test at the end does.
//! 2. *Closed forms*: those that are left and lie in the cardioid or in the disc of period 2 never escape.
//! 3. *March*: the others queue for 32 lanes. All lanes take 16 steps, then one test tells which have escaped.
//!    Those are taken out and the next in the queue take their place, so that no lane waits for the slowest.
//!    Places are compared with earlier ones after each stride near points known to be inside, elsewhere now and then.
//! 4. *Replay*: what left the march is collected, 32 at a time, and repeats its last stride with a test after each step.
//!    Equal operations in equal order give equal bits, so the count is exact.
//!
//! # Invariants
//! 1. Once |z| > 2 it stays so for the rest of a stride, or one test at its end would miss the escape.
//!    For |c| ≤ 2 − 2.5e-13 this is certain: |z'| ≥ |z|² − |c| exceeds 2 by far more than the rounding of a step, and
//!    grows until it overflows, first to an infinity and then to a NaN, both of which the test takes as escaped.
//!    The rim beyond that goes through the scalar loop.
//! 2. A z that equals an earlier z of the same orbit, bit for bit, repeats for ever: the point never escapes.
//!    Nothing but exact equality is taken as a cycle, so the result is that of the plain loop.
//! 3. The closed forms leave out a band of 1e-14 at the rim, wider than their own rounding.
//!
//! # Bounds
//! A tile needs 8 bytes of result per pixel and a queue of at most `QUEUE` + 32 points.
//! `cancelled` is asked at least once per 2 million iterations, which is about a millisecond or less for the vector
//! paths.

mod march;
mod plain;
#[allow(unsafe_code, reason = "instruction sets that are chosen at run time are called by unsafe functions")]
mod vector;

pub use plain::{escape, smooth};
pub use vector::Path;

use crate::view::{Tile, View};

pub(crate) use march::Shortcuts;
#[cfg(test)]
mod tests;

/// The results of one tile, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The escape count of each pixel; 0 is inside.
    pub counts: Vec<u32>,
    /// The smooth count of each pixel; exactly 0 is inside, and outside it is always above 0.
    ///
    /// Empty when only counts were asked for.
    pub smooth: Vec<f32>,
}

/// How much to compute of each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Only the escape counts.
    Counts,
    /// Escape counts and smooth counts, which costs two logarithms more per pixel outside.
    Smooth,
}

/// Renders a tile with the best path of this machine, counts and smooth counts.
///
/// Returns `None` if `cancelled` said so before the last pixel was finished, or if the view is not valid or the tile not
/// a part of it.
pub fn render(view: &View, tile: Tile, cancelled: &dyn Fn() -> bool) -> Option<Rendered> {
    render_with(Path::best(), view, tile, Detail::Smooth, cancelled)
}

/// Renders a tile with a given path; the result is the same for every path.
///
/// A path that this machine lacks is replaced by [`Path::best`].
/// Returns `None` as [`render`] does.
pub fn render_with(
    path: Path,
    view: &View,
    tile: Tile,
    detail: Detail,
    cancelled: &dyn Fn() -> bool,
) -> Option<Rendered> {
    render_by(path, view, tile, detail, Shortcuts::ALL, cancelled)
}

/// Renders with some shortcuts switched off, for measuring and for tests.
pub(crate) fn render_by(
    path: Path,
    view: &View,
    tile: Tile,
    detail: Detail,
    shortcuts: Shortcuts,
    cancelled: &dyn Fn() -> bool,
) -> Option<Rendered> {
    if view.validate().is_err() || !tile.within(view.size) {
        return None;
    }
    let path = if path.is_available() { path } else { Path::best() };
    match path {
        Path::Scalar => plain::render(view, tile, detail, shortcuts, cancelled),
        Path::Baseline | Path::Avx2 | Path::Avx512 => {
            march::render(path.strides(), view, tile, detail, shortcuts, cancelled)
        }
    }
}

/// Whether c lies in the main cardioid or in the disc of period 2, and not in the band along their rims.
#[inline]
fn in_closed_form(cx: f64, cy: f64) -> bool {
    let yy = cy * cy;
    let p = cx - 0.25;
    let q = p * p + yy;
    let r = cx + 1.0;
    (q * (q + p) <= 0.25 * yy - RIM) | (r * r + yy <= 0.0625 - RIM)
}

/// The band along the rims of the closed forms that is iterated instead, in units of their inequalities (1e-14).
const RIM: f64 = 1e-14;
/// |z|² above which a point has escaped.
const ESCAPE: f64 = 4.0;
/// The pixels that are iterated together.
const LANES: usize = 32;
/// The steps between two tests of the march.
const STRIDE: u32 = 16;
