//! What a node tells of its machine and its process to those who ask. Nothing is looked at unless somebody asks.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::Instant;

use super::machine::{Look, Machine};
use crate::{Resources, VERSION};

/// Within this time nobody looks twice: all who watch a node see the same.
const LOOK_MIN: Duration = Duration::from_millis(500);

/// What looks when somebody asks.
#[derive(Clone, Debug)]
pub(crate) struct Monitor(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    started: Instant,
    sees_machine: bool,
    eyes: Option<Eyes>,
    last: Option<(Instant, Resources)>,
}

#[derive(Debug)]
struct Eyes {
    machine: Machine,
    system: System,
    os: String,
}

impl Monitor {
    pub(crate) fn of_machine() -> Self {
        Self::new(true)
    }

    /// One that knows nothing of any machine.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn blind() -> Self {
        Self::new(false)
    }

    fn new(sees_machine: bool) -> Self {
        Self(Arc::new(Mutex::new(State { started: Instant::now(), sees_machine, eyes: None, last: None })))
    }

    /// What is seen now, or was a moment ago, with so many calls.
    pub(crate) fn look(&self, calls: usize) -> Resources {
        self.0.lock().look(u32::try_from(calls).unwrap_or(u32::MAX))
    }
}

impl State {
    fn look(&mut self, calls: u32) -> Resources {
        let now = Instant::now();
        let uptime = now - self.started;
        if let Some((at, last)) = &self.last
            && now - *at < LOOK_MIN
        {
            return Resources { calls, uptime, ..last.clone() };
        }
        if self.eyes.is_none() && self.sees_machine {
            self.eyes = Eyes::open();
        }
        let resources = Resources { calls, uptime, ..self.eyes.as_mut().map_or_else(unseen, Eyes::look) };
        self.last = Some((now, resources.clone()));
        resources
    }
}

impl Eyes {
    fn open() -> Option<Self> {
        let os = System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into());
        Some(Self { machine: Machine::new()?, system: System::new().ok()?, os })
    }

    fn look(&mut self) -> Resources {
        let me = Pid::from_u32(std::process::id());
        let known = self.system.process(me).is_some();
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, kind);
        let process = self.system.process(me);
        let Look { cores, cpu, installed, available } = self.machine.look();
        Resources {
            cores,
            cpu,
            memory_installed: installed,
            memory_available: available,
            process_cpu: process.filter(|_| known).map(sysinfo::Process::cpu_usage),
            process_memory: process.map_or(0, sysinfo::Process::memory),
            os: self.os.clone(),
            ..unseen()
        }
    }
}

/// What is known without looking.
fn unseen() -> Resources {
    Resources {
        cores: 0.0,
        cpu: None,
        memory_installed: 0,
        memory_available: 0,
        process_cpu: None,
        process_memory: 0,
        calls: 0,
        uptime: Duration::ZERO,
        version: VERSION.into(),
        os: std::env::consts::OS.into(),
        pid: std::process::id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_looked_at_twice_in_a_moment() {
        let monitor = Monitor::of_machine();
        let first = monitor.look(1);
        assert!(first.memory_installed > first.memory_available, "{first:?}");
        assert!(first.process_memory > 0);
        let second = monitor.look(2);
        assert_eq!((second.calls, second.cpu), (2, None), "a look so soon would measure nothing");
        assert!((0.0..=100.0).contains(&first.memory_load()));
    }

    #[test]
    fn in_a_test_the_machine_is_none_of_its_business() {
        let resources = Monitor::blind().look(0);
        assert_eq!((resources.memory_installed, resources.cpu), (0, None));
        assert_eq!(resources.memory_load(), 0.0);
    }
}
