use alloc::{
    collections::{BTreeMap, VecDeque},
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;
use std::format;

use super::super::{
    Action, Answer, Command, Config, Event, Ignored, Machine, Message, Number, Operation, Outcome, Part, Refusal,
    Ticket, Unanswered, Version,
};
use crate::{
    protocol::{
        bugs::Bug,
        contract::{Effect, Outbox, Protocol, ViewChange},
        home::Shard,
        service::Service,
        time::Time,
        view::{At, Change, Epoch, Lineage, View},
    },
    wire::{
        bytes::Bytes,
        id::{Incarnation, Member, NodeId},
        name::Name,
    },
};

pub(super) const LEASED: Service =
    Service { open: true, active: true, until: Some(Time::MAX), reads: Some(Time::MAX), leaving: false };
/// The view is installed, and what the excluded were allowed to do has not ended.
pub(super) const WAITING: Service = Service { active: false, ..LEASED };
pub(super) const LAPSED: Service = Service { until: None, reads: None, ..LEASED };
pub(super) const WEDGED: Service = Service { open: false, ..LAPSED };

/// The type of all variables here, unless another is said.
pub(super) const KIND: u64 = 1;

/// A few nodes on a network that does what it is told.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) view: View,
    pub(super) nodes: Vec<Node>,
    /// What is under way, in order.
    pub(super) mail: VecDeque<Letter>,
    pub(super) now: Time,
    config: Config,
    tickets: u64,
    answers: BTreeMap<Ticket, Result<Answer, Unanswered>>,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) member: Member,
    pub(super) machine: Machine,
    pub(super) service: Service,
    /// Nothing comes or goes any more.
    pub(super) dead: bool,
    pub(super) said: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) at: At,
    pub(super) parts: Vec<Part>,
}

impl Letter {
    /// The first thing that it says.
    pub(super) fn part(&self) -> &Part {
        &self.parts[0]
    }
}

/// All messages of a kind.
pub(super) fn all(name: &str) -> impl Fn(&Letter) -> bool {
    let name = format!("variable_{name}");
    move |letter| letter.part().name() == name
}

/// Those to a node.
pub(super) fn to(node: usize, name: &str) -> impl Fn(&Letter) -> bool {
    let all = all(name);
    move |letter| letter.to == node && all(letter)
}

pub(super) fn member(node: usize) -> Member {
    life(node, 1)
}

pub(super) fn life(node: usize, incarnation: u64) -> Member {
    Member { node: NodeId([node as u8; 32]), incarnation: Incarnation(incarnation) }
}

fn born(node: usize, replicas: u8) -> View {
    let lineage = Lineage([node as u8 + 1; 16]);
    View::born(At { lineage, epoch: Epoch(1) }, member(node)).with_replicas(replicas)
}

/// A value of one byte: also the number that it encodes.
pub(super) fn value(value: u8) -> Bytes {
    [value][..].into()
}

pub(super) fn add(delta: i128) -> Action {
    Action::Add { number: Number::U8, delta }
}

impl Scene {
    /// So many nodes that have come together one by one.
    pub(super) fn new(members: usize) -> Self {
        Self::with(members, 2, Config::default())
    }

    pub(super) fn with(members: usize, replicas: u8, config: Config) -> Self {
        let node = |node| Node {
            member: member(node),
            machine: Machine::new(member(node), config, born(node, replicas)),
            service: LEASED,
            dead: false,
            said: Vec::new(),
        };
        let mut scene = Self {
            nodes: (0..members).map(node).collect(),
            view: born(0, replicas),
            mail: VecDeque::new(),
            now: Time::default(),
            config,
            tickets: 0,
            answers: BTreeMap::new(),
        };
        (1..members).for_each(|node| scene.go_on(&[Change::Admit(member(node), Epoch(1))]));
        scene.nodes.iter_mut().for_each(|node| node.said.clear());
        scene
    }

    /// From here on the rule is broken.
    #[cfg(feature = "bugs")]
    fn plant(&mut self, bug: Bug) {
        self.config.bugs = crate::protocol::bugs::Bugs::plant(bug);
        self.nodes.iter_mut().for_each(|node| node.machine.here.config.bugs = self.config.bugs);
    }

