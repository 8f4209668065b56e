use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use guthi_core::{
    protocol::{
        contract::{Effect, Outbox, Protocol, ViewChange},
        membership::{Command, Event, File, Holdings, Machine, Message, Moment},
        time::Time,
        view::{At, Change, Epoch, Lineage, Rank, Standing, View},
    },
    wire::id::{Incarnation, Member},
};

use super::{
    Action, Membership, What,
    letter::{Letter, member, name, number, view_words},
    rules,
    worlds::{Allowance, FAR, LEASE, TICK},
};
use crate::explore::Shared;

/// The memberships of a few nodes, and all that they ever said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) nodes: Vec<Shared<Node>>,
    /// Without duplicates, and in order. Nothing leaves it that could make a difference: whatever was sent may arrive, late,
    /// twice or never.
    pub(super) sent: Vec<Shared<Letter>>,
    pub(super) history: Shared<History>,
    /// Who may come to hold leases, as a set of bits.
    pub(super) holders: u8,
    /// Answers arrive at once. Who is asked may still be asked at any time, or never.
    pub(super) swift: bool,
    /// What may still happen.
    pub(super) left: Allowance,
    /// How many rounds of a recovery are over, once faults have ended.
    pub(super) rounds: Option<u8>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub(super) me: Member,
    /// Nothing once it is killed, or has no part in anything any more.
    pub(super) machine: Option<Machine>,
    pub(super) killed: bool,
    /// What its file names: the last view of each lineage.
    pub(super) written: BTreeMap<Lineage, At>,
    /// In which view it has said that it serves no more.
    pub(super) wedged_in: Option<At>,
    /// It has said that it wants to leave, and whether it serves no more for good.
    pub(super) leaves: Option<bool>,
    /// It has a piece of the variables of this lineage, and nobody else has that piece.
    pub(super) piece: Option<Lineage>,
}

/// What no node knows: which views followed which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// What was decided to follow.
    pub(super) decided: BTreeMap<At, View>,
    /// From which lineage another one forked.
    pub(super) forked: BTreeMap<Lineage, Lineage>,
    /// The lineages in which something was written.
    pub(super) holding: BTreeSet<Lineage>,
    /// The first rule that was broken by something that happened.
    pub(super) broken: Option<String>,
}

impl History {
    /// The first one counts.
    fn break_rule(&mut self, rule: String) {
        if self.broken.is_none() {
            self.broken = Some(rule);
        }
    }
}

/// What can happen to one node by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Receive(Shared<Letter>),
    Command(Command),
    Propose(Vec<Change>),
    Tick,
    Wake,
    Linked(Member),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Step {
    /// Whose it was.
    me: Member,
    pub(super) node: Shared<Node>,
    sent: Vec<(Shared<Letter>, Fate)>,
    /// The view before, and the one that it has now, if that is the next.
    installed: Option<(View, View)>,
    met: Vec<&'static str>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may arrive at any time.
    Kept,
    /// It is an answer, and arrives at once where answers do.
    Answer,
    /// It is lost.
    Lost,
}

impl State {
    pub(super) fn new(machines: Vec<Machine>, left: Allowance) -> Self {
        let nodes = (0..).zip(machines).map(|(number, mut machine)| {
            machine.reduce(NOW, tick_back(Duration::ZERO, true));
            let at = machine.view().at;
            let written = BTreeMap::from([(at.lineage, at)]);
            let me = member(number);
            Shared::new(Node {
                me,
                machine: Some(machine),
                killed: false,
                written,
                wedged_in: None,
                leaves: None,
                piece: None,
            })
        });
        let history = Shared::new(History::default());
        Self { nodes: nodes.collect(), sent: Vec::new(), history, holders: u8::MAX, swift: true, left, rounds: None }
    }

    pub(super) fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub(super) fn machine(&self, node: u8) -> Option<&Machine> {
        self.node(node).machine.as_ref()
    }

    /// The nodes that have a part in something.
    pub(super) fn machines(&self) -> impl Iterator<Item = (Member, &Machine)> {
        self.nodes.iter().filter_map(|node| Some((node.me, node.machine.as_ref()?)))
    }

