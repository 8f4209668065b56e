//! Thirty-two points at a time, each leaving when it has escaped and its place taken by the next.

use super::vector::{Orbits, Points, Stopped, Strides};
use super::{Detail, ESCAPE, LANES, Rendered, STRIDE, in_closed_form, plain};
use crate::view::{Tile, View};

/// Which proofs of never escaping may be used; the result is the same without them, only later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shortcuts {
    /// The cardioid and the disc of period 2.
    pub(crate) closed_forms: bool,
    /// Orbits that come back to exactly the same place.
    pub(crate) cycles: bool,
}

impl Shortcuts {
    pub(crate) const ALL: Self = Self { closed_forms: true, cycles: true };
    pub(crate) const NONE: Self = Self { closed_forms: false, cycles: false };
}

/// Renders a tile; `None` when cancelled.
pub(super) fn render(
    strides: Strides,
    view: &View,
    tile: Tile,
    detail: Detail,
    shortcuts: Shortcuts,
    cancelled: &dyn Fn() -> bool,
) -> Option<Rendered> {
    let mut march = March::new(strides, view, tile, detail, shortcuts);
    let mut grid = Grid::new(view, tile);
    while march.start(&mut grid, cancelled)? {
        if march.queue.len() >= QUEUE {
            march.walk(cancelled)?;
        }
        if cancelled() {
            return None;
        }
    }
    march.walk(cancelled)?;
    march.drain(cancelled)?;
    march.replay();
    Some(march.canvas.rendered)
}

/// All that is under way in one tile.
struct March {
    strides: Strides,
    shortcuts: Shortcuts,
    canvas: Canvas,
    /// Points that have taken their first steps and wait for a lane, at most [`QUEUE`] + [`LANES`].
    queue: Vec<Waiting>,
    points: Points,
    /// Where the lanes are; `before` is the start of the last stride, which a replay repeats.
    before: Box<Orbits>,
    after: Box<Orbits>,
    /// An earlier place of each lane, which its orbit may come back to.
    saved: Box<Orbits>,
    /// The pixel of each lane.
    pixel: [u32; LANES],
    /// The stride at which each lane took in its point.
    born: [u64; LANES],
    /// One bit for each lane that has a point.
    busy: u64,
    /// Strides taken so far.
    clock: u64,
    /// How often the place of each lane has been saved, and the lanes of each such class.
    class: [u8; LANES],
    class_lanes: [u64; CLASSES],
    /// Until this stride the lanes are compared with their saved places after each stride, then only after each round.
    watch_until: u64,
    /// No lane reaches the limit of iterations before this stride.
    expiry: u64,
    /// Strides after which a lane has taken all its iterations.
    lifetime: u64,
    /// Points that have escaped during their last stride, to be replayed together.
    leavers: Group,
    /// Whether any point of the tile may be on the brink or beyond.
    brink: bool,
    /// Whether the last group has survived its first stride as a whole.
    survived: bool,
}

/// A point on its way from the first steps to a lane.
#[derive(Clone, Copy)]
struct Waiting {
    cx: f64,
    cy: f64,
    x: f64,
    y: f64,
    pixel: u32,
}

/// Up to 32 pixels that are handled together.
struct Group {
    points: Points,
    orbits: Orbits,
    pixel: [u32; LANES],
    /// The n of each orbit as it is here.
    count: [u32; LANES],
    /// One bit for each lane that means something.
    filled: u64,
}

impl Group {
    const EMPTY: Self =
        Self { points: Points::ORIGIN, orbits: Orbits::ORIGIN, pixel: [0; LANES], count: [0; LANES], filled: 0 };
}

impl March {
    fn new(strides: Strides, view: &View, tile: Tile, detail: Detail, shortcuts: Shortcuts) -> Self {
        let past_first = u64::from(view.iterations + 1).saturating_sub(u64::from(STRIDE));
        Self {
            strides,
            shortcuts,
            canvas: Canvas::new(tile, detail, view.iterations),
            queue: Vec::with_capacity(QUEUE + LANES),
            points: Points::ORIGIN,
            before: Box::new(Orbits::ORIGIN),
            after: Box::new(Orbits::ORIGIN),
            saved: Box::new(Orbits::ORIGIN),
            pixel: [0; LANES],
            born: [0; LANES],
            busy: 0,
            clock: 0,
            class: [0; LANES],
            class_lanes: [0; CLASSES],
            watch_until: 0,
            expiry: 0,
            lifetime: past_first.div_ceil(u64::from(STRIDE)),
            leavers: Group::EMPTY,
            brink: !corners(view, tile).into_iter().all(|(cx, cy)| beneath_brink(cx, cy)),
            survived: false,
        }
    }

