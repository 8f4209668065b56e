//! What callers and workers say to each other here, and what an item is.

use std::time::Duration;

use guthi_core::{
    protocol::random::Random,
    wire::{
        codec,
        frame::{self, Kind},
        id::{Incarnation, Member},
        limits,
    },
};
use serde::{Deserialize, Serialize};

/// The function and the items of one map: what each costs, returns and does follows from this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// From which costs and results are drawn.
    pub seed: u64,
    /// What most items cost about, in microseconds. A few cost far more.
    pub cost_us: u32,
    /// Items that kill the process that runs them.
    pub poison: Vec<Poison>,
}

/// An item that kills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poison {
    /// Which.
    pub item: u64,
    /// Every process dies of it; otherwise about every second does.
    pub always: bool,
}

impl Work {
    pub(super) fn result(&self, item: u64) -> Entry {
        let drawn = self.draw(item, 1).next();
        if drawn.is_multiple_of(16) { Entry::Failed } else { Entry::Value((drawn >> 48) as u16) }
    }

    pub(super) fn cost(&self, item: u64) -> Duration {
        let mut random = self.draw(item, 2);
        let common = u64::from(self.cost_us) * random.within(50..=150) / 100;
        let factor = if random.below(64) == 0 { random.within(4..64) } else { 1 };
        Duration::from_micros((common * factor).clamp(1, COST_US_MAX))
    }

    pub(super) fn kills(&self, item: u64, worker: Member) -> bool {
        let poison = self.poison.iter().find(|poison| poison.item == item);
        let life = u64::from(worker.node.0[1]) << 32 | worker.incarnation.0;
        poison.is_some_and(|poison| poison.always || self.draw(item ^ life << 20, 3).below(2) == 0)
    }

    const fn draw(&self, item: u64, what: u64) -> Random {
        let mut seed = Random::new(self.seed ^ what << 56);
        Random::new(seed.next() ^ item)
    }
}

/// No item costs more, in microseconds.
const COST_US_MAX: u64 = 500_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// Run these items, one after the other.
    Assign {
        /// On which it is sent, and to which life of the worker: what comes on a lane that has ended comes too late.
        lane: u64,
        life: Incarnation,
        map: u32,
        batch: u64,
        duplicate: bool,
        /// Runs, each from its first item to the one after its last.
        items: Vec<(u64, u64)>,
        work: Work,
    },
    /// Nobody waits for this batch any more.
    Cancel { map: u32, batch: u64 },
    /// A batch was run.
    Answer { map: u32, batch: u64, busy_ns: u64, results: Vec<Entry> },
    /// A batch was not run.
    Refused { map: u32, batch: u64 },
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    Value(u16),
    Failed,
    /// It did not run.
    Returned,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, batch) = match self {
            Self::Assign { batch, .. } => (Kind::Call, batch),
            Self::Cancel { batch, .. } => (Kind::Cancel, batch),
            Self::Answer { batch, .. } | Self::Refused { batch, .. } => (Kind::Reply, batch),
        };
        let mut bytes = Vec::new();
        frame::put(&mut bytes, kind, 0, *batch, |body| codec::encode_into(self, body))
            .expect("a message is plain data");
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (frame, taken) = frame::take(bytes, limits::LANE_FRAME_BYTES_MAX).ok()??;
        let message = codec::decode(frame.body).ok()?;
        (frame.kind != Kind::Control && taken == bytes.len()).then_some(message)
    }

    /// For people.
    pub(super) fn tell(&self) -> String {
        match self {
            Self::Assign { lane, map, batch, duplicate, items, .. } => {
                let copy = if *duplicate { ", a copy" } else { "" };
                format!("assign {map}/{batch}: {} (lane {lane}{copy})", runs(items))
            }
            Self::Cancel { map, batch } => format!("cancel {map}/{batch}"),
            Self::Answer { map, batch, busy_ns, results } => {
                format!("answer {map}/{batch}: {} results, {:?}", results.len(), Duration::from_nanos(*busy_ns))
            }
            Self::Refused { map, batch } => format!("refused {map}/{batch}"),
        }
    }
}

fn runs(items: &[(u64, u64)]) -> String {
    let runs = items.iter().map(|(first, end)| format!("{first}..{end}"));
    runs.collect::<Vec<_>>().join(" ")
}
