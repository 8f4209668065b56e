//! The inner loops, once for each instruction set, and the choice between them at run time.
//!
//! This is the only file of the crate with unsafe code: calls of functions that need an instruction set, and loads and
//! stores of whole vectors.
//! All paths do the same operations in the same order on each lane; they differ only in how many lanes an instruction
//! takes.
//! Doubling is `x + x`, which is the same number as `2·x`.

use std::hint::black_box;

use super::{ESCAPE, LANES, STRIDE};

/// An instruction set that the kernel has been written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// One point after the other, the reference for all others.
    Scalar,
    /// The vectors that every processor of this architecture has: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// Four doubles at once, on x86-64 processors since 2013.
    Avx2,
    /// Eight doubles at once, on x86-64 servers and some desktops.
    Avx512,
}

impl Path {
    /// The fastest path of this machine.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Baseline)
    }

    /// All paths of this machine, the slowest first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|path| path.is_available()).collect()
    }

    /// Whether this machine can take the path.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar | Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The name in tables, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The inner loops of the path; of the baseline when this machine lacks it.
    pub(crate) fn strides(self) -> Strides {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: each function is reached only behind the test for the instruction set that it needs.
            Self::Avx2 if self.is_available() => Strides {
                stride: |points, before, after| unsafe { avx2::stride::<false>(points, before, after, before) },
                stride_and_compare: |points, before, after, saved| unsafe {
                    avx2::stride::<true>(points, before, after, saved)
                },
                replay: |points, orbits, steps, limit| unsafe { avx2::replay(points, orbits, steps, limit) },
                arithmetic: |c, steps| unsafe { avx2::arithmetic(c, steps) },
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 if self.is_available() => Strides {
                stride: |points, before, after| unsafe { avx512::stride::<false>(points, before, after, before) },
                stride_and_compare: |points, before, after, saved| unsafe {
                    avx512::stride::<true>(points, before, after, saved)
                },
                replay: |points, orbits, steps, limit| unsafe { avx512::replay(points, orbits, steps, limit) },
                arithmetic: |c, steps| unsafe { avx512::arithmetic(c, steps) },
            },
            Self::Scalar | Self::Baseline | Self::Avx2 | Self::Avx512 => Strides {
                stride: |points, before, after| baseline::stride::<false>(points, before, after, before),
                stride_and_compare: baseline::stride::<true>,
                replay: baseline::replay,
                arithmetic: baseline::arithmetic,
            },
        }
    }

    const ALL: [Self; 4] = [Self::Scalar, Self::Baseline, Self::Avx2, Self::Avx512];
}

/// The inner loops of one path.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    /// Takes [`STRIDE`] steps without a test and says which lanes have escaped before the last of them.
    pub(super) stride: fn(&Points, &Orbits, &mut Orbits) -> Stopped,
    /// The same, and says which lanes have returned to their saved place.
    pub(super) stride_and_compare: fn(&Points, &Orbits, &mut Orbits, &Orbits) -> Stopped,
    /// Takes up to `steps` steps with a test of |z|² against `limit` before each.
    ///
    /// A lane beyond the limit stays where it is; the answer is the number of steps that each lane has taken.
    pub(super) replay: fn(points: &Points, orbits: &mut Orbits, steps: u32, limit: f64) -> [u32; LANES],
    /// Takes `steps` steps from c without leaving the registers, on as many points as hide the latency of a step, and
    /// answers how many iterations that were: the ceiling that strides are compared with.
    pub(crate) arithmetic: fn(c: (f64, f64), steps: u32) -> u64,
}

/// The constants c of all lanes.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub(super) struct Points {
    pub(super) cx: [f64; LANES],
    pub(super) cy: [f64; LANES],
}

/// The orbits z of all lanes.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub(super) struct Orbits {
    pub(super) x: [f64; LANES],
    pub(super) y: [f64; LANES],
}

impl Points {
    pub(super) const ORIGIN: Self = Self { cx: [0.0; LANES], cy: [0.0; LANES] };
}

