//! What the machine of a node has and does, as far as the node may use it: within a container, the container.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sysinfo::System;
use tokio::time::Instant;

/// Where the kernel tells of control groups, version 2.
const GROUPS: &str = "/sys/fs/cgroup";

/// What tells of the machine. Each look compares with the one before.
#[derive(Debug)]
pub(crate) struct Machine {
    system: System,
    group: Group,
    looked: Option<Instant>,
    group_time: Duration,
}

/// One look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    /// Cores that may be used at once.
    pub(crate) cores: f32,
    /// Percent of them that were busy since the look before; nothing at the first.
    pub(crate) cpu: Option<f32>,
    /// Bytes that may be used at all.
    pub(crate) installed: u64,
    /// Bytes that may be used besides what is used.
    pub(crate) available: u64,
}

impl Machine {
    /// Nothing where the system does not say.
    pub(crate) fn new() -> Option<Self> {
        let (group, system) = (Group::of_process(Path::new(GROUPS)), System::new().ok()?);
        Some(Self { system, group, looked: None, group_time: Duration::ZERO })
    }

    pub(crate) fn look(&mut self) -> Look {
        let now = Instant::now();
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let before = self.looked.replace(now);
        let elapsed = before.map(|before| now - before);
        let machine = elapsed.map(|_| self.system.global_cpu_usage());
        let cores = self.system.cpus().len() as f32;
        let (cores, cpu) = match self.group.cores() {
            Some(share) if share < cores => (share, self.group_cpu(elapsed, share)),
            _ => (cores, machine),
        };
        let (installed, available) = (self.system.total_memory(), self.system.available_memory());
        let (installed, available) = match self.group.memory() {
            Some((limit, used)) if limit < installed => (limit, available.min(limit.saturating_sub(used))),
            _ => (installed, available),
        };
        Look { cores, cpu: cpu.map(|cpu| cpu.clamp(0.0, 100.0)), installed, available }
    }

    /// Of the group's own time, percent of what it may use.
    fn group_cpu(&mut self, elapsed: Option<Duration>, share: f32) -> Option<f32> {
        let time = self.group.time()?;
        let spent = time.saturating_sub(std::mem::replace(&mut self.group_time, time));
        Some(100.0 * spent.as_secs_f32() / (elapsed?.as_secs_f32() * share).max(f32::EPSILON))
    }
}

/// The control group of this process and those around it, the innermost first: each may limit it.
#[derive(Debug, Default)]
struct Group(Vec<PathBuf>);

impl Group {
    fn of_process(root: &Path) -> Self {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::named(root, text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/"))
    }

    fn named(root: &Path, name: &str) -> Self {
        let innermost = root.join(name.trim_start_matches('/'));
        Self(innermost.ancestors().take_while(|path| path.starts_with(root)).map(Path::to_path_buf).collect())
    }

    /// The tightest limit of processor time, in cores.
    fn cores(&self) -> Option<f32> {
        self.tightest_cores().map(|(cores, _)| cores)
    }

    fn tightest_cores(&self) -> Option<(f32, &PathBuf)> {
        let limits = self.0.iter().filter_map(|path| {
            let text = fs::read_to_string(path.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            let (quota, period): (f32, f32) = (quota.parse().ok()?, period.parse().ok()?);
            (quota > 0.0 && period > 0.0).then_some((quota / period, path))
        });
        limits.min_by(|(a, _), (b, _)| a.total_cmp(b))
    }

    /// The processor time that the limited group has used.
    fn time(&self) -> Option<Duration> {
        let (_, path) = self.tightest_cores()?;
        Some(Duration::from_micros(field(&path.join("cpu.stat"), "usage_usec")?))
    }

    /// The tightest limit of memory and what is used of it, in bytes; what the kernel can take back at once is not counted.
    fn memory(&self) -> Option<(u64, u64)> {
        let limits = self.0.iter().filter_map(|path| {
            let number = |name: &str| fs::read_to_string(path.join(name)).ok()?.trim().parse::<u64>().ok();
            let cache = field(&path.join("memory.stat"), "inactive_file").unwrap_or(0);
            Some((number("memory.max")?, number("memory.current")?.saturating_sub(cache)))
        });
        limits.min_by_key(|(limit, used)| limit.saturating_sub(*used))
    }
}

/// A line `name number` of a file.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_machine_has_more_than_it_can_spare() {
        let mut machine = Machine::new().unwrap();
        let look = machine.look();
        assert_eq!(look.cpu, None, "there is nothing to compare with");
        assert!(look.cores > 0.0 && look.installed > look.available && look.available > 0, "{look:?}");
        assert!(machine.look().cpu.is_some());
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cpu.max", "max 100000\n");
        write(root.path(), "a/cpu.max", "150000 100000\n");
        write(root.path(), "a/cpu.stat", "nr_periods 3\nusage_usec 2500000\n");
        write(root.path(), "a/b/cpu.max", "400000 100000\n");
        write(root.path(), "a/memory.max", "max\n");
        write(root.path(), "a/memory.current", "100\n");
        write(root.path(), "a/b/memory.max", "1000\n");
        write(root.path(), "a/b/memory.current", "700\n");
        write(root.path(), "a/b/memory.stat", "anon 400\ninactive_file 300\n");
        let group = Group::named(root.path(), "/a/b");
        assert_eq!(group.cores(), Some(1.5));
        assert_eq!(group.time(), Some(Duration::from_millis(2500)));
        assert_eq!(group.memory(), Some((1000, 400)));
        assert_eq!(Group::named(root.path(), "/").cores(), None);
    }

    #[test]
    fn what_is_written_oddly_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        for odd in ["", "0 0", "-1 100", "1", "a b"] {
            write(root.path(), "cpu.max", odd);
            write(root.path(), "memory.max", odd);
            let group = Group::named(root.path(), "/");
            assert_eq!((group.cores(), group.memory()), (None, None), "{odd:?}");
        }
    }
}
