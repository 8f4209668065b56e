use guthi_core::{
    protocol::{
        contract::{Effect, Outbox, Protocol},
        mutex::{Body, Command, Config, Event, Fence, Machine, Ticket},
        service::Service,
        time::Time,
        view::{At, Change, View},
    },
    wire::{id::Member, name::Name},
};

use super::{
    Action, Allowance, Mutex,
    letter::{Kind, Letter, member, number},
};
use crate::explore::Shared;

/// One mutex at a few nodes, and all that they ever said of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) nodes: Vec<Shared<Node>>,
    /// Without duplicates, and in order. Nothing leaves it that could make a difference: whatever was sent may arrive, late,
    /// twice or never.
    pub(super) sent: Vec<Shared<Letter>>,
    pub(super) course: Shared<Course>,
    /// The place of the last view that is decided.
    pub(super) decided: u8,
    pub(super) history: History,
    /// What may still happen.
    pub(super) left: Allowance,
    /// How many rounds of a recovery are over, once faults have ended.
    pub(super) rounds: Option<u8>,
}

/// What the membership does here: the views, in order, and of which mutex the world is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Course {
    pub(super) name: Name,
    pub(super) views: Vec<View>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Nothing before it comes in, and once it is dead.
    pub(super) machine: Option<Machine>,
    /// It is dead.
    pub(super) dead: bool,
    /// The place of the view that it has installed.
    pub(super) view: u8,
    /// It serves nothing in that view any more.
    pub(super) wedged: bool,
    pub(super) leased: bool,
    /// It was granted, and is not given back.
    pub(super) guard: Option<Fence>,
    /// The token is parked; this was its last guard.
    pub(super) parked: Option<Fence>,
    /// The last guard that was given back, where that may happen again.
    pub(super) before: Option<Fence>,
    slips: bool,
    /// A task has tried, and has no answer.
    pub(super) tried: bool,
    /// A task waits no more, so that a token may come that nobody waits for.
    canceled: bool,
    /// Guards granted in a row while others were in the queue, in this view.
    run: u32,
}

/// What no node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// The last guard.
    last: Option<Fence>,
    /// It was given back.
    given_back: bool,
    /// Somebody has died.
    died: bool,
    /// The first rule that was broken by something that happened.
    pub(super) broken: Option<String>,
}

/// What can happen to one node by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Receive(Shared<Letter>),
    Acquire,
    Try,
    Cancel(u64),
    Release,
    Again,
    Take,
    Proceed,
    Wake,
    Install(u8),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Step {
    node: Shared<Node>,
    sent: Vec<Shared<Letter>>,
    given_back: Option<Fence>,
    /// With whether a death was told.
    granted: Vec<(Fence, bool)>,
    broken: Option<String>,
    met: Vec<&'static str>,
}

type Out = Outbox<Effect<Machine>>;

impl Course {
    pub(super) fn place(&self, at: At) -> Option<u8> {
        self.views.iter().position(|view| view.at == at).map(|place| place as u8)
    }

    pub(super) fn view(&self, place: u8) -> &View {
        &self.views[usize::from(place)]
    }

    fn has(&self, place: u8, node: u8) -> bool {
        self.view(place).has(member(node))
    }

    /// Those who were in some view before this one, and are not in it.
    fn cut_before(&self, place: u8) -> impl Iterator<Item = Member> + '_ {
        let earlier = &self.views[..usize::from(place)];
        earlier.iter().flat_map(move |view| view.missing_in(self.view(place)))
    }
}

impl State {
    /// All members of the first view have come to it long ago; the others are yet to come in.
    pub(super) fn new(course: Course, config: Config, left: Allowance) -> Self {
        let count = course.views.iter().flat_map(View::members).map(number).max().map_or(0, |last| last + 1);
        let nodes = (0..count).map(|node| {
            let machine = course.has(0, node).then(|| Machine::new(member(node), config, course.view(0).clone()));
            Shared::new(Node::new(machine, left.again > 0))
        });
        let nodes = nodes.collect();
        let course = Shared::new(course);
        Self { nodes, sent: Vec::new(), course, decided: 0, history: History::default(), left, rounds: None }
    }

