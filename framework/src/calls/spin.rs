//! Waiting a moment without going to sleep.
//!
//! Where cores are idle, waking a thread that sleeps costs more than a whole call to a node nearby.
//! So whoever waits for what usually comes soon looks a few times whether it is there before it sleeps.
//! Between two looks all others go first: the tasks of the same thread, of which each may have something to send, and then the
//! threads of the same core, on which the answer may depend.
//! Where others compete for the cores, a look comes late; and what takes longer than it did is not there after the last one.
//! Then it is left for a while, each time for longer.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// No wait is longer: for a call, and for what goes through several nodes.
const CALL_WAIT_MAX: Duration = Duration::from_micros(250);
const LONG_WAIT_MAX: Duration = Duration::from_micros(500);
/// When the next look comes later than this, the time went to somebody else's work.
const LATE: Duration = Duration::from_micros(200);
const REST_MIN: u32 = 64;
const REST_MAX: u32 = 64 * 1024;

/// Whether those look who wait for the answers of one lane, for one mutex or one variable.
#[derive(Debug)]
pub(crate) struct Spin {
    /// Nobody does where time is not the machine's: what happens there must not depend on it.
    allowed: bool,
    /// What usually takes half as long again is slept through: that was measured with the wake-up that a look spares.
    wait_max: Duration,
    /// Somebody looks. Others who come meanwhile sleep: who is not alone has no wake-up of its own to spare.
    looking: AtomicBool,
    /// How many are to sleep before one looks again.
    resting: AtomicU32,
    /// How many they were the last time.
    rest: AtomicU32,
    /// Who looked last found nothing.
    vain: AtomicBool,
}

impl Spin {
    pub(crate) fn new(allowed: bool) -> Self {
        let (looking, vain) = (AtomicBool::new(false), AtomicBool::new(false));
        let (resting, rest) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { allowed, wait_max: CALL_WAIT_MAX, looking, resting, rest, vain }
    }

    /// For what needs several nodes, one after the other. A core that falls asleep meanwhile takes as long to come back as two
    /// of them take.
    pub(crate) fn long(allowed: bool) -> Self {
        Self { wait_max: LONG_WAIT_MAX, ..Self::new(allowed) }
    }

    /// Waits until `done`, for a moment at most; returns at once where that would not pay.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn wait(&self, typical: Option<Duration>, done: impl Fn() -> bool) {
        if !self.allowed || typical.is_none_or(|typical| typical > self.wait_max * 3 / 2) {
            return;
        }
        // Callers who race here may let one more or one less pass.
        let resting = self.resting.load(Ordering::Relaxed);
        if resting > 0 {
            return self.resting.store(resting - 1, Ordering::Relaxed);
        }
        if self.looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let _looking = Looking(&self.looking);
        let mut now = Instant::now();
        let end = now + self.wait_max;
        while !done() {
            if now >= end {
                return self.in_vain();
            }
            tokio::task::yield_now().await;
            thread::yield_now();
            let after = Instant::now();
            if after - now > LATE {
                return self.back_off();
            }
            now = after;
        }
        self.vain.store(false, Ordering::Relaxed);
        self.rest.store(0, Ordering::Relaxed);
    }

    /// One answer that takes long says nothing of the next, two in a row do.
    fn in_vain(&self) {
        if self.vain.swap(true, Ordering::Relaxed) {
            self.back_off();
        }
    }

    fn back_off(&self) {
        let rest = (self.rest.load(Ordering::Relaxed) * 2).clamp(REST_MIN, REST_MAX);
        self.rest.store(rest, Ordering::Relaxed);
        self.resting.store(rest, Ordering::Relaxed);
    }
}

/// Whoever looks, until it does no more.
struct Looking<'a>(&'a AtomicBool);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::{FutureExt, future::join_all};

    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_micros(20));

    #[tokio::test]
    async fn what_takes_long_or_is_not_known_is_slept_through() {
        let looked = Cell::new(0);
        let look = || {
            looked.set(looked.get() + 1);
            true
        };
        Spin::new(true).wait(None, look).await;
        Spin::new(true).wait(Some(Duration::from_millis(1)), look).await;
        Spin::new(false).wait(SHORT, look).await;
        let long = Some(Duration::from_micros(600));
        Spin::new(true).wait(long, look).await;
        assert_eq!(looked.get(), 0);
        Spin::new(true).wait(SHORT, look).await;
        Spin::long(true).wait(long, look).await;
        assert_eq!(looked.get(), 2);
    }

    #[tokio::test]
    async fn each_late_look_makes_the_rest_longer_until_one_is_in_time() {
        let spin = Spin::new(true);
        for expected in [REST_MIN, 2 * REST_MIN, 4 * REST_MIN] {
            spin.back_off();
            assert_eq!(spin.resting.load(Ordering::Relaxed), expected);
            for _ in 0..expected {
                spin.wait(SHORT, || unreachable!("it rests")).await;
            }
            assert_eq!(spin.resting.load(Ordering::Relaxed), 0);
        }
        spin.wait(SHORT, || true).await;
        spin.back_off();
        assert_eq!(spin.resting.load(Ordering::Relaxed), REST_MIN);
    }

    #[tokio::test]
    async fn two_looks_in_vain_in_a_row_are_enough() {
        let spin = Spin::new(true);
        let rests = || spin.resting.load(Ordering::Relaxed) > 0;
        // Late ones, on a busy machine, make it rest at once.
        spin.in_vain();
        assert!(!rests());
        spin.wait(SHORT, || true).await;
        spin.in_vain();
        assert!(!rests(), "one was in time between them");
        spin.wait(SHORT, || false).await;
        assert!(rests());
    }

    #[tokio::test]
    async fn one_looks_at_a_time_until_it_gives_up() {
        let spin = Spin::new(true);
        let mut first = Box::pin(spin.wait(SHORT, || false));
        assert!(first.as_mut().now_or_never().is_none());
        spin.wait(SHORT, || unreachable!("somebody looks")).await;
        drop(first);
        let looked = Cell::new(false);
        spin.wait(SHORT, || looked.replace(true)).await;
        assert!(looked.get());
    }

    /// Whoever waits lets those go first whose answers come together with its own.
    #[tokio::test]
    async fn what_others_of_the_thread_want_is_sent_meanwhile() {
        let (spins, sent) = ([Spin::new(true), Spin::new(true), Spin::new(true)], Cell::new(0));
        let all = spins.iter().map(|spin| async {
            sent.set(sent.get() + 1);
            spin.wait(SHORT, || sent.get() == 3).await;
        });
        join_all(all).await;
        // The first would have waited for the others, and they for it.
        let in_vain = |spin: &Spin| spin.vain.load(Ordering::Relaxed);
        assert!(!spins.iter().any(in_vain));
    }
}
