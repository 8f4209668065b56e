use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Function;

/// What the machine of a node has and does, and what the node's process takes of it; looked at when it is asked for.
///
/// Within a container it is the container's share that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resources {
    /// Cores that the node may use at once; a fraction where a quota says so.
    pub cores: f32,
    /// Percent of these cores that were busy since somebody asked last, 0 to 100; `None` if nobody has, or it is not known.
    pub cpu: Option<f32>,
    /// Bytes of memory that the machine has, or the node may use.
    pub memory_installed: u64,
    /// Bytes of that which are available.
    pub memory_available: u64,
    /// Percent of one core that the node's process used since somebody asked last.
    pub process_cpu: Option<f32>,
    /// Bytes of memory that the node's process holds.
    pub process_memory: u64,
    /// Calls that are running on the node, or wait to.
    pub calls: u32,
    /// For how long the node has been running.
    pub uptime: Duration,
    /// The version of Guthi that it was built with.
    pub version: String,
    /// The operating system, such as `Debian GNU/Linux 12`.
    pub os: String,
    /// The number of its process.
    pub pid: u32,
}

impl Resources {
    /// Percent of the memory that is in use, 0 to 100; 0 if nothing is known of it.
    #[must_use]
    pub fn memory_load(&self) -> f32 {
        let used = self.memory_installed.saturating_sub(self.memory_available);
        100.0 * used as f32 / self.memory_installed.max(1) as f32
    }
}

/// The version of Guthi that this program is built with.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The function of every node that tells of its resources.
pub(crate) enum AskResources {}

impl Function for AskResources {
    type Arguments = ();
    type Output = Resources;
    const NAME: &'static str = "guthi.resources";
    const ONCE: bool = false;
}
