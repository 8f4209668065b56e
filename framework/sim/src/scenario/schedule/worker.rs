//! One who runs batches: in the order in which they come, one on each slot, the items of a batch one after another.

use std::{collections::VecDeque, time::Duration};

use guthi_core::{
    protocol::{contract::Outbox, engine::Engine, random::Random, time::Time},
    wire::id::Member,
};

use super::{
    ledger::Seen,
    message::{Entry, Message, Work},
};
use crate::{fabric::Kind, world::Wish};

/// A worker, with all that may be wrong with one.
#[derive(Debug)]
pub(super) struct Worker {
    me: Member,
    pub(super) parallelism: u32,
    /// What an item takes here, in hundredths of what it costs.
    slowness: u64,
    habits: Habits,
    random: Random,
    /// The newest lane on which work came.
    lane: u64,
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    leaving: bool,
    /// A poisonous item has run.
    dying: bool,
    /// No item is poisonous.
    calm: bool,
    pub(super) seen: Vec<Seen>,
}

/// The chances that something goes wrong with a batch, in parts per million.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// It is refused although there is room.
    refuses: u32,
    /// It is answered with too many or too few outcomes.
    miscounts: u32,
    /// A part of it is returned without having run.
    returns: u32,
    /// It is answered twice.
    repeats: u32,
    /// It takes up to a second longer.
    stalls: u32,
}

#[derive(Debug)]
struct Job {
    from: Member,
    map: u32,
    batch: u64,
    duplicate: bool,
    items: Vec<(u64, u64)>,
    work: Work,
}

#[derive(Debug)]
struct Running {
    job: Job,
    began: Time,
    until: Time,
    /// So many items run; the others are returned.
    runs: u64,
    kills: bool,
}

