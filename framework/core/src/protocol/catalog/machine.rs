use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use super::{Book, Delta, Head, Message};
use crate::{
    protocol::{
        bugs::{Bug, Bugs},
        contract::{self, Effect, Protocol, ViewChange},
        time::Time,
    },
    wire::{
        id::{Incarnation, Member, NodeId},
        limits::PEERS_MAX,
    },
};

type Outbox = contract::Outbox<Effect<Machine>>;

/// The catalogs as one node knows them: its own, and a copy of that of every node that it was ever linked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    me: Member,
    config: Config,
    own: Book,
    copies: BTreeMap<NodeId, Copy>,
    links: BTreeMap<NodeId, Link>,
    links_made: u64,
}

/// How patient the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// What was not acknowledged by then is said again. On links that lose nothing this never happens, so it may be
    /// long; it doubles with each repetition.
    pub repeat_min: Duration,
    /// The longest pause between two repetitions.
    pub repeat_max: Duration,
    /// The size of a delta in bytes, roughly.
    pub delta_bytes: usize,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            repeat_min: Duration::from_secs(1),
            repeat_max: Duration::from_secs(10),
            delta_bytes: 256 * 1024,
            bugs: Bugs::NONE,
        }
    }
}

/// What the node may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set an entry of this node's own catalog.
    Set {
        /// Which.
        key: String,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// Remove an entry of this node's own catalog.
    Remove {
        /// Which.
        key: String,
    },
    /// Set and remove several entries of this node's own catalog, and tell of them together.
    Write(Vec<(String, Option<Vec<u8>>)>),
    /// Drop the copy of a node that is not linked and will not be missed.
    Forget(NodeId),
}

/// What the machine tells its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The copy of a node's catalog has changed.
    Changed {
        /// Whose catalog.
        of: NodeId,
        /// Every entry that is not as it was, and perhaps some that are.
        keys: BTreeSet<String>,
    },
    /// For the first time on this link the copy is as new as its writer said.
    Described(Member),
    /// An entry was not set; the catalog is as it was.
    Refused {
        /// Which entry.
        key: String,
        /// Why.
        reason: Refused,
    },
    /// A message, or a part of it, changed nothing.
    Ignored {
        /// Who sent it.
        from: Member,
        /// Why.
        reason: Ignored,
    },
}

/// Why an entry cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key is longer than a key may be.
    KeyTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The value is larger than an entry may be.
    ValueTooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The catalog has as many entries, or as many bytes, as it may have.
    Full,
}

/// Why a message was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It comes from a member that is not linked: an earlier life, or a link that has ended.
    NotLinked,
    /// It is about a node, or a life of a node, of which there is no copy here.
    NoCopy,
    /// It says that this node has written what it has not.
    NotWritten,
    /// A link came with an earlier life of a node than is known.
    EarlierLife,
    /// The delta does not fit the copy.
    Unfit(Unfit),
}

/// Why a delta does not fit a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The copy is further on.
    Old,
    /// Something before it is missing; it is asked for.
    Gap,
    /// Its changes are not in order: no writer sends such.
    Disordered,
    /// It exceeds a bound.
    TooLarge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Copy {
    life: Incarnation,
    book: Book,
    /// The highest sequence that anybody has mentioned.
    mentioned: u64,
    pull: Option<Pull>,
}

