//! Nodes whose tasks want the same few mutexes, while processes come, go and stand still: L1 to L7, W2.
//!
//! **Rules.** L1: there is at most one token of a mutex in each view, and none is made before the view is active. L2: fences
//! rise. L3: at most one guard of a mutex is valid, and none is handed out without a lease. L4: whoever is granted a guard
//! waits for one. L5: whoever is known to wait is overtaken by so many guards at most. L6: if a guard was not given back, the
//! next one says so, as long as of those who were members with its holder only that is gone. L7: a try is refused only while somebody else has or wants the mutex, and leaves nothing behind. W2: when
//! the faults have ended, whoever waits gets what it waits for.

mod host;
mod ledger;

use std::{collections::BTreeMap, time::Duration};

use guthi_core::{
    protocol::{engine, membership::Event, random::Random, time::Time, view::Epoch},
    wire::id::NodeId,
};
use serde::{Deserialize, Serialize};

pub use self::host::MutexHost;
use self::{
    host::Habits,
    ledger::{Ledger, Seemed},
};
use super::{
    Boot, Operation, Scenario, Violation,
    node::{Node, Topic},
};
use crate::{
    fabric::Place,
    fault::{Fault, Profile, What},
    world::{World, name},
};

/// Members of one cluster, and the mutexes of their tasks.
#[derive(Debug)]
pub struct Mutex {
    profile: Profile,
    figures: Figures,
    ledger: Ledger,
    /// How far each node came, if it was its membership that ended its life.
    came_to: BTreeMap<NodeId, Epoch>,
    /// Somebody was taken for dead: in calm that is only who left before it knew that it was a member.
    deaths: bool,
}

/// What a user does at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Wait for a mutex, hold it for a while and give it back.
    Lock {
        /// One of a few.
        name: u8,
        /// For so many milliseconds.
        ms: u16,
    },
    /// The same if nobody else has or wants it.
    Try {
        /// One of a few.
        name: u8,
        /// For so many milliseconds.
        ms: u16,
    },
    /// The task that has waited longest waits no more.
    GiveUp {
        /// For this mutex.
        name: u8,
    },
    /// Some tasks lock again and again for a while, and hold the mutex for a moment each time.
    Hammer {
        /// One of a few.
        name: u8,
        /// So many.
        count: u8,
    },
    /// Leave for good.
    Leave,
}

/// What is the same at all nodes.
#[derive(Clone, Copy, Debug)]
struct Figures {
    lease: Duration,
    timeout: Duration,
}