impl Worker {
    /// A tame worker has no habits; in calm no item is poisonous.
    pub(super) fn new(me: Member, seed: u64, tame: bool, calm: bool) -> Self {
        let mut random = Random::new(seed ^ 0x776f_726b_6572);
        let mut chance =
            |most: u64| if tame || random.below(2) == 0 { 0 } else { u32::try_from(random.below(most)).unwrap_or(0) };
        let habits = Habits {
            refuses: chance(150_000),
            miscounts: chance(10_000),
            returns: chance(50_000),
            repeats: chance(20_000),
            stalls: chance(10_000),
        };
        Self {
            me,
            parallelism: u32::try_from(random.within(1..=4)).unwrap_or(1),
            slowness: random.within(60..=150),
            habits,
            random,
            lane: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            leaving: false,
            dying: false,
            calm,
            seen: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        if self.dying {
            return Some(Time::default());
        }
        self.running.iter().map(|running| running.until).min()
    }

    pub(super) fn wake(&mut self, now: Time, out: &mut Outbox<Wish>) {
        if self.dying {
            out.reached("worker: killed by an item");
            return out.push(Wish::Die);
        }
        while let Some(at) = self.running.iter().position(|running| running.until <= now) {
            let ended = self.running.remove(at);
            if ended.kills {
                // In a step of its own, so that whoever looks on has seen all that came before.
                self.dying = true;
                return;
            }
            self.answer(now, &ended, out);
        }
        self.run_next(now, out);
    }

    pub(super) fn receive(
        &mut self,
        now: Time,
        engine: &Engine,
        from: Member,
        message: Message,
        out: &mut Outbox<Wish>,
    ) {
        match message {
            Message::Assign { lane, life, map, batch, duplicate, items, work } => {
                if self.dying || !engine.detector().is_linked(from) || life != self.me.incarnation || lane < self.lane {
                    return;
                }
                if lane > self.lane {
                    self.lane = lane;
                    self.drop_work_of(from, out);
                }
                self.assigned(Job { from, map, batch, duplicate, items, work }, out);
                self.run_next(now, out);
            }
            Message::Cancel { map, batch } => {
                self.cancelled(map, batch, out);
                self.run_next(now, out);
            }
            Message::Answer { .. } | Message::Refused { .. } => {}
        }
    }

    /// The link with a caller has ended, or is another one.
    pub(super) fn drop_work_of(&mut self, caller: Member, out: &mut Outbox<Wish>) {
        if self.running.iter().any(|running| running.job.from == caller) {
            out.reached("worker: a running batch dropped with its link");
        }
        self.waiting.retain(|job| job.from != caller);
        self.running.retain(|running| running.job.from != caller);
    }

    /// Drops what callers gave who are not linked any more.
    pub(super) fn drop_work_of_unlinked(&mut self, engine: &Engine, out: &mut Outbox<Wish>) {
        let jobs = self.running.iter().map(|running| &running.job).chain(&self.waiting);
        let gone = jobs.map(|job| job.from).find(|from| !engine.detector().is_linked(*from));
        if let Some(gone) = gone {
            self.drop_work_of(gone, out);
        }
    }

    /// What has not begun does not begin any more.
    pub(super) fn leave(&mut self, out: &mut Outbox<Wish>) {
        self.leaving = true;
        for job in std::mem::take(&mut self.waiting) {
            refuse(&job, out);
        }
    }

    fn assigned(&mut self, job: Job, out: &mut Outbox<Wish>) {
        let held = self.running.len() + self.waiting.len();
        let full = held >= self.parallelism as usize * HELD_MAX;
        if full || self.leaving || self.random.chance(self.habits.refuses) {
            return refuse(&job, out);
        }
        let jobs = self.running.iter().map(|running| &running.job).chain(&self.waiting);
        let of_map = jobs.filter(|held| held.map == job.map).count() + 1;
        self.seen.push(Seen::Holds { map: job.map, batches: of_map, parallelism: self.parallelism });
        self.waiting.push_back(job);
    }

    fn cancelled(&mut self, map: u32, batch: u64, out: &mut Outbox<Wish>) {
        let named = |job: &Job| job.map == map && job.batch == batch;
        if let Some(at) = self.waiting.iter().position(named) {
            let Some(job) = self.waiting.remove(at) else { return };
            return refuse(&job, out);
        }
        let Some(at) = self.running.iter().position(|running| named(&running.job)) else { return };
        out.reached("worker: a running batch cancelled");
        // Nobody can stop an item in the middle, and after the last one the batch is answered.
        if self.random.below(2) == 0 {
            refuse(&self.running.remove(at).job, out);
        }
    }

    fn run_next(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while self.running.len() < self.parallelism as usize
            && !self.dying
            && let Some(job) = self.waiting.pop_front()
        {
            if job.duplicate {
                out.reached("worker: a copy begun");
            }
            self.run(now, job);
        }
    }

    fn run(&mut self, now: Time, job: Job) {
        let items: u64 = job.items.iter().map(|(first, end)| end - first).sum();
        let runs = if self.random.chance(self.habits.returns) { self.random.below(items) } else { items };
        let mut cost = Duration::ZERO;
        let mut kills = false;
        let mut left = runs;
        for (first, end) in &job.items {
            let end = (*end).min(first + left);
            left -= end - first;
            // Those behind an item that kills are said to have run too: nobody could tell.
            self.seen.push(Seen::Runs { map: job.map, items: *first..end });
            for item in *first..end {
                if kills {
                    break;
                }
                cost += job.work.cost(item);
                kills = !self.calm && job.work.kills(item, self.me);
            }
        }
        cost = cost * u32::try_from(self.slowness).unwrap_or(100) / 100;
        if self.random.chance(self.habits.stalls) {
            cost += Duration::from_micros(self.random.below(1_000_000));
        }
        self.running.push(Running { job, began: now, until: now + cost, runs, kills });
    }

    fn answer(&mut self, now: Time, ended: &Running, out: &mut Outbox<Wish>) {
        let Job { from, map, batch, items, work, .. } = &ended.job;
        let items = items.iter().flat_map(|(first, end)| *first..*end);
        let result = |(at, item)| if at < ended.runs { work.result(item) } else { Entry::Returned };
        let mut results: Vec<_> = (0..).zip(items).map(result).collect();
        if self.random.chance(self.habits.miscounts) {
            match self.random.below(3) {
                0 => results.push(Entry::Value(0)),
                1 => _ = results.pop(),
                _ => results.clear(),
            }
        }
        let busy = now.saturating_since(ended.began);
        let busy_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        let bytes = Message::Answer { map: *map, batch: *batch, busy_ns, results }.encode();
        if self.random.chance(self.habits.repeats) {
            out.push(Wish::Send { to: *from, kind: Kind::Stream, bytes: bytes.clone() });
        }
        out.push(Wish::Send { to: *from, kind: Kind::Stream, bytes });
    }
}

fn refuse(job: &Job, out: &mut Outbox<Wish>) {
    let bytes = Message::Refused { map: job.map, batch: job.batch }.encode();
    out.push(Wish::Send { to: job.from, kind: Kind::Stream, bytes });
}

/// So many batches a slot it takes, of all maps together.
const HELD_MAX: usize = 3;
