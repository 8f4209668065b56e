use std::collections::VecDeque;

use guthi_core::{
    protocol::{
        contract::{Effect, Outbox, Protocol},
        home::Shard,
        service::Service,
        time::Time,
        variable::{
            Action as Deed, Answer, Command, Config, Event, Machine, Message, Number, Operation, Outcome, Part,
            Refusal, Ticket,
        },
        view::{At, Change, View},
    },
    wire::{bytes::Bytes, codec, id::Member, name::Name},
};

pub(super) use guthi_core::protocol::variable::{State as Known, Version};

use super::{
    Action, Allowance, Variable,
    letter::{Letter, member, number},
    worlds::Task,
};
use crate::explore::Shared;

/// One variable at a few nodes, and all that they ever said of it.
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

/// What the membership does here: the views, in order; the shard of the world; and what each node has to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Course {
    pub(super) name: Name,
    pub(super) shard: Shard,
    pub(super) views: Vec<View>,
    pub(super) tasks: Vec<&'static [Task]>,
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
    /// So many of its tasks were begun.
    pub(super) begun: u8,
    /// Somebody waits for a copy.
    pub(super) reading: bool,
    /// Somebody watches.
    pub(super) watching: bool,
    /// What who watches was told last.
    pub(super) told: Option<Version>,
    /// What was read here last, for those who compare.
    pub(super) read: Option<(Version, Ops)>,
    /// Who compares, with what it wants to be there.
    comparing: Vec<(Ops, Ops)>,
}

/// Which operations were done on a value: one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ops(u32);

/// What no node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// The newest version of which anybody knows but its homes.
    pub(super) shown: Version,
    /// What all must see that begins now.
    floor: Ops,
    /// What was seen, as far as it is not contained in all that may be seen.
    seen: Vec<Ops>,
    /// What was refused, and must never be seen.
    refused: Ops,
    /// What is under way: the operation, or nothing for a read, with what it must see.
    under_way: Vec<(u8, Ops, Ops)>,
    /// The first rule that was broken by something that happened.
    pub(super) broken: Option<String>,
}

/// What can happen to one node by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Receive(Shared<Letter>),
    Begin,
    Forget,
    Proceed,
    Wake,
    Lease(bool),
    Install(u8),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Step {
    node: Shared<Node>,
    sent: Vec<Shared<Letter>>,
    /// What tasks have begun, each with the operation, or nothing for a read.
    begun: Option<Ops>,
    results: Vec<Came>,
    shown: Version,
    orphaned: bool,
    broken: Option<String>,
    met: Vec<&'static str>,
}

/// What came of a task.
#[derive(Clone, Debug)]
enum Came {
    /// It has read this.
    Read(Ops),
    /// Who watches is told this.
    Told(Ops),
    /// Nothing is left to be read.
    Lost,
    /// This operation was done, and that was there after it.
    Done(Ops, Ops),
    /// This operation did nothing.
    Refused(Ops),
    /// Nothing is left to be written.
    LostWrite(Ops),
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

    pub(super) fn config(&self, config: Config) -> Config {
        let mut config = config;
        config.only = Some(self.shard);
        config
    }

    /// The operation of the task of that number of a node, in the numbers of the values.
    const fn operation(node: u8, task: u8) -> Ops {
        Ops(1 << (node * TASKS_MAX + task))
    }
}

impl Ops {
    /// There is no variable any more: that comes after all that was ever done with it.
    pub(super) const GONE: Self = Self(u16::MAX as u32);

    /// Numbers count each operation apart, in two bits, so that what is done twice is seen.
    const fn number(self) -> u32 {
        let (mut number, mut place) = (0, 0);
        while place < 16 {
            number |= ((self.0 >> place) & 1) << (2 * place);
            place += 1;
        }
        number
    }

