use alloc::{
    collections::VecDeque,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;
use std::format;

use super::super::{Body, Command, Config, Event, Fence, Machine, Message, Ticket};
use crate::{
    protocol::{
        bugs::Bugs,
        contract::{Effect, Outbox, Protocol, ViewChange},
        home::home,
        service::Service,
        time::Time,
        view::{At, Change, Epoch, Lineage, View},
    },
    wire::{
        id::{Incarnation, Member, NodeId},
        name::Name,
    },
};

pub(super) const LEASED: Service = Service { open: true, active: true, until: Some(Time::MAX), leaving: false };
/// The view is installed, and what the excluded were allowed to do has not ended.
pub(super) const WAITING: Service = Service { active: false, ..LEASED };
pub(super) const LAPSED: Service = Service { until: None, ..LEASED };
pub(super) const WEDGED: Service = Service { open: false, ..LAPSED };

/// A few nodes on a network that does what it is told.
pub(super) struct Scene {
    pub(super) view: View,
    pub(super) nodes: Vec<Node>,
    /// What is under way, in order.
    pub(super) mail: VecDeque<Letter>,
    pub(super) now: Time,
}

pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) service: Service,
    /// Nothing comes or goes any more.
    pub(super) dead: bool,
    /// It grants guards of parked tokens by itself, and this is one.
    pub(super) own_guard: Option<Fence>,
    parked: Option<Fence>,
    said: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: Message,
}

pub(super) fn member(node: usize) -> Member {
    Member { node: NodeId([node as u8; 32]), incarnation: Incarnation(1) }
}

pub(super) fn number(member: Member) -> usize {
    usize::from(member.node.0[0])
}

/// The view of these many members, none of whom has just come in.
pub(super) fn view(members: usize) -> View {
    let born = View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0));
    let mut all = (1..members).fold(born, |view, node| view.successor(&[Change::Admit(member(node), Epoch(1))]));
    while all.at.epoch < Epoch(EPOCH) {
        all = all.successor(&[Change::Renew]);
    }
    all
}

/// Of the view in which a scene begins.
pub(super) const EPOCH: u64 = 10;

impl Scene {
    pub(super) fn new(members: usize) -> Self {
        Self::with_bugs(members, Bugs::NONE)
    }

    pub(super) fn with_bugs(members: usize, bugs: Bugs) -> Self {
        let view = view(members);
        let config = Config { bugs, ..Config::default() };
        let node = |node| Node {
            machine: Machine::new(member(node), config, view.clone()),
            service: LEASED,
            dead: false,
            own_guard: None,
            parked: None,
            said: Vec::new(),
        };
        Self { nodes: (0..members).map(node).collect(), view, mail: VecDeque::new(), now: Time::default() }
    }

    /// A name whose home in this view is that node.
    pub(super) fn name(&self, at: usize) -> Name {
        let names = (0..).map(|n| Name::new(&format!("m{n}")).unwrap());
        names.into_iter().find(|name| home(&self.view, name) == member(at)).unwrap()
    }

    /// A name whose home is one node in this view, and another in the next.
    pub(super) fn name_that_moves(&self, from: usize, next: &View, to: usize) -> Name {
        let names = (0..).map(|n| Name::new(&format!("m{n}")).unwrap());
        let moves = |name: &Name| home(&self.view, name) == member(from) && home(next, name) == member(to);
        names.into_iter().find(moves).unwrap()
    }

    pub(super) fn command(&mut self, node: usize, command: Command) {
        let now = self.now;
        self.step(node, |machine, out| machine.command(now, command, out));
    }

