use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{Config, Load, Message, Vitals};
use crate::{
    protocol::{
        bugs::Bug,
        contract::{self, Effect, Protocol, ViewChange},
        random::Random,
        time::Time,
        view::Standing,
    },
    wire::id::{Member, NodeId},
};

type Outbox = contract::Outbox<Effect<Machine>>;

/// What one node knows about the life of the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    config: Config,
    random: Random,
    /// What it says in echoes.
    standing: Option<Standing>,
    load: Load,
    /// The members of the view, the oldest first.
    members: Vec<NodeId>,
    /// Those of them whom others poll.
    spared: BTreeSet<NodeId>,
    peers: BTreeMap<NodeId, Peer>,
    /// The number of the last echo, whoever it went to. No two of this life have the same: an answer that comes over a newer
    /// link than its echo must not be taken for the answer to a later one, and renew a lease that has long ended.
    echoes: u64,
    /// When this machine was to be woken at the latest. An input long after it shows that this process was stopped.
    expected: Option<Time>,
}

/// What the node may tell or ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A linked peer has described itself and can be called.
    Ready(Member),
    /// A linked peer has shown a sign of life elsewhere.
    Heard(Member),
    /// Say this in echoes from now on; if it names another view than before, say it at once.
    Stand(Option<Standing>),
    /// These belong to the view from now on.
    Members {
        /// All of them, the oldest first.
        all: Vec<NodeId>,
        /// Those whom this node need not poll.
        spared: Vec<NodeId>,
    },
    /// Say this in answers from now on.
    Load(Load),
    /// An attempt to link with this node has failed.
    Unreachable(NodeId),
    /// Say goodbye to all.
    Leave,
}

/// What the detector tells its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new peer is ready.
    Joined(Member),
    /// A peer's link broke; it is being linked again. Early and local.
    Suspected {
        /// Who.
        peer: Member,
        /// What was noticed.
        reason: Reason,
    },
    /// A suspected peer is ready again.
    Trusted(Member),
    /// A peer is taken for dead.
    Failed {
        /// Who.
        peer: Member,
        /// What was noticed.
        reason: Reason,
    },
    /// A peer that had failed or left is ready again, perhaps in a later life.
    Recovered(Member),
    /// A peer that was ready has said goodbye.
    Left(Member),
    /// A peer has sent an echo; the answer follows in the same step.
    Asked {
        /// Who.
        peer: Member,
        /// Where it stands.
        standing: Option<Standing>,
    },
    /// A peer has answered an echo after so long.
    Answered {
        /// Who.
        peer: Member,
        /// There and back.
        rtt: Duration,
        /// When the echo was sent first.
        sent: Time,
        /// Where this node said then that it stands.
        asked: Option<Standing>,
        /// Where the peer stands.
        standing: Option<Standing>,
        /// How it is.
        vitals: Vitals,
    },
    /// Try to link with this node; say [`Command::Unreachable`] if that fails.
    Relink {
        /// With whom.
        node: NodeId,
        /// How long the attempt may take.
        patience: Duration,
    },
    /// End this link: nothing came over it for too long.
    Unlink(Member),
    /// This node is no peer any more.
    Forgotten(NodeId),
    /// A message or a command changed nothing.
    Ignored {
        /// Whom it came from, or is about.
        from: Member,
        /// Why.
        reason: Ignored,
    },
}

/// What is held against a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its link broke.
    LinkBroke,
    /// It did not answer for so long.
    Silent(Duration),
    /// It is here again as a later life, so the earlier one has ended.
    Restarted,
}

