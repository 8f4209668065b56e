use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// A set of items, kept as the runs of consecutive indices that it consists of.
///
/// Its cost is that of the runs, not of the items: a million items in a row are one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runs {
    /// Start to end; neither overlapping nor touching.
    runs: BTreeMap<u64, u64>,
    len: u64,
}

impl Runs {
    /// The number of items.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The lowest item.
    pub fn first(&self) -> Option<u64> {
        self.runs.keys().next().copied()
    }

    /// The runs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(&start, &end)| start..end)
    }

    /// All items, in ascending order.
    pub fn items(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().flatten()
    }

    /// Adds a run; items that are here already stay.
    pub(super) fn insert(&mut self, run: Range<u64>) {
        if run.is_empty() {
            return;
        }
        let mut merged = run.clone();
        for near in self.between(run.start, run.end.saturating_add(1)) {
            merged = merged.start.min(near.start)..merged.end.max(near.end);
            self.drop_run(&near);
        }
        self.put_run(merged);
    }

    /// Removes a run; items that are not here stay away.
    pub(super) fn remove(&mut self, run: &Range<u64>) {
        if run.is_empty() {
            return;
        }
        for hit in self.between(run.start.saturating_add(1), run.end) {
            self.drop_run(&hit);
            self.put_run(hit.start..run.start.min(hit.end));
            self.put_run(run.end.max(hit.start)..hit.end);
        }
    }

    /// Takes the lowest items, at most `count` of them.
    pub(super) fn take_front(&mut self, count: u64) -> Self {
        let mut taken = Self::default();
        while taken.len < count {
            let Some(run) = self.iter().next() else { break };
            let end = run.end.min(run.start.saturating_add(count - taken.len));
            self.drop_run(&run);
            self.put_run(end..run.end);
            taken.put_run(run.start..end);
        }
        taken
    }

    /// The parts of a run that are not here.
    pub(super) fn missing(&self, run: &Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut from = run.start;
        for hit in self.between(run.start.saturating_add(1), run.end) {
            if from < hit.start {
                parts.push(from..hit.start);
            }
            from = from.max(hit.end);
        }
        if from < run.end {
            parts.push(from..run.end);
        }
        parts
    }

    /// Whether every item of `other` is here too.
    pub(super) fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|run| self.missing(&run).is_empty())
    }

    /// The runs that end at `end_min` or later and start before `start_end`.
    fn between(&self, end_min: u64, start_end: u64) -> Vec<Range<u64>> {
        let before = self.runs.range(..end_min).next_back().filter(|&(_, &end)| end >= end_min);
        let first = before.map_or(end_min, |(&start, _)| start);
        if first >= start_end {
            return Vec::new();
        }
        self.runs.range(first..start_end).map(|(&start, &end)| start..end).collect()
    }

    fn put_run(&mut self, run: Range<u64>) {
        if run.start < run.end {
            self.len += run.end - run.start;
            self.runs.insert(run.start, run.end);
        }
    }

    fn drop_run(&mut self, run: &Range<u64>) {
        if self.runs.remove(&run.start).is_some() {
            self.len -= run.end - run.start;
        }
    }
}

impl FromIterator<Range<u64>> for Runs {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(runs: I) -> Self {
        let mut set = Self::default();
        runs.into_iter().for_each(|run| set.insert(run));
        set
    }
}
