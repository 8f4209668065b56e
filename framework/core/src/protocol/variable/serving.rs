//! What the first home of a variable does: it answers reads, and makes one version after the other of what is to be written.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::cmp::Ordering;

use super::{
    Action, Event, Machine, Operation, Outcome, Part, Recent, Record, Refusal, State, Version,
    again::Asking,
    copies::Copy,
    machine::Outbox,
    recovery::{Homing, Phase},
};
use crate::{
    protocol::{bugs::Bug, home::Shard},
    wire::{id::Member, limits::VARIABLES_MAX, name::Name},
};

/// What is under way with a variable at its first home. There is none where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    /// Who has a copy, perhaps, and under which number it came in this view; this node is never among them.
    pub(super) copies: BTreeMap<u16, u64>,
    /// The version that is being written.
    pub(super) pending: Option<Pending>,
    /// What is to be written after it, as one version.
    pub(super) queue: VecDeque<Asked>,
    /// Who wants a copy after it, and under which number.
    pub(super) reads: Vec<(u16, u64)>,
    /// Batches of this view that have changed nothing, so that they change nothing later: the last of each member.
    pub(super) vain: Vec<Recent>,
}

/// A batch at home.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    by: u16,
    number: u64,
    nonce: Option<u64>,
    operations: Vec<Operation>,
}

/// A version on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) version: Version,
    /// The homes that have not said yet that they keep it.
    pub(super) stores: BTreeSet<u16>,
    /// Those who have not said yet that their copies are none any more.
    pub(super) invalidations: BTreeSet<u16>,
    /// Who is told when it is written.
    answers: Vec<(u16, u64, Option<u64>)>,
    operations: u32,
    /// It has another value than before.
    changed: bool,
    /// How many copies were taken back for it.
    withdrawn: u32,
}

impl Slot {
    fn is_idle(&self) -> bool {
        let quiet = self.pending.is_none() && self.queue.is_empty() && self.reads.is_empty();
        quiet && self.copies.is_empty() && self.vain.is_empty()
    }

    /// Whether a batch of this number is being written, whoever has said it.
    pub(super) fn is_writing(&self, number: u64) -> bool {
        self.pending.iter().flat_map(|pending| &pending.answers).any(|(_, it, _)| *it == number)
    }
}

impl Pending {
    /// Copies that were left behind by a version that nobody was told of are taken back before that is served.
    pub(super) const fn stale(version: Version, invalidations: BTreeSet<u16>) -> Self {
        Self {
            version,
            stores: BTreeSet::new(),
            invalidations,
            answers: Vec::new(),
            operations: 0,
            changed: true,
            withdrawn: 0,
        }
    }

    fn is_complete(&self) -> bool {
        self.stores.is_empty() && self.invalidations.is_empty()
    }
}

/// What a batch that comes has to do with those before it.
enum Known {
    /// It is new.
    Not,
    /// It was done or refused.
    Answered,
    /// A later one of the same member is known: it is an old duplicate.
    Older,
}

impl Machine {
    pub(super) fn hear_read(&mut self, from: u16, name: Name, nonce: u64, out: &mut Outbox) -> bool {
        let shard = self.here.shard(&name);
        let Some(homing) = self.homing.get(&shard) else { return false };
        if homing.is_orphaned() {
            self.here.post(from, Part::Data { name, nonce, state: None });
            return true;
        }
        if !self.has_room(&name) {
            return false;
        }
        let slot = self.slots.entry(name.clone()).or_default();
        // Of several questions of one node the last counts.
        slot.reads.retain(|(seat, _)| *seat != from);
        slot.reads.push((from, nonce));
        self.pursue(&name, out);
        true
    }

