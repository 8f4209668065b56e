//! Where a node's time and chance come from.

use std::time::Duration;

use guthi_core::protocol::time::Time;
use tokio::time::Instant;

/// The clock of one node: monotonic, and paused where its runtime's clock is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    pub(crate) fn now(self) -> Time {
        Time::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// That moment as the runtime names it.
    pub(crate) fn instant(self, at: Time) -> Instant {
        self.began + Duration::from_nanos(at.as_nanos())
    }
}

/// The seed of all chance in a node's protocols.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without entropy the jitter of all nodes is the same, which costs a few collisions.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
