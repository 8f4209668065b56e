//! The ledger under test: one rule each (`rules`), every short history (`exhaustive`), random
//! histories with faults (`random`), and how well it schedules (`makespan`).

mod choosing;
mod exhaustive;
mod makespan;
mod random;
mod rules;
mod sets;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::{BatchId, Config, Effect, Machine, Outcome, Runs, Strange, invariant};
use crate::protocol::contract::Outbox;
use crate::protocol::random::Random;
use crate::protocol::time::Time;

/// A machine with its audience: it notes every effect and objects when the map breaks its word.
#[derive(Clone, Debug)]
struct Theatre {
    machine: Machine<u8>,
    now: Time,
    /// Batches that were assigned and not yet answered, cancelled ones included.
    open: BTreeMap<BatchId, (u8, Runs)>,
    cancelled: BTreeSet<BatchId>,
    /// Batches whose workers were lost; they may still answer.
    late: BTreeMap<BatchId, (u8, Runs)>,
    /// How often each item was counted: with a result, or as unknown.
    counted: BTreeMap<u64, u32>,
    unknown: BTreeSet<u64>,
    /// How many workers were lost that had each item, wrong answers included.
    losses: BTreeMap<u64, u32>,
    assigned: u64,
    duplicates: u64,
    poisoned: Option<u64>,
    finished: bool,
    ignored: Vec<Strange>,
}

impl Theatre {
    fn new(config: Config) -> Self {
        Self {
            machine: Machine::new(config),
            now: Time::from_nanos(1_000_000),
            open: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            late: BTreeMap::new(),
            counted: BTreeMap::new(),
            unknown: BTreeSet::new(),
            losses: BTreeMap::new(),
            assigned: 0,
            duplicates: 0,
            poisoned: None,
            finished: false,
            ignored: Vec::new(),
        }
    }

    fn with_items(config: Config, items: u64) -> Self {
        let mut theatre = Self::new(config);
        theatre.offer(items);
        theatre.finish_input();
        theatre
    }

    fn offer(&mut self, count: u64) {
        self.input(|machine, now, out| machine.offer(now, count, out));
    }

    fn finish_input(&mut self) {
        self.input(|machine, now, out| machine.finish_input(now, out));
    }

    fn join(&mut self, worker: u8, parallelism: u32) {
        self.input(|machine, now, out| machine.worker_joined(now, worker, parallelism, out));
    }

    fn lose(&mut self, worker: u8) {
        let held: Vec<BatchId> = self.held_by(worker);
        for batch in held {
            let (_, items) = self.open.remove(&batch).unwrap();
            if self.cancelled.contains(&batch) {
                continue;
            }
            self.blame(&items);
            self.late.insert(batch, (worker, items));
        }
        self.input(|machine, now, out| machine.worker_lost(now, worker, out));
    }

    /// The worker answers with one outcome for all items, after `nanos` of work.
    fn answer(&mut self, batch: BatchId, nanos: u64, outcome: Outcome) {
        let items = self.open.get(&batch).or_else(|| self.late.get(&batch)).map_or(0, |(_, items)| items.len());
        self.answer_each(batch, Some(nanos), &alloc::vec![outcome; items as usize]);
    }

    fn answer_each(&mut self, batch: BatchId, nanos: Option<u64>, outcomes: &[Outcome]) {
        let Some((worker, items)) = self.open.remove(&batch).or_else(|| self.late.remove(&batch)) else { return };
        if items.len() != outcomes.len() as u64 {
            self.blame(&items);
        }
        let busy = nanos.map(Duration::from_nanos);
        self.input(|machine, now, out| machine.done(now, worker, batch, busy, outcomes, out));
    }

    fn refuse(&mut self, batch: BatchId) {
        let Some((worker, _)) = self.open.remove(&batch) else { return };
        self.input(|machine, now, out| machine.worker_refused(now, worker, batch, out));
    }

    fn pass(&mut self, nanos: u64) {
        self.now = self.now + Duration::from_nanos(nanos);
        self.wake();
    }

