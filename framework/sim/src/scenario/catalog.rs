//! Catalogs that change while nodes come and go, now and then faster than a link carries: C1, C2, C3, and what the detector
//! owes (E1, E2, E4).

use std::{collections::BTreeMap, time::Duration};

use guthi_core::{
    protocol::{
        catalog::{Event, invariant},
        contract::Outbox,
        detector::{self, Reason, Status},
        engine,
        packet::Packet,
        random::Random,
        time::Time,
    },
    wire::id::NodeId,
};
use serde::{Deserialize, Serialize};

use super::{Boot, Operation, Scenario, Violation, node};
use crate::{
    fabric::{Kind, Place},
    fault::Profile,
    world::{self, Host, Input, Wish, World, short},
};

/// Nodes that set and remove entries of their catalogs.
#[derive(Debug)]
pub struct Catalog {
    profile: Profile,
    /// What each node has last said of each other one's life.
    said: BTreeMap<(NodeId, u64, NodeId), Said>,
}

/// What a user does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// Set an entry.
    Set {
        /// One of a few keys.
        key: u8,
        /// Any value.
        value: u16,
        /// How many bytes it fills.
        bytes: u16,
    },
    /// Remove an entry.
    Remove {
        /// One of a few keys.
        key: u8,
    },
}

/// A node of this scenario.
#[derive(Debug)]
pub struct CatalogHost {
    node: node::Node,
    under_way: invariant::UnderWay,
    /// The rule that what it sent has broken.
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Here,
    Gone,
}

impl Host for CatalogHost {
    type Operation = Edit;

    fn step(&mut self, now: Time, input: Input<'_, Edit>, out: &mut Outbox<Wish>) {
        let input = match input {
            Input::Linked(member) => {
                self.under_way.linked(member);
                self.node.linked(now, member, out);
                return self.look_at(out);
            }
            Input::Message { from, bytes, kind: Kind::Packet } => {
                if let Some(Packet::Catalog(message)) = node::read(bytes) {
                    self.under_way.heard(self.node.engine.catalog().me(), from, &message);
                }
                self.node.packet(now, from, bytes, out);
                return self.look_at(out);
            }
            Input::Message { kind: Kind::Stream, .. } => return,
            Input::Unlinked(member) => engine::Input::Unlinked(member),
            Input::Unreachable(node) => engine::Input::Unreachable(node),
            Input::Operation(Edit::Set { key, value, bytes }) => {
                let mut text = value.to_string();
                text.extend(std::iter::repeat_n('.', usize::from(*bytes)));
                engine::Input::Set { key: format!("k{key}"), value: text.into_bytes() }
            }
            Input::Operation(Edit::Remove { key }) => engine::Input::Remove { key: format!("k{key}") },
            Input::Leave => engine::Input::Leave,
            Input::Wake => engine::Input::Wake,
        };
        self.node.step(now, input, out);
        self.look_at(out);
    }

    fn deadline(&self) -> Option<Time> {
        self.node.engine.deadline()
    }

    fn tell(bytes: &[u8]) -> String {
        node::tell(bytes)
    }

    fn is_noise(bytes: &[u8]) -> bool {
        node::is_noise(bytes, node::Topic::Catalog)
    }
}

impl CatalogHost {
    /// C3, of what one step has sent.
    fn look_at(&mut self, out: &Outbox<Wish>) {
        let said = out.effects().iter().filter_map(|wish| match wish {
            Wish::Send { to, kind: Kind::Packet, bytes } => match node::read(bytes) {
                Some(Packet::Catalog(message)) => Some((*to, message)),
                _ => None,
            },
            _ => None,
        });
        let said: Vec<_> = said.collect();
        let said = said.iter().map(|(to, message)| (*to, message));
        let catalog = self.node.engine.catalog();
        let result = self.under_way.said(catalog.me(), said).and_then(|()| invariant::check_waits(catalog));
        self.broken = self.broken.or_else(|| result.err());
    }
}

