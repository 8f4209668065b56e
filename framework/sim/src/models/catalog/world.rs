use guthi_core::{
    protocol::{
        catalog::{Book, Change, Command, Config, Delta, Event, Head, Machine, Message},
        contract::{Effect, Outbox, Protocol, ViewChange},
        time::Time,
    },
    wire::{
        codec,
        id::{Incarnation, Member, NodeId},
        limits::CONTROL_FRAME_BYTES_MAX,
    },
};

use super::{
    Action, Allowance,
    worlds::{key_name, value},
};
use crate::explore::Shared;

/// The catalogs of a few nodes, and what is under way between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) nodes: Vec<Shared<Node>>,
    /// Without duplicates, and in order.
    pub(super) under_way: Vec<Shared<Letter>>,
    /// What may still happen.
    pub(super) left: Allowance,
    pub(super) phase: Phase,
}

/// Whether there are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Anything may happen.
    Faults,
    /// Faults have ended, links are as they were.
    Calm,
    /// All links are up.
    Joined,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub(super) machine: Machine,
    /// What it takes for its link with each node.
    links: Vec<Option<Link>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Link {
    /// Of the other node.
    life: Incarnation,
    /// The machine has said that it knows the other node.
    described: bool,
}

/// A message under way, as it is on the wire.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Letter {
    from: Member,
    to: Member,
    bytes: Vec<u8>,
}

type Out = Outbox<Effect<Machine>>;

impl State {
    /// Nodes without links that have written nothing.
    pub(super) fn new(nodes: u8, left: Allowance, config: Config) -> Self {
        let nodes = (0..nodes).map(|node| {
            let me = Member { node: id(node), incarnation: Incarnation(1) };
            Shared::new(Node { machine: Machine::new(me, config), links: vec![None; usize::from(nodes)] })
        });
        Self { nodes: nodes.collect(), under_way: Vec::new(), left, phase: Phase::Faults }
    }

    /// Two nodes without a link, of which the first has lived through a story, and the second has seen so much of it.
    pub(super) fn after(story: &[Action], seen: usize, config: Config) -> Self {
        let mut state = Self::new(2, Allowance::NONE, config);
        let (before, after) = story.split_at(seen);
        state.act_all(before, config);
        state.meet(&[Action::Link { a: 0, b: 1 }], config);
        state.act_all(&[Action::Unlink { at: 0, from: 1 }, Action::Unlink { at: 1, from: 0 }], config);
        state.act_all(after, config);
        state
    }

    /// The same, and then the writer has heard how far the reader is, and has lived on. One for each message that may be
    /// late then, all others being lost, and one in which none is.
    pub(super) fn late(mut self, story: &[Action], left: Allowance, config: Config) -> Vec<Self> {
        self.act_all(&[Action::Link { a: 0, b: 1 }], config);
        let from_reader = |letter: &Shared<Letter>| number(letter.from.node) == 1;
        let greeting = self.under_way.iter().position(from_reader).expect("the reader greets");
        self.act_all(&[Action::Deliver { letter: greeting as u8 }], config);
        self.act_all(story, config);
        self.left = left;
        let letters = std::mem::take(&mut self.under_way);
        let late = letters.into_iter().map(|letter| Self { under_way: vec![letter], ..self.clone() });
        late.chain([self.clone()]).collect()
    }

    /// Lets links come up, and all arrive that is said then.
    pub(super) fn meet(&mut self, links: &[Action], config: Config) {
        self.act_all(links, config);
        while !self.under_way.is_empty() {
            self.act_all(&[Action::Deliver { letter: 0 }], config);
        }
    }

    fn act_all(&mut self, actions: &[Action], config: Config) {
        for action in actions {
            self.act(action, config, &mut Vec::new()).expect("the story is possible");
        }
    }

    pub(super) fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub(super) fn has_copy(&self, at: u8, of: u8) -> bool {
        self.node(at).machine.copy(id(of)).is_some()
    }

