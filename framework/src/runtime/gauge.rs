//! How busy the machine of a node is.

use std::time::Duration;

use guthi_core::protocol::detector::Load;
use sysinfo::System;
use tokio::time::Instant;

/// It is looked at so often, when somebody asks for it.
const PAUSE: Duration = Duration::from_secs(2);
const UNKNOWN: u8 = u8::MAX;

/// What tells how busy the machine is.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// Nothing where the machine is none of the node's business.
    system: Option<System>,
    looked: Option<Instant>,
    cpu: u8,
    memory: u8,
}

impl Gauge {
    pub(crate) fn of_machine() -> Self {
        // Where the system says nothing, nothing is told.
        Self { system: System::new().ok(), ..Self::blind() }
    }

    /// One that knows nothing of any machine.
    pub(crate) const fn blind() -> Self {
        Self { system: None, looked: None, cpu: UNKNOWN, memory: UNKNOWN }
    }

    /// What the machine does now, or did a moment ago, with so many calls.
    pub(crate) fn read(&mut self, calls: usize) -> Load {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= PAUSE)
            && let Some(system) = &mut self.system
        {
            system.refresh_cpu_usage();
            system.refresh_memory();
            // The first look has nothing to compare with.
            let known = self.looked.replace(now).is_some();
            self.cpu = if known { percent(system.global_cpu_usage()) } else { UNKNOWN };
            let used = system.used_memory() as f32 / system.total_memory().max(1) as f32;
            self.memory = percent(used * 100.0);
        }
        Load { cpu: self.cpu, memory: self.memory, calls: u32::try_from(calls).unwrap_or(u32::MAX) }
    }
}

fn percent(share: f32) -> u8 {
    // Saturating, and zero for what is no number.
    share.clamp(0.0, 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_somewhere_between_idle_and_busy() {
        let mut gauge = Gauge::of_machine();
        let first = gauge.read(3);
        assert_eq!((first.cpu, first.calls), (UNKNOWN, 3));
        assert!((1..=100).contains(&first.memory), "{first:?}");
        assert_eq!(Gauge::blind().read(1), Load { cpu: UNKNOWN, memory: UNKNOWN, calls: 1 });
    }
}
