//! Maps that one node has run by others, which come, go, dawdle, refuse, talk nonsense and die: M1, M2, S1 to S3.
//!
//! Place 0 is the caller, and it lives as long as its maps do; at all other places are workers.
//!
//! **Rules.** M1 and S1 to S3 as in the essay of the machine. M2: when the faults are over and a worker lives, each map
//! comes to its end, and an item is condemned only if it has really lost so many workers. K1: a result is that of its
//! item. K2: an item that must run once is begun once at most, over all workers. B: a worker never holds more than two
//! batches a slot of one map. E1: if a worker lives when the faults are over, and there is work, the caller knows it.

mod caller;
mod ledger;
mod message;
mod worker;

use guthi_core::{
    protocol::{contract::Outbox, detector, engine, random::Random, schedule::invariant, time::Time},
    wire::id::Member,
};
use serde::{Deserialize, Serialize};

pub use self::message::{Poison, Work};
use self::{
    caller::Caller,
    ledger::{Ledger, Seen},
    message::Message,
    worker::Worker,
};
use super::{Boot, Operation, Scenario, Violation, node};
use crate::{
    fabric::{Kind, Place},
    fault::Profile,
    world::{Host, Input, Wish, World},
};

/// Maps of one node, run by all others.
#[derive(Debug)]
pub struct Schedule {
    profile: Profile,
    ledger: Ledger,
    /// How many steps of the caller touched a map.
    touches: u64,
}

/// What the caller's user does. Maps are numbered in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Begin a map.
    Start(Start),
    /// Add items to a map whose input is still open.
    Offer {
        /// Which.
        map: u8,
        /// How many.
        items: u16,
    },
    /// There will be no more items.
    Finish {
        /// Of which map.
        map: u8,
    },
    /// Give a map up.
    Cancel {
        /// Which.
        map: u8,
    },
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How many items there are at first.
    pub items: u16,
    /// More may follow.
    pub open: bool,
    /// No item may run twice.
    pub once: bool,
    /// The workers that an item may lose.
    pub attempts: u8,
    /// The most items in a batch.
    pub batch_items_max: u16,
    /// What the items are.
    pub work: Work,
}

/// A node of this scenario.
#[derive(Debug)]
pub struct ScheduleHost {
    node: node::Node,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Caller(Caller),
    Worker(Worker),
}

impl Host for ScheduleHost {
    type Operation = Act;

    fn step(&mut self, now: Time, input: Input<'_, Act>, out: &mut Outbox<Wish>) {
        let Self { node, role } = self;
        let input = match input {
            Input::Linked(member) => {
                node.linked(now, member, out);
                role.linked(&node.engine, member, out);
                return self.view_changed(now, out);
            }
            Input::Message { from, bytes, kind: Kind::Packet } => {
                node.packet(now, from, bytes, out);
                return self.look_at_events(now, out);
            }
            Input::Message { from, bytes, kind: Kind::Stream } => {
                if let Some(message) = Message::decode(bytes) {
                    node.step(now, engine::Input::Heard(from), out);
                    match role {
                        Role::Caller(caller) => caller.receive(now, from, message, out),
                        Role::Worker(worker) => worker.receive(now, &node.engine, from, message, out),
                    }
                }
                return;
            }
            Input::Operation(act) => {
                if let Role::Caller(caller) = role {
                    caller.act(now, act, out);
                }
                return;
            }
            Input::Unlinked(member) => {
                node.step(now, engine::Input::Unlinked(member), out);
                return self.view_changed(now, out);
            }
            Input::Unreachable(node) => engine::Input::Unreachable(node),
            Input::Leave => {
                if let Role::Worker(worker) = role {
                    worker.leave(out);
                }
                engine::Input::Leave
            }
            Input::Wake => {
                match role {
                    Role::Caller(caller) => caller.wake(now, out),
                    Role::Worker(worker) => worker.wake(now, out),
                }
                if node.engine.deadline().is_none_or(|due| due > now) {
                    return;
                }
                engine::Input::Wake
            }
        };
        node.step(now, input, out);
        self.look_at_events(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let role = match &self.role {
            Role::Caller(caller) => caller.deadline(),
            Role::Worker(worker) => worker.deadline(),
        };
        [self.node.engine.deadline(), role].into_iter().flatten().min()
    }

    fn tell(bytes: &[u8]) -> String {
        Message::decode(bytes).map_or_else(|| node::tell(bytes), |message| message.tell())
    }

    fn is_noise(bytes: &[u8]) -> bool {
        node::is_noise(bytes, node::Topic::Catalog)
    }
}

impl ScheduleHost {
    /// Whether somebody is there is told by the detector.
    fn look_at_events(&mut self, now: Time, out: &mut Outbox<Wish>) {
        let telling = |event: &engine::Event| match event {
            engine::Event::Detector(event) => {
                use detector::Event::{Answered, Asked, Ignored};
                !matches!(event, Asked { .. } | Answered { .. } | Ignored { .. })
            }
            engine::Event::Catalog(_)
            | engine::Event::Membership(_)
            | engine::Event::Mutex(_)
            | engine::Event::Variable(_)
            | engine::Event::Packet { .. } => false,
        };
        if self.node.events.iter().any(telling) {
            self.view_changed(now, out);
        }
        self.node.events.clear();
    }

