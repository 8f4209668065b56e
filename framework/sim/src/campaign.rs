//! Campaigns: what many runs were worth, and what becomes of one that failed.
//!
//! Seeds have nothing to do with each other, so threads play them at the same time. The clock is the caller's.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use guthi_core::protocol::bugs::{Bug, Bugs};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    fabric::Conditions,
    fault::{self, Counters, Profile},
    run::{Outcome, Plan, play},
    scenario::{self, Scenario, Violation},
    script,
};

/// A scenario whose types nobody needs to know.
pub trait Playable: Sync {
    /// Its word on the command line.
    fn name(&self) -> &'static str;
    /// The rare branches that a campaign must have reached.
    fn markers(&self) -> &'static [&'static str];
    /// Plays the plan of a seed.
    fn play(&self, seed: u64, profile: Option<Profile>, bugs: Bugs, verbose: bool) -> Outcome;
    /// The plan of a seed, for people.
    fn plan(&self, seed: u64, profile: Option<Profile>) -> String;
    /// Makes the plan of a failing seed as small as so many plays allow: a [`Regression`] as text, and how it ends.
    fn minimise(&self, seed: u64, profile: Option<Profile>, bug: Option<Bug>, plays: u32) -> Option<(String, Outcome)>;
    /// Plays a text, and returns it with what was said.
    ///
    /// # Errors
    /// A direction in it cannot be followed.
    fn perform(&self, text: &str) -> Result<String, String>;
    /// Plays the plan of a regression.
    ///
    /// # Errors
    /// The text is no regression of this scenario.
    fn replay(&self, text: &str, bugs: Bugs, verbose: bool) -> Result<Outcome, String>;
}

/// All scenarios.
#[must_use]
pub fn scenarios() -> Vec<Box<dyn Playable>> {
    vec![
        Box::new(Of::<scenario::Catalog>(PhantomData)),
        Box::new(Of::<scenario::Membership>(PhantomData)),
        Box::new(Of::<scenario::Membership<true>>(PhantomData)),
        Box::new(Of::<scenario::Mutex>(PhantomData)),
        Box::new(Of::<scenario::Schedule>(PhantomData)),
        Box::new(Of::<scenario::Variable>(PhantomData)),
    ]
}

/// The scenario of this name.
#[must_use]
pub fn scenario(name: &str) -> Option<Box<dyn Playable>> {
    scenarios().into_iter().find(|scenario| scenario.name() == name)
}

/// The bug of this name.
#[must_use]
pub fn bug(name: &str) -> Option<Bug> {
    Bug::ALL.into_iter().find(|bug| bug.name() == name)
}

/// A plan that once broke a rule, kept for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regression<P> {
    /// Whose plan it is.
    pub scenario: String,
    /// What it is about.
    pub story: String,
    /// The bug that must be planted for it to break a rule; nothing if the bug was a real one, which is mended.
    pub bug: Option<String>,
    /// The rule that it breaks, or broke.
    pub rule: String,
    /// What is done.
    pub plan: P,
}

/// What can be read of any regression.
pub type Header = Regression<IgnoredAny>;

/// Reads what can be read of any regression.
///
/// # Errors
/// The text is none.
pub fn header(text: &str) -> Result<Header, String> {
    ron::from_str(text).map_err(|error| error.to_string())
}

/// The number of the rule that a violation breaks.
#[must_use]
pub fn rule(violation: &Violation) -> &str {
    violation.what.split(':').next().unwrap_or_default()
}

struct Of<S>(PhantomData<fn() -> S>);