    /// Carries an action out, or gives nothing if it is not possible or changes nothing. Whether it is allowed is not asked
    /// here.
    pub(super) fn act(&mut self, model: &Membership, action: &Action, met: &mut Vec<&'static str>) -> Option<()> {
        self.left.spend(action);
        match *action {
            Action::Deliver { letter } => {
                let letter = self.sent.get(usize::from(letter))?.clone();
                self.step(model, number(letter.to), Input::Receive(letter), met).then_some(())
            }
            Action::Propose { node, what } => {
                let changes = self.changes_of(what)?;
                self.step(model, node, Input::Propose(changes), met).then_some(())
            }
            Action::Lease { holder, grantor } => self.lease(model, holder, grantor, met),
            Action::Tell { node, by } => self.tell(model, node, by, met),
            Action::Leave { node } => self.step(model, node, Input::Command(Command::Leave), met).then_some(()),
            Action::Tick if model.is_awake() => {
                let before = self.clone();
                self.tick(model, met);
                (*self != before).then_some(())
            }
            Action::Tick => {
                let nodes = 0..self.nodes.len() as u8;
                nodes.filter(|node| self.step(model, *node, Input::Tick, met)).count().gt(&0).then_some(())
            }
            Action::Kill { node } => self.kill(node),
            Action::Look { node } => self.look(model, node, met),
            Action::Greet { node, by } => self.greet(model, node, by, met),
            Action::Write { node } => self.write(model, node, met),
            Action::Know { node } => self.know(model, node, met),
            Action::Shift { from, to } => self.shift(model, from, to, met),
            Action::Calm => {
                self.rounds = Some(0);
                self.sent.clear();
                Some(())
            }
            Action::Round => self.round(model, met),
        }
    }

    /// Lets a story happen: after each of its actions, all arrives that was sent.
    pub(super) fn after(mut self, model: &Membership, story: &[Action]) -> Self {
        let left = self.left;
        for action in story {
            self.act(model, action, &mut Vec::new()).expect("the story is possible");
            let mut letter = 0;
            while usize::from(letter) < self.sent.len() {
                let arrives = Action::Deliver { letter };
                letter = if self.act(model, &arrives, &mut Vec::new()).is_some() { 0 } else { letter + 1 };
            }
        }
        Self { left, ..self }
    }

    fn changes_of(&self, what: What) -> Option<Vec<Change>> {
        let admit = |node| Some(Change::Admit(member(node), self.machine(node)?.view().at.epoch));
        Some(match what {
            What::Renew => vec![Change::Renew],
            What::Cut(node) => vec![Change::Cut(member(node))],
            What::Retire(node) => vec![Change::Retire(member(node))],
            What::Part(node) => vec![Change::Part(member(node))],
            What::Admit(node) => vec![admit(node)?],
        })
    }

    /// The question and the answer in one moment, so that the promise is worth as much as it can be.
    fn lease(&mut self, model: &Membership, holder: u8, grantor: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let of = |node: u8| self.machine(node)?.standing().filter(|standing| !standing.wedged);
        let standing: Standing = of(holder)?;
        if of(grantor) != Some(standing) {
            return None;
        }
        if self.node(grantor).wedged_in == Some(standing.at) && !model.is_broken() {
            self.broke(format!("V3: {} has said that it serves no more, and renews a lease", name(member(grantor))));
        }
        let standing = Some(standing);
        let asked = Command::Asked { by: member(holder), standing };
        let answered = Command::Answered { by: member(grantor), sent: NOW, asked: standing, standing };
        let granted = self.step(model, grantor, Input::Command(asked), met);
        let taken = self.step(model, holder, Input::Command(answered), met);
        (granted || taken).then_some(())
    }

    /// Whoever hears of a later view asks for it. The answer says how long is left to wait, so it is worth most when it
    /// arrives at once; an older one would only make its reader wait longer.
    fn tell(&mut self, model: &Membership, node: u8, by: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let at = self.machine(node)?.view().at;
        let wanted = Letter::new(member(node), member(by), &Message::ViewWanted { at });
        let step = model.step(&self.nodes[usize::from(by)], &Input::Receive(Shared::new(wanted)))?;
        let answer = step.sent.iter().find(|(letter, _)| matches!(letter.message(), Message::View { .. }))?;
        self.step(model, node, Input::Receive(answer.0.clone()), met).then_some(())
    }

