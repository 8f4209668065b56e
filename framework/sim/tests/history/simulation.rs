//! Histories of objects that really are atomic: each operation takes effect at one moment between start and end.
//!
//! This knows nothing of the models that it tests: the objects here are written a second time.

use guthi_sim::history::{Answer, Call, Client, Expected, History, Operation, Reply, Stamp};

pub(crate) type Operations = Vec<Operation<Call, Reply>>;

/// The generator of all randomness here (SplitMix64): the same numbers everywhere and for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len())]) }
    }
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Gets and sets; each value is written once.
    Register,
    /// Gets, sets and compare-and-sets of few values, which come again and again.
    SmallValues,
    /// Everything that can be asked of a variable, with few values.
    Everything,
    /// A set of 0 that ends before all else starts, then additions of 1 and gets.
    Counter,
    /// A set of 0 that ends before all else starts, then gets and compare-and-sets; each new value is written once.
    Tickets,
    /// A lock, with holders that crash and guards that lapse. Fences rise in steps of ten.
    Lock,
}

pub(crate) struct Plan {
    pub(crate) load: Load,
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    /// How many outcomes in a hundred are never learnt.
    pub(crate) unknown: usize,
}

/// Runs the plan. Between two events pass ten units of time.
pub(crate) fn simulate(random: &mut Random, plan: &Plan) -> Operations {
    let mut run = Run {
        random,
        load: plan.load,
        history: History::new(),
        now: 0,
        object: Object::default(),
        clients: Vec::new(),
        next_client: 0,
        ghosts: Vec::new(),
        next_value: 0,
    };
    run.start(plan)
}

struct Run<'a> {
    random: &'a mut Random,
    load: Load,
    history: History<Call, Reply>,
    now: u64,
    object: Object,
    clients: Vec<Worker>,
    next_client: u64,
    /// What nobody waits for any more, and what may still take effect.
    ghosts: Vec<Call>,
    next_value: i64,
}

struct Worker {
    client: Client,
    asked: Option<(Call, Option<Answer>)>,
    guard: Option<Stamp>,
    /// This one only reports the end of a guard.
    reports: bool,
}

