//! The search, breadth first.

use std::{collections::BTreeMap, mem, ops::ControlFlow};

use super::{Bound, Counterexample, Counts, Fingerprints, Model, Report, Verdict, fingerprint};

/// Where an exploration stops although there is more.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// States that take so many actions are visited, and not left.
    pub depth: u32,
    /// So many different states are visited.
    pub states: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: u32::MAX, states: Fingerprints::MAX as u64 }
    }
}

/// Visits every state of a model, until all are visited, something is broken or a bound is met.
///
/// `watch` is asked now and then whether to go on.
pub fn explore<M: Model>(model: &M, bounds: &Bounds, watch: &mut dyn FnMut(&Counts) -> ControlFlow<()>) -> Report {
    let mut search = Search::new(model);
    let verdict = match search.run(bounds, watch) {
        Ok(()) => Verdict::Exhausted,
        Err(End::Bounded(bound)) => Verdict::Bounded(bound),
        Err(End::Broken { number, why }) => Verdict::Violated(search.counterexample(number, why)),
    };
    let unmet: Vec<_> = model.sometimes().into_iter().filter(|marker| !search.met.contains_key(marker)).collect();
    let verdict = if matches!(verdict, Verdict::Exhausted) && !unmet.is_empty() { Verdict::Unmet } else { verdict };
    search.count_waiting();
    Report { verdict, counts: search.counts, met: search.met, unmet }
}

/// Walks one path, and looks at each state as an exploration would.
///
/// # Errors
/// A sentence that names what is broken, or which action is not possible.
pub fn replay<M: Model>(model: &M, start: usize, actions: &[M::Action]) -> Result<(), String> {
    let mut state = model.initial().into_iter().nth(start).ok_or("there is no such beginning")?;
    model.check(&state)?;
    for (number, action) in (1..).zip(actions) {
        let next = model.next(&state, action, &mut Vec::new());
        state = next.ok_or_else(|| format!("action {number}, {action:?}, is not possible"))?;
        model.check(&state)?;
    }
    recover(model, &state, &mut Fingerprints::new()).map_err(|broken| broken.why)
}

/// An exploration under way.
struct Search<'a, M: Model> {
    model: &'a M,
    visited: Fingerprints,
    /// How each state was come to first: from which one, and by which of its actions. Of an initial state, its own number
    /// and its place among the initial ones.
    origins: Vec<(u32, u16)>,
    /// The states of one depth, and those of the next one as far as they are known.
    level: Vec<(u32, M::State)>,
    next_level: Vec<(u32, M::State)>,
    /// States from which recovery is known to succeed.
    recovered: Fingerprints,
    met: BTreeMap<&'static str, u64>,
    counts: Counts,
}

/// Why a search ended early.
enum End {
    Bounded(Bound),
    Broken { number: u32, why: Why },
}