    pub(super) fn kill(&mut self, node: u8) -> Option<()> {
        let mut dead = Node::clone(&self.nodes[usize::from(node)]);
        dead.machine.as_ref()?;
        dead.machine = None;
        dead.killed = true;
        dead.wedged_in = None;
        self.nodes[usize::from(node)] = Shared::new(dead);
        let dead = member(node);
        self.sent.retain(|letter| letter.to != dead);
        Some(())
    }

    /// Two nodes lose their link.
    pub(super) fn unlink(&mut self, a: u8, b: u8) {
        for (at, from) in [(a, b), (b, a)] {
            let mut node = Node::clone(&self.nodes[usize::from(at)]);
            if let Some(machine) = &mut node.machine {
                machine.view_changed(NOW, ViewChange::Unlinked(member(from)), &mut Outbox::new());
            }
            self.nodes[usize::from(at)] = Shared::new(node);
        }
    }

    fn look(&mut self, model: &Membership, node: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let others = self.nodes.iter().filter(|other| other.me != member(node));
        let files = others.flat_map(|other| {
            let file = |written: &At| File { member: other.me, dead: other.machine.is_none(), written: Some(*written) };
            other.written.values().map(file).collect::<Vec<_>>()
        });
        let files = Command::Files(files.collect());
        self.step(model, node, Input::Command(files), met).then_some(())
    }

    /// Somebody who is alone hears of a lineage that it will join.
    fn greet(&mut self, model: &Membership, node: u8, by: u8, met: &mut Vec<&'static str>) -> Option<()> {
        // Only the name matters.
        let lineage = Reverse(self.machine(by)?.view().at.lineage);
        let rank = Rank { holds: true, quorum: true, members: 9, epoch: Epoch(1), lineage };
        let hello = Letter::new(member(by), member(node), &Message::Hello { rank, open: true });
        self.step(model, node, Input::Receive(Shared::new(hello)), met).then_some(())
    }