    pub(super) fn step(&mut self, node: usize, step: impl FnOnce(&mut Machine, &mut Outbox<Effect<Machine>>)) {
        let it = &mut self.nodes[node];
        let mut out = Outbox::new();
        it.machine.attend(it.service);
        step(&mut it.machine, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => self.mail.push_back(Letter { from: node, to: number(to), message }),
                Effect::Emit(event) => self.follow(node, event),
                Effect::Record(_) => unreachable!("mutexes write nothing down"),
            }
        }
    }

    fn follow(&mut self, node: usize, event: Event) {
        match &event {
            Event::Parked { fence, .. } => self.nodes[node].parked = Some(*fence),
            Event::Recalled { name } => {
                let it = &mut self.nodes[node];
                let (parked, held) = (it.parked.take(), it.own_guard.is_some());
                let fence = it.own_guard.or(parked).expect("it is parked");
                self.command(node, Command::Returned { name: name.clone(), fence, held });
            }
            _ => {}
        }
        self.nodes[node].said.push(event);
    }

    /// What a node has said since this was last asked.
    pub(super) fn said(&mut self, node: usize) -> Vec<Event> {
        core::mem::take(&mut self.nodes[node].said)
    }

    pub(super) fn acquire(&mut self, node: usize, name: &Name, ticket: u64) {
        self.command(node, Command::Acquire { name: name.clone(), ticket: Ticket(ticket) });
    }

    pub(super) fn attempt(&mut self, node: usize, name: &Name, ticket: u64) {
        self.command(node, Command::Try { name: name.clone(), ticket: Ticket(ticket) });
    }

    pub(super) fn cancel(&mut self, node: usize, name: &Name, ticket: u64) {
        self.command(node, Command::Cancel { name: name.clone(), ticket: Ticket(ticket) });
    }

    pub(super) fn release(&mut self, node: usize, name: &Name, fence: Fence) {
        self.command(node, Command::Release { name: name.clone(), fence });
    }

    /// A guard that the node takes of its parked token by itself.
    pub(super) fn take_parked(&mut self, node: usize) -> Fence {
        let it = &mut self.nodes[node];
        let last = it.parked.expect("it is parked");
        let fence = Fence { grant: last.grant + 1, ..last };
        (it.own_guard, it.parked) = (Some(fence), Some(fence));
        fence
    }

    /// All that is under way arrives, and what follows from it.
    pub(super) fn deliver(&mut self) {
        while let Some(letter) = self.mail.pop_front() {
            self.arrive(letter);
        }
    }

    /// The messages of a kind are taken out of what is under way.
    pub(super) fn take(&mut self, is_wanted: impl Fn(&Letter) -> bool) -> Vec<Letter> {
        let (taken, left) = self.mail.drain(..).partition(is_wanted);
        self.mail = left;
        taken.into()
    }

    pub(super) fn arrive(&mut self, letter: Letter) {
        let Letter { from, to, message } = letter;
        if !self.nodes[to].dead {
            let now = self.now;
            self.step(to, |machine, out| machine.receive(now, member(from), message, out));
        }
    }

    /// So much time passes, and what comes of it arrives.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        let now = self.now;
        for node in 0..self.nodes.len() {
            if !self.nodes[node].dead {
                self.step(node, |machine, out| machine.wake(now, out));
            }
        }
        self.deliver();
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        let now = self.now;
        self.step(a, |machine, out| machine.view_changed(now, ViewChange::Linked(member(b)), out));
    }

    /// The next view, which nobody has installed yet.
    pub(super) fn next(&self, changes: &[Change]) -> View {
        self.view.successor(changes)
    }

    pub(super) fn install(&mut self, node: usize, view: &View, service: Service) {
        let cut: Vec<_> = self.view.missing_in(view).collect();
        self.install_without(node, view, cut, service);
    }

    fn install_without(&mut self, node: usize, view: &View, cut: Vec<Member>, service: Service) {
        self.nodes[node].service = service;
        self.command(node, Command::Install { view: view.clone(), cut });
    }

    /// The next view comes, and what follows from it. Only who is cut is taken for dead.
    pub(super) fn go_on(&mut self, changes: &[Change]) {
        let next = self.next(changes);
        let cuts = |change: &Change| if let Change::Cut(member) = change { Some(*member) } else { None };
        let cut: Vec<_> = changes.iter().filter_map(cuts).collect();
        for node in next.members().map(number) {
            if !self.nodes[node].dead {
                self.install_without(node, &next, cut.clone(), LEASED);
            }
        }
        self.view = next;
        self.deliver();
    }

    /// All members of a view install it.
    pub(super) fn install_all(&mut self, view: &View, service: Service) {
        for member in view.members() {
            if !self.nodes[number(member)].dead {
                self.install(number(member), view, service);
            }
        }
        self.view = view.clone();
    }

    /// What the membership allows a node has changed.
    pub(super) fn allow(&mut self, node: usize, service: Service) {
        self.nodes[node].service = service;
        self.command(node, Command::Proceed);
    }

    /// The guards that were granted since this was last asked: node, ticket, fence, and whether the holder before died.
    pub(super) fn granted(&mut self) -> Vec<(usize, u64, Fence, bool)> {
        let mut granted = Vec::new();
        for node in 0..self.nodes.len() {
            self.nodes[node].said.retain(|event| match event {
                Event::Granted { ticket, fence, died, .. } => {
                    granted.push((node, ticket.0, *fence, *died));
                    false
                }
                _ => true,
            });
        }
        granted
    }

    /// The one guard that was granted.
    pub(super) fn guard(&mut self) -> (usize, u64, Fence, bool) {
        let granted = self.granted();
        assert_eq!(granted.len(), 1, "{granted:?}");
        granted[0]
    }

    /// The messages under way, by name.
    pub(super) fn under_way(&self) -> Vec<String> {
        self.mail.iter().map(|letter| letter.message.name().to_string()).collect()
    }
}

pub(super) fn is_token(letter: &Letter) -> bool {
    matches!(letter.message.body, Body::Token { .. })
}

pub(super) fn is_taken(letter: &Letter) -> bool {
    matches!(letter.message.body, Body::Taken { .. })
}

pub(super) const fn fence(epoch: u64, grant: u64) -> Fence {
    Fence { epoch: Epoch(epoch), grant }
}