impl<S: Scenario> Playable for Of<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn markers(&self) -> &'static [&'static str] {
        S::MARKERS
    }

    fn play(&self, seed: u64, profile: Option<Profile>, bugs: Bugs, verbose: bool) -> Outcome {
        play::<S>(&Plan::of_seed::<S>(seed, profile), bugs, verbose)
    }

    fn plan(&self, seed: u64, profile: Option<Profile>) -> String {
        pretty(&Plan::of_seed::<S>(seed, profile))
    }

    fn minimise(&self, seed: u64, profile: Option<Profile>, bug: Option<Bug>, plays: u32) -> Option<(String, Outcome)> {
        let bugs = bug.map_or(Bugs::NONE, Bugs::plant);
        let plan = Plan::of_seed::<S>(seed, profile);
        let violation = play::<S>(&plan, bugs, false).violation?;
        let rule = rule(&violation).to_owned();
        let mut smaller = Minimiser { bugs, rule: &rule, plays, best: plan, of: PhantomData::<fn() -> S> };
        smaller.minimise();
        let outcome = play::<S>(&smaller.best, bugs, true);
        let regression = Regression {
            scenario: S::NAME.to_owned(),
            story: format!("Found by seed {seed:#x}: {}", violation.what),
            bug: bug.map(|bug| bug.name().to_owned()),
            rule: rule.clone(),
            plan: smaller.best,
        };
        Some((pretty(&regression), outcome))
    }

    fn perform(&self, text: &str) -> Result<String, String> {
        script::perform::<S>(text)
    }

    fn replay(&self, text: &str, bugs: Bugs, verbose: bool) -> Result<Outcome, String> {
        let regression: Regression<Plan<S::Operation>> = ron::from_str(text).map_err(|error| error.to_string())?;
        Ok(play::<S>(&regression.plan, bugs, verbose))
    }
}

fn pretty(value: &impl Serialize) -> String {
    let config = ron::ser::PrettyConfig::new().depth_limit(3).indentor("  ");
    ron::ser::to_string_pretty(value, config).unwrap_or_else(|error| error.to_string())
}

/// Delta debugging (Zeller, Hildebrandt 2002) over the lists of a plan; then whatever else can be taken out of it.
struct Minimiser<'a, S: Scenario> {
    bugs: Bugs,
    rule: &'a str,
    plays: u32,
    best: Plan<S::Operation>,
    of: PhantomData<fn() -> S>,
}

impl<S: Scenario> Minimiser<'_, S> {
    fn minimise(&mut self) {
        loop {
            let before = self.size();
            self.shrink(|plan| &mut plan.triggers);
            self.shrink(|plan| &mut plan.faults);
            self.shrink(|plan| &mut plan.operations);
            self.simplify();
            if self.size() == before || self.plays == 0 {
                return;
            }
        }
    }

    fn size(&self) -> (usize, usize, usize, u64) {
        let plan = &self.best;
        (plan.triggers.len(), plan.faults.len(), plan.operations.len(), plan.faults_until_us)
    }

    /// Takes ever smaller pieces out of a list, as long as the rule is still broken.
    fn shrink<T: Clone>(&mut self, list: impl Fn(&mut Plan<S::Operation>) -> &mut Vec<T>) {
        let mut piece = list(&mut self.best).len();
        while piece > 0 {
            let mut at = 0;
            while at < list(&mut self.best).len() {
                let mut plan = self.best.clone();
                let whole = list(&mut plan);
                let end = (at + piece).min(whole.len());
                whole.drain(at..end);
                if !self.keep_if_broken(plan) {
                    at += piece;
                }
            }
            piece /= 2;
        }
    }

    fn simplify(&mut self) {
        let none: [fn(&mut Conditions); 8] = [
            |conditions| conditions.loss = 0,
            |conditions| conditions.duplicate = 0,
            |conditions| conditions.reorder = 0,
            |conditions| conditions.straggle = 0,
            |conditions| conditions.stale = 0,
            |conditions| conditions.replay = 0,
            |conditions| conditions.corrupt = 0,
            |conditions| conditions.jitter_us = 0,
        ];
        for edit in none {
            let mut plan = self.best.clone();
            edit(&mut plan.conditions);
            if plan != self.best {
                self.keep_if_broken(plan);
            }
        }
        let mut plan = self.best.clone();
        plan.clock_rates_ppm.clear();
        self.keep_if_broken(plan);
        let mut plan = self.best.clone();
        plan.faults_until_us /= 2;
        self.keep_if_broken(plan);
        let mut plan = self.best.clone();
        plan.nodes -= 1;
        if plan.nodes >= 2 {
            self.keep_if_broken(plan);
        }
    }

    fn keep_if_broken(&mut self, plan: Plan<S::Operation>) -> bool {
        if self.plays == 0 {
            return false;
        }
        self.plays -= 1;
        let violation = play::<S>(&plan, self.bugs, false).violation;
        let broken = violation.is_some_and(|violation| rule(&violation) == self.rule);
        if broken {
            self.best = plan;
        }
        broken
    }
}