    /// All clocks go on, all echoes are answered, and all do what they do by themselves.
    fn tick(&mut self, model: &Membership, met: &mut Vec<&'static str>) {
        let nodes = 0..self.nodes.len() as u8;
        for node in nodes.clone() {
            self.step(model, node, Input::Tick, met);
        }
        for (holder, grantor) in nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b))).filter(|(a, b)| a != b)
        {
            let (Some(mine), Some(its)) = (self.machine(holder), self.machine(grantor)) else { continue };
            let (mine, its) = (mine.standing(), its.standing());
            let (me, by) = (self.node(holder).me, self.node(grantor).me);
            let asked = Command::Asked { by: me, standing: mine };
            let answered = Command::Answered { by, sent: NOW, asked: mine, standing: its };
            self.step(model, grantor, Input::Command(asked), met);
            // Either may have begun a new life by that.
            if self.node(holder).me == me && self.node(grantor).me == by {
                self.step(model, holder, Input::Command(answered), met);
            }
        }
        for node in nodes {
            self.step(model, node, Input::Wake, met);
        }
    }

    /// After faults: everything arrives once, and time goes on.
    fn round(&mut self, model: &Membership, met: &mut Vec<&'static str>) -> Option<()> {
        self.rounds = Some(self.rounds?.saturating_add(1));
        self.tick(model, met);
        for letter in std::mem::take(&mut self.sent) {
            self.step(model, number(letter.to), Input::Receive(letter), met);
        }
        Some(())
    }

    /// The nodes see each other for the first time.
    pub(super) fn link_all(&mut self, model: &Membership) {
        for at in 0..self.nodes.len() as u8 {
            for other in (0..self.nodes.len() as u8).filter(|other| *other != at) {
                let other = self.node(other).me;
                self.step(model, at, Input::Linked(other), &mut Vec::new());
            }
        }
        self.tick(model, &mut Vec::new());
    }

    /// Something is written where it may be: in a lineage that is served, by somebody who means to stay.
    fn write(&mut self, model: &Membership, node: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let machine = self.machine(node)?;
        let lineage = machine.view().at.lineage;
        if !machine.serves(NOW) || self.node(node).piece.is_some() {
            return None;
        }
        let mut history = History::clone(&self.history);
        history.holding.insert(lineage);
        self.history = Shared::new(history);
        self.hold(model, node, Some(lineage), met);
        Some(())
    }

    /// A member hears that its lineage holds variables.
    fn know(&mut self, model: &Membership, node: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let lineage = self.machine(node)?.view().at.lineage;
        let knows = self.history.holding.contains(&lineage) && self.node(node).piece.is_none();
        let holdings = Holdings { variables: true, ..Holdings::default() };
        (knows && self.step(model, node, Input::Command(Command::Hold(holdings)), met)).then_some(())
    }

    /// Who is on its way out is home of nothing: its piece goes to somebody who stays.
    fn shift(&mut self, model: &Membership, from: u8, to: u8, met: &mut Vec<&'static str>) -> Option<()> {
        let lineage = self.node(from).piece?;
        let (mine, its) = (self.machine(from)?, self.machine(to)?);
        let leaving = |member: Member| mine.view().seat(member).is_some_and(|seat| seat.leaving);
        let stays = mine.view().has(self.node(to).me) && !leaving(self.node(to).me);
        if from == to || mine.view().at != its.view().at || !leaving(self.node(from).me) || !stays {
            return None;
        }
        self.hold(model, to, Some(lineage), met);
        self.hold(model, from, None, met);
        Some(())
    }

    fn hold(&mut self, model: &Membership, at: u8, piece: Option<Lineage>, met: &mut Vec<&'static str>) {
        let mut node = Node::clone(&self.nodes[usize::from(at)]);
        node.piece = piece;
        self.nodes[usize::from(at)] = Shared::new(node);
        let holdings = Holdings { variables: true, home: piece.is_some(), ..Holdings::default() };
        self.step(model, at, Input::Command(Command::Hold(holdings)), met);
    }

    /// Whoever begins a new life is linked with all others anew.
    fn link_again(&mut self, model: &Membership, at: u8, met: &mut Vec<&'static str>) {
        let me = self.node(at).me;
        self.sent.retain(|letter| number(letter.to) != at || letter.to == me);
        for other in (0..self.nodes.len() as u8).filter(|other| *other != at) {
            let it = self.node(other).me;
            self.step(model, other, Input::Linked(me), met);
            self.step(model, at, Input::Linked(it), met);
        }
    }

    /// Whether it made a difference.
    fn step(&mut self, model: &Membership, at: u8, input: Input, met: &mut Vec<&'static str>) -> bool {
        let mut swift = VecDeque::new();
        let mut changed = self.step_alone(model, at, input, met, &mut swift);
        for _ in 0..SWIFT_MAX {
            let Some(letter) = swift.pop_front() else { break };
            let to: Member = letter.to;
            changed |= self.step_alone(model, number(to), Input::Receive(letter), met, &mut swift);
        }
        changed
    }

    fn step_alone(
        &mut self,
        model: &Membership,
        at: u8,
        input: Input,
        met: &mut Vec<&'static str>,
        swift: &mut VecDeque<Shared<Letter>>,
    ) -> bool {
        let Some(step) = model.step(&self.nodes[usize::from(at)], &input) else { return false };
        met.extend(&step.met);
        let mut changed = step.node != self.nodes[usize::from(at)];
        let reborn = step.node.me != self.node(at).me;
        self.nodes[usize::from(at)] = step.node.clone();
        for (letter, fate) in &step.sent {
            let to = &self.nodes[usize::from(number(letter.to))];
            if *fate == Fate::Lost || to.me != letter.to || model.is_late(to, letter) {
                continue;
            }
            if let Err(place) = self.sent.binary_search_by(|it| (**it).cmp(letter)) {
                self.sent.insert(place, letter.clone());
                changed = true;
                if *fate == Fate::Answer && self.swift {
                    swift.push_back(letter.clone());
                }
            }
        }
        if let Some((before, after)) = &step.installed {
            self.note_install(model, step.me, before, after, &input);
        }
        if reborn {
            self.link_again(model, at, met);
        }
        self.sent.retain(|letter| number(letter.to) != at || !model.is_late(&step.node, letter));
        changed
    }

    fn note_install(&mut self, model: &Membership, node: Member, before: &View, after: &View, input: &Input) {
        let message = if let Input::Receive(letter) = input { Some(letter.message()) } else { None };
        let since = |view: &View| view.seat(node).map(|seat| seat.since);
        if before.at.lineage == after.at.lineage
            && since(before) != since(after)
            && self.machine(number(node)).is_some()
        {
            let (before, after, node) = (view_words(before), view_words(after), name(node));
            self.broke(format!("E1: {node} goes on from {before} to {after}, and was cut between them"));
        }
        if before.at.lineage != after.at.lineage {
            // Nobody comes back to a lineage that it has left.
            let left = before.at.lineage;
            self.sent.retain(|letter| letter.to != node || letter.lineage() != Some(left));
            return self.note_fork(before, after);
        }
        if matches!(message, Some(Message::View { .. })) {
            return;
        }
        let own = !matches!(message, Some(Message::Decided { .. }));
        let mut history = History::clone(&self.history);
        match history.decided.get(&before.at) {
            Some(known) if known == after => {}
            Some(known) => {
                let (known, after, before) = (view_words(known), view_words(after), view_words(before));
                history.break_rule(format!("V1: both {known} and {after} follow {before}"));
            }
            None => _ = history.decided.insert(before.at, after.clone()),
        }
        if own && !model.is_broken() && !rules::is_accepted(self, node, before, after) {
            let (after, node) = (view_words(after), name(node));
            history.break_rule(format!("V2: {node} takes {after} for decided, and no quorum has accepted it"));
        }
        self.history = Shared::new(history);
    }

    /// Who comes in alone joins another lineage, which is none of its own.
    fn note_fork(&mut self, before: &View, after: &View) {
        if before.seats.iter().any(|seat| after.seats.contains(seat))
            && !self.history.forked.contains_key(&after.at.lineage)
        {
            let mut history = History::clone(&self.history);
            history.forked.insert(after.at.lineage, before.at.lineage);
            self.history = Shared::new(history);
        }
    }

    fn broke(&mut self, rule: String) {
        let mut history = History::clone(&self.history);
        history.break_rule(rule);
        self.history = Shared::new(history);
    }

    /// What is not as it was, in words.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let pairs = self.nodes.iter().zip(&before.nodes).filter(|(now, before)| now != before);
        let mut words = Vec::new();
        for (now, before) in pairs {
            let story = node_words(now);
            if story != node_words(before) {
                words.push(story);
            }
        }
        words
    }
}

