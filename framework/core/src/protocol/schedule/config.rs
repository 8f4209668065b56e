use core::time::Duration;

use crate::protocol::bugs::Bugs;

/// How one map call is scheduled; the defaults suit a local network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Workers that an item may lose before it is taken for the cause; at least 1. Default 3.
    pub attempts: u32,
    /// The function must not run twice: no duplicates, and what a lost worker held ends as
    /// [`Effect::Unknown`](super::Effect::Unknown). Default `false`.
    pub once: bool,
    /// The work that one batch should hold.
    /// Longer saves messages, shorter finishes more evenly and reports progress more often. Default 7 ms.
    pub batch_time: Duration,
    /// The most items in one batch, however small they are. Default 4096.
    pub batch_items_max: u32,
    /// How long the first batches may stay unanswered before they are suspected, while nobody has
    /// answered anything from which to guess better. Default 500 ms.
    pub patience: Duration,
    /// The least expected duration on which a duplicate is judged, so that a moment's hiccup starts
    /// none; also the shortest pause between two looks for stragglers. Default 1 ms.
    pub straggle_min: Duration,
    /// The pause after a worker's first refusal; it doubles with each further one. Default 5 ms.
    pub rest_min: Duration,
    /// The longest such pause. Default 1 s.
    pub rest_max: Duration,
    /// The most items that [`Machine::appetite`](super::Machine::appetite) asks to have pending.
    /// Default 262,144.
    pub pending_max: u64,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempts: 3,
            once: false,
            batch_time: Duration::from_millis(7),
            batch_items_max: 4096,
            patience: Duration::from_millis(500),
            straggle_min: Duration::from_millis(1),
            rest_min: Duration::from_millis(5),
            rest_max: Duration::from_secs(1),
            pending_max: 1 << 18,
            bugs: Bugs::NONE,
        }
    }
}
