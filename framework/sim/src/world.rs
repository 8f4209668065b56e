//! The world: many nodes, one queue of what happens next, and nothing else.
//!
//! Events are ordered by time and, at the same time, by the order in which they were foreseen. There is no thread and no
//! clock but this one, so a seed decides everything. Connections behave at least as badly as real ones: they are made and
//! break with delays, one end may know of it and the other not, and what was under way may arrive or not.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Debug,
    time::Duration,
};

use guthi_core::{
    protocol::{contract::Outbox, random::Random, time::Time},
    wire::id::{Incarnation, Member, NodeId},
};

use crate::{
    fabric::{Conditions, Fabric, Kind, Loss, Mark, Place, Verdict},
    fault::Counters,
    trace::{Journal, TraceHash},
};

/// One node as the world sees it: inputs come in, wishes leave.
pub trait Host {
    /// What a user does to it: plain data.
    type Operation: Debug;

    /// One step.
    fn step(&mut self, now: Time, input: Input<'_, Self::Operation>, out: &mut Outbox<Wish>);

    /// When it wants to be woken, on its own clock.
    fn deadline(&self) -> Option<Time>;

    /// A message for people. Any bytes may come here, also damaged ones.
    fn tell(bytes: &[u8]) -> String;

    /// Whether a message is sent all the time and tells people nothing.
    fn is_noise(_bytes: &[u8]) -> bool {
        false
    }
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input<'a, O> {
    /// A link with this member has come up, or a newer one has taken its place.
    Linked(Member),
    /// The link with this member has ended.
    Unlinked(Member),
    /// No link could be made with this node.
    Unreachable(NodeId),
    /// This came over a link.
    Message {
        /// From whom; not necessarily linked any more.
        from: Member,
        /// What it travelled in.
        kind: Kind,
        /// What.
        bytes: &'a [u8],
    },
    /// A user does this.
    Operation(&'a O),
    /// It is to say goodbye; it is gone a moment later.
    Leave,
    /// Its deadline has come.
    Wake,
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Send this over the link with a member; without one it is lost.
    Send {
        /// To whom.
        to: Member,
        /// What it travels in.
        kind: Kind,
        /// What.
        bytes: Vec<u8>,
    },
    /// Make a link with this node; say if that fails.
    Dial {
        /// With whom.
        node: NodeId,
        /// How long that may take.
        patience: Duration,
    },
    /// End the link with this member. The node itself is not told.
    Unlink(Member),
    /// End this process, as somebody does who has run into a fault of its own. It is started again a little later.
    Die,
    /// Something for people to read.
    Note(String),
}

/// What a step of the world was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// This node took a step.
    Node(Place),
    /// An alarm that was set has come.
    Alarm(u64),
    /// Something happened on the way.
    Other,
}

/// Many nodes on one time.
#[derive(Debug)]
pub struct World<H> {
    now: Time,
    queue: BinaryHeap<Reverse<Event>>,
    foreseen: u64,
    nodes: Vec<Node<H>>,
    /// The link as its first end sees it.
    links: BTreeMap<(Place, Place), Link>,
    links_made: u64,
    fabric: Fabric,
    held: Vec<Flight>,
    /// How many of the next messages on a way get lost by order.
    losing: BTreeMap<(Place, Place), u32>,
    noise_wanted: bool,
    random: Random,
    hash: TraceHash,
    journal: Journal,
    counters: Counters,
    reached: BTreeMap<&'static str, u64>,
    /// What the last step of a node reached.
    reached_now: Vec<(Place, &'static str)>,
    /// Who has died by its own wish.
    died: Vec<Place>,
    steps: u64,
    messages: u64,
    out: Outbox<Wish>,
}

#[derive(Debug)]
struct Node<H> {
    member: Member,
    /// Nothing while the process is down.
    host: Option<H>,
    /// The machine has power, so whoever dials it is refused at once.
    powered: bool,
    clock: Clock,
    paused_until: Option<Time>,
    paused_since: Time,
    last_pause: Duration,
    /// When it last began to run, after its start or a pause.
    running_since: Time,
    late_wakes_us: u32,
    wake_at: Option<Time>,
    /// How often it was woken since then.
    woken_since: Time,
    wakes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    began: Time,
    /// How much faster than the world's, in parts per million.
    rate_ppm: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    number: u64,
    peer: Member,
}

#[derive(Debug)]
struct Event {
    at: Time,
    order: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Deliver(Flight),
    Wake(Place),
    DialArrives { from: Place, dialler: Member, to: Place, end: Time },
    Unreachable { at: Place, dialler: Member, node: NodeId },
    Linked { at: Place, owner: Member, peer: Place, link: Link },
    Unlinked { at: Place, peer: Place, number: u64 },
    Alarm(u64),
}

#[derive(Clone, Debug)]
struct Flight {
    from: Place,
    sender: Member,
    to: Place,
    receiver: Member,
    link: u64,
    kind: Kind,
    bytes: Vec<u8>,
    stale: bool,
    corrupt: bool,
}

impl<H: Host> World<H> {
    /// A world without nodes. All chance on its ways comes from the seed.
    #[must_use]
    pub fn new(seed: u64, conditions: Conditions, verbose: bool) -> Self {
        Self {
            now: Time::default(),
            queue: BinaryHeap::new(),
            foreseen: 0,
            nodes: Vec::new(),
            links: BTreeMap::new(),
            links_made: 0,
            fabric: Fabric::new(conditions),
            held: Vec::new(),
            losing: BTreeMap::new(),
            noise_wanted: false,
            random: Random::new(seed),
            hash: TraceHash::new(),
            journal: Journal::new(verbose),
            counters: Counters::default(),
            reached: BTreeMap::new(),
            reached_now: Vec::new(),
            died: Vec::new(),
            steps: 0,
            messages: 0,
            out: Outbox::new(),
        }
    }