    fn wake(&mut self) {
        self.input(|machine, now, out| machine.wake(now, out));
    }

    fn held_by(&self, worker: u8) -> Vec<BatchId> {
        self.open.iter().filter(|(_, (holder, _))| *holder == worker).map(|(&batch, _)| batch).collect()
    }

    fn items_of(&self, batch: BatchId) -> Vec<u64> {
        self.open[&batch].1.items().collect()
    }

    /// The time of the next wake, so that a test can go there.
    fn wait_for_wake(&mut self) -> bool {
        let Some(deadline) = self.machine.deadline() else { return false };
        self.now = self.now.max(deadline);
        self.wake();
        true
    }

    fn blame(&mut self, items: &Runs) {
        for item in items.items() {
            *self.losses.entry(item).or_default() += 1;
        }
    }

    fn input(&mut self, act: impl FnOnce(&mut Machine<u8>, Time, &mut Outbox<Effect<u8>>)) {
        let mut out = Outbox::new();
        act(&mut self.machine, self.now, &mut out);
        assert_eq!(invariant::check(&self.machine), Ok(()));
        for effect in out.drain() {
            self.see(effect);
        }
        assert_eq!(self.machine.is_over(), self.finished || self.poisoned.is_some());
    }

    fn see(&mut self, effect: Effect<u8>) {
        match effect {
            Effect::Assign { worker, batch, items, duplicate } => {
                self.assigned += 1;
                self.duplicates += u64::from(duplicate);
                assert!(!items.is_empty(), "an empty batch");
                assert!(self.open.insert(batch, (worker, items)).is_none(), "a name used twice");
            }
            Effect::Complete { items, .. } => self.count(items),
            Effect::Unknown { items } => {
                self.unknown.extend(items.clone());
                self.count(items);
            }
            Effect::Cancel { batch, .. } => {
                assert!(self.open.contains_key(&batch), "{batch:?} is cancelled but not out");
                assert!(self.cancelled.insert(batch), "{batch:?} is cancelled twice");
            }
            Effect::Poisoned { item } => {
                assert!(!self.finished && self.poisoned.is_none(), "the map ended twice");
                self.poisoned = Some(item);
            }
            Effect::Finished => {
                assert!(!self.finished && self.poisoned.is_none(), "the map ended twice");
                self.finished = true;
                let once = self.counted.values().all(|&times| times == 1);
                let all = self.counted.len() as u64 == self.machine.offered();
                assert!(once && all, "finished with items uncounted: {:?}", self.counted);
            }
            Effect::Ignored { reason } => self.ignored.push(reason),
        }
    }

    fn count(&mut self, items: core::ops::Range<u64>) {
        for item in items {
            let times = self.counted.entry(item).or_default();
            *times += 1;
            assert_eq!(*times, 1, "M1: item {item} is counted twice");
        }
    }

    /// M2: from here on `worker` alone answers. Everybody else stays silent, and is not even lost
    /// unless the function must run once.
    fn end_with_one_live_worker(&mut self, worker: u8) {
        self.finish_input();
        let once = self.machine.config.once;
        let others = self.machine.workers.keys().copied().filter(|&other| once && other != worker);
        for other in others.collect::<Vec<u8>>() {
            self.lose(other);
        }
        for _ in 0..10_000 {
            if self.machine.is_over() {
                return self.check_the_verdict();
            }
            self.join(worker, 1);
            match self.held_by(worker).first() {
                Some(&batch) => self.answer(batch, 1_000, Outcome::Succeeded),
                None => assert!(self.wait_for_wake(), "M2: one live worker, and nothing to wait for"),
            }
        }
        panic!("M2: one live worker did not end the map");
    }

    fn check_the_verdict(&self) {
        let Some(item) = self.poisoned else { return assert!(self.finished) };
        let losses = self.losses.get(&item).copied().unwrap_or(0);
        assert!(losses >= self.machine.config.attempts, "item {item} is condemned after {losses} losses");
    }
}
