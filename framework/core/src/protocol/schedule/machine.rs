use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Range;
use core::time::Duration;

use super::invariant;
use super::state::{Batch, Parcel, Pending, Standing};
use super::straggler::Look;
use super::worker::Worker;
use super::{BatchId, Config, Effect, Outcome, Runs, Strange};
use crate::protocol::bugs::{Bug, Bugs};
use crate::protocol::contract::Outbox;
use crate::protocol::time::Time;

/// The ledger of one map call, kept by its caller; `W` names a worker.
#[derive(Clone, Debug)]
pub struct Machine<W> {
    pub(super) config: Config,
    /// Items 0 to `offered - 1` are known.
    pub(super) offered: u64,
    pub(super) input_open: bool,
    pub(super) pending: Pending,
    /// What is out, named after the first batch of each parcel: by age.
    pub(super) parcels: BTreeMap<BatchId, Parcel>,
    pub(super) batches: BTreeMap<BatchId, Batch<W>>,
    pub(super) counted: Runs,
    pub(super) workers: BTreeMap<W, Worker>,
    next_batch: u64,
    wake_at: Option<Time>,
    pub(super) over: bool,
}

impl<W: Copy + Ord + Debug> Machine<W> {
    /// A ledger without items and workers, its input open.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            offered: 0,
            input_open: true,
            pending: Pending::default(),
            parcels: BTreeMap::new(),
            batches: BTreeMap::new(),
            counted: Runs::default(),
            workers: BTreeMap::new(),
            next_batch: 0,
            wake_at: None,
            over: false,
        }
    }

    // Inputs: the caller's side.

    /// `count` more items are there; they get the next free indices.
    pub fn offer(&mut self, now: Time, count: u64, out: &mut Outbox<Effect<W>>) {
        if self.refuses_input(out) {
            return;
        }
        match self.offered.checked_add(count) {
            Some(offered) => {
                self.pending.insert(0, self.offered..offered);
                self.offered = offered;
            }
            None => ignore(Strange::InputFinished, out),
        }
        self.go_on(now, out);
    }

    /// There will be no more items.
    pub fn finish_input(&mut self, now: Time, out: &mut Outbox<Effect<W>>) {
        if self.refuses_input(out) {
            return;
        }
        self.input_open = false;
        self.go_on(now, out);
    }

    /// Ends the map at once; what is out is cancelled, and nothing more is counted.
    pub fn cancel(&mut self, out: &mut Outbox<Effect<W>>) {
        if self.over {
            return ignore(Strange::Over, out);
        }
        self.end(out);
    }

    // Inputs: the workers' side.

    /// A worker came that runs `parallelism` batches at a time (none is taken for one), or one
    /// that is here changed that number.
    pub fn worker_joined(&mut self, now: Time, worker: W, parallelism: u32, out: &mut Outbox<Effect<W>>) {
        if self.over {
            return ignore(Strange::Over, out);
        }
        self.workers
            .entry(worker)
            .and_modify(|known| known.resize(parallelism))
            .or_insert_with(|| Worker::new(parallelism));
        self.start_running(now, worker);
        self.go_on(now, out);
    }

    /// A worker is gone. What only it held goes back to the front with one more loss, or ends as
    /// unknown if it must run only once.
    pub fn worker_lost(&mut self, now: Time, worker: W, out: &mut Outbox<Effect<W>>) {
        if self.over {
            return ignore(Strange::Over, out);
        }
        let Some(lost) = self.workers.remove(&worker) else {
            return ignore(Strange::UnknownWorker, out);
        };
        for batch in lost.held {
            self.lose_batch(batch, out);
        }
        self.forget_settled_losses();
        self.go_on(now, out);
    }

    /// A worker answered a batch: one outcome for each item, in order. `busy` is the time the
    /// batch took on the worker's own clock, if it says so; a guess from here serves otherwise.
    pub fn done(
        &mut self,
        now: Time,
        worker: W,
        batch: BatchId,
        busy: Option<Duration>,
        outcomes: &[Outcome],
        out: &mut Outbox<Effect<W>>,
    ) {
        let Some(answered) = self.take_back(now, worker, batch, out) else { return };
        if answered.standing == Standing::Cancelled && !self.config.bugs.has(Bug::ItemCountedTwice) {
            out.reached("schedule: a second copy answered");
            ignore(Strange::Superseded, out);
        } else if usize::try_from(answered.items.len()) == Ok(outcomes.len()) {
            self.accept(now, batch, &answered, busy, outcomes, out);
        } else {
            out.reached("schedule: an answer that does not fit its batch");
            ignore(Strange::WrongCount, out);
            self.lose_copy(batch, &answered, out);
        }
        self.go_on(now, out);
    }

    /// A worker would not take a batch, because it has too much to do, or dropped it unrun.
    /// The items go back, no attempt is counted, and the worker is left alone for a growing while.
    pub fn worker_refused(&mut self, now: Time, worker: W, batch: BatchId, out: &mut Outbox<Effect<W>>) {
        let Some(refused) = self.take_back(now, worker, batch, out) else { return };
        if refused.standing == Standing::Live {
            out.reached("schedule: a batch refused");
            self.rest(now, worker);
            self.drop_copy(batch, &refused, 0, out);
        }
        self.go_on(now, out);
    }

    /// The end of a worker's rest, or time to look for stragglers. Early, late and repeated wakes
    /// do no harm.
    pub fn wake(&mut self, now: Time, out: &mut Outbox<Effect<W>>) {
        self.go_on(now, out);
    }

    /// When to call [`wake`](Self::wake), unless another input comes first.
    pub fn deadline(&self) -> Option<Time> {
        self.wake_at
    }

    // Questions.

    /// How many more items to offer now, so that nobody starves and no more than needed wait here.
    /// Nothing while the input is finished or enough are pending.
    pub fn appetite(&self) -> u64 {
        if self.over || !self.input_open {
            return 0;
        }
        let round: u64 = self.workers.values().fold(0, |sum: u64, worker| {
            sum.saturating_add(self.batch_wish(worker).saturating_mul(u64::from(worker.parallelism)))
        });
        let wanted = round.saturating_mul(LOOKAHEAD).max(PENDING_MIN).min(self.config.pending_max.max(1));
        wanted.saturating_sub(self.pending.len())
    }

    /// The items offered so far.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// The items counted so far.
    pub fn counted(&self) -> u64 {
        self.counted.len()
    }

    /// The items that no worker has.
    pub fn pending(&self) -> u64 {
        self.pending.len()
    }

    /// Whether the map has ended: finished, poisoned or cancelled.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// From now on no batch has more items than this: for a shell that finds the items large.
    pub fn limit_batches(&mut self, items_max: u32) {
        self.config.batch_items_max = items_max.max(1);
    }

    // Answers.

    /// The batch that `worker` answers; it is no longer held, but still a copy of its parcel.
    fn take_back(&mut self, now: Time, worker: W, id: BatchId, out: &mut Outbox<Effect<W>>) -> Option<Batch<W>> {
        if self.over {
            ignore(Strange::Over, out);
            return None;
        }
        if self.batches.get(&id).is_none_or(|batch| batch.worker != worker) {
            ignore(Strange::UnknownBatch, out);
            return None;
        }
        if let Some(next) = self.workers.get_mut(&worker).and_then(|worker| worker.let_go(id)) {
            self.start(now, next);
        }
        self.batches.remove(&id)
    }

    /// Counts what is new in an answer and gives back what did not run.
    fn accept(
        &mut self,
        now: Time,
        id: BatchId,
        batch: &Batch<W>,
        busy: Option<Duration>,
        outcomes: &[Outcome],
        out: &mut Outbox<Effect<W>>,
    ) {
        let spent = busy.or_else(|| Some(now.saturating_since(batch.started?)));
        let elapsed = share(spent, batch.items.len());
        for (items, offset, outcome) in stretches(&batch.items, outcomes) {
            if outcome == Outcome::Returned {
                continue;
            }
            for new in self.count(&items, batch) {
                let offset = offset + (new.start - items.start) as usize;
                out.push(Effect::Complete { worker: batch.worker, batch: id, items: new, offset, outcome, elapsed });
            }
        }
        match batch.standing {
            Standing::Live if outcomes.contains(&Outcome::Returned) => self.rest(now, batch.worker),
            Standing::Live => self.measure(now, batch, busy, spent),
            Standing::Lost | Standing::Cancelled => {
                out.reached("schedule: a lost worker answered after all");
                self.close_counted_parcels(out);
            }
        }
        self.drop_copy(id, batch, 0, out);
    }

    /// The one place where an item becomes counted (M1): answers with those that were not.
    fn count(&mut self, items: &Range<u64>, batch: &Batch<W>) -> Vec<Range<u64>> {
        let mut new = self.counted.missing(items);
        let again = match batch.standing {
            Standing::Cancelled => self.config.bugs.has(Bug::ItemCountedTwice),
            Standing::Lost => self.config.bugs.has(Bug::LateResultCounted),
            Standing::Live => false,
        };
        if again {
            new = vec![items.clone()];
        }
        for run in &new {
            self.counted.insert(run.clone());
            match self.parcels.get_mut(&batch.parcel).filter(|_| batch.standing == Standing::Live) {
                Some(parcel) => parcel.items.remove(run),
                None => self.withdraw(run),
            }
        }
        new
    }

    /// Takes items of a lost batch, answered late after all, from wherever they have gone since.
    fn withdraw(&mut self, run: &Range<u64>) {
        self.pending.remove(run);
        for parcel in self.parcels.values_mut() {
            parcel.items.remove(run);
        }
    }

    fn measure(&mut self, now: Time, batch: &Batch<W>, busy: Option<Duration>, spent: Option<Duration>) {
        let items_max = self.config.batch_items_max;
        let Some(worker) = self.workers.get_mut(&batch.worker) else { return };
        worker.answered(batch.items.len(), items_max);
        if let Some(spent) = spent {
            worker.pace.record(spent, batch.items.len());
        }
        // Only a batch that met a free slot tells the way: another waited in the worker's queue too.
        if let Some(busy) = busy.filter(|_| batch.started == Some(batch.assigned)) {
            let way = now.saturating_since(batch.assigned).saturating_sub(busy);
            worker.pace.record_overhead(way);
        }
    }

    fn rest(&mut self, now: Time, worker: W) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.refused(now, &self.config);
        }
    }

    // Losses.

    fn lose_batch(&mut self, id: BatchId, out: &mut Outbox<Effect<W>>) {
        let Some(batch) = self.batches.remove(&id) else { return };
        if batch.standing != Standing::Live {
            return;
        }
        self.lose_copy(id, &batch, out);
        if !self.over && !self.config.once {
            self.batches.insert(id, Batch { standing: Standing::Lost, ..batch });
        }
    }

    fn lose_copy(&mut self, id: BatchId, batch: &Batch<W>, out: &mut Outbox<Effect<W>>) {
        if self.config.once && batch.standing == Standing::Live {
            for run in batch.items.iter() {
                for items in self.count(&run, batch) {
                    out.reached("schedule: an item that must run once is unknown");
                    out.push(Effect::Unknown { items });
                }
            }
        }
        self.drop_copy(id, batch, 1, out);
    }

    /// A lost batch is remembered for its late answer while that could still count something.
    fn forget_settled_losses(&mut self) {
        let counted = &self.counted;
        self.batches.retain(|_, batch| batch.standing != Standing::Lost || !counted.contains_all(&batch.items));
    }

    // Parcels.

    /// A batch is out no longer.
    fn drop_copy(&mut self, id: BatchId, batch: &Batch<W>, losses: u32, out: &mut Outbox<Effect<W>>) {
        if batch.standing != Standing::Live {
            return;
        }
        if let Some(parcel) = self.parcels.get_mut(&batch.parcel) {
            parcel.copies.retain(|&copy| copy != id);
            parcel.losses += losses;
            let forgotten = if losses > 0 { Bug::LostItemForgotten } else { Bug::RefusedItemForgotten };
            if self.config.bugs.has(forgotten) && parcel.copies.is_empty() {
                self.parcels.remove(&batch.parcel);
            }
            self.close(batch.parcel, out);
        }
    }

    fn close_counted_parcels(&mut self, out: &mut Outbox<Effect<W>>) {
        let counted = self.parcels.iter().filter(|(_, parcel)| parcel.items.is_empty());
        let counted: Vec<BatchId> = counted.map(|(&id, _)| id).collect();
        for parcel in counted {
            self.close(parcel, out);
        }
    }

    /// Ends a parcel of which everything is counted, or nothing is out.
    fn close(&mut self, id: BatchId, out: &mut Outbox<Effect<W>>) {
        let Some(parcel) = self.parcels.get(&id) else { return };
        if !parcel.items.is_empty() && !parcel.copies.is_empty() {
            return;
        }
        let Some(parcel) = self.parcels.remove(&id) else { return };
        for &id in &parcel.copies {
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            batch.standing = Standing::Cancelled;
            out.push(Effect::Cancel { worker: batch.worker, batch: id });
        }
        self.give_back(&parcel, out);
    }

    fn give_back(&mut self, parcel: &Parcel, out: &mut Outbox<Effect<W>>) {
        let Some(item) = parcel.items.first() else { return };
        // Copies of one parcel can be lost together: then nobody knows which of its items is to blame, and each gets
        // its last chance alone.
        let alone = parcel.items.len() == 1;
        if parcel.losses >= self.config.attempts && (alone || self.config.attempts <= 1) {
            out.reached("schedule: an item condemned");
            self.end(out);
            out.push(Effect::Poisoned { item });
            return;
        }
        let losses = parcel.losses.min(self.config.attempts.saturating_sub(1));
        for run in parcel.items.iter() {
            self.pending.insert(losses, run);
        }
    }

    fn end(&mut self, out: &mut Outbox<Effect<W>>) {
        self.over = true;
        self.wake_at = None;
        let live = self.batches.iter().filter(|(_, batch)| batch.standing == Standing::Live);
        let here = live.filter(|(_, batch)| self.workers.contains_key(&batch.worker));
        here.for_each(|(&id, batch)| out.push(Effect::Cancel { worker: batch.worker, batch: id }));
        self.batches.clear();
        self.parcels.clear();
        self.pending = Pending::default();
        self.workers.clear();
    }

    // Assignments.

    /// After every input: end, or give work to whoever can take some.
    fn go_on(&mut self, now: Time, out: &mut Outbox<Effect<W>>) {
        if self.over {
            return;
        }
        if !self.input_open && self.counted.len() == self.offered {
            self.end(out);
            return out.push(Effect::Finished);
        }
        self.assign_pending(now, out);
        let look = self.duplicate_stragglers(now, out);
        self.wake_at = self.next_wake(now, look);
        debug_assert!(
            self.config.bugs != Bugs::NONE || invariant::check(self) == Ok(()),
            "{:?}",
            invariant::check(self)
        );
    }

    fn assign_pending(&mut self, now: Time, out: &mut Outbox<Effect<W>>) {
        if self.pending.is_empty() {
            return;
        }
        let crew = self.crew();
        while let Some((worker, losses)) = self.hungriest(now, &crew) {
            let size = self.batch_size(&self.workers[&worker], &crew).min(self.class_size(losses));
            let items = self.pending.take_front(losses, size);
            let parcel = Parcel { items: items.clone(), losses, copies: vec![] };
            self.parcels.insert(BatchId(self.next_batch), parcel);
            self.assign(now, worker, BatchId(self.next_batch), items, out);
        }
    }

    fn assign(&mut self, now: Time, worker: W, parcel: BatchId, items: Runs, out: &mut Outbox<Effect<W>>) {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        let (Some(holder), Some(sent)) = (self.workers.get_mut(&worker), self.parcels.get_mut(&parcel)) else { return };
        holder.held.push(id);
        sent.copies.push(id);
        let duplicate = sent.copies.len() > 1;
        let started = (holder.holds() <= holder.parallelism).then_some(now);
        let standing = Standing::Live;
        out.push(Effect::Assign { worker, batch: id, items: items.clone(), duplicate });
        self.batches.insert(id, Batch { worker, items, parcel, assigned: now, started, standing });
    }

    fn start(&mut self, now: Time, batch: BatchId) {
        if let Some(batch) = self.batches.get_mut(&batch) {
            batch.started.get_or_insert(now);
        }
    }

    fn start_running(&mut self, now: Time, worker: W) {
        let worker = &self.workers[&worker];
        let running: Vec<BatchId> = worker.held.iter().take(worker.parallelism as usize).copied().collect();
        for batch in running {
            self.start(now, batch);
        }
    }

    // Stragglers.

    /// With nothing pending, idle workers run late parcels a second time; whoever answers first counts.
    fn duplicate_stragglers(&mut self, now: Time, out: &mut Outbox<Effect<W>>) -> Look<W> {
        let must_run_once = self.config.once && !self.config.bugs.has(Bug::OnceCopied);
        if must_run_once || !self.pending.is_empty() {
            return Look::Nothing;
        }
        loop {
            let look = self.look_for_stragglers(now);
            let Look::Late { parcel, worker } = look else { return look };
            out.reached("schedule: a late parcel copied");
            let items = self.parcels[&parcel].items.clone();
            self.assign(now, worker, parcel, items, out);
        }
    }

    fn next_wake(&self, now: Time, look: Look<W>) -> Option<Time> {
        let rested = self.workers.values().filter_map(|worker| worker.resting_until(now)).min();
        let rested = rested.filter(|_| !self.pending.is_empty() || !self.parcels.is_empty());
        match (look, rested) {
            (Look::Wait(pause), None) => Some(now + Duration::from_nanos(pause)),
            (Look::Wait(pause), Some(rested)) => Some(rested.min(now + Duration::from_nanos(pause))),
            (Look::Nothing | Look::Late { .. }, rested) => rested,
        }
    }

    fn refuses_input(&self, out: &mut Outbox<Effect<W>>) -> bool {
        if self.over {
            ignore(Strange::Over, out);
        } else if !self.input_open {
            ignore(Strange::InputFinished, out);
        }
        self.over || !self.input_open
    }
}

