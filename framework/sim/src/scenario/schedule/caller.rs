//! One who has maps: the shell around the machines.

use std::{collections::BTreeMap, time::Duration};

use guthi_core::{
    protocol::{
        bugs::Bugs,
        contract::Outbox,
        detector::Status,
        engine::Engine,
        schedule::{BatchId, Config, Effect, Machine, Outcome, Runs},
        time::Time,
    },
    wire::id::{Member, NodeId},
};

use super::{
    Act, Start,
    ledger::{End, Seen},
    message::{Entry, Message, Work},
};
use crate::{fabric::Kind, world::Wish};

/// The key under which a worker says in its catalog how many batches it runs at once.
pub(super) const PARALLELISM: &str = "parallelism";

/// The caller's side of all maps.
#[derive(Debug)]
pub(super) struct Caller {
    bugs: Bugs,
    /// The links that are up, and how many there were before each.
    lanes: BTreeMap<NodeId, Lane>,
    lanes_opened: u64,
    /// Who is known to the machines, over which lane.
    workers: BTreeMap<NodeId, Worker>,
    pub(super) maps: Vec<Map>,
    effects: Outbox<Effect<NodeId>>,
    pub(super) seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lane {
    number: u64,
    member: Member,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    lane: Lane,
    parallelism: u32,
}

#[derive(Debug)]
pub(super) struct Map {
    number: u32,
    work: Work,
    pub(super) machine: Machine<NodeId>,
    /// Items that the machine had no appetite for yet.
    source: u64,
    source_open: bool,
    input_open: bool,
    /// What workers owe an answer for.
    out: BTreeMap<BatchId, Out>,
}

#[derive(Debug)]
struct Out {
    worker: NodeId,
    items: Runs,
    cancelled: bool,
}

impl Caller {
    pub(super) fn new(bugs: Bugs) -> Self {
        Self {
            bugs,
            lanes: BTreeMap::new(),
            lanes_opened: 0,
            workers: BTreeMap::new(),
            maps: Vec::new(),
            effects: Outbox::new(),
            seen: Vec::new(),
        }
    }

    /// Whether anybody is there who could run something.
    pub(super) fn has_workers(&self) -> bool {
        !self.workers.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.maps.iter().filter_map(|map| map.machine.deadline()).min()
    }

    pub(super) fn wake(&mut self, now: Time, out: &mut Outbox<Wish>) {
        for at in 0..self.maps.len() {
            if self.maps[at].machine.deadline().is_some_and(|due| due <= now) {
                self.maps[at].machine.wake(now, &mut self.effects);
                self.go_on(now, at, out);
            }
        }
    }

    // Its user.

    pub(super) fn act(&mut self, now: Time, act: &Act, out: &mut Outbox<Wish>) {
        let named = |map: u8| usize::from(map).checked_rem(self.maps.len());
        match act {
            Act::Start(start) => self.start(now, start, out),
            Act::Offer { map, items } => {
                let Some(at) = named(*map) else { return };
                // A map that never began, because its caller stood still, leaves its number to the next one, which may
                // have far longer items: those would not be done when the run ends.
                let of = &mut self.maps[at];
                let offered = of.source + u64::from(*items);
                if of.source_open && offered * u64::from(of.work.cost_us) <= WORK_US_MAX {
                    of.source = offered;
                }
                self.go_on(now, at, out);
            }
            Act::Finish { map } => {
                let Some(at) = named(*map) else { return };
                self.maps[at].source_open = false;
                self.go_on(now, at, out);
            }
            Act::Cancel { map } => {
                let Some(at) = named(*map) else { return };
                if !self.maps[at].machine.is_over() {
                    self.seen.push(Seen::Ended { map: self.maps[at].number, how: End::Cancelled });
                }
                self.maps[at].machine.cancel(&mut self.effects);
                self.go_on(now, at, out);
            }
        }
    }

    fn start(&mut self, now: Time, start: &Start, out: &mut Outbox<Wish>) {
        let mut config = Config::default();
        config.attempts = u32::from(start.attempts);
        config.once = start.once;
        config.batch_items_max = u32::from(start.batch_items_max);
        config.bugs = self.bugs;
        let mut machine = Machine::new(config);
        for (node, worker) in &self.workers {
            machine.worker_joined(now, *node, worker.parallelism, &mut self.effects);
        }
        let at = self.maps.len();
        self.seen.push(Seen::Began { once: start.once, attempts: u32::from(start.attempts), work: start.work.clone() });
        self.maps.push(Map {
            number: u32::try_from(at).unwrap_or(u32::MAX),
            work: start.work.clone(),
            machine,
            source: u64::from(start.items),
            source_open: start.open,
            input_open: true,
            out: BTreeMap::new(),
        });
        self.go_on(now, at, out);
    }

