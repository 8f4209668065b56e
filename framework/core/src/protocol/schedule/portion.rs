//! Who gets how much of what is pending. Nothing here changes the ledger, and a bad guess costs time only.

use core::fmt::Debug;

use super::BatchId;
use super::machine::Machine;
use super::worker::{Worker, nanos, quotient};
use crate::protocol::time::Time;

/// The worth of all workers together, gathered once for a round of assignments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    /// The mean cost of an item, if anybody has answered yet.
    cost: Option<u64>,
    /// The sum of all slots, each weighted by its speed.
    strength: u128,
    /// The slots.
    pub(super) slots: u64,
}

impl Crew {
    /// Speed of one slot: the inverse of its cost. A stranger is taken to be like the others.
    fn speed(&self, worker: &Worker) -> u128 {
        (1 << 64) / u128::from(self.cost_of(worker).unwrap_or(1))
    }

    pub(super) fn cost_of(&self, worker: &Worker) -> Option<u64> {
        worker.pace.cost().or(self.cost)
    }
}

impl<W: Copy + Ord + Debug> Machine<W> {
    pub(super) fn crew(&self) -> Crew {
        let (work, items) = self
            .workers
            .values()
            .map(|worker| worker.pace.sums())
            .fold((0u64, 0u64), |(work, items), (more_work, more_items)| {
                (work.saturating_add(more_work), items.saturating_add(more_items))
            });
        let mut crew = Crew { cost: quotient(work, items), strength: 0, slots: 0 };
        for worker in self.workers.values() {
            crew.slots += u64::from(worker.parallelism);
            crew.strength += u128::from(worker.parallelism) * crew.speed(worker);
        }
        crew
    }

    /// How many items the worker's next batch should have: `batch_time` of work, but no more than
    /// it has proven, and no more than its fair part of what is left. Half of what is left goes
    /// out in each round, so batches shrink towards the end and the workers finish together.
    pub(super) fn batch_size(&self, worker: &Worker, crew: &Crew) -> u64 {
        let fair = u128::from(self.pending.len()) * crew.speed(worker) / (2 * crew.strength).max(1);
        let fair = u64::try_from(fair).unwrap_or(u64::MAX);
        self.batch_wish(worker).min(fair).max(1)
    }

    /// The same without an eye on what is left.
    pub(super) fn batch_wish(&self, worker: &Worker) -> u64 {
        let Some(cost) = worker.pace.cost() else { return 1 };
        // A slot works off its waiting batch while an answer and the next batch travel, so a batch
        // shorter than that way leaves it idle.
        let time = nanos(self.config.batch_time).max(worker.pace.overhead().min(OVERHEAD_MAX));
        let ceiling = worker.ceiling.min(self.config.batch_items_max);
        (time / cost).min(u64::from(ceiling)).max(1)
    }

    /// The worker with most room, the faster one if two have as much, and the class of items that
    /// it may have. The last items are not queued at a busy worker: they wait here for whoever is free first.
    pub(super) fn hungriest(&self, now: Time, crew: &Crew) -> Option<(W, u32)> {
        let plenty = self.pending.len() >= crew.slots;
        let hungry = self.workers.iter().filter(|(_, worker)| {
            let room = worker.has_free_slot() || (plenty && worker.has_room());
            room && worker.resting_until(now).is_none()
        });
        hungry
            .filter_map(|(&key, worker)| Some((key, worker, self.class_for(key)?)))
            .min_by_key(|&(key, worker, _)| (worker.fullness(), worker.pace.cost(), key))
            .map(|(key, _, losses)| (key, losses))
    }

    /// Items that have lost most workers come first.
    fn class_for(&self, worker: W) -> Option<u32> {
        let mut classes = self.pending.classes().map(|(losses, _)| losses).rev();
        classes.find(|&losses| self.may_hold(worker, losses))
    }

    /// Items that have lost a worker travel in ever smaller parcels, so that the one to blame is found.
    pub(super) fn class_size(&self, losses: u32) -> u64 {
        if self.is_last_chance(losses) {
            return 1;
        }
        let divisor = 1u64.checked_shl(losses.saturating_mul(4)).unwrap_or(u64::MAX);
        (u64::from(self.config.batch_items_max) / divisor).max(1)
    }

    /// One more loss would condemn such an item, so a worker gets no second one beside it: if the
    /// worker is lost, there is no doubt for which.
    fn is_last_chance(&self, losses: u32) -> bool {
        losses > 0 && losses.saturating_add(1) >= self.config.attempts
    }

    pub(super) fn may_hold(&self, worker: W, losses: u32) -> bool {
        !self.is_last_chance(losses) || !self.workers[&worker].held.iter().any(|held| self.is_last_chance_of(*held))
    }

    fn is_last_chance_of(&self, held: BatchId) -> bool {
        let parcel = self.parcels.get(&self.batches[&held].parcel);
        parcel.is_some_and(|parcel| self.is_last_chance(parcel.losses))
    }
}

/// Batches grow with the way to a worker up to here: one second.
const OVERHEAD_MAX: u64 = 1_000_000_000;
