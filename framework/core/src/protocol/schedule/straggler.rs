//! Who is late, and who should help. Nothing here changes the ledger, and a bad guess costs time only.

use core::fmt::Debug;

use super::machine::Machine;
use super::portion::Crew;
use super::state::{Batch, Parcel};
use super::worker::{Worker, nanos};
use super::{BatchId, Runs};
use crate::protocol::time::Time;

/// What a look at the outstanding parcels found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look<W> {
    /// This parcel is late, and this worker should get a copy.
    Late { parcel: BatchId, worker: W },
    /// Nobody is late; look again after so many nanoseconds.
    Wait(u64),
    /// There is nobody to give a copy to, or nothing to copy.
    Nothing,
}

impl<W: Copy + Ord + Debug> Machine<W> {
    /// Looks for the parcel that will be ready last, if an idle worker could well be faster.
    pub(super) fn look_for_stragglers(&self, now: Time) -> Look<W> {
        let crew = self.crew();
        let Some(idle) = self.fastest_idle(now, &crew, None) else { return Look::Nothing };
        let mut latest: Option<(u64, BatchId, W)> = None;
        let mut pause: Option<u64> = None;
        for (&id, parcel) in &self.parcels {
            let fits = self.may_copy(idle, parcel);
            let chosen = if fits { Some(idle) } else { self.fastest_idle(now, &crew, Some(parcel)) };
            let Some(worker) = chosen else { continue };
            let remaining = self.remaining_of_parcel(now, parcel, &crew);
            let needed = self.lateness(worker, parcel, &crew);
            if remaining < needed {
                pause = Some(pause.map_or(needed - remaining, |pause| pause.min(needed - remaining)));
            } else if latest.is_none_or(|(most, ..)| remaining > most) {
                latest = Some((remaining, id, worker));
            }
        }
        match (latest, pause) {
            (Some((_, parcel, worker)), _) => Look::Late { parcel, worker },
            (None, Some(pause)) => Look::Wait(pause.max(nanos(self.config.straggle_min))),
            (None, None) => Look::Nothing,
        }
    }

    fn fastest_idle(&self, now: Time, crew: &Crew, parcel: Option<&Parcel>) -> Option<W> {
        let idle =
            self.workers.iter().filter(|(_, worker)| worker.has_free_slot() && worker.resting_until(now).is_none());
        idle.filter(|&(&key, _)| parcel.is_none_or(|parcel| self.may_copy(key, parcel)))
            .min_by_key(|&(&key, worker)| (crew.cost_of(worker), key))
            .map(|(&key, _)| key)
    }

    /// No worker gets two copies of a parcel, nor two last chances.
    fn may_copy(&self, worker: W, parcel: &Parcel) -> bool {
        let has_one = parcel.copies.iter().any(|copy| self.batches[copy].worker == worker);
        !has_one && self.may_hold(worker, parcel.losses)
    }

    /// From which remaining time on a copy at `worker` is worth it. A parcel that still waits in a
    /// queue is as good as new, so any gain will do; with one that runs, each further copy wants
    /// twice the certainty. The bound rises but stays finite, so in the end every live worker has had a copy (M2).
    fn lateness(&self, worker: W, parcel: &Parcel, crew: &Crew) -> u64 {
        let here = self.expected(&self.workers[&worker], &parcel.items, crew);
        let waiting = parcel.copies.iter().all(|copy| self.batches[copy].started.is_none());
        let doublings = if waiting { 0 } else { parcel.copies.len().min(16) };
        here.max(nanos(self.config.straggle_min)).saturating_mul(1 << doublings)
    }

    fn remaining_of_parcel(&self, now: Time, parcel: &Parcel, crew: &Crew) -> u64 {
        let copies = parcel.copies.iter().map(|copy| self.remaining_of_copy(now, *copy, crew));
        copies.min().unwrap_or(0)
    }

    /// What is left of a running batch; of a waiting one also what is before it, spread over the slots.
    fn remaining_of_copy(&self, now: Time, id: BatchId, crew: &Crew) -> u64 {
        let batch = &self.batches[&id];
        let worker = &self.workers[&batch.worker];
        let own = self.remaining_once_running(now, batch, worker, crew);
        if batch.started.is_some() {
            return own;
        }
        let before = worker.held.iter().take_while(|&&held| held != id);
        let before = before.map(|held| self.remaining_once_running(now, &self.batches[held], worker, crew));
        let queue = before.fold(0, u64::saturating_add) / u64::from(worker.parallelism);
        own.saturating_add(queue)
    }

    /// A batch within its expected time needs the rest of it; one beyond is taken to need as long
    /// again as it has run, which is all that can be said about costs that nobody knows.
    fn remaining_once_running(&self, now: Time, batch: &Batch<W>, worker: &Worker, crew: &Crew) -> u64 {
        let expected = self.expected(worker, &batch.items, crew);
        let age = batch.started.map_or(0, |started| nanos(now.saturating_since(started)));
        if age < expected { expected - age } else { age }
    }

    fn expected(&self, worker: &Worker, items: &Runs, crew: &Crew) -> u64 {
        match crew.cost_of(worker) {
            Some(cost) => cost.saturating_mul(items.len()).saturating_add(worker.pace.overhead()),
            None => nanos(self.config.patience),
        }
    }
}
