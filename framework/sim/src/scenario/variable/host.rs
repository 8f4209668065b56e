//! A node with its tasks, which read and write the same few variables.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::LazyLock,
    time::Duration,
};

use guthi_core::{
    protocol::{
        contract::Outbox,
        engine,
        home::Shard,
        membership::{self, Holdings},
        mutex::{self, Fence},
        random::Random,
        time::Time,
        variable::{
            self, Action, Binding, Command, Estate, Event, Guard, Number, Operation, Outcome, Prefix, Refusal, State,
            Ticket, Unanswered, Version,
        },
    },
    wire::{bytes::Bytes, codec, name::Name},
};

use super::{
    super::node::{self, Node},
    Deed,
};
use crate::{
    fabric::{Kind, Place},
    history::{Answer, Call, Expected, Reply, Stamp},
    world::{Host, Input, Wish},
};

/// A node of this scenario.
#[derive(Debug)]
pub struct VariableHost {
    pub(super) node: Node,
    /// So many of the events of its engine it has followed.
    looked: usize,
    random: Random,
    /// What it begins with.
    inherits: Option<Estate>,
    /// More variables are not made at once.
    bulk_max: u16,
    /// Those whose operation has no answer yet.
    writers: BTreeMap<Ticket, Task>,
    /// Those who wait for a copy that may be read.
    readers: BTreeMap<Name, Vec<(Ticket, Task)>>,
    /// Those who wait for the mutex under which they write.
    queue: BTreeMap<mutex::Ticket, Duration>,
    held: Vec<Held>,
    parked: BTreeMap<Name, Fence>,
    /// Those who do something again later.
    sleepers: Vec<(Time, Task)>,
    /// What it was told that it may read.
    copies: BTreeMap<Name, State>,
    /// What it watches, in which version it was seen last.
    watched: BTreeMap<Name, Version>,
    /// What it follows, and what it knows of that.
    followed: BTreeMap<Prefix, BTreeMap<Name, State>>,
    fallen: Option<Name>,
    last_ticket: u64,
    /// Its values begin with this, so that nobody else writes the same.
    brand: i64,
    last_value: i64,
    rescued: bool,
    holdings: Holdings,
    orphaned: u32,
    said: Vec<Said>,
    /// It ends with its next step.
    ends: bool,
}

/// What somebody wants with a variable.
#[derive(Clone, Debug)]
struct Task {
    name: Name,
    aim: Aim,
    /// It begins something else as long as this is not over.
    until: Option<Time>,
}

#[derive(Clone, Debug)]
enum Aim {
    Get,
    /// Read it, and write it if it was not changed meanwhile.
    Update,
    Do(Call),
    Reset,
    Fenced(Guard),
}

/// A guard that a task has.
#[derive(Clone, Debug)]
struct Held {
    guard: Guard,
    end: Time,
}

/// What the tasks of a node have asked for and were told, in order.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// Something is asked for.
    Asked { ticket: Ticket, name: Name, call: Call, guard: Option<Guard> },
    /// It has an answer.
    Told { ticket: Ticket, reply: Reply, version: Version },
    /// Nobody will ever know.
    Unknown { ticket: Ticket },
    /// It certainly had no effect.
    Nothing { ticket: Ticket },
}

impl VariableHost {
    pub(super) fn new(node: Node, place: Place, life: u64, inherits: Option<Estate>, bulk_max: u16, seed: u64) -> Self {
        Self {
            node,
            bulk_max,
            looked: 0,
            random: Random::new(seed),
            inherits,
            writers: BTreeMap::new(),
            readers: BTreeMap::new(),
            queue: BTreeMap::new(),
            held: Vec::new(),
            parked: BTreeMap::new(),
            sleepers: Vec::new(),
            copies: BTreeMap::new(),
            watched: BTreeMap::new(),
            followed: BTreeMap::new(),
            fallen: None,
            last_ticket: 0,
            brand: (i64::from(place) + 1) << 50 | i64::try_from(life % 1024).unwrap_or(0) << 40,
            last_value: 0,
            rescued: false,
            holdings: Holdings::default(),
            orphaned: 0,
            said: Vec::new(),
            ends: false,
        }
    }

