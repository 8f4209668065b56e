//! A small discrete-event simulation: how long a map takes against the best that anybody could do.
//! Virtual time, so the factors below are exact and the same everywhere.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::super::{BatchId, Config, Effect, Machine, Outcome, Runs};
use crate::protocol::contract::Outbox;
use crate::protocol::random::Random;
use crate::protocol::time::Time;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;

/// One way between caller and worker, unless a test says otherwise.
const LATENCY: u64 = 100 * MICRO;

/// A worker as it really is.
#[derive(Clone, Debug)]
struct Node {
    slots: u32,
    /// Work done in a unit of time, in percent.
    speed: u64,
    /// From then on it neither works nor answers.
    silent_from: u64,
    /// When it is not a member; it starts afresh after each.
    away: Vec<Range<u64>>,
    here: bool,
    /// Batches from before its last loss end with an older number, and come to nothing.
    life: u64,
    waiting: VecDeque<BatchId>,
    running: u32,
}

const PLAIN: Node = Node {
    slots: 1,
    speed: 100,
    silent_from: u64::MAX,
    away: Vec::new(),
    here: false,
    life: 0,
    waiting: VecDeque::new(),
    running: 0,
};

impl Node {
    fn works_at(&self, time: u64) -> bool {
        time < self.silent_from && !self.away.iter().any(|away| away.contains(&time))
    }

    fn strength(&self) -> u64 {
        self.speed * u64::from(self.slots)
    }

    /// The moments when it begins or ceases to work.
    fn marks(&self) -> Vec<u64> {
        let silence = (self.silent_from < u64::MAX).then_some(self.silent_from);
        self.away.iter().flat_map(|away| [away.start, away.end]).chain(silence).collect()
    }
}

#[derive(Debug)]
enum Happening {
    Join(usize),
    Lose(usize),
    Arrive(usize, BatchId),
    CancelArrives(usize, BatchId),
    End { node: usize, life: u64, batch: BatchId, busy: u64 },
    Answer { node: usize, batch: BatchId, busy: u64 },
    Refusal(usize, BatchId),
    Wake,
}

struct World {
    machine: Machine<usize>,
    costs: Vec<u64>,
    nodes: Vec<Node>,
    latency: u64,
    /// Whether answers say how long the worker was busy.
    honest_clock: bool,
    /// Offer only what the machine asks for.
    streaming: bool,
    now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    entries: u64,
    sent: BTreeMap<BatchId, Runs>,
    counted: u64,
    batches: u64,
    duplicates: u64,
    /// Work that was done, counted or not.
    worked: u64,
    pending_most: u64,
    finished_at: Option<u64>,
}

impl World {
    fn new(config: Config, costs: Vec<u64>, nodes: Vec<Node>) -> Self {
        Self {
            machine: Machine::new(config),
            costs,
            nodes,
            latency: LATENCY,
            honest_clock: true,
            streaming: false,
            now: 0,
            agenda: BTreeMap::new(),
            entries: 0,
            sent: BTreeMap::new(),
            counted: 0,
            batches: 0,
            duplicates: 0,
            worked: 0,
            pending_most: 0,
            finished_at: None,
        }
    }

    /// Plays to the end and tells the makespan in thousandths of the ideal.
    fn play(&mut self) -> u64 {
        for node in 0..self.nodes.len() {
            if self.nodes[node].away.first().is_none_or(|away| away.start > 0) {
                self.plan(0, Happening::Join(node));
            }
            for away in self.nodes[node].away.clone() {
                if away.start > 0 {
                    self.plan(away.start, Happening::Lose(node));
                }
                self.plan(away.end, Happening::Join(node));
            }
        }
        self.feed();
        let ideal = self.ideal();
        while self.finished_at.is_none() {
            let ((at, _), happening) = self.agenda.pop_first().expect("the map stands still");
            assert!(at < 100 * ideal, "the map crawls");
            self.now = at;
            self.happen(happening);
            self.feed();
        }
        assert_eq!(self.counted, self.costs.len() as u64);
        let makespan = self.finished_at.unwrap_or(u64::MAX);
        let factor = makespan * 1000 / ideal;
        std::println!(
            "makespan {} us, ideal {} us, factor {factor}/1000, {} batches, {} duplicates, {}/1000 of the work done",
            makespan / MICRO,
            ideal / MICRO,
            self.batches,
            self.duplicates,
            self.worked * 1000 / self.costs.iter().sum::<u64>().max(1),
        );
        factor
    }

