use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::mem;

use super::{
    Command, Config, Estate, Event, Ignored, Message, Operation, Part, Prefix, Report, State, Ticket,
    again::{Again, Asking},
    copies::Copy,
    following::{Follower, Following},
    here::Here,
    recovery::{Homing, Phase, Staged, Store},
    serving::Slot,
    writer::Writer,
};
use crate::{
    protocol::{
        bugs::Bug,
        contract::{self, Effect, Protocol, ViewChange},
        home::Shard,
        service::Service,
        time::Time,
        view::{Epoch, View},
    },
    wire::{id::Member, name::Name},
};

pub(super) type Outbox = contract::Outbox<Effect<Machine>>;

/// One node's part in all variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    pub(super) here: Here,
    /// What tasks of this node may read.
    pub(super) copies: BTreeMap<Name, Copy>,
    /// Those that they watch: there is always a copy of each, or one is asked for.
    pub(super) watched: BTreeSet<Name>,
    /// Those of them of which there is none at this moment of a step.
    pub(super) missed: BTreeSet<Name>,
    /// What they follow, by how the names begin.
    pub(super) following: BTreeMap<Prefix, Following>,
    /// Who follows what is at home here, each under the number of its question.
    pub(super) followers: BTreeMap<(u16, u64), Follower>,
    /// What they want to be done.
    pub(super) writers: BTreeMap<Name, Writer>,
    /// What this node keeps: of shards that it is a home of, and of those whose homes do not have it yet.
    pub(super) stores: BTreeMap<Shard, Store>,
    /// What an earlier life has kept.
    pub(super) estate: Option<Estate>,
    /// The shards that have their first home here, in this view.
    pub(super) homing: BTreeMap<Shard, Homing>,
    /// The variables of those with which something is under way.
    pub(super) slots: BTreeMap<Name, Slot>,
    /// Of each member, all batches before this number are answered, as far as is known in this view.
    pub(super) settled: BTreeMap<Member, u64>,

    // From view to view.
    /// What the others are yet to be told of what this node has brought, and of what an earlier life of it has had.
    pub(super) pieces: BTreeMap<(u16, bool), VecDeque<Report>>,
    /// The next piece that each has to tell; of its own, and of an earlier life of it.
    pub(super) heard: BTreeMap<(u16, bool), u32>,
    /// Who has told all; of its own, and of an earlier life of it.
    pub(super) told: BTreeSet<(u16, bool)>,
    /// All survivors have.
    pub(super) recovering: bool,
    /// Shards that are yet to be made complete; those that somebody waits for come first.
    pub(super) to_recover: BTreeSet<(bool, Shard)>,
    pub(super) under_recovery: BTreeSet<Shard>,
    /// Shards that are complete, and wait for the view to be active.
    pub(super) full: BTreeSet<Shard>,
    /// Pieces of shards that the first home is sending.
    pub(super) staged: BTreeMap<Shard, Staged>,
    /// Who may forget what it has kept; of its own, and of an earlier life of it.
    pub(super) releasing: BTreeMap<(u16, bool), BTreeSet<Shard>>,
    pub(super) to_release: BTreeSet<(u16, bool)>,

    /// This lineage holds variables, as far as is known here.
    pub(super) holding: bool,
    /// Variables that are written, and wait for the membership.
    pub(super) blocked: BTreeSet<Name>,
    /// Messages of views that this node is not in, and may enter.
    early: BTreeMap<Member, Vec<Message>>,
    pub(super) again: Again,
}

/// So many messages of later views are kept for each member.
const EARLY_MAX: usize = 64;

/// A variable at its first home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its state as it was written last, or is being written.
    pub state: State,
    /// Who keeps it, the first home first.
    pub homes: Vec<Member>,
    /// How many others have a copy, perhaps.
    pub copies: usize,
}

/// How the shards are that have their first home here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shards {
    /// Those that are served.
    pub active: u32,
    /// Those that will be.
    pub recovering: u32,
    /// Those of which nobody is left who had them.
    pub orphaned: u32,
}

