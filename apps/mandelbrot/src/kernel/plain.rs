//! One point at a time: the definition that every other path is compared with.

use super::{Detail, ESCAPE, Rendered, Shortcuts, in_closed_form};
use crate::view::{Tile, View};

/// An orbit that has left the circle of radius 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped {
    /// The first n with |zₙ| > 2.
    pub(super) count: u32,
    /// zₙ.
    pub(super) x: f64,
    /// zₙ.
    pub(super) y: f64,
}

/// The escape count of one point by the plain loop, without any shortcut; 0 if it stays for all `iterations`.
pub fn escape(cx: f64, cy: f64, iterations: u32) -> u32 {
    orbit(cx, cy, iterations).map_or(0, |escaped| escaped.count)
}

/// The smooth count of one point by the plain loop; 0 if it stays for all `iterations`.
pub fn smooth(cx: f64, cy: f64, iterations: u32) -> f32 {
    orbit(cx, cy, iterations).map_or(0.0, |escaped| escaped.smooth(cx, cy))
}

impl Escaped {
    /// Follows the orbit to the circle of radius 256 and measures how far it jumped past it.
    pub(super) fn smooth(mut self, cx: f64, cy: f64) -> f32 {
        let end = self.count + CONTINUATION_MAX;
        while self.count < end && self.x * self.x + self.y * self.y <= FAR {
            (self.x, self.y) = step(self.x, self.y, cx, cy);
            self.count += 1;
        }
        self.smooth_here()
    }

    /// The smooth count of an orbit that has been followed to the circle of radius 256.
    ///
    /// Beyond 2²⁴ it has lost its fraction, as `f32` has 24 bits.
    #[inline]
    pub(super) fn smooth_here(self) -> f32 {
        let square = (self.x * self.x + self.y * self.y) as f32;
        // ln|z| / ln 256 = log₂|z|² / 16, and log₂ of that is log₂ log₂|z|² − 4.
        let beyond = f64::from(libm::log2f(libm::log2f(square)) - 4.0);
        ((f64::from(self.count) + 1.0 - beyond) as f32).max(SMOOTH_LEAST)
    }
}

/// Renders a tile point by point.
pub(super) fn render(
    view: &View,
    tile: Tile,
    detail: Detail,
    shortcuts: Shortcuts,
    cancelled: &dyn Fn() -> bool,
) -> Option<Rendered> {
    let mut rendered = Rendered::default();
    for j in tile.y..tile.y + tile.height {
        let cy = view.im(j);
        for i in tile.x..tile.x + tile.width {
            let cx = view.re(i);
            let escaped = if shortcuts.closed_forms && in_closed_form(cx, cy) {
                None
            } else {
                interruptible(cx, cy, view.iterations, shortcuts.cycles, cancelled)?
            };
            rendered.counts.push(escaped.map_or(0, |escaped| escaped.count));
            if detail == Detail::Smooth {
                rendered.smooth.push(escaped.map_or(0.0, |escaped| escaped.smooth(cx, cy)));
            }
            if rendered.counts.len().is_multiple_of(16) && cancelled() {
                return None;
            }
        }
    }
    Some(rendered)
}

/// One point with Brent's search for a cycle; the outer `None` means cancelled, the inner one inside.
pub(super) fn interruptible(
    cx: f64,
    cy: f64,
    iterations: u32,
    cycles: bool,
    cancelled: &dyn Fn() -> bool,
) -> Option<Option<Escaped>> {
    let (mut x, mut y) = (cx, cy);
    let (mut saved_x, mut saved_y, mut save_at) = (x, y, 8);
    for count in 1..=iterations {
        if x * x + y * y > ESCAPE {
            return Some(Some(Escaped { count, x, y }));
        }
        (x, y) = step(x, y, cx, cy);
        if cycles && x == saved_x && y == saved_y {
            return Some(None);
        }
        if count == save_at {
            (saved_x, saved_y) = (x, y);
            save_at = save_at.saturating_mul(2);
        }
        if count % PATIENCE == 0 && cancelled() {
            return None;
        }
    }
    Some(None)
}

fn orbit(cx: f64, cy: f64, iterations: u32) -> Option<Escaped> {
    let (mut x, mut y) = (cx, cy);
    for count in 1..=iterations {
        if x * x + y * y > ESCAPE {
            return Some(Escaped { count, x, y });
        }
        (x, y) = step(x, y, cx, cy);
    }
    None
}

/// The order of these operations is the contract between all paths.
#[inline(always)]
fn step(x: f64, y: f64, cx: f64, cy: f64) -> (f64, f64) {
    ((x * x - y * y) + cx, (2.0 * x) * y + cy)
}

/// |z|² beyond which the smooth count is taken: 256².
pub(super) const FAR: f64 = 65_536.0;
/// The steps from radius 2 to radius 256 are three or four; at the tip of the antenna, where |z| is within rounding of
/// 2, each step at least triples the distance and 2⁻⁵² · 3³⁴ > 1, so 64 is never reached.
pub(super) const CONTINUATION_MAX: u32 = 64;
/// The floor of smooth counts outside the set, reached only by points that start far away; 0 is kept for inside.
const SMOOTH_LEAST: f32 = 1.0 / 1024.0;
/// The iterations of one point between two questions whether to go on.
const PATIENCE: u32 = 1 << 16;
