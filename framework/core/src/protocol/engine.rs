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
    packet::Packet,
    time::Time,
};
use crate::wire::id::{Member, NodeId};

/// One node's part in every protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    detector: detector::Machine,
    catalog: catalog::Machine,
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
    /// Of the catalog.
    pub catalog: catalog::Config,
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
    /// An attempt to link with this node has failed.
    Unreachable(NodeId),
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
    /// The deadline has come.
    Wake,
    /// The node is about to leave.
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
    /// Tell the node.
    Event(Event),
}

/// What happened inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To the detector.
    Detector(detector::Event),
    /// To the catalog.
    Catalog(catalog::Event),
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
    pub const fn new(me: Member, config: Config, seed: u64) -> Self {
        Self {
            detector: detector::Machine::new(config.detector, seed),
            catalog: catalog::Machine::new(me, config.catalog),
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
            Input::Heard(member) => self.tell_detector(now, detector::Command::Heard(member), out),
            Input::Unreachable(node) => self.tell_detector(now, detector::Command::Unreachable(node), out),
            Input::Set { key, value } => self.tell_catalog(now, catalog::Command::Set { key, value }, out),
            Input::Remove { key } => self.tell_catalog(now, catalog::Command::Remove { key }, out),
            Input::Wake => {
                self.detect(now, out, |detector, out| detector.wake(now, out));
                self.catalogue(now, out, |catalog, out| catalog.wake(now, out));
            }
            Input::Leave => self.tell_detector(now, detector::Command::Leave, out),
        }
    }

    /// When to step with [`Input::Wake`]; never, if `None`.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        [self.detector.deadline(), self.catalog.deadline()].into_iter().flatten().min()
    }

    /// Who answers.
    #[must_use]
    pub const fn detector(&self) -> &detector::Machine {
        &self.detector
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
        self.detect(now, out, |detector, out| detector.view_changed(now, ViewChange::Linked(member), out));
        self.catalogue(now, out, |catalog, out| catalog.view_changed(now, ViewChange::Linked(member), out));
    }

    fn unlinked(&mut self, now: Time, member: Member, out: &mut Outbox<Effect>) {
        if self.links.get(&member.node).is_some_and(|link| link.member == member) {
            self.links.remove(&member.node);
        }
        self.catalogue(now, out, |catalog, out| catalog.view_changed(now, ViewChange::Unlinked(member), out));
        self.detect(now, out, |detector, out| detector.view_changed(now, ViewChange::Unlinked(member), out));
    }

    fn packet(&mut self, now: Time, from: Member, packet: Packet, out: &mut Outbox<Effect>) {
        match packet {
            Packet::Detector(message) => {
                self.detect(now, out, |detector, out| detector.receive(now, from, message, out))
            }
            Packet::Catalog(message) => {
                self.tell_detector(now, detector::Command::Heard(from), out);
                self.catalogue(now, out, |catalog, out| catalog.receive(now, from, message, out));
            }
            Packet::PeersWanted | Packet::Peers(_) => {
                self.tell_detector(now, detector::Command::Heard(from), out);
                out.push(Effect::Event(Event::Packet { from, packet }));
            }
        }
    }

    /// A link is ready when its peer has described itself and can be called.
    fn learn(&mut self, now: Time, member: Member, note: impl FnOnce(&mut Link), out: &mut Outbox<Effect>) {
        let Some(link) = self.links.get_mut(&member.node).filter(|link| link.member == member) else { return };
        note(link);
        if link.described && link.callable {
            self.tell_detector(now, detector::Command::Ready(member), out);
        }
    }

    // From events to the inputs of others.

    fn detector_event(&mut self, now: Time, event: detector::Event, out: &mut Outbox<Effect>) {
        out.push(Effect::Event(Event::Detector(event)));
        match event {
            detector::Event::Unlink(member) => self.unlinked(now, member, out),
            detector::Event::Forgotten(node) => self.tell_catalog(now, catalog::Command::Forget(node), out),
            detector::Event::Joined(_)
            | detector::Event::Suspected { .. }
            | detector::Event::Trusted(_)
            | detector::Event::Failed { .. }
            | detector::Event::Recovered(_)
            | detector::Event::Left(_)
            | detector::Event::Answered { .. }
            | detector::Event::Relink { .. }
            | detector::Event::Ignored { .. } => {}
        }
    }

    fn catalog_event(&mut self, now: Time, event: catalog::Event, out: &mut Outbox<Effect>) {
        let described = if let catalog::Event::Described(member) = event { Some(member) } else { None };
        out.push(Effect::Event(Event::Catalog(event)));
        if let Some(member) = described {
            self.learn(now, member, |link| link.described = true, out);
        }
    }

    // One step of one machine, and what follows from it.

    fn tell_detector(&mut self, now: Time, command: detector::Command, out: &mut Outbox<Effect>) {
        self.detect(now, out, |detector, out| detector.command(now, command, out));
    }

    fn tell_catalog(&mut self, now: Time, command: catalog::Command, out: &mut Outbox<Effect>) {
        self.catalogue(now, out, |catalog, out| catalog.command(now, command, out));
    }

    fn detect(
        &mut self,
        now: Time,
        out: &mut Outbox<Effect>,
        step: impl FnOnce(&mut detector::Machine, &mut Outbox<contract::Effect<detector::Machine>>),
    ) {
        let mut own = Outbox::new();
        step(&mut self.detector, &mut own);
        out.absorb_reached(&mut own);
        for effect in own.drain() {
            match effect {
                contract::Effect::Send { to, message } => {
                    out.push(Effect::Send { to, packet: Packet::Detector(message) });
                }
                contract::Effect::Emit(event) => self.detector_event(now, event, out),
            }
        }
    }

    fn catalogue(
        &mut self,
        now: Time,
        out: &mut Outbox<Effect>,
        step: impl FnOnce(&mut catalog::Machine, &mut Outbox<contract::Effect<catalog::Machine>>),
    ) {
        let mut own = Outbox::new();
        step(&mut self.catalog, &mut own);
        out.absorb_reached(&mut own);
        for effect in own.drain() {
            match effect {
                contract::Effect::Send { to, message } => {
                    out.push(Effect::Send { to, packet: Packet::Catalog(message) });
                }
                contract::Effect::Emit(event) => self.catalog_event(now, event, out),
            }
        }
    }
}