impl Machine {
    /// The variables of a node that has just come to a view, and has brought nothing into it. In the first view of a lineage
    /// all shards are complete, since there is nothing in them.
    #[must_use]
    pub fn new(me: Member, config: Config, view: View) -> Self {
        let mut machine = Self {
            here: Here::new(me, config, view),
            copies: BTreeMap::new(),
            watched: BTreeSet::new(),
            missed: BTreeSet::new(),
            following: BTreeMap::new(),
            followers: BTreeMap::new(),
            writers: BTreeMap::new(),
            stores: BTreeMap::new(),
            estate: None,
            homing: BTreeMap::new(),
            slots: BTreeMap::new(),
            settled: BTreeMap::new(),
            pieces: BTreeMap::new(),
            heard: BTreeMap::new(),
            told: BTreeSet::new(),
            recovering: false,
            to_recover: BTreeSet::new(),
            under_recovery: BTreeSet::new(),
            full: BTreeSet::new(),
            staged: BTreeMap::new(),
            releasing: BTreeMap::new(),
            to_release: BTreeSet::new(),
            holding: false,
            blocked: BTreeSet::new(),
            early: BTreeMap::new(),
            again: Again::new(config.repeat_min, config.repeat_max),
        };
        machine.count_homes();
        if machine.here.view.past.is_empty() {
            let epoch = machine.here.view.at.epoch;
            let own = machine.here.own_shards().map(|(shard, _)| shard).collect::<Vec<_>>();
            machine.stores = own.into_iter().map(|it| (it, Store { full: epoch, ..Store::default() })).collect();
            machine.homing.values_mut().for_each(|homing| homing.phase = Phase::Active);
            machine.recovering = true;
        }
        // Who was taken in some views ago counts as one who has something to report.
        machine.prepare_reports();
        machine
    }

    /// What the membership allows in the steps to come, until this is said again.
    pub const fn attend(&mut self, service: Service) {
        self.here.service = service;
    }

    /// Whether something waits for the membership: then [`Command::Proceed`] may help.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        !self.blocked.is_empty() || !self.full.is_empty()
    }

    /// In which view it is.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.here.view
    }

    /// Whether the lineage holds variables, as far as is known here.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        self.holding
    }

    /// Whether this node keeps shards, which others may not have yet.
    #[must_use]
    pub fn is_keeping(&self) -> bool {
        !self.stores.is_empty()
    }

    /// The variables whose first home this is, by name, from a name on.
    pub fn known<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Name, Known)> + 'a {
        let stores = self.stores.iter().filter(|(shard, _)| self.here.is_home(**shard));
        stores.flat_map(move |(shard, store)| {
            let records = store
                .records
                .iter()
                .filter(move |(name, record)| name.starts_with(prefix) && record.state.value.is_some());
            records.map(move |(name, record)| {
                let homes = self.here.homes(*shard).iter().filter_map(|seat| self.here.member(*seat)).collect();
                let copies = self.slots.get(name).map_or(0, |slot| slot.copies.len());
                (name, Known { state: record.state.clone(), homes, copies })
            })
        })
    }

    /// How the shards are that have their first home here.
    #[must_use]
    pub fn shards(&self) -> Shards {
        let mut shards = Shards::default();
        for homing in self.homing.values() {
            match homing.phase {
                Phase::Active => shards.active += 1,
                Phase::Orphaned(_) => shards.orphaned += 1,
                _ => shards.recovering += 1,
            }
        }
        shards
    }

    /// The orphaned ones, with the view in which somebody had them last.
    pub fn orphans(&self) -> impl Iterator<Item = (Shard, Epoch)> + '_ {
        self.homing.iter().filter_map(|(shard, homing)| match homing.phase {
            Phase::Orphaned(since) => Some((*shard, since)),
            _ => None,
        })
    }

    /// The copies that may be read here as long as the membership allows that.
    pub fn readable(&self) -> impl Iterator<Item = (&Name, &State)> {
        self.copies.iter().filter_map(|(name, copy)| match copy {
            Copy::Valid(state) => Some((name, state)),
            Copy::Pending { .. } => None,
        })
    }

    /// Whether this node is the first home of this variable, and serves its shard.
    #[must_use]
    pub fn serves(&self, name: &Name) -> bool {
        let homing = self.homing.get(&self.here.shard(name));
        homing.is_some_and(|homing| homing.phase == Phase::Active)
    }

    /// What this node keeps of a variable.
    #[must_use]
    pub fn kept(&self, name: &Name) -> Option<&State> {
        let store = self.stores.get(&self.here.shard(name))?;
        store.records.get(name).map(|record| &record.state)
    }

    /// The operations without an answer: those that were said to somebody, and those that were not.
    #[must_use]
    pub fn unfinished(&self) -> (Vec<Ticket>, Vec<(Name, Ticket, Operation)>) {
        let said = self.writers.values().filter_map(|writer| writer.sealed.as_ref());
        let said = said.flat_map(|batch| batch.tickets.iter().copied()).collect();
        let unsaid = self.writers.iter().flat_map(|(name, writer)| {
            writer.next.iter().map(move |(ticket, operation)| (name.clone(), *ticket, operation.clone()))
        });
        (said, unsaid.collect())
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.here.config.bugs.has(bug)
    }

    fn count_homes(&mut self) {
        let own = self.here.own_shards().filter(|(_, first)| *first);
        self.homing = own.map(|(shard, _)| (shard, Homing::new(Phase::Reporting))).collect();
    }
}

