use alloc::vec::Vec;
use core::time::Duration;

use super::{BatchId, Config};
use crate::protocol::time::Time;

/// What the ledger knows about one worker.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    /// How many batches it runs at the same time.
    pub(super) parallelism: u32,
    /// How many batches it may hold: two a slot, fewer after a refusal.
    pub(super) window: u32,
    /// The batches it holds, oldest first, cancelled ones included until it lets go of them.
    /// The first `parallelism` of them are taken to be running.
    pub(super) held: Vec<BatchId>,
    /// The most items its next batch may have: what it has proven, four times over.
    pub(super) ceiling: u32,
    pub(super) pace: Pace,
    rest: Option<Time>,
    refusals: u32,
}

impl Worker {
    pub(super) fn new(parallelism: u32) -> Self {
        let parallelism = parallelism.clamp(1, PARALLELISM_MAX);
        Self {
            parallelism,
            window: parallelism * 2,
            held: Vec::new(),
            ceiling: 1,
            pace: Pace::default(),
            rest: None,
            refusals: 0,
        }
    }

    /// The number of slots changed while it was here.
    pub(super) fn resize(&mut self, parallelism: u32) {
        self.parallelism = parallelism.clamp(1, PARALLELISM_MAX);
        self.window = self.parallelism * 2;
    }

    pub(super) fn holds(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }

    /// How full its slots are, in 1024ths.
    pub(super) fn fullness(&self) -> u32 {
        self.holds().saturating_mul(1024) / self.parallelism
    }

    /// Whether a batch given now would run at once.
    pub(super) fn has_free_slot(&self) -> bool {
        self.holds() < self.parallelism.min(self.window)
    }

    pub(super) fn has_room(&self) -> bool {
        self.holds() < self.window
    }

    /// The end of its pause after a refusal, while that is still to come.
    pub(super) fn resting_until(&self, now: Time) -> Option<Time> {
        self.rest.filter(|&until| until > now)
    }

    /// Forgets a held batch; answers with the one that moves up into a running slot by it.
    pub(super) fn let_go(&mut self, batch: BatchId) -> Option<BatchId> {
        let place = self.held.iter().position(|&held| held == batch)?;
        self.held.remove(place);
        let last_slot = self.parallelism as usize - 1;
        self.held.get(last_slot).filter(|_| place <= last_slot).copied()
    }

    /// It answered a batch of `count` items.
    pub(super) fn answered(&mut self, count: u64, items_max: u32) {
        self.refusals = 0;
        self.window = (self.window + 1).min(self.parallelism * 2);
        let proven = u32::try_from(count.saturating_mul(4)).unwrap_or(u32::MAX);
        self.ceiling = self.ceiling.max(proven).min(items_max.max(1));
    }

    /// It would not take a batch. A burst of refusals counts once: what was under way when the
    /// first came back says nothing new.
    pub(super) fn refused(&mut self, now: Time, config: &Config) {
        if self.resting_until(now).is_some() {
            return;
        }
        let pause = config.rest_min.saturating_mul(1 << self.refusals.min(20)).min(config.rest_max);
        self.rest = Some(now + pause);
        self.refusals = self.refusals.saturating_add(1);
        self.window = (self.window / 2).max(1);
    }
}

/// How fast a worker is, from its answers; old answers fade.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Nanoseconds of work, and the items done in them (in 1024ths): their quotient is the cost of
    /// an item. Sums rather than a mean of means, so that a large batch weighs more than a small one.
    work: u64,
    items: u64,
    /// What an answer takes beyond the work: the way there and back.
    overhead: Option<u64>,
}

impl Pace {
    pub(super) fn record(&mut self, work: Duration, count: u64) {
        self.work = (self.work - self.work / 8).saturating_add(nanos(work));
        self.items = (self.items - self.items / 8).saturating_add(count.saturating_mul(1024));
    }

    /// The shortest way seen lately: a longer one had a queue in it, and is believed only slowly.
    pub(super) fn record_overhead(&mut self, overhead: Duration) {
        let seen = nanos(overhead);
        self.overhead = Some(match self.overhead {
            Some(known) if known < seen => known + (seen - known) / 8,
            Some(_) | None => seen,
        });
    }

    pub(super) fn overhead(&self) -> u64 {
        self.overhead.unwrap_or(0)
    }

    /// Nanoseconds an item, at least 1; nothing before the first answer.
    pub(super) fn cost(&self) -> Option<u64> {
        quotient(self.work, self.items)
    }

    /// Both sums, for a mean over several workers.
    pub(super) fn sums(&self) -> (u64, u64) {
        (self.work, self.items)
    }
}

/// The cost of one item, where `items` is in 1024ths.
pub(super) fn quotient(work: u64, items: u64) -> Option<u64> {
    let cost = (u128::from(work) * 1024).checked_div(u128::from(items))?;
    Some(u64::try_from(cost).unwrap_or(u64::MAX).max(1))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The most slots that a worker is believed to have.
const PARALLELISM_MAX: u32 = 1024;