    pub(super) fn hear_write(
        &mut self,
        from: u16,
        name: Name,
        (number, nonce, settled): (u64, Option<u64>, u64),
        operations: Vec<Operation>,
        out: &mut Outbox,
    ) -> bool {
        let shard = self.here.shard(&name);
        let (Some(by), Some(homing)) = (self.here.member(from), self.homing.get(&shard)) else { return false };
        let orphaned = homing.is_orphaned();
        self.note_settled(by, settled);
        if orphaned && operations.iter().any(|it| it.action == Action::Reset) {
            self.reset(shard, out);
        }
        if !self.has_room(&name) {
            let outcomes = operations.iter().map(|_| Outcome::Refused(Refusal::Full)).collect();
            self.here.post(from, Part::Wrote { name, number, outcomes, version: Version::default(), copy: None });
            return true;
        }
        let slot = self.slots.entry(name.clone()).or_default();
        let queued = slot.queue.iter().any(|it| it.by == from && it.number == number);
        let pending = slot.pending.iter().flat_map(|it| &it.answers).any(|it| it.0 == from && it.1 == number);
        if queued || pending {
            out.reached("variable: a batch that is under way is said again");
            return true;
        }
        slot.queue.push_back(Asked { by: from, number, nonce, operations });
        self.pursue(&name, out);
        true
    }

    fn has_room(&self, name: &Name) -> bool {
        self.slots.len() < VARIABLES_MAX || self.slots.contains_key(name)
    }

    pub(super) fn hear_stored(&mut self, from: u16, name: &Name, version: Version, out: &mut Outbox) -> bool {
        self.acknowledge(name, version, out, |pending| pending.stores.remove(&from))
    }

    pub(super) fn hear_invalidated(&mut self, from: u16, name: &Name, version: Version, out: &mut Outbox) -> bool {
        self.acknowledge(name, version, out, |pending| pending.invalidations.remove(&from))
    }

    /// An acknowledgement counts for the version that it names alone.
    fn acknowledge(
        &mut self,
        name: &Name,
        version: Version,
        out: &mut Outbox,
        note: impl FnOnce(&mut Pending) -> bool,
    ) -> bool {
        let pending = self.slots.get_mut(name).and_then(|slot| slot.pending.as_mut());
        let Some(pending) = pending.filter(|pending| pending.version == version) else { return false };
        let news = note(pending);
        if pending.is_complete() {
            self.pursue(name, out);
        }
        news
    }

    /// Whatever can be done with a variable now.
    pub(super) fn pursue(&mut self, name: &Name, out: &mut Outbox) {
        let shard = self.here.shard(name);
        loop {
            let homing = self.homing.get(&shard);
            let active = homing.is_some_and(|homing| homing.phase == Phase::Active);
            let orphaned = homing.is_some_and(Homing::is_orphaned);
            let Some(slot) = self.slots.get_mut(name) else { return };
            if let Some(pending) = &slot.pending {
                let early = self.here.config.bugs.has(Bug::AnsweredBeforeStored) && pending.invalidations.is_empty();
                if !(pending.is_complete() || early) {
                    return;
                }
                if !(active || orphaned) || !self.here.answers() {
                    out.reached("variable: a version that waits for the membership");
                    self.blocked.insert(name.clone());
                    return;
                }
                self.commit(shard, name, out);
                continue;
            }
            if !(active || orphaned) {
                return self.want(shard, name);
            }
            for (seat, nonce) in core::mem::take(&mut slot.reads) {
                if active {
                    self.answer_read(shard, name, seat, nonce);
                } else {
                    self.here.post(seat, Part::Data { name: name.clone(), nonce, state: None });
                }
            }
            let Some(slot) = self.slots.get_mut(name) else { return };
            if slot.queue.is_empty() {
                if slot.is_idle() {
                    self.slots.remove(name);
                }
                return;
            }
            if !self.here.answers() {
                // Who is about to be taken in elsewhere must not come to hold anything here.
                out.reached("variable: a write that waits for the membership");
                self.blocked.insert(name.clone());
                return;
            }
            self.write(shard, name, orphaned, out);
        }
    }

    fn answer_read(&mut self, shard: Shard, name: &Name, seat: u16, nonce: u64) {
        let state = self.state(shard, name);
        self.note_copy(name, seat, nonce);
        self.here.post(seat, Part::Data { name: name.clone(), nonce, state: Some(state) });
    }

    /// From here on that member has a copy, perhaps.
    fn note_copy(&mut self, name: &Name, seat: u16, nonce: u64) {
        if seat != self.here.seat() {
            let known = self.slots.entry(name.clone()).or_default().copies.entry(seat).or_default();
            *known = nonce.max(*known);
        }
    }

    pub(super) fn state(&self, shard: Shard, name: &Name) -> State {
        let record = self.stores.get(&shard).and_then(|store| store.records.get(name));
        record.map(|record| record.state.clone()).unwrap_or_default()
    }