impl Protocol for Machine {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox) {
        self.here.now = now;
        let stale = self.has(Bug::OldWriteTaken) && message.at.is_before(self.here.view.at);
        if message.at != self.here.view.at && !stale {
            return self.elsewhere(from, message, out);
        }
        let ignore = |reason, out: &mut Outbox| out.emit(Event::Ignored { from, reason });
        let Some(seat) = self.here.seat_of(from) else { return ignore(Ignored::NotMember, out) };
        if !self.here.service.open {
            return ignore(Ignored::Wedged, out);
        }
        for part in message.parts {
            if stale && !matches!(part, Part::Store { .. } | Part::Invalidate { .. }) {
                continue;
            }
            self.hear(seat, from, part, out);
        }
        self.end(out);
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox) {
        self.here.now = now;
        match command {
            Command::Read { name } => self.read(name, out),
            Command::Watch { name } => self.watch(name, out),
            Command::Unwatch { name } => {
                self.watched.remove(&name);
            }
            Command::Follow { prefix } => self.follow(prefix),
            Command::Unfollow { prefix } => self.unfollow(&prefix),
            Command::Operate(operations) => self.operate(operations, out),
            Command::Cancel { name, ticket } => {
                if !self.cancel(&name, ticket, out) {
                    out.emit(Event::Ignored { from: self.here.me, reason: Ignored::NotAsked });
                }
            }
            Command::Forget { name } => {
                self.watched.remove(&name);
                self.copies.remove(&name);
            }
            Command::Install { view, orphaned } => self.install(now, view, orphaned, out),
            Command::Inherit(estate) => {
                self.estate = Some(estate);
                self.prepare_offers();
            }
            Command::Proceed => {
                for name in mem::take(&mut self.blocked) {
                    self.pursue(&name, out);
                }
                for shard in self.full.clone() {
                    self.finish(shard, out);
                }
            }
        }
        self.end(out);
    }

    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox) {
        self.here.now = now;
        let ViewChange::Linked(member) = change else { return };
        // What was said over an earlier link may be lost.
        let Some(seat) = self.here.seat_of(member) else { return };
        if self.holding {
            self.here.post(seat, Part::Holding);
        }
        for (level, asking) in self.again.all() {
            self.say_again(level, asking);
        }
        self.end(out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        self.here.now = now;
        for (level, asking) in self.again.due(now) {
            self.say_again(level, asking);
        }
        self.end(out);
    }

    fn deadline(&self) -> Option<Time> {
        self.again.first()
    }
}

impl Machine {
    /// What this node says to itself is heard in the same step, and what it says to others goes out.
    fn end(&mut self, out: &mut Outbox) {
        let (me, seat) = (self.here.me, self.here.seat());
        loop {
            self.ask_for_missed();
            while let Some(part) = self.here.next_own() {
                self.hear(seat, me, part, out);
            }
            if let Some((to, estate)) = self.to_release.pop_first() {
                self.say_release(to, estate, 0);
            } else if self.missed.is_empty() {
                break;
            }
        }
        self.here.flush(out);
        debug_assert_eq!(super::invariant::check(self), Ok(()));
    }

