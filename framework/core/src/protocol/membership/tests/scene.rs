//! A few members on one clock and a network that does what the test says.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::super::{Command, Config, Event, Installed, Machine, Message};
use crate::{
    protocol::{
        contract::{Effect, Outbox, Protocol, ViewChange},
        time::Time,
        view::{At, Change, Epoch, Standing, View},
    },
    wire::id::{Incarnation, Member, NodeId},
};

pub(super) struct Scene {
    pub(super) now: Time,
    pub(super) config: Config,
    pub(super) members: Vec<Member>,
    pub(super) machines: BTreeMap<Member, Machine>,
    pub(super) under_way: VecDeque<(Member, Member, Message)>,
    pub(super) events: Vec<(Member, Event)>,
    pub(super) recorded: BTreeMap<Member, At>,
    /// Nothing gets from the first to the second.
    pub(super) cut: BTreeSet<(Member, Member)>,
    /// Messages that are not delivered by themselves.
    pub(super) held: Option<fn(&Message) -> bool>,
    pub(super) sent: BTreeMap<&'static str, u32>,
    /// Who is spared is not polled.
    pub(super) unpolled: bool,
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn member(node: u8) -> Member {
    Member { node: NodeId([node; 32]), incarnation: Incarnation(1) }
}

pub(super) const A: Member = Member { node: NodeId([0; 32]), incarnation: Incarnation(1) };
pub(super) const B: Member = Member { node: NodeId([1; 32]), incarnation: Incarnation(1) };
pub(super) const C: Member = Member { node: NodeId([2; 32]), incarnation: Incarnation(1) };
pub(super) const D: Member = Member { node: NodeId([3; 32]), incarnation: Incarnation(1) };
pub(super) const E: Member = Member { node: NodeId([4; 32]), incarnation: Incarnation(1) };

const ECHO: Duration = ms(250);
const STEP: Duration = ms(5);

impl Scene {
    pub(super) fn new(config: Config) -> Self {
        Self {
            now: Time::default(),
            config,
            members: Vec::new(),
            machines: BTreeMap::new(),
            under_way: VecDeque::new(),
            events: Vec::new(),
            recorded: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: None,
            sent: BTreeMap::new(),
            unpolled: false,
        }
    }

    /// So many members of one active view, the oldest first.
    pub(super) fn of(count: u8) -> Self {
        Self::with(count, Config::default())
    }

    pub(super) fn with(count: u8, config: Config) -> Self {
        let mut scene = Self::new(config);
        // It has come further than the others, so they join it.
        scene.start_after(A, Config { after: Epoch(1), ..config });
        scene.pass(ms(1000));
        for node in 1..count {
            scene.start(member(node));
            scene.pass(ms(1000));
            scene.pass(ms(1000));
        }
        let view = scene.view(A);
        assert_eq!(view.members().collect::<Vec<_>>(), (0..count).map(member).collect::<Vec<_>>());
        assert!(scene.members.iter().all(|it| scene.view(*it) == view && scene.serves(*it)), "{view:?}");
        scene.events.clear();
        scene
    }

    /// A process starts, and everybody is linked with it.
    pub(super) fn start(&mut self, member: Member) {
        self.start_after(member, self.config);
    }

    pub(super) fn start_after(&mut self, member: Member, mut config: Config) {
        // Its clock begins with it; here there is one clock, so its window is moved.
        config.window += self.now.saturating_since(Time::default());
        let seed = u64::from(member.node.0[0]) << 8 | member.incarnation.0;
        self.machines.insert(member, Machine::new(member, config, seed));
        self.members.push(member);
        for other in self.members.clone() {
            if other != member && self.machines.contains_key(&other) {
                self.link(member, other);
            }
        }
    }

    pub(super) fn kill(&mut self, member: Member) {
        self.machines.remove(&member);
        for other in self.alive() {
            self.step(other, |machine, now, out| machine.view_changed(now, ViewChange::Unlinked(member), out));
            self.command(other, Command::Suspect(member));
        }
    }

    /// The detectors of the voters say that somebody does not answer.
    pub(super) fn voters_suspect(&mut self, member: Member) {
        let voters: Vec<_> = self.machines.values().next().unwrap().view().voters().collect();
        voters.into_iter().for_each(|voter| self.command(voter, Command::Suspect(member)));
    }

    pub(super) fn link(&mut self, a: Member, b: Member) {
        if self.can_reach(a, b) && self.can_reach(b, a) {
            self.step(a, |machine, now, out| machine.view_changed(now, ViewChange::Linked(b), out));
            self.step(b, |machine, now, out| machine.view_changed(now, ViewChange::Linked(a), out));
        }
    }