    /// What its engine has said since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<engine::Event> {
        self.looked = 0;
        mem::take(&mut self.node.events)
    }

    /// What its tasks have asked for and were told since this was last asked.
    pub(super) fn take_said(&mut self) -> Vec<Said> {
        mem::take(&mut self.said)
    }

    /// What it was told that it may read.
    pub(super) const fn copies(&self) -> &BTreeMap<Name, State> {
        &self.copies
    }

    /// A variable that it watches, and of which it was told an older version after a newer one.
    pub(super) const fn has_fallen(&self) -> Option<&Name> {
        self.fallen.as_ref()
    }

    /// What it follows, and what it knows of that.
    pub(super) const fn followed(&self) -> &BTreeMap<Prefix, BTreeMap<Name, State>> {
        &self.followed
    }

    /// What it watches.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Name> {
        self.watched.keys()
    }

    /// Whether what it has a copy of may be read.
    pub(super) fn reads(&self, now: Time) -> bool {
        !self.ends && self.node.engine.service(now).reads.is_some_and(|until| until > now)
    }

    /// Whether it may say what has become of a variable.
    pub(super) fn answers(&self, now: Time) -> bool {
        !self.ends && self.node.engine.service(now).answers(now)
    }

    /// The first task that waits for an answer, if there is one.
    pub(super) fn waits_for(&self) -> Option<(&Name, &'static str)> {
        let reader = self.readers.keys().next().map(|name| (name, "to read"));
        reader.or_else(|| self.writers.values().map(|task| (&task.name, "to write")).next())
    }
}

impl Host for VariableHost {
    type Operation = Deed;

    fn step(&mut self, now: Time, input: Input<'_, Deed>, out: &mut Outbox<Wish>) {
        if self.ends {
            if matches!(input, Input::Wake) {
                out.push(Wish::Die);
            }
            return;
        }
        if let Some(estate) = self.inherits.take() {
            self.command(now, Command::Inherit(estate), out);
        }
        match input {
            Input::Linked(member) => {
                self.node.linked(now, member, out);
                self.follow(now, out);
            }
            Input::Message { from, bytes, kind: Kind::Packet } => {
                self.node.packet(now, from, bytes, out);
                self.follow(now, out);
            }
            Input::Message { kind: Kind::Stream, .. } => {}
            Input::Unlinked(member) => self.input(now, engine::Input::Unlinked(member), out),
            Input::Unreachable(node) => self.input(now, engine::Input::Unreachable(node), out),
            Input::Operation(deed) => self.act(now, *deed, out),
            Input::Leave => self.leave(now, out),
            Input::Wake => self.wake(now, out),
        }
        self.hold(now, out);
        self.read_on(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        if self.ends || self.inherits.is_some() {
            return Some(Time::default());
        }
        let guard = self.held.iter().map(|held| held.end).min();
        let sleeper = self.sleepers.iter().map(|(at, _)| *at).min();
        [guard, sleeper, self.node.engine.deadline()].into_iter().flatten().min()
    }

    fn tell(bytes: &[u8]) -> String {
        node::tell(bytes)
    }

    fn is_noise(bytes: &[u8]) -> bool {
        node::is_noise(bytes, node::Topic::Variable)
    }
}

impl VariableHost {
    fn input(&mut self, now: Time, input: engine::Input, out: &mut Outbox<Wish>) {
        self.node.step(now, input, out);
        self.follow(now, out);
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Variable(command), out);
    }