    /// Reader and writer of each link that is up at both ends, both ways.
    pub(super) fn linked_pairs(&self) -> impl Iterator<Item = (&Node, &Node)> {
        let all = 0..self.nodes.len() as u8;
        let pairs = all.clone().flat_map(move |a| all.clone().map(move |b| (a, b)));
        pairs.filter(|(a, b)| self.is_linked(*a, *b)).map(|(a, b)| (self.node(a), self.node(b)))
    }

    /// Carries an action out, or gives nothing if it is not possible. Whether it is allowed is not asked here.
    pub(super) fn act(&mut self, action: &Action, config: Config, met: &mut Vec<&'static str>) -> Option<()> {
        self.left.spend(action);
        match *action {
            Action::Deliver { letter } => self.deliver(letter, false, met)?,
            Action::Repeat { letter } => self.deliver(letter, true, met)?,
            Action::Lose { letter } => self.lose(letter)?,
            Action::Set { node, key } => {
                let value = value(self.node(node).machine.me(), self.node(node).machine.own().sequence() + 1);
                self.command(node, Command::Set { key: key_name(key).to_owned(), value }, met);
            }
            Action::Remove { node, key } => self.command(node, Command::Remove { key: key_name(key).to_owned() }, met),
            Action::Link { a, b } => self.link(a, b, met),
            Action::Unlink { at, from } => self.unlink(at, from, met)?,
            Action::Restart { node } => self.restart(node, config),
            Action::Wake { node } => self.wake(node, met)?,
            Action::Forget { at, of } => self.forget(at, of, met),
            Action::Calm { lose } => self.calm(lose, met),
            Action::Rouse => self.rouse(met)?,
            Action::Join => self.join(met),
        }
        Some(())
    }

    fn deliver(&mut self, place: u8, again: bool, met: &mut Vec<&'static str>) -> Option<()> {
        let place = usize::from(place);
        let letter = self.under_way.get(place)?.clone();
        if !again {
            self.under_way.remove(place);
        }
        let from = letter.from;
        if self.node(number(from.node)).machine.me() != from {
            met.push(EARLIER_LIFE);
        }
        self.step(number(letter.to.node), met, |machine, now, out| machine.receive(now, from, letter.message(), out));
        Some(())
    }

    fn lose(&mut self, place: u8) -> Option<()> {
        let place = usize::from(place);
        (place < self.under_way.len()).then(|| _ = self.under_way.remove(place))
    }

    fn command(&mut self, node: u8, command: Command, met: &mut Vec<&'static str>) {
        self.step(node, met, |machine, now, out| machine.command(now, command, out));
    }

    fn wake(&mut self, node: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let present = self.node(node).machine.deadline()?;
        // Its clock moves on, and the present is where moments are counted from. What is past is past, however long ago.
        let clock = |node: &mut Node| node.machine.visit_times(|time| *time = NOW + time.saturating_since(present));
        self.step_node(node, met, clock, |machine, now, out| machine.wake(now, out));
        Some(())
    }

    fn rouse(&mut self, met: &mut Vec<&'static str>) -> Option<()> {
        let nodes = 0..self.nodes.len() as u8;
        nodes.filter_map(|node| self.wake(node, met)).last()
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.nodes.iter().any(|node| node.machine.deadline().is_some())
    }

    fn link(&mut self, a: u8, b: u8, met: &mut Vec<&'static str>) {
        for (at, peer) in [(a, b), (b, a)] {
            let peer = self.node(peer).machine.me();
            let link = Link { life: peer.incarnation, described: false };
            let links = |node: &mut Node| node.links[usize::from(number(peer.node))] = Some(link);
            self.step_node(at, met, links, |machine, now, out| {
                machine.view_changed(now, ViewChange::Linked(peer), out);
            });
        }
    }

    fn unlink(&mut self, at: u8, from: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let peer = Member { node: id(from), incarnation: self.node(at).linked_to(from)? };
        let links = |node: &mut Node| node.links[usize::from(from)] = None;
        self.step_node(at, met, links, |machine, now, out| {
            machine.view_changed(now, ViewChange::Unlinked(peer), out);
        });
        Some(())
    }