impl Run<'_> {
    fn start(&mut self, plan: &Plan) -> Operations {
        for _ in 0..plan.clients {
            let worker = self.worker(false);
            self.clients.push(worker);
        }
        if matches!(self.load, Load::Counter | Load::Tickets) {
            let client = self.clients[0].client;
            let answer = self.object.apply(Call::Set(0)).unwrap();
            self.invoke(client, Call::Set(0));
            self.complete(client, answer);
        }
        let mut left = plan.operations;
        while left > 0 || self.clients.iter().any(|worker| worker.asked.is_some()) {
            if self.random.percent(10) {
                self.ghost_acts();
            }
            let index = self.random.below(self.clients.len());
            match self.clients[index].asked {
                None if left > 0 => {
                    left -= 1;
                    self.ask(index, plan.unknown);
                }
                None => {}
                Some((call, None)) => {
                    if self.random.percent(plan.unknown) || left == 0 && self.random.percent(5) {
                        self.give_up(index, call);
                    } else {
                        self.clients[index].asked = Some((call, self.object.apply(call)));
                    }
                }
                Some((call, Some(answer))) => self.answer(index, call, answer, plan.unknown),
            }
        }
        self.history.operations("x")
    }

    fn ask(&mut self, index: usize, unknown: usize) {
        let worker = &mut self.clients[index];
        if let Some(guard) = worker.guard.take_if(|_| self.random.percent(unknown)) {
            // The guard ends by itself. Somebody else reports that, from now on.
            let mut reporter = self.worker(true);
            self.invoke(reporter.client, Call::Unlock(guard));
            reporter.asked = Some((Call::Unlock(guard), None));
            self.clients.push(reporter);
            return;
        }
        let guard = worker.guard.take();
        let client = worker.client;
        let call = guard.map_or_else(|| self.call(), Call::Unlock);
        self.invoke(client, call);
        self.clients[index].asked = Some((call, None));
    }

    fn answer(&mut self, index: usize, call: Call, answer: Answer, unknown: usize) {
        if self.random.percent(unknown) {
            if let Answer::Fence(fence) = answer {
                self.ghosts.push(Call::Unlock(fence));
            }
            self.retire(index);
            return;
        }
        let worker = &mut self.clients[index];
        worker.asked = None;
        let client = worker.client;
        if let Answer::Fence(fence) = answer {
            worker.guard = Some(fence);
        }
        let told = if worker.reports { Answer::Lost } else { answer };
        self.complete(client, told);
        if self.clients[index].reports || matches!((call, answer), (Call::Unlock(_), Answer::Lost)) {
            self.retire_quietly(index);
        }
    }

    fn give_up(&mut self, index: usize, call: Call) {
        self.ghosts.push(call);
        self.retire(index);
    }

    fn retire(&mut self, index: usize) {
        self.history.give_up(self.clients[index].client).unwrap();
        self.retire_quietly(index);
    }

    fn retire_quietly(&mut self, index: usize) {
        if self.clients[index].reports {
            self.clients.swap_remove(index);
        } else {
            self.clients[index] = self.worker(false);
        }
    }

    fn ghost_acts(&mut self) {
        if !self.ghosts.is_empty() {
            let index = self.random.below(self.ghosts.len());
            match self.object.apply(self.ghosts[index]) {
                // It will let go again, some time.
                Some(Answer::Fence(fence)) => self.ghosts[index] = Call::Unlock(fence),
                Some(_) => {
                    self.ghosts.swap_remove(index);
                }
                None => {}
            }
        }
    }

    fn call(&mut self) -> Call {
        let small = i64::try_from(self.random.below(3)).unwrap();
        let other = i64::try_from(self.random.below(3)).unwrap();
        let kind = self.random.below(100);
        match self.load {
            Load::Register if kind < 50 => Call::Get,
            Load::Register => Call::Set(self.fresh()),
            Load::SmallValues => match kind {
                0..40 => Call::Get,
                40..70 => Call::Set(small),
                _ => Call::CompareAndSet { expected: Expected::Value(Some(small)), new: other },
            },
            Load::Everything => match kind {
                0..30 => Call::Get,
                30..45 => Call::Set(small),
                45..60 => Call::CompareAndSet { expected: Expected::Value(Some(small)), new: other },
                60..65 => Call::CompareAndSet { expected: Expected::Value(None), new: other },
                65..80 => Call::Add(small - 1),
                80..90 => Call::Swap(small),
                _ => Call::Delete,
            },
            Load::Counter if kind < 30 => Call::Get,
            Load::Counter => Call::Add(1),
            Load::Tickets if kind < 30 => Call::Get,
            Load::Tickets => Call::CompareAndSet { expected: Expected::Value(self.object.value), new: self.fresh() },
            Load::Lock if kind < 70 => Call::Lock,
            Load::Lock => Call::TryLock,
        }
    }

    fn fresh(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    fn worker(&mut self, reports: bool) -> Worker {
        self.next_client += 1;
        Worker { client: Client(self.next_client), asked: None, guard: None, reports }
    }

    fn invoke(&mut self, client: Client, call: Call) {
        self.now += 10;
        self.history.invoke(self.now, client, "x", call).unwrap();
    }

    fn complete(&mut self, client: Client, answer: Answer) {
        self.now += 10;
        self.history.complete(self.now, client, answer.into()).unwrap();
    }
}

/// A variable and a lock, whichever is asked for.
#[derive(Clone, Default, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    pub(crate) value: Option<i64>,
    pub(crate) holder: Option<Stamp>,
    pub(crate) grants: u64,
}

impl Object {
    /// What it answers; nothing while it would have to wait.
    pub(crate) fn apply(&mut self, call: Call) -> Option<Answer> {
        let old = self.value;
        Some(match call {
            Call::Get => Answer::Value(old),
            Call::Set(value) => {
                self.value = Some(value);
                Answer::Done
            }
            Call::Swap(value) => {
                self.value = Some(value);
                Answer::Value(old)
            }
            Call::Delete => {
                self.value = None;
                Answer::Done
            }
            Call::Add(amount) => match old {
                None => Answer::Missing,
                Some(old) => {
                    self.value = Some(old + amount);
                    Answer::Value(self.value)
                }
            },
            Call::CompareAndSet { expected: Expected::Value(expected), new } => {
                if expected == old {
                    self.value = Some(new);
                }
                Answer::Stored(expected == old)
            }
            Call::CompareAndSet { expected: Expected::Version(_), .. } => unreachable!("nobody asks for versions here"),
            Call::TryLock if self.holder.is_some() => Answer::Busy,
            Call::Lock if self.holder.is_some() => return None,
            Call::Lock | Call::TryLock => {
                self.grants += 1;
                let fence = Stamp { epoch: 1, number: 10 * self.grants };
                self.holder = Some(fence);
                Answer::Fence(fence)
            }
            Call::Unlock(fence) if self.holder == Some(fence) => {
                self.holder = None;
                Answer::Done
            }
            Call::Unlock(_) => Answer::Lost,
        })
    }
}