    fn mutex(&mut self, now: Time, command: mutex::Command, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Mutex(command), out);
    }

    fn leave(&mut self, now: Time, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Membership(membership::Command::Leave), out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while let Some(at) = self.held.iter().position(|held| held.end <= now) {
            let held = self.held.remove(at);
            self.release(now, held.guard, out);
        }
        while let Some(at) = self.sleepers.iter().position(|(at, _)| *at <= now) {
            let (_, task) = self.sleepers.remove(at);
            self.begin(now, task, out);
        }
        if self.node.engine.deadline().is_some_and(|due| due <= now) {
            self.input(now, engine::Input::Wake, out);
        }
    }

    /// What it holds has perhaps changed.
    fn hold(&mut self, now: Time, out: &mut Outbox<Wish>) {
        let guards = !self.held.is_empty();
        let holdings = if self.rescued { Holdings::default() } else { self.node.engine.holdings(guards) };
        let orphaned = mem::take(&mut self.orphaned);
        if orphaned > 0 {
            out.push(Wish::Note(format!("finds that {orphaned} shards are orphaned")));
        }
        if holdings != self.holdings && !self.ends {
            self.holdings = holdings;
            self.input(now, engine::Input::Membership(membership::Command::Hold(holdings)), out);
        }
    }

    // Tasks.

    fn act(&mut self, now: Time, deed: Deed, out: &mut Outbox<Wish>) {
        let task = |name: u8, aim: Aim| Task { name: named(name), aim, until: None };
        match deed {
            Deed::Get { name } => self.begin(now, task(name, Aim::Get), out),
            Deed::Cas { name } => self.begin(now, task(name, Aim::Update), out),
            Deed::Set { name } => {
                let call = Call::Set(self.next_value());
                self.begin(now, task(name, Aim::Do(call)), out);
            }
            Deed::Swap { name } => {
                let call = Call::Swap(self.next_value());
                self.begin(now, task(name, Aim::Do(call)), out);
            }
            Deed::Create { name } => {
                let call = Call::CompareAndSet { expected: Expected::Value(None), new: self.next_value() };
                self.begin(now, task(name, Aim::Do(call)), out);
            }
            Deed::Add { name } => {
                let delta = i64::try_from(self.random.within(1..9)).unwrap_or(1);
                self.begin(now, task(name, Aim::Do(Call::Add(delta))), out);
            }
            Deed::Delete { name } => self.begin(now, task(name, Aim::Do(Call::Delete)), out),
            Deed::Reset { name } => self.begin(now, task(name, Aim::Reset), out),
            Deed::Forget { name } => self.forget(now, named(name), out),
            Deed::Watch { name } => {
                self.watched.entry(named(name)).or_default();
                self.command(now, Command::Watch { name: named(name) }, out);
            }
            Deed::Unwatch { name } => {
                self.watched.remove(&named(name));
                self.command(now, Command::Unwatch { name: named(name) }, out);
            }
            Deed::Follow { names } => {
                self.followed.entry(prefix(names)).or_default();
                self.command(now, Command::Follow { prefix: prefix(names) }, out);
            }
            Deed::Unfollow { names } => {
                self.followed.remove(&prefix(names));
                self.command(now, Command::Unfollow { prefix: prefix(names) }, out);
            }
            Deed::GiveUp { name } => self.give_up(now, named(name), out),
            Deed::Hammer { name, count } => {
                for _ in 0..count {
                    let task = Task { until: Some(now + HAMMERS_FOR), ..task(name, Aim::Get) };
                    self.sleep(now, task);
                }
            }
            Deed::Bulk { count } => self.create_many(now, count, out),
            Deed::Sweep { count } => {
                for _ in 0..count {
                    let number = u16::try_from(self.random.below(BULK.into())).unwrap_or(0);
                    self.begin(now, Task { name: bulk(number), aim: Aim::Get, until: None }, out);
                }
            }
            Deed::Fenced { ms } => {
                self.last_ticket += 1;
                let ticket = mutex::Ticket(self.last_ticket);
                self.queue.insert(ticket, Duration::from_millis(ms.into()));
                self.mutex(now, mutex::Command::Acquire { name: guardian(), ticket }, out);
            }
            Deed::Leave => self.leave(now, out),
            Deed::Dissolve => self.input(now, engine::Input::Membership(membership::Command::Dissolve), out),
        }
    }

    const fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// A value that nobody writes a second time. Sums stay below the next one.
    const fn next_value(&mut self) -> i64 {
        self.last_value += 1;
        self.brand | self.last_value << SUM_BITS
    }

    fn begin(&mut self, now: Time, task: Task, out: &mut Outbox<Wish>) {
        let ticket = self.next_ticket();
        let name = task.name.clone();
        match &task.aim {
            Aim::Get | Aim::Update => {
                self.said.push(Said::Asked { ticket, name: name.clone(), call: Call::Get, guard: None });
                if let Some(state) = self.copies.get(&name).cloned().filter(|_| self.reads(now)) {
                    return self.has_read(now, ticket, task, &state, out);
                }
                self.readers.entry(name.clone()).or_default().push((ticket, task));
                self.command(now, Command::Read { name }, out);
            }
            Aim::Do(call) => {
                let operation = operation(action(call, None), None);
                self.operate(now, vec![(ticket, task, operation)], out);
            }
            Aim::Reset => self.operate(now, vec![(ticket, task, operation(Action::Reset, None))], out),
            Aim::Fenced(guard) => {
                let guard = guard.clone();
                let new = self.next_value();
                let create = Call::CompareAndSet { expected: Expected::Value(None), new };
                let set = Call::Set(self.next_value());
                let second = self.next_ticket();
                let tasks = [(ticket, create), (second, set)].map(|(ticket, call)| {
                    let operation = operation(action(&call, None), Some(guard.clone()));
                    (ticket, Task { aim: Aim::Do(call), ..task.clone() }, operation)
                });
                self.operate(now, tasks.into(), out);
            }
        }
    }

    /// Tasks begin to write together.
    fn operate(&mut self, now: Time, tasks: Vec<(Ticket, Task, Operation)>, out: &mut Outbox<Wish>) {
        let mut operations = Vec::new();
        for (ticket, task, operation) in tasks {
            if let Aim::Do(call) = task.aim {
                let (name, guard) = (task.name.clone(), operation.guard.clone());
                self.said.push(Said::Asked { ticket, name, call, guard });
            }
            operations.push((task.name.clone(), ticket, operation));
            self.writers.insert(ticket, task);
        }
        self.command(now, Command::Operate(operations), out);
    }

    fn create_many(&mut self, now: Time, count: u16, out: &mut Outbox<Wish>) {
        let mut tasks = Vec::new();
        for number in 0..count.min(self.bulk_max) {
            let call = Call::CompareAndSet { expected: Expected::Value(None), new: self.next_value() };
            let task = Task { name: bulk(number), aim: Aim::Do(call), until: None };
            tasks.push((self.next_ticket(), task, operation(action(&call, None), None)));
        }
        self.operate(now, tasks, out);
    }

    /// Nobody here wants a copy any more.
    fn forget(&mut self, now: Time, name: Name, out: &mut Outbox<Wish>) {
        if !self.readers.contains_key(&name) && !self.watched.contains_key(&name) {
            self.copies.remove(&name);
            self.command(now, Command::Forget { name }, out);
        }
    }

    fn give_up(&mut self, now: Time, name: Name, out: &mut Outbox<Wish>) {
        let last = self.writers.iter().rev().find(|(_, task)| task.name == name).map(|(ticket, _)| *ticket);
        if let Some(ticket) = last {
            self.command(now, Command::Cancel { name, ticket }, out);
        }
    }

    /// A task does something else after a moment, if it goes on.
    fn sleep(&mut self, now: Time, task: Task) {
        if task.until.is_none_or(|until| until <= now) {
            return;
        }
        let aim = match self.random.below(10) {
            0..=3 => Aim::Get,
            4 | 5 => Aim::Do(Call::Set(self.next_value())),
            6 | 7 => Aim::Do(Call::Add(1)),
            8 => Aim::Do(Call::Swap(self.next_value())),
            _ => Aim::Update,
        };
        let pause = Duration::from_micros(self.random.within(1_000..30_000));
        self.sleepers.push((now + pause, Task { aim, ..task }));
    }

    // Reads.

    fn has_read(&mut self, now: Time, ticket: Ticket, task: Task, state: &State, out: &mut Outbox<Wish>) {
        let value = state.value.as_ref().map(|value| decode(&value.bytes));
        // A variable that is not there has no version that its home would remember.
        let version = value.map(|_| stamp(state.version));
        self.said.push(Said::Told {
            ticket,
            reply: Reply { answer: Answer::Value(value), version },
            version: state.version,
        });
        match (&task.aim, value) {
            (Aim::Update, Some(value)) => {
                let call = Call::CompareAndSet { expected: Expected::Value(Some(value)), new: self.next_value() };
                let action = action(&call, Some(state));
                let ticket = self.next_ticket();
                self.operate(now, vec![(ticket, Task { aim: Aim::Do(call), ..task }, operation(action, None))], out);
            }
            _ => self.sleep(now, task),
        }
    }

    /// All who wait for this variable read it.
    fn all_have_read(&mut self, now: Time, name: &Name, state: &State, out: &mut Outbox<Wish>) {
        for (ticket, task) in self.readers.remove(name).unwrap_or_default() {
            self.has_read(now, ticket, task, state, out);
        }
    }

    /// Who has a copy and could not read it perhaps can now.
    fn read_on(&mut self, now: Time, out: &mut Outbox<Wish>) {
        if self.readers.is_empty() || !self.reads(now) {
            return;
        }
        for name in self.readers.keys().cloned().collect::<Vec<_>>() {
            if let Some(state) = self.copies.get(&name).cloned() {
                self.all_have_read(now, &name, &state, out);
            }
        }
    }

    // Guards.

    fn write_fenced(&mut self, now: Time, guard: Guard, out: &mut Outbox<Wish>) {
        self.begin(now, Task { name: fenced(), aim: Aim::Fenced(guard), until: None }, out);
    }

    /// A guard is given back. Some tasks still write then, which is a mistake.
    fn release(&mut self, now: Time, guard: Guard, out: &mut Outbox<Wish>) {
        if self.random.below(2) == 0 {
            self.write_fenced(now, guard.clone(), out);
        }
        let name = guardian();
        if !self.parked.contains_key(&name) {
            self.mutex(now, mutex::Command::Release { name, fence: guard.binding.fence }, out);
        }
        if self.random.below(2) == 0 {
            let late = Duration::from_micros(self.random.below(1_000_000));
            self.sleepers.push((now + late, Task { name: fenced(), aim: Aim::Fenced(guard), until: None }));
        }
    }

    // Events.

    /// What its engine has said since this was last looked at.
    fn follow(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while self.looked < self.node.events.len() {
            self.looked += 1;
            match self.node.events[self.looked - 1].clone() {
                engine::Event::Membership(event) => self.follow_membership(now, &event, out),
                engine::Event::Mutex(event) => self.follow_mutex(now, event, out),
                engine::Event::Variable(event) => self.follow_variable(now, event, out),
                _ => {}
            }
        }
    }

    fn follow_membership(&mut self, now: Time, event: &membership::Event, out: &mut Outbox<Wish>) {
        match event {
            membership::Event::Excluded(_) | membership::Event::Moved(_) => self.end(),
            membership::Event::Left => {
                self.end();
                self.node.step(now, engine::Input::Leave, out);
            }
            membership::Event::Installed(installed) if installed.at.lineage != installed.before.lineage => {
                self.held.clear();
                self.parked.clear();
                self.watched.values_mut().for_each(|seen| *seen = Version::default());
                let known = self.followed.values_mut().flat_map(BTreeMap::values_mut);
                known.for_each(|state| state.version = Version::default());
                self.rescued = false;
            }
            membership::Event::Rescue => self.rescued = true,
            _ => {}
        }
    }

    /// This life is over. What was not said to anybody had no effect.
    fn end(&mut self) {
        if mem::replace(&mut self.ends, true) {
            return;
        }
        let (_, unsaid) = self.node.engine.variable().unfinished();
        for ticket in unsaid.into_iter().map(|(_, ticket, _)| ticket).collect::<BTreeSet<_>>() {
            self.said.push(Said::Nothing { ticket });
        }
    }

    fn follow_mutex(&mut self, now: Time, event: mutex::Event, out: &mut Outbox<Wish>) {
        match event {
            mutex::Event::Granted { ticket, fence, .. } => {
                let Some(hold) = self.queue.remove(&ticket) else { return };
                let lineage = self.node.engine.membership().view().at.lineage;
                let guard = Guard { binding: Binding { mutex: guardian(), fence }, lineage };
                self.held.push(Held { guard: guard.clone(), end: now + hold });
                self.write_fenced(now, guard, out);
            }
            mutex::Event::Parked { name, fence } => {
                self.parked.insert(name, fence);
            }
            mutex::Event::Recalled { name } => {
                let Some(fence) = self.parked.remove(&name) else { return };
                let held = !self.held.is_empty();
                self.mutex(now, mutex::Command::Returned { name, fence, held }, out);
            }
            _ => {}
        }
    }

    fn follow_variable(&mut self, now: Time, event: Event, out: &mut Outbox<Wish>) {
        match event {
            Event::Published { name, state } => {
                // What was removed has no version that its home would remember.
                if let Some(seen) = self.watched.get_mut(&name).filter(|_| state.value.is_some()) {
                    if state.version < *seen {
                        self.fallen = Some(name.clone());
                    }
                    *seen = state.version;
                }
                self.copies.insert(name.clone(), state.clone());
                if self.reads(now) {
                    self.all_have_read(now, &name, &state, out);
                }
            }
            Event::Withdrawn { name } => {
                self.copies.remove(&name);
                if self.readers.contains_key(&name) {
                    self.command(now, Command::Read { name }, out);
                }
            }
            Event::Lost { name } => {
                for (ticket, task) in self.readers.remove(&name).unwrap_or_default() {
                    self.said.push(Said::Nothing { ticket });
                    self.sleep(now, task);
                }
            }
            Event::Done { ticket, result } => {
                let Some(task) = self.writers.remove(&ticket) else { return };
                if let Aim::Do(call) = task.aim {
                    self.said.push(match result {
                        Ok(answer) => said(ticket, &call, &answer),
                        Err(Unanswered::Moved) => Said::Unknown { ticket },
                        Err(Unanswered::Canceled) => Said::Nothing { ticket },
                    });
                }
                self.sleep(now, task);
            }
            Event::Followed { prefix, name, state, .. } => {
                let Some(known) = self.followed.get_mut(&prefix) else { return };
                if state.value.is_none() {
                    known.remove(&name);
                } else if let Some(before) = known.insert(name.clone(), state.clone())
                    && before.version >= state.version
                {
                    self.fallen = Some(name);
                }
            }
            Event::Orphaned { .. } => self.orphaned += 1,
            Event::Listed { .. }
            | Event::Reset { .. }
            | Event::Active { .. }
            | Event::Committed { .. }
            | Event::Ignored { .. } => {}
        }
    }
}