/// Why an input was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It comes from, or is about, a member that is not linked.
    NotLinked,
    /// A link came with an earlier life of a node than is known.
    EarlierLife,
    /// An answer to no echo, or one that was answered before.
    NotAsked,
}

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is linked, or was, and has not been ready yet.
    Joining,
    /// It answers.
    Alive,
    /// Its link broke, and is being made anew.
    Suspected,
    /// It does not answer.
    Failed,
    /// It has said goodbye.
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    member: Member,
    status: Status,
    since: Time,
    /// It was ready once, in whichever life.
    known: bool,
    link: Option<Link>,
    /// When to try to link again, while there is no link.
    relink_at: Option<Time>,
    /// The pause before the next attempt but one; it grows until the peer is ready.
    relink_delay: Duration,
    /// What the last answer took.
    rtt: Duration,
    /// The attempt under way is decisive: the peer fails if it does, and at that time whatever became of it.
    decisive_until: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Link {
    heard: Time,
    /// How often stalls of this process were the excuse since then.
    excused: u32,
    echo_at: Time,
    sequence: u64,
    sent: Time,
    asked: Option<Standing>,
    answered: bool,
}

impl Machine {
    /// A detector that knows nobody. The seed serves for the jitter of attempts alone.
    #[must_use]
    pub const fn new(config: Config, seed: u64, standing: Option<Standing>) -> Self {
        Self {
            config,
            random: Random::new(seed),
            standing,
            load: Load { cpu: u8::MAX, memory: u8::MAX, calls: 0 },
            members: Vec::new(),
            spared: BTreeSet::new(),
            peers: BTreeMap::new(),
            echoes: 0,
            expected: None,
        }
    }

    /// Everybody who is not forgotten, and how it is, in the order of the nodes.
    pub fn peers(&self) -> impl Iterator<Item = (Member, Status)> {
        self.peers.values().map(|peer| (peer.member, peer.status))
    }

    /// How a node is, and in which of its lives.
    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<(Member, Status)> {
        self.peers.get(&node).map(|peer| (peer.member, peer.status))
    }

    /// Whether there is a link to this life of a node.
    #[must_use]
    pub fn is_linked(&self, member: Member) -> bool {
        self.peers.get(&member.node).is_some_and(|peer| peer.member == member && peer.link.is_some())
    }
}

impl Protocol for Machine {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox) {
        self.forgive_after_a_stall(now, out);
        let (own, load) = (self.standing, self.load);
        let Some(peer) = self.linked(from) else { return ignore(from, Ignored::NotLinked, out) };
        let link = peer.link.as_mut().expect("it is linked");
        link.hear(now);
        match message {
            Message::Echo { sequence, standing } => {
                // The answer leaves before anything that follows from the question: it may be the last act in a view.
                let vitals = Vitals { load, hears: self.hears() };
                out.send(from, Message::EchoReply { sequence, standing: own, vitals });
                out.emit(Event::Asked { peer: from, standing });
            }
            Message::EchoReply { sequence, standing, vitals } if link.sequence == sequence && !link.answered => {
                link.answered = true;
                let (rtt, sent, asked) = (now.saturating_since(link.sent), link.sent, link.asked);
                peer.rtt = rtt;
                out.emit(Event::Answered { peer: from, rtt, sent, asked, standing, vitals });
            }
            Message::EchoReply { .. } => ignore(from, Ignored::NotAsked, out),
            Message::Leaving => peer.left(now, out),
        }
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox) {
        self.forgive_after_a_stall(now, out);
        let relink_delay_min = self.config.relink_delay_min;
        match command {
            Command::Ready(member) => match self.linked(member) {
                Some(peer) => peer.ready(now, relink_delay_min, out),
                None => ignore(member, Ignored::NotLinked, out),
            },
            Command::Heard(member) => {
                if let Some(link) = self.linked(member).and_then(|peer| peer.link.as_mut()) {
                    link.hear(now);
                }
            }
            Command::Stand(standing) => self.stand(now, standing),
            Command::Members { all, spared } => self.belong(now, all, spared),
            Command::Load(load) => self.load = load,
            Command::Unreachable(node) => self.unreachable(now, node, out),
            Command::Leave => {
                for peer in self.peers.values().filter(|peer| peer.link.is_some()) {
                    out.send(peer.member, Message::Leaving);
                }
            }
        }
        self.expect(now);
    }

    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox) {
        self.forgive_after_a_stall(now, out);
        match change {
            ViewChange::Linked(member) => self.linked_anew(now, member, out),
            ViewChange::Unlinked(member) => self.link_broke(now, member, out),
        }
        self.expect(now);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        self.forgive_after_a_stall(now, out);
        self.poll(now, out);
        self.relink(now, out);
        self.forget(now, out);
        self.expect(now);
    }

    fn deadline(&self) -> Option<Time> {
        let peers = self.peers.values();
        let due = peers.flat_map(|peer| {
            let echo = peer.link.as_ref().filter(|_| !self.spares(peer.member.node)).map(|link| link.echo_at);
            let unlinked = peer.link.is_none();
            let relink = peer.relink_at.filter(|_| unlinked);
            let decisive = peer.decisive_until.filter(|_| unlinked);
            let forget = peer.is_gone().then(|| peer.since + self.config.forget_after);
            [echo, relink, decisive, forget]
        });
        due.flatten().min()
    }
}