impl Scenario for Mutex {
    const NAME: &'static str = "mutex";
    const MARKERS: &'static [&'static str] = &MARKERS;
    type Operation = Deed;
    type Host = MutexHost;

    fn nodes(random: &mut Random) -> Place {
        let nodes = if random.below(10) == 0 { random.within(6..=8) } else { random.within(2..=5) };
        Place::try_from(nodes).unwrap_or(3)
    }

    /// Users come in crowds, and to the same mutex.
    fn operations(nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Deed>> {
        let end = until.as_nanos() / 1000;
        let mut operations = Vec::new();
        for begin in crowds(until) {
            let (favourite, spread) = (mutex(random), *random.pick(&[20_000, 300_000, 2_000_000]));
            for _ in 0..random.within(2..12) {
                let name = if random.below(4) == 0 { mutex(random) } else { favourite };
                let (at_us, place) = (begin + random.below(spread), anywhere(nodes, random));
                operations.push(Operation { at_us, place, what: deed(name, random) });
            }
            if random.below(2) == 0 {
                operations.extend(impatience(nodes, begin, random));
            }
            if random.below(2) == 0 {
                operations.extend(farewell(nodes, begin, favourite, random));
            }
        }
        for _ in 0..random.below(8) {
            let (at_us, place) = (random.below(end), anywhere(nodes, random));
            operations.push(Operation { at_us, place, what: deed(mutex(random), random) });
        }
        operations
    }

    /// Troubles come where the crowds are: somebody there has a guard, and somebody waits for it.
    fn faults(nodes: Place, until: Time, random: &mut Random) -> Vec<Fault> {
        let mut faults = Vec::new();
        for begin in crowds(until) {
            for _ in 0..random.below(4) {
                faults.push(trouble(nodes, begin + random.below(2_000_000), random));
            }
        }
        faults
    }

    fn parse(words: &[&str]) -> Result<Deed, String> {
        let number = |word: &str| word.parse::<u8>().map_err(|_| format!("{word:?} is no number from 0 to 255"));
        let ms = |word: &str| word.parse::<u16>().map_err(|_| format!("{word:?} is no number of ms"));
        match *words {
            ["lock", name, time] => Ok(Deed::Lock { name: number(name)?, ms: ms(time)? }),
            ["try", name, time] => Ok(Deed::Try { name: number(name)?, ms: ms(time)? }),
            ["give-up", name] => Ok(Deed::GiveUp { name: number(name)? }),
            ["hammer", name, count] => Ok(Deed::Hammer { name: number(name)?, count: number(count)? }),
            ["leave"] => Ok(Deed::Leave),
            _ => Err(
                "a user can `lock NAME MILLISECONDS`, `try NAME MILLISECONDS`, `give-up NAME`, `hammer NAME COUNT` \
                      and `leave`, where a name is a number"
                    .into(),
            ),
        }
    }

    fn new(profile: Profile, seed: u64) -> Self {
        Self { profile, figures: Figures::of(seed), ledger: Ledger::default(), came_to: BTreeMap::new(), deaths: false }
    }

    fn boot(&mut self, boot: Boot) -> MutexHost {
        let mut random = Random::new(boot.seed ^ 0x10c4);
        let mut config = engine::Config::default();
        let mut habits = Habits { alone: 100, stutters: 0 };
        if !boot.tame {
            config.membership.lease = self.figures.lease;
            config.membership.timeout = self.figures.timeout;
            config.detector.timeout = self.figures.timeout;
            habits = Habits { alone: *random.pick(&[0, 50, 100]), stutters: *random.pick(&[0, 50]) };
        }
        if let Some(epoch) = self.came_to.remove(&boot.member.node) {
            config.membership.after = epoch;
        }
        MutexHost::new(Node::with(&boot, config, Topic::Mutex), habits, random.next())
    }

    fn check_step(&mut self, world: &mut World<MutexHost>, place: Place) -> Result<(), Violation> {
        let (Some(member), now) = (world.member(place), world.now()) else { return Ok(()) };
        let Some(host) = world.host_mut(place) else { return Ok(()) };
        let (events, said) = (host.take_events(), host.take_said());
        let Some(host) = world.host(place) else { return Ok(()) };
        let view = host.node.engine.membership().view();
        for event in events {
            if let engine::Event::Membership(Event::Installed(installed)) = &event {
                self.deaths |= !installed.unheard.is_empty();
            }
            let ended = match event {
                engine::Event::Membership(Event::Excluded(at) | Event::Moved(at)) => Some(at),
                engine::Event::Membership(Event::Left) => Some(view.at),
                _ => None,
            };
            ended.map(|at| self.came_to.insert(member.node, at.epoch));
        }
        self.ledger.enter(member, view);
        let mut false_alarms = 0;
        for said in said {
            false_alarms += u32::from(self.ledger.hear(now, place, member, view, said)? == Seemed::FalseAlarm);
        }
        self.ledger.look(world, place, member, host)?;
        check_guards(world, place, host)?;
        if false_alarms > 0 && self.profile == Profile::Calm && !self.deaths {
            return Err(Violation::new(format!("E2: in calm {} is told of a death", name(place))));
        }
        (0..false_alarms).for_each(|_| world.count("death that was none"));
        Ok(())
    }

    fn check_end(&mut self, world: &mut World<MutexHost>, quiet: bool) -> Result<(), Violation> {
        if !quiet {
            return Ok(());
        }
        for (place, _, host) in world.up() {
            let serves = host.node.engine.membership().serves(world.clock(place));
            if let Some(waits) = host.waits_for().filter(|_| serves) {
                return Err(Violation::new(format!("W2: {} still waits for {waits}", name(place))));
            }
        }
        Ok(())
    }
}

impl Figures {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let config = engine::Config::default();
        // Where a lease is longer than the time-out, the living are cut while their guards are valid.
        Self {
            lease: *random.pick(&[config.membership.lease, Duration::from_secs(4)]),
            timeout: *random.pick(&[config.detector.timeout, Duration::from_secs(1)]),
        }
    }
}