    fn of_number(number: u32) -> Result<Self, String> {
        let mut ops = 0;
        for place in 0..16 {
            match (number >> (2 * place)) & 3 {
                0 => {}
                1 => ops |= 1 << place,
                times => {
                    let (node, task) = (place / u32::from(TASKS_MAX), place % u32::from(TASKS_MAX));
                    return Err(format!("D8: task {task} of n{node} was done {times} times"));
                }
            }
        }
        Ok(Self(ops))
    }

    /// What was done on a value.
    pub(super) fn of(state: &Known) -> Result<Self, String> {
        let Some(value) = &state.value else { return Ok(Self::GONE) };
        Self::of_number(codec::decode(&value.bytes).map_err(|_| "D6: this is no number".to_owned())?)
    }

    fn bytes(self) -> Bytes {
        Bytes::from(codec::encode(&self.number(), 16).expect("a number is small"))
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Node {
    fn new(machine: Option<Machine>) -> Self {
        let leased = machine.is_some();
        Self {
            machine,
            leased,
            dead: false,
            view: 0,
            wedged: false,
            begun: 0,
            reading: false,
            watching: false,
            told: None,
            read: None,
            comparing: Vec::new(),
        }
    }

    /// Whether it may still act as a member that was not cut.
    fn has_lease(&self) -> bool {
        self.leased && !self.dead
    }
}

impl History {
    /// Whether a home may have this: it has all that must be seen, and nothing that was refused.
    pub(super) fn suits(&self, ops: Ops) -> Result<(), String> {
        if ops.0 & self.refused.0 != 0 {
            return Err("D8: what was refused is done".to_owned());
        }
        if !ops.contains(self.floor) {
            return Err("D4: what was seen is lost".to_owned());
        }
        Ok(())
    }

    /// Whether it is known that there is no variable any more: then nobody remembers its version.
    pub(super) fn is_over(&self) -> bool {
        self.floor == Ops::GONE
    }

    fn begin(&mut self, node: u8, operation: Ops) {
        self.under_way.push((node, operation, self.floor));
        self.under_way.sort_unstable();
    }

    /// What it had to see.
    fn end(&mut self, node: u8, operation: Ops) -> Option<Ops> {
        let place = self.under_way.iter().position(|it| (it.0, it.1) == (node, operation))?;
        Some(self.under_way.remove(place).2)
    }

    /// Somebody has seen this, who had to see at least that.
    fn see(&mut self, ops: Ops, least: Ops) -> Result<(), String> {
        if ops.0 & self.refused.0 != 0 {
            return Err("D8: what was refused is seen".to_owned());
        }
        if !ops.contains(least) {
            return Err("D9: what was there before it began is not seen".to_owned());
        }
        if self.seen.iter().any(|seen| !seen.contains(ops) && !ops.contains(*seen)) {
            return Err("D9: two have seen operations in another order".to_owned());
        }
        self.floor = self.floor.with(ops);
        if let Err(place) = self.seen.binary_search(&ops) {
            self.seen.insert(place, ops);
        }
        Ok(())
    }

    /// Forgets what all will see.
    fn tidy(&mut self) {
        let least = self.under_way.iter().fold(self.floor, |least, it| Ops(least.0 & it.2.0));
        self.seen.retain(|seen| !least.contains(*seen));
    }

    fn note(&mut self, at: u8, result: &Came) -> Result<(), String> {
        let unknown = || "D8: an operation is answered twice".to_owned();
        match *result {
            Came::Read(ops) => {
                let least = self.end(at, Ops::default()).ok_or_else(unknown)?;
                self.see(ops, least).map_err(|why| format!("{why}, by a read at n{at}"))
            }
            Came::Told(ops) => self.see(ops, Ops::default()).map_err(|why| format!("{why}, by who watches at n{at}")),
            Came::Done(operation, ops) => {
                let least = self.end(at, operation).ok_or_else(unknown)?;
                self.see(ops, least.with(operation)).map_err(|why| format!("{why}, by an operation of n{at}"))
            }
            Came::Refused(operation) => {
                self.end(at, operation).ok_or_else(unknown)?;
                self.refused = self.refused.with(operation);
                if self.seen.iter().any(|seen| seen.0 & operation.0 != 0) || self.floor.0 & operation.0 != 0 {
                    return Err(format!("D8: an operation of n{at} was seen, and is refused"));
                }
                Ok(())
            }
            Came::Lost => self.end(at, Ops::default()).map(|_| ()).ok_or_else(unknown),
            Came::LostWrite(operation) => self.end(at, operation).map(|_| ()).ok_or_else(unknown),
        }
    }
}

impl State {
    /// All members of the first view have come to it long ago, and have a variable; the others are yet to come in.
    pub(super) fn new(course: Course, before: &[View], config: Config, left: Allowance) -> Self {
        let count = course.views.iter().flat_map(View::members).map(number).max().map_or(0, |last| last + 1);
        let mut machines = Past::new(&course, before, course.config(config)).machines.into_iter();
        let nodes = (0..count).map(|_| Shared::new(Node::new(machines.next()))).collect();
        let course = Shared::new(course);
        let mut state =
            Self { nodes, sent: Vec::new(), course, decided: 0, history: History::default(), left, rounds: None };
        let machines = state.nodes.iter().filter_map(|node| node.machine.as_ref());
        state.history.shown =
            machines.filter_map(|it| it.served(&state.course.name)).map(|it| it.version).max().unwrap_or_default();
        state
    }

    pub(super) fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub(super) fn machine(&self, node: u8) -> Option<&Machine> {
        self.node(node).machine.as_ref()
    }

    pub(super) fn next_task(&self, node: u8) -> Option<Task> {
        let tasks = self.course.tasks.get(usize::from(node))?;
        tasks.get(usize::from(self.node(node).begun)).copied()
    }

    /// Whether tasks of a node wait.
    pub(super) fn waits(&self, node: u8) -> bool {
        let unanswered = |machine: &Machine| machine.unanswered() > 0;
        self.node(node).reading || self.machine(node).is_some_and(unanswered)
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
        let until = leased.then_some(Time::MAX);
        Service { open, active, until, reads: until, leaving: false }
    }

    /// Carries an action out, or gives nothing if it is not possible or changes nothing.
    pub(super) fn act(&mut self, model: &Variable, action: &Action, met: &mut Vec<&'static str>) -> Option<()> {
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
            Action::Begin { node } => self.step(model, node, Input::Begin, met),
            Action::Forget { node } => self.step(model, node, Input::Forget, met),
            Action::Proceed { node } => self.step(model, node, Input::Proceed, met),
            Action::Install { node, view } => self.install(model, node, view, met),
            Action::Wedge { node } => self.wedge(model, node),
            Action::Lapse { node } => self.step(model, node, Input::Lease(false), met),
            Action::Renew { node } => self.step(model, node, Input::Lease(true), met),
            Action::Crash { node } => self.crash(model, node),
            Action::Calm { lose } => self.calm(model, lose, met),
            Action::Round => self.round(model, met),
        };
        changed.then_some(())
    }

    fn is_lapse_of_member(&self, action: &Action) -> bool {
        matches!(*action, Action::Lapse { node } if !self.is_cut(node))
    }

    fn install(&mut self, model: &Variable, node: u8, view: u8, met: &mut Vec<&'static str>) -> bool {
        if view > self.node(node).view + 1 && self.machine(node).is_some() {
            met.push(JUMPED);
        }
        self.step(model, node, Input::Install(view), met)
    }

    fn wedge(&mut self, model: &Variable, node: u8) -> bool {
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

    fn crash(&mut self, model: &Variable, node: u8) -> bool {
        self.history.under_way.retain(|it| it.0 != node);
        let Node { view, wedged, .. } = *self.node(node);
        self.change(model, node, |it| *it = Node { dead: true, view, wedged, ..Node::new(None) })
    }

    fn change(&mut self, model: &Variable, at: u8, change: impl FnOnce(&mut Node)) -> bool {
        let mut node = Node::clone(&self.nodes[usize::from(at)]);
        change(&mut node);
        let node = Shared::new(node);
        let changed = node != self.nodes[usize::from(at)];
        self.nodes[usize::from(at)] = node;
        self.drop_late(model, at);
        changed
    }

    /// Whether it made a difference.
    fn step(&mut self, model: &Variable, at: u8, input: Input, met: &mut Vec<&'static str>) -> bool {
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
        if let Some(operation) = step.begun {
            history.begin(at, operation);
        }
        history.shown = history.shown.max(step.shown);
        let mut broken = step.broken.clone();
        for result in &step.results {
            let noted = history.note(at, result).err();
            broken = broken.or(noted);
        }
        history.tidy();
        if step.orphaned {
            let view = self.node(at).view;
            let is_gone = |node: &u8| self.node(*node).dead || !self.course.has(view, *node);
            let gone = (0..self.nodes.len() as u8).filter(is_gone).count();
            if gone < usize::from(self.course.view(view).replicas) {
                broken =
                    broken.or_else(|| Some(format!("D5: n{at} has nobody who knows the shard, and {gone} are gone")));
            }
        }
        let history = &mut self.history;
        history.broken = history.broken.take().or(broken);
    }

    /// After something has changed at this node.
    fn drop_late(&mut self, model: &Variable, at: u8) {
        let mut sent = std::mem::take(&mut self.sent);
        sent.retain(|letter| (letter.to != at && letter.from != at) || self.is_kept(model, letter));
        self.sent = sent;
    }

    /// Whether a message can still make a difference to anybody.
    fn is_kept(&self, model: &Variable, letter: &Shared<Letter>) -> bool {
        let to = &self.nodes[usize::from(letter.to)];
        if self.rounds.is_some() {
            // What it was answered with before may be lost.
            return !to.dead;
        }
        let ahead = to.machine.is_none() || letter.view > to.view;
        let wedged = to.wedged && letter.view == to.view;
        let by = &self.nodes[usize::from(letter.from)];
        let matters =
            || !model.is_late(&self.course, to, letter) || (letter.view == to.view && model.is_awaited(by, letter));
        !to.dead && (ahead || (!wedged && matters()))
    }

    // After faults.

    /// Whether those who are left are enough for a view without the dead.
    pub(super) fn can_recover(&self) -> bool {
        let view = self.course.view(self.decided);
        view.is_quorum(|voter| !self.node(number(voter)).dead)
    }

    /// The dead are cut, all install the last view, and who was cut has lost its lease and knows it.
    fn calm(&mut self, model: &Variable, lose: bool, met: &mut Vec<&'static str>) -> bool {
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
                self.step(model, node, Input::Lease(true), met);
            }
        }
        true
    }

