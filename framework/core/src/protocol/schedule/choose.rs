use core::time::Duration;

/// One node that could run a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Calls that this caller has sent it and that are unanswered, or a better estimate of its queue.
    pub outstanding: u32,
    /// How many calls it runs at the same time; 0 is taken for 1.
    pub parallelism: u32,
    /// What one call takes there, as measured; nothing before the first answer.
    pub service: Option<Duration>,
    /// The way there and back; of no account for a local candidate.
    pub round_trip: Duration,
    /// Whether it is this node itself.
    pub local: bool,
}

/// The index of the candidate that should answer first; nothing if there are none.
///
/// Up to eight candidates are all compared; of more, two are drawn and compared, which keeps the
/// longest queue nearly as short at a fixed price. Equal ones take turns by `entropy`, for which
/// random numbers and a counter serve alike. The local node wins against an equal one elsewhere.
pub fn choose(candidates: &[Candidate], entropy: u64) -> Option<usize> {
    let count = candidates.len();
    let fastest = candidates.iter().filter_map(|candidate| candidate.service).min();
    let rank = |&index: &usize| {
        let candidate = &candidates[index];
        (candidate.wait(fastest), !candidate.local)
    };
    if count <= COMPARED_MAX {
        // `min_by_key` keeps the first of equals, so the place where the round begins decides.
        let first = remainder(entropy, count);
        (0..count).map(|step| (first + step) % count).min_by_key(rank)
    } else {
        draw_two(count, entropy).into_iter().min_by_key(rank)
    }
}

impl Candidate {
    /// Nanoseconds until an answer, roughly: its queue with this call at the end, worked off by all
    /// its slots, and the way. A stranger is taken to be as fast as the fastest, or nobody would ever find out.
    fn wait(&self, fastest: Option<Duration>) -> u128 {
        let service = self.service.or(fastest).map_or(1, |service| service.as_nanos().max(1));
        let queue = u128::from(self.outstanding) + 1;
        let way = if self.local { 0 } else { self.round_trip.as_nanos() };
        (service * queue / u128::from(self.parallelism.max(1))).saturating_add(way)
    }
}

/// Two different indices below `count`, which is at least 2.
fn draw_two(count: usize, entropy: u64) -> [usize; 2] {
    let mixed = mix(entropy);
    let first = remainder(mixed, count);
    let step = 1 + remainder(mixed >> 32, count - 1);
    [first, (first + step) % count]
}

fn remainder(number: u64, count: usize) -> usize {
    // The remainder is below `count`, so it fits.
    number.checked_rem(count as u64).map_or(0, |rest| rest as usize)
}

/// The finisher of splitmix64, so that a counter draws as evenly as a random number.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Up to here every candidate is looked at.
const COMPARED_MAX: usize = 8;
