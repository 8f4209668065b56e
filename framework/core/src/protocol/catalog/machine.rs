use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use core::ops::Bound;

use super::message::{Change, Delta};
use crate::wire::limits::{CATALOG_ENTRIES_MAX, CATALOG_VALUE_BYTES_MAX, NAME_BYTES_MAX};

/// A node's own catalog (C1: nobody else writes it).
#[derive(Clone, Debug, Default)]
pub struct Writer {
    sequence: u64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    sequence: u64,
    value: Option<Vec<u8>>,
}

impl Writer {
    /// Sets an entry; the sequence rises only if that changes something.
    ///
    /// # Errors
    /// [`Refused`] if a bound is exceeded; nothing has changed then.
    pub fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), Refused> {
        if key.len() > NAME_BYTES_MAX {
            return Err(Refused::KeyTooLong { bytes: key.len() });
        }
        if value.len() > CATALOG_VALUE_BYTES_MAX {
            return Err(Refused::ValueTooLarge { bytes: value.len() });
        }
        if !self.entries.contains_key(key) && self.entries.len() >= CATALOG_ENTRIES_MAX {
            return Err(Refused::Full);
        }
        self.change(key, Some(value));
        Ok(())
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: &str) {
        if self.entries.contains_key(key) {
            self.change(key, None);
        }
    }

    /// What has changed since `after`, cut into deltas of about `bytes_max` bytes; nothing if nothing has.
    #[must_use]
    pub fn deltas(&self, after: u64, bytes_max: usize) -> Vec<Delta> {
        let mut changed: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.sequence > after).collect();
        changed.sort_unstable_by_key(|(_, entry)| entry.sequence);
        let mut deltas: Vec<Delta> = Vec::new();
        let mut room = 0;
        for (key, entry) in changed {
            let bytes = key.len() + entry.value.as_ref().map_or(0, Vec::len) + 16;
            if bytes > room {
                let after = deltas.last().map_or(after, |delta| delta.sequence);
                deltas.push(Delta { after, sequence: after, changes: Vec::new() });
                room = bytes_max.max(bytes);
            }
            room -= bytes;
            let delta = deltas.last_mut().expect("one was pushed");
            delta.sequence = entry.sequence;
            delta.changes.push(Change { key: key.clone(), value: entry.value.clone() });
        }
        deltas
    }

    /// The sequence of the last change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    fn change(&mut self, key: &str, value: Option<Vec<u8>>) {
        if self.entries.get(key).is_some_and(|entry| entry.value == value) {
            return;
        }
        self.sequence += 1;
        self.entries.insert(key.to_string(), Entry { sequence: self.sequence, value });
    }
}

/// A copy of another node's catalog.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    sequence: u64,
    entries: BTreeMap<String, Vec<u8>>,
}

impl Copy {
    /// Takes a delta that continues this copy (C2).
    ///
    /// # Errors
    /// [`Ignored`] if it does not continue the copy or exceeds a bound; the copy is as it was.
    pub fn apply(&mut self, delta: Delta) -> Result<(), Ignored> {
        if delta.after != self.sequence {
            return Err(Ignored::Gap { copy: self.sequence, delta: delta.after });
        }
        if delta.sequence < delta.after {
            return Err(Ignored::Backwards);
        }
        let fits = |change: &Change| {
            change.key.len() <= NAME_BYTES_MAX
                && change.value.as_ref().is_none_or(|value| value.len() <= CATALOG_VALUE_BYTES_MAX)
        };
        if !delta.changes.iter().all(fits) || self.entries.len() + delta.changes.len() > 2 * CATALOG_ENTRIES_MAX {
            return Err(Ignored::TooLarge);
        }
        self.sequence = delta.sequence;
        for Change { key, value } in delta.changes {
            match value {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
        Ok(())
    }

    /// The entries whose keys begin with `prefix`, in the order of their keys.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

/// Why an entry cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key is longer than a name may be.
    KeyTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The value is larger than an entry may be.
    ValueTooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The catalog has as many entries as it may have.
    Full,
}

/// Why a delta was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It does not begin where the copy ends.
    Gap {
        /// Where the copy ends.
        copy: u64,
        /// Where the delta begins.
        delta: u64,
    },
    /// It ends before it begins.
    Backwards,
    /// It exceeds a bound.
    TooLarge,
}