    pub(super) fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub(super) fn machine(&self, node: u8) -> Option<&Machine> {
        self.node(node).machine.as_ref()
    }

    pub(super) fn waiters(&self, node: u8) -> impl Iterator<Item = Ticket> + '_ {
        self.machine(node).into_iter().flat_map(|machine| machine.waiters(&self.course.name))
    }

    /// Whether the last view that is decided is without this node.
    pub(super) fn is_cut(&self, node: u8) -> bool {
        !self.course.has(self.decided, node)
    }

    pub(super) fn may_install(&self, node: u8, view: u8) -> bool {
        let it = self.node(node);
        let later = it.machine.is_none() || view > it.view;
        !it.dead && later && view <= self.decided && self.course.has(view, node)
    }

    /// What the membership allows: a view is active once all who were cut on the way to it have lost their leases.
    pub(super) fn service(&self, node: u8, view: u8) -> Service {
        let it = self.node(node);
        let active = self.course.cut_before(view).all(|member| !self.node(number(member)).has_lease());
        // Who installs a view is not wedged in it.
        let open = view != it.view || !it.wedged;
        // Nobody grants a lease to who comes in late, and is cut already.
        let leased = if it.machine.is_some() { it.leased } else { !self.is_cut(node) };
        Service { open, active, until: leased.then_some(Time::MAX), leaving: false }
    }

    /// Carries an action out, or gives nothing if it is not possible or changes nothing.
    pub(super) fn act(&mut self, model: &Mutex, action: &Action, met: &mut Vec<&'static str>) -> Option<()> {
        self.left.spend(action, self.is_lapse_of_member(action));
        let changed = match *action {
            Action::Deliver { letter } => {
                let letter = self.sent.get(usize::from(letter))?.clone();
                let to = self.node(letter.to);
                if to.machine.is_none() || letter.view > to.view {
                    return None;
                }
                self.step(model, letter.to, Input::Receive(letter), met)
            }
            Action::Acquire { node } => self.step(model, node, Input::Acquire, met),
            Action::Try { node } => self.step(model, node, Input::Try, met),
            Action::Cancel { node, ticket } => self.step(model, node, Input::Cancel(u64::from(ticket)), met),
            Action::Release { node } => self.step(model, node, Input::Release, met),
            Action::Again { node } => self.step(model, node, Input::Again, met),
            Action::Take { node } => self.step(model, node, Input::Take, met),
            Action::Proceed { node } => self.step(model, node, Input::Proceed, met),
            Action::Install { node, view } => self.install(model, node, view, met),
            Action::Wedge { node } => self.wedge(model, node),
            Action::Lapse { node } => self.change(model, node, |it| it.leased = false),
            Action::Renew { node } => self.change(model, node, |it| it.leased = true),
            Action::Crash { node } => self.crash(model, node),
            Action::Calm { lose } => self.calm(model, lose, met),
            Action::Round => self.round(model, met),
        };
        changed.then_some(())
    }

    fn is_lapse_of_member(&self, action: &Action) -> bool {
        matches!(*action, Action::Lapse { node } if !self.is_cut(node))
    }

    fn install(&mut self, model: &Mutex, node: u8, view: u8, met: &mut Vec<&'static str>) -> bool {
        if view > self.node(node).view + 1 && self.machine(node).is_some() {
            met.push(JUMPED);
        }
        self.step(model, node, Input::Install(view), met)
    }

    fn wedge(&mut self, model: &Mutex, node: u8) -> bool {
        let changed = self.change(model, node, |it| it.wedged = true);
        let wedged = |voter: Member| {
            let it = self.node(number(voter));
            it.view == self.decided && it.wedged
        };
        if self.course.view(self.decided).is_quorum(wedged) {
            self.decided += 1;
        }
        changed
    }

    fn crash(&mut self, model: &Mutex, node: u8) -> bool {
        self.history.died = true;
        let Node { view, wedged, .. } = *self.node(node);
        self.change(model, node, |it| *it = Node { dead: true, view, wedged, ..Node::new(None, false) })
    }

    fn change(&mut self, model: &Mutex, at: u8, change: impl FnOnce(&mut Node)) -> bool {
        let mut node = Node::clone(&self.nodes[usize::from(at)]);
        change(&mut node);
        let node = Shared::new(node);
        let changed = node != self.nodes[usize::from(at)];
        self.nodes[usize::from(at)] = node;
        self.drop_late(model, at);
        changed
    }

    /// Whether it made a difference.
    fn step(&mut self, model: &Mutex, at: u8, input: Input, met: &mut Vec<&'static str>) -> bool {
        let view = if let Input::Install(view) = &input { *view } else { self.node(at).view };
        let service = self.service(at, view);
        let Some(step) = model.step(&self.course, &self.nodes[usize::from(at)], at, service, input) else {
            return false;
        };
        met.extend(&step.met);
        let mut changed = step.node != self.nodes[usize::from(at)];
        self.nodes[usize::from(at)] = step.node.clone();
        for letter in &step.sent {
            if let Err(place) = self.sent.binary_search_by(|it| (**it).cmp(letter))
                && self.is_kept(model, letter)
            {
                self.sent.insert(place, letter.clone());
                changed = true;
            }
        }
        self.note(at, &step);
        self.drop_late(model, at);
        changed
    }

    fn note(&mut self, at: u8, step: &Step) {
        let history = &mut self.history;
        history.given_back |= step.given_back.is_some() && step.given_back == history.last;
        let cut = history.died || (1..=self.decided).any(|view| self.course.cut_before(view).next().is_some());
        let mut broken = step.broken.clone();
        for (fence, died) in &step.granted {
            let (fence, died) = (*fence, *died);
            broken = broken.or_else(|| match history.last {
                Some(last) if fence <= last => Some(format!("L2: n{at} is granted {fence}, and {last} was before it")),
                Some(last) if !history.given_back && !died => {
                    Some(format!("L6: n{at} is granted {fence}, and is not told that {last} was never given back"))
                }
                _ if died && !cut => Some(format!("L6: n{at} is told of a death, and nobody has died")),
                _ => None,
            });
            history.last = history.last.max(Some(fence));
            history.given_back = false;
        }
        history.broken = history.broken.take().or(broken);
    }

    /// After something has changed at this node.
    fn drop_late(&mut self, model: &Mutex, at: u8) {
        let mut sent = std::mem::take(&mut self.sent);
        let is_meant = |letter: &Letter| letter.to == at || (letter.from == at && letter.kind == Kind::Question);
        sent.retain(|letter| !is_meant(letter) || self.is_kept(model, letter));
        self.sent = sent;
    }

    /// Whether a message can still make a difference to anybody.
    fn is_kept(&self, model: &Mutex, letter: &Shared<Letter>) -> bool {
        let to = &self.nodes[usize::from(letter.to)];
        if self.rounds.is_some() {
            // What it was answered with before may be lost.
            return !to.dead;
        }
        let ahead = to.machine.is_none() || letter.view > to.view;
        let wedged = to.wedged && letter.view == to.view;
        !to.dead && (ahead || (!wedged && !model.is_late(to, letter) && self.is_wanted(letter)))
    }

    /// A question is, as long as its sender waits for the answer. What else was said counts by itself.
    fn is_wanted(&self, letter: &Letter) -> bool {
        if letter.kind != Kind::Question {
            return true;
        }
        let by = self.node(letter.from);
        let asks = |machine: &Machine| machine.waits_for_report(&self.course.name, member(letter.to));
        by.view == letter.view && !by.wedged && by.machine.as_ref().is_some_and(asks)
    }

    // After faults.

    /// Whether those who are left are enough for a view without the dead.
    pub(super) fn can_recover(&self) -> bool {
        let view = self.course.view(self.decided);
        view.is_quorum(|voter| !self.node(number(voter)).dead)
    }

    /// The dead are cut, all install the last view, and who was cut has lost its lease and knows it.
    fn calm(&mut self, model: &Mutex, lose: bool, met: &mut Vec<&'static str>) -> bool {
        self.left = Allowance::NONE;
        self.rounds = Some(0);
        if lose {
            self.sent.clear();
        }
        let last = self.course.view(self.decided).clone();
        let dead: Vec<_> = last.members().filter(|member| self.node(number(*member)).dead).collect();
        let is_wedged = |it: &Shared<Node>| it.wedged && it.view == self.decided;
        let renewed = self.nodes.iter().any(is_wedged);
        if renewed || !dead.is_empty() {
            let mut course = Course::clone(&self.course);
            course.views.truncate(usize::from(self.decided) + 1);
            let cuts = dead.into_iter().map(Change::Cut).chain([Change::Renew]);
            course.views.push(last.successor(&cuts.collect::<Vec<_>>()));
            self.course = Shared::new(course);
            self.decided += 1;
        }
        let nodes = 0..self.nodes.len() as u8;
        for node in nodes.clone() {
            if self.is_cut(node) {
                self.crash(model, node);
            }
        }
        for node in nodes {
            if self.may_install(node, self.decided) {
                self.install(model, node, self.decided, met);
            }
            if self.machine(node).is_some() {
                self.change(model, node, |it| it.leased = true);
            }
        }
        true
    }

    fn round(&mut self, model: &Mutex, met: &mut Vec<&'static str>) -> bool {
        self.rounds = self.rounds.map(|rounds| rounds.saturating_add(1));
        for letter in std::mem::take(&mut self.sent) {
            self.step(model, letter.to, Input::Receive(letter), met);
        }
        for node in 0..self.nodes.len() as u8 {
            for input in [Input::Proceed, Input::Release, Input::Wake] {
                self.step(model, node, input, met);
            }
        }
        true
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let rests = |node: &Node| {
            let waits = |machine: &Machine| machine.deadline().is_some() || machine.is_blocked();
            node.guard.is_none() && !node.machine.as_ref().is_some_and(waits)
        };
        self.sent.is_empty() && self.nodes.iter().all(|node| rests(node))
    }

    // For people.

    pub(super) fn view_words(&self, place: u8) -> String {
        let members: Vec<_> = self.course.view(place).members().map(|it| format!("n{}", number(it))).collect();
        format!("e{place} {{{}}}", members.join(" "))
    }

    /// What is not as it was, in words.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let mut words = Vec::new();
        if self.decided > before.decided {
            words.push(format!("{} is decided", self.view_words(self.decided)));
        }
        for (number, (now, before)) in self.nodes.iter().zip(&before.nodes).enumerate() {
            let story = node_words(now, &self.course.name);
            if story != node_words(before, &self.course.name) {
                words.push(format!("n{number} {story}"));
            }
        }
        words
    }
}