fn node_words(node: &Node) -> String {
    let Some(machine) = &node.machine else { return format!("{} is out", name(node.me)) };
    let view = view_words(machine.view());
    let wedged = machine.standing().is_some_and(|standing| standing.wedged);
    let wedged = if wedged || node.wedged_in == Some(machine.view().at) { ", wedged" } else { "" };
    let waits = if machine.is_active(NOW) { "" } else { ", waits" };
    let lease = machine.lease_end().filter(|end| *end > NOW && *end < Time::MAX);
    let lease = lease.map_or_else(String::new, |end| format!(", lease {:?}", end.saturating_since(NOW)));
    format!("{} in {view}{wedged}{waits}{lease}", name(node.me))
}

impl Step {
    /// Lets a node take an input, and gives nothing if it takes none any more.
    pub(super) fn take(model: &Membership, node: &Shared<Node>, input: &Input) -> Option<Self> {
        let mut node = Node::clone(node);
        let me = node.me;
        let machine = node.machine.as_mut()?;
        let before = machine.view().clone();
        let mut out = Outbox::new();
        let mut passed = Duration::ZERO;
        match input {
            Input::Receive(letter) => machine.receive(NOW, letter.from, letter.message(), &mut out),
            Input::Command(command) => machine.command(NOW, command.clone(), &mut out),
            Input::Propose(changes) => machine.propose(NOW, changes.clone(), &mut out),
            Input::Tick => passed = TICK,
            Input::Wake => machine.wake(NOW, &mut out),
            Input::Linked(other) => machine.view_changed(NOW, ViewChange::Linked(*other), &mut out),
        }
        let met = out.take_reached();
        let after = machine.view().clone();
        let installed = after != before;
        if model.is_awake() && after.at.lineage != before.at.lineage {
            // What it held belongs to the lineage that it has left.
            node.piece = None;
            machine.command(NOW, Command::Hold(Holdings::default()), &mut out);
        }
        machine.reduce(NOW, tick_back(passed, model.is_awake()));
        if !model.is_awake() {
            machine.forget_hints(NOW);
        }
        let mut sent = Vec::new();
        let mut installs = 0;
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    if let Message::Leave { parted, .. } = message {
                        node.leaves = Some(parted);
                    }
                    let fate = fate(model, &message, installed);
                    sent.push((Shared::new(Letter::new(me, to, &message)), fate));
                }
                Effect::Record(at) => _ = node.written.insert(at.lineage, at),
                Effect::Emit(Event::Installed(_)) => installs += 1,
                Effect::Emit(Event::Wedged(at)) => node.wedged_in = Some(at),
                Effect::Emit(_) => {}
            }
        }
        if installed {
            node.wedged_in = None;
        }
        if let Some(machine) = node.machine.take_if(|machine| machine.out().is_some())
            && model.is_awake()
        {
            node = Node::reborn(me, model, machine.view().at.epoch);
        }
        Some(Self {
            me,
            node: Shared::new(node),
            sent,
            installed: installed.then_some((before, after)).filter(|_| installs == 1),
            met,
        })
    }
}

