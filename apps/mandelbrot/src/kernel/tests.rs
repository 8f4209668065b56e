use sha2::{Digest, Sha256};

use super::*;

#[test]
fn the_neck_between_cardioid_and_disc_counts_the_digits_of_pi() {
    for (exponent, expected) in [(1, 33), (2, 315), (3, 3143), (4, 31417), (5, 314_160)] {
        let epsilon = format!("1e-{exponent}").parse().unwrap();
        assert_eq!(count_everywhere(-0.75, epsilon, 1_000_000), expected, "-0.75 + {epsilon} i");
    }
}

#[test]
fn the_cusp_counts_the_digits_of_pi_too() {
    for (exponent, expected) in [(2, 30), (3, 97), (4, 312), (5, 991), (6, 3140), (7, 9933), (8, 31414)] {
        let epsilon: f64 = format!("1e-{exponent}").parse().unwrap();
        assert_eq!(count_everywhere(0.25 + epsilon, 0.0, 1_000_000), expected, "0.25 + {epsilon}");
    }
}

#[test]
fn points_of_the_set_never_escape() {
    let airplane_and_friends =
        [(0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.25, 0.0), (0.0, 1.0), (-0.1225611668766536, 0.7448617666197442)];
    for (cx, cy) in airplane_and_friends {
        assert_eq!(count_everywhere(cx, cy, 10_000), 0, "{cx} {cy:+} i");
        assert_eq!(smooth(cx, cy, 10_000), 0.0);
    }
}

#[test]
fn points_just_outside_the_antenna_escape() {
    for (cx, cy) in [((-2.0_f64).next_down(), 0.0), (-2.0, 1e-15), (-2.0 - 1e-12, 0.0), (-2.0 + 1e-12, 1e-9)] {
        let expected = escape(cx, cy, 10_000);
        assert!(expected > 0, "{cx} {cy:+} i");
        assert_eq!(count_everywhere(cx, cy, 10_000), expected, "{cx} {cy:+} i");
    }
}

#[test]
fn the_tip_of_the_antenna_is_exact_to_the_last_bit() {
    let mut cx = -2.0 - 40.0 * f64::EPSILON;
    while cx < -2.0 + 40.0 * f64::EPSILON {
        for cy in [0.0, 5e-324, 1e-300, 1e-18, 1e-16, -1e-13] {
            count_everywhere(cx, cy, 3000);
        }
        cx = cx.next_up();
    }
}

#[test]
fn the_home_view_has_the_reference_counts() {
    let view = home((64, 48));
    for path in Path::available() {
        for edge in [64, 7] {
            let counts = counts_of(path, &view, edge);
            assert_eq!(counts.iter().filter(|&&count| count == 0).count(), 680, "{path:?}");
            assert_eq!(counts.iter().map(|&count| u64::from(count)).sum::<u64>(), 19_612, "{path:?}");
            assert_eq!(counts.iter().max(), Some(&710), "{path:?}");
            let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
            let hash: String = Sha256::digest(&bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, "ad1499d47d35f2ab", "{path:?}");
        }
    }
}

#[test]
fn a_tile_and_its_mirror_image_are_equal_bit_for_bit() {
    let upper = View { center: (-0.7453, 0.1127), half_width: 6.5e-4, size: (96, 64), iterations: 2000 };
    let lower = View { center: (-0.7453, -0.1127), ..upper.clone() };
    let (upper, lower) = (whole(Path::best(), &upper), whole(Path::best(), &lower));
    let flip = |row: usize| (63 - row) * 96..(64 - row) * 96;
    for row in 0..64 {
        assert_eq!(upper.counts[row * 96..(row + 1) * 96], lower.counts[flip(row)]);
        assert_eq!(bits(&upper.smooth[row * 96..(row + 1) * 96]), bits(&lower.smooth[flip(row)]));
    }
}

