//! The entries of this node's own catalog that its program writes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use guthi_core::{
    protocol::packet::keys,
    wire::{
        bytes::Bytes,
        limits::{ENTRIES_BYTES_MAX, ENTRIES_MAX},
    },
};
use tokio::time::Instant;

use super::{Closed, EPHEMERAL_PAUSE, Sayings};

/// Entries as the program has written them, and how far the others were told.
#[derive(Debug, Default)]
pub(super) struct Written {
    entries: BTreeMap<String, Entry>,
    /// Of those that have a value.
    count: usize,
    bytes: usize,
    /// Those that the others do not know as they are.
    untold: BTreeSet<String>,
    /// Those that were taken away and told a moment ago, and when they may be told again.
    cooling: VecDeque<(Instant, String)>,
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<Bytes>,
    /// How many handles would write it; it ends with the last of them.
    handles: usize,
    /// When it may be told again, if that matters.
    after: Option<Instant>,
}

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are as many entries, or as many bytes, as there may be.
    Full,
    /// The node has left.
    Closed,
}

/// What is to be told now, and when to look again.
pub(super) type Due = (Vec<(String, Option<Bytes>)>, Option<Instant>);

impl Written {
    fn set(&mut self, key: &str, value: Bytes) -> Result<bool, Full> {
        if self.closed {
            return Err(Full::Closed);
        }
        let before = self.entries.get(key).and_then(|entry| entry.value.as_ref());
        let (count, bytes) = before.map_or((0, 0), |value| (1, weight(key, value)));
        let (count, bytes) = (self.count - count + 1, self.bytes - bytes + weight(key, &value));
        if count > ENTRIES_MAX || bytes > ENTRIES_BYTES_MAX {
            return Err(Full::Full);
        }
        (self.count, self.bytes) = (count, bytes);
        self.entries.entry(key.to_owned()).or_default().value = Some(value);
        Ok(self.untold.insert(key.to_owned()))
    }

    /// True if there was something.
    fn clear(&mut self, key: &str) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let Some(value) = entry.value.take() else { return false };
        self.count -= 1;
        self.bytes -= weight(key, &value);
        self.untold.insert(key.to_owned());
        true
    }

    /// Takes what may be told at this moment. Nothing is told twice, and the newest of each entry is told in the end.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        while let Some((_, key)) = self.cooling.pop_front_if(|(at, _)| *at <= now) {
            self.forget(&key, now);
        }
        let (mut told, mut again) = (Vec::new(), None::<Instant>);
        for key in std::mem::take(&mut self.untold) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if let Some(after) = entry.after.filter(|after| *after > now) {
                again = Some(again.map_or(after, |again| again.min(after)));
                self.untold.insert(key);
                continue;
            }
            told.push((key.clone(), entry.value.clone()));
            if key.starts_with(keys::EPHEMERAL) {
                entry.after = Some(now + EPHEMERAL_PAUSE);
            }
            if entry.value.is_none() {
                match entry.after {
                    // Whoever sets it anew at once waits as well.
                    Some(after) => self.cooling.push_back((after, key)),
                    None => self.forget(&key, now),
                }
            }
        }
        (told, again)
    }

    fn forget(&mut self, key: &str, now: Instant) {
        let over =
            |entry: &Entry| entry.value.is_none() && entry.handles == 0 && entry.after.is_none_or(|after| after <= now);
        if !self.untold.contains(key) && self.entries.get(key).is_some_and(over) {
            self.entries.remove(key);
        }
    }

    fn hold(&mut self, key: &str) {
        self.entries.entry(key.to_owned()).or_default().handles += 1;
    }

    /// True if the last handle is gone, and something was there.
    fn release(&mut self, key: &str) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        entry.handles -= 1;
        let last = entry.handles == 0;
        if last && entry.value.is_none() && !self.untold.contains(key) {
            match entry.after {
                Some(after) => self.cooling.push_back((after, key.to_owned())),
                None => _ = self.entries.remove(key),
            }
            return false;
        }
        last && self.clear(key)
    }
}

