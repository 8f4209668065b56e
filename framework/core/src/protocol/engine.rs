//! The engine: all machines of one node, and the only place where they meet.
//!
//! A plain value with one way in and one way out: `(now, input, &mut outbox)`. It owns no clock, no socket and no
//! thread. Whoever drives it - the runtime, the simulator, a test - carries its effects out in order, and wakes it at its
//! [`deadline`](Engine::deadline).

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::{
    catalog,
    contract::{self, Outbox, Protocol, ViewChange},
    detector,
    membership::{self, Installed},
    mutex,
    packet::Packet,
    service::Service,
    time::Time,
    variable,
    view::At,
};
use crate::wire::id::{Member, NodeId};

/// One node's part in every protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    detector: detector::Machine,
    membership: membership::Machine,
    catalog: catalog::Machine,
    mutex: mutex::Machine,
    variable: variable::Machine,
    /// What is known of each link on its way to being ready.
    links: BTreeMap<NodeId, Link>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Link {
    member: Member,
    described: bool,
    callable: bool,
}

/// How the machines of an engine behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Of the detector.
    pub detector: detector::Config,
    /// Of the membership.
    pub membership: membership::Config,
    /// Of the catalog.
    pub catalog: catalog::Config,
    /// Of the mutexes.
    pub mutex: mutex::Config,
    /// Of the variables.
    pub variable: variable::Config,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A link with this member has come up, or a newer one has taken its place.
    Linked(Member),
    /// The link with this member has ended.
    Unlinked(Member),
    /// This linked member can be called.
    Callable(Member),
    /// This linked member has sent a packet.
    Packet {
        /// Who.
        from: Member,
        /// What.
        packet: Packet,
    },
    /// This linked member has shown a sign of life that is no packet.
    Heard(Member),
    /// What this machine is doing has changed.
    Load(detector::Load),
    /// An attempt to link with this node has failed.
    Unreachable(NodeId),
    /// What the node tells its membership.
    Membership(membership::Command),
    /// An entry of this node's own catalog is to be set.
    Set {
        /// Which.
        key: String,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// An entry of this node's own catalog is to be removed.
    Remove {
        /// Which.
        key: String,
    },
    /// Several entries are to be set or removed, and told of together.
    Write(Vec<(String, Option<Vec<u8>>)>),
    /// What the node asks of its mutexes.
    Mutex(mutex::Command),
    /// What the node asks of its variables.
    Variable(variable::Command),
    /// The deadline has come.
    Wake,
    /// The node is about to go: its last word.
    Leave,
}

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this over the link with a member; without a link it is lost.
    Send {
        /// To whom.
        to: Member,
        /// What.
        packet: Packet,
    },
    /// Write this view into the file of this process, before anything after it leaves.
    Record(At),
    /// Tell the node.
    Event(Event),
}

/// What happened inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To the detector.
    Detector(detector::Event),
    /// To the membership.
    Membership(membership::Event),
    /// To the catalog.
    Catalog(catalog::Event),
    /// To the mutexes.
    Mutex(mutex::Event),
    /// To the variables.
    Variable(variable::Event),
    /// A packet came that is no machine's business.
    Packet {
        /// From whom.
        from: Member,
        /// What.
        packet: Packet,
    },
}

impl Engine {
    /// The engine of a node that knows nobody. The seed is all the chance that it will ever have.
    #[must_use]
    pub fn new(me: Member, config: Config, seed: u64) -> Self {
        let membership = membership::Machine::new(me, config.membership, seed);
        let view = membership.view().clone();
        Self {
            detector: detector::Machine::new(config.detector, seed, membership.standing()),
            membership,
            catalog: catalog::Machine::new(me, config.catalog),
            mutex: mutex::Machine::new(me, config.mutex, view.clone()),
            variable: variable::Machine::new(me, config.variable, view),
            links: BTreeMap::new(),
        }
    }

