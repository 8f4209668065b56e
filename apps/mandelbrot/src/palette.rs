//! Colours: cyclic palettes, and the position of a smooth count on them.
//!
//! Everything is computed by plain arithmetic and `libm`, so a palette has the same bytes on every machine.

/// A cyclic run of colours for points outside the set, and one colour for those inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    name: &'static str,
    inside: [u8; 3],
    /// One turn of the palette.
    colours: Vec<[u8; 3]>,
}

impl Palette {
    /// The palette with this name, or `None`; see [`Palette::names`].
    pub fn by_name(name: &str) -> Option<Self> {
        PRESETS.iter().find(|preset| preset.name == name).map(Self::from_preset)
    }

    /// The names of all palettes, the default first.
    pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// The name of this palette.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The colour of points inside the set, as sRGB bytes.
    pub fn inside(&self) -> [u8; 3] {
        self.inside
    }

    /// The colour at a position as sRGB bytes; whole numbers are full turns, so 0.25 and 7.25 are the same.
    ///
    /// A position that is not a number has the colour of 0.
    pub fn colour(&self, position: f32) -> [u8; 3] {
        let turn = position - libm::floorf(position);
        // The cast takes a NaN to 0, and a fraction that was rounded up to 1 comes round again.
        self.colours[(turn * TURN as f32) as usize % TURN]
    }

    fn from_preset(preset: &Preset) -> Self {
        let stops: Vec<Oklab> = preset.stops.iter().map(|&hex| Oklab::from_srgb(bytes(hex))).collect();
        let colours = (0..TURN).map(|k| between(&stops, k as f64 / TURN as f64).to_srgb()).collect();
        Self { name: preset.name, inside: bytes(preset.inside), colours }
    }
}

/// The first palette.
impl Default for Palette {
    fn default() -> Self {
        Self::from_preset(&PRESETS[0])
    }
}

/// How smooth counts are spread over a palette, fitted to one whole picture.
///
/// The logarithm of the count runs through [`TURNS`] turns of the palette between the 5th and the 95th percentile of
/// the picture and goes on at the same pace on both sides.
/// The percentiles come from a histogram of the whole picture, so the order in which its parts arrived is of no account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density {
    /// The logarithm at position 0.
    start: f32,
    /// Turns of the palette per unit of the logarithm.
    pace: f32,
}

impl Density {
    /// Fits to all smooth counts of a picture; those inside, which are 0, have no part in it.
    pub fn fit<'a>(smooth: impl IntoIterator<Item = &'a f32>) -> Self {
        // The bits of positive floats are ordered as the floats are; their upper part makes 2¹² buckets per octave.
        let mut histogram = vec![0_u64; 1 << (32 - BUCKET_BITS)];
        let mut outside = 0_u64;
        for &count in smooth {
            if is_outside(count) {
                histogram[(count.to_bits() >> BUCKET_BITS) as usize] += 1;
                outside += 1;
            }
        }
        if outside == 0 {
            return Self { start: 0.0, pace: 0.0 };
        }
        let percentile = |percent: u64| {
            let rank = (outside - 1) * percent / 100;
            let mut below = 0;
            let bucket = histogram.iter().position(|&number| {
                below += number;
                below > rank
            });
            libm::logf(f32::from_bits((bucket.unwrap_or(0) as u32) << BUCKET_BITS))
        };
        let (low, high) = (percentile(5), percentile(95));
        Self { start: low, pace: TURNS / (high - low).max(SPREAD_LEAST) }
    }

    /// The position on the palette of a smooth count; `None` for points inside, and for what is no count at all.
    pub fn position(&self, smooth: f32) -> Option<f32> {
        is_outside(smooth).then(|| (libm::logf(smooth) - self.start) * self.pace)
    }
}

fn is_outside(smooth: f32) -> bool {
    smooth > 0.0 && smooth < f32::INFINITY
}

/// The colour at a part of a turn, on a smooth curve through all stops (Catmull–Rom) that closes upon itself.
fn between(stops: &[Oklab], turn: f64) -> Oklab {
    let place = turn * stops.len() as f64;
    let (k, t) = (place as usize, place - libm::floor(place));
    let stop = |offset: usize| &stops[(k + offset) % stops.len()];
    let (a, b, c, d) = (stop(stops.len() - 1), stop(0), stop(1), stop(2));
    let curve = |a: f64, b: f64, c: f64, d: f64| {
        let (linear, square, cube) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d, 3.0 * (b - c) + d - a);
        b + 0.5 * t * (linear + t * (square + t * cube))
    };
    Oklab {
        lightness: curve(a.lightness, b.lightness, c.lightness, d.lightness),
        green_red: curve(a.green_red, b.green_red, c.green_red, d.green_red),
        blue_yellow: curve(a.blue_yellow, b.blue_yellow, c.blue_yellow, d.blue_yellow),
    }
}