    fn forget(&mut self, at: u8, of: u8, met: &mut Vec<&'static str>) {
        met.push(FORGOTTEN);
        self.command(at, Command::Forget(id(of)), met);
    }

    fn restart(&mut self, node: u8, config: Config) {
        let before = self.node(node).machine.me();
        let me = Member { incarnation: Incarnation(before.incarnation.0 + 1), ..before };
        let links = vec![None; self.nodes.len()];
        self.nodes[usize::from(node)] = Shared::new(Node { machine: Machine::new(me, config), links });
        self.under_way.retain(|letter| letter.to != before);
    }

    fn calm(&mut self, lose: bool, met: &mut Vec<&'static str>) {
        self.phase = Phase::Calm;
        self.left = Allowance::NONE;
        if lose {
            self.under_way.clear();
        }
        let all = 0..self.nodes.len() as u8;
        let pairs = all.clone().flat_map(|a| all.clone().map(move |b| (a, b)));
        let half: Vec<_> = pairs.filter(|(a, b)| !self.is_linked(*a, *b)).collect();
        for (at, from) in half {
            // Where there was no link, there is nothing to end.
            let _ = self.unlink(at, from, met);
        }
    }

    fn join(&mut self, met: &mut Vec<&'static str>) {
        self.phase = Phase::Joined;
        let all = 0..self.nodes.len() as u8;
        for (a, b) in all.clone().flat_map(|a| all.clone().map(move |b| (a, b))).filter(|(a, b)| a < b) {
            if !self.is_linked(a, b) {
                self.link(a, b, met);
            }
        }
    }

    fn is_linked(&self, a: u8, b: u8) -> bool {
        let sees = |at: u8, peer: u8| {
            self.node(at).linked_to(peer).is_some_and(|life| life == self.node(peer).machine.me().incarnation)
        };
        sees(a, b) && sees(b, a)
    }

    fn step(&mut self, at: u8, met: &mut Vec<&'static str>, input: impl FnOnce(&mut Machine, Time, &mut Out)) {
        self.step_node(at, met, |_| {}, input);
    }

    fn step_node(
        &mut self,
        at: u8,
        met: &mut Vec<&'static str>,
        change: impl FnOnce(&mut Node),
        input: impl FnOnce(&mut Machine, Time, &mut Out),
    ) {
        let mut node = Node::clone(&self.nodes[usize::from(at)]);
        change(&mut node);
        let mut out = Outbox::new();
        input(&mut node.machine, NOW, &mut out);
        met.append(&mut out.take_reached());
        for effect in out.effects() {
            if let Effect::Emit(Event::Described(peer)) = effect
                && let Some(link) = &mut node.links[usize::from(number(peer.node))]
            {
                met.push(DESCRIBED);
                link.described = true;
            }
        }
        let me = node.machine.me();
        self.nodes[usize::from(at)] = Shared::new(node);
        for effect in out.drain() {
            if let Effect::Send { to, message } = effect {
                self.send(me, to, &message, met);
            }
        }
    }

    fn send(&mut self, from: Member, to: Member, message: &Message, met: &mut Vec<&'static str>) {
        if let Message::Delta(delta) = message {
            met.extend(markers(delta));
        }
        // A life that has ended is not reached any more.
        if self.node(number(to.node)).machine.me() != to {
            return;
        }
        let bytes = codec::encode(message, CONTROL_FRAME_BYTES_MAX).expect("what a machine says fits into a frame");
        let letter = Letter { from, to, bytes };
        if let Err(place) = self.under_way.binary_search_by(|it| (**it).cmp(&letter)) {
            self.under_way.insert(place, Shared::new(letter));
        }
    }