fn node_words(node: &Node, name: &Name) -> String {
    let Some(machine) = &node.machine else { return if node.dead { "is dead" } else { "is not in" }.to_owned() };
    let mut words = vec![format!("in e{}", node.view)];
    words.extend(node.wedged.then(|| "wedged".to_owned()));
    words.extend((!node.leased).then(|| "without a lease".to_owned()));
    words.extend(node.guard.map(|fence| format!("holds {fence}")));
    words.extend(node.parked.map(|_| "token parked".to_owned()));
    words.extend(machine.place(name).filter(|place| place.here).map(|place| format!("token (pass {})", place.pass)));
    words.extend(Some(machine.waiters(name).count()).filter(|waiters| *waiters > 0).map(|it| format!("{it} wait")));
    words.extend(node.tried.then(|| "one tries".to_owned()));
    words.join(", ")
}

impl Node {
    fn new(machine: Option<Machine>, slips: bool) -> Self {
        let leased = machine.is_some();
        Self {
            machine,
            dead: false,
            view: 0,
            wedged: false,
            leased,
            guard: None,
            parked: None,
            before: None,
            slips,
            tried: false,
            canceled: false,
            run: 0,
        }
    }

    /// Who never came in has none either.
    fn has_lease(&self) -> bool {
        self.machine.is_some() && self.leased
    }
}