/// L3: whoever has a valid guard is the only one.
fn check_guards(world: &World<MutexHost>, place: Place, host: &MutexHost) -> Result<(), Violation> {
    let lineage = |host: &MutexHost| host.node.engine.membership().view().at.lineage;
    if host.guards().is_empty() || !host.is_leased(world.clock(place)) {
        return Ok(());
    }
    for (other, _, it) in world.up().filter(|(.., it)| !it.guards().is_empty() && lineage(it) == lineage(host)) {
        if !it.is_leased(world.clock(other)) {
            continue;
        }
        for (mine, guard) in host.guards().iter().enumerate() {
            let same = |(theirs, other_guard): (usize, &host::Guard)| {
                other_guard.name == guard.name && (other != place || theirs != mine)
            };
            if it.guards().iter().enumerate().any(same) {
                let (a, b) = (name(place), name(other));
                return Err(Violation::new(format!("L3: {a} and {b} both hold {} now", guard.name)));
            }
        }
    }
    Ok(())
}

/// When crowds come together, in microseconds.
fn crowds(until: Time) -> impl Iterator<Item = u64> {
    let end = until.as_nanos() / 1000;
    (1..=3).map(move |quarter| end * quarter / 4)
}

fn mutex(random: &mut Random) -> u8 {
    u8::try_from(random.below(MUTEXES.into())).unwrap_or(0)
}

/// That crowds want.
const MUTEXES: u8 = 3;

fn anywhere(nodes: Place, random: &mut Random) -> Place {
    Place::try_from(random.below(u64::from(nodes))).unwrap_or(0)
}

fn deed(name: u8, random: &mut Random) -> Deed {
    let mut ms = |most: u64| u16::try_from(random.within(1..most)).unwrap_or(1);
    let (short, long) = (ms(200), ms(4000));
    match random.below(20) {
        0..=5 => Deed::Lock { name, ms: short },
        6 | 7 => Deed::Lock { name, ms: long },
        8..=11 => Deed::Try { name, ms: short },
        12..=14 => Deed::GiveUp { name },
        15..=18 => Deed::Hammer { name, count: u8::try_from(random.within(1..4)).unwrap_or(1) },
        _ => Deed::Leave,
    }
}

/// One user holds a mutex that nobody else wants but another one, who tries, does not wait for the answer, and tries again.
fn impatience(nodes: Place, begin: u64, random: &mut Random) -> Vec<Operation<Deed>> {
    let name = MUTEXES;
    let (holder, place, pause) = (anywhere(nodes, random), anywhere(nodes, random), *random.pick(&[3_000, 12_000]));
    let ms = u16::try_from(random.within(50..150)).unwrap_or(50);
    let mut operations = vec![Operation { at_us: begin, place: holder, what: Deed::Lock { name, ms } }];
    for at_us in (1..16).map(|attempt| begin + attempt * pause) {
        operations.push(Operation { at_us, place, what: Deed::GiveUp { name } });
        operations.push(Operation { at_us, place, what: Deed::Try { name, ms: 1 } });
    }
    operations
}

/// Two nodes pass a mutex to and fro while a third one leaves: tokens are under way when views change, which for a moment have
/// as many members as before.
fn farewell(nodes: Place, begin: u64, name: u8, random: &mut Random) -> Vec<Operation<Deed>> {
    let first = anywhere(nodes, random);
    let hammer =
        |step| Operation { at_us: begin, place: (first + step) % nodes, what: Deed::Hammer { name, count: 2 } };
    let leave =
        Operation { at_us: begin + random.within(50_000..1_000_000), place: (first + 2) % nodes, what: Deed::Leave };
    vec![hammer(0), hammer(1), leave]
}

/// Something that ends or suspends a node, or keeps a message for as long as views last.
fn trouble(nodes: Place, at_us: u64, random: &mut Random) -> Fault {
    let (first, second) = (anywhere(nodes, random), anywhere(nodes, random));
    let what = match random.below(12) {
        0 | 1 => What::Pause(first),
        2 | 3 => What::Isolate(first),
        4 if first != second => What::OneWay(first, second),
        5 if first != second => What::Clog(first, second),
        6 if first != second => What::Split(vec![first, second]),
        7 if first != second => What::Reset(first, second),
        8 => What::Newcomer,
        9 => What::Leave(first),
        10 => What::PowerOff(first),
        _ => What::Crash(first),
    };
    Fault { at_us, lasts_us: random.within(100_000..5_000_000), what }
}

/// What 200 seeds must reach.
const MARKERS: [&str; 9] = [
    "mutex: a guard that came into the next view",
    "mutex: a message of a later view",
    "mutex: a token passed on although tasks of this node wait",
    "mutex: a token that comes again",
    "mutex: a token that nobody may grant",
    "mutex: a token that nobody waits for",
    "mutex: a try that waits for the token to be made",
    "mutex: all reports are there before the view is active",
    "mutex: made anew after its holder died",
];

#[cfg(test)]
mod tests;
