//! What to draw: a rectangle of the plane, the grid of pixels laid over it, and its cover by tiles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A rectangle of the complex plane with a grid of square pixels and a limit of iterations.
///
/// The fields are plain because a view is plain data that travels between nodes; [`View::validate`] is the gate that
/// every view from outside has to pass before it is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The point in the middle of the picture: real part, imaginary part.
    pub center: (f64, f64),
    /// Half the width of the picture in the plane; the height follows, since pixels are square.
    pub half_width: f64,
    /// Width and height in pixels, 1 to [`SIDE_MAX`] each.
    pub size: (u32, u32),
    /// The number of iterations after which a point counts as inside, 1 to [`ITERATIONS_MAX`].
    pub iterations: u32,
}

/// A rectangle of pixels inside a view; `x` grows to the right, `y` downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tile {
    /// Leftmost column.
    pub x: u32,
    /// Topmost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl View {
    /// The named place with this name, at the given size; `None` when there is no such place.
    pub fn named(name: &str, size: (u32, u32)) -> Option<Self> {
        PLACES.iter().find(|place| place.name == name).map(|place| place.view(size))
    }

    /// Checks every bound once, so that the kernel can trust what it is given.
    pub fn validate(&self) -> Result<(), ViewError> {
        let (width, height) = self.size;
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(ViewError::Size { width, height });
        }
        if u64::from(width) * u64::from(height) > PIXELS_MAX {
            return Err(ViewError::Pixels { width, height });
        }
        if !(1..=ITERATIONS_MAX).contains(&self.iterations) {
            return Err(ViewError::Iterations { iterations: self.iterations });
        }
        let (re, im) = self.center;
        if !(re.abs() <= COORDINATE_MAX && im.abs() <= COORDINATE_MAX) {
            return Err(ViewError::Center { re, im });
        }
        if !(self.half_width > 0.0 && self.half_width <= COORDINATE_MAX) {
            return Err(ViewError::HalfWidth { half_width: self.half_width });
        }
        let least = self.half_width_least();
        if self.half_width < least {
            return Err(ViewError::TooDeep { half_width: self.half_width, least });
        }
        Ok(())
    }

    /// The real part of the points in column `i`, which lies at the middle of its pixels.
    pub fn re(&self, i: u32) -> f64 {
        let width = f64::from(self.size.0);
        self.center.0 + self.half_width * (2.0 * f64::from(i) + 1.0 - width) / width
    }

    /// The imaginary part of the points in row `j`; row 0 is at the top.
    pub fn im(&self, j: u32) -> f64 {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        self.center.1 + self.half_width * (height - 2.0 * f64::from(j) - 1.0) / width
    }

    /// The number of pixels of the whole picture, at most [`PIXELS_MAX`] in a valid view.
    pub fn pixels(&self) -> u64 {
        u64::from(self.size.0) * u64::from(self.size.1)
    }

    /// The whole picture as one tile.
    pub fn whole(&self) -> Tile {
        Tile { x: 0, y: 0, width: self.size.0, height: self.size.1 }
    }

    /// Covers the picture with squares of `edge` pixels, row by row; those at the right and lower rims may be smaller.
    ///
    /// An edge of 0 is taken as 1.
    pub fn tiles(&self, edge: u32) -> Vec<Tile> {
        let edge = edge.max(1);
        let (width, height) = self.size;
        let starts = |end: u32| (0..end).step_by(edge as usize);
        starts(height)
            .flat_map(|y| starts(width).map(move |x| (x, y)))
            .map(|(x, y)| Tile { x, y, width: edge.min(width - x), height: edge.min(height - y) })
            .collect()
    }

    /// The least half width at which neighbouring pixels are still different numbers.
    fn half_width_least(&self) -> f64 {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let re = self.center.0.abs() + self.half_width;
        let im = self.center.1.abs() + self.half_width * height / width;
        // Neighbours are 2·half_width/width apart, and doubles near v are at most v·2⁻⁵² apart.
        // Two such steps between pixels keep the rounding of a coordinate below a quarter of a pixel.
        re.max(im) * f64::EPSILON * width
    }
}

