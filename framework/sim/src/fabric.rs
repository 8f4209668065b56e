//! The fabric: what becomes of a message on its way.
//!
//! A value without I/O: whoever carries messages - the [world](crate::world), or a network in memory - asks it for a
//! [`Verdict`] about each, and it answers from its rules and from chance that is handed in. Nodes are numbers here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use guthi_core::protocol::{random::Random, time::Time};
use serde::{Deserialize, Serialize};

/// A node in its place in the world.
pub type Place = u16;

/// The chances that something happens to a message, in parts per million, and how long a way takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The least time on the way, in microseconds.
    pub delay_us: u32,
    /// Up to so much more, evenly, in microseconds.
    pub jitter_us: u32,
    /// It is lost.
    pub loss: u32,
    /// It comes twice.
    pub duplicate: u32,
    /// It may overtake those before it.
    pub reorder: u32,
    /// It takes up to a hundred times as long.
    pub straggle: u32,
    /// It comes although its connection has ended.
    pub stale: u32,
    /// It comes again, much later.
    pub replay: u32,
    /// It comes damaged, which ends its connection.
    pub corrupt: u32,
}

/// What happens to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It never arrives.
    Lost(Loss),
    /// It is held until its way is free again.
    Held,
    /// It arrives at these times, the first one first.
    Arrives {
        /// When.
        at: Vec<Time>,
        /// What was done to it.
        marks: Vec<Mark>,
    },
}

/// Why a message is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// By chance.
    Chance,
    /// Its way is cut.
    Cut,
    /// It met a burst of losses.
    Burst,
}

/// What was done to a message that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It comes twice.
    Duplicate,
    /// It may overtake others.
    Reordered,
    /// It takes far longer.
    Straggling,
    /// It comes even if its connection has ended.
    Stale,
    /// It comes again much later.
    Replayed,
    /// It is damaged.
    Corrupt,
}

/// The ways between all nodes.
#[derive(Clone, Debug, Default)]
pub struct Fabric {
    conditions: Conditions,
    /// Cuts by direction; several may lie on one way.
    cuts: BTreeMap<(Place, Place), u32>,
    bursts: BTreeMap<(Place, Place), Time>,
    clogged: BTreeSet<(Place, Place)>,
    /// How many times longer a way takes.
    slow: BTreeMap<(Place, Place), u32>,
    /// The last arrival on each way, which what follows does not overtake.
    last: BTreeMap<(Place, Place, Kind), Time>,
}

/// What a message travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It may be lost, doubled and overtaken. Real connections do none of that; protocols must stand it all the same.
    Packet,
    /// It comes in order or not at all, and if it does not, its connection ends.
    Stream,
}

impl Fabric {
    /// A fabric with these conditions on every way.
    #[must_use]
    pub fn new(conditions: Conditions) -> Self {
        Self { conditions, ..Self::default() }
    }

    /// Other conditions from now on.
    pub const fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Nothing gets from one place to the other until [`mend`](Self::mend) was called as often.
    pub fn cut(&mut self, from: Place, to: Place) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    /// Takes one cut back.
    pub fn mend(&mut self, from: Place, to: Place) {
        if let Some(cuts) = self.cuts.get_mut(&(from, to)) {
            *cuts -= 1;
            if *cuts == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    /// Everything on this way is lost until then.
    pub fn burst(&mut self, from: Place, to: Place, until: Time) {
        self.bursts.insert((from, to), until);
    }

    /// Everything on this way is held, or let go again.
    pub fn clog(&mut self, from: Place, to: Place, clogged: bool) {
        if clogged {
            self.clogged.insert((from, to));
        } else {
            self.clogged.remove(&(from, to));
        }
    }

    /// This way takes so many times longer; 1 is as usual.
    pub fn slow_down(&mut self, from: Place, to: Place, factor: u32) {
        if factor > 1 {
            self.slow.insert((from, to), factor);
        } else {
            self.slow.remove(&(from, to));
        }
    }

    /// Everything is as on the first day, but what is under way stays in its order.
    pub fn heal(&mut self, conditions: Conditions) {
        *self = Self { conditions, last: std::mem::take(&mut self.last), ..Self::default() };
    }

    /// Whether anything gets from one place to the other.
    #[must_use]
    pub fn is_open(&self, from: Place, to: Place) -> bool {
        !self.cuts.contains_key(&(from, to))
    }

    /// A plain time on the way, as for the making of a connection.
    pub fn way(&self, from: Place, to: Place, random: &mut Random) -> Duration {
        let Conditions { delay_us, jitter_us, .. } = self.conditions;
        let factor = u64::from(self.slow.get(&(from, to)).copied().unwrap_or(1));
        let micros = u64::from(delay_us) + random.below(u64::from(jitter_us) + 1);
        Duration::from_micros(micros * factor)
    }

    /// How much longer than it should somebody waits before saying that there is no way.
    pub fn hesitation(&self, random: &mut Random) -> Duration {
        if random.chance(self.conditions.straggle * 25) {
            Duration::from_millis(random.below(10_000))
        } else {
            Duration::ZERO
        }
    }

    /// A new connection: nothing on this way arrives before then, and nothing waits for what went before.
    pub fn begin(&mut self, from: Place, to: Place, at: Time) {
        for kind in [Kind::Packet, Kind::Stream] {
            self.last.insert((from, to, kind), at);
        }
    }

    /// What becomes of a message that leaves now.
    pub fn verdict(&mut self, now: Time, from: Place, to: Place, kind: Kind, random: &mut Random) -> Verdict {
        let conditions = self.conditions;
        if self.clogged.contains(&(from, to)) || (kind == Kind::Stream && !self.is_open(from, to)) {
            return Verdict::Held;
        }
        if !self.is_open(from, to) {
            return Verdict::Lost(Loss::Cut);
        }
        if self.bursts.get(&(from, to)).is_some_and(|until| now < *until) {
            return Verdict::Lost(Loss::Burst);
        }
        if random.chance(conditions.loss) {
            return Verdict::Lost(Loss::Chance);
        }
        let mut marks = Vec::new();
        let mut way = self.way(from, to, random);
        if random.chance(conditions.straggle) {
            marks.push(Mark::Straggling);
            way *= u32::try_from(random.within(2..100)).unwrap_or(2);
        }
        let mut arrival = now + way;
        if kind == Kind::Packet && random.chance(conditions.reorder) {
            marks.push(Mark::Reordered);
        } else {
            let last = self.last.entry((from, to, kind)).or_default();
            arrival = arrival.max(*last);
            *last = arrival;
        }
        let mut at = vec![arrival];
        if kind == Kind::Packet && random.chance(conditions.duplicate) {
            marks.push(Mark::Duplicate);
            at.push(now + self.way(from, to, random) * 2);
        }
        if kind == Kind::Packet && random.chance(conditions.replay) {
            marks.push(Mark::Replayed);
            at.push(now + Duration::from_millis(random.within(1_000..30_000)));
        }
        if random.chance(conditions.stale) {
            marks.push(Mark::Stale);
        }
        if random.chance(conditions.corrupt) {
            marks.push(Mark::Corrupt);
        }
        Verdict::Arrives { at, marks }
    }
}
