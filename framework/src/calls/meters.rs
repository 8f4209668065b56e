//! What is counted of calls: by many threads at once, without a lock where calls go by.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry};

use super::message::Refusal;
use crate::api::metrics::{CallCounts, Count, Durations, FunctionMetrics, ServedCounts};

/// Names that are counted by themselves. Names may come from anywhere, and each costs some 300 bytes.
const NAMES_MAX: usize = 1024;
/// What all others are counted under.
const OTHER: &str = "other";

/// What a node counts of its calls.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    functions: DashMap<String, Arc<Meter>>,
    named: AtomicUsize,
    other: Arc<Meter>,
    pub(crate) calls: CallCounts,
    pub(crate) served: ServedCounts,
}

/// The calls of one function that this node has made.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    errors: Count,
    pub(crate) items: Count,
    durations: Durations,
}

impl Meter {
    /// A call has ended.
    pub(crate) fn note(&self, took: Duration, succeeded: bool) {
        self.durations.note(took);
        if !succeeded {
            self.errors.one();
        }
    }

    fn seen(&self) -> FunctionMetrics {
        let durations = self.durations.seen();
        FunctionMetrics { count: durations.count(), errors: self.errors.get(), items: self.items.get(), durations }
    }
}

impl Meters {
    /// Where calls of that function are counted.
    pub(crate) fn of(&self, name: &str) -> Arc<Meter> {
        if let Some(meter) = self.functions.get(name) {
            return meter.clone();
        }
        match self.functions.entry(name.to_owned()) {
            Entry::Occupied(meter) => meter.get().clone(),
            Entry::Vacant(_) if self.named.fetch_add(1, Ordering::Relaxed) >= NAMES_MAX => {
                self.named.fetch_sub(1, Ordering::Relaxed);
                self.other.clone()
            }
            Entry::Vacant(place) => place.insert(Arc::default()).clone(),
        }
    }

    /// The same, without giving the name a place of its own.
    pub(crate) fn of_known(&self, name: &str) -> Arc<Meter> {
        self.functions.get(name).map_or_else(|| self.other.clone(), |meter| meter.clone())
    }

    pub(crate) fn functions(&self) -> BTreeMap<String, FunctionMetrics> {
        let mut functions: BTreeMap<_, _> =
            self.functions.iter().map(|entry| (entry.key().clone(), entry.value().seen())).collect();
        let other = self.other.seen();
        if other != FunctionMetrics::default() {
            // A function may be called that as well; then they share it.
            functions.entry(OTHER.to_owned()).or_default().add(&other);
        }
        functions
    }

    /// A call was answered by this node.
    pub(crate) fn answered(&self, result: Result<(), &Refusal>) {
        let served = &self.served;
        let count = match result {
            Ok(()) => &served.ok,
            Err(Refusal::Failed { .. } | Refusal::ResultTooLarge { .. }) => &served.failed,
            Err(Refusal::Panicked { .. }) => &served.panicked,
            Err(Refusal::Cancelled { .. }) => &served.cancelled,
            Err(Refusal::Deadline { .. }) => &served.late,
            Err(Refusal::Overloaded) => &served.overloaded,
            Err(Refusal::NoSuchFunction | Refusal::SignatureMismatch { .. } | Refusal::InvalidArguments { .. }) => {
                &served.refused
            }
        };
        count.one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_the_rest_is_counted_together() {
        let meters = Meters::default();
        for _ in 0..2 {
            for number in 0..2 * NAMES_MAX {
                meters.of(&format!("f{number}")).note(Duration::from_micros(1), number % 2 == 0);
            }
        }
        let functions = meters.functions();
        assert_eq!(functions.len(), NAMES_MAX + 1);
        assert_eq!((functions["f0"].count, functions["f0"].errors), (2, 0));
        assert_eq!((functions["f1"].count, functions["f1"].errors), (2, 2));
        let other = &functions[OTHER];
        assert_eq!((other.count, other.errors), (2 * NAMES_MAX as u64, NAMES_MAX as u64));
        assert_eq!(meters.named.load(Ordering::Relaxed), NAMES_MAX);
    }

    #[test]
    fn a_function_may_have_the_name_of_the_rest() {
        let meters = Meters::default();
        meters.of(OTHER).note(Duration::from_micros(1), true);
        meters.of_known("nothing").note(Duration::from_micros(3), false);
        let functions = meters.functions();
        assert_eq!((functions.len(), functions[OTHER].count, functions[OTHER].errors), (1, 2, 1));
        assert_eq!(functions[OTHER].durations.count(), 2);
    }
}