impl Machine {
    /// A link has come up, or a newer one has taken its place.
    fn linked_anew(&mut self, now: Time, member: Member, out: &mut Outbox) {
        let peer = self.peers.entry(member.node).or_insert_with(|| Peer::new(member, now, &self.config));
        if member.incarnation < peer.member.incarnation {
            return ignore(member, Ignored::EarlierLife, out);
        }
        if member.incarnation > peer.member.incarnation {
            out.reached("detector: a peer restarted before its failure was noticed");
            peer.failed(now, Reason::Restarted, out);
            peer.member = member;
        }
        peer.relink_at = None;
        let back = peer.status != Status::Joining;
        peer.link =
            Some(Link { heard: now, excused: 0, echo_at: now, sequence: 0, sent: now, asked: None, answered: true });
        if back {
            let delay = self.config.relink_delay_min;
            // Whatever kept this one away may have kept the others away as well.
            for peer in self.peers.values_mut().filter(|peer| peer.link.is_none() && peer.relink_at.is_some()) {
                peer.relink_at = Some(now);
                peer.relink_delay = delay;
            }
        }
    }

    /// The view has changed: who is polled from here now was heard by others until now.
    fn belong(&mut self, now: Time, all: Vec<NodeId>, spared: Vec<NodeId>) {
        self.members = all;
        let before = core::mem::replace(&mut self.spared, spared.into_iter().collect());
        for node in before.difference(&self.spared) {
            if let Some(link) = self.peers.get_mut(node).and_then(|peer| peer.link.as_mut()) {
                link.hear(now);
                link.echo_at = now;
                link.answered = true;
            }
        }
    }

    fn spares(&self, node: NodeId) -> bool {
        !self.spared.is_empty() && self.spared.contains(&node)
    }

    fn hears(&self) -> u64 {
        let heard = |node: &NodeId| {
            self.peers.get(node).is_some_and(|peer| peer.link.is_some() && peer.status == Status::Alive)
        };
        let bits = (0..u64::BITS).zip(&self.members).filter(|(_, node)| heard(node)).map(|(bit, _)| 1 << bit);
        bits.sum()
    }

    fn stand(&mut self, now: Time, standing: Option<Standing>) {
        let before = core::mem::replace(&mut self.standing, standing);
        let links = self.peers.values_mut().filter_map(|peer| peer.link.as_mut());
        if before.map(|before| before.at) != standing.map(|standing| standing.at) {
            for link in links {
                link.echo_at = now;
                link.answered = true;
            }
        }
    }

    fn link_broke(&mut self, now: Time, member: Member, out: &mut Outbox) {
        let config = self.config;
        let delay_max = config.relink_delay_max;
        let chance = self.random.next();
        let Some(peer) = self.linked(member) else { return };
        let patience = peer.patience(&config);
        peer.link = None;
        match peer.status {
            Status::Left if peer.known => return,
            Status::Left => {
                self.peers.remove(&member.node);
                return out.emit(Event::Forgotten(member.node));
            }
            Status::Alive => {
                peer.turn(Status::Suspected, now);
                out.emit(Event::Suspected { peer: member, reason: Reason::LinkBroke });
                peer.decisive_until = Some(now + patience * 2);
                peer.relink_at = Some(now);
            }
            // A link that breaks before its peer is ready is no reason to hurry.
            Status::Joining | Status::Suspected | Status::Failed => {
                out.reached("detector: a link broke before its peer was ready");
                let joining = peer.status == Status::Joining;
                peer.decisive_until = peer.decisive_until.or_else(|| joining.then(|| now + patience * 2));
                peer.put_off(now, chance, delay_max);
            }
        }
        self.relink(now, out);
    }

