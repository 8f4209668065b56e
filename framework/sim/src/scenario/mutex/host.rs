//! A node with its tasks, which wait for mutexes, hold them for a while and give them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use guthi_core::{
    protocol::{
        contract::Outbox,
        engine,
        membership::{self, Holdings},
        mutex::{Command, Event, Fence, Ticket},
        random::Random,
        time::Time,
    },
    wire::{id::Member, name::Name},
};

use super::{
    super::node::{self, Node},
    Deed,
};
use crate::{
    fabric::Kind,
    world::{Host, Input, Wish},
};

/// A node of this scenario.
#[derive(Debug)]
pub struct MutexHost {
    pub(super) node: Node,
    /// So many of the events of its engine it has followed.
    looked: usize,
    habits: Habits,
    random: Random,
    /// Those that wait, or have tried and have no answer yet.
    tasks: BTreeMap<Ticket, Task>,
    last_ticket: u64,
    guards: Vec<Guard>,
    /// Whose token is parked here, and the last guard that came of it.
    parked: BTreeMap<Name, Fence>,
    /// Guards that are given back a second time, by mistake.
    stutters: Vec<(Time, Name, Fence)>,
    /// For these a task of this node has waited in this view.
    asked: BTreeSet<Name>,
    /// For these a task has stopped waiting in this view.
    given_up: BTreeSet<Name>,
    holdings: Holdings,
    said: Vec<Said>,
    /// It ends with its next step.
    ends: bool,
}

/// What a node is like beside its engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Of a hundred guards that it could grant of a parked token, it grants so many by itself.
    pub(super) alone: u64,
    /// Of a hundred guards, it gives so many back twice.
    pub(super) stutters: u64,
}

/// What somebody wants with a mutex.
#[derive(Clone, Debug)]
struct Task {
    name: Name,
    hold: Duration,
    tries: bool,
    /// It begins again as long as this is not over.
    until: Option<Time>,
    /// No other task of this node has wanted the same mutex meanwhile.
    lonely: bool,
}

/// A mutex that a task holds.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) name: Name,
    pub(super) fence: Fence,
    task: Task,
    end: Time,
}

/// What the tasks of a node have seen and done, in order.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// A guard is handed out.
    Granted {
        name: Name,
        fence: Fence,
        died: bool,
        /// The node had a lease at that moment.
        leased: bool,
    },
    /// Somebody has a guard who waits for none.
    Unasked { name: Name },
    /// A guard is given back.
    Released { name: Name, fence: Fence },
    /// A try begins.
    Tried { ticket: Ticket },
    /// It has failed.
    Refused { ticket: Ticket, name: Name, lonely: bool },
    /// A token was made.
    Made { name: Name, active: bool },
    /// A token was passed on to a member whose turn it is.
    Passed { name: Name, to: Member },
}

impl MutexHost {
    pub(super) fn new(node: Node, habits: Habits, seed: u64) -> Self {
        Self {
            node,
            looked: 0,
            habits,
            random: Random::new(seed),
            tasks: BTreeMap::new(),
            last_ticket: 0,
            guards: Vec::new(),
            parked: BTreeMap::new(),
            stutters: Vec::new(),
            asked: BTreeSet::new(),
            given_up: BTreeSet::new(),
            holdings: Holdings::default(),
            said: Vec::new(),
            ends: false,
        }
    }

    /// What its engine has said since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<engine::Event> {
        self.looked = 0;
        mem::take(&mut self.node.events)
    }

    /// What its tasks have seen and done since this was last asked.
    pub(super) fn take_said(&mut self) -> Vec<Said> {
        mem::take(&mut self.said)
    }

    /// The guards that were not given back, of a life that has not ended.
    pub(super) fn guards(&self) -> &[Guard] {
        if self.ends { &[] } else { &self.guards }
    }

    /// Whether its guards are valid.
    pub(super) fn is_leased(&self, now: Time) -> bool {
        self.node.engine.membership().lease_end().is_some_and(|end| end > now)
    }

    /// Whether its membership has ended. What that was like a moment before, in the same step, nobody can see any more.
    fn ended(&self) -> bool {
        self.node.engine.membership().out().is_some()
    }

    /// The first task that waits, if there is one.
    pub(super) fn waits_for(&self) -> Option<&Name> {
        self.tasks.values().map(|task| &task.name).next()
    }

    /// Whether a task of this node has waited for this mutex in this view.
    pub(super) fn has_asked(&self, name: &Name) -> bool {
        self.asked.contains(name)
    }

    /// What its tasks want or hold, or have wanted in this view and want no more.
    pub(super) fn wanted(&self) -> BTreeSet<Name> {
        let held = self.guards.iter().map(|guard| &guard.name);
        let waited_for = self.tasks.values().map(|task| &task.name);
        held.chain(waited_for).chain(&self.given_up).cloned().collect()
    }
}

