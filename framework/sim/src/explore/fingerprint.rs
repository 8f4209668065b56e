//! What a state is known by.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use siphasher::sip128::{Hasher128, SipHasher13};

/// The hash of a value, in 128 bits and with fixed keys: the same in every run of one build.
#[must_use]
pub fn fingerprint<T: Hash + ?Sized>(value: &T) -> u128 {
    let mut hasher = SipHasher13::new();
    value.hash(&mut hasher);
    hasher.finish128().into()
}

/// A part of a state that is hashed once, when it is made, and then shared by all states that have it.
///
/// An action changes one node of a world or two: the others need neither be copied nor be hashed again.
pub struct Shared<T>(Arc<(u128, T)>);

impl<T: Hash> Shared<T> {
    /// Hashes a value and takes it.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new((fingerprint(&value), value)))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

/// Parts of one fingerprint are one part.
impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}

impl<T> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.1.fmt(f)
    }
}

/// A set of fingerprints that numbers them in the order in which they came.
///
/// A fingerprint is as good as random, so a table of open addresses without another hash does: 24 to 32 bytes each.
#[derive(Clone, Debug)]
pub struct Fingerprints {
    known: Vec<u128>,
    /// One more than the place in `known`, or 0. Its length is a power of two, and at most half of it is taken.
    slots: Vec<u32>,
}

impl Fingerprints {
    /// The most that it can hold.
    pub const MAX: usize = u32::MAX as usize - 1;

    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { known: Vec::new(), slots: vec![0; SLOTS_MIN] }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether this one is there.
    #[must_use]
    pub fn contains(&self, fingerprint: u128) -> bool {
        self.slots[self.slot(fingerprint)] != 0
    }

    /// Adds one; its number, or nothing if it was there.
    ///
    /// # Panics
    /// If there are [`MAX`](Self::MAX).
    pub fn insert(&mut self, fingerprint: u128) -> Option<u32> {
        let slot = self.slot(fingerprint);
        if self.slots[slot] != 0 {
            return None;
        }
        assert!(self.known.len() < Self::MAX, "more states than can be numbered");
        let number = self.known.len() as u32;
        self.known.push(fingerprint);
        self.slots[slot] = number + 1;
        if self.known.len() * 2 > self.slots.len() {
            self.grow();
        }
        Some(number)
    }

    /// Where a fingerprint is, or would be.
    fn slot(&self, fingerprint: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = fingerprint as usize & mask;
        while self.slots[slot] != 0 && self.known[self.slots[slot] as usize - 1] != fingerprint {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for number in 0..self.known.len() {
            let slot = self.slot(self.known[number]);
            self.slots[slot] = number as u32 + 1;
        }
    }
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self::new()
    }
}

const SLOTS_MIN: usize = 1024;
