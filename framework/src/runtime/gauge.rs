//! How busy the machine of a node is, as echoes tell its peers.

use std::time::Duration;

use guthi_core::protocol::detector::Load;
use tokio::time::Instant;

use super::machine::Machine;

/// It is looked at so often, when somebody asks for it.
const PAUSE: Duration = Duration::from_secs(2);
const UNKNOWN: u8 = u8::MAX;

/// What tells how busy the machine is.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// Nothing where the machine is none of the node's business.
    machine: Option<Machine>,
    looked: Option<Instant>,
    cpu: u8,
    memory: u8,
}

impl Gauge {
    pub(crate) fn of_machine() -> Self {
        // Where the system says nothing, nothing is told.
        Self { machine: Machine::new(), ..Self::blind() }
    }

    /// One that knows nothing of any machine.
    pub(crate) const fn blind() -> Self {
        Self { machine: None, looked: None, cpu: UNKNOWN, memory: UNKNOWN }
    }

    /// What the machine does now, or did a moment ago, with so many calls.
    pub(crate) fn read(&mut self, calls: usize) -> Load {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= PAUSE)
            && let Some(machine) = &mut self.machine
        {
            self.looked = Some(now);
            let look = machine.look();
            self.cpu = look.cpu.map_or(UNKNOWN, percent);
            self.memory = percent(100.0 - 100.0 * look.available as f32 / look.installed.max(1) as f32);
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
