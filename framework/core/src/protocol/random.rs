//! Chance that can be replayed.

use core::ops::RangeBounds;

/// A generator of numbers that look random and follow from a seed: SplitMix64 (Steele, Lea, Flood 2014).
///
/// The algorithm is part of what a seed means, so it never changes. It is no source of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, 0 if that is 0. The bias is below `bound` in 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// A number in a range that has a beginning and an end.
    pub fn within(&mut self, range: impl RangeBounds<u64>) -> u64 {
        use core::ops::Bound::{Excluded, Included, Unbounded};
        let first = match range.start_bound() {
            Included(first) => *first,
            Excluded(before) => before.saturating_add(1),
            Unbounded => 0,
        };
        let after = match range.end_bound() {
            Included(last) => last.saturating_add(1),
            Excluded(after) => *after,
            Unbounded => u64::MAX,
        };
        first + self.below(after.saturating_sub(first))
    }

    /// One of a list that is not empty.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// True so many times in a million.
    pub const fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < per_million as u64
    }

    /// A generator for something else, which does not depend on how often this one is asked afterwards.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_means_the_same_numbers() {
        // The published test vector of SplitMix64 for the seed 1234567.
        let mut random = Random::new(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_stay_within_their_range() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| (5..=7).contains(&random.within(5..=7))));
        assert_eq!(random.below(0), 0);
        assert!((0..100).all(|_| random.chance(1_000_000) && !random.chance(0)));
    }
}