/// A version in the words of the history.
const fn stamp(version: Version) -> Stamp {
    Stamp { epoch: version.epoch.0, number: version.sequence }
}

/// What an outcome means to whoever has asked.
fn said(ticket: Ticket, call: &Call, variable::Answer { outcome, version }: &variable::Answer) -> Said {
    let compares = matches!(call, Call::CompareAndSet { .. });
    let told = |answer: Answer| Said::Told {
        ticket,
        // What was refused may have come with others of its batch, which were not, and is told the version after those.
        reply: Reply {
            answer,
            version: Some(stamp(*version)).filter(|_| !matches!(answer, Answer::Missing | Answer::Stored(false))),
        },
        version: *version,
    };
    match outcome {
        Outcome::Done if compares => told(Answer::Stored(true)),
        Outcome::Done => told(Answer::Done),
        Outcome::Was(bytes) => told(Answer::Value(Some(decode(bytes)))),
        Outcome::Sum(sum) => told(Answer::Value(i64::try_from(*sum).ok())),
        Outcome::Exists | Outcome::Refused(Refusal::Changed) => told(Answer::Stored(false)),
        Outcome::Refused(Refusal::NotFound) => told(Answer::Missing),
        // It was perhaps done before those who knew were gone.
        Outcome::Refused(Refusal::Lost) => Said::Unknown { ticket },
        Outcome::Refused(_) => Said::Nothing { ticket },
    }
}

