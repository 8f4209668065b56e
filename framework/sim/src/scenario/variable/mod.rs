//! Nodes whose tasks read and write the same few variables, while processes come, go and stand still: D1 to D10, W3.
//!
//! **Rules.** D1: at most one node can write a variable. D3: once somebody was told of a version, nobody can read an older
//! one. D4: what somebody was told of is there as soon as its shard is served again. D5: no shard is orphaned by fewer than
//! `replicas` losses since all shards were served. D9: what the tasks of a lineage were told of a variable has an order, those
//! of excluded nodes included; that is also D6, D7 and D8. A shard that is begun anew is another life of its variables. D10:
//! who writes under a guard is refused once somebody has written under a later one, and in any lineage but the guard's. D11:
//! the copies that a node was told of are those that its machine has. D12: whoever watches a variable sees its versions rise,
//! and at last the newest. D13: so does whoever follows all whose names begin alike, and knows at last which there are. E2: in
//! calm, everything is answered within seconds. W3: when the faults have ended, everybody has an answer.

mod host;
mod ledger;

use std::{collections::BTreeMap, time::Duration};

use guthi_core::{
    protocol::{
        engine,
        membership::Event,
        random::Random,
        time::Time,
        variable::{self, Estate},
        view::{At, Epoch},
    },
    wire::{
        id::{Member, NodeId},
        name::Name,
    },
};
use serde::{Deserialize, Serialize};

pub use self::host::VariableHost;
use self::{host::named, ledger::Ledger};
use super::{
    Boot, Operation, Scenario, Violation,
    node::{Node, Topic},
};
use crate::{
    fabric::Place,
    fault::{Fault, Profile, What},
    world::{World, name},
};

/// Members of one cluster, and the variables of their tasks.
#[derive(Debug)]
pub struct Variable {
    profile: Profile,
    figures: Figures,
    ledger: Ledger,
    /// How far each node came, if it was its membership that ended its life.
    came_to: BTreeMap<NodeId, Epoch>,
    /// What it has left then.
    estates: BTreeMap<NodeId, Estate>,
}

/// What a user does at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Read a variable.
    Get {
        /// One of a few.
        name: u8,
    },
    /// Write it, if it is there.
    Set {
        /// One of a few.
        name: u8,
    },
    /// Add to it.
    Add {
        /// One of a few.
        name: u8,
    },
    /// Read it, and write it if nobody else has written meanwhile.
    Cas {
        /// One of a few.
        name: u8,
    },
    /// Write it, and say what it was.
    Swap {
        /// One of a few.
        name: u8,
    },
    /// Make it.
    Create {
        /// One of a few.
        name: u8,
    },
    /// Remove it.
    Delete {
        /// One of a few.
        name: u8,
    },
    /// If all who had its shard are gone, begin that anew.
    Reset {
        /// One of a few.
        name: u8,
    },
    /// Nobody here wants a copy of it any more.
    Forget {
        /// One of a few.
        name: u8,
    },
    /// Be told of each of its values, or of the last of several.
    Watch {
        /// One of a few.
        name: u8,
    },
    /// Be told no more.
    Unwatch {
        /// One of a few.
        name: u8,
    },
    /// Be told of all variables whose names begin alike.
    Follow {
        /// One of a few beginnings.
        names: u8,
    },
    /// Be told no more.
    Unfollow {
        /// One of a few beginnings.
        names: u8,
    },
    /// The task that began to write last does not want to any more.
    GiveUp {
        /// One of a few.
        name: u8,
    },
    /// Some tasks read and write again and again for a while.
    Hammer {
        /// One of a few.
        name: u8,
        /// So many.
        count: u8,
    },
    /// Make many others at once.
    Bulk {
        /// So many.
        count: u16,
    },
    /// Read some of them.
    Sweep {
        /// So many.
        count: u8,
    },
    /// Wait for a mutex, and write under its guard.
    Fenced {
        /// Hold it for so many milliseconds.
        ms: u16,
    },
    /// Leave for good.
    Leave,
    /// Give up what the lineage holds, and join a higher one.
    Dissolve,
}

/// What is the same at all nodes.
#[derive(Clone, Copy, Debug)]
struct Figures {
    lease: Duration,
    timeout: Duration,
    replicas: u8,
    chunk_bytes: usize,
    recovering_max: usize,
}

