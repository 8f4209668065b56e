//! The last of many things, numbered.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

/// The last so many of what was pushed, as JSON, numbered from 1.
#[derive(Debug)]
pub(crate) struct Ring {
    kept_max: usize,
    kept: Mutex<VecDeque<Arc<Kept>>>,
    last: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) json: Box<RawValue>,
}

impl Ring {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept_max, kept: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Adds what is made with its number.
    pub(crate) fn push<T: Serialize>(&self, make: impl FnOnce(u64) -> T) {
        let mut kept = self.kept.lock();
        let seq = *self.last.borrow() + 1;
        let Ok(json) = serde_json::value::to_raw_value(&make(seq)) else { return };
        if kept.len() == self.kept_max {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Kept { seq, json }));
        drop(kept);
        self.last.send_replace(seq);
    }

    /// The number of the last one; 0 before there is one.
    pub(crate) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Tells of numbers to come.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The newest, so many at most, the oldest of them first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Arc<Kept>> {
        let kept = self.kept.lock();
        kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
    }

    /// All after a number; `None` if some of them are no longer kept.
    pub(crate) fn after(&self, seq: u64) -> Option<Vec<Arc<Kept>>> {
        let kept = self.kept.lock();
        let first = kept.front().map_or(seq + 1, |first| first.seq);
        let skipped = usize::try_from((seq + 1).checked_sub(first)?).ok()?;
        Some(kept.iter().skip(skipped).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(kept: &[Arc<Kept>]) -> Vec<u64> {
        kept.iter().map(|kept| kept.seq).collect()
    }

    #[test]
    fn what_is_no_longer_kept_is_a_gap() {
        const KEPT_MAX: usize = 100;
        let ring = Ring::new(KEPT_MAX);
        assert_eq!(ring.after(0).map(|kept| kept.len()), Some(0));
        (0..KEPT_MAX + 5).for_each(|_| ring.push(|seq| seq));
        let last = KEPT_MAX as u64 + 5;
        assert_eq!(numbers(&ring.newest(2)), [last - 1, last]);
        assert_eq!(numbers(&ring.after(last - 1).unwrap()), [last]);
        assert_eq!(ring.after(5).map(|kept| kept.len()), Some(KEPT_MAX));
        assert!(ring.after(4).is_none());
        assert_eq!(ring.newest(1)[0].json.get(), last.to_string());
    }
}