/// What is wrong with a state.
enum Why {
    Itself(String),
    Recovery(String),
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M) -> Self {
        Self {
            model,
            visited: Fingerprints::new(),
            origins: Vec::new(),
            level: Vec::new(),
            next_level: Vec::new(),
            recovered: Fingerprints::new(),
            met: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    fn run(&mut self, bounds: &Bounds, watch: &mut dyn FnMut(&Counts) -> ControlFlow<()>) -> Result<(), End> {
        for (place, state) in (0..).zip(self.model.initial()) {
            self.visit(None, place, state)?;
        }
        let mut actions = Vec::new();
        while !self.next_level.is_empty() {
            self.level = mem::take(&mut self.next_level);
            if self.counts.depth >= bounds.depth {
                return Err(End::Bounded(Bound::Depth(bounds.depth)));
            }
            self.counts.depth += 1;
            while let Some((number, state)) = self.level.pop() {
                if self.counts.unique >= bounds.states {
                    self.level.push((number, state));
                    return Err(End::Bounded(Bound::States(bounds.states)));
                }
                if number.is_multiple_of(WATCH_INTERVAL) {
                    self.count_waiting();
                    if watch(&self.counts).is_break() {
                        self.level.push((number, state));
                        return Err(End::Bounded(Bound::Watch));
                    }
                }
                self.leave(number, &state, &mut actions)?;
            }
        }
        // The last level led to nothing new.
        self.counts.depth = self.counts.depth.saturating_sub(1);
        Ok(())
    }

    /// Follows all that can happen in a state.
    fn leave(&mut self, number: u32, state: &M::State, actions: &mut Vec<M::Action>) -> Result<(), End> {
        let mut met = Vec::new();
        actions.clear();
        self.model.actions(state, actions);
        for (place, action) in (0..).zip(actions.iter()) {
            let next = self.model.next(state, action, &mut met);
            for marker in met.drain(..) {
                *self.met.entry(marker).or_default() += 1;
            }
            if let Some(next) = next {
                self.visit(Some(number), place, next)?;
            }
        }
        Ok(())
    }

    fn visit(&mut self, from: Option<u32>, place: u16, state: M::State) -> Result<(), End> {
        self.counts.states += 1;
        if !self.model.within_boundary(&state) {
            self.counts.outside += 1;
            return Ok(());
        }
        let Some(number) = self.visited.insert(fingerprint(&state)) else { return Ok(()) };
        self.counts.unique += 1;
        self.origins.push((from.unwrap_or(number), place));
        self.model.check(&state).map_err(|why| End::Broken { number, why: Why::Itself(why) })?;
        recover(self.model, &state, &mut self.recovered)
            .map_err(|broken| End::Broken { number, why: Why::Recovery(broken.why) })?;
        self.next_level.push((number, state));
        Ok(())
    }

    fn count_waiting(&mut self) {
        self.counts.waiting = (self.level.len() + self.next_level.len()) as u64;
        self.counts.recovering = self.recovered.len() as u64;
    }

    /// Walks to a state again, this time with words.
    fn counterexample(&self, number: u32, why: Why) -> Counterexample {
        let (start, places) = self.way_to(number);
        let mut state = self.model.initial().swap_remove(start);
        let (mut walked, mut path) = (Vec::new(), Vec::new());
        for place in places {
            let mut actions = Vec::new();
            self.model.actions(&state, &mut actions);
            let action = actions.swap_remove(place);
            let next = self.model.next(&state, &action, &mut Vec::new()).expect("a model gives the same answer twice");
            path.push(self.model.describe(&state, &action, &next));
            walked.push(action);
            state = next;
        }
        let (broken, recovery) = match why {
            Why::Itself(broken) => (broken, Vec::new()),
            Why::Recovery(broken) => (broken, self.describe_recovery(state)),
        };
        Counterexample { broken, path, recovery, test: self.model.test(start, &walked) }
    }

    /// The initial state that leads to this one, and the places of the actions.
    fn way_to(&self, mut number: u32) -> (usize, Vec<usize>) {
        let mut places = Vec::new();
        loop {
            let (from, place) = self.origins[number as usize];
            if from == number {
                places.reverse();
                return (usize::from(place), places);
            }
            places.push(usize::from(place));
            number = from;
        }
    }

    fn describe_recovery(&self, state: M::State) -> Vec<String> {
        let Err(broken) = recover(self.model, &state, &mut Fingerprints::new()) else { return Vec::new() };
        let mut words = Vec::new();
        let mut before = state;
        for action in broken.actions {
            let after = self.model.next(&before, &action, &mut Vec::new()).expect("it was possible before");
            words.push(self.model.describe(&before, &action, &after));
            before = after;
        }
        words
    }
}

/// A recovery that fails.
struct Failure<A> {
    actions: Vec<A>,
    why: String,
}

/// Follows all recoveries from a state, each until it comes to what is known to succeed.
fn recover<M: Model>(model: &M, state: &M::State, recovered: &mut Fingerprints) -> Result<(), Failure<M::Action>> {
    for first in model.recoveries(state) {
        let mut actions = Vec::new();
        let mut passed = Vec::new();
        let mut state = state.clone();
        let mut action = Some(first);
        while let Some(next) = action {
            let fail = |actions, why| Err(Failure { actions, why });
            let Some(after) = model.next(&state, &next, &mut Vec::new()) else {
                let why = format!("recovery cannot go on with {next:?}");
                return fail(actions, why);
            };
            state = after;
            actions.push(next);
            let fingerprint = fingerprint(&state);
            if recovered.contains(fingerprint) {
                break;
            }
            passed.push(fingerprint);
            if actions.len() > RECOVERY_ACTIONS_MAX {
                let why = format!("recovery does not come to rest within {RECOVERY_ACTIONS_MAX} actions");
                return fail(actions, why);
            }
            action = match model.check(&state).and_then(|()| model.recover(&state)) {
                Ok(action) => action,
                Err(why) => return fail(actions, why),
            };
        }
        for fingerprint in passed {
            recovered.insert(fingerprint);
        }
    }
    Ok(())
}

const RECOVERY_ACTIONS_MAX: usize = 400;
/// The clock is not looked at for each state.
const WATCH_INTERVAL: u32 = 256;