/// One line from which the same view can be made again, bit for bit.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { center: (re, im), half_width, size: (width, height), iterations } = self;
        write!(f, "re={re:?} im={im:?} half_width={half_width:?} size={width}x{height} iterations={iterations}")
    }
}

/// Reads what [`Display`](fmt::Display) has written; the parts may come in any order, and none may be missing.
impl FromStr for View {
    type Err = ParseViewError;

    fn from_str(text: &str) -> Result<Self, ParseViewError> {
        let part = |name: &'static str| {
            let missing = ParseViewError { part: name };
            text.split_whitespace().find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).ok_or(missing)
        };
        fn number<T: FromStr>(part: &'static str, text: &str) -> Result<T, ParseViewError> {
            text.parse().map_err(|_| ParseViewError { part })
        }
        let (width, height) = part("size")?.split_once('x').ok_or(ParseViewError { part: "size" })?;
        Ok(Self {
            center: (number("re", part("re")?)?, number("im", part("im")?)?),
            half_width: number("half_width", part("half_width")?)?,
            size: (number("size", width)?, number("size", height)?),
            iterations: number("iterations", part("iterations")?)?,
        })
    }
}

impl Tile {
    /// The number of pixels in the tile.
    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Whether the tile is not empty and lies within a picture of this size.
    pub fn within(&self, (width, height): (u32, u32)) -> bool {
        let fits = |start: u32, length: u32, end: u32| length > 0 && start < end && length <= end - start;
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }
}

/// Why a view cannot be drawn; nothing has been computed when this is returned.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A side is 0 or longer than [`SIDE_MAX`].
    #[error("cannot draw {width} x {height} pixels: each side must be 1 to {SIDE_MAX}")]
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Both sides are allowed, their product is above [`PIXELS_MAX`].
    #[error("cannot draw {width} x {height} pixels: a picture may have {PIXELS_MAX} pixels; choose a smaller size")]
    Pixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The limit is 0 or above [`ITERATIONS_MAX`].
    #[error("cannot iterate {iterations} times: choose 1 to {ITERATIONS_MAX} iterations")]
    Iterations {
        /// The limit asked for.
        iterations: u32,
    },
    /// A coordinate is not a number, infinite or beyond [`COORDINATE_MAX`].
    #[error(
        "cannot centre on {re} {im:+} i: both parts must be numbers between -{COORDINATE_MAX} and {COORDINATE_MAX}; the set lies within 2 of the origin"
    )]
    Center {
        /// Real part asked for.
        re: f64,
        /// Imaginary part asked for.
        im: f64,
    },
    /// The half width is not a positive number or beyond [`COORDINATE_MAX`].
    #[error(
        "cannot draw a half width of {half_width}: it must be above 0 and at most {COORDINATE_MAX}; the whole set needs 1.5"
    )]
    HalfWidth {
        /// The half width asked for.
        half_width: f64,
    },
    /// Neighbouring pixels would be the same number in double precision.
    #[error(
        "cannot tell neighbouring pixels apart at a half width of {half_width:e}: double precision ends here; \
         zoom out to {least:e} or more, or draw fewer pixels in a row"
    )]
    TooDeep {
        /// The half width asked for.
        half_width: f64,
        /// The least half width that can be drawn with this centre and size.
        least: f64,
    },
}

/// A line of text that is no view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read a view: `{part}=…` is missing or malformed")]
#[non_exhaustive]
pub struct ParseViewError {
    /// The part that is missing or malformed.
    pub part: &'static str,
}

/// A place worth going to, with a half width and a limit of iterations that suit it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Place {
    /// What to call it, lower case.
    pub name: &'static str,
    /// One line for a listing.
    pub about: &'static str,
    /// See [`View::center`].
    pub center: (f64, f64),
    /// Half the width of a picture of 4:3 that shows the place.
    pub half_width: f64,
    /// See [`View::iterations`].
    pub iterations: u32,
}

impl Place {
    const fn new(
        name: &'static str,
        about: &'static str,
        center: (f64, f64),
        half_width: f64,
        iterations: u32,
    ) -> Self {
        Self { name, about, center, half_width, iterations }
    }

