//! The check of a whole history, object by object.

use std::fmt;

use super::{Call, History, Lock, Model, Operation, Reply, Variable, Verdict, picture, search, zones};

/// Whether a history of variables and locks is linearizable.
#[must_use]
pub fn check(history: &History<Call, Reply>, config: &Config) -> Report {
    let objects = history.objects().map(|name| check_object(name, &history.operations(name), config)).collect();
    Report { objects }
}

/// What a check may assume and spend.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The budget of each object's search, in steps of the model. The default, ten million, is some seconds and may
    /// be some hundred megabytes.
    pub steps_max: u64,
    /// See [`Lock::spurious_busy`].
    pub spurious_busy: bool,
    /// Whether to search even where zones would do.
    pub search_only: bool,
}

/// What was found for each object.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of their names.
    pub objects: Vec<ObjectReport>,
}

/// What was found for one object.
#[derive(Clone, Debug)]
pub struct ObjectReport {
    /// Its name.
    pub object: String,
    /// How it was checked.
    pub method: Method,
    /// How many operations were answered.
    pub answered: usize,
    /// How many were not.
    pub pending: usize,
    /// What came out.
    pub verdict: Verdict,
    /// The conflict as a picture, if there is one.
    pub picture: Option<String>,
}

/// How an object was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By [`zones`](fn@zones): it is a register whose values were written once.
    Zones,
    /// By [`search`](fn@search).
    Search,
}

impl Report {
    /// Whether all objects are known to be linearizable.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.objects.iter().all(|object| object.verdict.is_ok())
    }
}

fn check_object(name: &str, operations: &[Operation<Call, Reply>], config: &Config) -> ObjectReport {
    let is_lock = operations.iter().any(|operation| operation.op.is_for_locks());
    let variable = Variable::default();
    if is_lock {
        let lock = Lock { spurious_busy: config.spurious_busy };
        let verdict = search(&lock, operations, config.steps_max);
        return report(name, Method::Search, &lock, operations, verdict);
    }
    if !config.search_only
        && let Ok(verdict) = zones(variable.initial, operations)
    {
        return report(name, Method::Zones, &variable, operations, verdict);
    }
    let verdict = search(&variable, operations, config.steps_max);
    report(name, Method::Search, &variable, operations, verdict)
}

fn report<M: Model>(
    name: &str,
    method: Method,
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    verdict: Verdict,
) -> ObjectReport {
    let pending = operations.iter().filter(|operation| operation.is_pending()).count();
    ObjectReport {
        object: name.to_owned(),
        method,
        answered: operations.len() - pending,
        pending,
        picture: verdict.conflict().map(|conflict| picture(model, operations, &conflict.core, conflict.misfit)),
        verdict,
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { steps_max: 10_000_000, spurious_busy: false, search_only: false }
    }
}

impl Call {
    const fn is_for_locks(&self) -> bool {
        matches!(self, Self::Lock | Self::TryLock | Self::Unlock(_))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.iter().try_for_each(|object| object.fmt(f))
    }
}

impl fmt::Display for ObjectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, method, answered, pending, verdict, picture } = self;
        match verdict {
            Verdict::Linearizable { .. } => write!(f, "{object}: linearizable")?,
            Verdict::NotLinearizable(_) => write!(f, "{object}: NOT LINEARIZABLE")?,
            Verdict::OutOfBudget { steps } => write!(f, "{object}: UNKNOWN, no answer after {steps} steps")?,
        }
        writeln!(f, " ({answered} answered, {pending} pending, by {method})")?;
        if let (Some(conflict), Some(picture)) = (verdict.conflict(), picture) {
            writeln!(f, "{}\n\n{picture}", conflict.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zones => "zones",
            Self::Search => "search",
        })
    }
}
