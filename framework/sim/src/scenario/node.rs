//! The engine as a host: packets are encoded and decoded, links become callable, wishes are passed on.

use std::collections::BTreeMap;

use guthi_core::{
    protocol::{
        catalog,
        contract::Outbox,
        detector,
        engine::{self, Effect, Engine},
        home::Shard,
        membership, mutex,
        packet::Packet,
        random::Random,
        time::Time,
        variable,
        view::{At, Change, Lineage, View},
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
    /// The view of each lineage that was written down last.
    pub(crate) written: BTreeMap<Lineage, At>,
    /// A view that it entered without having written that down before.
    pub(crate) unwritten: Option<At>,
    /// The last view in which it said that it serves no more.
    wedged: Option<At>,
    /// A view in which it has granted a lease after it had said so.
    pub(crate) granted: Option<At>,
    /// What it has sent since somebody asked.
    pub(crate) sent: Sent,
    topic: Topic,
    verbose: bool,
    effects: Outbox<Effect>,
}

/// What people want to read of, beside who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Catalog,
    Membership,
    Mutex,
    Variable,
}

/// What a node has sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) detector: Cost,
    pub(crate) membership: Cost,
    pub(crate) mutex: Cost,
    pub(crate) variable: Cost,
}

/// How many messages, of how many bytes with their frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Cost {
    const fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

impl Node {
    pub(crate) fn new(boot: &Boot) -> Self {
        Self::with(boot, engine::Config::default(), Topic::Catalog)
    }