    /// Takes the first stride of the next 32 pixels; `false` when there were none left.
    ///
    /// Where the last 32 have all survived it, these will too: they march first and are replayed only if not.
    fn start(&mut self, grid: &mut Grid, cancelled: &dyn Fn() -> bool) -> Option<bool> {
        let mut group = Group::EMPTY;
        grid.fill(&mut group);
        let filled = group.filled;
        if self.survived {
            let mut orbits = Orbits::ORIGIN;
            let Stopped { escaped, .. } = (self.strides.stride)(&group.points, &group.orbits, &mut orbits);
            if escaped & filled == 0 {
                group.orbits = orbits;
                self.enqueue(&group, filled, cancelled)?;
                return Some(filled != 0);
            }
        }
        group.count = (self.strides.replay)(&group.points, &mut group.orbits, STRIDE, ESCAPE);
        let survivors = bits(|lane| group.count[lane] == STRIDE) & filled;
        self.survived = !self.brink && survivors == filled;
        self.enqueue(&group, survivors, cancelled)?;
        group.filled &= !survivors;
        self.canvas.put(self.strides, &mut group);
        Some(filled != 0)
    }

    /// Lets points wait for a lane unless it is already known what becomes of them.
    fn enqueue(&mut self, group: &Group, mut lanes: u64, cancelled: &dyn Fn() -> bool) -> Option<()> {
        if lanes == 0 || self.canvas.iterations < STRIDE {
            // Inside, as the canvas is from the start.
            return Some(());
        }
        if self.shortcuts.closed_forms {
            lanes &= !bits(|lane| in_closed_form(group.points.cx[lane], group.points.cy[lane]));
        }
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize % LANES;
            lanes &= lanes - 1;
            let (cx, cy, pixel) = (group.points.cx[lane], group.points.cy[lane], group.pixel[lane]);
            if self.brink && !beneath_brink(cx, cy) {
                let cycles = self.shortcuts.cycles;
                if let Some(escaped) = plain::interruptible(cx, cy, self.canvas.iterations, cycles, cancelled)? {
                    self.canvas.put_one(pixel, escaped, cx, cy);
                }
            } else {
                self.queue.push(Waiting { cx, cy, x: group.orbits.x[lane], y: group.orbits.y[lane], pixel });
            }
        }
        Some(())
    }

    /// Marches until the queue is empty; the lanes stay as they are and go on with the next.
    fn walk(&mut self, cancelled: &dyn Fn() -> bool) -> Option<()> {
        let mut vacant = !self.busy & u64::MAX >> (64 - LANES);
        while vacant != 0 && !self.queue.is_empty() {
            self.take_in(vacant.trailing_zeros() as usize % LANES);
            vacant &= vacant - 1;
        }
        while !self.queue.is_empty() {
            self.stride(cancelled)?;
        }
        Some(())
    }

    /// Marches until the lanes are empty, too.
    fn drain(&mut self, cancelled: &dyn Fn() -> bool) -> Option<()> {
        while self.busy != 0 {
            self.stride(cancelled)?;
        }
        Some(())
    }

    fn stride(&mut self, cancelled: &dyn Fn() -> bool) -> Option<()> {
        std::mem::swap(&mut self.before, &mut self.after);
        let end_of_round = (self.clock + 1).is_multiple_of(ROUND);
        let compare = self.shortcuts.cycles && (end_of_round || self.clock < self.watch_until);
        let Stopped { escaped, cyclic } = if compare {
            (self.strides.stride_and_compare)(&self.points, &self.before, &mut self.after, &self.saved)
        } else {
            (self.strides.stride)(&self.points, &self.before, &mut self.after)
        };
        let (escaped, cyclic) = (escaped & self.busy, cyclic & self.busy);
        if cyclic != 0 {
            self.watch_until = self.clock + WATCH;
        }
        let mut leaving = escaped | cyclic;
        while leaving != 0 {
            let lane = leaving.trailing_zeros() as usize % LANES;
            leaving &= leaving - 1;
            if escaped >> lane & 1 == 1 {
                self.leave(lane);
            }
            self.replace(lane);
        }
        self.clock += 1;
        if self.shortcuts.cycles && end_of_round {
            self.save();
        }
        if self.clock >= self.expiry {
            self.expire();
        }
        if self.clock.is_multiple_of(PATIENCE) && cancelled() {
            return None;
        }
        Some(())
    }

    /// Notes a lane that has escaped during the stride just taken.
    fn leave(&mut self, lane: usize) {
        let leavers = &mut self.leavers;
        let place = leavers.filled.trailing_ones() as usize % LANES;
        leavers.points.cx[place] = self.points.cx[lane];
        leavers.points.cy[place] = self.points.cy[lane];
        leavers.orbits.x[place] = self.before.x[lane];
        leavers.orbits.y[place] = self.before.y[lane];
        leavers.pixel[place] = self.pixel[lane];
        leavers.count[place] = STRIDE + (self.clock - self.born[lane]) as u32 * STRIDE;
        leavers.filled |= 1 << place;
        if leavers.filled == u64::MAX >> (64 - LANES) {
            self.replay();
        }
    }

    /// Finds the exact counts of those that have left.
    fn replay(&mut self) {
        let leavers = &mut self.leavers;
        let taken = (self.strides.replay)(&leavers.points, &mut leavers.orbits, STRIDE, ESCAPE);
        for (lane, &taken) in taken.iter().enumerate() {
            let escaped = taken < STRIDE || leavers.filled >> lane & 1 == 0;
            debug_assert!(escaped, "invariant 1: what has escaped stays out for the rest of the stride");
            leavers.count[lane] += taken;
        }
        self.canvas.put(self.strides, leavers);
        leavers.filled = 0;
    }

    /// Gives a lane to the next in the queue, or leaves it idle.
    fn replace(&mut self, lane: usize) {
        self.busy &= !(1 << lane);
        if self.queue.is_empty() {
            // At the origin with c = 0 a lane rests without ever escaping.
            self.points.cx[lane] = 0.0;
            self.points.cy[lane] = 0.0;
            self.after.x[lane] = 0.0;
            self.after.y[lane] = 0.0;
        } else {
            self.take_in(lane);
            // Its first stride is the next one.
            self.born[lane] += 1;
        }
    }

    fn take_in(&mut self, lane: usize) {
        let Some(Waiting { cx, cy, x, y, pixel }) = self.queue.pop() else { return };
        self.points.cx[lane] = cx;
        self.points.cy[lane] = cy;
        self.after.x[lane] = x;
        self.after.y[lane] = y;
        self.saved.x[lane] = x;
        self.saved.y[lane] = y;
        self.pixel[lane] = pixel;
        self.born[lane] = self.clock;
        self.busy |= 1 << lane;
        self.class_lanes[usize::from(self.class[lane]) % CLASSES] &= !(1 << lane);
        self.class_lanes[0] |= 1 << lane;
        self.class[lane] = 0;
    }

    /// Saves the places of lanes at ever longer intervals (Brent).
    ///
    /// Lanes of class k are saved in rounds that are multiples of 2ᵏ, and move up one class each time.
    fn save(&mut self) {
        let round = self.clock / ROUND;
        let highest = (round.trailing_zeros() as usize).min(CLASSES - 1);
        for class in (0..=highest).rev() {
            let mut lanes = std::mem::take(&mut self.class_lanes[class]);
            let next = (class + 1).min(CLASSES - 1);
            self.class_lanes[next] |= lanes;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize % LANES;
                lanes &= lanes - 1;
                self.saved.x[lane] = self.after.x[lane];
                self.saved.y[lane] = self.after.y[lane];
                self.class[lane] = next as u8;
            }
        }
    }

    /// Dismisses the lanes that have taken all their iterations: they are inside.
    fn expire(&mut self) {
        let mut oldest = self.clock;
        for lane in 0..LANES {
            if self.busy >> lane & 1 == 0 {
                continue;
            }
            if self.clock - self.born[lane] >= self.lifetime {
                self.watch_until = self.clock + WATCH;
                // The clock has already advanced, so a newcomer starts now.
                self.busy &= !(1 << lane);
                self.replace(lane);
                self.born[lane] = self.clock;
            }
            if self.busy >> lane & 1 == 1 {
                oldest = oldest.min(self.born[lane]);
            }
        }
        self.expiry = oldest + self.lifetime;
    }
}