/// How many seeds are played.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed; the others follow it.
    pub from: u64,
    /// The profile of all runs; drawn from each seed, if `None`.
    pub profile: Option<Profile>,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
    /// How many are played at the same time. They share nothing.
    pub threads: usize,
    /// One of so many seeds is played twice, to see whether that is the same.
    pub twice_every: u64,
}

impl Campaign {
    /// Plays one seed after the other while `more` says so of the number of seeds begun, or until a rule is broken.
    ///
    /// # Panics
    /// If a thread does; what a run panics with is caught in it.
    pub fn play(&self, scenario: &dyn Playable, more: &(dyn Fn(u64) -> bool + Sync)) -> Tally {
        let begun = AtomicU64::new(0);
        let broken = AtomicBool::new(false);
        let work = || {
            let mut tally = Tally::default();
            while !broken.load(Ordering::Relaxed) {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if !more(number) {
                    break;
                }
                let seed = self.from.wrapping_add(number);
                let outcome = scenario.play(seed, self.profile, self.bugs, false);
                let again = (number + 1).is_multiple_of(self.twice_every.max(1));
                if again && scenario.play(seed, self.profile, self.bugs, false).hash != outcome.hash {
                    tally.unstable.push(seed);
                }
                if outcome.violation.is_some() {
                    broken.store(true, Ordering::Relaxed);
                }
                tally.add(seed, &outcome);
            }
            tally
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            let mut tally = Tally::default();
            for worker in workers {
                tally.merge(worker.join().expect("what a run panics with is caught in it"));
            }
            tally
        })
    }
}

/// What many runs of a scenario were worth.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many runs.
    pub runs: u64,
    /// The steps of all nodes.
    pub steps: u64,
    /// The messages sent.
    pub messages: u64,
    /// The time that passed in the worlds, in nanoseconds.
    pub nanos: u128,
    /// What was done.
    pub counters: Counters,
    /// The rare branches that were reached.
    pub reached: BTreeMap<&'static str, u64>,
    /// The seeds that broke a rule, and which.
    pub broken: Vec<(u64, Violation)>,
    /// The seeds that were played twice and were not the same.
    pub unstable: Vec<u64>,
    /// A digest over the hashes of all runs, whatever their order.
    pub digest: u64,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.steps += outcome.steps;
        self.messages += outcome.messages;
        self.nanos += u128::from(outcome.time.as_nanos());
        self.counters.add(&outcome.counters);
        for (marker, count) in &outcome.reached {
            *self.reached.entry(marker).or_default() += count;
        }
        if let Some(violation) = &outcome.violation {
            self.broken.push((seed, violation.clone()));
        }
        self.digest ^= outcome.hash.as_u64().rotate_left((seed % 64) as u32);
    }

    /// Adds many runs.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.messages += other.messages;
        self.nanos += other.nanos;
        self.counters.add(&other.counters);
        for (marker, count) in other.reached {
            *self.reached.entry(marker).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.unstable.extend(other.unstable);
        self.digest ^= other.digest;
    }

    /// What these runs should have done and never did: rare branches, faults.
    #[must_use]
    pub fn missing(&self, markers: &[&'static str]) -> Vec<&'static str> {
        let unreached = markers.iter().copied().filter(|marker| !self.reached.contains_key(marker));
        unreached.chain(fault::ALL.into_iter().filter(|fault| self.counters.get(fault) == 0)).collect()
    }
}

/// Fewer runs of a scenario than this say nothing.
pub const RUNS_MIN: u64 = 200;
