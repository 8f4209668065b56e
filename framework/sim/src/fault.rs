//! Faults as plain data: what is done to the world, when, and for how long.

use std::{collections::BTreeMap, time::Duration};

use guthi_core::protocol::{random::Random, time::Time};
use serde::{Deserialize, Serialize};

use crate::fabric::{Conditions, Place};

/// Something that is done to the world at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When, in microseconds of the world's time.
    pub at_us: u64,
    /// For how long, in microseconds; nothing for what happens in one moment.
    pub lasts_us: u64,
    /// What.
    pub what: What,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// These nodes and the others do not reach each other.
    Split(Vec<Place>),
    /// The first does not reach the second, which reaches the first.
    OneWay(Place, Place),
    /// Nobody reaches this node, and it reaches nobody.
    Isolate(Place),
    /// Only neighbours in this order reach each other.
    Chain(Vec<Place>),
    /// Everything from the first to the second is lost.
    Burst(Place, Place),
    /// Everything from the first to the second is held, and comes at the end.
    Clog(Place, Place),
    /// The way from the first to the second takes so many times longer.
    Slow(Place, Place, u32),
    /// The two lose and find each other again and again.
    Flap(Place, Place),
    /// The connection between the two breaks; what is under way may have arrived or not.
    Reset(Place, Place),
    /// The first notices that its connection with the second has ended, the second does not.
    HalfOpen(Place, Place),
    /// The process is killed: its peers see their connections break. At the end it is started again, in a later life.
    Crash(Place),
    /// The machine loses its power: nobody is told. At the end it is started again, in a later life.
    PowerOff(Place),
    /// The process is killed and never comes back.
    Kill(Place),
    /// The process is killed; at the end another one begins, which has lost its identity with everything else.
    Replace(Place),
    /// All processes are killed at once, and started again at the end.
    CrashAll,
    /// The process leaves as one should, and comes back at the end.
    Leave(Place),
    /// The process stands still.
    Pause(Place),
    /// All processes stand still, as when a laptop sleeps.
    PauseAll,
    /// The timers of this process fire late, up to this many microseconds.
    LateWakes(Place, u32),
    /// A node that was never there before begins.
    Newcomer,
}

impl What {
    /// Its word in counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Split(_) => "split",
            Self::OneWay(..) => "one-way cut",
            Self::Isolate(_) => "isolation",
            Self::Chain(_) => "chain",
            Self::Burst(..) => "burst of losses",
            Self::Clog(..) => "clogged way",
            Self::Slow(..) => "slow way",
            Self::Flap(..) => "flapping",
            Self::Reset(..) => "connection reset",
            Self::HalfOpen(..) => "half-open connection",
            Self::Crash(_) => "crash and restart",
            Self::PowerOff(_) => "power off and on",
            Self::Kill(_) => "crash for good",
            Self::Replace(_) => "restart without identity",
            Self::CrashAll => "crash of all",
            Self::Leave(_) => "leave and return",
            Self::Pause(_) => "pause",
            Self::PauseAll => "pause of all",
            Self::LateWakes(..) => "late timers",
            Self::Newcomer => "newcomer",
        }
    }
}

impl What {
    /// Whether nothing gets from one place to the other by it.
    #[must_use]
    pub fn separates(&self, from: Place, to: Place) -> bool {
        match self {
            Self::Split(side) => side.contains(&from) != side.contains(&to),
            Self::OneWay(a, b) => (from, to) == (*a, *b),
            Self::Isolate(place) => from == *place || to == *place,
            Self::Chain(order) => {
                let at = |place| order.iter().position(|there| *there == place);
                at(from).zip(at(to)).is_some_and(|(from, to)| from.abs_diff(to) > 1)
            }
            _ => false,
        }
    }

    /// Whether it cuts ways.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        matches!(self, Self::Split(_) | Self::OneWay(..) | Self::Isolate(_) | Self::Chain(_))
    }

    /// The places that it names.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        match self {
            Self::Split(places) | Self::Chain(places) => places.clone(),
            Self::OneWay(a, b)
            | Self::Burst(a, b)
            | Self::Clog(a, b)
            | Self::Slow(a, b, _)
            | Self::Flap(a, b)
            | Self::Reset(a, b)
            | Self::HalfOpen(a, b) => vec![*a, *b],
            Self::Isolate(place)
            | Self::Crash(place)
            | Self::PowerOff(place)
            | Self::Kill(place)
            | Self::Replace(place)
            | Self::Leave(place)
            | Self::Pause(place)
            | Self::LateWakes(place, _) => vec![*place],
            Self::CrashAll | Self::PauseAll | Self::Newcomer => Vec::new(),
        }
    }

    /// Whether it ends the process that it names.
    #[must_use]
    pub const fn is_personal(&self) -> bool {
        matches!(self, Self::Crash(_) | Self::PowerOff(_) | Self::Kill(_) | Self::Replace(_) | Self::Leave(_))
    }
}

/// What a profile asks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Profile {
    /// Any fault at any rate to the end; nothing bad may happen, no progress is asked.
    Safety,
    /// Faults, then a quiet time after which everything must have come to its good end.
    Liveness,
    /// No fault at all: nobody may be suspected, and the traffic is bounded.
    Calm,
    /// Faults right where a rare branch was reached, then a quiet time as with `Liveness`.
    Targeted,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Safety, Self::Liveness, Self::Calm, Self::Targeted];

    /// Its word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Calm => "calm",
            Self::Targeted => "targeted",
        }
    }
}