    /// Takes one input and says what is to be done about it.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Linked(member) => self.linked(now, member, out),
            Input::Unlinked(member) => self.unlinked(now, member, out),
            Input::Callable(member) => {
                self.learn(now, member, |link| link.callable = true, out);
            }
            Input::Packet { from, packet } => self.packet(now, from, packet, out),
            Input::Heard(member) => self.tell(now, detector::Command::Heard(member), out),
            Input::Load(load) => self.tell(now, detector::Command::Load(load), out),
            Input::Unreachable(node) => self.tell(now, detector::Command::Unreachable(node), out),
            Input::Membership(command) => self.tell(now, command, out),
            Input::Set { key, value } => self.tell(now, catalog::Command::Set { key, value }, out),
            Input::Remove { key } => self.tell(now, catalog::Command::Remove { key }, out),
            Input::Write(entries) => self.tell(now, catalog::Command::Write(entries), out),
            Input::Mutex(command) => self.tell(now, command, out),
            Input::Variable(command) => self.tell(now, command, out),
            Input::Wake => {
                self.drive::<detector::Machine>(now, out, |detector, out| detector.wake(now, out));
                self.drive::<membership::Machine>(now, out, |membership, out| membership.wake(now, out));
                self.proceed(now, out);
                self.drive::<catalog::Machine>(now, out, |catalog, out| catalog.wake(now, out));
                self.drive::<mutex::Machine>(now, out, |mutex, out| mutex.wake(now, out));
                self.drive::<variable::Machine>(now, out, |variable, out| variable.wake(now, out));
            }
            Input::Leave => self.tell(now, detector::Command::Leave, out),
        }
    }

    /// When to step with [`Input::Wake`]; never, if `None`.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let (membership, mutex) = (self.membership.deadline(), self.mutex.deadline());
        let (catalog, variable) = (self.catalog.deadline(), self.variable.deadline());
        [self.detector.deadline(), membership, catalog, mutex, variable].into_iter().flatten().min()
    }

    /// Who answers.
    #[must_use]
    pub const fn detector(&self) -> &detector::Machine {
        &self.detector
    }

    /// Who is a member.
    #[must_use]
    pub const fn membership(&self) -> &membership::Machine {
        &self.membership
    }

    /// Who has which token.
    #[must_use]
    pub const fn mutex(&self) -> &mutex::Machine {
        &self.mutex
    }

    /// Which variables are at home here, and what is known of others.
    #[must_use]
    pub const fn variable(&self) -> &variable::Machine {
        &self.variable
    }

    /// What a later life may offer of this one, which is over.
    #[must_use]
    pub fn into_estate(self) -> Option<variable::Estate> {
        self.variable.into_estate()
    }

    /// What this node holds, beside guards that the machines do not know of.
    #[must_use]
    pub fn holdings(&self, guards: bool) -> membership::Holdings {
        let variable = &self.variable;
        membership::Holdings { variables: variable.is_holding(), home: variable.is_keeping(), guards }
    }

    /// What the membership allows now.
    #[must_use]
    pub fn service(&self, now: Time) -> Service {
        let membership = &self.membership;
        let may_grant = membership.serves(now) && !membership.is_leaving();
        Service {
            open: membership.standing().is_some_and(|standing| !standing.wedged),
            active: membership.is_active(now),
            until: membership.lease_end().filter(|_| may_grant),
            reads: membership.reads_until(),
            leaving: membership.is_leaving(),
        }
    }

    /// What everybody says about itself.
    #[must_use]
    pub const fn catalog(&self) -> &catalog::Machine {
        &self.catalog
    }

    fn linked(&mut self, now: Time, member: Member, out: &mut Outbox<Effect>) {
        let known = self.detector.peer(member.node);
        if known.is_none_or(|(known, _)| known.incarnation <= member.incarnation) {
            self.links.insert(member.node, Link { member, described: false, callable: false });
        }
        self.change(now, ViewChange::Linked(member), out);
    }

    fn unlinked(&mut self, now: Time, member: Member, out: &mut Outbox<Effect>) {
        if self.links.get(&member.node).is_some_and(|link| link.member == member) {
            self.links.remove(&member.node);
        }
        self.change(now, ViewChange::Unlinked(member), out);
    }

    fn change(&mut self, now: Time, change: ViewChange, out: &mut Outbox<Effect>) {
        self.drive::<detector::Machine>(now, out, |detector, out| detector.view_changed(now, change, out));
        self.drive::<membership::Machine>(now, out, |membership, out| membership.view_changed(now, change, out));
        self.drive::<catalog::Machine>(now, out, |catalog, out| catalog.view_changed(now, change, out));
        self.drive::<mutex::Machine>(now, out, |mutex, out| mutex.view_changed(now, change, out));
        self.drive::<variable::Machine>(now, out, |variable, out| variable.view_changed(now, change, out));
    }

    fn packet(&mut self, now: Time, from: Member, packet: Packet, out: &mut Outbox<Effect>) {
        if !matches!(packet, Packet::Detector(_)) {
            self.tell(now, detector::Command::Heard(from), out);
        }
        match packet {
            Packet::Detector(message) => self.hear::<detector::Machine>(now, from, message, out),
            Packet::Membership(message) => self.hear::<membership::Machine>(now, from, message, out),
            Packet::Catalog(message) => self.hear::<catalog::Machine>(now, from, message, out),
            Packet::Mutex(message) => self.hear::<mutex::Machine>(now, from, message, out),
            Packet::Variable(message) => self.hear::<variable::Machine>(now, from, message, out),
            Packet::PeersWanted | Packet::Peers(_) | Packet::Broadcast(_) => {
                out.push(Effect::Event(Event::Packet { from, packet }))
            }
        }
    }

    /// A link is ready when its peer has described itself and can be called.
    fn learn(&mut self, now: Time, member: Member, note: impl FnOnce(&mut Link), out: &mut Outbox<Effect>) {
        let Some(link) = self.links.get_mut(&member.node).filter(|link| link.member == member) else { return };
        note(link);
        if link.described && link.callable {
            self.tell(now, detector::Command::Ready(member), out);
        }
    }

    /// Whoever waits for a lease, or for the view to be active, looks again.
    fn proceed(&mut self, now: Time, out: &mut Outbox<Effect>) {
        if self.mutex.is_blocked() {
            self.tell(now, mutex::Command::Proceed, out);
        }
        if self.variable.is_blocked() {
            self.tell(now, variable::Command::Proceed, out);
        }
    }

    // One step of one machine, and what follows from it.

    fn tell<C>(&mut self, now: Time, command: C, out: &mut Outbox<Effect>)
    where
        C: Addressed,
    {
        self.drive::<C::To>(now, out, |machine, out| machine.command(now, command, out));
    }

    fn hear<P: Part>(&mut self, now: Time, from: Member, message: P::Message, out: &mut Outbox<Effect>) {
        self.drive::<P>(now, out, |machine, out| machine.receive(now, from, message, out));
    }

    fn drive<P: Part>(
        &mut self,
        now: Time,
        out: &mut Outbox<Effect>,
        step: impl FnOnce(&mut P, &mut Outbox<contract::Effect<P>>),
    ) {
        let mut own = Outbox::new();
        P::prepare(self, now);
        step(P::of(self), &mut own);
        out.absorb_reached(&mut own);
        for effect in own.drain() {
            match effect {
                contract::Effect::Send { to, message } => out.push(Effect::Send { to, packet: P::packet(message) }),
                contract::Effect::Record(at) => out.push(Effect::Record(at)),
                contract::Effect::Emit(event) => P::follow(self, now, event, out),
            }
        }
    }
}

