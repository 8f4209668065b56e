use core::time::Duration;

use crate::protocol::{bugs::Bugs, home::Shard};

/// How patient the machine is, and how much it says at once. All durations are of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// What was not answered by then is said again. The pause doubles with each repetition.
    pub repeat_min: Duration,
    /// The longest pause between two repetitions.
    pub repeat_max: Duration,
    /// Reports and shards go in pieces of about so many bytes.
    pub chunk_bytes: usize,
    /// So many shards are made complete at once.
    pub recovering_max: usize,
    /// If there is only this one shard: for those who look at every state.
    pub only: Option<Shard>,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            repeat_min: Duration::from_millis(250),
            repeat_max: Duration::from_secs(4),
            chunk_bytes: 64 * 1024,
            recovering_max: 128,
            only: None,
            bugs: Bugs::NONE,
        }
    }
}
