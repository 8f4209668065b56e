//! Values that a type may accept.
//!
//! The first of each row is right for nearly every type; `NonZero` and its like dislike zero.
//! Where a type rejects a value, the next one is tried.

/// Which values are fed to a part of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taste(pub(super) u32);

impl Taste {
    /// What everything is fed first.
    pub(super) const PLAIN: Self = Self(0);

    /// The taste of the part at `index`.
    ///
    /// Types that look at several parts at once like them rising (a range), or all large.
    pub(super) fn of_part(self, index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        match self.0 {
            0 => Self::PLAIN,
            1 => Self(index),
            2 => Self(1),
            seed => Self(seed.wrapping_mul(0x9e37_79b1).rotate_left(index % 32) >> 16),
        }
    }

    /// How many elements a collection gets.
    pub(super) fn elements(self) -> usize {
        self.pick(&[0, 1, 2, 3, 4])
    }

    /// One of several possibilities.
    pub(super) fn pick<T: Copy>(self, choices: &[T]) -> T {
        choices[self.0 as usize % choices.len()]
    }
}

/// How often another taste is tried before a type counts as rejecting everything.
pub(super) const TASTES_MAX: u32 = 28;

pub(super) const BOOLS: [bool; 2] = [false, true];
pub(super) const NUMBERS: [i8; 9] = [1, 2, 3, 4, 0, 10, 64, 100, 127];
pub(super) const CHARS: [char; 5] = ['a', 'b', '0', 'A', '/'];
pub(super) const STRINGS: [&str; 26] = [
    "a",
    "b",
    "",
    "0",
    "1",
    "A",
    "/",
    "00",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "localhost",
    "example.com",
    "http://example.com/",
    "a@example.com",
    "00000000-0000-0000-0000-000000000000",
    "2000-01-01T00:00:00Z",
    "2000-01-01T00:00:00",
    "2000-01-01",
    "00:00:00",
    "1.0.0",
    "#000000",
    "en",
    "EUR",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
];
const ZEROS: [u8; 64] = [0; 64];
pub(super) const BYTES: [&[u8]; 9] = [
    b"a",
    b"",
    ZEROS.split_at(16).0,
    ZEROS.split_at(32).0,
    ZEROS.split_at(4).0,
    ZEROS.split_at(8).0,
    ZEROS.split_at(12).0,
    ZEROS.split_at(20).0,
    &ZEROS,
];