    /// This place at the given size in pixels, widened if that is needed to show all of it.
    ///
    /// The half width of a place is that of a picture of 4:3; in a wider one the height decides.
    pub fn view(&self, size: (u32, u32)) -> View {
        let widening = 3.0 * f64::from(size.0) / (4.0 * f64::from(size.1));
        let half_width = self.half_width * widening.max(1.0);
        View { center: self.center, half_width, size, iterations: self.iterations }
    }
}

/// The longest side of a picture, in pixels.
pub const SIDE_MAX: u32 = 65_535;
/// The most pixels of a picture: 2³⁰.
pub const PIXELS_MAX: u64 = 1 << 30;
/// The highest limit of iterations; counts stay far below the end of `u32` even when a lane overshoots.
pub const ITERATIONS_MAX: u32 = 1_000_000_000;
/// The largest coordinate and half width; a picture from further out is a single dot.
pub const COORDINATE_MAX: f64 = 1e6;

/// The named places, the whole set first.
pub const PLACES: [Place; 12] = [
    Place::new("home", "the whole set", (-0.75, 0.0), 1.5, 1000),
    Place::new("seahorse", "a tail in the valley between cardioid and disc", (-0.7453, 0.1127), 4.9e-4, 1000),
    Place::new("elephant", "the trunks at the cusp of the cardioid", (0.2825, 0.01), 6e-3, 2000),
    Place::new("wheel", "a seahorse's eye with hundreds of spokes", (-0.748, 0.1), 1.05e-3, 2000),
    Place::new("sun", "a spiral with flames around it", (-0.776592847, -0.136640848), 4.5e-5, 4000),
    Place::new("star", "a crossing of eight roads", (-0.374004139, 0.659792175), 8.3e-4, 2000),
    Place::new("galaxy", "a whirl with arms", (0.001643721971153, -0.822467633298876), 2.3e-10, 5000),
    Place::new("island", "a small copy of the set among elephants", (0.2925755, -0.0149977), 3e-4, 2000),
    Place::new(
        "flower",
        "a minibrot of period 43 in its petals",
        (-0.7460268478206916, 0.11272070475289654),
        1.1e-7,
        5000,
    ),
    Place::new("antenna", "the largest copy on the real axis", (-1.7548776662466927, 0.0), 0.023, 1000),
    Place::new("tapestry", "a fabric of seahorses, far down", (-0.743644786, 0.1318252536), 3e-8, 20_000),
    BENCHMARK,
];

/// The place that benchmarks render, at [`BENCHMARK_SIZE`].
///
/// Some 5,900 iterations per pixel on average, different from pixel to pixel, and hardly a point inside: no shortcut
/// helps.
pub const BENCHMARK: Place =
    Place::new("benchmark", "what benchmarks render", (-0.743643900055, 0.131825890901), 1.5e-10, 50_000);