/// One node that takes an input.
struct Taking<'a> {
    course: &'a Course,
    me: u8,
    node: Node,
    service: Service,
    sent: Vec<Shared<Letter>>,
    granted: Vec<(Fence, bool)>,
    given_back: Option<Fence>,
    ignored: bool,
    broken: Option<String>,
    met: Vec<&'static str>,
}

impl Step {
    /// Lets a node take an input, and gives nothing if it takes none.
    pub(super) fn take(
        model: &Mutex,
        course: &Course,
        node: &Shared<Node>,
        me: u8,
        service: Service,
        input: &Input,
    ) -> Option<Self> {
        let node = Node::clone(node);
        let mut taking = Taking {
            course,
            me,
            node,
            service,
            sent: Vec::new(),
            granted: Vec::new(),
            given_back: None,
            ignored: false,
            broken: None,
            met: Vec::new(),
        };
        taking.input(model, input)?;
        let Taking { mut node, sent, granted, given_back, broken, met, .. } = taking;
        let machine = node.machine.as_mut()?;
        machine.reduce(NOW);
        if machine.place(&course.name).is_none_or(|place| !place.here) {
            node.run = 0;
        }
        Some(Self { node: Shared::new(node), sent, given_back, granted, broken, met })
    }
}

impl Taking<'_> {
    fn input(&mut self, model: &Mutex, input: &Input) -> Option<()> {
        let name = self.course.name.clone();
        match input {
            Input::Install(view) => self.install(model, *view),
            Input::Receive(letter) => self.receive(letter)?,
            Input::Acquire => {
                let taken: Vec<_> = self.node.machine.as_ref()?.waiters(&name).collect();
                let ticket = (0..).map(Ticket).find(|ticket| !taken.contains(ticket))?;
                self.command(Command::Acquire { name, ticket })?;
            }
            Input::Try => {
                self.node.tried = true;
                self.command(Command::Try { name, ticket: TRY })?;
            }
            Input::Cancel(ticket) => {
                self.node.canceled = true;
                self.node.tried &= Ticket(*ticket) != TRY;
                self.command(Command::Cancel { name, ticket: Ticket(*ticket) })?;
            }
            Input::Release => self.release()?,
            Input::Again => {
                let fence = self.node.before.take()?;
                self.command(Command::Release { name, fence })?;
            }
            Input::Take => self.take_parked()?,
            Input::Proceed => {
                self.node.machine.as_ref().filter(|machine| machine.is_blocked())?;
                self.command(Command::Proceed)?;
            }
            Input::Wake => {
                let deadline = self.node.machine.as_ref()?.deadline()?;
                self.step(|machine, out| machine.wake(deadline, out))?;
            }
        }
        Some(())
    }

    fn install(&mut self, model: &Mutex, place: u8) {
        let view = self.course.view(place).clone();
        let before = self.course.view(self.node.view);
        let cut = before.missing_in(&view).collect();
        (self.node.view, self.node.wedged, self.node.run) = (place, false, 0);
        if self.node.machine.is_none() {
            self.node.machine = Some(Machine::new(member(self.me), model.config(), view));
            self.node.leased = self.service.until.is_some();
        } else {
            self.command(Command::Install { view, cut });
        }
    }

    fn receive(&mut self, letter: &Letter) -> Option<()> {
        let message = letter.message();
        let is_token = matches!(message.body, Body::Token { .. });
        let machine = self.node.machine.as_ref()?;
        let wanted = machine.waiters(&self.course.name).next().is_some() || self.node.tried || self.node.canceled;
        self.step(|machine, out| machine.receive(NOW, member(letter.from), message, out))?;
        if is_token && !wanted && !self.ignored {
            self.broken = Some(format!("L7: n{} gets a token that nobody there has asked for", self.me));
        }
        Some(())
    }

    /// A guard of a parked token is given back to the node, any other to the machine.
    fn release(&mut self) -> Option<()> {
        let fence = self.node.guard.take()?;
        self.given_back = Some(fence);
        if self.node.slips {
            self.node.before = Some(fence);
        }
        match self.node.parked {
            Some(_) => Some(()),
            None => self.command(Command::Release { name: self.course.name.clone(), fence }),
        }
    }

    fn take_parked(&mut self) -> Option<()> {
        let last = self.node.parked.filter(|_| self.service.grants(NOW) && self.node.guard.is_none())?;
        let fence = Fence { grant: last.grant + 1, ..last };
        (self.node.guard, self.node.parked) = (Some(fence), Some(fence));
        self.granted.push((fence, false));
        self.met.push(TAKEN);
        Some(())
    }

    fn command(&mut self, command: Command) -> Option<()> {
        self.step(|machine, out| machine.command(NOW, command, out))
    }

    fn step(&mut self, step: impl FnOnce(&mut Machine, &mut Out)) -> Option<()> {
        let machine = self.node.machine.as_mut()?;
        let mut out = Outbox::new();
        machine.attend(self.service);
        step(machine, &mut out);
        self.met.append(&mut out.take_reached());
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let view = self.course.place(message.at)?;
                    self.sent.push(Shared::new(Letter::new(self.me, number(to), view, &message)));
                }
                Effect::Emit(event) => self.follow(event)?,
                Effect::Record(_) => unreachable!("mutexes write nothing down"),
            }
        }
        Some(())
    }

    fn follow(&mut self, event: Event) -> Option<()> {
        match event {
            Event::Granted { ticket, fence, died, .. } => self.granted(ticket, fence, died),
            Event::Busy { .. } => {
                self.met.push(BUSY);
                self.node.tried = false;
            }
            Event::Parked { fence, .. } => self.node.parked = Some(fence),
            Event::Recalled { name } => {
                let fence = self.node.parked.take()?;
                self.command(Command::Returned { name, fence, held: self.node.guard.is_some() })?;
            }
            Event::Ignored { .. } => self.ignored = true,
            Event::Made { .. } => self.met.push(MADE),
            Event::Passed { .. } => self.met.push(PASSED),
        }
        Some(())
    }

    fn granted(&mut self, ticket: Ticket, fence: Fence, died: bool) {
        if self.node.guard.is_some() {
            self.broken = Some(format!("L3: two guards at n{}", self.me));
        }
        self.node.guard = Some(fence);
        self.node.tried &= ticket != TRY;
        self.granted.push((fence, died));
        if died {
            self.met.push(DEATH_TOLD);
        }
        let queue = self.node.machine.as_ref().and_then(|machine| machine.known().next()).map_or(0, |(_, it)| it.queue);
        self.node.run = if queue > 0 { self.node.run + 1 } else { 0 };
        if self.node.run > RUN_MAX {
            self.broken = Some(format!("L5: {} guards in a row at n{} while others wait", self.node.run, self.me));
        }
    }
}

/// The present, which does not move.
const NOW: Time = Time::from_nanos(1_000);
/// The one task of a node that tries.
pub(super) const TRY: Ticket = Ticket(9);
/// So many guards in a row while others wait.
pub(super) const RUN_MAX: u32 = 1;

/// A marker: a try that was in vain.
pub(super) const BUSY: &str = "model: a try in vain";
/// A marker: a guard of a parked token.
pub(super) const TAKEN: &str = "model: a guard of a parked token";
/// A marker: a token made.
pub(super) const MADE: &str = "model: a token made";
/// A marker: a token passed on.
pub(super) const PASSED: &str = "model: a token passed on";
/// A marker: who is granted is told of a death.
pub(super) const DEATH_TOLD: &str = "model: a death told";
/// A marker: a node that installs a view without the one before it.
pub(super) const JUMPED: &str = "model: a view skipped";
