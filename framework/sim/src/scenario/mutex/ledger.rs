//! What all nodes of a world had and did, side by side.

use std::collections::{BTreeMap, BTreeSet};

use guthi_core::{
    protocol::{
        mutex::{Fence, Ticket},
        time::Time,
        view::{At, Lineage, View},
    },
    wire::{id::Member, name::Name},
};

use super::host::{MutexHost, Said};
use crate::{
    fabric::Place,
    scenario::Violation,
    world::{World, name as node_name, short},
};

/// What all nodes of a world had and did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The latest view of each lineage that anybody has installed.
    latest: BTreeMap<Lineage, View>,
    /// Who has installed each view.
    entered: BTreeMap<At, BTreeSet<Member>>,
    /// The last guard of each mutex.
    last: BTreeMap<(Lineage, Name), Last>,
    /// The tokens that each node had after its last step.
    tokens: BTreeMap<Place, Tokens>,
    /// How many guards were granted since the node with the token knew that a member wants it.
    overtaken: BTreeMap<(At, Name), BTreeMap<Member, usize>>,
    /// When each try began.
    tried: BTreeMap<(Member, Ticket), Time>,
    /// What was in demand at each node after its last step.
    demand: BTreeMap<Place, Demand>,
    /// When a mutex was in demand at a node last, of those that are not any more.
    demanded: BTreeMap<(Place, Name), Demanded>,
}

#[derive(Debug)]
struct Last {
    fence: Fence,
    by: Member,
    /// Who was a member then.
    beside: Vec<Member>,
    given_back: Back,
}

/// Whether a guard was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    Kept,
    /// By somebody whom a later view is without: nobody there hears of that.
    Unheard,
    Given,
}

impl Last {
    /// Whether it was given back, as far as a member of this view can know.
    fn is_back(&self, view: &View) -> bool {
        self.given_back == Back::Given || (self.given_back == Back::Unheard && view.has(self.by))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Tokens {
    member: Member,
    at: At,
    seen: Vec<Seen>,
}

/// A token that is at a node, or that it has sent and has no answer to.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: Name,
    pass: u64,
    here: bool,
}

#[derive(Debug, Default)]
struct Demand {
    /// Of its tasks.
    tasks: BTreeSet<Name>,
    /// Of those who wait for a token that it has, or has sent and has no answer to.
    tokens: BTreeSet<Name>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Demanded {
    tasks: Option<Time>,
    tokens: Option<Time>,
}

/// What a step has shown that breaks no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seemed {
    /// Nothing worth counting.
    Usual,
    /// Somebody was told of a death, and whoever held the mutex before had given it back.
    FalseAlarm,
}

/// So many guards are granted to tasks of one node in a row while others wait.
const RUN_MAX: usize = 16;

type Verdict = Result<(), Violation>;

impl Ledger {
    /// A node has taken a step, and is in this view.
    pub(super) fn enter(&mut self, member: Member, view: &View) {
        if !self.entered.entry(view.at).or_default().insert(member) {
            return;
        }
        let latest = self.latest.entry(view.at.lineage).or_insert_with(|| view.clone());
        if latest.at.is_before(view.at) {
            latest.clone_from(view);
        }
    }

    /// What a task has seen or done.
    pub(super) fn hear(&mut self, now: Time, place: Place, member: Member, view: &View, said: Said) -> Heard {
        let who = node_name(place);
        match said {
            Said::Granted { name, leased: false, .. } => broken(format!("L3: {who} grants {name} without a lease")),
            Said::Granted { name, fence, died, .. } => self.granted(member, view, &name, fence, died),
            Said::Unasked { name } => broken(format!("L4: {who} grants {name} to a task that does not wait")),
            Said::Released { name, fence } => {
                self.released(member, view.at.lineage, name, fence);
                Ok(Seemed::Usual)
            }
            Said::Tried { ticket } => {
                self.tried.insert((member, ticket), now);
                Ok(Seemed::Usual)
            }
            Said::Refused { ticket, name, lonely } => {
                let began = self.tried.remove(&(member, ticket)).unwrap_or(now);
                if lonely && !self.was_in_demand(place, &name, began) {
                    return broken(format!("L7: {who} is refused {name}, which nobody else had or wanted meanwhile"));
                }
                Ok(Seemed::Usual)
            }
            Said::Made { name, active: false } => {
                broken(format!("L1: {who} makes the token of {name} before {:?} is active", view.at))
            }
            Said::Made { .. } => Ok(Seemed::Usual),
            Said::Passed { name, to } => {
                // If it cannot be granted anything then, it stands in line anew.
                self.overtaken.entry((view.at, name)).or_default().remove(&to);
                Ok(Seemed::Usual)
            }
        }
    }

    /// L2, L5 and L6.
    fn granted(&mut self, by: Member, view: &View, name: &Name, fence: Fence, died: bool) -> Heard {
        let last = self.last.insert(
            (view.at.lineage, name.clone()),
            Last { fence, by, beside: view.members().collect(), given_back: Back::Kept },
        );
        if let Some(last) = last.as_ref().filter(|last| last.fence >= fence) {
            return broken(format!("L2: {name} is granted with {fence}, and was with {} before", last.fence));
        }
        // If the holder alone is gone, those who know of the guard are there.
        let alone = |last: &Last| last.beside.iter().all(|it| *it == last.by || view.has(*it));
        if let Some(last) = last.as_ref().filter(|last| !last.is_back(view) && alone(last) && !died) {
            let holder = short(last.by.node);
            let what =
                format!("L6: {name} is granted with {fence}, and nobody is told that {holder} kept {}", last.fence);
            return broken(what);
        }
        let most = view.seats.len().saturating_sub(1) * RUN_MAX + RUN_MAX;
        for (waiting, overtaken) in self.overtaken.entry((view.at, name.clone())).or_default() {
            *overtaken += 1;
            if *overtaken > most && *waiting != by {
                let who = short(waiting.node);
                return broken(format!(
                    "L5: {who} waits for {name} while {overtaken} guards are granted, {most} at most"
                ));
            }
        }
        let calm = last.is_none_or(|last| last.is_back(view));
        Ok(if died && calm { Seemed::FalseAlarm } else { Seemed::Usual })
    }

