//! What an exploration has to say.

use std::{collections::BTreeMap, fmt};

/// How an exploration went.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub verdict: Verdict,
    /// How far it came.
    pub counts: Counts,
    /// The markers that were met, and by how many actions.
    pub met: BTreeMap<&'static str, u64>,
    /// The markers that should have been met, and were not.
    pub unmet: Vec<&'static str>,
}

/// How an exploration ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All states were visited, nothing is broken, and all that must be met was met.
    Exhausted,
    /// All states were visited and nothing is broken, but not all was met that must be.
    Unmet,
    /// It was stopped before all states were visited; nothing is broken in those that were.
    Bounded(Bound),
    /// Something is broken.
    Violated(Counterexample),
}

/// What stopped an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// States of that depth were visited, and not left.
    Depth(u32),
    /// So many states were visited.
    States(u64),
    /// Whoever watched it has stopped it.
    Watch,
}

/// How far an exploration came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// States that actions led to, each as often as one did.
    pub states: u64,
    /// Different ones among them, the initial ones included.
    pub unique: u64,
    /// The most actions that it takes to come to a state that was visited.
    pub depth: u32,
    /// States visited that were not left yet.
    pub waiting: u64,
    /// How often an action led out of the boundary.
    pub outside: u64,
    /// Different states that were passed in recoveries.
    pub recovering: u64,
}

/// A way to something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The sentence that names it.
    pub broken: String,
    /// The actions that lead there, as few as possible.
    pub path: Vec<String>,
    /// The actions of the recovery that fails after them.
    pub recovery: Vec<String>,
    /// The path as a Rust test.
    pub test: String,
}

impl Report {
    /// The way to what is broken, if something is.
    #[must_use]
    pub const fn counterexample(&self) -> Option<&Counterexample> {
        match &self.verdict {
            Verdict::Violated(counterexample) => Some(counterexample),
            Verdict::Exhausted | Verdict::Unmet | Verdict::Bounded(_) => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => write!(f, "exhausted"),
            Self::Unmet => write!(f, "exhausted, but not all was met"),
            Self::Bounded(bound) => write!(f, "bounded: {bound}"),
            Self::Violated(counterexample) => write!(f, "violated: {}", counterexample.broken),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(depth) => write!(f, "not beyond depth {depth}"),
            Self::States(states) => write!(f, "not beyond {states} states"),
            Self::Watch => write!(f, "no time left"),
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after {} actions:", self.broken, self.path.len())?;
        for (number, step) in (1..).zip(&self.path) {
            writeln!(f, "  {number:>2}. {step}")?;
        }
        let shown = self.recovery.len().min(RECOVERY_SHOWN_MAX);
        for step in &self.recovery[..shown] {
            writeln!(f, "   +  {step}")?;
        }
        if shown < self.recovery.len() {
            writeln!(f, "   +  … and {} more", self.recovery.len() - shown)?;
        }
        write!(f, "\n{}", self.test)
    }
}

/// A recovery that never ends is as clear from its beginning.
const RECOVERY_SHOWN_MAX: usize = 24;