    /// No schedule is faster: all the work over all the speed that is there at each time, or the
    /// longest item on the fastest node, and one way there and back.
    fn ideal(&self) -> u64 {
        let work: u64 = self.costs.iter().sum();
        let fastest = self.nodes.iter().filter(|node| node.silent_from == u64::MAX).map(|node| node.speed).max();
        let longest = self.costs.iter().max().unwrap_or(&0) * 100 / fastest.unwrap_or(100);
        let mut marks: Vec<u64> = self.nodes.iter().flat_map(Node::marks).collect();
        marks.sort_unstable();
        let (mut left, mut at) = (work * 100, 0);
        for mark in marks {
            let speed: u64 = self.nodes.iter().filter(|node| node.works_at(at)).map(Node::strength).sum();
            if speed > 0 && left / speed <= mark - at {
                break;
            }
            left -= (mark - at) * speed;
            at = mark;
        }
        let speed: u64 = self.nodes.iter().filter(|node| node.works_at(at)).map(Node::strength).sum();
        (at + left / speed).max(longest) + 2 * self.latency
    }

    fn plan(&mut self, at: u64, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((at, self.entries), happening);
    }

    fn feed(&mut self) {
        let left = self.costs.len() as u64 - self.machine.offered();
        let count = if self.streaming { self.machine.appetite().min(left) } else { left };
        if count > 0 {
            self.input(|machine, now, out| machine.offer(now, count, out));
        }
        self.pending_most = self.pending_most.max(self.machine.pending());
        if count == left && self.machine.input_open {
            self.input(|machine, now, out| machine.finish_input(now, out));
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join(node) => {
                self.nodes[node].here = true;
                let slots = self.nodes[node].slots;
                self.input(|machine, now, out| machine.worker_joined(now, node, slots, out));
            }
            Happening::Lose(node) => {
                let lost = &mut self.nodes[node];
                lost.here = false;
                lost.life += 1;
                lost.waiting.clear();
                lost.running = 0;
                self.input(|machine, now, out| machine.worker_lost(now, node, out));
            }
            Happening::Arrive(node, batch) => {
                if self.nodes[node].here {
                    self.nodes[node].waiting.push_back(batch);
                    self.run_next(node);
                }
            }
            Happening::CancelArrives(node, batch) => {
                let waiting = &mut self.nodes[node].waiting;
                // What runs already goes on to its end, like a plain function.
                if let Some(place) = waiting.iter().position(|&other| other == batch) {
                    waiting.remove(place);
                    self.plan(self.now + self.latency, Happening::Refusal(node, batch));
                }
            }
            Happening::End { node, life, batch, busy } => {
                if self.nodes[node].life == life && self.now < self.nodes[node].silent_from {
                    self.nodes[node].running -= 1;
                    self.plan(self.now + self.latency, Happening::Answer { node, batch, busy });
                    self.run_next(node);
                }
            }
            Happening::Answer { node, batch, busy } => {
                let outcomes = vec![Outcome::Succeeded; self.sent[&batch].len() as usize];
                let busy = self.honest_clock.then_some(Duration::from_nanos(busy));
                self.input(|machine, now, out| machine.done(now, node, batch, busy, &outcomes, out));
            }
            Happening::Refusal(node, batch) => {
                self.input(|machine, now, out| machine.worker_refused(now, node, batch, out));
            }
            Happening::Wake => {
                if self.machine.deadline().is_some_and(|deadline| deadline.as_nanos() <= self.now) {
                    self.input(Machine::wake);
                }
            }
        }
    }

    fn run_next(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.running < node.slots && self.now < node.silent_from {
            let Some(batch) = node.waiting.pop_front() else { return };
            node.running += 1;
            let work: u64 = self.sent[&batch].items().map(|item| self.costs[item as usize]).sum();
            self.worked += work;
            let busy = work * 100 / node.speed;
            let life = node.life;
            self.plan(self.now + busy, Happening::End { node: number, life, batch, busy });
        }
    }

