use core::time::Duration;

use crate::protocol::bugs::Bugs;

/// How patient the machine is. All durations are of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// What was not answered by then is said again. On links that lose nothing this happens only to who waits for somebody
    /// who holds on, so the pause doubles with each repetition.
    pub repeat_min: Duration,
    /// The longest pause between two repetitions.
    pub repeat_max: Duration,
    /// So many guards are granted to tasks of one node in a row while other nodes wait.
    pub run_max: u32,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            repeat_min: Duration::from_millis(250),
            repeat_max: Duration::from_secs(4),
            run_max: 16,
            bugs: Bugs::NONE,
        }
    }
}