/// A question for what is missing, repeated until it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pull {
    repeat: Repeat,
    /// Who was asked last; the next one is asked next.
    asked: Option<NodeId>,
    /// How many are asked before a writer that is not there is given up.
    attempts: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Link {
    member: Member,
    number: u64,
    /// How much of this node's own catalog the peer had or was sent; nothing before its first word.
    told: Option<u64>,
    /// What leads up to here is under way to it: whatever changes meanwhile waits for its acknowledgement.
    awaited: Option<u64>,
    /// How much it has acknowledged.
    acknowledged: Option<u64>,
    /// Until all is acknowledged.
    repeat: Repeat,
    /// The peer's own number for this link, once it has said how far it is.
    greeting: Option<u64>,
    described: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Repeat {
    at: Time,
    delay: Duration,
}

impl Machine {
    /// The catalog of a node that has said nothing yet.
    #[must_use]
    pub const fn new(me: Member, config: Config) -> Self {
        Self { me, config, own: Book::EMPTY, copies: BTreeMap::new(), links: BTreeMap::new(), links_made: 0 }
    }

    /// Whose machine this is.
    #[must_use]
    pub const fn me(&self) -> Member {
        self.me
    }

    /// This node's own catalog.
    #[must_use]
    pub const fn own(&self) -> &Book {
        &self.own
    }

    /// The copy of a node's catalog, with the life of the node that it is of.
    #[must_use]
    pub fn copy(&self, node: NodeId) -> Option<(Incarnation, &Book)> {
        self.copies.get(&node).map(|copy| (copy.life, &copy.book))
    }

    /// Whether somebody is to wait for an acknowledgement that will never come.
    pub(super) fn lets_wait_for_nothing(&self) -> bool {
        let lacks = |link: &Link| link.told.is_some_and(|told| told < self.own.sequence());
        self.links.values().any(|link| lacks(link) && link.awaited.is_none())
    }

    /// All copies, in the order of their nodes.
    pub fn copies(&self) -> impl Iterator<Item = (Member, &Book)> {
        self.copies.iter().map(|(&node, copy)| (Member { node, incarnation: copy.life }, &copy.book))
    }
}

impl Protocol for Machine {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox) {
        let any_life = self.config.bugs.has(Bug::StaleLifeAccepted);
        if self.links.get(&from.node).is_none_or(|link| link.member != from && !any_life) {
            out.reached("catalog: a message without a link");
            return ignore(from, Ignored::NotLinked, out);
        }
        match message {
            Message::Have { link, heads } => self.hear_of(now, from, link, heads, out),
            Message::Delta(delta) => self.take(now, from, delta, out),
            Message::Pull(head) => self.serve(now, from, head, out),
            Message::Taken { link, head } => self.taken(now, from, link, head, out),
        }
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox) {
        match command {
            Command::Set { key, value } => self.write(now, [(key, Some(value))], out),
            Command::Remove { key } => self.write(now, [(key, None)], out),
            Command::Write(entries) => self.write(now, entries, out),
            Command::Forget(node) => {
                if !self.links.contains_key(&node) {
                    self.copies.remove(&node);
                }
            }
        }
    }

    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox) {
        match change {
            ViewChange::Linked(member) => self.greet(now, member, out),
            ViewChange::Unlinked(member) => {
                if self.links.get(&member.node).is_some_and(|link| link.member == member) {
                    self.links.remove(&member.node);
                }
            }
        }
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        self.repeat_what_is_not_acknowledged(now, out);
        self.repeat_pulls(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let links = self.links.values().filter(|link| !link.is_told(&self.own)).map(|link| link.repeat.at);
        // Without a link there is nobody to ask.
        let copies = self.copies.values().filter(|_| !self.links.is_empty());
        let pulls = copies.filter_map(|copy| Some(copy.pull.as_ref()?.repeat.at));
        links.chain(pulls).min()
    }
}

// The writer.

impl Machine {
    fn write(&mut self, now: Time, entries: impl IntoIterator<Item = (String, Option<Vec<u8>>)>, out: &mut Outbox) {
        for (key, value) in entries {
            match value {
                Some(value) => {
                    if let Err(reason) = self.own.set(&key, value) {
                        out.emit(Event::Refused { key, reason });
                    }
                }
                None => self.own.remove(&key),
            }
        }
        if self.config.bugs.has(Bug::TombstoneForgotten) {
            self.own.forget_every_removal();
        }
        self.tell_all(now, out);
    }

    /// A link has come up: each side says how far it is, and sends what the other lacks when it has heard the same.
    fn greet(&mut self, now: Time, member: Member, out: &mut Outbox) {
        let copy = self.copies.entry(member.node).or_insert_with(|| Copy::new(member.incarnation));
        if member.incarnation < copy.life {
            return ignore(member, Ignored::EarlierLife, out);
        }
        if member.incarnation > copy.life {
            out.reached("catalog: a copy of an earlier life replaced");
            *copy = Copy::new(member.incarnation);
        }
        self.links_made += 1;
        let number = self.links_made;
        self.links.insert(member.node, Link::new(member, number, now, &self.config));
        out.send(member, Message::Have { link: number, heads: self.heads(self.own.sequence()) });
    }