    fn unreachable(&mut self, now: Time, node: NodeId, out: &mut Outbox) {
        let (config, chance) = (self.config, self.random.next());
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.link.is_none()) else { return };
        if !peer.known {
            self.peers.remove(&node);
            return out.emit(Event::Forgotten(node));
        }
        if peer.relink_at.is_some() {
            let soon = now.saturating_since(peer.since) < config.relink_soon;
            peer.put_off(now, chance, if soon { config.relink_delay_soon } else { config.relink_delay_max });
        }
        if peer.decisive_until.take().is_some() {
            peer.failed(now, Reason::LinkBroke, out);
        }
    }

    /// Sends the echoes that are due, and gives up who has been silent for too long.
    fn poll(&mut self, now: Time, out: &mut Outbox) {
        let Config { interval, timeout, relink_delay_min, bugs, .. } = self.config;
        let spared = &self.spared;
        for peer in self.peers.values_mut().filter(|peer| !spared.contains(&peer.member.node)) {
            let Some(link) = &mut peer.link else { continue };
            let silence = now.saturating_since(link.heard);
            if silence >= timeout && !bugs.has(Bug::SilenceIgnored) {
                out.reached("detector: a silent peer given up");
                peer.link = None;
                peer.relink_at = (peer.status != Status::Left).then(|| now + relink_delay_min);
                peer.decisive_until = None;
                out.emit(Event::Unlink(peer.member));
                peer.failed(now, Reason::Silent(timeout), out);
            } else if now >= link.echo_at {
                link.echo_at = now + interval;
                // An unanswered echo is repeated under its own number, so that a late answer still counts.
                if link.answered || now.saturating_since(link.sent) >= timeout {
                    self.echoes += 1;
                    link.sequence = self.echoes;
                    link.sent = now;
                    link.asked = self.standing;
                    link.answered = false;
                }
                // Repeated, it says what it said first: the answer counts from then.
                out.send(peer.member, Message::Echo { sequence: link.sequence, standing: link.asked });
            }
        }
    }

    /// Asks for the attempts that are due, and ends the decisive ones that took too long.
    fn relink(&mut self, now: Time, out: &mut Outbox) {
        let config = self.config;
        let mut strangers = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| peer.link.is_none()) {
            if peer.decisive_until.is_some_and(|end| end <= now) {
                out.reached("detector: a decisive attempt took too long");
                peer.decisive_until = None;
                if !peer.known {
                    strangers.push(peer.member.node);
                    continue;
                }
                peer.failed(now, Reason::LinkBroke, out);
            }
            if peer.relink_at.is_none_or(|at| at > now) {
                continue;
            }
            // The way may be longer now than it was. By chance, so that not both ends are that patient at once.
            let patient = peer.decisive_until.is_none() && self.random.below(PATIENT_EACH) == 0;
            let patience = if patient { config.relink_max } else { peer.patience(&config) };
            // If nobody says how the attempt ended, it is made again after its time.
            peer.relink_at = Some(now + patience + peer.relink_delay);
            out.emit(Event::Relink { node: peer.member.node, patience });
        }
        for node in strangers {
            self.peers.remove(&node);
            out.emit(Event::Forgotten(node));
        }
    }

    fn forget(&mut self, now: Time, out: &mut Outbox) {
        let old = |peer: &Peer| {
            peer.is_gone() && peer.link.is_none() && now.saturating_since(peer.since) >= self.config.forget_after
        };
        let old: Vec<_> = self.peers.iter().filter(|(_, peer)| old(peer)).map(|(node, _)| *node).collect();
        for node in old {
            self.peers.remove(&node);
            out.emit(Event::Forgotten(node));
        }
    }

    /// This process was stopped or starved if an input comes long after the deadline: others cannot be blamed for what
    /// it did not hear.
    fn forgive_after_a_stall(&mut self, now: Time, out: &mut Outbox) {
        let Some(expected) = self.expected else { return };
        let stalled = now.saturating_since(expected) > self.config.interval;
        if stalled && !self.config.bugs.has(Bug::StallBlamedOnPeers) {
            out.reached("detector: this process was stalled");
            for peer in self.peers.values_mut() {
                if let Some(link) = peer.link.as_mut().filter(|link| link.excused < EXCUSES_MAX) {
                    link.heard = now;
                    link.excused += 1;
                }
                if let Some(end) = &mut peer.decisive_until {
                    *end = (*end).max(now + self.config.relink_min);
                }
            }
        }
        self.expect(now);
    }

    fn expect(&mut self, now: Time) {
        // A deadline that has passed already is due now.
        self.expected = self.deadline().map(|at| at.max(now));
    }

    fn linked(&mut self, member: Member) -> Option<&mut Peer> {
        self.peers.get_mut(&member.node).filter(|peer| peer.member == member && peer.link.is_some())
    }
}