    pub(crate) fn with(boot: &Boot, mut config: engine::Config, topic: Topic) -> Self {
        config.detector.bugs = boot.bugs;
        config.membership.bugs = boot.bugs;
        config.catalog.bugs = boot.bugs;
        config.mutex.bugs = boot.bugs;
        config.variable.bugs = boot.bugs;
        // Some nodes cut their catalogs into many small parts.
        if !boot.tame {
            config.catalog.delta_bytes = *Random::new(boot.seed).pick(&[60, 2_000, config.catalog.delta_bytes]);
        }
        Self {
            engine: Engine::new(boot.member, config, boot.seed),
            events: Vec::new(),
            written: BTreeMap::new(),
            unwritten: None,
            wedged: None,
            granted: None,
            sent: Sent::default(),
            topic,
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
                    if let Packet::Detector(detector::Message::EchoReply { standing: Some(standing), .. }) = packet
                        && !standing.wedged
                        && self.wedged == Some(standing.at)
                    {
                        self.granted = self.wedged;
                    }
                    let mut bytes = Vec::new();
                    frame::put(&mut bytes, FrameKind::Control, 0, 0, |body| codec::encode_into(&packet, body))
                        .expect("a packet is plain data");
                    assert!(bytes.len() <= limits::CONTROL_FRAME_BYTES_MAX, "a packet is larger than a frame may be");
                    match packet {
                        Packet::Detector(_) => self.sent.detector.add(bytes.len()),
                        Packet::Membership(_) => self.sent.membership.add(bytes.len()),
                        Packet::Mutex(_) => self.sent.mutex.add(bytes.len()),
                        Packet::Variable(_) => self.sent.variable.add(bytes.len()),
                        Packet::Catalog(_) | Packet::PeersWanted | Packet::Peers(_) | Packet::Broadcast(_) => {}
                    }
                    out.push(Wish::Send { to, kind: Kind::Packet, bytes });
                }
                Effect::Record(at) => {
                    self.written.insert(at.lineage, at);
                }
                Effect::Event(event) => {
                    if let engine::Event::Membership(membership::Event::Installed(membership::Installed { at, .. })) =
                        &event
                        && self.written.get(&at.lineage) != Some(at)
                    {
                        self.unwritten = Some(*at);
                    }
                    if let engine::Event::Membership(membership::Event::Wedged(at)) = event {
                        self.wedged = Some(at);
                    }
                    if let engine::Event::Detector(detector::Event::Relink { node, patience }) = event {
                        out.push(Wish::Dial { node, patience });
                    }
                    if let engine::Event::Detector(detector::Event::Unlink(member)) = event {
                        out.push(Wish::Unlink(member));
                    }
                    if self.verbose
                        && let Some(line) = words(&event, self.topic)
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

/// Whether it is sent all the time, or about something else.
pub(crate) fn is_noise(bytes: &[u8], topic: Topic) -> bool {
    use detector::Message::{Echo, EchoReply};
    match read(bytes) {
        Some(Packet::Detector(Echo { .. } | EchoReply { .. })) => true,
        Some(Packet::Membership(_)) => topic != Topic::Membership,
        Some(Packet::Catalog(_)) => topic != Topic::Catalog,
        Some(Packet::Mutex(_)) => topic != Topic::Mutex,
        Some(Packet::Variable(message)) => topic != Topic::Variable || message.parts.iter().all(is_empty),
        _ => false,
    }
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
        Packet::Membership(message) => tell_membership(&message),
        Packet::Mutex(message) => tell_mutex(&message),
        Packet::Variable(message) => tell_variable(&message),
        Packet::PeersWanted => "peers wanted".into(),
        Packet::Peers(list) => format!("{} peers", list.len()),
        Packet::Broadcast(broadcast) => format!("{} of topic {}", broadcast.number, broadcast.topic),
    }
}

fn tell_membership(message: &membership::Message) -> String {
    use membership::Message;
    match message {
        Message::Hello { rank, open } => {
            let At { lineage, epoch } = At { lineage: rank.lineage.0, epoch: rank.epoch };
            let holds = if rank.holds { ", with variables" } else { "" };
            let open = if *open { "" } else { ", on my way" };
            format!("hello from {lineage:?}/{epoch:?} of {}{holds}{open}", rank.members)
        }
        Message::Join { into, .. } => format!("join {into:?}"),
        Message::Leave { parted, .. } => if *parted { "leave, parted" } else { "leave" }.into(),
        Message::WouldYou { changes: asked, .. } => format!("would you {}", changes(asked)),
        Message::Would { changes: agreed, .. } => format!("would {}", changes(agreed)),
        Message::Prepare { ballot: attempt, .. } => format!("prepare {}", ballot(*attempt)),
        Message::Promise { ballot: attempt, accepted: None, .. } => format!("promise {}", ballot(*attempt)),
        Message::Promise { ballot: attempt, accepted: Some((earlier, value)), .. } => {
            format!("promise {}, accepted {} {}", ballot(*attempt), ballot(*earlier), changes(value))
        }
        Message::Accept { ballot: attempt, changes: value, .. } => {
            format!("accept {} {}", ballot(*attempt), changes(value))
        }
        Message::Accepted { ballot: attempt, wait, .. } => format!("accepted {}, wait {wait:?}", ballot(*attempt)),
        Message::Refused { promised, .. } => format!("refused, promised {}", ballot(*promised)),
        Message::Decided { changes: value, wait, .. } => format!("decided {}, wait {wait:?}", changes(value)),
        Message::View { view, wait } => format!("view {}, wait {wait:?}", members(view)),
        Message::ViewWanted { at } => format!("view wanted, have {at:?}"),
        Message::Fork { members, .. } => format!("fork {}", names(members.iter())),
        Message::Forked { into, .. } => format!("forked into {into:?}"),
    }
}

fn tell_mutex(mutex::Message { name, body, .. }: &mutex::Message) -> String {
    use mutex::Body;
    match body {
        Body::Request { number } => format!("request {number} for {name}"),
        Body::Try { number } => format!("try {number} for {name}"),
        Body::Busy { number } => format!("busy {number} for {name}"),
        Body::Token { pass, token } => {
            let queue: Vec<_> = token.queue.iter().map(|seat| seat.to_string()).collect();
            let died = if token.died { ", its holder died" } else { "" };
            format!("token {pass} of {name} after {}, queue [{}]{died}", token.fence, queue.join(" "))
        }
        Body::Taken { pass } => format!("taken {pass} of {name}"),
        Body::ReportWanted => format!("report on {name} wanted"),
        Body::Report(report) => {
            let held = if report.held { "a guard" } else { "no guard" };
            let died = if report.sighting.is_some_and(|sighting| sighting.died) { ", a death" } else { "" };
            let rest = if report.nothing_else { ", and nothing else" } else { "" };
            format!("report on {name}: {held}{died}{rest}")
        }
    }
}

fn ballot(ballot: membership::Ballot) -> String {
    format!("{}/{}", ballot.round, short(ballot.proposer.node))
}

/// The changes of a view, for people.
pub(crate) fn changes(changes: &[Change]) -> String {
    let change = |change: &Change| match change {
        Change::Renew => "renew".into(),
        Change::Cut(member) => format!("cut {}", short(member.node)),
        Change::Retire(member) => format!("retire {}", short(member.node)),
        Change::Part(member) => format!("part {}", short(member.node)),
        Change::Admit(member, _) => format!("admit {}", short(member.node)),
    };
    format!("[{}]", changes.iter().map(change).collect::<Vec<_>>().join(", "))
}

/// A view for people: its name, and who is in it; of a life that is not the first it also has the number.
pub(crate) fn members(view: &View) -> String {
    format!("{:?} {}", view.at, names(view.seats.iter().map(|seat| &seat.member)))
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let name = |member: &Member| match member.incarnation.0 {
        1 => short(member.node),
        life => format!("{}{life}", short(member.node)),
    };
    members.map(name).collect::<Vec<_>>().join(" ")
}

fn head(head: &catalog::Head) -> String {
    format!("{}:{}", short(head.of.node), head.sequence)
}

/// An event for people; what happens all the time is nothing to tell.
fn words(event: &engine::Event, topic: Topic) -> Option<String> {
    let name = |member: &Member| short(member.node);
    match event {
        engine::Event::Catalog(_) if topic != Topic::Catalog => None,
        engine::Event::Membership(_) if topic == Topic::Catalog => None,
        engine::Event::Mutex(_) if topic != Topic::Mutex => None,
        engine::Event::Variable(_) if topic != Topic::Variable => None,
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
            catalog::Event::Changed { .. } => None,
            catalog::Event::Described(peer) => Some(format!("knows the catalog of {}", name(peer))),
            catalog::Event::Refused { key, reason } => Some(format!("refuses {key}: {reason:?}")),
            catalog::Event::Ignored { from, reason } => Some(format!("ignores {}: {reason:?}", name(from))),
        },
        engine::Event::Membership(event) => words_of_membership(event),
        engine::Event::Mutex(event) => Some(words_of_mutex(event)),
        engine::Event::Variable(event) => words_of_variable(event),
        engine::Event::Packet { .. } => None,
    }
}

fn tell_variable(message: &variable::Message) -> String {
    let telling: Vec<_> = message.parts.iter().filter(|part| !is_empty(part)).collect();
    let (parts, empty) = (telling.iter().take(6).map(|part| tell_part(part)), message.parts.len() - telling.len());
    let more = telling.len().saturating_sub(6);
    let more = (more > 0).then(|| format!("and {more} more"));
    let empty = (telling.is_empty()).then(|| format!("{empty} parts about empty shards"));
    parts.chain(more).chain(empty).collect::<Vec<_>>().join(", ")
}

/// Whether there is nothing in it: each view change says that of hundreds of shards. Acknowledgements of such things are no
/// different from others, and tell nobody anything.
fn is_empty(part: &variable::Part) -> bool {
    use variable::Part;
    match part {
        Part::Report(report) | Part::Offer { report, .. } => {
            report.copies.is_empty() && report.shards.iter().all(|held| held.records.is_empty())
        }
        Part::Fill { entries, .. } => entries.is_empty(),
        Part::Filled { .. } | Part::Reported { .. } | Part::Offered { .. } => true,
        Part::Release { .. } | Part::Released { .. } => true,
        _ => false,
    }
}

fn tell_part(part: &variable::Part) -> String {
    use variable::{Entry, Part};
    let is_last = |last: bool| if last { ", the last one" } else { "" };
    let shard_of = |shard: &Shard| format!("shard {}", shard.0);
    match part {
        Part::Read { name, nonce } => format!("read {nonce} of {name}"),
        Part::Data { name, nonce, state: Some(state) } => format!("data {nonce}: {name} is {}", tell_state(state)),
        Part::Data { name, nonce, state: None } => format!("data {nonce}: {name} is lost"),
        Part::Write { name, number, operations, .. } => {
            let operations: Vec<_> = operations.iter().map(|it| tell_action(&it.action)).collect();
            format!("write {number} to {name}: {}", operations.join(" "))
        }
        Part::Wrote { name, number, outcomes, version, copy } => {
            let outcomes: Vec<_> = outcomes.iter().map(|outcome| format!("{outcome:?}").to_lowercase()).collect();
            let copy = if copy.is_some() { ", with a copy" } else { "" };
            format!("wrote {number} to {name} in {version}: {}{copy}", outcomes.join(" "))
        }
        Part::Invalidate { name, version } => format!("invalidate {name} before {version}"),
        Part::Invalidated { name, version } => format!("invalidated {name} before {version}"),
        Part::Store { name, record } => format!("store {name}, {}", tell_state(&record.state)),
        Part::Stored { name, version } => format!("stored {name} {version}"),
        Part::Report(report) => format!("report {}{}", tell_report(report), is_last(report.last)),
        Part::Reported { chunk } => format!("reported {chunk}"),
        Part::Pull { shard, names, .. } => format!("pull {} of {}", names.len(), shard_of(shard)),
        Part::Pulled { shard, records } => format!("pulled {} of {}", records.len(), shard_of(shard)),
        Part::Fill { shard, chunk, last, entries } => {
            let new = entries.iter().filter(|entry| matches!(entry, Entry::New(..))).count();
            format!("fill {} {chunk}: {new} new of {}{}", shard_of(shard), entries.len(), is_last(*last))
        }
        Part::Filled { shard, chunk } => format!("filled {} {chunk}", shard_of(shard)),
        Part::Release { shards, .. } => format!("release of {} shards", shards.len()),
        Part::Released { shards, .. } => format!("released {} shards", shards.len()),
        Part::Offer { of, report } => {
            format!("offer of {:?}: {}{}", of.incarnation, tell_report(report), is_last(report.last))
        }
        Part::Offered { chunk } => format!("offered {chunk}"),
        Part::Follow { prefix, .. } => format!("follow {}", prefix.as_deref().unwrap_or("all")),
        Part::News { piece, news, listed, .. } => {
            let news: Vec<_> = news.iter().map(tell_news).collect();
            format!("news {piece}: [{}], {} shards listed", news.join(", "), listed.len())
        }
        Part::Heard { piece, .. } => format!("heard {piece}"),
        Part::Unfollow { .. } => "unfollow".into(),
        Part::Holding => "we hold variables".into(),
    }
}

fn tell_report(variable::Report { chunk, shards, copies, .. }: &variable::Report) -> String {
    let records: usize = shards.iter().map(|held| held.records.len()).sum();
    format!("{chunk}: {} shards, {records} records, {} copies", shards.len(), copies.len())
}

fn tell_news(variable::News { name, state, .. }: &variable::News) -> String {
    state.as_ref().map_or_else(|| format!("{name} will be"), |state| format!("{name} is {}", tell_state(state)))
}

fn tell_state(variable::State { version, value }: &variable::State) -> String {
    match value {
        Some(value) => format!("{:?} in {version}", value.bytes),
        None => format!("nothing in {version}"),
    }
}

fn tell_action(action: &variable::Action) -> String {
    use variable::Action;
    match action {
        Action::Create(value) => format!("create {value:?}"),
        Action::Set(value) => format!("set {value:?}"),
        Action::Replace { expected, value } => format!("set {value:?} if {expected}"),
        Action::Swap(value) => format!("swap {value:?}"),
        Action::Add { delta, .. } => format!("add {delta}"),
        Action::Delete => "delete".into(),
        Action::Reset => "reset".into(),
    }
}

fn words_of_variable(event: &variable::Event) -> Option<String> {
    use variable::Event;
    Some(match event {
        Event::Published { name, state } => format!("may read {name} in version {}", state.version),
        Event::Withdrawn { name } => format!("may not read {name} any more"),
        Event::Lost { name } => format!("finds {name} lost"),
        Event::Done { ticket, result } => format!("tells task {}: {result:?}", ticket.0),
        Event::Followed { name, state, .. } => format!("hears that {name} is {}", tell_state(state)),
        Event::Reset { shard } => format!("begins shard {} anew", shard.0),
        Event::Listed { .. } | Event::Orphaned { .. } | Event::Active { .. } | Event::Committed { .. } => return None,
        Event::Ignored { from, reason } => format!("ignores {}: {reason:?}", short(from.node)),
    })
}

fn words_of_mutex(event: &mutex::Event) -> String {
    use mutex::Event;
    let told = |died: &bool| if *died { ", whose holder died" } else { "" };
    match event {
        Event::Granted { ticket, name, fence, died } => {
            format!("grants {name}{} to task {} with {fence}", told(died), ticket.0)
        }
        Event::Busy { ticket } => format!("has nothing for task {}", ticket.0),
        Event::Parked { name, fence } => format!("parks {name} after {fence}"),
        Event::Recalled { name } => format!("recalls {name}"),
        Event::Made { name, died } => format!("makes the token of {name}{}", told(died)),
        Event::Passed { name, to } => format!("passes {name} to {}", short(to.node)),
        Event::Ignored { from, reason } => format!("ignores {}: {reason:?}", short(from.node)),
    }
}

fn words_of_membership(event: &membership::Event) -> Option<String> {
    use membership::Event;
    Some(match event {
        Event::Stand(_) => return None,
        Event::Wedged(at) => format!("is wedged in {at:?}"),
        Event::Installed(installed) => {
            let joined = installed.joined.iter().map(|member| format!(", {} joined", names([member].into_iter())));
            let lost = installed.lost.iter();
            let lost = lost.map(|(member, reason)| format!(", {} lost: {reason:?}", names([member].into_iter())));
            let changes: String = joined.chain(lost).collect();
            format!("enters {:?}{changes}, wait {:?}", installed.at, installed.wait)
        }
        Event::Active(at) => format!("is active in {at:?}"),
        Event::Excluded(at) => format!("is excluded by {at:?}"),
        Event::Isolated { missing } => format!("is isolated, {missing} voters do not answer"),
        Event::Connected => "is isolated no more".into(),
        Event::Left => "has left".into(),
        Event::ForeignLineage(lineage) => format!("sees the foreign lineage {lineage:?}"),
        Event::Rescue => "rescues its variables".into(),
        Event::Moved(at) => format!("moves away from {at:?}"),
        Event::Ignored { from, reason } => format!("ignores {}: {reason:?}", short(from.node)),
    })
}