    /// This node's own head, as far as somebody is to know of it, and those of the copies whose writers it is linked to.
    fn heads(&self, sequence: u64) -> Vec<Head> {
        let copies = self.links.values().filter_map(|link| {
            let copy = self.copies.get(&link.member.node)?;
            Some(Head { of: link.member, sequence: copy.book.sequence() })
        });
        [Head { of: self.me, sequence }].into_iter().chain(copies).take(PEERS_MAX).collect()
    }

    fn tell_all(&mut self, now: Time, out: &mut Outbox) {
        for link in self.links.values_mut() {
            if link.acknowledged.is_some() && link.acknowledged == link.told {
                link.repeat = Repeat::new(now, &self.config);
            }
            link.tell(self.me, &self.own, &self.config, out);
        }
    }

    /// A peer says how far its copy of this node's catalog goes: it is sent the rest.
    fn begin_to_tell(&mut self, from: Member, sequence: u64, out: &mut Outbox) {
        if sequence > self.own.sequence() {
            return ignore(from, Ignored::NotWritten, out);
        }
        let Some(link) = self.links.get_mut(&from.node).filter(|link| link.told.is_none()) else { return };
        link.told = Some(sequence);
        link.tell(self.me, &self.own, &self.config, out);
    }

    fn taken(&mut self, now: Time, from: Member, number: u64, Head { of, sequence }: Head, out: &mut Outbox) {
        if of != self.me || sequence > self.own.sequence() {
            return ignore(from, Ignored::NotWritten, out);
        }
        let Some(link) = self.links.get_mut(&from.node).filter(|link| link.number == number) else {
            out.reached("catalog: an acknowledgement of an earlier link");
            return ignore(from, Ignored::NotLinked, out);
        };
        // An older acknowledgement may come late.
        if link.acknowledged < Some(sequence) {
            link.acknowledged = Some(sequence);
            link.repeat = Repeat::new(now, &self.config);
        }
        if link.awaited <= Some(sequence) {
            link.awaited = None;
            if !self.config.bugs.has(Bug::WaitingForgotten) {
                link.tell(self.me, &self.own, &self.config, out);
            }
        }
    }

    /// Somebody lacks what follows a sequence, of whichever catalog this node has.
    fn serve(&mut self, now: Time, from: Member, Head { of, sequence }: Head, out: &mut Outbox) {
        if of == self.me {
            if sequence > self.own.sequence() {
                return ignore(from, Ignored::NotWritten, out);
            }
            let Some(link) = self.links.get_mut(&from.node) else { return };
            link.acknowledged = link.acknowledged.map(|acknowledged| acknowledged.min(sequence));
            link.told = Some(sequence);
            // What was under way is lost, or is late: it may come twice.
            if !self.config.bugs.has(Bug::QuestionWaits) {
                link.awaited = None;
            }
            link.repeat = Repeat::new(now, &self.config);
            return link.tell(self.me, &self.own, &self.config, out);
        }
        match self.copies.get(&of.node).filter(|copy| copy.life == of.incarnation) {
            Some(copy) => {
                out.reached("catalog: a gap filled by somebody else than the writer");
                for delta in copy.book.deltas(of, sequence, self.config.delta_bytes) {
                    out.send(from, Message::Delta(delta));
                }
            }
            None => ignore(from, Ignored::NoCopy, out),
        }
    }

    /// Says again how far this node has told them to all who have not acknowledged it; whoever lacks something then asks for
    /// it. Of what waits for the acknowledgement there is nothing to ask for yet.
    fn repeat_what_is_not_acknowledged(&mut self, now: Time, out: &mut Outbox) {
        let (mut unaware, last) = (Vec::new(), self.own.sequence());
        for link in self.links.values_mut().filter(|link| !link.is_told(&self.own) && link.repeat.at <= now) {
            link.repeat.later(now, &self.config);
            unaware.push((link.member, link.number, link.told.unwrap_or(last)));
        }
        if self.config.bugs.has(Bug::HeadNotRepeated) {
            return;
        }
        for (member, link, sequence) in unaware {
            out.reached("catalog: a head repeated");
            out.send(member, Message::Have { link, heads: self.heads(sequence) });
        }
    }
}