impl Host for MutexHost {
    type Operation = Deed;

    fn step(&mut self, now: Time, input: Input<'_, Deed>, out: &mut Outbox<Wish>) {
        if self.ends {
            if matches!(input, Input::Wake) {
                out.push(Wish::Die);
            }
            return;
        }
        match input {
            Input::Linked(member) => {
                self.node.linked(now, member, out);
                self.follow(now, out);
            }
            Input::Message { from, bytes, kind: Kind::Packet } => {
                self.node.packet(now, from, bytes, out);
                self.follow(now, out);
            }
            Input::Message { kind: Kind::Stream, .. } => {}
            Input::Unlinked(member) => self.input(now, engine::Input::Unlinked(member), out),
            Input::Unreachable(node) => self.input(now, engine::Input::Unreachable(node), out),
            Input::Operation(deed) => self.act(now, *deed, out),
            Input::Leave => self.leave(now, out),
            Input::Wake => self.wake(now, out),
        }
        self.hold(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        if self.ends {
            return Some(Time::default());
        }
        let guard = self.guards.iter().map(|guard| guard.end).min();
        let stutter = self.stutters.iter().map(|(at, ..)| *at).min();
        [guard, stutter, self.node.engine.deadline()].into_iter().flatten().min()
    }

    fn tell(bytes: &[u8]) -> String {
        node::tell(bytes)
    }

    fn is_noise(bytes: &[u8]) -> bool {
        node::is_noise(bytes, node::Topic::Mutex)
    }
}

impl MutexHost {
    fn input(&mut self, now: Time, input: engine::Input, out: &mut Outbox<Wish>) {
        self.node.step(now, input, out);
        self.follow(now, out);
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Mutex(command), out);
    }

    fn leave(&mut self, now: Time, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Membership(membership::Command::Leave), out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while let Some(at) = self.guards.iter().position(|guard| guard.end <= now) {
            let guard = self.guards.remove(at);
            self.release(now, guard, out);
        }
        while let Some(at) = self.stutters.iter().position(|(at, ..)| *at <= now) {
            let (_, name, fence) = self.stutters.remove(at);
            self.command(now, Command::Release { name, fence }, out);
        }
        if self.node.engine.deadline().is_some_and(|due| due <= now) {
            self.input(now, engine::Input::Wake, out);
        }
    }

    /// Whether it holds guards has perhaps changed.
    fn hold(&mut self, now: Time, out: &mut Outbox<Wish>) {
        let holdings = Holdings { guards: !self.guards.is_empty(), ..Holdings::default() };
        if holdings != self.holdings && !self.ends {
            self.holdings = holdings;
            self.input(now, engine::Input::Membership(membership::Command::Hold(holdings)), out);
        }
    }

    // Tasks.

    fn act(&mut self, now: Time, deed: Deed, out: &mut Outbox<Wish>) {
        let task = |name: u8, hold: Duration| Task { name: named(name), hold, tries: false, until: None, lonely: true };
        match deed {
            Deed::Lock { name, ms } => self.want(now, task(name, Duration::from_millis(ms.into())), out),
            Deed::Try { name, ms } => {
                let task = task(name, Duration::from_millis(ms.into()));
                self.want(now, Task { tries: true, ..task }, out);
            }
            Deed::GiveUp { name } => self.give_up(now, &named(name), out),
            Deed::Hammer { name, count } => {
                for _ in 0..count {
                    let hold = Duration::from_micros(self.random.within(500..4000));
                    self.want(now, Task { until: Some(now + HAMMERS_FOR), ..task(name, hold) }, out);
                }
            }
            Deed::Leave => self.leave(now, out),
        }
    }

    /// A task begins to want a mutex.
    fn want(&mut self, now: Time, mut task: Task, out: &mut Outbox<Wish>) {
        self.last_ticket += 1;
        let (ticket, name) = (Ticket(self.last_ticket), task.name.clone());
        let others = self.tasks.values_mut().filter(|other| other.name == name);
        let others = others.map(|other| other.lonely = false).count();
        // Who has given up may stand in the queue still, and the token comes to this node for it.
        task.lonely = others == 0 && !self.holds(&name) && !self.given_up.contains(&name);
        if self.grants_alone(now, &name) {
            return self.grant_alone(now, task, ticket, out);
        }
        let command = if task.tries {
            self.said.push(Said::Tried { ticket });
            Command::Try { name, ticket }
        } else {
            self.asked.insert(name.clone());
            Command::Acquire { name, ticket }
        };
        self.tasks.insert(ticket, task);
        self.command(now, command, out);
    }