/// A machine in its engine: where it is, and what its events mean to the others.
trait Part: Protocol {
    fn of(engine: &mut Engine) -> &mut Self;
    /// What its siblings say at the moment of each step.
    fn prepare(_engine: &mut Engine, _now: Time) {}
    fn packet(message: Self::Message) -> Packet;
    fn follow(engine: &mut Engine, now: Time, event: Self::Event, out: &mut Outbox<Effect>);
}

/// A command says by its type whom it is for.
trait Addressed {
    type To: Part<Command = Self>;
}

impl Addressed for detector::Command {
    type To = detector::Machine;
}

impl Addressed for membership::Command {
    type To = membership::Machine;
}

impl Addressed for catalog::Command {
    type To = catalog::Machine;
}

impl Addressed for mutex::Command {
    type To = mutex::Machine;
}

impl Addressed for variable::Command {
    type To = variable::Machine;
}

impl Part for detector::Machine {
    fn of(engine: &mut Engine) -> &mut Self {
        &mut engine.detector
    }

    fn packet(message: detector::Message) -> Packet {
        Packet::Detector(message)
    }

    fn follow(engine: &mut Engine, now: Time, event: detector::Event, out: &mut Outbox<Effect>) {
        out.push(Effect::Event(Event::Detector(event)));
        match event {
            detector::Event::Unlink(member) => engine.unlinked(now, member, out),
            detector::Event::Forgotten(node) => engine.tell(now, catalog::Command::Forget(node), out),
            detector::Event::Failed { peer, .. } | detector::Event::Left(peer) => {
                engine.tell(now, membership::Command::Suspect(peer), out);
            }
            detector::Event::Asked { peer, standing } => {
                engine.tell(now, membership::Command::Asked { by: peer, standing }, out);
            }
            detector::Event::Answered { peer, sent, asked, standing, .. } => {
                engine.tell(now, membership::Command::Answered { by: peer, sent, asked, standing }, out);
                engine.proceed(now, out);
            }
            detector::Event::Joined(_)
            | detector::Event::Suspected { .. }
            | detector::Event::Trusted(_)
            | detector::Event::Recovered(_)
            | detector::Event::Relink { .. }
            | detector::Event::Ignored { .. } => {}
        }
    }
}