    // Its workers.

    /// A link has come up, or another one has taken its place.
    pub(super) fn linked(&mut self, engine: &Engine, member: Member) {
        if engine.detector().is_linked(member) {
            self.lanes_opened += 1;
            self.lanes.insert(member.node, Lane { number: self.lanes_opened, member });
        }
    }

    /// Tells the machines who is there: whoever is alive and has a lane. One with another lane than before is another.
    pub(super) fn update_workers(&mut self, now: Time, engine: &Engine, out: &mut Outbox<Wish>) {
        self.lanes.retain(|_, lane| engine.detector().is_linked(lane.member));
        let alive = |lane: &Lane| engine.detector().peer(lane.member.node) == Some((lane.member, Status::Alive));
        let lost = self
            .workers
            .iter()
            .filter(|(node, worker)| !self.lanes.get(node).is_some_and(|lane| *lane == worker.lane && alive(lane)));
        let lost: Vec<_> = lost.map(|(node, _)| *node).collect();
        for node in lost {
            self.workers.remove(&node);
            self.worker_lost(now, node, out);
        }
        let new: Vec<_> = self.lanes.values().filter(|lane| alive(lane)).copied().collect();
        for lane in new {
            let node = lane.member.node;
            if self.workers.contains_key(&node) {
                continue;
            }
            let book = engine.catalog().copy(node).filter(|(life, _)| *life == lane.member.incarnation);
            let entry = book.and_then(|(_, book)| book.get(PARALLELISM)?.first().copied());
            let parallelism = entry.map_or(1, u32::from);
            self.workers.insert(node, Worker { lane, parallelism });
            for at in 0..self.maps.len() {
                if !self.maps[at].machine.is_over() {
                    self.maps[at].machine.worker_joined(now, node, parallelism, &mut self.effects);
                    self.go_on(now, at, out);
                }
            }
        }
    }

    fn worker_lost(&mut self, now: Time, node: NodeId, out: &mut Outbox<Wish>) {
        for at in 0..self.maps.len() {
            let map = &mut self.maps[at];
            if map.machine.is_over() {
                continue;
            }
            for batch in map.out.extract_if(.., |_, batch| batch.worker == node).map(|(_, batch)| batch) {
                if !batch.cancelled {
                    self.seen.push(Seen::Lost { map: map.number, items: batch.items.iter().collect() });
                }
            }
            map.machine.worker_lost(now, node, &mut self.effects);
            self.go_on(now, at, out);
        }
    }

    pub(super) fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox<Wish>) {
        match message {
            Message::Answer { map, batch, busy_ns, results } => {
                let Some(at) = self.at(map) else { return };
                self.answered(now, at, from.node, BatchId::from_u64(batch), (busy_ns, &results));
                self.go_on(now, at, out);
            }
            Message::Refused { map, batch } => {
                let Some(at) = self.at(map) else { return };
                let batch = BatchId::from_u64(batch);
                self.maps[at].take_out(from.node, batch);
                self.maps[at].machine.worker_refused(now, from.node, batch, &mut self.effects);
                self.go_on(now, at, out);
            }
            Message::Assign { .. } | Message::Cancel { .. } => {}
        }
    }

    fn at(&self, map: u32) -> Option<usize> {
        usize::try_from(map).ok().filter(|at| *at < self.maps.len())
    }