    fn view_changed(&mut self, now: Time, out: &mut Outbox<Wish>) {
        self.node.events.clear();
        match &mut self.role {
            Role::Caller(caller) => caller.update_workers(now, &self.node.engine, out),
            Role::Worker(worker) => worker.drop_work_of_unlinked(&self.node.engine, out),
        }
    }
}

impl Role {
    const fn seen(&mut self) -> &mut Vec<Seen> {
        match self {
            Self::Caller(caller) => &mut caller.seen,
            Self::Worker(worker) => &mut worker.seen,
        }
    }

    fn linked(&mut self, engine: &engine::Engine, member: Member, out: &mut Outbox<Wish>) {
        match self {
            Self::Caller(caller) => caller.linked(engine, member),
            Self::Worker(worker) => worker.drop_work_of(member, out),
        }
    }
}

impl Scenario for Schedule {
    const NAME: &'static str = "schedule";
    const MARKERS: &'static [&'static str] = &[
        "schedule: a batch refused",
        "schedule: a late parcel copied",
        "schedule: a lost worker answered after all",
        "schedule: a second copy answered",
        "schedule: an answer that does not fit its batch",
        "schedule: an item condemned",
        "schedule: an item that must run once is unknown",
        "worker: a copy begun",
        "worker: a running batch cancelled",
        "worker: a running batch dropped with its link",
        "worker: killed by an item",
    ];
    type Operation = Act;
    type Host = ScheduleHost;

    fn nodes(random: &mut Random) -> Place {
        Place::try_from(random.within(2..=5)).unwrap_or(3)
    }

