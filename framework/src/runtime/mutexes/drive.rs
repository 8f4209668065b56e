//! What the driver does about mutexes.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use guthi_core::{
    protocol::{
        engine::Input,
        membership::{self, Holdings},
        mutex::{Command, Event, Fence, Ticket},
        time::Time,
        view::{Epoch, Lineage},
    },
    wire::name::Name,
};

use super::{Counter, Grant, Mutexes, Place, Waiter, ask};
use crate::runtime::{clock::Clock, driver::Driver, life::Life};

/// The driver's side of all mutexes.
#[derive(Debug)]
pub(in crate::runtime) struct Desk {
    mutexes: Arc<Mutexes>,
    /// Where tokens are parked.
    parked: BTreeMap<Name, Arc<Place>>,
    /// What became of tokens that were recalled, to be told before anything else.
    returned: Vec<Command>,
    /// What the services of this node hold, as the membership was told.
    told: Holdings,
    /// What others than mutexes hold.
    pub(in crate::runtime) others: Holdings,
    /// The variables of this life are written into a file: it holds none any more.
    pub(in crate::runtime) rescued: bool,
    /// What the membership allows has perhaps changed.
    stale: bool,
}

impl Desk {
    /// Of the first life, which lives by this clock, and begins in this lineage.
    pub(in crate::runtime) fn new(mutexes: Arc<Mutexes>, clock: Clock, lineage: Lineage) -> Self {
        // Whoever waits with the one that was there before waits with this one.
        mutexes.life.swap(Arc::new(Life::new(clock, lineage))).end();
        let (told, others) = (Holdings::default(), Holdings::default());
        Self { mutexes, parked: BTreeMap::new(), returned: Vec::new(), told, others, rescued: false, stale: true }
    }

    /// What the membership allows is to be looked at after this step.
    pub(in crate::runtime) const fn look_again(&mut self) {
        self.stale = true;
    }

    /// Nothing is granted or read from here on, until the next look.
    pub(in crate::runtime) fn stop_serving(&mut self) {
        self.mutexes.life.load().stop_granting();
        self.mutexes.life.load().stop_reading();
        self.stale = true;
    }

    /// Whether there are guards that are good.
    pub(in crate::runtime) fn has_guards(&self) -> bool {
        let life = self.mutexes.life.load();
        life.has_guards() && !life.is_over()
    }

    /// All guards are lost, and there are no more in this life.
    pub(in crate::runtime) fn lose_guards(&self) {
        self.life().end();
    }

    pub(in crate::runtime) fn life(&self) -> Arc<Life> {
        self.mutexes.life.load_full()
    }

    /// Takes a waiter out.
    fn called(&self, ticket: Ticket) -> Option<Waiter> {
        self.mutexes.counter.lock().waiting.remove(&ticket)
    }

    fn grant(&self, ticket: Ticket, name: Name, fence: Fence, died: bool) {
        let Some(Waiter { place, since, answer, .. }) = self.called(ticket) else {
            // It was given up in this moment.
            return self.mutexes.tell(Command::Release { name, fence });
        };
        let life = self.life();
        let now = life.now();
        let waited = now.saturating_since(since);
        place.pace.note(waited);
        life.count_guard();
        place.since.store(now.as_nanos(), Ordering::Relaxed);
        let grant = Grant { place, life, fence, died, parked: false, since: now };
        // Whoever waits no more drops the guard, which gives it back.
        if answer.send(Some(grant)).is_ok() {
            self.mutexes.meters.granted(waited);
        }
    }

    fn refuse(&self, ticket: Ticket) {
        if let Some(waiter) = self.called(ticket) {
            self.mutexes.meters.counts.refusals.one();
            let _ = waiter.answer.send(None);
        }
    }

    /// Parks a token where somebody may take it.
    fn park(&mut self, name: Name, fence: Fence) {
        let Some(place) = self.mutexes.known(&name) else { return };
        if place.parked.taken().is_none() {
            place.epoch.store(fence.epoch.0, Ordering::Relaxed);
            if place.parked.park(fence.grant) {
                self.parked.insert(name, place);
            }
        }
    }

    /// Takes a token back, and notes what has become of it. One that was parked nowhere is as it was.
    fn recall(&mut self, name: Name) {
        let nothing = (Fence { epoch: Epoch(0), grant: 0 }, false);
        let place = self.parked.remove(&name);
        let (fence, held) = place.map_or(nothing, |place| place.recall().unwrap_or(nothing));
        self.returned.push(Command::Returned { name, fence, held });
    }

    /// This life is over, or its guards are: whatever it had granted is lost.
    fn end_life(&mut self) {
        self.life().end();
        for (_, place) in mem::take(&mut self.parked) {
            place.recall();
        }
        self.returned.clear();
    }

    /// All who wait ask again, in the order in which they came.
    fn ask_again(&self) {
        let mut counter = self.mutexes.counter.lock();
        let Counter { waiting, commands, .. } = &mut *counter;
        let again = waiting.iter().map(|(ticket, it)| ask(it.place.name.clone(), *ticket, it.tries));
        *commands = again.collect();
        drop(counter);
        self.mutexes.asked.notify_one();
    }