/// What an entry counts.
fn weight(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

impl Sayings {
    /// Sets an entry of this node. Those here see it at once, the others when they are told.
    pub(crate) fn set(&self, key: &str, value: Bytes) -> Result<(), Full> {
        let mut state = self.state.lock();
        let news = state.written.set(key, value.clone())?;
        state.heard.note(self.me, key, Some(value));
        drop(state);
        if news {
            self.asked.notify_one();
        }
        Ok(())
    }

    /// Takes an entry away, if it is there.
    ///
    /// # Errors
    /// The node has left, and nobody can be told.
    pub(crate) fn clear(&self, key: &str) -> Result<(), Closed> {
        let mut state = self.state.lock();
        if state.written.closed {
            return Err(Closed);
        }
        if state.written.clear(key) {
            self.cleared(&mut state, key);
        }
        Ok(())
    }

    fn cleared(&self, state: &mut super::State, key: &str) {
        state.heard.note(self.me, key, None);
        self.asked.notify_one();
    }

    /// What is to be told now, and when to look again.
    pub(super) fn due(&self, now: Instant) -> Due {
        self.state.lock().written.due(now)
    }
}

/// An entry that lives as long as somebody has a handle of it.
#[derive(Debug)]
pub(crate) struct Own {
    sayings: Arc<Sayings>,
    key: String,
}

impl Own {
    pub(crate) fn new(sayings: Arc<Sayings>, key: String) -> Self {
        sayings.state.lock().written.hold(&key);
        Self { sayings, key }
    }

    pub(crate) fn set(&self, value: Bytes) -> Result<(), Full> {
        self.sayings.set(&self.key, value)
    }

    pub(crate) fn clear(&self) -> Result<(), Closed> {
        self.sayings.clear(&self.key)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut state = self.sayings.state.lock();
        if state.written.release(&self.key) {
            self.sayings.cleared(&mut state, &self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(due: &Due) -> Vec<(&str, Option<&[u8]>)> {
        due.0.iter().map(|(key, value)| (&**key, value.as_deref())).collect()
    }

    #[test]
    fn the_first_value_goes_at_once_and_then_the_newest_after_the_pause() {
        let (mut written, begin) = (Written::default(), Instant::now());
        let key = "ephemeral/a";
        written.hold(key);
        assert_eq!(written.set(key, vec![1].into()), Ok(true), "somebody has to be told");
        assert_eq!(told(&written.due(begin)), [(key, Some(&[1][..]))]);
        assert_eq!(written.set(key, vec![2].into()), Ok(true));
        assert_eq!(written.due(begin), (vec![], Some(begin + EPHEMERAL_PAUSE)));
        assert_eq!(written.set(key, vec![3].into()), Ok(false), "whoever is to tell knows already");
        let next = begin + EPHEMERAL_PAUSE;
        assert_eq!(told(&written.due(next)), [(key, Some(&[3][..]))]);
        assert_eq!(written.due(next + EPHEMERAL_PAUSE), (vec![], None));
    }

    #[test]
    fn what_is_made_and_dropped_again_and_again_is_told_no_more_often() {
        let (mut written, begin) = (Written::default(), Instant::now());
        let key = "ephemeral/a";
        let mut count = 0;
        for step in 0..1000 {
            written.hold(key);
            written.set(key, vec![1].into()).unwrap();
            count += written.due(begin + Duration::from_millis(step)).0.len();
            if step % 3 == 0 {
                written.clear(key);
            }
            written.release(key);
            count += written.due(begin + Duration::from_millis(step)).0.len();
        }
        assert!((55..=61).contains(&count), "{count}");
        let end = begin + Duration::from_secs(2);
        assert_eq!(told(&written.due(end)).pop().and_then(|(_, value)| value), None, "in the end it is gone");
        written.due(end + EPHEMERAL_PAUSE);
        assert!(written.entries.is_empty() && written.cooling.is_empty() && written.bytes == 0, "{written:?}");
    }

    #[test]
    fn there_is_a_bound_for_all_entries_together() {
        let mut written = Written::default();
        let value = Bytes::from(vec![0; 60_000]);
        let fit = (0..).take_while(|number| written.set(&format!("published/{number}"), value.clone()).is_ok()).count();
        assert_eq!(fit, 17);
        assert!(written.clear("published/3"));
        assert_eq!(written.set("published/x", value), Ok(true));
        let mut written = Written::default();
        let fit = (0..).take_while(|number| written.set(&format!("topic/{number}"), Bytes::default()).is_ok()).count();
        assert_eq!(fit, ENTRIES_MAX);
    }
}