/// One bit for each lane of which this is true.
#[inline(always)]
fn bits(is_true: impl Fn(usize) -> bool) -> u64 {
    let truths: [bool; LANES] = std::array::from_fn(is_true);
    truths.iter().enumerate().fold(0, |bits, (lane, &truth)| bits | u64::from(truth) << lane)
}

/// The points at the corners of a tile; all others are nearer to the origin than the farthest of these.
fn corners(view: &View, tile: Tile) -> [(f64, f64); 4] {
    let (left, right) = (view.re(tile.x), view.re(tile.x + tile.width - 1));
    let (top, bottom) = (view.im(tile.y), view.im(tile.y + tile.height - 1));
    [(left, top), (right, top), (left, bottom), (right, bottom)]
}

/// Whether invariant 1 of the module holds for this point.
fn beneath_brink(cx: f64, cy: f64) -> bool {
    cx * cx + cy * cy < ESCAPE - BRINK
}

/// The pixels of a tile in order, and their points.
struct Grid {
    re: Vec<f64>,
    im: Vec<f64>,
    column: usize,
    row: usize,
    /// The pixel that comes next.
    next: u32,
}

impl Grid {
    fn new(view: &View, tile: Tile) -> Self {
        Self {
            re: (tile.x..tile.x + tile.width).map(|i| view.re(i)).collect(),
            im: (tile.y..tile.y + tile.height).map(|j| view.im(j)).collect(),
            column: 0,
            row: 0,
            next: 0,
        }
    }