    fn input(&mut self, act: impl FnOnce(&mut Machine<usize>, Time, &mut Outbox<Effect<usize>>)) {
        let mut out = Outbox::new();
        act(&mut self.machine, Time::from_nanos(self.now), &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Assign { worker, batch, items, duplicate } => {
                    self.batches += 1;
                    self.duplicates += u64::from(duplicate);
                    self.sent.insert(batch, items);
                    self.plan(self.now + self.latency, Happening::Arrive(worker, batch));
                }
                Effect::Cancel { worker, batch } => {
                    self.plan(self.now + self.latency, Happening::CancelArrives(worker, batch));
                }
                Effect::Complete { items, .. } => self.counted += items.end - items.start,
                Effect::Finished => self.finished_at = Some(self.now),
                Effect::Ignored { .. } => {}
                Effect::Unknown { .. } | Effect::Poisoned { .. } => panic!("{effect:?}"),
            }
        }
        if let Some(deadline) = self.machine.deadline() {
            self.plan(deadline.as_nanos().max(self.now), Happening::Wake);
        }
    }
}

/// Costs around `mean`, spread like a bell over their logarithm: most are
/// small, and some are fifty times as long as others.
fn uneven(count: u64, mean: u64, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let mut costs = Vec::new();
    for _ in 0..count {
        // The sum of twelve dice is bell-shaped, and 36 is its deviation; each step of 24 doubles the cost.
        let bell: u64 = (0..12).map(|_| random.below(36)).sum();
        let cost = (1u64 << (bell / 24)) * (24 + bell % 24);
        costs.push(cost);
    }
    let sum: u64 = costs.iter().sum();
    costs.iter().map(|cost| cost * mean * count / sum).collect()
}

#[test]
fn equal_items_on_equal_workers_take_the_ideal_time() {
    // A multiple of the slots, so that the ideal can be reached.
    let factor = World::new(Config::default(), vec![2 * MILLI; 4000], vec![PLAIN; 4]).play();
    assert!(factor <= 1010, "{factor}");
    let factor = World::new(Config::default(), vec![40 * MILLI; 400], vec![PLAIN; 4]).play();
    assert!(factor <= 1020, "{factor}");
}

#[test]
fn uneven_items_on_equal_workers_take_hardly_longer() {
    for seed in 0..5 {
        let factor = World::new(Config::default(), uneven(4000, MILLI, seed), vec![PLAIN; 4]).play();
        assert!(factor <= 1030, "seed={seed}: {factor}");
        let factor = World::new(Config::default(), uneven(600, 20 * MILLI, seed), vec![PLAIN; 4]).play();
        assert!(factor <= 1050, "seed={seed}: {factor}");
        let four_slots = vec![Node { slots: 4, ..PLAIN }; 4];
        let factor = World::new(Config::default(), uneven(8000, 2 * MILLI, seed), four_slots).play();
        assert!(factor <= 1050, "seed={seed}: {factor}");
    }
}

#[test]
fn one_long_item_in_fifty_does_not_hold_up_the_end() {
    for phase in 0..10 {
        let costs =
            |count: u64| (0..count).map(|item| if item % 50 == phase * 5 { 50 * MILLI } else { MILLI }).collect();
        let factor = World::new(Config::default(), costs(6000), vec![PLAIN; 4]).play();
        assert!(factor <= 1030, "{phase}: {factor}");
        // Here one long item is a tenth of the whole, and nobody knows which ones are long.
        let factor = World::new(Config::default(), costs(1000), vec![PLAIN; 4]).play();
        assert!(factor <= 1080, "{phase}: {factor}");
    }
}

#[test]
fn a_worker_four_times_slower_gets_a_quarter_of_the_work() {
    let nodes = vec![PLAIN, PLAIN, PLAIN, Node { speed: 25, ..PLAIN }];
    let factor = World::new(Config::default(), vec![MILLI; 4000], nodes.clone()).play();
    assert!(factor <= 1020, "{factor}");
    let factor = World::new(Config::default(), vec![20 * MILLI; 400], nodes.clone()).play();
    assert!(factor <= 1030, "{factor}");
    for seed in 0..5 {
        let factor = World::new(Config::default(), uneven(2000, 4 * MILLI, seed), nodes.clone()).play();
        assert!(factor <= 1050, "seed={seed}: {factor}");
    }
}

