//! Ways that are full.

use std::time::{Duration, Instant};

use super::cohort::Cohort;

const KILOBITS: u32 = 2_000;
const LEASE_MS: u64 = 1000;
/// Far more than the kernel and the way take at once.
const TEXT_BYTES: usize = 16 << 20;
/// Long enough for every buffer on the way to be full, and for many leases to be lost in it.
const LASTS: Duration = Duration::from_secs(12);

/// Whoever looks for longer says so: `GUTHI_CHAOS_SECONDS=60`.
fn lasts() -> Duration {
    let seconds = std::env::var("GUTHI_CHAOS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(LASTS, Duration::from_secs)
}

/// An echo does not wait for the large payload that left before it.
#[test]
fn a_slow_way_that_is_full_makes_nobody_suspect_anybody() {
    let Some(cohort) = Cohort::in_lab(3) else { return };
    let lab = cohort.lab();
    lab.slow(0, KILOBITS);
    let (began, before) = (Instant::now(), lab.sent(0));
    cohort.workers()[0].feed(TEXT_BYTES);
    cohort.pass(began + lasts());
    let sent = lab.sent(0) - before;
    let echo = cohort.workers()[0].slowest_echo();
    let share = sent as f64 * 8.0 / 1000.0 / f64::from(KILOBITS) / began.elapsed().as_secs_f64();
    let seconds = began.elapsed().as_secs();
    println!("{} MiB in {seconds} s through {KILOBITS} kbit/s: {share:.2} of it; echoes took {echo} ms", sent >> 20);
    assert!(share > 0.7, "the way was not full, so this has shown nothing");
    assert!(echo < LEASE_MS / 2, "if one more is lost, the lease is");
    for number in cohort.all() {
        for word in ["suspected", "failed", "isolated", "excluded"] {
            assert_eq!(cohort.count(number, word, began), 0, "{number} was told {word}");
        }
    }
    assert!(cohort.is_one());
}