    /// Fills an empty group with the next pixels, none if there are no more.
    fn fill(&mut self, group: &mut Group) {
        for lane in 0..LANES {
            if self.row == self.im.len() {
                return;
            }
            group.points.cx[lane] = self.re[self.column];
            group.points.cy[lane] = self.im[self.row];
            group.pixel[lane] = self.next;
            group.filled |= 1 << lane;
            self.next += 1;
            self.column += 1;
            if self.column == self.re.len() {
                self.column = 0;
                self.row += 1;
            }
        }
    }
}

/// The results so far; a pixel that nobody has put is inside.
struct Canvas {
    rendered: Rendered,
    iterations: u32,
}

impl Canvas {
    fn new(tile: Tile, detail: Detail, iterations: u32) -> Self {
        let smooth = match detail {
            Detail::Counts => Vec::new(),
            Detail::Smooth => vec![0.0; tile.pixels()],
        };
        Self { rendered: Rendered { counts: vec![0; tile.pixels()], smooth }, iterations }
    }

    /// Puts a group of escaped orbits and leaves it without orbits.
    fn put(&mut self, strides: Strides, group: &mut Group) {
        for lane in 0..LANES {
            // A lane may have gone on beyond the limit until the end of its stride.
            if group.count[lane] > self.iterations {
                group.filled &= !(1 << lane);
            }
            if group.filled >> lane & 1 == 1 {
                self.rendered.counts[group.pixel[lane] as usize] = group.count[lane];
            } else {
                // Far away, so that nothing waits for it.
                group.orbits.x[lane] = plain::FAR;
            }
        }
        if self.rendered.smooth.is_empty() || group.filled == 0 {
            return;
        }
        let taken = (strides.replay)(&group.points, &mut group.orbits, plain::CONTINUATION_MAX, plain::FAR);
        let mut filled = group.filled;
        while filled != 0 {
            let lane = filled.trailing_zeros() as usize;
            filled &= filled - 1;
            let (x, y) = (group.orbits.x[lane], group.orbits.y[lane]);
            let far = plain::Escaped { count: group.count[lane] + taken[lane], x, y };
            self.rendered.smooth[group.pixel[lane] as usize] = far.smooth_here();
        }
    }

    fn put_one(&mut self, pixel: u32, escaped: plain::Escaped, cx: f64, cy: f64) {
        self.rendered.counts[pixel as usize] = escaped.count;
        if let Some(smooth) = self.rendered.smooth.get_mut(pixel as usize) {
            *smooth = escaped.smooth(cx, cy);
        }
    }
}

/// The points that may wait before the march begins.
const QUEUE: usize = 1024;
/// Points this close to |c|² = 4 or beyond go through the scalar loop; see invariant 1 of the module.
const BRINK: f64 = 1e-12;
/// The strides between two rounds of saving places.
const ROUND: u64 = 8;
/// The classes of lanes by the number of times that their places have been saved.
const CLASSES: usize = 28;
/// The strides for which cycles are looked for closely after a point has turned out to be inside, as its neighbours may
/// be inside too.
const WATCH: u64 = 1024;
/// The strides between two questions whether to go on: 2 million iterations.
const PATIENCE: u64 = 4096;