    fn hear(&mut self, seat: u16, from: Member, part: Part, out: &mut Outbox) {
        let (heard, reason) = match part {
            Part::Read { name, nonce } => (self.hear_read(seat, name, nonce, out), Ignored::NotHome),
            Part::Data { name, nonce, state } => (self.hear_data(name, nonce, state, out), Ignored::NotAsked),
            Part::Write { name, number, nonce, settled, operations } => {
                (self.hear_write(seat, name, (number, nonce, settled), operations, out), Ignored::NotHome)
            }
            Part::Wrote { name, number, outcomes, version, copy } => {
                (self.hear_wrote(name, number, outcomes, version, copy, out), Ignored::NotAsked)
            }
            Part::Invalidate { name, version } => {
                self.hear_invalidate(seat, name, version, out);
                (true, Ignored::NotAsked)
            }
            Part::Invalidated { name, version } => {
                (self.hear_invalidated(seat, &name, version, out), Ignored::NotAsked)
            }
            Part::Store { name, record } => (self.hear_store(seat, name, record, out), Ignored::NotHome),
            Part::Stored { name, version } => (self.hear_stored(seat, &name, version, out), Ignored::NotAsked),
            Part::Report(report) => (self.hear_report(seat, report, out), Ignored::NotAsked),
            Part::Reported { chunk } => (self.hear_told(seat, false, chunk), Ignored::NotAsked),
            Part::Pull { shard, estate, names } => (self.hear_pull(seat, shard, estate, names), Ignored::NotAsked),
            Part::Pulled { shard, records } => (self.hear_pulled(shard, records, out), Ignored::NotAsked),
            Part::Fill { shard, chunk, last, entries } => {
                (self.hear_fill(seat, shard, (chunk, last), entries, out), Ignored::NotHome)
            }
            Part::Filled { shard, chunk } => (self.hear_filled(seat, shard, chunk, out), Ignored::NotAsked),
            Part::Release { shards, estate } => {
                self.hear_release(seat, shards, estate);
                (true, Ignored::NotAsked)
            }
            Part::Released { shards, estate } => (self.hear_released(seat, &shards, estate), Ignored::NotAsked),
            Part::Offer { of, report } => (self.hear_offer(seat, of, report, out), Ignored::NotAsked),
            Part::Offered { chunk } => (self.hear_told(seat, true, chunk), Ignored::NotAsked),
            Part::Follow { prefix, nonce } => (self.hear_follow(seat, prefix, nonce), Ignored::TooMany),
            Part::News { nonce, piece, news, listed, lost } => {
                (self.hear_news(seat, (nonce, piece), (news, listed, lost), out), Ignored::NotAsked)
            }
            Part::Heard { nonce, piece } => (self.hear_heard(seat, nonce, piece), Ignored::NotAsked),
            Part::Unfollow { nonce } => {
                self.hear_unfollow(seat, nonce);
                (true, Ignored::NotAsked)
            }
            Part::Holding => {
                self.holding = true;
                (true, Ignored::NotAsked)
            }
        };
        if !heard {
            out.emit(Event::Ignored { from, reason });
        }
    }

    /// Says again what waits for an answer still, and forgets what has one.
    fn say_again(&mut self, level: usize, asking: Asking) {
        if !self.is_asking(&asking) {
            return;
        }
        match asking {
            Asking::Read(name, nonce) => self.say_read(name, nonce, level),
            Asking::Watched(name) => self.ask(name),
            Asking::Follow(prefix, seat) => self.say_follow(prefix, seat, level),
            Asking::News(seat, nonce, _) => self.say_news((seat, nonce), level),
            Asking::Write(name, _) => self.say_write(name, level),
            Asking::Commit(name, _) => self.say_commit(&name, None, level),
            Asking::Report(seat, estate, _) => self.say_piece(seat, estate, level),
            Asking::Pull(shard, _) => self.say_pull(shard, level),
            Asking::Fill(shard, seat, _) => self.fill(shard, seat, level),
            Asking::Release(seat, estate) => self.say_release(seat, estate, level),
        }
    }