    fn round(&mut self, model: &Variable, met: &mut Vec<&'static str>) -> bool {
        self.rounds = self.rounds.map(|rounds| rounds.saturating_add(1));
        for letter in std::mem::take(&mut self.sent) {
            self.step(model, letter.to, Input::Receive(letter), met);
        }
        for node in 0..self.nodes.len() as u8 {
            for input in [Input::Proceed, Input::Wake] {
                self.step(model, node, input, met);
            }
        }
        true
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let rests = |node: &Node| {
            let waits = |machine: &Machine| machine.deadline().is_some() || machine.is_blocked();
            !node.machine.as_ref().is_some_and(waits)
        };
        self.sent.is_empty() && self.nodes.iter().all(|node| rests(node))
    }

    // For people.

    pub(super) fn view_words(&self, place: u8) -> String {
        let view = self.course.view(place);
        let members: Vec<_> = view.members().map(|it| format!("n{}", number(it))).collect();
        let homes: Vec<_> = self.course.shard.homes_in(view).into_iter().map(|it| format!("n{}", number(it))).collect();
        format!("e{place} {{{}}} at home with {}", members.join(" "), homes.join(" "))
    }

    /// What is not as it was, in words.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let mut words = Vec::new();
        if self.decided > before.decided {
            words.push(format!("{} is decided", self.view_words(self.decided)));
        }
        if self.history.shown != before.history.shown {
            words.push(format!("{} is known", self.history.shown));
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
    words.extend(machine.served(name).map(|state| format!("serves {}", state.version)));
    words.extend(machine.readable().next().map(|(_, state)| format!("copy {}", state.version)));
    words.extend(node.read.map(|(version, _)| format!("has read {version}")));
    words.extend(node.reading.then(|| "reads".to_owned()));
    words.extend(node.watching.then(|| "watches".to_owned()));
    words.extend(node.told.map(|version| format!("was told of {version}")));
    words.extend(Some(machine.unanswered()).filter(|count| *count > 0).map(|it| format!("{it} unanswered")));
    words.join(", ")
}

/// Nodes that came to the first view of the world one after the other, and the variable that its home has made. All that they
/// said has arrived.
struct Past {
    machines: Vec<Machine>,
    mail: VecDeque<(u8, u8, Message)>,
}

impl Past {
    fn new(course: &Course, before: &[View], config: Config) -> Self {
        let mut past = Self { machines: Vec::new(), mail: VecDeque::new() };
        for view in before.iter().chain([course.view(0)]) {
            for node in view.members().map(number) {
                if usize::from(node) == past.machines.len() {
                    past.machines.push(Machine::new(member(node), config, view.clone()));
                } else {
                    let view = view.clone();
                    past.command(node, Command::Install { view, orphaned: false });
                }
            }
            past.settle();
        }
        let home = number(course.shard.homes_in(course.view(0))[0]);
        let create = Operation { kind: KIND, guard: None, action: Deed::Create(Ops::default().bytes()) };
        past.command(home, Command::Operate(vec![(course.name.clone(), Ticket(0), create)]));
        past.settle();
        past.machines.iter_mut().for_each(|machine| machine.reduce(NOW));
        past
    }