    // What there is.

    /// The world's time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// How many places there are, empty ones included.
    #[must_use]
    pub fn places(&self) -> Place {
        Place::try_from(self.nodes.len()).unwrap_or(Place::MAX)
    }

    /// The node at a place, if its process is up.
    #[must_use]
    pub fn host(&self, place: Place) -> Option<&H> {
        self.nodes.get(usize::from(place))?.host.as_ref()
    }

    /// The node at a place, if its process is up.
    pub fn host_mut(&mut self, place: Place) -> Option<&mut H> {
        self.nodes.get_mut(usize::from(place))?.host.as_mut()
    }

    /// Who is, or was last, at a place.
    #[must_use]
    pub fn member(&self, place: Place) -> Option<Member> {
        self.nodes.get(usize::from(place)).map(|node| node.member)
    }

    /// Who a process at a place would be: the next life of the node that was there, or a new node.
    #[must_use]
    pub fn next_member(&self, place: Place) -> Member {
        let life = self.member(place).map_or(1, |last| last.incarnation.0 + 1);
        Member { node: identity(place), incarnation: Incarnation(life) }
    }

    /// Where a node is.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<Place> {
        let found = self.nodes.iter().position(|there| there.member.node == node)?;
        Place::try_from(found).ok()
    }

    /// The nodes that are up, with their places.
    pub fn up(&self) -> impl Iterator<Item = (Place, Member, &H)> {
        let nodes = (0..).zip(&self.nodes);
        nodes.filter_map(|(place, node)| Some((place, node.member, node.host.as_ref()?)))
    }

    /// Whether a node is standing still.
    #[must_use]
    pub fn is_paused(&self, place: Place) -> bool {
        self.nodes[usize::from(place)].paused_until.is_some_and(|end| end > self.now)
    }

    /// What a node's own clock shows now.
    #[must_use]
    pub fn clock(&self, place: Place) -> Time {
        self.nodes[usize::from(place)].clock.local(self.now)
    }

    /// How long a node's last pause was, and for how long it has been running since, by its own clock.
    #[must_use]
    pub fn last_pause(&self, place: Place) -> (Duration, Duration) {
        let node = &self.nodes[usize::from(place)];
        (node.last_pause, node.clock.local(self.now).saturating_since(node.clock.local(node.running_since)))
    }

    /// Whether both ends see the same link.
    #[must_use]
    pub fn is_linked(&self, a: Place, b: Place) -> bool {
        let (here, there) = (self.links.get(&(a, b)), self.links.get(&(b, a)));
        here.zip(there).is_some_and(|(here, there)| here.number == there.number)
    }

