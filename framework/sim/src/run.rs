//! A run: one world from its beginning to its end, as a plan says.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use guthi_core::protocol::{bugs::Bugs, random::Random, time::Time};
use serde::{Deserialize, Serialize};

use crate::{
    fabric::{Conditions, Place},
    fault::{self, Counters, Fault, Profile, Strike, Trigger, What, micros},
    scenario::{Boot, Operation, Scenario, Violation},
    trace::TraceHash,
    world::{Stepped, World, name},
};

/// All that happens to a world from outside, as plain data. Together with the code it decides everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan<O> {
    /// From which the rest was drawn, and from which the chances on the way are drawn still.
    pub seed: u64,
    /// What is asked of the run.
    pub profile: Profile,
    /// The nodes at the start.
    pub nodes: Place,
    /// How much faster than the world's each node's clock is, in parts per million.
    pub clock_rates_ppm: Vec<i32>,
    /// The ways.
    pub conditions: Conditions,
    /// What is done to the world.
    pub faults: Vec<Fault>,
    /// What waits for a rare branch.
    pub triggers: Vec<Trigger>,
    /// What users do.
    pub operations: Vec<Operation<O>>,
    /// When the faults end, in microseconds.
    pub faults_until_us: u64,
    /// How long it goes on without any, in microseconds.
    pub quiet_us: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// The same for the same plan, always and everywhere.
    pub hash: TraceHash,
    /// The steps of all nodes.
    pub steps: u64,
    /// The messages sent.
    pub messages: u64,
    /// How long it was, on the world's clock.
    pub time: Time,
    /// What was done.
    pub counters: Counters,
    /// The rare branches that were reached.
    pub reached: BTreeMap<&'static str, u64>,
    /// The journal, if somebody wanted it.
    pub journal: String,
}

impl<O> Plan<O> {
    /// The plan of a seed.
    #[must_use]
    pub fn of_seed<S: Scenario<Operation = O>>(seed: u64, profile: Option<Profile>) -> Self {
        let mut random = Random::new(seed);
        let drawn = match random.below(20) {
            0 => Profile::Calm,
            1..=5 => Profile::Safety,
            6..=10 => Profile::Targeted,
            _ => Profile::Liveness,
        };
        let profile = profile.unwrap_or(drawn);
        let nodes = S::nodes(&mut random);
        let until = micros(random.within(2_000_000..60_000_000));
        let conditions = fault::conditions(profile, &mut random);
        let steady = random.below(2) == 0;
        let mut rate = |_| if steady { 0 } else { i32::try_from(random.below(9001)).unwrap_or(0) - 4500 };
        let clock_rates_ppm = (0..nodes).map(&mut rate).collect();
        let mut faults = if profile == Profile::Calm { Vec::new() } else { fault::plan(nodes, until, &mut random) };
        faults.retain(|fault| fault.what.places().iter().all(|place| S::may_fail(*place)) || !fault.what.is_personal());
        let triggers = if profile == Profile::Targeted { triggers::<S>(&mut random) } else { Vec::new() };
        let operations = S::operations(nodes, until, &mut random);
        if profile != Profile::Calm {
            faults.extend(S::faults(nodes, until, &mut random));
        }
        let quiet_us = if profile == Profile::Safety { 0 } else { QUIET_US };
        let faults_until_us = until.as_nanos() / 1000;
        Self {
            seed,
            profile,
            nodes,
            clock_rates_ppm,
            conditions,
            faults,
            triggers,
            operations,
            faults_until_us,
            quiet_us,
        }
    }
}

/// Long enough for the longest pause between two attempts to link, and for what follows.
const QUIET_US: u64 = 75_000_000;
/// No run takes a tenth of this.
const STEPS_MAX: u64 = 5_000_000;
/// At the end of a calm run, the traffic is measured over so much time.
const IDLE: Duration = Duration::from_secs(10);