#[test]
fn the_area_of_the_set_is_right() {
    // The middle of the rim's pixels decides for all of them, and points that escape after 20,000 iterations count as
    // inside; at this size both errors stay below a thousandth.
    let view = View { center: (-0.75, 0.0), half_width: 1.5, size: (1536, 1280), iterations: 20_000 };
    let counts = whole(Path::best(), &view).counts;
    let pixel = (3.0 / 1536.0_f64).powi(2);
    let inside = |index: usize| counts[index] == 0;
    let (mut area, mut moment) = (0.0, 0.0);
    for index in (0..counts.len()).filter(|&index| inside(index)) {
        area += pixel;
        moment += pixel * view.re((index % 1536) as u32);
    }
    assert!((area - 1.5065918849).abs() < 1.5e-3, "{area}");
    assert!((moment / area + 0.28676842048).abs() < 1e-3, "{}", moment / area);
}

#[test]
fn all_paths_agree_with_the_definition_on_a_million_points() {
    // Views of all depths and many sizes, so that groups of 32 end anywhere in a row.
    let mut random = SplitMix(0x5eed);
    let mut compared = 0;
    while compared < 1_000_000 {
        let center = (random.between(-2.1, 0.6), random.between(-1.3, 1.3));
        let half_width = libm::exp(random.between(-25.0, 1.0));
        let iterations = 1 + (random.next() % 300) as u32;
        let size = (1 + (random.next() % 90) as u32, 1 + (random.next() % 90) as u32);
        let view = View { center, half_width, size, iterations };
        if view.validate().is_err() {
            continue;
        }
        compared += agree(&view);
    }
}

#[test]
fn the_shortcuts_change_nothing_near_the_rims() {
    let mut random = SplitMix(7);
    let mut points = Vec::new();
    for _ in 0..400 {
        // On the cardioid c = μ/2 − μ²/4 and on the circle around −1, moved by a little in any direction.
        let turn = random.between(0.0, std::f64::consts::TAU);
        let reach = libm::exp(random.between(-38.0, -2.0));
        let (sin, cos) = (libm::sin(turn), libm::cos(turn));
        let (sin_twice, cos_twice) = (libm::sin(2.0 * turn), libm::cos(2.0 * turn));
        let (dx, dy) = (random.between(-reach, reach), random.between(-reach, reach));
        points.push((cos / 2.0 - cos_twice / 4.0 + dx, sin / 2.0 - sin_twice / 4.0 + dy));
        points.push((-1.0 + cos / 4.0 + dx, sin / 4.0 + dy));
    }
    for (cx, cy) in points {
        assert_eq!(count_everywhere(cx, cy, 20_000), escape(cx, cy, 20_000), "{cx:?} {cy:?}");
    }
}

#[test]
fn cycles_are_found_and_only_where_there_are_any() {
    // Outside of the closed forms: the bulb of period 3, a minibrot of the antenna, and the misty rim of the seahorses.
    for (center, half_width) in [((-0.1225, 0.7449), 0.12), ((-1.7549, 0.0), 0.03), ((-0.748, 0.1), 1.4e-3)] {
        for iterations in [1, 15, 16, 17, 31, 32, 33, 999, 5000] {
            agree(&View { center, half_width, size: (67, 33), iterations });
        }
    }
    let bulb = View { center: (-0.1225, 0.7449), half_width: 0.01, size: (64, 64), iterations: 1_000_000_000 };
    for path in Path::available() {
        assert!(whole(path, &bulb).counts.iter().all(|&count| count == 0));
    }
}

#[test]
fn smooth_counts_go_on_where_integer_counts_jump() {
    let mut last = smooth(-0.8, 0.8, 1000);
    for k in 1..10_000 {
        let here = smooth(-0.8 + f64::from(k) * 1e-5, 0.8, 1000);
        assert!((here - last).abs() < 2e-3, "a jump from {last} to {here} at {k}");
        last = here;
    }
    // 1 + log₂ of what |c| lacks of 256: far away the count is small but never that of the inside.
    assert!(smooth(1e6, 1e6, 1000) > 0.0);
}

