//! Nodes that agree on who is a member, while processes come, go and stand still, and networks fall apart and meet: V1 to
//! V5, N1, N2, E2, E3, W1.
//!
//! **Rules.** V1 to V4, N1, N2 and W1 as in the essay of the machine, looked at over all nodes of the world. V5: what a
//! node tells of a view is the difference to the view that it had before. V6: a view is written down before it is acted
//! in. E2: in calm nobody is cut. E3: whatever the cuts were, when they are over all agree on one view again.

mod cost;
mod host;
mod ledger;
mod room;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use guthi_core::{
    protocol::{
        engine,
        membership::{Event, Installed, Machine, Policy, Reason},
        random::Random,
        time::Time,
        view::{At, Lineage},
    },
    wire::id::{Member, NodeId},
};
use serde::{Deserialize, Serialize};

pub use self::{cost::table as costs, host::MembershipHost};
use self::{host::Habits, ledger::Ledger, room::Room};
use super::{
    Boot, Operation, Scenario, Violation,
    node::{Node, Topic, members},
};
use crate::{
    fabric::Place,
    fault::{Fault, Profile, What},
    world::{World, name, short},
};

/// Members of lineages. With `ANY`, all share one machine, and a dead process is known to be dead.
#[derive(Debug)]
pub struct Membership<const ANY: bool = false> {
    profile: Profile,
    figures: Figures,
    room: Room,
    ledger: Ledger,
    /// How far each node came, if it was its membership that ended its life.
    came_to: BTreeMap<NodeId, At>,
}

/// What a user does at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Leave for good.
    Leave,
    /// Set a variable.
    Set {
        /// One of a few.
        variable: u8,
    },
    /// Remove a variable.
    Remove {
        /// One of a few.
        variable: u8,
    },
    /// Hold a guard for a while.
    Lock {
        /// For so many milliseconds.
        ms: u16,
    },
    /// Go on without a quorum.
    Fork,
    /// Give up what the lineage holds, and join a higher one.
    Dissolve,
}

/// What is the same at all nodes.
#[derive(Clone, Copy, Debug)]
struct Figures {
    lease: Duration,
    timeout: Duration,
    /// Somebody reads the alarms, and lets those go on who have no quorum for so long.
    patience: Option<Duration>,
    /// Beyond so many, not everybody polls everybody.
    poll_all_max: u32,
}