fn triggers<S: Scenario>(random: &mut Random) -> Vec<Trigger> {
    let count = 1 + random.below(3);
    let trigger = |_| Trigger {
        marker: (*random.pick(S::MARKERS)).to_owned(),
        nth: u32::try_from(random.below(3)).unwrap_or(0),
        lasts_us: random.below(5_000_000),
        strike: *random.pick(&[Strike::Crash, Strike::Pause, Strike::Isolate]),
    };
    (0..count).map(trigger).collect()
}

/// Plays a plan. A panic of a machine is a violation like any other.
#[must_use]
pub fn play<S: Scenario>(plan: &Plan<S::Operation>, bugs: Bugs, verbose: bool) -> Outcome {
    let mut run = Run::<S>::new(plan, bugs, verbose);
    let result = panic::catch_unwind(AssertUnwindSafe(|| run.play()));
    let violation = match result {
        Ok(result) => result.err(),
        Err(cause) => Some(Violation::new(panic_text(&*cause))),
    };
    if let Some(Violation { what }) = &violation {
        run.world.note(|| format!("VIOLATION {what}"));
    }
    Outcome {
        violation,
        hash: run.world.hash(),
        steps: run.world.steps(),
        messages: run.world.messages(),
        time: run.world.now(),
        counters: run.world.counters().clone(),
        reached: run.world.reached().clone(),
        journal: run.world.journal().last(usize::MAX),
    }
}

fn panic_text(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    format!("G1: a panic: {}", text.unwrap_or("without words"))
}

struct Run<'a, S: Scenario> {
    plan: &'a Plan<S::Operation>,
    scenario: S,
    world: World<S::Host>,
    bugs: Bugs,
    verbose: bool,
    /// What alarms mean.
    tasks: Vec<Task>,
    /// How often each marker was reached, for those who wait for it.
    seen: BTreeMap<&'static str, u32>,
    healed: bool,
}

#[derive(Clone, Debug)]
enum Task {
    Begin(Fault),
    End(What),
    Mend(Vec<(Place, Place)>),
    Operate(usize),
    /// It has died by itself, and is started again.
    Boot(Place),
    /// It has said goodbye, and its process ends.
    Gone(Place),
    Flap {
        a: Place,
        b: Place,
        cut: bool,
        end: Time,
    },
    Heal,
}

impl<'a, S: Scenario> Run<'a, S> {
    fn new(plan: &'a Plan<S::Operation>, bugs: Bugs, verbose: bool) -> Self {
        Self {
            plan,
            scenario: S::new(plan.profile, plan.seed),
            world: World::new(plan.seed, plan.conditions, verbose),
            bugs,
            verbose,
            tasks: Vec::new(),
            seen: BTreeMap::new(),
            healed: false,
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        let plan = self.plan;
        for place in 0..plan.nodes {
            self.boot(place);
        }
        for fault in &plan.faults {
            self.at(micros(fault.at_us), Task::Begin(fault.clone()));
        }
        for (index, operation) in plan.operations.iter().enumerate() {
            self.at(micros(operation.at_us), Task::Operate(index));
        }
        let faults_end = micros(plan.faults_until_us);
        if plan.quiet_us > 0 {
            self.at(faults_end, Task::Heal);
        }
        let end = faults_end + Duration::from_micros(plan.quiet_us);
        if plan.profile == Profile::Calm {
            self.advance(Time::from_nanos(end.as_nanos() - u64::try_from(IDLE.as_nanos()).unwrap_or(0)))?;
            let before = self.world.messages();
            self.advance(end)?;
            self.check_idle(self.world.messages() - before)?;
        }
        self.advance(end)?;
        self.scenario.check_end(&mut self.world, plan.quiet_us > 0)
    }

    fn advance(&mut self, until: Time) -> Result<(), Violation> {
        while let Some(stepped) = self.world.step(until) {
            if self.world.steps() > STEPS_MAX {
                return Err(Violation::new(format!("G2: more than {STEPS_MAX} steps: it never comes to rest")));
            }
            match stepped {
                Stepped::Alarm(token) => {
                    let task = self.tasks[usize::try_from(token).unwrap_or(usize::MAX)].clone();
                    self.perform(task);
                    // Whoever was asked by hand has taken a step too.
                    for place in 0..self.world.places() {
                        self.scenario.check_step(&mut self.world, place)?;
                    }
                }
                Stepped::Node(place) => self.scenario.check_step(&mut self.world, place)?,
                Stepped::Other => continue,
            }
            for place in self.world.take_died() {
                self.at(self.world.now() + RESTART, Task::Boot(place));
            }
            self.pull_triggers();
        }
        self.world.skip_to(until);
        Ok(())
    }

    /// G4: idle means idle.
    fn check_idle(&self, messages: u64) -> Result<(), Violation> {
        let nodes = u64::from(self.plan.nodes);
        // Of what is said at intervals, one more may fall into that time.
        let most = nodes * (nodes - 1) * (IDLE.as_secs() * u64::from(S::IDLE_MESSAGES_MAX) + 1);
        if messages <= most {
            return Ok(());
        }
        Err(Violation::new(format!("G4: {messages} messages in an idle {IDLE:?} of {nodes} nodes, {most} at most")))
    }

    fn at(&mut self, at: Time, task: Task) {
        self.world.alarm(at, self.tasks.len() as u64);
        self.tasks.push(task);
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Begin(fault) => self.begin(&fault),
            Task::End(what) => self.end(&what),
            Task::Mend(ways) => self.mend(&ways),
            Task::Operate(index) => {
                let operation = &self.plan.operations[index];
                self.world.operate(operation.place, &operation.what);
            }
            Task::Boot(place) => self.boot(place),
            Task::Gone(place) => self.world.crash(place, true),
            Task::Flap { a, b, cut, end } => self.flap(a, b, cut, end),
            Task::Heal => self.heal(),
        }
    }