impl Orbits {
    pub(super) const ORIGIN: Self = Self { x: [0.0; LANES], y: [0.0; LANES] };
}

/// One bit per lane: what a stride has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopped {
    /// |z| has been above 2.
    pub(super) escaped: u64,
    /// z equals its saved place; 0 when it was not compared.
    pub(super) cyclic: u64,
}

/// Plain arrays of eight, which the compiler turns into the vectors that every machine of the architecture has.
mod baseline {
    use super::*;

    const WIDTH: usize = 8;
    const _: () = assert!(LANES.is_multiple_of(WIDTH));

    pub(super) fn stride<const COMPARE: bool>(
        points: &Points,
        before: &Orbits,
        after: &mut Orbits,
        saved: &Orbits,
    ) -> Stopped {
        let mut stopped = Stopped::default();
        for start in (0..LANES).step_by(WIDTH) {
            let (cx, cy) = (part(&points.cx, start), part(&points.cy, start));
            let (mut x, mut y) = (part(&before.x, start), part(&before.y, start));
            let mut square = [0.0; WIDTH];
            for _ in 0..STRIDE {
                for k in 0..WIDTH {
                    let (xx, yy) = (x[k] * x[k], y[k] * y[k]);
                    square[k] = xx + yy;
                    let double = x[k] + x[k];
                    x[k] = (xx - yy) + cx[k];
                    y[k] = double * y[k] + cy[k];
                }
            }
            let (sx, sy) = (part(&saved.x, start), part(&saved.y, start));
            for k in 0..WIDTH {
                // A NaN has escaped too, so the question is not `>`.
                let within = square[k] <= ESCAPE;
                stopped.escaped |= u64::from(!within) << (start + k);
                if COMPARE {
                    stopped.cyclic |= u64::from((x[k] == sx[k]) & (y[k] == sy[k])) << (start + k);
                }
            }
            after.x[start..start + WIDTH].copy_from_slice(&x);
            after.y[start..start + WIDTH].copy_from_slice(&y);
        }
        stopped
    }

    pub(super) fn replay(points: &Points, orbits: &mut Orbits, steps: u32, limit: f64) -> [u32; LANES] {
        let mut taken = [0; LANES];
        for start in (0..LANES).step_by(WIDTH) {
            let (cx, cy) = (part(&points.cx, start), part(&points.cy, start));
            let (mut x, mut y) = (part(&orbits.x, start), part(&orbits.y, start));
            let mut count = [0_u64; WIDTH];
            for _ in 0..steps {
                let mut any = 0;
                for k in 0..WIDTH {
                    let (xx, yy) = (x[k] * x[k], y[k] * y[k]);
                    // All ones while the lane has not escaped: a choice without a branch.
                    let going = if xx + yy <= limit { u64::MAX } else { 0 };
                    any |= going;
                    count[k] = count[k].wrapping_sub(going);
                    let double = x[k] + x[k];
                    let (next_x, next_y) = ((xx - yy) + cx[k], double * y[k] + cy[k]);
                    x[k] = chosen(going, next_x, x[k]);
                    y[k] = chosen(going, next_y, y[k]);
                }
                if any == 0 {
                    break;
                }
            }
            orbits.x[start..start + WIDTH].copy_from_slice(&x);
            orbits.y[start..start + WIDTH].copy_from_slice(&y);
            for k in 0..WIDTH {
                taken[start + k] = count[k] as u32;
            }
        }
        taken
    }

    pub(super) fn arithmetic((cx, cy): (f64, f64), steps: u32) -> u64 {
        const MANY: usize = 12;
        let (mut x, mut y) = (black_box([cx; MANY]), black_box([cy; MANY]));
        for _ in 0..steps {
            for k in 0..MANY {
                let (xx, yy) = (x[k] * x[k], y[k] * y[k]);
                let double = x[k] + x[k];
                x[k] = (xx - yy) + cx;
                y[k] = double * y[k] + cy;
            }
        }
        black_box((x, y));
        u64::from(steps) * MANY as u64
    }