impl Scenario for Variable {
    const NAME: &'static str = "variable";
    const MARKERS: &'static [&'static str] = &MARKERS;
    type Operation = Deed;
    type Host = VariableHost;

    fn nodes(random: &mut Random) -> Place {
        let nodes = if random.below(10) == 0 { random.within(6..=8) } else { random.within(2..=5) };
        Place::try_from(nodes).unwrap_or(3)
    }

    /// Users come in crowds, and to the same variable.
    fn operations(nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Deed>> {
        let end = until.as_nanos() / 1000;
        let mut operations = Vec::new();
        for begin in crowds(until) {
            let (favourite, spread) = (variable(random), *random.pick(&[20_000, 300_000, 2_000_000]));
            for name in 0..VARIABLES {
                if name == favourite || random.below(3) == 0 {
                    operations.push(Operation {
                        at_us: begin,
                        place: anywhere(nodes, random),
                        what: Deed::Create { name },
                    });
                }
            }
            for _ in 0..random.within(4..20) {
                let name = if random.below(4) == 0 { variable(random) } else { favourite };
                let (at_us, place) = (begin + random.below(spread), anywhere(nodes, random));
                operations.push(Operation { at_us, place, what: deed(name, random) });
            }
            for _ in 0..random.below(3) {
                let (at_us, place) = (begin + random.below(spread), anywhere(nodes, random));
                operations.push(Operation { at_us, place, what: Deed::Watch { name: favourite } });
            }
            if random.below(3) == 0 {
                let (at_us, place) = (begin + random.below(spread), anywhere(nodes, random));
                let names = u8::try_from(random.below(4)).unwrap_or(0);
                let what = if random.below(8) == 0 { Deed::Unfollow { names } } else { Deed::Follow { names } };
                operations.push(Operation { at_us, place, what });
            }
            if random.below(2) == 0 {
                operations.extend(farewell(nodes, begin, favourite, random));
            }
            if random.below(2) == 0 {
                for _ in 0..random.within(2..8) {
                    let (at_us, place) = (begin + random.below(spread), anywhere(nodes, random));
                    let ms = u16::try_from(random.within(1..500)).unwrap_or(1);
                    operations.push(Operation { at_us, place, what: Deed::Fenced { ms } });
                }
            }
        }
        // Somebody looks after all, and says that what is lost is lost.
        for begin in crowds(until) {
            for name in 0..VARIABLES {
                if random.below(4) != 0 {
                    continue;
                }
                let at_us = begin + random.within(2_000_000..8_000_000);
                operations.push(Operation { at_us, place: anywhere(nodes, random), what: Deed::Reset { name } });
            }
        }
        if random.below(8) == 0 {
            let count =
                if random.below(4) == 0 { host::BULK } else { u16::try_from(random.within(50..400)).unwrap_or(50) };
            let at_us = random.within(1_000_000..4_000_000).min(end);
            operations.push(Operation { at_us, place: anywhere(nodes, random), what: Deed::Bulk { count } });
            for _ in 0..4 {
                let (at_us, place) = (at_us + random.below(end), anywhere(nodes, random));
                operations.push(Operation { at_us, place, what: Deed::Sweep { count: 40 } });
            }
        }
        for _ in 0..random.below(8) {
            let (at_us, place) = (random.below(end), anywhere(nodes, random));
            operations.push(Operation { at_us, place, what: deed(variable(random), random) });
        }
        if random.below(20) == 0 {
            let (at_us, place) = (random.below(end), anywhere(nodes, random));
            operations.push(Operation { at_us, place, what: Deed::Dissolve });
        }
        operations
    }

    /// Troubles come where the crowds are: somebody there writes, and somebody has a copy.
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
        let large = |word: &str| word.parse::<u16>().map_err(|_| format!("{word:?} is no number from 0 to 65535"));
        match *words {
            ["get", name] => Ok(Deed::Get { name: number(name)? }),
            ["set", name] => Ok(Deed::Set { name: number(name)? }),
            ["add", name] => Ok(Deed::Add { name: number(name)? }),
            ["cas", name] => Ok(Deed::Cas { name: number(name)? }),
            ["swap", name] => Ok(Deed::Swap { name: number(name)? }),
            ["create", name] => Ok(Deed::Create { name: number(name)? }),
            ["delete", name] => Ok(Deed::Delete { name: number(name)? }),
            ["reset", name] => Ok(Deed::Reset { name: number(name)? }),
            ["forget", name] => Ok(Deed::Forget { name: number(name)? }),
            ["watch", name] => Ok(Deed::Watch { name: number(name)? }),
            ["unwatch", name] => Ok(Deed::Unwatch { name: number(name)? }),
            ["follow", names] => Ok(Deed::Follow { names: number(names)? }),
            ["unfollow", names] => Ok(Deed::Unfollow { names: number(names)? }),
            ["give-up", name] => Ok(Deed::GiveUp { name: number(name)? }),
            ["hammer", name, count] => Ok(Deed::Hammer { name: number(name)?, count: number(count)? }),
            ["bulk", count] => Ok(Deed::Bulk { count: large(count)? }),
            ["sweep", count] => Ok(Deed::Sweep { count: number(count)? }),
            ["fenced", ms] => Ok(Deed::Fenced { ms: large(ms)? }),
            ["leave"] => Ok(Deed::Leave),
            ["dissolve"] => Ok(Deed::Dissolve),
            _ => Err("a user can `get`, `set`, `add`, `cas`, `swap`, `create`, `delete`, `reset`, `forget`, `watch`, `unwatch` \
                      and `give-up NAME`, `follow` and `unfollow NAMES`, \
                      where a name is a number, `hammer NAME COUNT`, `bulk COUNT`, `sweep COUNT`, `fenced MILLISECONDS`, \
                      `leave` and `dissolve`"
                .into()),
        }
    }

    fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            figures: Figures::of(seed),
            ledger: Ledger::default(),
            came_to: BTreeMap::new(),
            estates: BTreeMap::new(),
        }
    }

    fn boot(&mut self, boot: Boot) -> VariableHost {
        let mut random = Random::new(boot.seed ^ 0x7a6);
        let mut config = engine::Config::default();
        config.membership.replicas = self.figures.replicas;
        if !boot.tame {
            config.membership.lease = self.figures.lease;
            config.membership.timeout = self.figures.timeout;
            config.detector.timeout = self.figures.timeout;
            config.variable.chunk_bytes = self.figures.chunk_bytes;
            config.variable.recovering_max = self.figures.recovering_max;
        }
        if let Some(epoch) = self.came_to.remove(&boot.member.node) {
            config.membership.after = epoch;
        }
        let estate = self.estates.remove(&boot.member.node).filter(|_| boot.tame || random.below(2) == 0);
        let node = Node::with(&boot, config, Topic::Variable);
        let bulk_max = if config.variable.chunk_bytes <= SINGLY { host::BULK_SINGLY } else { host::BULK };
        VariableHost::new(node, boot.place, boot.member.incarnation.0, estate, bulk_max, random.next())
    }

    fn check_step(&mut self, world: &mut World<VariableHost>, place: Place) -> Result<(), Violation> {
        let (Some(member), now) = (world.member(place), world.now()) else { return Ok(()) };
        let Some(host) = world.host_mut(place) else { return Ok(()) };
        let (events, said) = (host.take_events(), host.take_said());
        let Some(host) = world.host(place) else { return Ok(()) };
        let view = host.node.engine.variable().view();
        let at = view.at;
        for event in &events {
            let ended = match event {
                engine::Event::Membership(Event::Installed(installed)) => {
                    self.ledger.enter(member, installed, view.candidates().count());
                    None
                }
                engine::Event::Membership(Event::Excluded(at) | Event::Moved(at)) => Some(*at),
                engine::Event::Membership(Event::Left) => Some(at),
                engine::Event::Variable(event) => {
                    self.hear(world, place, at, event)?;
                    None
                }
                _ => None,
            };
            if let Some(at) = ended {
                self.came_to.insert(member.node, at.epoch);
                let estate = host.node.engine.clone().into_estate();
                estate.map(|estate| self.estates.insert(member.node, estate));
            }
        }
        for said in said {
            let began = self.ledger.hear(now, member, at, said)?;
            let took = began.map_or(Duration::ZERO, |began| now.saturating_since(began));
            if self.profile == Profile::Calm && took > PATIENCE {
                return Err(Violation::new(format!("E2: in calm {} waits {took:?} for an answer", name(place))));
            }
        }
        if events.iter().any(|event| matches!(event, engine::Event::Variable(variable::Event::Active { .. }))) {
            self.look_around(world, at);
        }
        if !events.is_empty() {
            if let Some(watched) = host.has_fallen() {
                return Err(Violation::new(format!("D12: {} saw an older {watched} after a newer one", name(place))));
            }
            self.check_copies(world, place, host)?;
            check_writers(world, place, host)?;
        }
        Ok(())
    }

    fn check_end(&mut self, world: &mut World<VariableHost>, quiet: bool) -> Result<(), Violation> {
        self.ledger.check(world)?;
        if !quiet {
            return Ok(());
        }
        for (place, _, host) in world.up() {
            let serves = host.node.engine.membership().serves(world.clock(place));
            if let Some((waits, aim)) = host.waits_for().filter(|_| serves) {
                return Err(Violation::new(format!("W3: {} still waits {aim} {waits}", name(place))));
            }
            if serves {
                check_watched(world, place, host)?;
                check_followed(world, place, host)?;
            }
        }
        Ok(())
    }
}