fn operation(action: Action, guard: Option<Guard>) -> Operation {
    Operation { kind: KIND, guard, action }
}

/// A call in the words of the machine; what is compared is the version that was read.
fn action(call: &Call, read: Option<&State>) -> Action {
    match *call {
        Call::Set(value) => Action::Set(encode(value)),
        Call::Swap(value) => Action::Swap(encode(value)),
        Call::Add(delta) => Action::Add { number: Number::I64, delta: delta.into() },
        Call::CompareAndSet { new, .. } => match read {
            Some(read) => Action::Replace { expected: read.version, value: encode(new) },
            None => Action::Create(encode(new)),
        },
        _ => Action::Delete,
    }
}

fn encode(value: i64) -> Bytes {
    codec::encode(&value, 16).expect("a number is plain data").into()
}

fn decode(bytes: &[u8]) -> i64 {
    codec::decode(bytes).expect("a value is one that somebody has written")
}

/// The variable of this number. Some of them are of one shard.
pub(super) fn named(number: u8) -> Name {
    static TWINS: LazyLock<Vec<Name>> = LazyLock::new(|| {
        let shard = Shard::of("v0");
        let names = (0..).map(|number| format!("twin{number}"));
        names.filter(|name| Shard::of(name) == shard).take(2).map(|name| name_of(&name)).collect()
    });
    match number {
        PLAIN.. => TWINS[usize::from(number - PLAIN) % TWINS.len()].clone(),
        _ => name_of(&format!("v{number}")),
    }
}

