use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::ops::Bound;

use super::{Change, Delta, Refused, Unfit};
use crate::wire::{
    id::Member,
    limits::{
        CATALOG_BYTES_MAX, CATALOG_ENTRIES_MAX, CATALOG_KEY_BYTES_MAX, CATALOG_TOMBSTONES_MAX, CATALOG_VALUE_BYTES_MAX,
    },
};

/// One catalog: the writer's own, or somebody's copy of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Book {
    sequence: u64,
    /// Removals up to here are forgotten.
    floor: u64,
    entries: BTreeMap<String, Entry>,
    /// The bytes of all keys and values.
    bytes: usize,
    tombstones: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    sequence: u64,
    value: Option<Vec<u8>>,
}

impl Book {
    /// A catalog in which nothing was ever written.
    pub const EMPTY: Self = Self { sequence: 0, floor: 0, entries: BTreeMap::new(), bytes: 0, tombstones: 0 };

    /// The sequence of the last change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key)?.value.as_deref()
    }

    /// The entries whose keys begin with `prefix`, in the order of their keys.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(|(key, entry)| Some((key.as_str(), entry.value.as_deref()?)))
    }

    /// Sets an entry; the sequence rises only if that changes something.
    ///
    /// # Errors
    /// [`Refused`] if a bound is exceeded; nothing has changed then.
    pub fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), Refused> {
        self.may_set(key, &value)?;
        self.change(key, Some(value));
        Ok(())
    }

    /// Whether [`set`](Self::set) would succeed.
    ///
    /// # Errors
    /// [`Refused`], as there.
    pub fn may_set(&self, key: &str, value: &[u8]) -> Result<(), Refused> {
        if key.len() > CATALOG_KEY_BYTES_MAX {
            return Err(Refused::KeyTooLong { bytes: key.len() });
        }
        if value.len() > CATALOG_VALUE_BYTES_MAX {
            return Err(Refused::ValueTooLarge { bytes: value.len() });
        }
        let before = self.entries.get(key).filter(|entry| entry.value.is_some());
        let bytes_before = before.map_or(0, |entry| weight(key, entry.value.as_deref()));
        let live = self.entries.len() - self.tombstones;
        let fits = (before.is_some() || live < CATALOG_ENTRIES_MAX)
            && self.bytes - bytes_before + weight(key, Some(value)) <= CATALOG_BYTES_MAX;
        if fits { Ok(()) } else { Err(Refused::Full) }
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_some() {
            self.change(key, None);
        }
    }

    /// What leads a copy from `after` to here, cut into deltas of about `bytes_max` bytes; nothing if it is here.
    #[must_use]
    pub fn deltas(&self, of: Member, after: u64, bytes_max: usize) -> Vec<Delta> {
        if after >= self.sequence {
            return Vec::new();
        }
        // A copy that may hold what is removed and forgotten is sent the whole, and starts anew.
        let floor = self.floor;
        let after = if after < self.floor { 0 } else { after };
        let mut changed: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.sequence > after).collect();
        changed.sort_unstable_by_key(|(_, entry)| entry.sequence);
        let mut deltas = Vec::new();
        let mut delta = Delta { of, after, sequence: after, floor, changes: Vec::new() };
        let mut room = bytes_max;
        for (key, entry) in changed {
            let bytes = weight(key, entry.value.as_deref());
            if bytes > room && !delta.changes.is_empty() {
                let next = Delta { of, after: delta.sequence, sequence: delta.sequence, floor, changes: Vec::new() };
                deltas.push(core::mem::replace(&mut delta, next));
                room = bytes_max;
            }
            room = room.saturating_sub(bytes);
            delta.sequence = entry.sequence;
            delta.changes.push(Change { key: key.clone(), sequence: entry.sequence, value: entry.value.clone() });
        }
        delta.sequence = self.sequence;
        deltas.push(delta);
        deltas
    }

    /// Takes a delta that continues this copy, overlaps it, or replaces it. Gives the keys of all entries that may be others
    /// than before.
    ///
    /// # Errors
    /// [`Unfit`] if it does not fit; the copy is as it was.
    pub fn apply(&mut self, delta: Delta) -> Result<BTreeSet<String>, Unfit> {
        Self::check(&delta)?;
        // What was removed below the floor is told by nobody. A copy that has taken the beginning of a whole knows its
        // floor, and goes on with the next part.
        if self.sequence < delta.floor && self.floor < delta.floor {
            return if delta.after == 0 { self.replace(delta) } else { Err(Unfit::Gap) };
        }
        // Between two parts of a whole, what was made below its floor would bring back what is removed and forgotten.
        let of_an_older_whole = self.sequence < self.floor && delta.floor < self.floor;
        if delta.sequence <= self.sequence || of_an_older_whole {
            return Err(Unfit::Old);
        }
        if delta.after > self.sequence {
            return Err(Unfit::Gap);
        }
        self.force(delta)
    }

    fn replace(&mut self, delta: Delta) -> Result<BTreeSet<String>, Unfit> {
        let mut anew = Self::EMPTY;
        let mut changed = anew.force(delta)?;
        let before = core::mem::replace(self, anew);
        changed.extend(before.entries.into_keys());
        Ok(changed)
    }

    /// Takes a delta whatever it follows, as long as the copy stays within its bounds. An entry whose last change lies
    /// in the span, but which the delta does not name, has changed later or is gone: it is dropped.
    pub(super) fn force(&mut self, delta: Delta) -> Result<BTreeSet<String>, Unfit> {
        let span = delta.after.saturating_add(1)..=delta.sequence;
        let superseded = |entry: &Entry| span.contains(&entry.sequence);
        let mut bytes = self.bytes;
        let mut live = self.entries.len() - self.tombstones;
        let mut changed = BTreeSet::new();
        for (key, entry) in self.entries.iter().filter(|(_, entry)| superseded(entry)) {
            changed.insert(key.clone());
            bytes -= weight(key, entry.value.as_deref());
            live -= usize::from(entry.value.is_some());
        }
        for change in &delta.changes {
            if let Some(before) = self.entries.get(&change.key).filter(|entry| !superseded(entry)) {
                bytes -= weight(&change.key, before.value.as_deref());
                live -= usize::from(before.value.is_some());
            }
            bytes += weight(&change.key, change.value.as_deref());
            live += usize::from(change.value.is_some());
        }
        if live > CATALOG_ENTRIES_MAX || bytes > BYTES_BELIEVED_MAX {
            return Err(Unfit::TooLarge);
        }
        if delta.after < self.sequence {
            self.entries.retain(|_, entry| !superseded(entry));
        }
        for Change { key, sequence, value } in delta.changes {
            changed.insert(key.clone());
            self.entries.insert(key, Entry { sequence, value });
        }
        self.sequence = delta.sequence;
        self.floor = self.floor.max(delta.floor);
        self.bytes = bytes;
        self.tombstones = self.entries.len() - live;
        self.forget_removals();
        Ok(changed)
    }

    /// Whether a delta is what an honest writer could have sent.
    fn check(delta: &Delta) -> Result<(), Unfit> {
        if delta.sequence <= delta.after {
            return Err(Unfit::Disordered);
        }
        let mut before = delta.after;
        let mut keys = BTreeSet::new();
        for Change { key, sequence, value } in &delta.changes {
            if key.len() > CATALOG_KEY_BYTES_MAX
                || value.as_ref().is_some_and(|value| value.len() > CATALOG_VALUE_BYTES_MAX)
                || delta.changes.len() > CATALOG_ENTRIES_MAX + CATALOG_TOMBSTONES_MAX + 1
            {
                return Err(Unfit::TooLarge);
            }
            if *sequence <= before || *sequence > delta.sequence || !keys.insert(key) {
                return Err(Unfit::Disordered);
            }
            before = *sequence;
        }
        Ok(())
    }

    fn change(&mut self, key: &str, value: Option<Vec<u8>>) {
        let before = self.entries.get(key);
        if before.is_some_and(|entry| entry.value == value) {
            return;
        }
        self.bytes -= before.map_or(0, |entry| weight(key, entry.value.as_deref()));
        self.tombstones -= usize::from(before.is_some_and(|entry| entry.value.is_none()));
        self.bytes += weight(key, value.as_deref());
        self.tombstones += usize::from(value.is_none());
        self.sequence += 1;
        self.entries.insert(key.to_string(), Entry { sequence: self.sequence, value });
        self.forget_removals();
    }

    /// Keeps the memory of removals within its bound; a copy that has not heard of the forgotten ones starts anew.
    fn forget_removals(&mut self) {
        if self.tombstones <= TOMBSTONES_MAX {
            return;
        }
        let removals = self.entries.values().filter(|entry| entry.value.is_none());
        let mut removals: Vec<_> = removals.map(|entry| entry.sequence).collect();
        removals.sort_unstable();
        let floor = removals[removals.len() / 2].max(self.floor);
        self.floor = floor;
        self.entries.retain(|_, entry| entry.value.is_some() || entry.sequence > floor);
        self.tombstones = self.entries.values().filter(|entry| entry.value.is_none()).count();
        self.bytes = self.entries.iter().map(|(key, entry)| weight(key, entry.value.as_deref())).sum();
    }

    /// Forgets what may not be forgotten without raising the floor.
    pub(super) fn forget_every_removal(&mut self) {
        self.entries.retain(|_, entry| entry.value.is_some());
        self.bytes = self.entries.iter().map(|(key, entry)| weight(key, entry.value.as_deref())).sum();
        self.tombstones = 0;
    }

    /// When an entry or its tombstone was last changed, and its value.
    pub(super) fn entry(&self, key: &str) -> Option<(u64, Option<&[u8]>)> {
        self.entries.get(key).map(|entry| (entry.sequence, entry.value.as_deref()))
    }

    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn entries_with_sequences(&self) -> impl Iterator<Item = (&str, u64, Option<&[u8]>)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.sequence, entry.value.as_deref()))
    }
}

/// What an entry costs.
fn weight(key: &str, value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + ENTRY_BYTES
}

/// What surrounds an entry's key and value on the wire, at most.
const ENTRY_BYTES: usize = 24;
/// The simulator forgets early, so that it comes there often.
const TOMBSTONES_MAX: usize = if cfg!(feature = "simulation") { 4 } else { CATALOG_TOMBSTONES_MAX };
/// The writer's bound, and what the removals may weigh that it still remembers.
const BYTES_BELIEVED_MAX: usize = 2 * CATALOG_BYTES_MAX;
