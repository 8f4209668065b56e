//! What is under way between all nodes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use guthi_core::{
    protocol::{random::Random, time::Time},
    wire::id::NodeId,
};
use guthi_sim::fabric::{Conditions, Fabric, Kind, Place, Verdict};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::stream::Pipe;
use crate::network::{Connection, ConnectionId, Event, Protocol, Stream};

/// The ways, who is there, and what is on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) fabric: Fabric,
    pub(super) random: Random,
    pub(super) began: Instant,
    /// Where a node lives, in all its lives.
    pub(super) places: BTreeMap<NodeId, Place>,
    pub(super) plugs: BTreeMap<Place, Plug>,
    /// Who stands still.
    pub(super) still: BTreeSet<Place>,
    pub(super) cuts: Vec<(Place, Place)>,
    pub(super) lines: BTreeMap<ConnectionId, Line>,
    /// Counts plugs and connections: no number is used twice.
    pub(super) last: u64,
    /// Dials under way.
    pub(super) dials: usize,
    /// Parcels so far.
    pub(super) sent: u64,
}

/// A node that is there.
#[derive(Debug)]
pub(super) struct Plug {
    pub(super) life: u64,
    pub(super) events: mpsc::Sender<Event>,
}

/// A connection; its dialler is at the first end.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) ends: [End; 2],
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) place: Place,
    /// What is under way to this end.
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) arrived: Arc<Notify>,
    /// Breaks the streams of this end.
    pub(super) broken: CancellationToken,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Its closing is under way to its node, and nothing else is.
    Closing,
    /// Its node has been told, or is gone.
    Closed,
}

#[derive(Debug)]
pub(super) struct Parcel {
    /// Nothing while it is held.
    pub(super) arrives: Option<Time>,
    pub(super) cargo: Cargo,
}

#[derive(Debug)]
pub(super) enum Cargo {
    Connected(Connection),
    Opened(Protocol, Stream),
    Bytes(Arc<Pipe>, Vec<u8>),
    /// The writer of a pipe has ended it.
    Ended(Arc<Pipe>),
    /// The reader of a pipe is gone.
    Left(Arc<Pipe>),
    Closed(String),
}

/// What a way does with the first parcel on it.
pub(super) enum Next {
    Arrived(Cargo),
    Later(Option<Instant>),
    Never,
}

impl Exchange {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            fabric: Fabric::new(conditions),
            random: Random::new(seed),
            began: Instant::now(),
            places: BTreeMap::new(),
            plugs: BTreeMap::new(),
            still: BTreeSet::new(),
            cuts: Vec::new(),
            lines: BTreeMap::new(),
            last: 0,
            dials: 0,
            sent: 0,
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn instant(&self, at: Time) -> Instant {
        self.began + Duration::from_nanos(at.as_nanos())
    }

    /// The place of a node; a new one if it was never here.
    pub(super) fn place(&mut self, node: NodeId) -> Place {
        let next = Place::try_from(self.places.len()).expect("fewer than 65,536 nodes in a process");
        *self.places.entry(node).or_insert(next)
    }

    /// Whether that life of a node is the one that is there.
    pub(super) fn is_alive(&self, place: Place, life: u64) -> bool {
        self.plugs.get(&place).is_some_and(|plug| plug.life == life)
    }

    pub(super) fn side(&self, id: ConnectionId, place: Place) -> Option<usize> {
        self.lines.get(&id)?.ends.iter().position(|end| end.place == place)
    }

    /// When a parcel arrives that leaves now; never, as long as it is held.
    pub(super) fn arrival(&mut self, from: Place, to: Place) -> Option<Time> {
        let now = self.now();
        match self.fabric.verdict(now, from, to, Kind::Stream, &mut self.random) {
            Verdict::Arrives { at, .. } => at.first().copied(),
            // No conditions are set here under which a stream would lose anything.
            Verdict::Held | Verdict::Lost(_) => None,
        }
    }