/// So many variables are of different shards.
const PLAIN: u8 = 3;

/// Some names that begin alike.
fn prefix(names: u8) -> Prefix {
    match names {
        0 => None,
        1 => Some(name_of("v")),
        2 => Some(name_of("twin")),
        _ => Some(name_of("bulk/")),
    }
}

/// One of many.
pub(super) fn bulk(number: u16) -> Name {
    name_of(&format!("bulk/{number}"))
}

/// Whether it is one of those: they are never removed.
pub(super) fn is_bulk(name: &Name) -> bool {
    name.starts_with("bulk/")
}

/// The variable that is written under a guard alone.
pub(super) fn fenced() -> Name {
    name_of("fenced")
}

fn guardian() -> Name {
    name_of("guardian")
}

fn name_of(text: &str) -> Name {
    Name::new(text).expect("letters and numbers are a name")
}

/// What is added to a value stays below so many bits.
pub(super) const SUM_BITS: u32 = 20;
/// Of all values.
const KIND: u64 = 7;
/// So many variables there are at most of those that are made at once.
pub(super) const BULK: u16 = 2000;
/// The same where one name makes a piece: whoever follows them is told one after the other, over however slow a way, and has to
/// know all when the quiet time is over.
pub(super) const BULK_SINGLY: u16 = 400;
/// Whoever writes again and again does so for so long.
const HAMMERS_FOR: Duration = Duration::from_millis(1200);