/// The size at which the benchmark keeps two cores of a server of 2023 busy for about ten seconds.
pub const BENCHMARK_SIZE: (u32, u32) = (5760, 3240);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tiles_cover_every_pixel_once(width in 1_u32..200, height in 1_u32..200, edge in 0_u32..250) {
            let view = View { size: (width, height), ..PLACES[0].view((1, 1)) };
            let mut covered = vec![0_u8; view.pixels() as usize];
            let tiles = view.tiles(edge);
            for tile in &tiles {
                prop_assert!(tile.within(view.size));
                for y in tile.y..tile.y + tile.height {
                    for x in tile.x..tile.x + tile.width {
                        covered[(y * width + x) as usize] += 1;
                    }
                }
            }
            prop_assert!(covered.iter().all(|&times| times == 1));
            prop_assert!(tiles.is_sorted_by_key(|tile| (tile.y, tile.x)));
        }

        #[test]
        fn a_view_survives_the_way_through_text(
            re in -2.0..2.0_f64, im in -2.0..2.0_f64, half_width in 1e-12..2.0_f64,
            width in 1..=SIDE_MAX, height in 1..=SIDE_MAX, iterations in 1..=ITERATIONS_MAX,
        ) {
            let view = View { center: (re, im), half_width, size: (width, height), iterations };
            prop_assert_eq!(view.to_string().parse::<View>(), Ok(view));
        }

        #[test]
        fn neighbouring_pixels_of_a_valid_view_differ(
            re in -2.0..2.0_f64, im in -2.0..2.0_f64, exponent in -60.0..1.0_f64, width in 2..=SIDE_MAX, place in 0.0..1.0,
        ) {
            let view = View { center: (re, im), half_width: exponent.exp2(), size: (width, 16), iterations: 1 };
            prop_assume!(view.validate().is_ok());
            let i = (f64::from(width - 2) * place) as u32;
            prop_assert!(view.re(i) < view.re(i + 1));
            prop_assert!((0..15).all(|j| view.im(j) > view.im(j + 1)));
        }
    }

    #[test]
    fn the_home_grid_is_that_of_the_reference() {
        let view = View::named("home", (64, 48)).unwrap();
        assert_eq!((view.center, view.half_width), ((-0.75, 0.0), 1.5));
        assert_eq!((view.re(0), view.re(63)), (-2.25 + 1.5 / 64.0, 0.75 - 1.5 / 64.0));
        assert_eq!((view.im(0), view.im(47)), (1.125 - 1.5 / 64.0, -1.125 + 1.5 / 64.0));
    }

    #[test]
    fn every_place_can_be_drawn_and_has_a_name_of_its_own() {
        for place in &PLACES {
            for size in [(64, 48), (7680, 4320), (1080, 1920)] {
                place.view(size).validate().unwrap();
            }
            assert_eq!(PLACES.iter().filter(|other| other.name == place.name).count(), 1);
            assert_eq!(View::named(place.name, (8, 6)), Some(place.view((8, 6))));
        }
        assert_eq!(View::named("atlantis", (8, 6)), None);
    }

    #[test]
    fn bounds_are_kept() {
        let good = PLACES[0].view((64, 48));
        assert_eq!(good.validate(), Ok(()));
        type Check = fn(&ViewError) -> bool;
        let cases: [(View, Check); 13] = [
            (View { size: (0, 48), ..good.clone() }, |error| matches!(error, ViewError::Size { .. })),
            (View { size: (64, 65_536), ..good.clone() }, |error| matches!(error, ViewError::Size { .. })),
            (View { size: (65_535, 16_385), ..good.clone() }, |error| matches!(error, ViewError::Pixels { .. })),
            (View { iterations: 0, ..good.clone() }, |error| matches!(error, ViewError::Iterations { .. })),
            (View { iterations: u32::MAX, ..good.clone() }, |error| matches!(error, ViewError::Iterations { .. })),
            (View { center: (f64::NAN, 0.0), ..good.clone() }, |error| matches!(error, ViewError::Center { .. })),
            (View { center: (0.0, f64::INFINITY), ..good.clone() }, |error| matches!(error, ViewError::Center { .. })),
            (View { center: (2e6, 0.0), ..good.clone() }, |error| matches!(error, ViewError::Center { .. })),
            (View { half_width: 0.0, ..good.clone() }, |error| matches!(error, ViewError::HalfWidth { .. })),
            (View { half_width: -1.0, ..good.clone() }, |error| matches!(error, ViewError::HalfWidth { .. })),
            (View { half_width: f64::NAN, ..good.clone() }, |error| matches!(error, ViewError::HalfWidth { .. })),
            (View { half_width: 1e-16, ..good.clone() }, |error| matches!(error, ViewError::TooDeep { .. })),
            (View { half_width: 1e-300, ..good.clone() }, |error| matches!(error, ViewError::TooDeep { .. })),
        ];
        for (view, is_expected) in cases {
            let error = view.validate().unwrap_err();
            assert!(is_expected(&error), "{error}");
        }
    }

    #[test]
    fn a_malformed_line_names_the_part_that_is_wrong() {
        for (text, part) in [
            ("", "size"),
            ("re=0 im=0 half_width=1 size=64 iterations=9", "size"),
            ("re=zero im=0 half_width=1 size=64x48 iterations=9", "re"),
            ("re=0 im=0 half_width=1 size=64x48", "iterations"),
        ] {
            assert_eq!(text.parse::<View>(), Err(ParseViewError { part }));
        }
    }
}