    /// Nothing gets from one side to the other, and each side notices.
    pub(super) fn split(&mut self, one: &[Member], other: &[Member]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut.extend([(a, b), (b, a)]);
            for (at, from) in [(a, b), (b, a)] {
                self.step(at, |machine, now, out| machine.view_changed(now, ViewChange::Unlinked(from), out));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        let pairs = core::mem::take(&mut self.cut);
        for (a, b) in pairs.into_iter().filter(|(a, b)| a < b) {
            self.link(a, b);
        }
    }

    pub(super) fn alive(&self) -> Vec<Member> {
        self.machines.keys().copied().collect()
    }

    fn can_reach(&self, from: Member, to: Member) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub(super) fn step(&mut self, at: Member, input: impl FnOnce(&mut Machine, Time, &mut Outbox<Effect<Machine>>)) {
        let Some(machine) = self.machines.get_mut(&at) else { return };
        let mut out = Outbox::new();
        input(machine, self.now, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    *self.sent.entry(message.name()).or_default() += 1;
                    self.under_way.push_back((at, to, message));
                }
                Effect::Emit(event) => self.events.push((at, event)),
                Effect::Record(view) => {
                    self.recorded.insert(at, view);
                }
            }
        }
    }

    pub(super) fn command(&mut self, at: Member, command: Command) {
        self.step(at, |machine, now, out| machine.command(now, command, out));
    }

    pub(super) fn propose(&mut self, at: Member, changes: &[Change]) {
        self.step(at, |machine, now, out| machine.propose(now, changes.to_vec(), out));
    }

    pub(super) fn receive(&mut self, at: Member, from: Member, message: Message) {
        self.step(at, |machine, now, out| machine.receive(now, from, message, out));
    }

    /// Delivers what is under way and not held, and what follows from it.
    pub(super) fn deliver(&mut self) {
        let held = |scene: &Self, message: &Message| scene.held.is_some_and(|held| held(message));
        while let Some(next) = self.under_way.iter().position(|(.., message)| !held(self, message)) {
            let (from, to, message) = self.under_way.remove(next).unwrap();
            if self.can_reach(from, to) {
                self.receive(to, from, message);
            }
        }
    }

    /// Takes the messages out that wait, all of them or those to one member.
    pub(super) fn take_held(&mut self, to: Option<Member>) -> Vec<(Member, Member, Message)> {
        let (taken, left): (VecDeque<_>, _) =
            self.under_way.drain(..).partition(|(_, it, _)| to.is_none_or(|to| to == *it));
        self.under_way = left;
        taken.into()
    }

    /// One echo there and back.
    pub(super) fn echo(&mut self, holder: Member, grantor: Member) {
        let standing = |scene: &Self, member| scene.machines.get(&member).and_then(Machine::standing);
        let asked: Option<Standing> = standing(self, holder);
        if self.machines.contains_key(&grantor) && self.can_reach(holder, grantor) {
            self.command(grantor, Command::Asked { by: holder, standing: asked });
            if self.can_reach(grantor, holder) {
                let answer = standing(self, grantor);
                let sent = self.now;
                self.command(holder, Command::Answered { by: grantor, sent, asked, standing: answer });
            }
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.deliver();
        while self.now < end {
            let before = self.now;
            self.now = (self.now + STEP).min(end);
            if before.as_nanos() / ECHO.as_nanos() as u64 != self.now.as_nanos() / ECHO.as_nanos() as u64 {
                let alive = self.alive();
                for (holder, grantor) in alive.iter().flat_map(|a| alive.iter().map(move |b| (*a, *b))) {
                    let spares = |scene: &Self| scene.machines[&holder].spared().any(|it| it == grantor);
                    if holder != grantor && !(self.unpolled && spares(self)) {
                        self.echo(holder, grantor);
                    }
                }
            }
            for member in self.alive() {
                if self.machines[&member].deadline().is_some_and(|due| due <= self.now) {
                    self.step(member, |machine, now, out| machine.wake(now, out));
                }
            }
            self.deliver();
        }
    }

    pub(super) fn view(&self, at: Member) -> View {
        self.machines[&at].view().clone()
    }

    pub(super) fn members_at(&self, at: Member) -> Vec<Member> {
        self.view(at).members().collect()
    }

    pub(super) fn serves(&self, at: Member) -> bool {
        self.machines[&at].serves(self.now)
    }

    /// Whether a guard is valid there.
    pub(super) fn guards(&self, at: Member) -> bool {
        self.machines[&at].lease_end().is_some_and(|end| end > self.now)
    }

    pub(super) fn is_active(&self, at: Member) -> bool {
        self.machines[&at].is_active(self.now)
    }

    pub(super) fn installed(&self, at: Member) -> Vec<&Installed> {
        let own = self.events.iter().filter(|(by, _)| *by == at);
        own.filter_map(|(_, event)| if let Event::Installed(it) = event { Some(it) } else { None }).collect()
    }

    pub(super) fn said(&self, by: Member, event: &Event) -> bool {
        self.events.iter().any(|(who, said)| *who == by && said == event)
    }
}