// The reader.

impl Machine {
    fn hear_of(&mut self, now: Time, from: Member, number: u64, heads: Vec<Head>, out: &mut Outbox) {
        if let Some(link) = self.links.get_mut(&from.node) {
            // One of an earlier link may come late.
            link.greeting = link.greeting.max(Some(number));
        }
        for Head { of, sequence } in heads.into_iter().take(PEERS_MAX) {
            if of == self.me {
                self.begin_to_tell(from, sequence, out);
                continue;
            }
            // Heads of nodes that were never linked to this one are no news here.
            let Some(copy) = self.copies.get_mut(&of.node).filter(|copy| copy.life == of.incarnation) else { continue };
            copy.mention(now, sequence, &self.config);
            if of == from {
                self.greeted(from, out);
            }
        }
    }

    /// The writer itself has said how far it is.
    fn greeted(&mut self, writer: Member, out: &mut Outbox) {
        self.check_described(writer, out);
        // If something is missing, the acknowledgement comes with the delta.
        if self.copies.get(&writer.node).is_some_and(Copy::is_complete) {
            self.acknowledge(writer, out);
        }
    }

    /// Tells the writer how far its copy goes; before its greeting there is no link to tell it of, and the greeting is
    /// repeated.
    fn acknowledge(&self, writer: Member, out: &mut Outbox) {
        let greeting = self.links.get(&writer.node).and_then(|link| link.greeting);
        if let (Some(link), Some(copy)) = (greeting, self.copies.get(&writer.node)) {
            let head = Head { of: writer, sequence: copy.book.sequence() };
            out.send(writer, Message::Taken { link, head });
        }
    }

    fn take(&mut self, now: Time, from: Member, delta: Delta, out: &mut Outbox) {
        let of = delta.of;
        let any_life = self.config.bugs.has(Bug::StaleLifeAccepted);
        let copy = self.copies.get_mut(&of.node).filter(|copy| any_life || copy.life == of.incarnation);
        let Some(copy) = copy else {
            out.reached("catalog: a delta of an earlier life");
            return ignore(from, Ignored::NoCopy, out);
        };
        let sequence = delta.sequence;
        match copy.apply(delta, self.config.bugs) {
            Ok(keys) => out.emit(Event::Changed { of: of.node, keys }),
            Err(Unfit::Old) => out.reached("catalog: a delta that came twice or too late"),
            Err(Unfit::Gap) => {
                out.reached("catalog: a gap noticed");
                copy.mention(now, sequence, &self.config);
                if !self.config.bugs.has(Bug::GapNotPulled) {
                    copy.pull_at_once(now, &self.config);
                    self.repeat_pulls(now, out);
                }
                return;
            }
            Err(unfit @ (Unfit::Disordered | Unfit::TooLarge)) => {
                return ignore(from, Ignored::Unfit(unfit), out);
            }
        }
        copy.settle();
        if of == from {
            self.acknowledge(of, out);
        }
        self.check_described(of, out);
    }

    fn check_described(&mut self, of: Member, out: &mut Outbox) {
        let complete = self.copies.get(&of.node).is_some_and(Copy::is_complete);
        let Some(link) = self.links.get_mut(&of.node).filter(|link| link.member == of) else { return };
        if complete && link.greeting.is_some() && !link.described {
            link.described = true;
            out.emit(Event::Described(of));
        }
    }