    /// Sends a parcel from one end of a connection; gives it back if either end is closed.
    pub(super) fn send(&mut self, id: ConnectionId, from: usize, cargo: Cargo) -> Option<Cargo> {
        let Some(line) = self.lines.get(&id).filter(|line| line.ends.iter().all(|end| end.state == State::Open)) else {
            return Some(cargo);
        };
        let (here, there) = (line.ends[from].place, line.ends[1 - from].place);
        let arrives = self.arrival(here, there);
        self.push(id, 1 - from, arrives, cargo);
        None
    }

    pub(super) fn push(&mut self, id: ConnectionId, to: usize, arrives: Option<Time>, cargo: Cargo) {
        self.sent += 1;
        if let Some(line) = self.lines.get_mut(&id) {
            line.ends[to].parcels.push_back(Parcel { arrives, cargo });
            line.ends[to].arrived.notify_one();
        }
    }

    /// Ends one end of a connection, and sends the other one word of it. Returns what was under way to this end.
    pub(super) fn close(&mut self, id: ConnectionId, side: usize, word: &str, state: State) -> VecDeque<Parcel> {
        let Some(line) = self.lines.get_mut(&id) else { return VecDeque::new() };
        let (place, other) = (line.ends[side].place, line.ends[1 - side].place);
        let end = &mut line.ends[side];
        let before = mem::replace(&mut end.state, state);
        end.broken.cancel();
        end.arrived.notify_one();
        let dropped = mem::take(&mut end.parcels);
        if before == State::Open && line.ends[1 - side].state == State::Open {
            let arrives = self.arrival(place, other);
            self.push(id, 1 - side, arrives, Cargo::Closed(word.into()));
        }
        self.forget(id);
        dropped
    }

    /// The node at this end knows that the connection is closed.
    pub(super) fn told(&mut self, id: ConnectionId, side: usize) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.ends[side].state = State::Closed;
            line.ends[side].broken.cancel();
            self.forget(id);
        }
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        if self.lines.get(&id).is_some_and(|line| line.ends.iter().all(|end| end.state == State::Closed)) {
            self.lines.remove(&id);
        }
    }

    pub(super) fn receiver(&self, id: ConnectionId, side: usize) -> Option<(Arc<Notify>, mpsc::WeakSender<Event>)> {
        let end = &self.lines.get(&id)?.ends[side];
        Some((end.arrived.clone(), self.plugs.get(&end.place)?.events.downgrade()))
    }

    pub(super) fn next(&mut self, id: ConnectionId, side: usize) -> Next {
        let now = self.now();
        let Some(line) = self.lines.get_mut(&id) else { return Next::Never };
        let end = &mut line.ends[side];
        match end.parcels.front() {
            _ if end.state == State::Closed => Next::Never,
            Some(Parcel { arrives: Some(at), .. }) if *at <= now => {
                Next::Arrived(end.parcels.pop_front().expect("it is there").cargo)
            }
            Some(Parcel { arrives: Some(at), .. }) => {
                Next::Later(Some(self.began + Duration::from_nanos(at.as_nanos())))
            }
            Some(Parcel { arrives: None, .. }) | None => Next::Later(None),
        }
    }

    /// Holds all ways of those who stand still.
    pub(super) fn clog(&mut self) {
        for from in self.places.values() {
            for to in self.places.values().filter(|to| *to != from) {
                self.fabric.clog(*from, *to, self.still.contains(from) || self.still.contains(to));
            }
        }
    }

    /// What was held and is so no longer leaves now, in order.
    pub(super) fn free(&mut self) {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            for side in [0, 1] {
                let ends = &self.lines[&id].ends;
                let (from, to) = (ends[1 - side].place, ends[side].place);
                let held = ends[side].parcels.iter().position(|parcel| parcel.arrives.is_none());
                for index in held.unwrap_or(ends[side].parcels.len())..ends[side].parcels.len() {
                    let Some(at) = self.arrival(from, to) else { break };
                    let end = &mut self.lines.get_mut(&id).expect("it is there").ends[side];
                    end.parcels[index].arrives = Some(at);
                    end.arrived.notify_one();
                }
            }
        }
    }
}

impl End {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            parcels: VecDeque::new(),
            arrived: Arc::default(),
            broken: CancellationToken::new(),
            state: State::Open,
        }
    }
}
