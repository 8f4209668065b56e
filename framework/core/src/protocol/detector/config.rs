use core::time::Duration;

use crate::protocol::bugs::Bugs;

/// How patient the detector is. All are durations of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Time between two echoes to a peer.
    pub interval: Duration,
    /// Silence after which a peer is taken for dead; at least three intervals.
    pub timeout: Duration,
    /// An attempt to link again may take so long, or sixteen round trips if that is longer.
    pub relink_min: Duration,
    /// No attempt may take longer.
    pub relink_max: Duration,
    /// The pause after the first attempt; it doubles with each.
    pub relink_delay_min: Duration,
    /// The longest pause between two attempts at first.
    pub relink_delay_soon: Duration,
    /// For so long it is *at first*.
    pub relink_soon: Duration,
    /// The longest pause between two attempts later, and after links that broke at once.
    pub relink_delay_max: Duration,
    /// Who has failed or left is forgotten after so long.
    pub forget_after: Duration,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            timeout: Duration::from_secs(2),
            relink_min: Duration::from_secs(1),
            relink_max: Duration::from_secs(10),
            relink_delay_min: Duration::from_millis(250),
            relink_delay_soon: Duration::from_millis(500),
            relink_soon: Duration::from_secs(600),
            relink_delay_max: Duration::from_secs(30),
            forget_after: Duration::from_secs(24 * 3600),
            bugs: Bugs::NONE,
        }
    }
}