#[test]
fn a_worker_that_stops_silently_is_replaced_without_being_lost() {
    let nodes = vec![PLAIN, PLAIN, PLAIN, Node { silent_from: 300 * MILLI, ..PLAIN }];
    let factor = World::new(Config::default(), vec![2 * MILLI; 1000], nodes.clone()).play();
    assert!(factor <= 1060, "{factor}");
    for seed in 0..5 {
        let factor = World::new(Config::default(), uneven(500, 4 * MILLI, seed), nodes.clone()).play();
        assert!(factor <= 1150, "seed={seed}: {factor}");
    }
    // Of four workers three fall silent: the last one ends it.
    let nodes: Vec<Node> = (1..5)
        .map(|life| Node { silent_from: if life == 4 { u64::MAX } else { life * 50 * MILLI }, ..PLAIN })
        .collect();
    let factor = World::new(Config::default(), vec![2 * MILLI; 500], nodes).play();
    assert!(factor <= 1150, "{factor}");
}

#[test]
fn workers_that_are_lost_and_come_back_cost_only_what_they_held() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let mut nodes = vec![PLAIN; 4];
        // Worker 0 stays; each of the others leaves every 200 to 400 ms, for 50 to 100 ms.
        for node in &mut nodes[1..] {
            let mut at = 0;
            while at < 4_000 * MILLI {
                let from = at + (200 + random.below(200)) * MILLI;
                at = from + (50 + random.below(50)) * MILLI;
                node.away.push(from..at);
            }
        }
        let factor = World::new(Config::default(), uneven(4000, 2 * MILLI, seed), nodes).play();
        // Nearly thirty losses, each of two half-finished batches of 7 ms.
        assert!(factor <= 1050, "seed={seed}: {factor}");
    }
}

#[test]
fn a_worker_that_joins_half_way_is_used_at_once() {
    let late = Node { away: core::iter::once(0..500 * MILLI).collect(), slots: 4, ..PLAIN };
    let factor = World::new(Config::default(), vec![MILLI; 4000], vec![PLAIN, PLAIN, late]).play();
    assert!(factor <= 1020, "{factor}");
}

#[test]
fn a_million_tiny_items_travel_in_few_batches() {
    let mut world = World::new(Config::default(), vec![100; 1_000_000], vec![Node { slots: 2, ..PLAIN }; 2]);
    world.play();
    assert!(world.batches <= 2_000, "{}", world.batches);
    let mut world = World::new(Config::default(), vec![100; 1_000_000], vec![Node { slots: 16, ..PLAIN }; 4]);
    world.honest_clock = false;
    world.play();
    assert!(world.batches <= 3_000, "{}", world.batches);
}

#[test]
fn workers_far_away_do_not_starve() {
    let mut world = World::new(Config::default(), vec![MILLI; 20_000], vec![PLAIN; 4]);
    world.latency = 25 * MILLI;
    let factor = world.play();
    assert!(factor <= 1150, "{factor}");
}

#[test]
fn the_scheduler_needs_no_word_from_the_workers_clocks() {
    for seed in 0..5 {
        let nodes = vec![PLAIN, PLAIN, PLAIN, Node { speed: 25, ..PLAIN }];
        let mut world = World::new(Config::default(), uneven(4000, MILLI, seed), nodes);
        world.honest_clock = false;
        let factor = world.play();
        assert!(factor <= 1050, "seed={seed}: {factor}");
    }
}

#[test]
fn a_stream_of_items_takes_no_longer_and_little_memory() {
    for seed in 0..5 {
        let mut world = World::new(Config::default(), uneven(20_000, 200 * MICRO, seed), vec![PLAIN; 4]);
        world.streaming = true;
        let factor = world.play();
        assert!(factor <= 1050, "seed={seed}: {factor}");
        assert!(world.pending_most <= 2_000, "{}", world.pending_most);
    }
}

#[test]
fn items_that_must_run_once_are_spread_evenly_without_duplicates() {
    for seed in 0..5 {
        let config = Config { once: true, ..Config::default() };
        let mut world = World::new(config, uneven(1000, 10 * MILLI, seed), vec![PLAIN; 4]);
        let factor = world.play();
        assert_eq!(world.duplicates, 0);
        assert!(factor <= 1050, "seed={seed}: {factor}");
    }
}

#[test]
fn a_short_map_ends_evenly_too() {
    for seed in 0..5 {
        // 200 ms of work for each worker: without smaller batches at the end 7 ms of them are at stake.
        let config = Config { once: true, ..Config::default() };
        let mut world = World::new(config, uneven(8000, 100 * MICRO, seed), vec![PLAIN; 4]);
        let factor = world.play();
        assert!(factor <= 1015, "seed={seed}: {factor}");
    }
}