    /// Whether it has no answer yet.
    pub(super) fn is_asking(&self, asking: &Asking) -> bool {
        match asking {
            Asking::Read(name, nonce) => self.awaits(name, *nonce) && !self.is_brought_by_a_write(name, *nonce),
            Asking::Follow(prefix, seat) => self.awaits_list(prefix, *seat),
            Asking::News(seat, nonce, piece) => self.awaits_heard((*seat, *nonce), *piece),
            Asking::Watched(name) => self.watched.contains(name) && !self.copies.contains_key(name),
            Asking::Write(name, number) => {
                let sealed = self.writers.get(name).and_then(|writer| writer.sealed.as_ref());
                sealed.is_some_and(|batch| batch.number == *number)
            }
            Asking::Commit(name, version) => {
                let pending = self.slots.get(name).and_then(|slot| slot.pending.as_ref());
                pending.is_some_and(|pending| pending.version == *version)
            }
            Asking::Report(seat, estate, chunk) => self.is_telling(*seat, *estate, *chunk),
            Asking::Pull(shard, missing) => self.is_missing(*shard, *missing),
            Asking::Fill(shard, seat, chunk) => self.is_filling(*shard, *seat, *chunk),
            Asking::Release(seat, estate) => self.releasing.contains_key(&(*seat, *estate)),
        }
    }

    fn is_brought_by_a_write(&self, name: &Name, nonce: u64) -> bool {
        let sealed = self.writers.get(name).and_then(|writer| writer.sealed.as_ref());
        sealed.is_some_and(|batch| batch.nonce == Some(nonce))
    }

    /// A message of another view: of an earlier one its sender says it again; any other is kept, since this node perhaps enters
    /// that view.
    fn elsewhere(&mut self, from: Member, message: Message, out: &mut Outbox) {
        let mut reason = Ignored::Old;
        if !message.at.is_before(self.here.view.at) {
            let early = self.early.entry(from).or_default();
            if early.len() < EARLY_MAX {
                out.reached("variable: a message of a later view");
                return early.push(message);
            }
            reason = Ignored::TooMany;
        }
        out.emit(Event::Ignored { from, reason });
    }

    fn install(&mut self, now: Time, view: View, orphaned: bool, out: &mut Outbox) {
        if view.at == self.here.view.at {
            return;
        }
        // Who comes from elsewhere brings nothing, even if it was taken in some views ago and learns that only now.
        let since = |view: &View| view.seat(self.here.me).map(|seat| seat.since);
        let survives = since(&view) == since(&self.here.view);
        let homes_before = self.here.first_homes();
        if !survives {
            self.give_up_writing(out);
        }
        self.here.enter(view);
        self.slots.clear();
        self.followers.clear();
        self.settled.clear();
        self.staged.clear();
        self.blocked.clear();
        self.full.clear();
        self.to_recover.clear();
        self.under_recovery.clear();
        self.releasing.clear();
        self.to_release.clear();
        self.again.clear();
        self.recovering = false;
        if !survives {
            self.stores.clear();
            self.holding = false;
            self.go_on_writing(out);
        }
        if orphaned {
            // What was there may have been changed by those who are gone: nothing of it is complete.
            self.stores.values_mut().for_each(|store| store.full = Epoch(0));
        }
        if self.has(Bug::RecordsDroppedEarly) {
            let own: BTreeSet<_> = self.here.own_shards().map(|(shard, _)| shard).collect();
            self.stores.retain(|shard, _| own.contains(shard));
        }
        self.count_homes();
        // Who becomes home and does not have it yet has to say so later: else nobody knows that it did not serve it.
        for (shard, _) in self.here.own_shards() {
            self.stores.entry(shard).or_default();
        }
        self.keep_copies(|shard| homes_before.get(&shard).copied(), survives && !orphaned, out);
        self.watch_again();
        self.follow_again(survives);
        self.prepare_reports();
        self.prepare_offers();
        self.write_again();
        self.recover(out);
        for (from, messages) in mem::take(&mut self.early) {
            for message in messages {
                let later = self.here.view.at.is_before(message.at);
                if later || message.at == self.here.view.at {
                    self.receive(now, from, message, out);
                }
            }
        }
    }
}