    fn give_up(&mut self, now: Time, name: &Name, out: &mut Outbox<Wish>) {
        let first = self.tasks.iter().find(|(_, task)| task.name == *name).map(|(ticket, _)| *ticket);
        let Some(ticket) = first else { return };
        if self.tasks.remove(&ticket).is_some_and(|task| !task.tries) {
            self.given_up.insert(name.clone());
        }
        self.command(now, Command::Cancel { name: name.clone(), ticket }, out);
    }

    fn holds(&self, name: &Name) -> bool {
        self.guards.iter().any(|guard| guard.name == *name)
    }

    /// Whether it grants a guard of a parked token by itself: it need not, but it may.
    fn grants_alone(&mut self, now: Time, name: &Name) -> bool {
        let may = self.parked.contains_key(name) && !self.holds(name) && self.node.engine.service(now).grants(now);
        may && self.random.below(100) < self.habits.alone
    }

    fn grant_alone(&mut self, now: Time, task: Task, ticket: Ticket, out: &mut Outbox<Wish>) {
        let Some(fence) = self.parked.get_mut(&task.name) else { return };
        fence.grant += 1;
        let fence = *fence;
        out.push(Wish::Note(format!("grants the parked {} to task {} with {fence}", task.name, ticket.0)));
        self.begin(now, task, fence, false);
    }

    fn begin(&mut self, now: Time, task: Task, fence: Fence, died: bool) {
        let name = task.name.clone();
        self.said.push(Said::Granted { name: name.clone(), fence, died, leased: self.ended() || self.is_leased(now) });
        self.guards.push(Guard { name, fence, end: now + task.hold, task });
    }

    fn release(&mut self, now: Time, guard: Guard, out: &mut Outbox<Wish>) {
        let Guard { name, fence, task, .. } = guard;
        self.said.push(Said::Released { name: name.clone(), fence });
        if self.random.below(100) < self.habits.stutters {
            let later = Duration::from_micros(self.random.below(100_000));
            self.stutters.push((now + later, name.clone(), fence));
        }
        // What came of a token that is still parked is the node's own affair.
        if !self.parked.contains_key(&name) {
            self.command(now, Command::Release { name, fence }, out);
        }
        if task.until.is_some_and(|until| until > now) {
            self.want(now, task, out);
        }
    }

    // Events.

    /// What its engine has said since this was last looked at.
    fn follow(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while self.looked < self.node.events.len() {
            self.looked += 1;
            match self.node.events[self.looked - 1].clone() {
                engine::Event::Membership(event) => self.follow_membership(now, &event, out),
                engine::Event::Mutex(event) => self.follow_mutex(now, event, out),
                _ => {}
            }
        }
    }

    fn follow_membership(&mut self, now: Time, event: &membership::Event, out: &mut Outbox<Wish>) {
        match event {
            membership::Event::Excluded(_) | membership::Event::Moved(_) => self.ends = true,
            membership::Event::Left => {
                self.ends = true;
                self.node.step(now, engine::Input::Leave, out);
            }
            membership::Event::Installed(installed) => {
                if installed.at.lineage != installed.before.lineage {
                    self.guards.clear();
                    self.parked.clear();
                    self.stutters.clear();
                }
                let waiting = self.tasks.values().filter(|task| !task.tries);
                self.asked = waiting.map(|task| task.name.clone()).collect();
                self.given_up.clear();
            }
            _ => {}
        }
    }

    fn follow_mutex(&mut self, now: Time, event: Event, out: &mut Outbox<Wish>) {
        match event {
            Event::Granted { ticket, name, fence, died } => match self.tasks.remove(&ticket) {
                Some(task) => self.begin(now, task, fence, died),
                None => self.said.push(Said::Unasked { name }),
            },
            Event::Busy { ticket } => {
                if let Some(Task { name, lonely, .. }) = self.tasks.remove(&ticket) {
                    self.said.push(Said::Refused { ticket, name, lonely });
                }
            }
            Event::Parked { name, fence } => {
                self.parked.insert(name, fence);
            }
            Event::Recalled { name } => {
                let Some(fence) = self.parked.remove(&name) else { return };
                let held = self.holds(&name);
                self.command(now, Command::Returned { name, fence, held }, out);
            }
            Event::Made { name, .. } => {
                let active = self.ended() || self.node.engine.membership().is_active(now);
                self.said.push(Said::Made { name, active });
            }
            Event::Passed { name, to } => self.said.push(Said::Passed { name, to }),
            Event::Ignored { .. } => {}
        }
    }
}

/// The mutex of this number.
pub(super) fn named(number: u8) -> Name {
    Name::new(&format!("m{number}")).expect("a letter and a number are a name")
}

/// Whoever locks again and again does so for so long.
const HAMMERS_FOR: Duration = Duration::from_millis(1200);