    /// Starts a process where none is, and lets it look for the others.
    fn boot(&mut self, place: Place) {
        if self.world.host(place).is_some() {
            return;
        }
        let member = self.world.next_member(place);
        let seed = Random::new(self.plan.seed ^ u64::from(place) << 32 ^ member.incarnation.0).next();
        let tame = self.plan.profile == Profile::Calm;
        let host = self.scenario.boot(Boot { place, member, seed, bugs: self.bugs, tame, verbose: self.verbose });
        let rate = self.plan.clock_rates_ppm.get(usize::from(place)).copied().unwrap_or(0);
        self.world.boot(place, member, host, i64::from(rate));
        for other in 0..self.world.places() {
            if other != place && self.world.host(other).is_some() {
                self.world.introduce(place, other);
            }
        }
    }

    fn begin(&mut self, fault: &Fault) {
        if self.healed {
            return;
        }
        let now = self.world.now();
        let end = fault::end(fault).min(micros(self.plan.faults_until_us)).max(now);
        let what = &fault.what;
        if what.places().iter().any(|place| *place >= self.world.places()) {
            return;
        }
        self.world.count(what.name());
        self.world.note(|| format!("FAULT {what:?} until {}", crate::trace::seconds(end)));
        match *what {
            What::Split(_) | What::OneWay(..) | What::Isolate(_) | What::Chain(_) => self.cut(what, end),
            What::Burst(a, b) => self.world.fabric_mut().burst(a, b, end),
            What::Clog(a, b) => self.world.fabric_mut().clog(a, b, true),
            What::Slow(a, b, factor) => self.world.fabric_mut().slow_down(a, b, factor),
            What::Flap(a, b) => self.flap(a, b, true, end),
            What::Reset(a, b) => self.world.reset(a, b, true),
            What::HalfOpen(a, b) => self.world.reset(a, b, false),
            What::Crash(place) | What::Kill(place) | What::Replace(place) => self.world.crash(place, true),
            What::PowerOff(place) => self.world.crash(place, false),
            What::CrashAll => {
                for place in (0..self.world.places()).filter(|place| S::may_fail(*place)) {
                    self.world.crash(place, true);
                }
            }
            What::Leave(place) => {
                self.world.leave(place);
                self.at(now + Duration::from_millis(50), Task::Gone(place));
            }
            What::Pause(place) => self.world.pause(place, end),
            What::PauseAll => (0..self.world.places()).for_each(|place| self.world.pause(place, end)),
            What::LateWakes(place, most) => self.world.wake_late(place, most),
            What::Newcomer => self.boot(self.world.places()),
        }
        if !matches!(what, What::Flap(..)) && !what.is_cut() {
            // A process that has just gone needs a moment before it can come back.
            self.at(end.max(now + Duration::from_millis(100)), Task::End(what.clone()));
        }
    }

