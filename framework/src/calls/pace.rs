//! What something takes, as measured: calls to a node, guards of a mutex, operations on a variable.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A smoothed duration.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Zero while nothing is known.
    nanos: AtomicU64,
}

impl Pace {
    /// Notes what it took. Concurrent notes may overwrite each other, which an average survives.
    pub(crate) fn note(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
        let before = self.nanos.load(Ordering::Relaxed);
        let after = if before == 0 { nanos } else { before - before / 8 + nanos / 8 };
        self.nanos.store(after.max(1), Ordering::Relaxed);
    }

    pub(crate) fn typical(&self) -> Option<Duration> {
        match self.nanos.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}