    fn command(&mut self, node: u8, command: Command) {
        self.step(node, |machine, out| machine.command(NOW, command, out));
    }

    fn settle(&mut self) {
        while let Some((from, to, message)) = self.mail.pop_front() {
            self.step(to, |machine, out| machine.receive(NOW, member(from), message, out));
        }
    }

    fn step(&mut self, node: u8, step: impl FnOnce(&mut Machine, &mut Out)) {
        let machine = &mut self.machines[usize::from(node)];
        let mut out = Outbox::new();
        let until = Some(Time::MAX);
        machine.attend(Service { open: true, active: true, until, reads: until, leaving: false });
        step(machine, &mut out);
        for effect in out.drain() {
            if let Effect::Send { to, message } = effect {
                self.mail.push_back((node, number(to), message));
            }
        }
    }
}

/// A node that takes an input.
struct Taking<'a> {
    course: &'a Course,
    me: u8,
    node: Node,
    service: Service,
    step: Step,
}

impl Step {
    /// What comes of an input, or nothing if it is not possible.
    pub(super) fn take(
        model: &Variable,
        course: &Course,
        node: &Shared<Node>,
        me: u8,
        service: Service,
        input: &Input,
    ) -> Option<Self> {
        let step = Self {
            node: node.clone(),
            sent: Vec::new(),
            begun: None,
            results: Vec::new(),
            shown: Version::default(),
            orphaned: false,
            broken: None,
            met: Vec::new(),
        };
        let mut taking = Taking { course, me, node: Node::clone(node), service, step };
        taking.input(model, input)?;
        taking.finish_reading();
        let Taking { mut node, step, .. } = taking;
        node.machine.as_mut()?.reduce(NOW);
        Some(Self { node: Shared::new(node), ..step })
    }
}

