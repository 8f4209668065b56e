use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::{BatchId, Runs};
use crate::protocol::time::Time;

/// Items that travel together: one batch of them is out, or several copies.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// What is not yet counted of it.
    pub(super) items: Runs,
    /// The workers these items have lost.
    pub(super) losses: u32,
    /// The batches that are out; never empty between two inputs.
    pub(super) copies: Vec<BatchId>,
}

/// One assignment.
#[derive(Clone, Debug)]
pub(super) struct Batch<W> {
    pub(super) worker: W,
    /// What was sent; unlike the parcel's items this does not shrink, since outcomes are told by position.
    pub(super) items: Runs,
    /// The parcel it is a copy of, named after that parcel's first batch.
    pub(super) parcel: BatchId,
    pub(super) assigned: Time,
    /// When it reached a running slot of its worker.
    pub(super) started: Option<Time>,
    pub(super) standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Awaited: a copy of its parcel.
    Live,
    /// Another copy won; it fills its worker's slot until that worker lets go.
    Cancelled,
    /// Its worker was lost; a late answer is still welcome.
    Lost,
}

/// Items that nobody has, by the number of workers they have lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    classes: BTreeMap<u32, Runs>,
    len: u64,
}

impl Pending {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The runs of each class, fewest losses first.
    pub(super) fn classes(&self) -> impl DoubleEndedIterator<Item = (u32, &Runs)> {
        self.classes.iter().map(|(&losses, runs)| (losses, runs))
    }

    pub(super) fn insert(&mut self, losses: u32, run: Range<u64>) {
        self.change(losses, |class| class.insert(run));
    }

    pub(super) fn take_front(&mut self, losses: u32, count: u64) -> Runs {
        self.change(losses, |class| class.take_front(count))
    }

    /// Removes a run wherever it is.
    pub(super) fn remove(&mut self, run: &Range<u64>) {
        let classes: Vec<u32> = self.classes.keys().copied().collect();
        for losses in classes {
            self.change(losses, |class| class.remove(run));
        }
    }

    fn change<T>(&mut self, losses: u32, edit: impl FnOnce(&mut Runs) -> T) -> T {
        let class = self.classes.entry(losses).or_default();
        let before = class.len();
        let answer = edit(class);
        self.len = self.len - before + class.len();
        if class.is_empty() {
            self.classes.remove(&losses);
        }
        answer
    }
}