    fn operations(_nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Act>> {
        let end = until.as_nanos() / 1000;
        let maps = random.within(1..=5);
        let mut starts: Vec<_> =
            (0..maps).map(|map| if map == 0 { end / 10 } else { random.below(end * 3 / 4) }).collect();
        starts.sort_unstable();
        let mut operations = Vec::new();
        for (map, at_us) in (0..).zip(starts) {
            plan_map(map, at_us, end, random, &mut operations);
        }
        operations.sort_by_key(|operation| operation.at_us);
        operations
    }

    fn parse(words: &[&str]) -> Result<Act, String> {
        let number = |word: &str| word.parse::<u16>().map_err(|_| format!("{word:?} is no number from 0 to 65535"));
        let start = |items, once, poison| {
            let work = Work { seed: 1, cost_us: 1000, poison };
            Act::Start(Start { items, open: false, once, attempts: 3, batch_items_max: 16, work })
        };
        match *words {
            ["map", items] => Ok(start(number(items)?, false, Vec::new())),
            ["map", items, "once"] => Ok(start(number(items)?, true, Vec::new())),
            ["map", items, "poison", item] => {
                let poison = vec![Poison { item: number(item)?.into(), always: true }];
                Ok(start(number(items)?, false, poison))
            }
            ["cancel", map] => Ok(Act::Cancel { map: u8::try_from(number(map)?).map_err(|_| "no such map")? }),
            _ => Err("a user can `map ITEMS`, `map ITEMS once`, `map ITEMS poison ITEM` and `cancel MAP`".into()),
        }
    }

    fn new(profile: Profile, _seed: u64) -> Self {
        Self { profile, ledger: Ledger::default(), touches: 0 }
    }

    fn boot(&mut self, boot: Boot) -> ScheduleHost {
        let mut node = node::Node::new(&boot);
        let role = if boot.place == CALLER {
            Role::Caller(Caller::new(boot.bugs))
        } else {
            let worker = Worker::new(boot.member, boot.seed, boot.tame, self.profile == Profile::Calm);
            let key = caller::PARALLELISM.to_owned();
            let value = vec![u8::try_from(worker.parallelism).unwrap_or(1)];
            node.step(Time::default(), engine::Input::Set { key, value }, &mut Outbox::new());
            Role::Worker(worker)
        };
        ScheduleHost { node, role }
    }

    fn may_fail(place: Place) -> bool {
        place != CALLER
    }

    fn check_step(&mut self, world: &mut World<ScheduleHost>, place: Place) -> Result<(), Violation> {
        let Some(host) = world.host_mut(place) else { return Ok(()) };
        let seen = host.role.seen();
        if seen.is_empty() {
            return Ok(());
        }
        seen.drain(..).try_for_each(|seen| self.ledger.note(seen))?;
        if place == CALLER {
            self.touches += 1;
            if self.touches.is_multiple_of(CHECKED_EACH) {
                return check_machines(host);
            }
        }
        Ok(())
    }

    fn check_end(&mut self, world: &mut World<ScheduleHost>, quiet: bool) -> Result<(), Violation> {
        let Some(host) = world.host(CALLER) else { return Ok(()) };
        check_machines(host)?;
        if !quiet || world.up().all(|(place, ..)| place == CALLER) {
            return Ok(());
        }
        let done = self.ledger.check_done();
        match &host.role {
            Role::Caller(caller) if done.is_err() && !caller.has_workers() => {
                Err(Violation::new("E1: the caller has work and knows no worker, and one is up"))
            }
            Role::Caller(_) | Role::Worker(_) => done,
        }
    }
}

/// S1 to S3.
fn check_machines(host: &ScheduleHost) -> Result<(), Violation> {
    let Role::Caller(caller) = &host.role else { return Ok(()) };
    caller.maps.iter().try_for_each(|map| invariant::check(&map.machine).map_err(Violation::new))
}

/// A map and what follows, such that all of it can be done by one slow worker when the faults are over.
fn plan_map(map: u8, at_us: u64, end: u64, random: &mut Random, operations: &mut Vec<Operation<Act>>) {
    let mut add = |at_us, what| operations.push(Operation { at_us, place: CALLER, what });
    let number = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
    let total = match random.below(10) {
        0 => random.within(0..3),
        1..=6 => random.within(1..300),
        7 | 8 => random.within(50..1000),
        _ => random.within(500..5000),
    };
    // Many items one by one take too long over a long way, whoever runs them.
    let large = total > 300;
    let once = random.below(4) == 0;
    let attempts = if large { *random.pick(&[3, 8]) } else { *random.pick(&[1, 2, 3, 3, 3, 8]) };
    let batch_items_max = if large { *random.pick(&[16, 32]) } else { *random.pick(&[1, 3, 16, 64, 256]) };
    let work_us = *random.pick(&[50_000, 500_000, 2_000_000, 5_000_000]);
    let cost_us = u32::try_from((work_us / total.max(1)).clamp(10, 500_000)).unwrap_or(10);
    let poisons = if random.below(3) == 0 { random.within(1..=2) } else { 0 };
    let poison = |_| Poison { item: random.below(total), always: random.below(2) == 0 };
    let poison = (0..poisons).map(poison).collect();
    let parts = if random.below(5) < 2 { random.within(2..16) } else { 1 };
    let last_us = random.within(at_us..end);
    let work = Work { seed: random.next(), cost_us, poison };
    let open = parts > 1;
    let items = number(total / parts);
    add(at_us, Act::Start(Start { items, open, once, attempts, batch_items_max, work }));
    if open {
        for part in 1..parts {
            add(at_us + (last_us - at_us) * part / parts, Act::Offer { map, items });
        }
        add(last_us, Act::Finish { map });
    }
    if random.below(12) == 0 {
        add(random.within(at_us..end), Act::Cancel { map });
    }
}

/// Where the caller is.
const CALLER: Place = 0;
/// The ledgers are looked at as a whole at each so-manieth step: that takes longer than the step.
const CHECKED_EACH: u64 = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use guthi_core::protocol::bugs::Bugs;

    use super::*;
    use crate::run::{Plan, play};

    #[test]
    fn seeds_keep_the_rules_and_come_to_the_rare_branches() {
        let mut reached = BTreeSet::new();
        for seed in 0..40 {
            let outcome = play::<Schedule>(&Plan::of_seed::<Schedule>(seed, None), Bugs::NONE, false);
            assert_eq!(outcome.violation, None, "seed={seed} replay: cargo sim --scenario schedule --seed {seed}");
            reached.extend(outcome.reached.into_keys());
        }
        let missing: Vec<_> = Schedule::MARKERS.iter().filter(|marker| !reached.contains(*marker)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