/// A fault that waits for a rare branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The branch.
    pub marker: String,
    /// The so-manieth time that any node reaches it, from 0.
    pub nth: u32,
    /// For how long, in microseconds.
    pub lasts_us: u64,
    /// What is done to the node that reached it.
    pub strike: Strike,
}

/// What is done to a node where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strike {
    /// As [`What::Crash`].
    Crash,
    /// As [`What::Pause`].
    Pause,
    /// As [`What::Isolate`].
    Isolate,
}

impl Strike {
    /// The fault that it is for a node.
    #[must_use]
    pub const fn on(self, place: Place) -> What {
        match self {
            Self::Crash => What::Crash(place),
            Self::Pause => What::Pause(place),
            Self::Isolate => What::Isolate(place),
        }
    }
}

/// How often each thing was done, by its word. What a campaign never did, it has not tested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<&'static str, u64>);

impl Counters {
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// How often this was done.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All that was ever done, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}

/// The words of everything that can be done, faults and what befalls single messages.
pub const ALL: [&str; 29] = [
    "split",
    "one-way cut",
    "isolation",
    "chain",
    "burst of losses",
    "clogged way",
    "slow way",
    "flapping",
    "connection reset",
    "half-open connection",
    "crash and restart",
    "power off and on",
    "crash for good",
    "restart without identity",
    "crash of all",
    "leave and return",
    "pause",
    "pause of all",
    "late timers",
    "newcomer",
    "message lost",
    "message doubled",
    "message overtaken",
    "message straggling",
    "message of an ended connection",
    "message replayed",
    "message damaged",
    "message of an earlier life",
    "clock rate",
];

/// The conditions of a run: each chance is drawn anew, and is zero half of the time, since faults also hide each other.
pub(crate) fn conditions(profile: Profile, random: &mut Random) -> Conditions {
    let mut chance = |most: u64| if random.below(2) == 0 { 0 } else { u32::try_from(random.below(most)).unwrap_or(0) };
    let calm = profile == Profile::Calm;
    let rates = if calm {
        Conditions::default()
    } else {
        Conditions {
            loss: chance(100_000),
            duplicate: chance(100_000),
            reorder: chance(200_000),
            straggle: chance(20_000),
            stale: chance(500_000),
            replay: chance(10_000),
            corrupt: chance(1_000),
            ..Conditions::default()
        }
    };
    let delays = [(50, 50), (500, 2_000), (5_000, 5_000), (40_000, 20_000)];
    let (delay_us, jitter_us) = *random.pick(&delays);
    Conditions { delay_us, jitter_us, ..rates }
}

/// The conditions after the faults: the way takes as long as before, and nothing else happens.
pub(crate) fn healed(conditions: Conditions) -> Conditions {
    Conditions { delay_us: conditions.delay_us, jitter_us: conditions.jitter_us, ..Conditions::default() }
}

/// Faults for a run of that many nodes, up to the given time.
pub(crate) fn plan(nodes: u16, until: Time, random: &mut Random) -> Vec<Fault> {
    let end = until.as_nanos() / 1000;
    let count = random.below(12);
    let mut faults: Vec<_> = (0..count)
        .map(|_| Fault { at_us: random.below(end), lasts_us: duration(random), what: what(nodes, random) })
        .collect();
    faults.sort_by_key(|fault| fault.at_us);
    faults
}

/// Mostly around the time-outs of the protocols, sometimes far longer.
fn duration(random: &mut Random) -> u64 {
    let most = [200_000, 3_000_000, 10_000_000, 60_000_000];
    let most = *random.pick(&most);
    random.below(most)
}

fn what(nodes: u16, random: &mut Random) -> What {
    let one = |random: &mut Random| Place::try_from(random.below(u64::from(nodes))).unwrap_or(0);
    let first = one(random);
    let second = (first + 1 + Place::try_from(random.below(u64::from(nodes.max(2) - 1))).unwrap_or(0)) % nodes;
    match random.below(20) {
        0 => What::Split((0..nodes).filter(|_| random.below(2) == 0).collect()),
        1 => What::OneWay(first, second),
        2 => What::Isolate(first),
        3 => {
            let mut order: Vec<Place> = (0..nodes).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap_or(0));
            }
            What::Chain(order)
        }
        4 => What::Burst(first, second),
        5 => What::Clog(first, second),
        6 => What::Slow(first, second, u32::try_from(random.within(2..50)).unwrap_or(2)),
        7 => What::Flap(first, second),
        8 => What::Reset(first, second),
        9 => What::HalfOpen(first, second),
        10 => What::Crash(first),
        11 => What::PowerOff(first),
        12 => What::Kill(first),
        13 => What::Replace(first),
        14 => What::CrashAll,
        15 => What::Leave(first),
        16 => What::Pause(first),
        17 => What::PauseAll,
        18 => What::LateWakes(first, u32::try_from(random.below(1_000_000)).unwrap_or(0)),
        _ => What::Newcomer,
    }
}

/// A fault's end.
pub(crate) fn end(fault: &Fault) -> Time {
    micros(fault.at_us.saturating_add(fault.lasts_us))
}

pub(crate) fn micros(micros: u64) -> Time {
    Time::default() + Duration::from_micros(micros)
}