impl Part for membership::Machine {
    fn of(engine: &mut Engine) -> &mut Self {
        &mut engine.membership
    }

    fn packet(message: membership::Message) -> Packet {
        Packet::Membership(message)
    }

    fn follow(engine: &mut Engine, now: Time, event: membership::Event, out: &mut Outbox<Effect>) {
        let stand = if let membership::Event::Stand(standing) = event { Some(standing) } else { None };
        let active = matches!(event, membership::Event::Active(_));
        let installed =
            if let membership::Event::Installed(installed) = &event { Some(installed.clone()) } else { None };
        out.push(Effect::Event(Event::Membership(event)));
        if active {
            engine.proceed(now, out);
        }
        if let Some(Installed { unheard: cut, orphaned, .. }) = installed {
            let view = engine.membership.view().clone();
            engine.tell(now, mutex::Command::Install { view: view.clone(), cut }, out);
            engine.tell(now, variable::Command::Install { view, orphaned }, out);
            let all = engine.membership.view().members().map(|member| member.node).collect();
            let spared = engine.membership.spared().map(|member| member.node).collect();
            engine.tell(now, detector::Command::Members { all, spared }, out);
        }
        if let Some(standing) = stand {
            engine.tell(now, detector::Command::Stand(standing), out);
        }
    }
}

impl Part for mutex::Machine {
    fn of(engine: &mut Engine) -> &mut Self {
        &mut engine.mutex
    }

    fn prepare(engine: &mut Engine, now: Time) {
        let service = engine.service(now);
        engine.mutex.attend(service);
    }

    fn packet(message: mutex::Message) -> Packet {
        Packet::Mutex(message)
    }

    fn follow(_: &mut Engine, _: Time, event: mutex::Event, out: &mut Outbox<Effect>) {
        out.push(Effect::Event(Event::Mutex(event)));
    }
}

impl Part for variable::Machine {
    fn of(engine: &mut Engine) -> &mut Self {
        &mut engine.variable
    }

    fn prepare(engine: &mut Engine, now: Time) {
        let service = engine.service(now);
        engine.variable.attend(service);
    }

    fn packet(message: variable::Message) -> Packet {
        Packet::Variable(message)
    }

    fn follow(_: &mut Engine, _: Time, event: variable::Event, out: &mut Outbox<Effect>) {
        out.push(Effect::Event(Event::Variable(event)));
    }
}

impl Part for catalog::Machine {
    fn of(engine: &mut Engine) -> &mut Self {
        &mut engine.catalog
    }

    fn packet(message: catalog::Message) -> Packet {
        Packet::Catalog(message)
    }

    fn follow(engine: &mut Engine, now: Time, event: catalog::Event, out: &mut Outbox<Effect>) {
        let described = if let catalog::Event::Described(member) = event { Some(member) } else { None };
        out.push(Effect::Event(Event::Catalog(event)));
        if let Some(member) = described {
            engine.learn(now, member, |link| link.described = true, out);
        }
    }
}