    /// The copies that are not as they were, in words.
    pub(super) fn changed_copies(&self, before: &Self) -> Vec<String> {
        let mut words = Vec::new();
        for (now, before) in self.nodes.iter().zip(&before.nodes) {
            for (of, book) in now.machine.copies() {
                let known = before.machine.copy(of.node);
                if known != Some((of.incarnation, book)) {
                    words.push(format!("n{}'s copy of {}", number(now.machine.me().node), book_words(of, book)));
                }
            }
            if now.machine.own() != before.machine.own() {
                words.push(book_words(now.machine.me(), now.machine.own()));
            }
        }
        words
    }
}

impl Node {
    /// The life of a node to which this one takes itself to be linked.
    pub(super) fn linked_to(&self, peer: u8) -> Option<Incarnation> {
        self.links[usize::from(peer)].map(|link| link.life)
    }

    /// Whether the machine has said that it knows the node at the other end of this link.
    pub(super) fn has_described(&self, peer: &Self) -> bool {
        let link = self.links[usize::from(number(peer.machine.me().node))];
        link.is_some_and(|link| link.described)
    }
}

impl Letter {
    fn message(&self) -> Message {
        codec::decode(&self.bytes).expect("a letter holds what was encoded")
    }

    pub(super) fn words(&self) -> String {
        format!("{}→{} {}", name(self.from), name(self.to), message_words(&self.message()))
    }
}

fn message_words(message: &Message) -> String {
    match message {
        Message::Have { heads, .. } => {
            let heads: Vec<_> = heads.iter().map(head_words).collect();
            format!("have {}", heads.join(" "))
        }
        Message::Taken { head, .. } => format!("taken {}", head_words(head)),
        Message::Pull(head) => format!("pull {}", head_words(head)),
        Message::Delta(Delta { of, after, sequence, floor, changes }) => {
            let floor = if *floor > 0 { format!(" floor {floor}") } else { String::new() };
            let changes: Vec<_> = changes.iter().map(change_words).collect();
            format!("delta of {} {after}..{sequence}{floor} [{}]", name(*of), changes.join(" "))
        }
    }
}

fn head_words(head: &Head) -> String {
    format!("{}@{}", name(head.of), head.sequence)
}

fn change_words(Change { key, sequence, value }: &Change) -> String {
    let sign = if value.is_some() { '+' } else { '-' };
    format!("{sign}{key}@{sequence}")
}

fn book_words(of: Member, book: &Book) -> String {
    let live: Vec<_> = book.with_prefix("").map(|(key, _)| key).collect();
    format!("{}@{} [{}]", name(of), book.sequence(), live.join(" "))
}

fn name(member: Member) -> String {
    format!("n{}.{}", number(member.node), member.incarnation.0)
}

fn id(node: u8) -> NodeId {
    NodeId([node; 32])
}

const fn number(id: NodeId) -> u8 {
    id.0[0]
}

/// What a delta shows of its writer's floor.
fn markers(delta: &Delta) -> Option<&'static str> {
    match delta {
        Delta { floor: 0, .. } => None,
        Delta { after: 0, sequence, floor, .. } if sequence < floor => Some(WHOLE_IN_PARTS),
        Delta { .. } => Some(TOMBSTONES_FORGOTTEN),
    }
}

/// The present of each node, from where it counts its moments: so the hour makes no state another one.
const NOW: Time = Time::from_nanos(0);

/// A marker: a reader has all that its writer said it has.
pub(super) const DESCRIBED: &str = "model: a copy described";
/// A marker: a message arrives whose sender lives no more.
pub(super) const EARLIER_LIFE: &str = "model: a message of an earlier life arrives";
/// A marker: a delta tells that removals are forgotten.
pub(super) const TOMBSTONES_FORGOTTEN: &str = "model: a delta of a catalog that has forgotten removals";
/// A marker: a copy starts anew, and not with a single delta.
pub(super) const WHOLE_IN_PARTS: &str = "model: a whole catalog in parts";
/// A marker: a copy is dropped.
pub(super) const FORGOTTEN: &str = "model: a copy forgotten";