    /// The ways between the places.
    pub const fn fabric_mut(&mut self) -> &mut Fabric {
        &mut self.fabric
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts something that was done.
    pub fn count(&mut self, name: &'static str) {
        self.counters.count(name);
    }

    /// The rare branches that were reached, and how often.
    #[must_use]
    pub const fn reached(&self) -> &BTreeMap<&'static str, u64> {
        &self.reached
    }

    /// The rare branches that were reached since this was last asked.
    pub fn take_reached(&mut self) -> Vec<(Place, &'static str)> {
        std::mem::take(&mut self.reached_now)
    }

    /// The places whose processes have died by their own wish since this was last asked.
    pub fn take_died(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.died)
    }

    /// A hash over everything so far.
    #[must_use]
    pub const fn hash(&self) -> TraceHash {
        self.hash
    }

    /// What people may read.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Adds a line to the journal, if somebody will read it.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        self.journal.note(now, line);
    }

    /// How many steps all nodes have taken together.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// How many messages were sent.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    // What happens next.

    /// Lets the next thing happen, if it is not later than `until`.
    pub fn step(&mut self, until: Time) -> Option<Stepped> {
        let next = self.queue.peek_mut()?;
        if next.0.at > until {
            return None;
        }
        let Event { at, what, .. } = std::collections::binary_heap::PeekMut::pop(next).0;
        self.now = self.now.max(at);
        Some(match what {
            What::Alarm(token) => {
                self.hash.number(token);
                Stepped::Alarm(token)
            }
            What::Deliver(flight) => self.deliver(flight),
            What::Wake(place) => self.wake(at, place),
            What::DialArrives { from, dialler, to, end } => self.dial_arrives(from, dialler, to, end),
            What::Unreachable { at: place, dialler, node } => {
                if let Some(end) = self.paused(place) {
                    self.foresee(end, What::Unreachable { at: place, dialler, node });
                    return Some(Stepped::Other);
                }
                let linked = self.place(node).is_some_and(|to| self.links.contains_key(&(place, to)));
                if self.nodes[usize::from(place)].member != dialler || linked {
                    return Some(Stepped::Other);
                }
                self.journal.note(self.now, || format!("{} cannot reach {}", name(place), short(node)));
                self.input(place, Input::Unreachable(node))
            }
            What::Linked { at: place, owner, peer, link } => self.linked(place, owner, peer, link),
            What::Unlinked { at: place, peer, number } => self.unlinked(place, peer, number),
        })
    }

    /// Everything up to then has happened; now it is then.
    pub fn skip_to(&mut self, at: Time) {
        self.now = self.now.max(at);
    }

    /// Comes back as [`Stepped::Alarm`].
    pub fn alarm(&mut self, at: Time, token: u64) {
        self.foresee(at, What::Alarm(token));
    }

    // What is done to the world.

    /// Starts a process: at a new place, or where one was before.
    pub fn boot(&mut self, place: Place, member: Member, host: H, rate_ppm: i64) {
        let clock = Clock { began: self.now, rate_ppm };
        let node = Node {
            member,
            host: Some(host),
            powered: true,
            clock,
            paused_until: None,
            paused_since: self.now,
            last_pause: Duration::ZERO,
            running_since: self.now,
            late_wakes_us: 0,
            wake_at: None,
            woken_since: self.now,
            wakes: 0,
        };
        if rate_ppm != 0 {
            self.counters.count("clock rate");
        }
        self.journal.note(self.now, || format!("{} starts, life {}", name(place), member.incarnation.0));
        match self.nodes.get_mut(usize::from(place)) {
            Some(there) => *there = node,
            None => self.nodes.push(node),
        }
        self.set_alarm_clock(place);
    }

    /// Lets one node dial another, as somebody who knows its address.
    pub fn introduce(&mut self, place: Place, to: Place) {
        let Some(member) = self.member(to) else { return };
        if self.host(place).is_some() && place != to {
            self.dial(place, member.node, Duration::from_secs(10));
        }
    }

    /// A user does something at a node; false if it is down or stands still.
    pub fn operate(&mut self, place: Place, operation: &H::Operation) -> bool {
        let runs = self.host(place).is_some() && !self.is_paused(place);
        if runs {
            self.journal.note(self.now, || format!("{} is asked: {operation:?}", name(place)));
            self.input(place, Input::Operation(operation));
        }
        runs
    }

    /// The process ends. With `evidence` its peers see their connections break, otherwise nobody is told.
    pub fn crash(&mut self, place: Place, evidence: bool) {
        let node = &mut self.nodes[usize::from(place)];
        if node.host.take().is_none() {
            return;
        }
        node.powered = evidence;
        node.paused_until = None;
        node.wake_at = None;
        self.journal.note(self.now, || format!("{} dies{}", name(place), if evidence { "" } else { ", power off" }));
        let ends: Vec<_> = self.links.keys().copied().filter(|(from, _)| *from == place).collect();
        for (_, peer) in ends {
            let Some(link) = self.links.remove(&(place, peer)) else { continue };
            if evidence {
                self.tell_end(place, peer, link.number);
            }
        }
        self.held.retain(|flight| flight.from != place && flight.to != place);
    }

    /// The process says goodbye.
    pub fn leave(&mut self, place: Place) {
        if self.host(place).is_some() && !self.is_paused(place) {
            self.journal.note(self.now, || format!("{} leaves", name(place)));
            self.input(place, Input::Leave);
        }
    }

    /// The process stands still until then. What arrives waits for it.
    pub fn pause(&mut self, place: Place, until: Time) {
        let now = self.now;
        let node = &mut self.nodes[usize::from(place)];
        if node.host.is_some() && node.paused_until.is_none_or(|end| end < until) && until > now {
            if node.paused_until.is_none_or(|end| end <= now) {
                node.paused_since = now;
            }
            node.paused_until = Some(until);
            self.journal.note(now, || {
                format!("{} stands still until {}", name(place), crate::trace::seconds(until).trim_start())
            });
        }
    }

    /// The timers of a process fire late by up to so much.
    pub fn wake_late(&mut self, place: Place, micros: u32) {
        self.nodes[usize::from(place)].late_wakes_us = micros;
    }

    /// The connection between two nodes breaks, at both ends or at the first alone.
    pub fn reset(&mut self, a: Place, b: Place, both: bool) {
        let Some(link) = self.links.get(&(a, b)).copied() else { return };
        self.journal.note(self.now, || format!("the link of {} and {} breaks", name(a), name(b)));
        self.foresee(self.now, What::Unlinked { at: a, peer: b, number: link.number });
        if both {
            self.tell_end(a, b, link.number);
        }
    }

    /// The next messages on a way get lost; what is sent all the time does not count.
    pub fn lose_next(&mut self, from: Place, to: Place, count: u32) {
        *self.losing.entry((from, to)).or_default() += count;
    }

    /// From now on the journal also has what is sent all the time.
    pub const fn listen_to_noise(&mut self) {
        self.noise_wanted = true;
    }

    /// What was held and can go again, goes.
    pub fn release(&mut self) {
        for flight in std::mem::take(&mut self.held) {
            self.launch(flight);
        }
    }

    // The ways.

    fn foresee(&mut self, at: Time, what: What) {
        self.foreseen += 1;
        self.queue.push(Reverse(Event { at, order: self.foreseen, what }));
    }

    /// Whether people want to read this message.
    fn is_worth_a_line(&self, flight: &Flight) -> bool {
        self.journal.is_wanted() && (self.noise_wanted || !H::is_noise(&flight.bytes))
    }

    fn launch(&mut self, flight: Flight) {
        let Flight { from, to, kind, .. } = flight;
        let ordered = self.losing.get_mut(&(from, to)).filter(|count| **count > 0 && !H::is_noise(&flight.bytes));
        let verdict = match ordered {
            Some(count) => {
                *count -= 1;
                Verdict::Lost(Loss::Chance)
            }
            None => self.fabric.verdict(self.now, from, to, kind, &mut self.random),
        };
        match verdict {
            Verdict::Held => {
                self.counters.count("message held");
                self.held.push(flight);
            }
            Verdict::Lost(loss) => {
                self.counters.count(match loss {
                    Loss::Chance => "message lost",
                    Loss::Cut => "message lost in a cut",
                    Loss::Burst => "message lost in a burst",
                });
                if self.is_worth_a_line(&flight) {
                    let line = format!("{} -> {} lost: {}", name(from), name(to), H::tell(&flight.bytes));
                    self.journal.note(self.now, || line);
                }
                // A stream that misses something is broken.
                if kind == Kind::Stream && self.links.get(&(from, to)).is_some_and(|link| link.number == flight.link) {
                    self.reset(from, to, true);
                }
            }
            Verdict::Arrives { at, marks } => {
                for mark in &marks {
                    self.counters.count(match mark {
                        Mark::Duplicate => "message doubled",
                        Mark::Reordered => "message overtaken",
                        Mark::Straggling => "message straggling",
                        Mark::Replayed => "message replayed",
                        Mark::Corrupt => "message damaged",
                        // Counted when it matters.
                        Mark::Stale => continue,
                    });
                }
                let stale = marks.contains(&Mark::Stale) || marks.contains(&Mark::Replayed);
                let corrupt = marks.contains(&Mark::Corrupt);
                let (last, first) = at.split_last().expect("it arrives at least once");
                for arrival in first {
                    self.foresee(*arrival, What::Deliver(Flight { stale, corrupt, ..flight.clone() }));
                }
                self.foresee(*last, What::Deliver(Flight { stale, corrupt, ..flight }));
            }
        }
    }

    fn deliver(&mut self, mut flight: Flight) -> Stepped {
        let Flight { from, to, .. } = flight;
        if let Some(end) = self.paused(to) {
            self.foresee(end, What::Deliver(flight));
            return Stepped::Other;
        }
        let current = self.links.get(&(to, from)).is_some_and(|link| link.number == flight.link);
        let node = &self.nodes[usize::from(to)];
        if node.host.is_none() || (!current && !flight.stale) || (current && node.member != flight.receiver) {
            return Stepped::Other;
        }
        if flight.corrupt {
            let at = usize::try_from(self.random.below(flight.bytes.len().max(1) as u64)).unwrap_or(0);
            if let Some(byte) = flight.bytes.get_mut(at) {
                *byte ^= 1 << self.random.below(8);
            }
            // It is looked at, as somebody would who does not know that it is damaged; then the connection ends.
            let _ = H::tell(&flight.bytes);
            self.reset(to, from, true);
            return Stepped::Other;
        }
        if !current {
            let earlier = self.nodes[usize::from(from)].member != flight.sender;
            self.counters.count(if earlier { "message of an earlier life" } else { "message of an ended connection" });
        }
        if self.is_worth_a_line(&flight) {
            let life = if current { "" } else { " (of an ended link)" };
            let line = format!("{} -> {} {}{life}", name(from), name(to), H::tell(&flight.bytes));
            self.journal.note(self.now, || line);
        }
        self.hash.number(u64::from(from));
        self.hash.bytes(&flight.bytes);
        let bytes = std::mem::take(&mut flight.bytes);
        self.input(to, Input::Message { from: flight.sender, kind: flight.kind, bytes: &bytes })
    }

    // Links.

    fn dial(&mut self, from: Place, node: NodeId, patience: Duration) {
        let dialler = self.nodes[usize::from(from)].member;
        let end = self.now + patience;
        let Some(to) = self.place(node) else {
            return self.foresee(end, What::Unreachable { at: from, dialler, node });
        };
        // There, back, and there again: the ends have proven who they are.
        let way = self.fabric.way(from, to, &mut self.random) * 2 + self.fabric.way(to, from, &mut self.random);
        self.foresee(self.now + way, What::DialArrives { from, dialler, to, end });
    }

    fn dial_arrives(&mut self, from: Place, dialler: Member, to: Place, end: Time) -> Stepped {
        let standing_still = self.paused(to).is_some();
        let there = &self.nodes[usize::from(to)];
        let (member, node) = (there.member, there.member.node);
        if self.nodes[usize::from(from)].member != dialler || self.host(from).is_none() || self.is_linked(from, to) {
            return Stepped::Other;
        }
        let open = self.fabric.is_open(from, to) && self.fabric.is_open(to, from);
        let refused = there.host.is_none();
        if !open || self.now > end || standing_still || (refused && !there.powered) {
            let at = end.max(self.now) + self.fabric.hesitation(&mut self.random);
            self.foresee(at, What::Unreachable { at: from, dialler, node });
            return Stepped::Other;
        }
        let back = self.now + self.fabric.way(to, from, &mut self.random);
        if refused {
            self.foresee(back, What::Unreachable { at: from, dialler, node });
            return Stepped::Other;
        }
        self.links_made += 1;
        let number = self.links_made;
        self.fabric.begin(from, to, self.now);
        self.fabric.begin(to, from, back);
        self.foresee(back, What::Linked { at: from, owner: dialler, peer: to, link: Link { number, peer: member } });
        self.linked(to, member, from, Link { number, peer: dialler })
    }

    fn linked(&mut self, at: Place, owner: Member, peer: Place, link: Link) -> Stepped {
        if let Some(end) = self.paused(at) {
            self.foresee(end, What::Linked { at, owner, peer, link });
            return Stepped::Other;
        }
        let newer = self.links.get(&(at, peer)).is_some_and(|there| there.number > link.number);
        if self.host(at).is_none() || self.nodes[usize::from(at)].member != owner || newer {
            return Stepped::Other;
        }
        self.links.insert((at, peer), link);
        self.journal.note(self.now, || format!("{} is linked with {}", name(at), name(peer)));
        self.input(at, Input::Linked(link.peer))
    }

    fn unlinked(&mut self, at: Place, peer: Place, number: u64) -> Stepped {
        if let Some(end) = self.paused(at) {
            self.foresee(end, What::Unlinked { at, peer, number });
            return Stepped::Other;
        }
        let Some(link) = self.links.get(&(at, peer)).copied().filter(|link| link.number == number) else {
            return Stepped::Other;
        };
        self.links.remove(&(at, peer));
        if self.host(at).is_none() {
            return Stepped::Other;
        }
        self.journal.note(self.now, || format!("{} is unlinked from {}", name(at), name(peer)));
        self.input(at, Input::Unlinked(link.peer))
    }

    /// The other end of a link learns of its end, if the way there is open.
    fn tell_end(&mut self, from: Place, to: Place, number: u64) {
        if self.fabric.is_open(from, to) {
            let at = self.now + self.fabric.way(from, to, &mut self.random);
            self.foresee(at, What::Unlinked { at: to, peer: from, number });
        }
    }

    // Nodes.

    fn input(&mut self, place: Place, input: Input<'_, H::Operation>) -> Stepped {
        let node = &mut self.nodes[usize::from(place)];
        let Some(host) = &mut node.host else { return Stepped::Other };
        self.steps += 1;
        self.hash.number(self.now.as_nanos());
        self.hash.number(u64::from(place) << 8 | tag(&input));
        let mut out = std::mem::take(&mut self.out);
        host.step(node.clock.local(self.now), input, &mut out);
        for marker in out.take_reached() {
            *self.reached.entry(marker).or_default() += 1;
            self.reached_now.push((place, marker));
        }
        for wish in out.drain() {
            self.grant(place, wish);
        }
        self.out = out;
        self.set_alarm_clock(place);
        Stepped::Node(place)
    }

    fn grant(&mut self, place: Place, wish: Wish) {
        match wish {
            Wish::Send { to, kind, bytes } => {
                let Some(peer) = self.place(to.node) else { return };
                let Some(link) = self.links.get(&(place, peer)).filter(|link| link.peer == to) else { return };
                self.messages += 1;
                let sender = self.nodes[usize::from(place)].member;
                let link = link.number;
                let flight = Flight {
                    from: place,
                    sender,
                    to: peer,
                    receiver: to,
                    link,
                    kind,
                    bytes,
                    stale: false,
                    corrupt: false,
                };
                self.launch(flight);
            }
            Wish::Dial { node, patience } => self.dial(place, node, patience),
            Wish::Unlink(member) => {
                let Some(peer) = self.place(member.node) else { return };
                if let Some(link) = self.links.remove(&(place, peer)) {
                    self.tell_end(place, peer, link.number);
                }
            }
            Wish::Die => {
                self.crash(place, true);
                self.died.push(place);
            }
            Wish::Note(line) => self.journal.note(self.now, || format!("{} {line}", name(place))),
        }
    }

    fn wake(&mut self, at: Time, place: Place) -> Stepped {
        if let Some(end) = self.paused(place) {
            self.foresee(end, What::Wake(place));
            self.nodes[usize::from(place)].wake_at = Some(end);
            return Stepped::Other;
        }
        let node = &mut self.nodes[usize::from(place)];
        if node.wake_at != Some(at) {
            // It was set to another time since.
            return Stepped::Other;
        }
        node.wake_at = None;
        let due = node.host.as_ref().and_then(Host::deadline).is_some_and(|due| due <= node.clock.local(self.now));
        if !due {
            self.set_alarm_clock(place);
            return Stepped::Other;
        }
        if at.saturating_since(node.woken_since) > WAKES_COUNTED_FOR {
            node.woken_since = at;
            node.wakes = 0;
        }
        node.wakes += 1;
        assert!(node.wakes < WAKES_MAX, "G4: {} wants to be woken again and again", name(place));
        self.input(place, Input::Wake)
    }

    fn set_alarm_clock(&mut self, place: Place) {
        let node = &mut self.nodes[usize::from(place)];
        let Some(due) = node.host.as_ref().and_then(Host::deadline) else { return };
        // A clock that has not come so far by rounding comes there in the next moment.
        let soonest = if due <= node.clock.local(self.now) { self.now } else { self.now + Duration::from_nanos(1) };
        let mut at = node.clock.world(due).max(soonest);
        if node.late_wakes_us > 0 {
            at = at + Duration::from_micros(self.random.below(u64::from(node.late_wakes_us)));
        }
        if node.wake_at.is_none_or(|set| at < set) {
            node.wake_at = Some(at);
            self.foresee(at, What::Wake(place));
        }
    }

    /// The end of a pause that goes on; a pause that is over ends here.
    fn paused(&mut self, place: Place) -> Option<Time> {
        let now = self.now;
        let node = &mut self.nodes[usize::from(place)];
        let end = node.paused_until?;
        if end > now {
            return Some(end);
        }
        node.paused_until = None;
        node.running_since = now;
        node.last_pause = now.saturating_since(node.paused_since);
        None
    }
}