impl Taking<'_> {
    fn input(&mut self, model: &Variable, input: &Input) -> Option<()> {
        let name = self.course.name.clone();
        match input {
            Input::Install(view) => self.install(model, *view),
            Input::Receive(letter) => {
                let message = Message { at: self.course.view(letter.view).at, parts: vec![letter.part()] };
                self.step(|machine, out| machine.receive(NOW, member(letter.from), message, out))
            }
            Input::Begin => self.begin(),
            Input::Forget => self.command(Command::Forget { name }),
            Input::Proceed => {
                self.node.machine.as_ref().filter(|machine| machine.is_blocked())?;
                self.command(Command::Proceed)
            }
            Input::Wake => {
                let deadline = self.node.machine.as_ref()?.deadline()?;
                self.step(|machine, out| machine.wake(deadline, out))
            }
            Input::Lease(leased) => {
                self.node.leased = *leased;
                Some(())
            }
        }
    }

    fn install(&mut self, model: &Variable, place: u8) -> Option<()> {
        let view = self.course.view(place).clone();
        (self.node.view, self.node.wedged) = (place, false);
        if self.node.machine.is_none() {
            let config = self.course.config(model.config());
            self.node.machine = Some(Machine::new(member(self.me), config, view));
            self.node.leased = self.service.until.is_some();
            return self.step(|machine, out| machine.wake(NOW, out));
        }
        self.command(Command::Install { view, orphaned: false })
    }

    fn begin(&mut self) -> Option<()> {
        let number = self.node.begun;
        let task = *self.course.tasks.get(usize::from(self.me))?.get(usize::from(number))?;
        let operation = if task == Task::Read { Ops::default() } else { Course::operation(self.me, number) };
        let name = self.course.name.clone();
        self.node.begun += 1;
        if task == Task::Watch {
            self.node.watching = true;
            return self.command(Command::Watch { name });
        }
        self.step.begun = Some(operation);
        let action = match task {
            Task::Watch => unreachable!("it has begun"),
            Task::Read => {
                if self.node.reading {
                    return None;
                }
                self.node.reading = true;
                return self.command(Command::Read { name });
            }
            Task::Add => Deed::Add { number: Number::U32, delta: operation.number().into() },
            Task::Delete => Deed::Delete,
            Task::Replace => {
                let (expected, base) = self.node.read?;
                self.node.comparing.push((operation, base));
                Deed::Replace { expected, value: base.with(operation).bytes() }
            }
        };
        let ticket = Ticket(operation.0.into());
        let operation = Operation { kind: KIND, guard: None, action };
        self.command(Command::Operate(vec![(name, ticket, operation)]))
    }

    /// A copy is read while the lease holds.
    fn finish_reading(&mut self) {
        let Some(machine) = self.node.machine.as_ref().filter(|_| self.node.reading && self.node.leased) else {
            return;
        };
        let Some((_, state)) = machine.readable().next() else { return };
        let version = state.version;
        match Ops::of(state) {
            Ok(ops) => {
                self.node.reading = false;
                self.node.read = Some((version, ops));
                self.step.results.push(Came::Read(ops));
            }
            Err(why) => self.step.broken = Some(format!("{why}, by a read at n{}", self.me)),
        }
    }

    /// Whoever watches is told of each copy.
    fn tell(&mut self, state: &Known) {
        let (last, me) = (self.node.told.replace(state.version), self.me);
        if let Some(last) = last.filter(|last| state.version < *last) {
            self.step.broken = Some(format!("D12: n{me} is told of {last}, and then of {}", state.version));
        }
        match Ops::of(state) {
            Ok(ops) => self.step.results.push(Came::Told(ops)),
            Err(why) => self.step.broken = Some(format!("{why}, by who watches at n{me}")),
        }
    }

    fn command(&mut self, command: Command) -> Option<()> {
        self.step(|machine, out| machine.command(NOW, command, out))
    }

    fn step(&mut self, step: impl FnOnce(&mut Machine, &mut Out)) -> Option<()> {
        let machine = self.node.machine.as_mut()?;
        let mut out = Outbox::new();
        machine.attend(self.service);
        step(machine, &mut out);
        self.step.met.append(&mut out.take_reached());
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    let view = self.course.place(message.at)?;
                    for part in &message.parts {
                        self.show(part);
                        self.step.sent.push(Shared::new(Letter::new(self.me, number(to), view, part)));
                    }
                }
                Effect::Emit(event) => self.follow(event)?,
                Effect::Record(_) => unreachable!("variables write nothing down"),
            }
        }
        Some(())
    }

    /// What is told to somebody is known from then on.
    fn show(&mut self, part: &Part) {
        let version = match part {
            Part::Data { state: Some(state), .. } => state.version,
            Part::Wrote { version, .. } => *version,
            _ => return,
        };
        self.step.shown = self.step.shown.max(version);
    }

    fn follow(&mut self, event: Event) -> Option<()> {
        match event {
            Event::Published { state, .. } => {
                self.step.shown = self.step.shown.max(state.version);
                if self.node.watching {
                    self.tell(&state);
                }
                // It may be withdrawn in the same step.
                self.finish_reading();
            }
            Event::Withdrawn { name } => {
                if self.node.reading {
                    self.command(Command::Read { name })?;
                }
            }
            Event::Lost { .. } => {
                if std::mem::take(&mut self.node.reading) {
                    self.step.results.push(Came::Lost);
                    self.step.met.push(LOST);
                }
            }
            Event::Done { ticket, result: Ok(answer) } => self.done(ticket, &answer),
            Event::Done { result: Err(why), .. } => {
                self.step.broken = Some(format!("W3: nobody says what came of an operation: {why:?}"));
            }
            // Nobody resets or follows anything here.
            Event::Reset { .. } | Event::Followed { .. } | Event::Listed { .. } => {}
            Event::Orphaned { .. } => self.step.orphaned = true,
            Event::Active { .. } => self.step.met.push(ACTIVE),
            Event::Committed { operations, .. } => {
                if operations > 1 {
                    self.step.met.push(TOGETHER);
                }
            }
            Event::Ignored { .. } => {}
        }
        Some(())
    }

    fn done(&mut self, ticket: Ticket, answer: &Answer) {
        self.step.shown = self.step.shown.max(answer.version);
        let operation = Ops(ticket.0 as u32);
        let place = self.node.comparing.iter().position(|it| it.0 == operation);
        let base = place.map(|place| self.node.comparing.remove(place).1);
        let came = match (&answer.outcome, base) {
            (Outcome::Sum(sum), None) => Ops::of_number(*sum as u32).map(|ops| Came::Done(operation, ops)),
            (Outcome::Done, Some(base)) => Ok(Came::Done(operation, base.with(operation))),
            // There was no variable any more, or there is none from now on.
            (Outcome::Done | Outcome::Refused(Refusal::NotFound), None) => Ok(Came::Done(operation, Ops::GONE)),
            (Outcome::Refused(Refusal::Changed), Some(_)) => {
                self.step.met.push(CHANGED);
                Ok(Came::Refused(operation))
            }
            (Outcome::Refused(Refusal::Lost), _) => Ok(Came::LostWrite(operation)),
            (other, _) => Err(format!("D9: an operation ends with {other:?}")),
        };
        match came {
            Ok(came) => self.step.results.push(came),
            Err(why) => self.step.broken = Some(format!("{why}, by an operation of n{}", self.me)),
        }
    }
}

/// The present, which does not move.
const NOW: Time = Time::from_nanos(1_000);
/// The type of the variable.
const KIND: u64 = 1;
/// No node has more tasks.
pub(super) const TASKS_MAX: u8 = 4;

/// A marker: two operations were written at once.
pub(super) const TOGETHER: &str = "model: operations written together";
/// A marker: a comparison that failed.
pub(super) const CHANGED: &str = "model: a comparison that fails";
/// A marker: nothing is left.
pub(super) const LOST: &str = "model: nothing left to read";
/// A marker: a shard is served in a later view.
pub(super) const ACTIVE: &str = "model: a shard served in a later view";
/// A marker: a node that installs a view without the one before it.
pub(super) const JUMPED: &str = "model: a view skipped";