    fn chosen(mask: u64, one: f64, other: f64) -> f64 {
        f64::from_bits((one.to_bits() & mask) | (other.to_bits() & !mask))
    }

    fn part(lanes: &[f64; LANES], start: usize) -> [f64; WIDTH] {
        let mut part = [0.0; WIDTH];
        part.copy_from_slice(&lanes[start..start + WIDTH]);
        part
    }
}

/// Two groups of four vectors of four doubles, as sixteen registers hold no more.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::*;
    use std::arch::x86_64::*;

    const WIDTH: usize = 4;
    const GROUP: usize = 4;
    const _: () = assert!(LANES.is_multiple_of(WIDTH * GROUP));

    #[target_feature(enable = "avx2")]
    pub(super) fn stride<const COMPARE: bool>(
        points: &Points,
        before: &Orbits,
        after: &mut Orbits,
        saved: &Orbits,
    ) -> Stopped {
        let mut stopped = Stopped::default();
        for start in (0..LANES).step_by(WIDTH * GROUP) {
            let (cx, cy) = (load(&points.cx, start), load(&points.cy, start));
            let (mut x, mut y) = (load(&before.x, start), load(&before.y, start));
            let mut square = [_mm256_setzero_pd(); GROUP];
            for _ in 1..STRIDE {
                for v in 0..GROUP {
                    let (xx, yy) = (_mm256_mul_pd(x[v], x[v]), _mm256_mul_pd(y[v], y[v]));
                    (x[v], y[v]) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
                }
            }
            for v in 0..GROUP {
                let (xx, yy) = (_mm256_mul_pd(x[v], x[v]), _mm256_mul_pd(y[v], y[v]));
                square[v] = _mm256_add_pd(xx, yy);
                (x[v], y[v]) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
            }
            store(&mut after.x, start, x);
            store(&mut after.y, start, y);
            for (v, square) in square.into_iter().enumerate() {
                let shift = start + v * WIDTH;
                let escaped = _mm256_cmp_pd::<_CMP_NLE_UQ>(square, _mm256_set1_pd(ESCAPE));
                stopped.escaped |= (_mm256_movemask_pd(escaped) as u64) << shift;
            }
            if COMPARE {
                let (sx, sy) = (load(&saved.x, start), load(&saved.y, start));
                for v in 0..GROUP {
                    let shift = start + v * WIDTH;
                    let same = _mm256_and_pd(
                        _mm256_cmp_pd::<_CMP_EQ_OQ>(x[v], sx[v]),
                        _mm256_cmp_pd::<_CMP_EQ_OQ>(y[v], sy[v]),
                    );
                    stopped.cyclic |= (_mm256_movemask_pd(same) as u64) << shift;
                }
            }
        }
        stopped
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn replay(points: &Points, orbits: &mut Orbits, steps: u32, limit: f64) -> [u32; LANES] {
        let mut taken = [0; LANES];
        for start in (0..LANES).step_by(WIDTH * GROUP) {
            let (cx, cy) = (load(&points.cx, start), load(&points.cy, start));
            let (mut x, mut y) = (load(&orbits.x, start), load(&orbits.y, start));
            let mut count = [_mm256_setzero_si256(); GROUP];
            for _ in 0..steps {
                let mut any = _mm256_setzero_pd();
                for v in 0..GROUP {
                    let (xx, yy) = (_mm256_mul_pd(x[v], x[v]), _mm256_mul_pd(y[v], y[v]));
                    let going = _mm256_cmp_pd::<_CMP_LE_OQ>(_mm256_add_pd(xx, yy), _mm256_set1_pd(limit));
                    any = _mm256_or_pd(any, going);
                    count[v] = _mm256_sub_epi64(count[v], _mm256_castpd_si256(going));
                    let (next_x, next_y) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
                    x[v] = _mm256_blendv_pd(x[v], next_x, going);
                    y[v] = _mm256_blendv_pd(y[v], next_y, going);
                }
                if _mm256_movemask_pd(any) == 0 {
                    break;
                }
            }
            store(&mut orbits.x, start, x);
            store(&mut orbits.y, start, y);
            for v in 0..GROUP {
                let mut wide = [0_u64; WIDTH];
                // SAFETY: the target is 32 bytes long and the store needs no alignment.
                unsafe { _mm256_storeu_si256(wide.as_mut_ptr().cast(), count[v]) };
                for k in 0..WIDTH {
                    taken[start + v * WIDTH + k] = wide[k] as u32;
                }
            }
        }
        taken
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn arithmetic((cx, cy): (f64, f64), steps: u32) -> u64 {
        const MANY: usize = 6;
        let (cx, cy) = (_mm256_set1_pd(cx), _mm256_set1_pd(cy));
        let (mut x, mut y) = (black_box([cx; MANY]), black_box([cy; MANY]));
        for _ in 0..steps {
            for v in 0..MANY {
                let (xx, yy) = (_mm256_mul_pd(x[v], x[v]), _mm256_mul_pd(y[v], y[v]));
                (x[v], y[v]) = step(x[v], y[v], xx, yy, cx, cy);
            }
        }
        black_box((x, y));
        u64::from(steps) * (MANY * WIDTH) as u64
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn step(x: __m256d, y: __m256d, xx: __m256d, yy: __m256d, cx: __m256d, cy: __m256d) -> (__m256d, __m256d) {
        let double = _mm256_add_pd(x, x);
        (_mm256_add_pd(_mm256_sub_pd(xx, yy), cx), _mm256_add_pd(_mm256_mul_pd(double, y), cy))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(lanes: &[f64; LANES], start: usize) -> [__m256d; GROUP] {
        let lanes = &lanes[start..start + WIDTH * GROUP];
        // SAFETY: the slice has WIDTH · GROUP doubles, and the loads need no alignment.
        std::array::from_fn(|v| unsafe { _mm256_loadu_pd(lanes.as_ptr().add(v * WIDTH)) })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(lanes: &mut [f64; LANES], start: usize, values: [__m256d; GROUP]) {
        let lanes = &mut lanes[start..start + WIDTH * GROUP];
        for (v, value) in values.into_iter().enumerate() {
            // SAFETY: the slice has WIDTH · GROUP doubles, and the stores need no alignment.
            unsafe { _mm256_storeu_pd(lanes.as_mut_ptr().add(v * WIDTH), value) };
        }
    }
}

/// Four vectors of eight doubles: enough to hide the latency of ten to twelve cycles of one step.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::*;
    use std::arch::x86_64::*;

    const WIDTH: usize = 8;
    const GROUP: usize = LANES / WIDTH;

    #[target_feature(enable = "avx512f")]
    pub(super) fn stride<const COMPARE: bool>(
        points: &Points,
        before: &Orbits,
        after: &mut Orbits,
        saved: &Orbits,
    ) -> Stopped {
        let mut stopped = Stopped::default();
        let (cx, cy) = (load(&points.cx), load(&points.cy));
        let (mut x, mut y) = (load(&before.x), load(&before.y));
        let mut square = [_mm512_setzero_pd(); GROUP];
        for _ in 1..STRIDE {
            for v in 0..GROUP {
                let (xx, yy) = (_mm512_mul_pd(x[v], x[v]), _mm512_mul_pd(y[v], y[v]));
                (x[v], y[v]) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
            }
        }
        for v in 0..GROUP {
            let (xx, yy) = (_mm512_mul_pd(x[v], x[v]), _mm512_mul_pd(y[v], y[v]));
            square[v] = _mm512_add_pd(xx, yy);
            (x[v], y[v]) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
        }
        store(&mut after.x, x);
        store(&mut after.y, y);
        for (v, square) in square.into_iter().enumerate() {
            let escaped = _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(square, _mm512_set1_pd(ESCAPE));
            stopped.escaped |= u64::from(escaped) << (v * WIDTH);
        }
        if COMPARE {
            let (sx, sy) = (load(&saved.x), load(&saved.y));
            for v in 0..GROUP {
                let same = _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(x[v], sx[v]);
                let same = _mm512_mask_cmp_pd_mask::<_CMP_EQ_OQ>(same, y[v], sy[v]);
                stopped.cyclic |= u64::from(same) << (v * WIDTH);
            }
        }
        stopped
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn replay(points: &Points, orbits: &mut Orbits, steps: u32, limit: f64) -> [u32; LANES] {
        let (cx, cy) = (load(&points.cx), load(&points.cy));
        let (mut x, mut y) = (load(&orbits.x), load(&orbits.y));
        let mut count = [_mm512_setzero_si512(); GROUP];
        let mut going = [u8::MAX; GROUP];
        for _ in 0..steps {
            for v in 0..GROUP {
                let (xx, yy) = (_mm512_mul_pd(x[v], x[v]), _mm512_mul_pd(y[v], y[v]));
                let square = _mm512_add_pd(xx, yy);
                going[v] = _mm512_mask_cmp_pd_mask::<_CMP_LE_OQ>(going[v], square, _mm512_set1_pd(limit));
                count[v] = _mm512_mask_add_epi64(count[v], going[v], count[v], _mm512_set1_epi64(1));
                let (next_x, next_y) = step(x[v], y[v], xx, yy, cx[v], cy[v]);
                x[v] = _mm512_mask_mov_pd(x[v], going[v], next_x);
                y[v] = _mm512_mask_mov_pd(y[v], going[v], next_y);
            }
            if going == [0; GROUP] {
                break;
            }
        }
        store(&mut orbits.x, x);
        store(&mut orbits.y, y);
        let mut taken = [0; LANES];
        for v in 0..GROUP {
            let narrow = _mm512_cvtepi64_epi32(count[v]);
            let part = &mut taken[v * WIDTH..(v + 1) * WIDTH];
            // SAFETY: the slice is 32 bytes long and the store needs no alignment.
            unsafe { _mm256_storeu_si256(part.as_mut_ptr().cast(), narrow) };
        }
        taken
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn arithmetic((cx, cy): (f64, f64), steps: u32) -> u64 {
        const MANY: usize = 6;
        let (cx, cy) = (_mm512_set1_pd(cx), _mm512_set1_pd(cy));
        let (mut x, mut y) = (black_box([cx; MANY]), black_box([cy; MANY]));
        for _ in 0..steps {
            for v in 0..MANY {
                let (xx, yy) = (_mm512_mul_pd(x[v], x[v]), _mm512_mul_pd(y[v], y[v]));
                (x[v], y[v]) = step(x[v], y[v], xx, yy, cx, cy);
            }
        }
        black_box((x, y));
        u64::from(steps) * (MANY * WIDTH) as u64
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn step(x: __m512d, y: __m512d, xx: __m512d, yy: __m512d, cx: __m512d, cy: __m512d) -> (__m512d, __m512d) {
        let double = _mm512_add_pd(x, x);
        (_mm512_add_pd(_mm512_sub_pd(xx, yy), cx), _mm512_add_pd(_mm512_mul_pd(double, y), cy))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(lanes: &[f64; LANES]) -> [__m512d; GROUP] {
        // SAFETY: the array has WIDTH · GROUP doubles, and the loads need no alignment.
        std::array::from_fn(|v| unsafe { _mm512_loadu_pd(lanes.as_ptr().add(v * WIDTH)) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(lanes: &mut [f64; LANES], values: [__m512d; GROUP]) {
        for (v, value) in values.into_iter().enumerate() {
            // SAFETY: the array has WIDTH · GROUP doubles, and the stores need no alignment.
            unsafe { _mm512_storeu_pd(lanes.as_mut_ptr().add(v * WIDTH), value) };
        }
    }
}