impl Scenario for Catalog {
    const NAME: &'static str = "catalog";
    const MARKERS: &'static [&'static str] = &[
        "catalog: a change waits for an acknowledgement",
        "catalog: a copy of an earlier life replaced",
        "catalog: a delta that came twice or too late",
        "catalog: a gap filled by somebody else than the writer",
        "catalog: a gap noticed",
        "catalog: a head repeated",
        "catalog: a message without a link",
        "catalog: a pull given up",
        "catalog: a pull repeated",
        "detector: a decisive attempt took too long",
        "detector: a link broke before its peer was ready",
        "detector: a peer restarted before its failure was noticed",
        "detector: a silent peer given up",
        "detector: this process was stalled",
    ];
    type Operation = Edit;
    type Host = CatalogHost;

    fn nodes(random: &mut Random) -> Place {
        Place::try_from(random.within(2..=6)).unwrap_or(3)
    }

    fn operations(nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Edit>> {
        let count = random.below(200);
        let end = until.as_nanos() / 1000;
        let edit = |random: &mut Random| {
            let key = u8::try_from(random.below(6)).unwrap_or(0);
            if random.below(3) == 0 {
                return Edit::Remove { key };
            }
            // Now and then several of them do not fit into one delta.
            let bytes = if random.below(20) == 0 { random.within(20_000..60_000) } else { random.below(20) };
            let value = u16::try_from(random.below(1 << 16)).unwrap_or(0);
            Edit::Set { key, value, bytes: u16::try_from(bytes).unwrap_or(0) }
        };
        let operation = |_| Operation {
            at_us: random.below(end),
            place: Place::try_from(random.below(u64::from(nodes))).unwrap_or(0),
            what: edit(random),
        };
        let mut operations: Vec<_> = (0..count).map(operation).collect();
        // What moves is told sixty times a second.
        for _ in 0..random.below(4) {
            let (begin, place) = (random.below(end), Place::try_from(random.below(u64::from(nodes))).unwrap_or(0));
            let key = u8::try_from(random.within(6..=7)).unwrap_or(6);
            let moves = (0..random.within(10..=100)).map(|step| (begin + step * 16_667, step));
            operations.extend(moves.take_while(|(at_us, _)| *at_us < end).map(|(at_us, step)| {
                let what = Edit::Set { key, value: u16::try_from(step).unwrap_or(0), bytes: 0 };
                Operation { at_us, place, what }
            }));
        }
        operations
    }

    fn parse(words: &[&str]) -> Result<Edit, String> {
        let number = |word: &str| word.parse::<u8>().map_err(|_| format!("{word:?} is no number from 0 to 255"));
        match *words {
            ["set", key, value] => Ok(Edit::Set { key: number(key)?, value: number(value)?.into(), bytes: 0 }),
            ["remove", key] => Ok(Edit::Remove { key: number(key)? }),
            _ => Err("a user can `set KEY VALUE` and `remove KEY`, both numbers from 0 to 255".into()),
        }
    }

    fn new(profile: Profile, _seed: u64) -> Self {
        Self { profile, said: BTreeMap::new() }
    }

    fn boot(&mut self, boot: Boot) -> CatalogHost {
        CatalogHost { node: node::Node::new(&boot), under_way: invariant::UnderWay::default(), broken: None }
    }

    fn check_step(&mut self, world: &mut World<CatalogHost>, place: Place) -> Result<(), Violation> {
        let Some(host) = world.host_mut(place) else { return Ok(()) };
        if let Some(rule) = host.broken {
            return Err(Violation::new(format!("{rule}: {}", world::name(place))));
        }
        let events = std::mem::take(&mut host.node.events);
        for event in &events {
            match event {
                engine::Event::Catalog(Event::Changed { of, .. }) => check_copy(world, place, *of)?,
                engine::Event::Detector(event) => self.check_detector(world, place, *event)?,
                engine::Event::Catalog(_)
                | engine::Event::Membership(_)
                | engine::Event::Mutex(_)
                | engine::Event::Variable(_)
                | engine::Event::Packet { .. } => {}
            }
        }
        Ok(())
    }

    fn check_end(&mut self, world: &mut World<CatalogHost>, quiet: bool) -> Result<(), Violation> {
        for (reader, ..) in world.up() {
            for (writer, ..) in world.up().filter(|(writer, ..)| *writer != reader) {
                check_copy(world, reader, world::identity(writer))?;
                if quiet {
                    check_arrived(world, reader, writer)?;
                }
            }
        }
        if quiet { check_nobody_dead_is_alive(world) } else { Ok(()) }
    }
}