    fn answered(&mut self, now: Time, at: usize, from: NodeId, batch: BatchId, answer: (u64, &[Entry])) {
        let (busy_ns, results) = answer;
        let map = &mut self.maps[at];
        let owed = map.take_out(from, batch);
        if let Some(owed) = owed.filter(|owed| !owed.cancelled && owed.items.len() != results.len() as u64) {
            self.seen.push(Seen::Lost { map: map.number, items: owed.items.iter().collect() });
        }
        let outcome = |entry: &Entry| match entry {
            Entry::Value(_) => Outcome::Succeeded,
            Entry::Failed => Outcome::Failed,
            Entry::Returned => Outcome::Returned,
        };
        let outcomes: Vec<_> = results.iter().map(outcome).collect();
        let busy = Some(Duration::from_nanos(busy_ns));
        map.machine.done(now, from, batch, busy, &outcomes, &mut self.effects);
        for effect in self.effects.extract(|effect| matches!(effect, Effect::Complete { .. })) {
            let Effect::Complete { items, offset, .. } = effect else { continue };
            let end = offset + usize::try_from(items.end - items.start).unwrap_or(0);
            self.seen.push(match results.get(offset..end) {
                Some(results) => Seen::Counted { map: map.number, first: items.start, results: results.to_vec() },
                None => Seen::Wrong(format!("K1: items {items:?} have no results in their answer")),
            });
        }
    }

    /// Carries effects out and feeds the machine, until it has what it wants.
    fn go_on(&mut self, now: Time, at: usize, out: &mut Outbox<Wish>) {
        loop {
            self.carry_out(at, out);
            let map = &mut self.maps[at];
            if map.machine.is_over() || !map.input_open {
                return;
            }
            let count = map.source.min(map.machine.appetite());
            if count > 0 {
                map.source -= count;
                self.seen.push(Seen::Offered { map: map.number, items: count });
                map.machine.offer(now, count, &mut self.effects);
            } else if map.source == 0 && !map.source_open {
                map.input_open = false;
                self.seen.push(Seen::InputFinished { map: map.number });
                map.machine.finish_input(now, &mut self.effects);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, at: usize, out: &mut Outbox<Wish>) {
        out.absorb_reached(&mut self.effects);
        let Map { number, work, out: batches, .. } = &mut self.maps[at];
        let map = *number;
        for effect in self.effects.drain() {
            match effect {
                Effect::Assign { worker, batch, items, duplicate } => {
                    let Some(there) = self.workers.get(&worker) else {
                        self.seen.push(Seen::Wrong(format!("S3: {batch:?} of map {map} is given to one who is gone")));
                        continue;
                    };
                    let message = Message::Assign {
                        lane: there.lane.number,
                        life: there.lane.member.incarnation,
                        map,
                        batch: batch.as_u64(),
                        duplicate,
                        items: items.iter().map(|run| (run.start, run.end)).collect(),
                        work: work.clone(),
                    };
                    send(there.lane.member, &message, out);
                    batches.insert(batch, Out { worker, items, cancelled: false });
                    let held = batches.values().filter(|out| out.worker == worker).count();
                    self.seen.push(Seen::Holds { map, batches: held, parallelism: there.parallelism });
                }
                Effect::Cancel { worker, batch } => {
                    if let Some(out) = batches.get_mut(&batch) {
                        out.cancelled = true;
                    }
                    if let Some(there) = self.workers.get(&worker) {
                        send(there.lane.member, &Message::Cancel { map, batch: batch.as_u64() }, out);
                    }
                }
                Effect::Complete { items, .. } => {
                    self.seen
                        .push(Seen::Wrong(format!("M1: items {items:?} of map {map} are counted without an answer")));
                }
                Effect::Unknown { items } => {
                    out.push(Wish::Note(format!("says: items {items:?} of map {map} may have run, or not")));
                    self.seen.push(Seen::Unknown { map, items });
                }
                Effect::Poisoned { item } => {
                    out.push(Wish::Note(format!("says: item {item} of map {map} has lost too many workers")));
                    self.seen.push(Seen::Ended { map, how: End::Poisoned { item } });
                }
                Effect::Finished => {
                    out.push(Wish::Note(format!("says: map {map} is finished")));
                    self.seen.push(Seen::Ended { map, how: End::Finished });
                }
                Effect::Ignored { .. } => {}
            }
        }
    }
}

impl Map {
    /// A worker lets go of a batch.
    fn take_out(&mut self, worker: NodeId, batch: BatchId) -> Option<Out> {
        self.out.get(&batch).filter(|out| out.worker == worker)?;
        self.out.remove(&batch)
    }
}

fn send(to: Member, message: &Message, out: &mut Outbox<Wish>) {
    out.push(Wish::Send { to, kind: Kind::Stream, bytes: message.encode() });
}

/// What the items of a map may cost together, at one worker: a little more than any plan asks for.
const WORK_US_MAX: u64 = 6_000_000;