impl Variable {
    fn hear(
        &mut self,
        world: &World<VariableHost>,
        place: Place,
        at: At,
        event: &variable::Event,
    ) -> Result<(), Violation> {
        let Some(host) = world.host(place) else { return Ok(()) };
        match event {
            variable::Event::Published { name, state } => self.ledger.know(at, name, state.version),
            variable::Event::Reset { shard } => self.ledger.reset(at, *shard),
            // Who was away for long comes to the end of an old view, without a lease: it serves nobody.
            variable::Event::Active { shard } if host.answers(world.clock(place)) => {
                // D4.
                for (kept, version) in self.ledger.kept(at.lineage, *shard) {
                    let here = host.node.engine.variable().kept(kept).map(|state| state.version).unwrap_or_default();
                    if here < version {
                        let what = format!("D4: {} has {kept} in {here}, and {version} was written", name(place));
                        return Err(Violation::new(what));
                    }
                }
            }
            variable::Event::Orphaned { shard, .. } => {
                let replicas = host.node.engine.variable().view().replicas;
                if let Some(gone) = self.ledger.too_few_gone(at.lineage, replicas) {
                    let what =
                        format!("D5: shard {} is orphaned in {at:?} by {gone} losses, {replicas} homes", shard.0);
                    return Err(Violation::new(what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether all members are in this view, and serve all shards.
    fn look_around(&mut self, world: &World<VariableHost>, at: At) {
        let here = || world.up().filter(|(.., host)| host.node.engine.variable().view().at == at);
        let sound = |member: Member| {
            let host = here().find(|(_, it, _)| *it == member).map(|(.., host)| host);
            host.is_some_and(|host| {
                let shards = host.node.engine.variable().shards();
                shards.recovering == 0 && shards.orphaned == 0
            })
        };
        let Some(view) = here().next().map(|(.., host)| host.node.engine.variable().view()) else { return };
        if view.members().all(sound) {
            self.ledger.settle(at, view.candidates().count());
        }
    }

    /// D3 and D11.
    fn check_copies(&self, world: &World<VariableHost>, place: Place, host: &VariableHost) -> Result<(), Violation> {
        let machine = host.node.engine.variable();
        if !machine.readable().eq(host.copies()) {
            return Err(Violation::new(format!("D11: {} was not told of all its copies", name(place))));
        }
        let lineage = machine.view().at.lineage;
        for (other, _, it) in world.up() {
            let same = it.node.engine.variable().view().at.lineage == lineage;
            if !same || !it.reads(world.clock(other)) {
                continue;
            }
            for (copy, state) in it.copies().iter().filter(|(_, state)| state.value.is_some()) {
                let newest = self.ledger.newest(lineage, copy);
                if state.version < newest {
                    let (who, version) = (name(other), state.version);
                    let what = format!("D3: {who} can read {copy} in {version}, and {newest} was written");
                    return Err(Violation::new(what));
                }
            }
        }
        Ok(())
    }
}

/// D1: whoever can write a variable is the only one.
fn check_writers(world: &World<VariableHost>, place: Place, host: &VariableHost) -> Result<(), Violation> {
    if !host.answers(world.clock(place)) {
        return Ok(());
    }
    let machine = host.node.engine.variable();
    let lineage = machine.view().at.lineage;
    for variable in (0..VARIABLES).map(named).filter(|it| machine.serves(it)) {
        for (other, _, it) in world.up().filter(|(other, ..)| *other != place) {
            let there = it.node.engine.variable();
            if there.view().at.lineage == lineage && there.serves(&variable) && it.answers(world.clock(other)) {
                let (a, b) = (name(place), name(other));
                return Err(Violation::new(format!("D1: {a} and {b} both write {variable}")));
            }
        }
    }
    Ok(())
}

/// The variables of all that stand in the same view.
fn beside<'a>(world: &'a World<VariableHost>, host: &VariableHost) -> impl Iterator<Item = &'a variable::Machine> {
    let at = host.node.engine.variable().view().at;
    world.up().map(|(.., it)| it.node.engine.variable()).filter(move |it| it.view().at == at)
}

/// D12: whoever watches a variable has the value that its home has.
fn check_watched(world: &World<VariableHost>, place: Place, host: &VariableHost) -> Result<(), Violation> {
    let homes = || beside(world, host);
    for watched in host.watched() {
        let Some(home) = homes().find(|it| it.serves(watched)) else { continue };
        let newest = home.kept(watched).map(|state| state.version).unwrap_or_default();
        let seen = host.copies().get(watched).map(|state| state.version);
        if seen != Some(newest) {
            let who = name(place);
            return Err(Violation::new(format!("D12: {who} watches {watched} in {seen:?}, and its home has {newest}")));
        }
    }
    Ok(())
}

/// D13: whoever follows variables knows which there are, and in which versions.
fn check_followed(world: &World<VariableHost>, place: Place, host: &VariableHost) -> Result<(), Violation> {
    let homes = || beside(world, host);
    for (prefix, known) in host.followed() {
        let there = homes().flat_map(|home| home.known(prefix.as_deref().unwrap_or_default()));
        let there = there.filter(|(name, _)| homes().any(|home| home.serves(name)));
        let there: BTreeMap<_, _> = there.map(|(name, it)| (name, it.state.version)).collect();
        // What is lost is perhaps there one day.
        let known = known.iter().filter(|(name, _)| homes().any(|home| home.serves(name)));
        let known: BTreeMap<_, _> = known.map(|(name, state)| (name, state.version)).collect();
        if known != there {
            let odd = |one: &BTreeMap<&Name, _>, other: &BTreeMap<&Name, _>| {
                one.iter()
                    .find(|(name, version)| other.get(*name) != Some(*version))
                    .map(|(name, it)| format!("{name} {it}"))
            };
            let (who, here, there) = (name(place), odd(&known, &there), odd(&there, &known));
            let what = format!("D13: {who} follows {prefix:?} and knows {here:?}, where there is {there:?}");
            return Err(Violation::new(what));
        }
    }
    Ok(())
}

impl Figures {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let config = engine::Config::default();
        // Where a lease is longer than the time-out, the living are cut while their copies may be read.
        let lease = *random.pick(&[config.membership.lease, Duration::from_secs(4)]);
        let timeout = *random.pick(&[config.detector.timeout, Duration::from_secs(1)]);
        let replicas = u8::try_from(random.within(1..=3)).unwrap_or(2);
        let small = random.below(2) == 0;
        Self {
            lease,
            timeout,
            replicas,
            chunk_bytes: if small { SINGLY } else { config.variable.chunk_bytes },
            recovering_max: if small { 3 } else { config.variable.recovering_max },
        }
    }
}

/// When crowds come together, in microseconds.
fn crowds(until: Time) -> impl Iterator<Item = u64> {
    let end = until.as_nanos() / 1000;
    (1..=3).map(move |quarter| end * quarter / 4)
}

fn variable(random: &mut Random) -> u8 {
    u8::try_from(random.below(VARIABLES.into())).unwrap_or(0)
}

/// So few bytes a piece has that hardly more than one name goes into it.
const SINGLY: usize = 100;
/// That crowds want.
const VARIABLES: u8 = 5;

fn anywhere(nodes: Place, random: &mut Random) -> Place {
    Place::try_from(random.below(u64::from(nodes))).unwrap_or(0)
}

fn deed(name: u8, random: &mut Random) -> Deed {
    match random.below(44) {
        0..=7 => Deed::Get { name },
        8..=12 => Deed::Set { name },
        13..=16 => Deed::Add { name },
        17..=19 => Deed::Cas { name },
        20..=22 => Deed::Swap { name },
        23..=25 => Deed::Create { name },
        26 | 27 => Deed::Delete { name },
        28 | 29 => Deed::Forget { name },
        30 | 31 => Deed::GiveUp { name },
        32 => Deed::Reset { name },
        33 => Deed::Leave,
        40..=42 => Deed::Watch { name },
        43 => Deed::Unwatch { name },
        _ => Deed::Hammer { name, count: u8::try_from(random.within(1..4)).unwrap_or(1) },
    }
}

/// Two nodes write a variable while a third one leaves: writes are under way when views change.
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

/// In calm, nobody waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What 200 seeds must reach.
const MARKERS: [&str; 14] = [
    "variable: a batch that was done is said again",
    "variable: a copy is older than what came back",
    "variable: a copy that was overtaken",
    "variable: a message of a later view",
    "variable: a record that is brought from elsewhere",
    "variable: a shard goes in several pieces",
    "variable: a shard is orphaned",
    "variable: a version that is stored already",
    "variable: a version that waits for the membership",
    "variable: an earlier life offers what it has kept",
    "variable: an operation is taken back before it is said",
    "variable: an orphaned shard begins anew",
    "variable: a piece of a shard comes again",
    "variable: who has kept what is not its own may forget it",
];

#[cfg(test)]
mod tests;