    /// What a batch of this number is, if this is the last of its member that was done or refused.
    fn compare(&self, by: Member, number: u64, last: Option<u64>) -> Known {
        let is_settled = || self.settled.get(&by).is_some_and(|settled| number < *settled);
        match last.cmp(&Some(number)) {
            _ if self.has(Bug::OperationNumberIgnored) => Known::Not,
            Ordering::Equal => Known::Answered,
            Ordering::Greater => Known::Older,
            Ordering::Less if is_settled() => Known::Older,
            Ordering::Less => Known::Not,
        }
    }

    /// The whole queue becomes one version. Each batch is looked at when it is done, not when it comes: so a repetition that
    /// stands behind its original is known as that.
    fn write(&mut self, shard: Shard, name: &Name, orphaned: bool, out: &mut Outbox) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let (queue, mut vain) = (core::mem::take(&mut slot.queue), core::mem::take(&mut slot.vain));
        let version = self.next_version(shard);
        let (mut answers, mut fresh, mut operations) = (Vec::new(), Vec::<Recent>::new(), 0);
        let mut record = self.take_record(shard, name);
        let before = record.state.version;
        for asked in queue {
            let Some(by) = self.here.member(asked.by) else { continue };
            let of_it = fresh.iter().chain(&record.recent).chain(&vain).filter(|it| it.by == by);
            match self.compare(by, asked.number, of_it.map(|it| it.number).max()) {
                Known::Older => {
                    out.reached("variable: a batch that is older than one that is known");
                    continue;
                }
                Known::Answered => out.reached("variable: a batch that was done is said again"),
                Known::Not => {
                    let outcomes = asked.operations.iter().map(|operation| {
                        let lost = || Outcome::Refused(Refusal::Lost);
                        if orphaned { lost() } else { record.apply(operation, version, &self.here) }
                    });
                    let outcomes = outcomes.collect::<Vec<_>>();
                    operations += u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
                    fresh.retain(|it| it.by != by);
                    fresh.push(Recent { by, number: asked.number, outcomes, version: record.state.version });
                }
            }
            answers.push((asked.by, asked.number, asked.nonce));
        }
        let Some(slot) = self.slots.get_mut(name) else { return };
        let mut pending = Pending {
            version: record.state.version,
            stores: BTreeSet::new(),
            invalidations: BTreeSet::new(),
            answers,
            operations,
            changed: record.state.version != before,
            withdrawn: 0,
        };
        let changed = pending.changed;
        vain.retain(|vain| fresh.iter().all(|it| it.by != vain.by));
        if changed {
            note_recent(&mut record.recent, &fresh);
            // Who wants a copy with the answer has given up its own, unless it has asked for that later.
            let renewed = |seat: u16, copy: u64| {
                pending.answers.iter().any(|(by, _, nonce)| *by == seat && nonce.is_some_and(|nonce| nonce > copy))
            };
            let forced = self.here.config.bugs.has(Bug::WriterCopyForced);
            let copies = core::mem::take(&mut slot.copies).into_iter();
            let taken_back = copies.filter(|(seat, copy)| forced || !renewed(*seat, *copy));
            pending.invalidations = taken_back.map(|(seat, _)| seat).collect();
            pending.withdrawn = u32::try_from(pending.invalidations.len()).unwrap_or(u32::MAX);
            pending.stores = self.here.other_homes(shard).collect();
        } else {
            note_recent(&mut vain, &fresh);
        }
        slot.vain = vain;
        let stored = Record { recent: fresh, ..record.clone_but_recent() };
        slot.pending = Some(pending);
        self.put_record(shard, name, record, changed);
        if changed {
            self.say_commit(name, Some(stored), 0);
        }
    }

    /// Says what was not acknowledged yet.
    pub(super) fn say_commit(&mut self, name: &Name, record: Option<Record>, level: usize) {
        let shard = self.here.shard(name);
        let Some(pending) = self.slots.get(name).and_then(|slot| slot.pending.as_ref()) else { return };
        let (version, stores, invalidations) = (pending.version, pending.stores.clone(), pending.invalidations.clone());
        if stores.is_empty() && invalidations.is_empty() {
            return;
        }
        self.again.push(self.here.now, level, Asking::Commit(name.clone(), version));
        // A repetition says of all members what they have done last: more than the first time, and nothing else.
        let whole = || self.stores.get(&shard).and_then(|store| store.records.get(name)).cloned();
        let record = record.or_else(|| whole().filter(|_| !stores.is_empty()));
        if let Some(record) = record {
            for seat in stores {
                self.here.post(seat, Part::Store { name: name.clone(), record: record.clone() });
            }
        }
        for seat in invalidations {
            self.here.post(seat, Part::Invalidate { name: name.clone(), version });
        }
    }

    /// It is written: who asked is told, and it may be read.
    fn commit(&mut self, shard: Shard, name: &Name, out: &mut Outbox) {
        let orphaned = self.homing.get(&shard).is_some_and(Homing::is_orphaned);
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(pending) = slot.pending.take() else { return };
        let vain = slot.vain.clone();
        self.blocked.remove(name);
        let state = self.state(shard, name);
        match self.copies.get_mut(name) {
            Some(Copy::Valid(own)) if own.version < state.version => {
                *own = state.clone();
                out.emit(Event::Published { name: name.clone(), state: state.clone() });
            }
            // What was answered in this step and is not heard yet may be older.
            Some(Copy::Pending { floor, .. }) => *floor = state.version.max(*floor),
            Some(Copy::Valid(_)) | None => {}
        }
        if pending.changed {
            self.tell_followers(name);
        }
        if pending.operations > 0 {
            out.emit(Event::Committed { operations: pending.operations, copies: pending.withdrawn });
        }
        for (seat, number, nonce) in pending.answers {
            let Some(by) = self.here.member(seat) else { continue };
            let record = self.stores.get(&shard).and_then(|store| store.records.get(name));
            let recents = record.map_or(&[][..], |record| &record.recent);
            let recent = recents.iter().chain(&vain).find(|it| it.by == by && it.number == number);
            let Some(Recent { outcomes, version, .. }) = recent.cloned() else { continue };
            // What is left here of an orphaned shard is nothing to be read.
            let nonce = nonce.filter(|_| !orphaned);
            let copy = nonce.map(|nonce| (nonce, state.clone()));
            if let Some(nonce) = nonce {
                self.note_copy(name, seat, nonce);
            }
            self.here.post(seat, Part::Wrote { name: name.clone(), number, outcomes, version, copy });
        }
    }

    /// All batches of that member before this number are answered.
    pub(super) fn note_settled(&mut self, by: Member, settled: u64) {
        let known = self.settled.entry(by).or_default();
        *known = settled.max(*known);
    }

    // Records.

    /// The next one of this shard; it is used up by whoever writes it into a record.
    fn next_version(&self, shard: Shard) -> Version {
        let sequence = self.homing.get(&shard).map_or(0, |homing| homing.sequence);
        Version { epoch: self.here.view.at.epoch, sequence: sequence + 1 }
    }

    fn take_record(&mut self, shard: Shard, name: &Name) -> Record {
        let store = self.stores.get_mut(&shard);
        store.and_then(|store| store.records.get_mut(name)).map(core::mem::take).unwrap_or_default()
    }

    fn put_record(&mut self, shard: Shard, name: &Name, mut record: Record, changed: bool) {
        if changed && let Some(homing) = self.homing.get_mut(&shard) {
            homing.sequence = record.state.version.sequence;
        }
        record.forget_settled(&self.settled);
        if changed && record.state.value.is_some() {
            self.learn_of_holding();
        }
        let Some(store) = self.stores.get_mut(&shard) else { return };
        if record == Record::default() {
            store.records.remove(name);
        } else {
            store.records.insert(name.clone(), record);
        }
    }
}

impl Record {
    fn clone_but_recent(&self) -> Self {
        Self { state: self.state.clone(), binding: self.binding.clone(), recent: Vec::new() }
    }

    /// What was answered is not asked again.
    pub(super) fn forget_settled(&mut self, settled: &BTreeMap<Member, u64>) {
        self.recent.retain(|it| settled.get(&it.by).is_none_or(|settled| it.number >= *settled));
    }
}

/// These are the last ones of their members now.
pub(super) fn note_recent(recent: &mut Vec<Recent>, fresh: &[Recent]) {
    for it in fresh {
        match recent.binary_search_by_key(&it.by, |known| known.by) {
            Ok(at) => recent[at] = it.clone(),
            Err(at) => recent.insert(at, it.clone()),
        }
    }
}
