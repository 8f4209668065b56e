//! Where a node's time and chance come from.

use std::time::Duration;

use guthi_core::protocol::time::Time;
use tokio::time::Instant;

/// The clock of one node; it never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Of the runtime, which may be paused.
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "tests live by it, and other systems"))]
    Runtime { began: Instant },
    /// Of the machine. It goes on while that sleeps: leases that others gave before run out in the meantime.
    #[cfg(target_os = "linux")]
    Machine { began: Duration },
}

impl Clock {
    /// A clock of the runtime that begins now.
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "tests live by it, and other systems"))]
    pub(crate) fn of_runtime() -> Self {
        Self::Runtime { began: Instant::now() }
    }

    /// The clock outside that begins now.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_machine() -> Self {
        Self::Machine { began: since_boot() }
    }

    /// The clock outside that begins now.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of_machine() -> Self {
        Self::of_runtime()
    }

    /// The same clock, beginning anew.
    pub(crate) fn begin_anew(self) -> Self {
        match self {
            Self::Runtime { .. } => Self::of_runtime(),
            #[cfg(target_os = "linux")]
            Self::Machine { .. } => Self::of_machine(),
        }
    }

    pub(crate) fn now(self) -> Time {
        let passed = match self {
            Self::Runtime { began } => began.elapsed(),
            #[cfg(target_os = "linux")]
            Self::Machine { began } => since_boot().saturating_sub(began),
        };
        Time::from_nanos(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// That moment as the runtime names it, if the machine does not sleep until then.
    pub(crate) fn instant(self, at: Time) -> Instant {
        match self {
            Self::Runtime { began } => began + Duration::from_nanos(at.as_nanos()),
            #[cfg(target_os = "linux")]
            Self::Machine { .. } => Instant::now() + at.saturating_since(self.now()),
        }
    }
}

/// How long ago the machine was started, whether it slept since or not.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The seed of all chance in a node's protocols.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without entropy the jitter of all nodes is the same, which costs a few collisions.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