    fn end(&mut self, what: &What) {
        if !self.healed {
            match *what {
                What::Clog(a, b) => self.world.fabric_mut().clog(a, b, false),
                What::Slow(a, b, _) => self.world.fabric_mut().slow_down(a, b, 1),
                What::LateWakes(place, _) => self.world.wake_late(place, 0),
                _ => {}
            }
            self.world.release();
        }
        match *what {
            What::Crash(place) | What::PowerOff(place) | What::Leave(place) => self.boot(place),
            What::Replace(_) => self.boot(self.world.places()),
            What::CrashAll => {
                for place in (0..self.world.places()).filter(|place| S::may_fail(*place)) {
                    self.boot(place);
                }
            }
            _ => {}
        }
    }

    fn cut(&mut self, what: &What, end: Time) {
        let places = 0..self.world.places();
        let ways = places.clone().flat_map(|from| places.clone().map(move |to| (from, to)));
        let ways: Vec<_> = ways.filter(|(from, to)| from != to && what.separates(*from, *to)).collect();
        ways.iter().for_each(|(from, to)| self.world.fabric_mut().cut(*from, *to));
        self.at(end, Task::Mend(ways));
    }

    fn mend(&mut self, ways: &[(Place, Place)]) {
        if !self.healed {
            ways.iter().for_each(|(from, to)| self.world.fabric_mut().mend(*from, *to));
            self.world.release();
        }
    }

    fn flap(&mut self, a: Place, b: Place, cut: bool, end: Time) {
        let now = self.world.now();
        if self.healed || (cut && now >= end) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            if cut {
                self.world.fabric_mut().cut(from, to);
            } else {
                self.world.fabric_mut().mend(from, to);
            }
        }
        self.world.release();
        self.at(now + FLAP, Task::Flap { a, b, cut: !cut, end });
    }

    /// The faults are over, and somebody introduces those to each other who have lost themselves.
    fn heal(&mut self) {
        self.healed = true;
        self.world.note(|| "the faults are over".into());
        let conditions = fault::healed(self.plan.conditions);
        self.world.fabric_mut().heal(conditions);
        self.world.release();
        for place in 0..self.world.places() {
            self.world.wake_late(place, 0);
            for other in 0..place {
                if self.world.host(other).is_some() && !self.world.is_linked(place, other) {
                    self.world.introduce(place, other);
                }
            }
        }
    }

    fn pull_triggers(&mut self) {
        for (place, marker) in self.world.take_reached() {
            let seen = self.seen.entry(marker).or_default();
            let nth = *seen;
            *seen += 1;
            let waiting = self.plan.triggers.iter().filter(|trigger| trigger.marker == marker && trigger.nth == nth);
            let struck: Vec<_> = waiting.cloned().collect();
            for trigger in
                struck.into_iter().filter(|trigger| S::may_fail(place) || !trigger.strike.on(place).is_personal())
            {
                let at_us = self.world.now().as_nanos() / 1000;
                self.world.note(|| format!("{} has reached {marker:?}", name(place)));
                self.begin(&Fault { at_us, lasts_us: trigger.lasts_us, what: trigger.strike.on(place) });
            }
        }
    }
}

/// A process that has died by itself is started again after so long.
const RESTART: Duration = Duration::from_millis(300);
/// How long a flapping pair is together, and apart.
const FLAP: Duration = Duration::from_millis(700);