impl Link {
    const fn hear(&mut self, now: Time) {
        self.heard = now;
        self.excused = 0;
    }
}

impl Peer {
    const fn new(member: Member, now: Time, config: &Config) -> Self {
        Self {
            member,
            status: Status::Joining,
            since: now,
            known: false,
            link: None,
            relink_at: None,
            relink_delay: config.relink_delay_min,
            rtt: Duration::ZERO,
            decisive_until: None,
        }
    }

    /// How long an attempt may take, on a way like the last one.
    fn patience(&self, config: &Config) -> Duration {
        (self.rtt * RELINK_ROUND_TRIPS).clamp(config.relink_min, config.relink_max)
    }

    /// The next attempt comes after a pause, and the pause after that is twice as long.
    fn put_off(&mut self, now: Time, chance: u64, delay_max: Duration) {
        // Up to a quarter more, so that those who lost each other do not dial in step.
        let quarter = u64::try_from(self.relink_delay.as_nanos() / 4).unwrap_or(u64::MAX);
        self.relink_at = Some(now + self.relink_delay + Duration::from_nanos(Random::new(chance).below(quarter)));
        self.relink_delay = (self.relink_delay * 2).min(delay_max).max(self.relink_delay);
    }

    fn ready(&mut self, now: Time, relink_delay_min: Duration, out: &mut Outbox) {
        self.relink_delay = relink_delay_min;
        self.decisive_until = None;
        let before = self.status;
        if before == Status::Alive {
            return;
        }
        self.turn(Status::Alive, now);
        let known = core::mem::replace(&mut self.known, true);
        out.emit(match before {
            Status::Suspected => Event::Trusted(self.member),
            Status::Failed | Status::Left if known => Event::Recovered(self.member),
            Status::Joining | Status::Alive | Status::Failed | Status::Left => Event::Joined(self.member),
        });
    }

    fn failed(&mut self, now: Time, reason: Reason, out: &mut Outbox) {
        if matches!(self.status, Status::Alive | Status::Suspected) {
            self.turn(Status::Failed, now);
            out.emit(Event::Failed { peer: self.member, reason });
        }
    }

    fn left(&mut self, now: Time, out: &mut Outbox) {
        let here = matches!(self.status, Status::Alive | Status::Suspected);
        if self.status != Status::Left {
            self.turn(Status::Left, now);
        }
        if here {
            out.emit(Event::Left(self.member));
        }
    }

    const fn turn(&mut self, status: Status, now: Time) {
        self.status = status;
        self.since = now;
    }

    const fn is_gone(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Left)
    }
}

/// Who is starved for good is late again and again, and would never miss anybody.
const EXCUSES_MAX: u32 = 8;
/// A handshake takes so many round trips at most.
const RELINK_ROUND_TRIPS: u32 = 16;
/// And one attempt of so many gets all the time there is.
const PATIENT_EACH: u64 = 64;

fn ignore(from: Member, reason: Ignored, out: &mut Outbox) {
    out.emit(Event::Ignored { from, reason });
}