    fn released(&mut self, by: Member, lineage: Lineage, name: Name, fence: Fence) {
        let is_heard = self.latest.get(&lineage).is_some_and(|view| view.has(by));
        if let Some(last) = self.last.get_mut(&(lineage, name)).filter(|last| last.fence == fence) {
            last.given_back = if is_heard { Back::Given } else { Back::Unheard };
        }
    }

    /// L1, L5 and L7, by what a node has after its step.
    pub(super) fn look(&mut self, world: &World<MutexHost>, place: Place, member: Member, host: &MutexHost) -> Verdict {
        let machine = host.node.engine.mutex();
        let here: Vec<_> = machine.known().filter(|(_, known)| known.token).map(|(name, _)| name).collect();
        let mut seen = Vec::new();
        let mut demand = Demand { tasks: host.wanted(), tokens: BTreeSet::new() };
        for (name, pass, token) in machine.tokens() {
            let here = here.contains(&name);
            seen.push(Seen { name: name.clone(), pass, here });
            if !here || !token.queue.is_empty() {
                demand.tokens.insert(name.clone());
            }
            if here {
                let view = host.node.engine.membership().view();
                let seat = |seat: &u16| view.seats.get(usize::from(*seat)).map(|seat| seat.member);
                self.look_at_queue(world, view.at, name, token.queue.iter().filter_map(seat).collect())?;
            }
        }
        self.note_demand(world.now(), place, demand);
        let tokens = Tokens { member, at: machine.at(), seen };
        if self.tokens.get(&place) != Some(&tokens) {
            self.tokens.insert(place, tokens);
            return self.check_tokens(world, place);
        }
        Ok(())
    }

    fn look_at_queue(&mut self, world: &World<MutexHost>, at: At, name: &Name, queue: Vec<Member>) -> Verdict {
        let overtaken = self.overtaken.entry((at, name.clone())).or_default();
        overtaken.retain(|member, _| queue.contains(member));
        for member in queue {
            overtaken.entry(member).or_insert(0);
            let Some(place) = world.place(member.node).filter(|place| world.member(*place) == Some(member)) else {
                continue;
            };
            let Some(host) = world.host(place).filter(|host| host.node.engine.mutex().at() == at) else { continue };
            if !host.has_asked(name) {
                let what =
                    format!("L7: {} stands in the queue of {name}, and none of its tasks waited", node_name(place));
                return Err(Violation::new(what));
            }
        }
        Ok(())
    }

    /// L1: all tokens of a mutex in a view are one, at its last place or on its way there.
    fn check_tokens(&self, world: &World<MutexHost>, place: Place) -> Verdict {
        let Some(mine) = self.tokens.get(&place) else { return Ok(()) };
        let is_up = |place: Place, member| world.host(place).is_some() && world.member(place) == Some(member);
        let nodes = || self.tokens.iter().filter(|(place, it)| it.at == mine.at && is_up(**place, it.member));
        for Seen { name, .. } in &mine.seen {
            let all = || nodes().flat_map(|(_, it)| it.seen.iter().filter(|seen| seen.name == *name));
            let last = all().map(|seen| seen.pass).max().unwrap_or(0);
            let here = all().filter(|seen| seen.here).count();
            let behind = all().any(|seen| seen.here && seen.pass < last);
            let sent = all().filter(|seen| !seen.here && seen.pass == last).count();
            if here > 1 || behind || sent > 1 {
                let places = nodes().filter(|(_, it)| it.seen.iter().any(|seen| seen.name == *name));
                let places: Vec<_> = places.map(|(place, _)| node_name(*place)).collect();
                let what = format!("L1: two tokens of {name} in {:?}, at {}", mine.at, places.join(" and "));
                return Err(Violation::new(what));
            }
        }
        Ok(())
    }

    fn note_demand(&mut self, now: Time, place: Place, demand: Demand) {
        let before = self.demand.insert(place, demand).unwrap_or_default();
        let after = &self.demand[&place];
        for name in before.tasks.union(&after.tasks) {
            self.demanded.entry((place, name.clone())).or_default().tasks = Some(now);
        }
        for name in before.tokens.union(&after.tokens) {
            self.demanded.entry((place, name.clone())).or_default().tokens = Some(now);
        }
    }

    /// Whether anybody has had or wanted a mutex since then, beside the tasks of the one node at this place. Of somebody who is
    /// gone, what it wanted last counts.
    fn was_in_demand(&self, except: Place, name: &Name, since: Time) -> bool {
        let later = |time: Option<Time>| time.is_some_and(|time| time >= since);
        self.demand.iter().any(|(place, demand)| {
            let demanded = self.demanded.get(&(*place, name.clone())).copied().unwrap_or_default();
            let tasks = *place != except && (demand.tasks.contains(name) || later(demanded.tasks));
            tasks || demand.tokens.contains(name) || later(demanded.tokens)
        })
    }
}

type Heard = Result<Seemed, Violation>;

fn broken(what: String) -> Heard {
    Err(Violation::new(what))
}
