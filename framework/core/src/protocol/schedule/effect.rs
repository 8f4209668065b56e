use core::ops::Range;
use core::time::Duration;

use super::Runs;

/// The name of one batch: one assignment of some items to one worker, never used again in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub(super) u64);

impl BatchId {
    /// The number behind the name, for wires and traces.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The name with this number; one that was never assigned is ignored by the machine.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// How one item of an answered batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The function returned a value.
    Succeeded,
    /// The function said no or panicked; trying again would not help.
    Failed,
    /// The function did not run (`NotApplied`): the item is tried again, and this attempt is not counted.
    Returned,
}

/// What the shell has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<W> {
    /// Send these items to the worker as one job, to be run in ascending order on one of its slots.
    Assign {
        /// Who runs it.
        worker: W,
        /// The name under which it answers.
        batch: BatchId,
        /// The items, in the order in which their outcomes are expected.
        items: Runs,
        /// Whether another worker has these items too, and is late.
        duplicate: bool,
    },
    /// These items are counted, now and never again: hand out their results.
    Complete {
        /// Whose results count.
        worker: W,
        /// The answered batch.
        batch: BatchId,
        /// The items.
        items: Range<u64>,
        /// Where the result of `items.start` stands among the results of the batch.
        offset: usize,
        /// How all of them ended: succeeded or failed.
        outcome: Outcome,
        /// What one item of this batch took on average.
        elapsed: Duration,
    },
    /// These items are counted without a result: they must run only once, and their worker was lost.
    Unknown {
        /// The items.
        items: Range<u64>,
    },
    /// Tell the worker to drop this batch: another copy won, or the map has ended.
    Cancel {
        /// Who holds it.
        worker: W,
        /// The batch.
        batch: BatchId,
    },
    /// The map has ended badly: this item has lost [`Config::attempts`](super::Config::attempts) workers.
    Poisoned {
        /// The first item of the batch; the only one in it, if `attempts` is more than one.
        item: u64,
    },
    /// The map has ended well: the input is finished and every item is counted.
    Finished,
    /// An input changed nothing, or less than it said.
    Ignored {
        /// Why.
        reason: Strange,
    },
}

/// Why an input was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strange {
    /// A worker that is not here was lost.
    UnknownWorker,
    /// An answer to a batch which that worker does not hold: never assigned, or answered before.
    UnknownBatch,
    /// An answer with more or fewer outcomes than items; the batch counts as a lost attempt.
    WrongCount,
    /// An answer to a batch that was cancelled because another copy won: the price of a duplicate, no fault.
    Superseded,
    /// Items were offered after the end of the input, or more than a number can count.
    InputFinished,
    /// An input after the map had ended.
    Over,
}
