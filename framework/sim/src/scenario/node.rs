//! The engine as a host: packets are encoded and decoded, links become callable, wishes are passed on.

use guthi_core::{
    protocol::{
        catalog,
        contract::Outbox,
        detector,
        engine::{self, Effect, Engine},
        packet::Packet,
        random::Random,
        time::Time,
    },
    wire::{
        codec,
        frame::{self, Kind as FrameKind},
        id::Member,
        limits,
    },
};

use super::Boot;
use crate::{
    fabric::Kind,
    world::{Wish, short},
};

/// A node's engine, and what it has said since somebody asked.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) events: Vec<engine::Event>,
    verbose: bool,
    effects: Outbox<Effect>,
}

impl Node {
    pub(crate) fn new(boot: &Boot) -> Self {
        let mut config = engine::Config::default();
        config.detector.bugs = boot.bugs;
        config.catalog.bugs = boot.bugs;
        // Some nodes cut their catalogs into many small parts.
        if !boot.tame {
            config.catalog.delta_bytes = *Random::new(boot.seed).pick(&[60, 2_000, config.catalog.delta_bytes]);
        }
        Self {
            engine: Engine::new(boot.member, config, boot.seed),
            events: Vec::new(),
            verbose: boot.verbose,
            effects: Outbox::new(),
        }
    }

    pub(crate) fn linked(&mut self, now: Time, member: Member, out: &mut Outbox<Wish>) {
        self.step(now, engine::Input::Linked(member), out);
        // Its lane opens at once.
        self.step(now, engine::Input::Callable(member), out);
    }

    /// Takes a packet; one that cannot be read ends its link, as it would on a real one.
    pub(crate) fn packet(&mut self, now: Time, from: Member, bytes: &[u8], out: &mut Outbox<Wish>) {
        match read(bytes) {
            Some(packet) => self.step(now, engine::Input::Packet { from, packet }, out),
            None => {
                out.push(Wish::Unlink(from));
                self.step(now, engine::Input::Unlinked(from), out);
            }
        }
    }

    pub(crate) fn step(&mut self, now: Time, input: engine::Input, out: &mut Outbox<Wish>) {
        self.engine.step(now, input, &mut self.effects);
        out.absorb_reached(&mut self.effects);
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to, packet } => {
                    let mut bytes = Vec::new();
                    frame::put(&mut bytes, FrameKind::Control, 0, 0, |body| codec::encode_into(&packet, body))
                        .expect("a packet is plain data");
                    assert!(bytes.len() <= limits::CONTROL_FRAME_BYTES_MAX, "a packet is larger than a frame may be");
                    out.push(Wish::Send { to, kind: Kind::Packet, bytes });
                }
                Effect::Record(_) => {}
                Effect::Event(event) => {
                    if let engine::Event::Detector(detector::Event::Relink { node, patience }) = event {
                        out.push(Wish::Dial { node, patience });
                    }
                    if let engine::Event::Detector(detector::Event::Unlink(member)) = event {
                        out.push(Wish::Unlink(member));
                    }
                    if self.verbose
                        && let Some(line) = words(&event)
                    {
                        out.push(Wish::Note(line));
                    }
                    self.events.push(event);
                }
            }
        }
    }
}

pub(crate) fn read(bytes: &[u8]) -> Option<Packet> {
    let (frame, taken) = frame::take(bytes, limits::CONTROL_FRAME_BYTES_MAX).ok()??;
    let packet = codec::decode(frame.body).ok()?;
    (frame.kind == FrameKind::Control && taken == bytes.len()).then_some(packet)
}

pub(crate) fn is_echo(bytes: &[u8]) -> bool {
    use detector::Message::{Echo, EchoReply};
    matches!(read(bytes), Some(Packet::Detector(Echo { .. } | EchoReply { .. })))
}

/// A packet for people.
pub(crate) fn tell(bytes: &[u8]) -> String {
    let Some(packet) = read(bytes) else { return "something that cannot be read".into() };
    match packet {
        Packet::Detector(detector::Message::Echo { sequence, .. }) => format!("echo {sequence}"),
        Packet::Detector(detector::Message::EchoReply { sequence, .. }) => format!("echo reply {sequence}"),
        Packet::Detector(detector::Message::Leaving) => "leaving".into(),
        Packet::Catalog(catalog::Message::Have { heads, .. }) => {
            let heads: Vec<_> = heads.iter().map(head).collect();
            format!("have {}", heads.join(" "))
        }
        Packet::Catalog(catalog::Message::Pull(asked)) => format!("pull {}", head(&asked)),
        Packet::Catalog(catalog::Message::Taken { head: taken, .. }) => format!("taken {}", head(&taken)),
        Packet::Catalog(catalog::Message::Delta(delta)) => {
            let changes = delta.changes.iter().map(|change| match &change.value {
                Some(value) => format!("{}={}", change.key, value.escape_ascii()),
                None => format!("{} removed", change.key),
            });
            let changes: Vec<_> = changes.collect();
            format!("delta {}:{}-{} [{}]", short(delta.of.node), delta.after, delta.sequence, changes.join(", "))
        }
        Packet::Membership(message) => format!("{message:?}"),
        Packet::PeersWanted => "peers wanted".into(),
        Packet::Peers(list) => format!("{} peers", list.len()),
    }
}

fn head(head: &catalog::Head) -> String {
    format!("{}:{}", short(head.of.node), head.sequence)
}

/// An event for people; what happens all the time is nothing to tell.
fn words(event: &engine::Event) -> Option<String> {
    let name = |member: &Member| short(member.node);
    match event {
        engine::Event::Detector(event) => match event {
            detector::Event::Joined(peer) => Some(format!("says: {} joined", name(peer))),
            detector::Event::Trusted(peer) => Some(format!("says: {} trusted", name(peer))),
            detector::Event::Recovered(peer) => Some(format!("says: {} recovered", name(peer))),
            detector::Event::Left(peer) => Some(format!("says: {} left", name(peer))),
            detector::Event::Suspected { peer, reason } => Some(format!("says: {} suspected, {reason:?}", name(peer))),
            detector::Event::Failed { peer, reason } => Some(format!("says: {} failed, {reason:?}", name(peer))),
            detector::Event::Unlink(peer) => Some(format!("gives up the link with {}", name(peer))),
            detector::Event::Relink { node, .. } => Some(format!("tries to link with {}", short(*node))),
            detector::Event::Forgotten(node) => Some(format!("forgets {}", short(*node))),
            detector::Event::Asked { .. } | detector::Event::Answered { .. } => None,
            detector::Event::Ignored { from, reason } => Some(format!("ignores {}: {reason:?}", name(from))),
        },
        engine::Event::Catalog(event) => match event {
            catalog::Event::Changed(_) => None,
            catalog::Event::Described(peer) => Some(format!("knows the catalog of {}", name(peer))),
            catalog::Event::Refused { key, reason } => Some(format!("refuses {key}: {reason:?}")),
            catalog::Event::Ignored { from, reason } => Some(format!("ignores {}: {reason:?}", name(from))),
        },
        engine::Event::Membership(_) | engine::Event::Packet { .. } => None,
    }
}