impl<const ANY: bool> Scenario for Membership<ANY> {
    const NAME: &'static str = if ANY { "membership-any" } else { "membership" };
    const MARKERS: &'static [&'static str] = &MARKERS;
    type Operation = Deed;
    type Host = MembershipHost;

    fn nodes(random: &mut Random) -> Place {
        let nodes = if random.below(10) == 0 { random.within(6..=10) } else { random.within(2..=5) };
        Place::try_from(nodes).unwrap_or(3)
    }

    fn operations(nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Deed>> {
        let end = until.as_nanos() / 1000;
        let count = random.below(12);
        // Half of the worlds have no variables, so that all lineages can become one.
        let variables = random.below(2) == 0;
        let deed = |random: &mut Random| {
            let variable = u8::try_from(random.below(4)).unwrap_or(0);
            match random.below(16) {
                0..=4 => Deed::Leave,
                5..=9 if variables => Deed::Set { variable },
                10 | 11 if variables => Deed::Remove { variable },
                12 => Deed::Fork,
                13 => Deed::Dissolve,
                _ => Deed::Lock { ms: u16::try_from(random.within(10..5000)).unwrap_or(10) },
            }
        };
        let operation = |_| Operation {
            at_us: random.below(end),
            place: Place::try_from(random.below(u64::from(nodes))).unwrap_or(0),
            what: deed(random),
        };
        let mut operations: Vec<_> = (0..count).map(operation).collect();
        // Some lineages hold something before they meet.
        if variables {
            let early = |variable| Operation {
                at_us: random.within(1_500_000..6_000_000),
                place: Place::try_from(random.below(u64::from(nodes))).unwrap_or(0),
                what: Deed::Set { variable },
            };
            operations.extend((0..3).map(early));
        }
        operations
    }

    /// Some nodes cannot see each other when they are born, so that lineages of several members meet later. And troubles
    /// come together, so that one view change is not over when the next one begins.
    fn faults(nodes: Place, until: Time, random: &mut Random) -> Vec<Fault> {
        let end = until.as_nanos() / 1000;
        let mut faults = Vec::new();
        if random.below(3) == 0 {
            let side = (0..nodes).filter(|_| random.below(2) == 0).collect();
            faults.push(Fault {
                at_us: 0,
                lasts_us: random.within(1_000_000..15_000_000).min(end),
                what: What::Split(side),
            });
        }
        if random.below(2) == 0 {
            let begin = random.below(end);
            let within = *random.pick(&[100_000, 1_000_000, 4_000_000]);
            faults.extend((0..random.within(2..8)).map(|_| trouble(nodes, begin + random.below(within), random)));
        }
        faults
    }

    fn parse(words: &[&str]) -> Result<Deed, String> {
        let number = |word: &str| word.parse::<u8>().map_err(|_| format!("{word:?} is no number from 0 to 255"));
        match *words {
            ["leave"] => Ok(Deed::Leave),
            ["set", variable] => Ok(Deed::Set { variable: number(variable)? }),
            ["remove", variable] => Ok(Deed::Remove { variable: number(variable)? }),
            ["lock", ms] => Ok(Deed::Lock { ms: ms.parse().map_err(|_| format!("{ms:?} is no number of ms"))? }),
            ["fork"] => Ok(Deed::Fork),
            ["dissolve"] => Ok(Deed::Dissolve),
            _ => {
                Err("a user can `leave`, `set VARIABLE`, `remove VARIABLE`, `lock MILLISECONDS`, `fork` and `dissolve`"
                    .into())
            }
        }
    }

    fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            figures: Figures::of(seed),
            room: Room::default(),
            ledger: Ledger::default(),
            came_to: BTreeMap::new(),
        }
    }

    fn boot(&mut self, boot: Boot) -> MembershipHost {
        let mut random = Random::new(boot.seed ^ 0xb007);
        let mut config = engine::Config::default();
        let policy = if ANY { Policy::Any } else { Policy::Majority };
        config.membership.policy = policy;
        let mut habits = Habits { policy, poll: Duration::from_millis(100), patience: None };
        if !boot.tame {
            config.membership.lease = self.figures.lease;
            config.membership.timeout = self.figures.timeout;
            config.membership.poll_all_max = self.figures.poll_all_max;
            config.detector.timeout = self.figures.timeout;
            habits.poll = Duration::from_millis(random.within(50..400));
            habits.patience = self.figures.patience;
        }
        if let Some(at) = self.came_to.remove(&boot.member.node) {
            config.membership.after = at.epoch;
        }
        MembershipHost::new(Node::with(&boot, config, Topic::Membership), self.room.lock(boot.member), habits)
    }

    fn check_step(&mut self, world: &mut World<MembershipHost>, place: Place) -> Result<(), Violation> {
        let (Some(member), now) = (world.member(place), world.clock(place)) else { return Ok(()) };
        let Some(host) = world.host_mut(place) else { return Ok(()) };
        let events = host.take_events();
        let unwritten = host.node.unwritten.take();
        let granted = host.node.granted.take();
        if let Some(at) = unwritten {
            return Err(Violation::new(format!("V6: {} acts in {at:?} and has not written that down", name(place))));
        }
        let Some(host) = world.host(place) else { return Ok(()) };
        let machine = host.machine();
        let at = machine.view().at;
        // V1, V2.
        if self.ledger.at(member) != Some(at) {
            self.ledger.enter(member, machine.view())?;
        }
        if let Some((ballot, changes)) = machine.vote() {
            self.ledger.vote(member, at, ballot, changes)?;
        }
        for event in &events {
            if let engine::Event::Membership(event) = event {
                self.check_event(world, place, event)?;
            }
        }
        // V3.
        if let Some(at) = granted {
            return Err(Violation::new(format!("V3: {} is wedged in {at:?}, and grants a lease", name(place))));
        }
        if self.ledger.is_wedged(member, at) && machine.serves(now) {
            return Err(Violation::new(format!("V3: {} is wedged in {at:?}, and serves", name(place))));
        }
        // V4.
        if machine.is_active(now) && self.ledger.activate(at) {
            let check = |(place, member, host): (Place, Member, &MembershipHost)| {
                self.check_leases(world, place, member, host.machine())
            };
            return world.up().try_for_each(check);
        }
        self.check_leases(world, place, member, machine)
    }

    fn check_end(&mut self, world: &mut World<MembershipHost>, quiet: bool) -> Result<(), Violation> {
        if quiet { check_agreed(world) } else { Ok(()) }
    }
}

