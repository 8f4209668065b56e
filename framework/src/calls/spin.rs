//! Waiting a moment without giving up the thread.
//!
//! Where cores are idle, waking a thread that sleeps costs more than a whole call to a node nearby.
//! So a lone caller whose calls have been short looks a few times whether the answer is there before it sleeps.
//! It yields between two looks: where cores are scarce, the threads run that the answer depends on.
//! Where others compete for the cores, a yield comes back late; then the lane leaves it for a while, each time for longer.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// No wait is longer: for a call, and for what goes through several nodes.
const CALL_WAIT_MAX: Duration = Duration::from_micros(100);
const LONG_WAIT_MAX: Duration = Duration::from_micros(250);
/// A yield that takes longer went to somebody else's work.
const YIELD_MAX: Duration = Duration::from_micros(200);
const REST_CALLS_MIN: u32 = 64;
const REST_CALLS_MAX: u32 = 64 * 1024;

/// Whether, and how long, the callers of a lane, or the writers of a variable, spin.
#[derive(Debug)]
pub(crate) struct Spin {
    /// What usually takes longer than half as long again is slept through.
    wait_max: Duration,
    /// Calls to let pass without spinning.
    resting: AtomicU32,
    /// How many they were the last time.
    rest: AtomicU32,
}

impl Default for Spin {
    fn default() -> Self {
        Self { wait_max: CALL_WAIT_MAX, resting: AtomicU32::new(0), rest: AtomicU32::new(0) }
    }
}

impl Spin {
    /// For what needs several nodes, one after the other. A core that falls asleep meanwhile takes as long to come back as two
    /// of them take.
    pub(crate) fn long() -> Self {
        Self { wait_max: LONG_WAIT_MAX, ..Self::default() }
    }

    /// Waits until `done`, for a moment at most; returns at once where that would not pay.
    pub(crate) fn wait(&self, typical: Option<Duration>, done: impl Fn() -> bool) {
        if typical.is_none_or(|typical| typical > self.wait_max * 3 / 2) {
            return;
        }
        // Callers who race here may let one call more or less pass.
        let resting = self.resting.load(Ordering::Relaxed);
        if resting > 0 {
            return self.resting.store(resting - 1, Ordering::Relaxed);
        }
        let mut now = Instant::now();
        let end = now + self.wait_max;
        while !done() && now < end {
            thread::yield_now();
            let after = Instant::now();
            if after - now > YIELD_MAX {
                return self.back_off();
            }
            now = after;
        }
        self.rest.store(0, Ordering::Relaxed);
    }

    fn back_off(&self) {
        let rest = (self.rest.load(Ordering::Relaxed) * 2).clamp(REST_CALLS_MIN, REST_CALLS_MAX);
        self.rest.store(rest, Ordering::Relaxed);
        self.resting.store(rest, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_micros(20));

    #[test]
    fn long_and_unknown_calls_are_slept_through() {
        let looked = Cell::new(0);
        let look = || {
            looked.set(looked.get() + 1);
            true
        };
        Spin::default().wait(None, look);
        Spin::default().wait(Some(Duration::from_millis(1)), look);
        assert_eq!(looked.get(), 0);
        Spin::default().wait(SHORT, look);
        assert_eq!(looked.get(), 1);
        let long = Some(Duration::from_micros(300));
        Spin::default().wait(long, look);
        assert_eq!(looked.get(), 1);
        Spin::long().wait(long, look);
        assert_eq!(looked.get(), 2);
    }

    #[test]
    fn each_late_yield_makes_the_rest_longer_until_one_is_in_time() {
        let spin = Spin::default();
        for expected in [REST_CALLS_MIN, 2 * REST_CALLS_MIN, 4 * REST_CALLS_MIN] {
            spin.back_off();
            assert_eq!(spin.resting.load(Ordering::Relaxed), expected);
            for _ in 0..expected {
                spin.wait(SHORT, || unreachable!("it rests"));
            }
            assert_eq!(spin.resting.load(Ordering::Relaxed), 0);
        }
        spin.wait(SHORT, || true);
        spin.back_off();
        assert_eq!(spin.resting.load(Ordering::Relaxed), REST_CALLS_MIN);
    }
}