    /// Asks the writer, or else whoever is linked, one after the other.
    fn repeat_pulls(&mut self, now: Time, out: &mut Outbox) {
        if self.links.is_empty() {
            return;
        }
        for (&node, copy) in &mut self.copies {
            let of = Member { node, incarnation: copy.life };
            let head = Head { of, sequence: copy.book.sequence() };
            let Some(pull) = copy.pull.as_mut().filter(|pull| pull.repeat.at <= now) else { continue };
            let writer_linked = self.links.contains_key(&node);
            if !writer_linked && pull.attempts >= self.links.len() {
                // Nobody has what somebody once mentioned.
                out.reached("catalog: a pull given up");
                copy.mentioned = copy.book.sequence();
                copy.pull = None;
                continue;
            }
            let first = pull.asked.is_none();
            let next = match pull.asked {
                None if writer_linked => Some(node),
                None => None,
                Some(asked) => self.links.range(asked..).map(|(node, _)| *node).find(|node| *node != asked),
            };
            let next = next.or_else(|| self.links.keys().next().copied());
            let Some(source) = next.and_then(|next| self.links.get(&next)) else { continue };
            if !first {
                out.reached("catalog: a pull repeated");
            }
            pull.asked = Some(source.member.node);
            pull.attempts += 1;
            pull.repeat.later(now, &self.config);
            out.send(source.member, Message::Pull(head));
        }
    }
}

impl Copy {
    const fn new(life: Incarnation) -> Self {
        Self { life, book: Book::EMPTY, mentioned: 0, pull: None }
    }

    fn apply(&mut self, delta: Delta, bugs: Bugs) -> Result<BTreeSet<String>, Unfit> {
        let result = self.book.apply(delta.clone());
        match result {
            Err(Unfit::Gap) if bugs.has(Bug::DeltaOutOfOrder) => self.book.force(delta),
            result => result,
        }
    }

    const fn is_complete(&self) -> bool {
        self.book.sequence() >= self.mentioned
    }

    /// Somebody has more. The writer sends it by itself, so there is no hurry to ask.
    fn mention(&mut self, now: Time, sequence: u64, config: &Config) {
        self.mentioned = self.mentioned.max(sequence);
        if !self.is_complete() && self.pull.is_none() && !config.bugs.has(Bug::GapNotPulled) {
            self.pull = Some(Pull { repeat: Repeat::new(now, config), asked: None, attempts: 0 });
        }
    }

    fn pull_at_once(&mut self, now: Time, config: &Config) {
        if let Some(pull) = self.pull.as_mut().filter(|pull| pull.attempts == 0) {
            pull.repeat = Repeat { at: now, delay: config.repeat_min };
        }
    }

    /// What was missing has come, wholly or in part.
    fn settle(&mut self) {
        self.mentioned = self.mentioned.max(self.book.sequence());
        if self.is_complete() {
            self.pull = None;
        }
    }
}

impl Link {
    fn new(member: Member, number: u64, now: Time, config: &Config) -> Self {
        let repeat = Repeat::new(now, config);
        Self { member, number, told: None, awaited: None, acknowledged: None, repeat, greeting: None, described: false }
    }

    fn is_told(&self, own: &Book) -> bool {
        self.acknowledged == Some(own.sequence())
    }

    /// Sends all that follows what the peer has or was sent, unless something is under way to it.
    fn tell(&mut self, me: Member, own: &Book, config: &Config, out: &mut Outbox) {
        // Whoever has not said how far it is will say so, or be asked.
        let Some(told) = self.told.filter(|told| *told < own.sequence()) else { return };
        if self.awaited.is_some() && !config.bugs.has(Bug::DeltaNotAwaited) {
            return out.reached("catalog: a change waits for an acknowledgement");
        }
        for delta in own.deltas(me, told, config.delta_bytes) {
            out.send(self.member, Message::Delta(delta));
        }
        self.told = Some(own.sequence());
        self.awaited = self.told;
    }
}

impl Repeat {
    fn new(now: Time, config: &Config) -> Self {
        Self { at: now + config.repeat_min, delay: config.repeat_min }
    }

    fn later(&mut self, now: Time, config: &Config) {
        self.at = now + self.delay;
        self.delay = (self.delay * 2).min(config.repeat_max);
    }
}

fn ignore(from: Member, reason: Ignored, out: &mut Outbox) {
    out.emit(Event::Ignored { from, reason });
}

#[cfg(feature = "simulation")]
impl Machine {
    /// Shows every moment that the machine keeps, for explorers that tell states apart by how far off a moment is.
    pub fn visit_times(&mut self, mut visit: impl FnMut(&mut Time)) {
        self.links.values_mut().for_each(|link| visit(&mut link.repeat.at));
        self.copies.values_mut().filter_map(|copy| copy.pull.as_mut()).for_each(|pull| visit(&mut pull.repeat.at));
    }
}