    /// A new node, which is alone; also a later life of one that was.
    pub(super) fn add(&mut self, member: Member) -> usize {
        let lineage = Lineage([100 + self.nodes.len() as u8; 16]);
        let view = View::born(At { lineage, epoch: Epoch(1) }, member).with_replicas(self.view.replicas);
        let machine = Machine::new(member, self.config, view);
        self.nodes.push(Node { member, machine, service: LEASED, dead: false, said: Vec::new() });
        self.nodes.len() - 1
    }

    pub(super) fn number(&self, member: Member) -> usize {
        self.nodes.iter().position(|node| node.member == member).expect("it is in the scene")
    }

    // Names.

    pub(super) fn shard(&self, name: &str) -> Shard {
        self.config.only.unwrap_or_else(|| Shard::of(name))
    }

    /// The homes of a name in a view, the first one first.
    pub(super) fn homes(&self, name: &str, view: &View) -> Vec<usize> {
        self.shard(name).homes_in(view).into_iter().map(|member| self.number(member)).collect()
    }

    /// Names with these homes, the first one first.
    pub(super) fn names(&self, homes: &[usize]) -> impl Iterator<Item = Name> {
        let found = (0..).map(|n| Name::new(&format!("v{n}")).unwrap());
        found.filter(move |name| self.homes(name, &self.view).starts_with(homes))
    }

    pub(super) fn name(&self, homes: &[usize]) -> Name {
        self.names(homes).next().unwrap()
    }

    /// A name that has these homes in this view, and those in the next.
    pub(super) fn name_that_moves(&self, homes: &[usize], next: &View, then: &[usize]) -> Name {
        self.names(homes).find(|name| self.homes(name, next).starts_with(then)).unwrap()
    }

    /// The version of that number in this view.
    pub(super) fn version(&self, sequence: u64) -> Version {
        Version { epoch: self.view.at.epoch, sequence }
    }

    // Steps.

    pub(super) fn command(&mut self, node: usize, command: Command) {
        let now = self.now;
        self.step(node, |machine, out| machine.command(now, command, out));
    }

    pub(super) fn step(&mut self, node: usize, step: impl FnOnce(&mut Machine, &mut Outbox<Effect<Machine>>)) {
        let it = &mut self.nodes[node];
        let mut out = Outbox::new();
        it.machine.attend(it.service);
        step(&mut it.machine, &mut out);
        self.follow(node, &mut out);
    }