/// A colour in Björn Ottosson's Oklab, where the way between two colours looks even.
#[derive(Clone, Copy, Debug)]
struct Oklab {
    lightness: f64,
    green_red: f64,
    blue_yellow: f64,
}

impl Oklab {
    fn from_srgb(srgb: [u8; 3]) -> Self {
        let [r, g, b] = srgb.map(light);
        let l = libm::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
        let m = libm::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
        let s = libm::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
        Self {
            lightness: 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
            green_red: 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            blue_yellow: 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
        }
    }

    fn to_srgb(self) -> [u8; 3] {
        let Self { lightness, green_red, blue_yellow } = self;
        let cube = |root: f64| root * root * root;
        let l = cube(lightness + 0.3963377774 * green_red + 0.2158037573 * blue_yellow);
        let m = cube(lightness - 0.1055613458 * green_red - 0.0638541728 * blue_yellow);
        let s = cube(lightness - 0.0894841775 * green_red - 1.2914855480 * blue_yellow);
        [
            4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
            -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
            -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
        ]
        .map(srgb_byte)
    }
}

/// The linear light of an sRGB byte, 0 to 1.
pub(crate) fn light(byte: u8) -> f64 {
    let value = f64::from(byte) / 255.0;
    if value <= 0.04045 { value / 12.92 } else { libm::pow((value + 0.055) / 1.055, 2.4) }
}

/// The sRGB byte nearest to a linear light; what lies outside 0 to 1 is cut off.
pub(crate) fn srgb_byte(light: f64) -> u8 {
    let value = if light <= 0.0031308 { 12.92 * light } else { 1.055 * libm::pow(light, 1.0 / 2.4) - 0.055 };
    // The cast cuts off below 0 and above 255.
    libm::floor(value * 255.0 + 0.5) as u8
}

fn bytes(hex: u32) -> [u8; 3] {
    let [_, r, g, b] = hex.to_be_bytes();
    [r, g, b]
}

/// The recipe of a palette; colours are written as 0xRRGGBB.
struct Preset {
    name: &'static str,
    inside: u32,
    stops: &'static [u32],
}

/// The first is the default.
/// Far from the set a picture begins at the first stop, so this is the colour of its background.
const PRESETS: [Preset; 12] = [
    Preset {
        name: "lapis",
        inside: 0x000000,
        stops: &[0x040a2a, 0x0d2f7e, 0x2f7fd0, 0xbfe4f7, 0xfff4cf, 0xf7b02c, 0x8e3b12, 0x1c0a1e],
    },
    Preset {
        name: "ember",
        inside: 0x000000,
        stops: &[0x08030a, 0x3a0a1e, 0x9a1a1c, 0xe8590c, 0xffc145, 0xfff6d6, 0x9c5a4a, 0x2a1220],
    },
    Preset {
        name: "ocean",
        inside: 0x000208,
        stops: &[0x020b1c, 0x06304f, 0x0b6a8a, 0x24b3b0, 0xa8ecd2, 0xf4fff5, 0x4a8fb8, 0x0c2a52],
    },
    Preset {
        name: "aurora",
        inside: 0x000000,
        stops: &[0x050818, 0x10304a, 0x118a6e, 0x6fe08a, 0xf2ffd0, 0xb46ad8, 0x5a2a8c, 0x180c34],
    },
    Preset {
        name: "dusk",
        inside: 0x000000,
        stops: &[0x0c0a24, 0x3a1c5c, 0x93296f, 0xe8574f, 0xffb067, 0xfff0c9, 0x7fa8c9, 0x27386e],
    },
    Preset {
        name: "forest",
        inside: 0x000000,
        stops: &[0x07120c, 0x163c24, 0x3f7a34, 0xa4bf4b, 0xf6ecb0, 0xc98a3c, 0x6b3d1d, 0x1f1a12],
    },
    Preset {
        name: "nebula",
        inside: 0x000000,
        stops: &[0x06040f, 0x2a1458, 0x5f2ec0, 0xc15be8, 0xffc3ea, 0x7fd6ff, 0x1c6fb0, 0x0a1f48],
    },
    Preset {
        name: "copper",
        inside: 0x000000,
        stops: &[0x0a0f10, 0x1d4a4c, 0x4fa095, 0xd5eee0, 0xf0b489, 0xb8623a, 0x55261a, 0x190e0e],
    },
    Preset {
        name: "candy",
        inside: 0x1a0a24,
        stops: &[0x2b1055, 0xa02c8a, 0xff6f9c, 0xffd1a6, 0xfffbe6, 0x8fe3d9, 0x3b8fd6, 0x33319c],
    },
    Preset {
        name: "glacier",
        inside: 0x020610,
        stops: &[0xeef6fb, 0xb5d8ee, 0x6aa5d8, 0x2f5fa8, 0x14264f, 0x3c5a7a, 0x9db9c9],
    },
    // After cividis: from dark blue over grey to yellow and back, to be read with any kind of colour vision.
    Preset {
        name: "cividis",
        inside: 0x000000,
        stops: &[0x00204c, 0x31446b, 0x666970, 0x958f78, 0xcbba69, 0xffe945, 0xa69d75, 0x575d6d],
    },
    Preset {
        name: "slate",
        inside: 0x000000,
        stops: &[0x0a0a0a, 0x333333, 0x6e6e6e, 0xb4b4b4, 0xfafafa, 0xa0a0a0, 0x545454, 0x202020],
    },
];