    /// Nobody gets anything any more.
    pub(in crate::runtime) fn close(&self) {
        let mut counter = self.mutexes.counter.lock();
        counter.closed = true;
        let waiting = mem::take(&mut counter.waiting);
        let given_up = waiting.iter().map(|(ticket, it)| (it.place.name.clone(), *ticket));
        let given_up: Vec<_> = given_up.map(|(name, ticket)| Command::Cancel { name, ticket }).collect();
        counter.commands.extend(given_up);
        drop(counter);
        self.mutexes.life.load().stop_granting();
        self.mutexes.asked.notify_one();
        // Their answers are dropped, outside the lock.
        drop(waiting);
    }

    /// The node has left.
    pub(in crate::runtime) fn end(&mut self) {
        self.close();
        self.end_life();
    }
}

impl Place {
    fn recall(&self) -> Option<(Fence, bool)> {
        let recalled = self.parked.recall()?;
        let epoch = Epoch(self.epoch.load(Ordering::Relaxed));
        Some((Fence { epoch, grant: recalled.grant }, recalled.held))
    }
}

impl Driver {
    pub(in crate::runtime) fn mutex_event(&mut self, event: Event) {
        match event {
            Event::Granted { ticket, name, fence, died } => {
                // The first grant comes with the lease itself: whoever gets the guard must find it held.
                self.desk.life().publish_guards(self.guards_until());
                self.desk.grant(ticket, name, fence, died);
            }
            Event::Busy { ticket } => self.desk.refuse(ticket),
            Event::Parked { name, fence } => self.desk.park(name, fence),
            Event::Recalled { name } => self.desk.recall(name),
            // They are counted, and that is all.
            Event::Made { .. } | Event::Passed { .. } | Event::Ignored { .. } => {}
        }
    }

    /// What handles have asked for.
    pub(in crate::runtime) fn serve_mutexes(&mut self) {
        let commands = mem::take(&mut self.desk.mutexes.counter.lock().commands);
        for command in commands {
            self.step(Input::Mutex(command));
        }
    }

    /// Tells the membership what this node holds, if that has changed: it decides by that whether the node may go.
    pub(in crate::runtime) fn tell_holdings(&mut self) {
        let guards = self.desk.others.guards || self.desk.has_guards();
        let held = self.engine.holdings(guards);
        let others = self.desk.others;
        let holdings = Holdings {
            variables: (held.variables && !self.desk.rescued) || others.variables,
            home: held.home || others.home,
            ..held
        };
        if holdings != self.desk.told {
            self.desk.told = holdings;
            self.take_step(Input::Membership(membership::Command::Hold(holdings)));
        }
    }

    /// What became of recalled tokens goes back before anything else happens.
    pub(in crate::runtime) fn return_tokens(&mut self) {
        while !self.desk.returned.is_empty() {
            for command in mem::take(&mut self.desk.returned) {
                self.take_step(Input::Mutex(command));
            }
        }
    }

    /// Lets handles know what the membership allows.
    pub(in crate::runtime) fn publish_leases(&mut self) {
        if !mem::take(&mut self.desk.stale) {
            return;
        }
        let now = self.clock.now();
        let service = self.engine.service(now);
        let grants = service.until.filter(|_| service.grants(now) && self.leaving.is_none());
        let reads = service.reads.filter(|until| *until > now);
        self.desk.life().publish(grants, self.guards_until(), reads);
    }

    /// Until when guards are good.
    fn guards_until(&self) -> Option<Time> {
        let now = self.clock.now();
        self.engine.membership().lease_end().filter(|end| *end > now)
    }

    /// Others went on without this node, and it goes on as a later life.
    pub(in crate::runtime) fn begin_mutexes_anew(&mut self) {
        self.come_empty_handed(self.engine.membership().view().at.lineage);
        self.desk.told = Holdings::default();
        self.desk.ask_again();
    }

    /// This node has come into this lineage, with nothing of its own. Whoever waits goes on waiting.
    pub(in crate::runtime) fn come_empty_handed(&mut self, lineage: Lineage) {
        self.desk.rescued = false;
        self.desk.end_life();
        self.desk.mutexes.life.store(Arc::new(Life::new(self.clock, lineage)));
        self.desk.look_again();
    }

    /// The mutexes of which something is known here, and what.
    pub(in crate::runtime) fn list_mutexes(&self, prefix: &str, most: usize) -> Vec<Listed> {
        let (now, is_leased) = (self.clock.now(), self.desk.life().is_leased());
        let known = self.engine.mutex().known().filter(|(name, _)| name.starts_with(prefix));
        let listed = known.filter_map(|(name, known)| {
            let place = self.desk.mutexes.known(name);
            let taken = place.as_ref().filter(|_| known.parked).and_then(|place| place.parked.taken());
            let fence = known.fence.map(|fence| Fence { grant: taken.unwrap_or(fence.grant), ..fence });
            // A guard that is lost, for now or for good, holds nothing.
            let held = is_leased && (known.held || taken.is_some());
            let since = place.map_or(0, |place| place.since.load(Ordering::Relaxed));
            let held_for = now.saturating_since(Time::from_nanos(since));
            let held = fence.filter(|_| held).map(|fence| (fence, if since == 0 { Duration::ZERO } else { held_for }));
            let listed = Listed { name: name.clone(), token: known.token, held, waiters: known.waiters };
            (listed.token || listed.waiters > 0).then_some(listed)
        });
        listed.take(most).collect()
    }
}

/// What a node knows of a mutex.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: Name,
    /// The token is here.
    pub(crate) token: bool,
    /// By a guard of this node, for so long.
    pub(crate) held: Option<(Fence, Duration)>,
    /// Tasks of this node that wait.
    pub(crate) waiters: usize,
}