impl Node {
    /// The next life of a node, whose epochs go on from there.
    fn reborn(before: Member, model: &Membership, after: Epoch) -> Self {
        let me = Member { incarnation: Incarnation(before.incarnation.0 + 1), ..before };
        let mut config = model.config;
        config.after = after;
        let seed = u64::from(number(me)) << 32 | me.incarnation.0;
        let mut machine = Machine::new(me, config, seed);
        machine.reduce(NOW, tick_back(Duration::ZERO, true));
        let machine = Some(machine);
        let written = BTreeMap::new();
        Self { me, machine, killed: false, written, wedged_in: None, leaves: None, piece: None }
    }
}

fn fate(model: &Membership, message: &Message, installed: bool) -> Fate {
    match message {
        // Agreement is quick here; what is said between lineages is as slow as it likes.
        Message::Hello { .. } | Message::Join { .. } | Message::Leave { .. } | Message::View { .. }
            if model.is_awake() =>
        {
            Fate::Kept
        }
        _ if model.is_awake() => Fate::Answer,
        // Nobody joins, leaves or asks in these worlds: what changes is proposed as an action.
        Message::Hello { .. } | Message::Join { .. } | Message::Leave { .. } => Fate::Lost,
        Message::WouldYou { .. } | Message::Would { .. } => Fate::Lost,
        // Those are told by an action.
        Message::ViewWanted { .. } => Fate::Lost,
        Message::View { .. } if !installed => Fate::Lost,
        Message::View { .. } | Message::Decided { .. } if model.decisions_are_lost() => Fate::Lost,
        // Who is refused waits and tries again: that is an attempt of its own, as an action.
        Message::Refused { .. } => Fate::Lost,
        Message::Promise { .. } | Message::Accepted { .. } => Fate::Answer,
        _ => Fate::Kept,
    }
}

/// Moves what a machine remembers so far into the past, and makes those moments alike that make no difference any more.
fn tick_back(passed: Duration, awake: bool) -> impl FnMut(&mut Time, Moment) {
    move |time, moment| {
        let back = |time: Time, floor: Duration| {
            let floor = NOW.as_nanos() - floor.as_nanos() as u64;
            Time::from_nanos(time.as_nanos().saturating_sub(passed.as_nanos() as u64).max(floor))
        };
        *time = match moment {
            _ if *time >= FAR => *time,
            Moment::End => back(*time, Duration::ZERO),
            Moment::Installed | Moment::Wedged => back(*time, LEASE),
            Moment::Timer if awake => back(*time, Duration::ZERO),
            Moment::Timer => NOW,
        };
    }
}

/// The present of all nodes, from where moments are counted: so the hour makes no state another one.
pub(super) const NOW: Time = Time::from_nanos(1_000);
/// More answers than that do not arrive at once, but later.
const SWIFT_MAX: usize = 100;
