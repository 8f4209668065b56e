//! Mutexes as handles see them: where each has its place, who waits, and what guards are.
//!
//! A handle does two things by itself: it takes a token that is [parked] here, and gives it back. All else it asks of the
//! driver, by a command that is written down at once; so whoever drops a future or a guard waits for nothing.

mod drive;
mod parked;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use guthi_core::{
    protocol::{
        mutex::{Command, Fence, Ticket},
        time::Time,
        view::Epoch,
    },
    wire::{limits::WAITERS_MAX, name::Name},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

pub(super) use self::drive::Desk;
pub(crate) use self::drive::Listed;
use self::parked::{GivenBack, Parked};
use super::life::{Life, Lives};
use crate::{
    api::metrics::MutexMeters,
    calls::{pace::Pace, spin::Spin},
};

/// All mutexes of one node.
#[derive(Debug)]
pub(crate) struct Mutexes {
    life: Lives,
    spins: bool,
    /// Each for as long as somebody has a handle, or the driver has a parked token in it.
    places: DashMap<Name, Weak<Place>>,
    counter: Mutex<Counter>,
    /// The driver is asked something.
    asked: Notify,
    meters: MutexMeters,
}

/// Where handles leave what they want. Its length is bounded by [`WAITERS_MAX`] and the guards that there are.
#[derive(Debug, Default)]
struct Counter {
    closed: bool,
    last: u64,
    waiting: BTreeMap<Ticket, Waiter>,
    commands: Vec<Command>,
}

#[derive(Debug)]
struct Waiter {
    place: Arc<Place>,
    tries: bool,
    since: Time,
    /// Nothing for a try that was refused. It is dropped when the node leaves.
    answer: oneshot::Sender<Option<Grant>>,
}

/// Where one mutex is on this node.
#[derive(Debug)]
pub(crate) struct Place {
    name: Name,
    parked: Parked,
    /// Of the parked token. It is written only while that is away.
    epoch: AtomicU64,
    /// When the guard that is held here was granted; 0 if there is none.
    since: AtomicU64,
    spin: Spin,
    /// What waits of late took.
    pace: Pace,
    mutexes: Arc<Mutexes>,
}

/// Why a task does not get what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The node has left.
    Closed,
    /// Too many wait.
    Crowded,
}

impl Mutexes {
    /// Those of a node whose tasks may [look](Spin) for what they wait for.
    pub(crate) fn new(life: Lives, spins: bool) -> Arc<Self> {
        Arc::new(Self {
            life,
            spins,
            places: DashMap::new(),
            counter: Mutex::default(),
            asked: Notify::new(),
            meters: MutexMeters::default(),
        })
    }

    /// The place of a mutex.
    pub(crate) fn place(self: &Arc<Self>, name: Name) -> Arc<Place> {
        let mut entry = self.places.entry(name.clone()).or_default();
        if let Some(place) = entry.upgrade() {
            return place;
        }
        let place = Arc::new(Place {
            name,
            parked: Parked::default(),
            epoch: AtomicU64::new(0),
            since: AtomicU64::new(0),
            spin: Spin::new(self.spins),
            pace: Pace::default(),
            mutexes: self.clone(),
        });
        *entry = Arc::downgrade(&place);
        place
    }

    /// The place of a mutex, if somebody has a handle of it.
    fn known(&self, name: &Name) -> Option<Arc<Place>> {
        self.places.get(name)?.upgrade()
    }

    pub(crate) const fn meters(&self) -> &MutexMeters {
        &self.meters
    }

    /// Resolves when the driver is asked something.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Tells the driver something. It is never refused.
    fn tell(&self, command: Command) {
        self.counter.lock().commands.push(command);
        self.asked.notify_one();
    }

    fn give_up(&self, ticket: Ticket, name: &Name) {
        let mut counter = self.counter.lock();
        if counter.waiting.remove(&ticket).is_some() {
            counter.commands.push(Command::Cancel { name: name.clone(), ticket });
            drop(counter);
            self.asked.notify_one();
        }
    }
}

impl Place {
    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn meters(&self) -> &MutexMeters {
        self.mutexes.meters()
    }