/// The colours of one turn; neighbours differ by less than a step of a byte in most places.
const TURN: usize = 8192;
/// The turns of the palette between the 5th and the 95th percentile.
pub const TURNS: f32 = 1.0;
/// The least distance of the percentiles, so that an almost even picture does not show its last bits.
const SPREAD_LEAST: f32 = 0.05;
/// The bits of a float that the histogram leaves out.
const BUCKET_BITS: u32 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_palette_has_its_stops_and_closes_upon_itself() {
        for preset in &PRESETS {
            assert!((6..=8).contains(&preset.stops.len()), "{}", preset.name);
            let palette = Palette::by_name(preset.name).unwrap();
            for (k, &stop) in preset.stops.iter().enumerate() {
                let shown = palette.colour(k as f32 / preset.stops.len() as f32);
                let off = shown.iter().zip(bytes(stop)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                assert!(off <= 2, "{}: stop {k} is {shown:?}", preset.name);
            }
            for k in 0..TURN {
                let (here, next) = (palette.colours[k], palette.colours[(k + 1) % TURN]);
                assert!(here.iter().zip(next).all(|(a, b)| a.abs_diff(b) <= 2), "{}: jump at {k}", preset.name);
            }
        }
    }

    #[test]
    fn names_are_distinct_and_the_default_is_the_first() {
        let names: std::collections::BTreeSet<_> = Palette::names().collect();
        assert_eq!(names.len(), 12);
        assert_eq!(Palette::default().name(), Palette::names().next().unwrap());
        assert_eq!(Palette::by_name("no such"), None);
    }

    #[test]
    fn the_monochrome_is_grey_and_cividis_gains_light_to_its_brightest_stop() {
        assert!(Palette::by_name("slate").unwrap().colours.iter().all(|[r, g, b]| r == g && g == b));
        let cividis = Palette::by_name("cividis").unwrap();
        let lightness = |k: usize| Oklab::from_srgb(cividis.colours[k]).lightness;
        assert!((0..5 * TURN / 8 - 128).step_by(128).all(|k| lightness(k) < lightness(k + 128)));
    }

    #[test]
    fn odd_positions_have_a_colour() {
        let palette = Palette::default();
        for position in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-30, 1e30, -0.0] {
            let _ = palette.colour(position);
        }
        assert_eq!(palette.colour(-0.75), palette.colour(0.25));
    }

    #[test]
    fn the_density_runs_from_the_5th_to_the_95th_percentile() {
        let counts: Vec<f32> = (1..=1000).map(|k| k as f32).chain([0.0; 500]).collect();
        let density = Density::fit(&counts);
        assert!(density.position(50.0).unwrap().abs() < 0.01);
        assert!((density.position(950.0).unwrap() - TURNS).abs() < 0.01);
        assert_eq!(density.position(0.0), None);
        assert_eq!(density.position(f32::NAN), None);
        let mut reversed = counts.clone();
        reversed.reverse();
        assert_eq!(Density::fit(&reversed), density);
        assert_eq!(Density::fit(&[0.0, f32::NAN]).position(5.0), Some(0.0));
        assert!(Density::fit(&[7.0; 100]).position(7.0).unwrap().is_finite());
    }

    #[test]
    fn bytes_survive_the_way_through_light_and_oklab() {
        for byte in 0..=255 {
            assert_eq!(srgb_byte(light(byte)), byte);
            assert_eq!(Oklab::from_srgb([byte, 40, 255 - byte]).to_srgb(), [byte, 40, 255 - byte]);
        }
    }
}