impl Clock {
    fn local(self, now: Time) -> Time {
        let elapsed = i128::from(now.saturating_since(self.began).as_nanos() as u64);
        let local = elapsed + elapsed * i128::from(self.rate_ppm) / 1_000_000;
        Time::from_nanos(u64::try_from(local).unwrap_or(0))
    }

    /// The first moment of the world at which this clock shows so much.
    fn world(self, local: Time) -> Time {
        let local = i128::from(local.as_nanos());
        let elapsed = local * 1_000_000 / (1_000_000 + i128::from(self.rate_ppm)) + 1;
        self.began + Duration::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

const fn tag<O>(input: &Input<'_, O>) -> u64 {
    match input {
        Input::Linked(_) => 0,
        Input::Unlinked(_) => 1,
        Input::Unreachable(_) => 2,
        Input::Message { .. } => 3,
        Input::Operation(_) => 4,
        Input::Leave => 5,
        Input::Wake => 6,
    }
}

/// A machine that wants to be woken so often in so short a time never rests.
const WAKES_MAX: u32 = 1000;
const WAKES_COUNTED_FOR: Duration = Duration::from_millis(1);

/// The identity of the node that begins at a place; a later newcomer has a place of its own.
#[must_use]
pub fn identity(place: Place) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&place.to_be_bytes());
    NodeId(bytes)
}

/// The name of the node at a place, for people: `a`, `b`, …
#[must_use]
pub fn name(place: Place) -> String {
    match u8::try_from(place).ok().filter(|place| *place < 26) {
        Some(place) => char::from(b'a' + place).to_string(),
        None => format!("n{place}"),
    }
}

/// The name of a node that was made by [`identity`].
#[must_use]
pub fn short(node: NodeId) -> String {
    name(Place::from_be_bytes([node.0[0], node.0[1]]))
}