    /// Takes the token if it is parked here and free.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Grant> {
        // Before the token: one that was parked in a later life is not taken for this one's.
        let life = self.mutexes.life.load();
        let grant = self.parked.take()?;
        // The guard is counted before the lease is looked at: who ends the lease looks at the count afterwards.
        life.count_guard();
        let fence = Fence { epoch: Epoch(self.epoch.load(Ordering::Relaxed)), grant };
        if !life.may_grant() {
            life.discount_guard();
            self.give_back(fence);
            return None;
        }
        let now = life.now();
        self.since.store(now.as_nanos(), Ordering::Relaxed);
        self.meters().granted(Duration::ZERO);
        let (place, life) = (self.clone(), life.clone());
        Some(Grant { place, life, fence, died: false, parked: true, since: now })
    }

    fn give_back(&self, fence: Fence) {
        if self.parked.give_back() == GivenBack::Wanted {
            self.mutexes.tell(Command::Release { name: self.name.clone(), fence });
        }
    }

    /// Whether a guard of it is held on this node.
    pub(crate) fn is_held_here(&self) -> bool {
        self.since.load(Ordering::Relaxed) != 0
    }

    /// Asks the driver for a guard. Dropping what this gives takes the question back.
    pub(crate) fn wait(self: &Arc<Self>, tries: bool) -> Result<Waiting, Refused> {
        let (answer, receiver) = oneshot::channel();
        let since = self.mutexes.life.load().now();
        let mut counter = self.mutexes.counter.lock();
        if counter.closed {
            return Err(Refused::Closed);
        }
        if counter.waiting.len() >= WAITERS_MAX {
            return Err(Refused::Crowded);
        }
        counter.last += 1;
        let ticket = Ticket(counter.last);
        counter.waiting.insert(ticket, Waiter { place: self.clone(), tries, since, answer });
        let command = ask(self.name.clone(), ticket, tries);
        counter.commands.push(command);
        drop(counter);
        self.mutexes.asked.notify_one();
        Ok(Waiting { place: self.clone(), ticket, answer: receiver })
    }
}

fn ask(name: Name, ticket: Ticket, tries: bool) -> Command {
    if tries { Command::Try { name, ticket } } else { Command::Acquire { name, ticket } }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.mutexes.places.remove_if(&self.name, |_, place| place.strong_count() == 0);
    }
}

/// A task that waits for a guard.
#[derive(Debug)]
pub(crate) struct Waiting {
    place: Arc<Place>,
    ticket: Ticket,
    answer: oneshot::Receiver<Option<Grant>>,
}

impl Waiting {
    /// The guard; nothing if it was a try that was refused.
    ///
    /// # Errors
    /// The node has left.
    pub(crate) async fn answer(mut self) -> Result<Option<Grant>, Refused> {
        // What another node holds may come at once, and waking this thread costs more than the way between the two. Who
        // holds it in this process may need this thread more than a look does.
        if !self.place.is_held_here() {
            self.place.spin.wait(self.place.pace.typical(), || !self.answer.is_empty()).await;
        }
        (&mut self.answer).await.map_err(|_| Refused::Closed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.place.mutexes.give_up(self.ticket, &self.place.name);
    }
}

/// A guard: the mutex is this node's until it is dropped, or until the lease of its life lapses.
#[derive(Debug)]
pub(crate) struct Grant {
    place: Arc<Place>,
    life: Arc<Life>,
    fence: Fence,
    died: bool,
    /// It came of the parked token, which takes it back.
    parked: bool,
    since: Time,
}

impl Grant {
    pub(crate) fn name(&self) -> &Name {
        &self.place.name
    }

    pub(crate) fn mutex(&self) -> &Name {
        &self.place.name
    }

    pub(crate) const fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) const fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Whoever had it before is perhaps dead, and has not given it back.
    pub(crate) const fn died(&self) -> bool {
        self.died
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let held = self.life.now().saturating_since(self.since);
        self.place.meters().given_back(held, self.life.is_leased());
        self.place.since.store(0, Ordering::Relaxed);
        if self.parked {
            self.place.give_back(self.fence);
        } else {
            let name = self.place.name.clone();
            self.place.mutexes.tell(Command::Release { name, fence: self.fence });
        }
        // What is not held any more need not be waited for.
        self.life.discount_guard();
    }
}