impl<const ANY: bool> Membership<ANY> {
    fn check_event(&mut self, world: &World<MembershipHost>, place: Place, event: &Event) -> Result<(), Violation> {
        let (Some(member), Some(host)) = (world.member(place), world.host(place)) else { return Ok(()) };
        match event {
            Event::Wedged(at) => self.ledger.wedge(member, *at),
            Event::Installed(said) => self.check_installed(place, member, host, said)?,
            Event::Excluded(at) => {
                self.came_to.insert(member.node, *at);
                self.ledger.check_excluded(member, *at)?;
            }
            Event::Moved(at) => {
                self.came_to.insert(member.node, *at);
                self.check_nothing_goes(member, host, "moves")?;
            }
            Event::Left => {
                self.came_to.insert(member.node, host.machine().view().at);
                if host.machine().view().seats.len() > 1 {
                    self.check_nothing_goes(member, host, "leaves")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_installed(
        &mut self,
        place: Place,
        member: Member,
        host: &MembershipHost,
        said: &Installed,
    ) -> Result<(), Violation> {
        let who = name(place);
        self.ledger.check_installed(member, said)?;
        if said.at.lineage != said.before.lineage {
            let room = &self.room;
            let proof = ANY && !room.was_forked_by_hand();
            let forked = self.ledger.check_crossing(member, said, |member| proof && room.lives(member))?;
            if !forked && !host.copies().is_empty() {
                return Err(Violation::new(format!("N1: {who} enters another lineage and still holds variables")));
            }
        }
        let mut cut = said.lost.iter().filter(|(_, reason)| *reason == Reason::Cut);
        match cut.find(|(lost, _)| self.room.lives(*lost)) {
            Some((lost, _)) if self.profile == Profile::Calm => {
                Err(Violation::new(format!("E2: in calm {who} sees {} cut", short(lost.node))))
            }
            _ => Ok(()),
        }
    }

    /// N1: whoever goes of its own will leaves nothing behind that nobody else has.
    fn check_nothing_goes(&self, member: Member, host: &MembershipHost, does: &str) -> Result<(), Violation> {
        let only = host.copies().into_iter().find(|variable| !self.room.is_held_beside(member, *variable));
        match only {
            Some(variable) => {
                let what = format!("N1: {} {does} and has the only copy of variable {variable}", short(member.node));
                Err(Violation::new(what))
            }
            None => Ok(()),
        }
    }

    /// V4, seen from somebody who may have been excluded.
    fn check_leases(
        &self,
        world: &World<MembershipHost>,
        place: Place,
        member: Member,
        machine: &Machine,
    ) -> Result<(), Violation> {
        let at = machine.view().at;
        let Some(active) = self.ledger.excluded_by(member, at) else { return Ok(()) };
        let now = world.clock(place);
        let (reads, guards) = (machine.serves(now), machine.lease_end().is_some_and(|end| end > now));
        if !reads && !guards {
            return Ok(());
        }
        let (who, does) = (name(place), if reads { "reads" } else { "holds guards" });
        Err(Violation::new(format!("V4: {who} still {does} in {at:?}, and {:?} is active without it", active.at)))
    }
}

impl Figures {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let config = engine::Config::default();
        // Where a lease is longer than the time-out, the living are cut while they still have one.
        Self {
            lease: *random.pick(&[config.membership.lease, Duration::from_secs(4)]),
            timeout: *random.pick(&[config.detector.timeout, Duration::from_secs(1)]),
            patience: (random.below(2) == 0).then(|| Duration::from_secs(random.within(8..20))),
            poll_all_max: *random.pick(&[config.membership.poll_all_max, 3]),
        }
    }
}

/// Something that suspends a node for about as long as leases and time-outs last.
fn trouble(nodes: Place, at_us: u64, random: &mut Random) -> Fault {
    let mut place = || Place::try_from(random.below(u64::from(nodes))).unwrap_or(0);
    let (first, second) = (place(), place());
    let what = match random.below(8) {
        0 | 1 => What::Pause(first),
        2 | 3 => What::Isolate(first),
        4 if first != second => What::OneWay(first, second),
        5 if first != second => What::Reset(first, second),
        6 if first != second => What::Clog(first, second),
        _ => What::Crash(first),
    };
    Fault { at_us, lasts_us: random.within(100_000..5_000_000), what }
}

/// A node that is up.
type Up<'a> = (Place, Member, &'a MembershipHost);

/// W1, N2 and E3: everybody is in one view again, and it works.
fn check_agreed(world: &World<MembershipHost>) -> Result<(), Violation> {
    let mut lineages: BTreeMap<Lineage, Vec<Up<'_>>> = BTreeMap::new();
    for up in world.up() {
        lineages.entry(up.2.machine().view().at.lineage).or_default().push(up);
    }
    let (stuck, sound): (Vec<_>, Vec<_>) = lineages.values().partition(|nodes| is_stuck(nodes));
    // Whoever holds nothing waits for a lineage that may hold something, even for one that needs its quorum back first.
    let waits = |nodes: &[Up<'_>]| !stuck.is_empty() && nodes.len() == 1 && !nodes[0].2.machine().is_open();
    for nodes in sound.into_iter().filter(|nodes| !waits(nodes)) {
        check_one_view(world, nodes)?;
    }
    let holding = lineages.values().filter(|nodes| nodes.iter().any(|(.., host)| !host.copies().is_empty())).count();
    if stuck.is_empty() && lineages.len() > holding.max(1) {
        let views: Vec<_> = lineages.values().map(|nodes| members(nodes[0].2.machine().view())).collect();
        let (count, views) = (lineages.len(), views.join(" | "));
        return Err(Violation::new(format!("N2: {count} lineages stay apart, {holding} hold variables: {views}")));
    }
    Ok(())
}

/// Whether the latest view of a lineage has lost its quorum for good: then only a fork by hand helps.
fn is_stuck(nodes: &[Up<'_>]) -> bool {
    let latest = nodes.iter().max_by_key(|(.., host)| host.machine().view().at.epoch);
    latest.is_some_and(|(.., host)| {
        let view = host.machine().view();
        !view.is_quorum(|voter| nodes.iter().any(|(_, member, _)| *member == voter))
    })
}

fn check_one_view(world: &World<MembershipHost>, nodes: &[Up<'_>]) -> Result<(), Violation> {
    let view = nodes[0].2.machine().view();
    for (place, _, host) in nodes {
        let (who, machine) = (name(*place), host.machine());
        if machine.view() != view {
            let what = format!("W1: {who} has {:?}, and {} has {:?}", machine.view().at, name(nodes[0].0), view.at);
            return Err(Violation::new(what));
        }
        if !machine.serves(world.clock(*place)) {
            return Err(Violation::new(format!("W1: {who} does not serve in {}", members(view))));
        }
    }
    let here: BTreeSet<_> = nodes.iter().map(|(_, member, _)| *member).collect();
    let ghost = view.members().find(|member| !here.contains(member));
    ghost.map_or(Ok(()), |ghost| {
        let what = format!("W1: {} is gone, and a member of {}", short(ghost.node), members(view));
        Err(Violation::new(what))
    })
}

/// What 200 seeds must reach.
const MARKERS: [&str; 13] = [
    "membership: a change that not enough agree to",
    "membership: a fork",
    "membership: a joiner that was cut before it knew that it was in",
    "membership: a leaver decides that it is gone",
    "membership: a member moves to another lineage",
    "membership: a value that was accepted before",
    "membership: a view learnt from somebody who was ahead",
    "membership: a view that was not asked for",
    "membership: a voter accepts its own cut",
    "membership: excluded",
    "membership: isolated",
    "membership: two lineages that both hold variables",
    "membership: two proposers in a duel",
];

#[cfg(test)]
mod tests;