fn ignore<W>(reason: Strange, out: &mut Outbox<Effect<W>>) {
    out.push(Effect::Ignored { reason });
}

/// What one of `count` items took.
fn share(spent: Option<Duration>, count: u64) -> Duration {
    let nanos = spent.unwrap_or_default().as_nanos() / u128::from(count.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Cuts a batch into runs of one outcome each, with the place of each in the answer.
fn stretches(items: &Runs, outcomes: &[Outcome]) -> Vec<(Range<u64>, usize, Outcome)> {
    let mut stretches = Vec::new();
    let mut rest = outcomes;
    for mut run in items.iter() {
        let (of_run, after) = rest.split_at((run.end - run.start) as usize);
        for stretch in of_run.chunk_by(PartialEq::eq) {
            let offset = outcomes.len() - rest.len() + (of_run.len() - (run.end - run.start) as usize);
            let end = run.start + stretch.len() as u64;
            stretches.push((run.start..end, offset, stretch[0]));
            run.start = end;
        }
        rest = after;
    }
    stretches
}

/// How many rounds of batches should wait behind the one that is out: enough to see the end of the
/// input in time for the batches to shrink.
const LOOKAHEAD: u64 = 4;

/// The least number of items that should be pending while there is more input.
const PENDING_MIN: u64 = 64;