impl Catalog {
    fn check_detector(
        &mut self,
        world: &World<CatalogHost>,
        place: Place,
        event: detector::Event,
    ) -> Result<(), Violation> {
        let Some(me) = world.member(place) else { return Ok(()) };
        let (peer, now) = match event {
            detector::Event::Joined(peer) | detector::Event::Recovered(peer) => (peer, Said::Here),
            detector::Event::Failed { peer, .. } | detector::Event::Left(peer) => (peer, Said::Gone),
            _ => return Ok(()),
        };
        let observer = world::name(place);
        if self.profile == Profile::Calm && now == Said::Gone {
            return Err(Violation::new(format!("E2: in calm {observer} gives {} up", short(peer.node))));
        }
        let (pause, since) = world.last_pause(place);
        if let detector::Event::Failed { reason: Reason::Silent(timeout), .. } = event
            && pause > STALL
            && since + Duration::from_millis(1) < timeout
        {
            let what = format!("E2: {observer} was itself stopped, and blames {} for the silence", short(peer.node));
            return Err(Violation::new(what));
        }
        let before = self.said.insert((me.node, me.incarnation.0, peer.node), now);
        match (before, now) {
            (None | Some(Said::Gone), Said::Here) | (Some(Said::Here), Said::Gone) => Ok(()),
            _ => Err(Violation::new(format!("E4: {observer} says twice that {} is {now:?}", short(peer.node)))),
        }
    }
}

/// A pause that a node must notice: two intervals between echoes, and a little for its clock.
const STALL: Duration = Duration::from_millis(550);

fn check_copy(world: &World<CatalogHost>, reader: Place, writer: NodeId) -> Result<(), Violation> {
    let Some(writer) = world.place(writer) else { return Ok(()) };
    let (Some(copy), Some(original)) = (world.host(reader), world.host(writer)) else { return Ok(()) };
    invariant::check_copy(copy.node.engine.catalog(), original.node.engine.catalog())
        .map_err(|what| Violation::new(format!("{what}: {} of {}", world::name(reader), world::name(writer))))
}

fn check_arrived(world: &World<CatalogHost>, reader: Place, writer: Place) -> Result<(), Violation> {
    let (Some(copy), Some(original)) = (world.host(reader), world.host(writer)) else { return Ok(()) };
    if !world.is_linked(reader, writer) {
        let what = format!("W: {} and {} do not find each other", world::name(reader), world::name(writer));
        return Err(Violation::new(what));
    }
    invariant::check_arrived(copy.node.engine.catalog(), original.node.engine.catalog())
        .map_err(|what| Violation::new(format!("{what}: {} of {}", world::name(reader), world::name(writer))))
}

/// E1, long after: whoever is up is alive to all, and whoever is not, to nobody.
fn check_nobody_dead_is_alive(world: &World<CatalogHost>) -> Result<(), Violation> {
    for (observer, _, host) in world.up() {
        for (member, status) in host.node.engine.detector().peers() {
            let place = world.place(member.node);
            let up = place.is_some_and(|place| world.host(place).is_some() && world.member(place) == Some(member));
            if up != (status == Status::Alive) {
                let (observer, peer) = (world::name(observer), short(member.node));
                let truth = if up { "up" } else { "down" };
                return Err(Violation::new(format!("E1: to {observer}, {peer} is {status:?}, and it is {truth}")));
            }
        }
    }
    Ok(())
}
