//! What happened, as a hash that two runs of one seed must share, and as text for people.

use std::fmt;

use guthi_core::protocol::time::Time;

/// A hash over everything that happens in a world, in order.
///
/// The algorithm is fixed: the hash of a seed is the same in every build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceHash(u64);

impl TraceHash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// The hash as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) const fn number(&mut self, number: u64) {
        // Words where FNV-1a takes bytes, so the rotation has to bring the high bits down.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }
}

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Lines for people. Nothing is formatted unless somebody wants to read it.
#[derive(Debug, Default)]
pub struct Journal {
    wanted: bool,
    lines: Vec<(Time, String)>,
}

impl Journal {
    pub(crate) const fn new(wanted: bool) -> Self {
        Self { wanted, lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, at: Time, line: impl FnOnce() -> String) {
        if self.wanted {
            self.lines.push((at, line()));
        }
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// The lines so far, each with the world's time.
    #[must_use]
    pub fn lines(&self) -> &[(Time, String)] {
        &self.lines
    }

    /// The last lines as text, each after its time in seconds.
    #[must_use]
    pub fn last(&self, count: usize) -> String {
        let from = self.lines.len().saturating_sub(count);
        self.lines[from..].iter().map(|(at, line)| format!("{} {line}\n", seconds(*at))).collect()
    }
}

/// A moment as seconds with six decimals.
pub(crate) fn seconds(at: Time) -> String {
    let micros = at.as_nanos() / 1000;
    format!("{:>4}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