#[test]
fn smooth_counts_follow_their_definition() {
    for (cx, cy) in [(0.5, 0.5), (-0.8, 0.8), (-0.7453, 0.1127), (0.3, 0.0), (-1.9, 0.3), (300.0, 40.0)] {
        let (mut x, mut y, mut n) = (cx, cy, 1.0);
        while f64::hypot(x, y) <= 256.0 {
            (x, y) = (x * x - y * y + cx, 2.0 * x * y + cy);
            n += 1.0;
        }
        let expected = n + 1.0 - f64::log2(f64::hypot(x, y).ln() / 256.0_f64.ln());
        let shown = f64::from(smooth(cx, cy, 10_000));
        assert!((shown - expected).abs() < 1e-5 * expected, "{shown} instead of {expected}");
    }
}

#[test]
fn a_cancelled_tile_comes_to_an_end() {
    // Points that neither escape nor come back in any time that a test would wait.
    let view = View { center: (0.25, 0.0), half_width: 1e-9, size: (64, 64), iterations: 1_000_000_000 };
    for path in Path::available() {
        let asked = std::cell::Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        assert_eq!(render_with(path, &view, view.whole(), Detail::Counts, &cancelled), None);
    }
}

#[test]
fn tiles_that_are_not_part_of_the_view_are_refused() {
    let view = home((64, 48));
    for tile in [
        Tile { x: 0, y: 0, width: 0, height: 1 },
        Tile { x: 63, y: 0, width: 2, height: 1 },
        Tile { x: 0, y: u32::MAX, width: 1, height: 2 },
    ] {
        assert_eq!(render(&view, tile, &|| false), None);
    }
    let invalid = View { iterations: u32::MAX, ..view.clone() };
    assert_eq!(render(&invalid, view.whole(), &|| false), None);
}

/// The count of one point as each path and shortcut sees it, which must be the same.
fn count_everywhere(cx: f64, cy: f64, iterations: u32) -> u32 {
    let view = View { center: (cx, cy), half_width: 1.0, size: (1, 1), iterations };
    let expected = escape(cx, cy, iterations);
    for path in Path::available() {
        for shortcuts in [Shortcuts::ALL, Shortcuts::NONE] {
            let rendered = render_by(path, &view, view.whole(), Detail::Counts, shortcuts, &|| false).unwrap();
            assert_eq!(rendered.counts, [expected], "{path:?} {shortcuts:?} at {cx:?} {cy:?}");
        }
    }
    expected
}

/// Compares all paths with the plain loop and says on how many points.
fn agree(view: &View) -> usize {
    let Tile { width, height, .. } = view.whole();
    let points = (0..height).flat_map(|j| (0..width).map(move |i| (i, j))).map(|(i, j)| (view.re(i), view.im(j)));
    let (counts, plain): (Vec<u32>, Vec<f32>) =
        points.map(|(cx, cy)| (escape(cx, cy, view.iterations), smooth(cx, cy, view.iterations))).unzip();
    for path in Path::available() {
        let rendered = whole(path, view);
        assert_eq!(rendered.counts, counts, "{path:?} {view}");
        assert_eq!(bits(&rendered.smooth), bits(&plain), "{path:?} {view}");
    }
    counts.len()
}

fn home(size: (u32, u32)) -> View {
    View { center: (-0.75, 0.0), half_width: 1.5, size, iterations: 1000 }
}

fn whole(path: Path, view: &View) -> Rendered {
    render_with(path, view, view.whole(), Detail::Smooth, &|| false).unwrap()
}

fn counts_of(path: Path, view: &View, edge: u32) -> Vec<u32> {
    let mut counts = vec![0; view.pixels() as usize];
    for tile in view.tiles(edge) {
        let rendered = render_with(path, view, tile, Detail::Counts, &|| false).unwrap();
        assert!(rendered.smooth.is_empty());
        for (row, line) in rendered.counts.chunks(tile.width as usize).enumerate() {
            let start = (tile.y as usize + row) * view.size.0 as usize + tile.x as usize;
            counts[start..start + line.len()].copy_from_slice(line);
        }
    }
    counts
}

fn bits(smooth: &[f32]) -> Vec<u32> {
    smooth.iter().map(|value| value.to_bits()).collect()
}

/// Sebastiano Vigna's splitmix64: the same points in every run and on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