    fn follow(&mut self, node: usize, out: &mut Outbox<Effect<Machine>>) {
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message: Message { at, parts } } => {
                    if let Some(to) = self.nodes.iter().position(|node| node.member == to) {
                        self.mail.push_back(Letter { from: node, to, at, parts });
                    }
                }
                Effect::Emit(event) => {
                    if let Event::Done { ticket, result } = &event {
                        let before = self.answers.insert(*ticket, result.clone());
                        assert_eq!(before, None, "it is over twice");
                    }
                    self.nodes[node].said.push(event);
                }
                Effect::Record(_) => unreachable!("variables write nothing down"),
            }
        }
    }

    pub(super) fn arrive(&mut self, letter: Letter) {
        let Letter { from, to, at, parts } = letter;
        if !self.nodes[to].dead {
            let (now, from) = (self.now, self.nodes[from].member);
            self.step(to, |machine, out| machine.receive(now, from, Message { at, parts }, out));
        }
    }

    pub(super) fn arrive_all(&mut self, letters: impl IntoIterator<Item = Letter>) {
        letters.into_iter().for_each(|letter| self.arrive(letter));
    }

    /// All that is under way arrives, and what follows from it.
    pub(super) fn deliver(&mut self) {
        while let Some(letter) = self.mail.pop_front() {
            self.arrive(letter);
        }
    }

    /// The same, but for some: they are held back, each by itself.
    pub(super) fn deliver_but(&mut self, held_back: impl Fn(&Letter) -> bool) -> Vec<Letter> {
        let mut held = self.take(&held_back);
        while let Some(letter) = self.mail.pop_front() {
            self.arrive(letter);
            held.extend(self.take(&held_back));
        }
        held
    }

    /// Some are taken out of what is under way, each by itself.
    pub(super) fn take(&mut self, is_wanted: impl Fn(&Letter) -> bool) -> Vec<Letter> {
        let mut taken = Vec::new();
        for Letter { from, to, at, parts } in core::mem::take(&mut self.mail) {
            let mut left = Vec::new();
            for part in parts {
                let alone = Letter { from, to, at, parts: [part].into() };
                if is_wanted(&alone) {
                    taken.push(alone);
                } else {
                    left.extend(alone.parts);
                }
            }
            if !left.is_empty() {
                self.mail.push_back(Letter { from, to, at, parts: left });
            }
        }
        taken
    }

    /// So much time passes for all; what is said then is under way.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let now = self.now;
        for node in 0..self.nodes.len() {
            if !self.nodes[node].dead {
                self.step(node, |machine, out| machine.wake(now, out));
            }
        }
    }

    /// So much time passes, and what comes of it arrives.
    pub(super) fn wait(&mut self, time: Duration) {
        self.pass(time);
        self.deliver();
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        let (now, b) = (self.now, self.nodes[b].member);
        self.step(a, |machine, out| machine.view_changed(now, ViewChange::Linked(b), out));
    }

    // Views.

    /// The next view, which nobody has installed yet.
    pub(super) fn next(&self, changes: &[Change]) -> View {
        self.view.successor(changes)
    }

    pub(super) fn install(&mut self, node: usize, view: &View, service: Service) {
        if !self.nodes[node].dead {
            self.nodes[node].service = service;
            self.command(node, Command::Install { view: view.clone(), orphaned: false });
        }
    }

    /// All members of a view install it.
    pub(super) fn install_all(&mut self, view: &View, service: Service) {
        for member in view.members() {
            self.install(self.number(member), view, service);
        }
        self.view = view.clone();
    }

    /// The next view comes, and what follows from it.
    pub(super) fn go_on(&mut self, changes: &[Change]) {
        let next = self.next(changes);
        self.install_all(&next, LEASED);
        self.deliver();
    }

    /// A node dies, and the others go on without it.
    pub(super) fn die(&mut self, nodes: &[usize]) {
        let cut = |node: &usize| Change::Cut(self.nodes[*node].member);
        let changes = nodes.iter().map(cut).collect::<Vec<_>>();
        nodes.iter().for_each(|node| self.nodes[*node].dead = true);
        self.go_on(&changes);
    }

    /// A node comes in, which was alone.
    pub(super) fn join(&mut self, member: Member) -> usize {
        let node = self.add(member);
        self.go_on(&[Change::Admit(member, Epoch(1))]);
        node
    }

    /// What the membership allows a node has changed.
    pub(super) fn allow(&mut self, node: usize, service: Service) {
        self.nodes[node].service = service;
        self.command(node, Command::Proceed);
    }

    /// A letter arrives: what its receiver says because of that, to its own node and to others, in order.
    pub(super) fn course(&mut self, letter: Letter) -> Vec<String> {
        let Letter { from, to, at, parts } = letter;
        let (now, from) = (self.now, self.nodes[from].member);
        let it = &mut self.nodes[to];
        let mut out = Outbox::new();
        it.machine.attend(it.service);
        it.machine.receive(now, from, Message { at, parts }, &mut out);
        let mut course = Vec::new();
        for effect in out.effects() {
            match effect {
                Effect::Emit(event) => course.push(format!("{event:?}").split(' ').next().unwrap().to_string()),
                Effect::Send { message, .. } => {
                    course.extend(message.parts.iter().map(|part| part.name().replace("variable_", "")));
                }
                Effect::Record(_) => {}
            }
        }
        self.follow(to, &mut out);
        course
    }

    // What tasks do.

    pub(super) fn read(&mut self, node: usize, name: &Name) {
        self.command(node, Command::Read { name: name.clone() });
    }

    pub(super) fn forget(&mut self, node: usize, name: &Name) {
        self.command(node, Command::Forget { name: name.clone() });
    }

    /// A task wants something done; gives its ticket.
    pub(super) fn act(&mut self, node: usize, name: &Name, action: Action) -> Ticket {
        self.operate(node, name, Operation { kind: KIND, guard: None, action })
    }

    pub(super) fn operate(&mut self, node: usize, name: &Name, operation: Operation) -> Ticket {
        self.operate_all(node, name, [operation])[0]
    }

    pub(super) fn operate_all(
        &mut self,
        node: usize,
        name: &Name,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        let operations = operations.into_iter().map(|operation| {
            self.tickets += 1;
            tickets.push(Ticket(self.tickets));
            (name.clone(), Ticket(self.tickets), operation)
        });
        let operations = operations.collect();
        self.command(node, Command::Operate(operations));
        tickets
    }

    pub(super) fn set(&mut self, node: usize, name: &Name, to: u8) -> Ticket {
        self.act(node, name, Action::Set(value(to)))
    }

    /// A variable is there before the play begins.
    pub(super) fn given(&mut self, name: &Name, to: u8) {
        let home = self.homes(name, &self.view)[0];
        let ticket = self.act(home, name, Action::Create(value(to)));
        self.deliver();
        assert_eq!(self.outcome(ticket), Some(Outcome::Done));
        self.said(home);
    }

    /// Some nodes have copies.
    pub(super) fn copied(&mut self, nodes: &[usize], name: &Name) {
        for node in nodes {
            self.read(*node, name);
            self.deliver();
            assert!(self.sees(*node, name).is_some());
            self.said(*node);
        }
    }

    // What is to be seen.

    /// What a task of that node would read now: nothing if there is no copy, and nothing in it if there is no such variable.
    pub(super) fn sees(&self, node: usize, name: &Name) -> Option<Option<u8>> {
        let copy = self.nodes[node].machine.readable().find(|(known, _)| *known == name);
        copy.map(|(_, state)| state.value.as_ref().map(|value| value.bytes[0]))
    }

    /// The value that a node would get if it asked.
    pub(super) fn asks(&mut self, node: usize, name: &Name) -> Option<Option<u8>> {
        self.forget(node, name);
        self.read(node, name);
        self.deliver();
        self.sees(node, name)
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<Result<Answer, Unanswered>> {
        self.answers.get(&ticket).cloned()
    }

    pub(super) fn outcome(&self, ticket: Ticket) -> Option<Outcome> {
        self.answer(ticket).map(|answer| answer.expect("it is answered").outcome)
    }

    pub(super) fn refusal(&self, ticket: Ticket) -> Option<Refusal> {
        match self.outcome(ticket) {
            Some(Outcome::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// What a node has said since this was last asked.
    pub(super) fn said(&mut self, node: usize) -> Vec<Event> {
        core::mem::take(&mut self.nodes[node].said)
    }

    pub(super) fn has_ignored(&mut self, node: usize, from: usize, reason: Ignored) -> bool {
        let from = self.nodes[from].member;
        self.said(node).contains(&Event::Ignored { from, reason })
    }

    /// The messages under way, by name.
    pub(super) fn under_way(&self) -> Vec<String> {
        let parts = self.mail.iter().flat_map(|letter| &letter.parts);
        parts.map(|part| part.name().strip_prefix("variable_").unwrap().to_string()).collect()
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_quiet(&self) -> bool {
        let mut alive = self.nodes.iter().filter(|node| !node.dead);
        alive.all(|node| {
            node.machine.writers.is_empty() && node.machine.slots.values().all(|slot| slot.pending.is_none())
        })
    }
}

/// The play goes well, and would not without the rule that the bug breaks.
pub(super) fn rests_on(bug: Bug, members: usize, play: impl Fn(&mut Scene) -> bool) {
    assert!(play(&mut Scene::new(members)));
    #[cfg(feature = "bugs")]
    {
        let mut scene = Scene::new(members);
        scene.plant(bug);
        assert!(!play(&mut scene), "{bug:?}");
    }
    #[cfg(not(feature = "bugs"))]
    let _ = bug;
}
