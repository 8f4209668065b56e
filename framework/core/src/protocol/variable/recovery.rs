//! How the homes of a view come to have what its shards had before.
//!
//! The first home of a shard hears what every survivor has brought, looks back from view to view for the last in which the shard
//! was complete somewhere, takes of each record the newest that is left of that, and lets the other homes have the same. Then,
//! once the excluded cannot act any more, it serves the shard.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Entry, Event, Held, Machine, Part, Record, Version,
    again::Asking,
    machine::Outbox,
    serving::{Pending, note_recent},
};
use crate::{
    protocol::{bugs::Bug, home::Shard, view::Epoch},
    wire::{id::Member, name::Name},
};

/// What a node keeps of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Store {
    /// In this view it had all of it.
    pub(super) full: Epoch,
    pub(super) records: BTreeMap<Name, Record>,
}

/// A shard at its first home.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Homing {
    pub(super) phase: Phase,
    /// What the survivors have, and this node.
    had: Vec<Had>,
    /// What earlier lives of members have had, which offer it.
    offered: Vec<Had>,
    /// Who has a copy of what.
    copies: BTreeMap<Name, Vec<(u16, Version)>>,
    /// The newest versions that are left.
    best: BTreeMap<Name, Version>,
    /// Those that are not here, and who has them.
    pub(super) missing: BTreeMap<Name, (Version, Source)>,
    pulled: BTreeMap<Name, Record>,
    /// How far the other homes are.
    pub(super) fills: BTreeMap<u16, Progress>,
    /// Variables that somebody waits for.
    waiting: BTreeSet<Name>,
    /// Of the last version in this view.
    pub(super) sequence: u64,
}

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Not all survivors have said what they have.
    Reporting,
    /// Records are missing here.
    Pulling,
    /// Records are missing at other homes.
    Filling,
    /// All homes have all of it; the view is not active.
    Full,
    /// It is served.
    Active,
    /// All who had it in this view are gone.
    Orphaned(Epoch),
}

/// Who has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    pub(super) seat: u16,
    /// What its earlier life has had.
    estate: bool,
}

/// What somebody has of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Had {
    /// Under which name it was a member.
    by: Member,
    at: Source,
    full: Epoch,
    records: BTreeMap<Name, Version>,
}

/// How far another home is with the pieces of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    pub(super) chunk: u32,
    /// It has all up to this name.
    after: Option<Name>,
    /// And with this piece all up to this one.
    upto: Option<Name>,
    last: bool,
}

/// Pieces of a shard that have come, of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Staged {
    next: u32,
    records: BTreeMap<Name, Record>,
}

/// The views before this one, the latest first, with those who could be home of something there. It is the same for all shards.
type Past = [(Epoch, Vec<Member>)];

impl Homing {
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            had: Vec::new(),
            offered: Vec::new(),
            copies: BTreeMap::new(),
            best: BTreeMap::new(),
            missing: BTreeMap::new(),
            pulled: BTreeMap::new(),
            fills: BTreeMap::new(),
            waiting: BTreeSet::new(),
            sequence: 0,
        }
    }

    pub(super) const fn is_orphaned(&self) -> bool {
        matches!(self.phase, Phase::Orphaned(_))
    }

    pub(super) fn note_copy(&mut self, name: Name, seat: u16, version: Version) {
        self.copies.entry(name).or_default().push((seat, version));
    }

    fn note(list: &mut Vec<Had>, by: Member, at: Source, full: Epoch, records: impl Iterator<Item = (Name, Version)>) {
        match list.iter_mut().find(|had| had.by == by && had.at == at) {
            Some(had) => had.records.extend(records),
            None => list.push(Had { by, at, full, records: records.collect() }),
        }
    }
}

impl Machine {
    /// A survivor has this, or a part of it.
    pub(super) fn note_held(&mut self, seat: u16, held: Held) {
        let (Some(by), Some(homing)) = (self.here.member(seat), self.homing.get_mut(&held.shard)) else { return };
        if homing.phase == Phase::Reporting {
            let at = Source { seat, estate: false };
            Homing::note(&mut homing.had, by, at, held.full, held.records.into_iter());
        }
    }

    /// An earlier life of a member has had this. It is needed only if nobody else has.
    pub(super) fn note_offered(&mut self, by: Member, seat: u16, held: Held) {
        let Some(homing) = self.homing.get_mut(&held.shard) else { return };
        let at = Source { seat, estate: true };
        if homing.phase == Phase::Active {
            self.release(held.shard, at);
        } else {
            Homing::note(&mut homing.offered, by, at, held.full, held.records.into_iter());
        }
    }

    /// All that an earlier life has had is known.
    pub(super) fn consider_offers(&mut self, out: &mut Outbox) {
        let orphaned = self.homing.iter().filter(|(_, it)| it.is_orphaned());
        let orphaned = orphaned.map(|(shard, _)| *shard).collect::<Vec<_>>();
        let past = self.here.view.former().collect::<Vec<_>>();
        for shard in orphaned {
            self.decide(shard, &past, out);
        }
    }

    /// Begins, once all survivors have said what they have.
    pub(super) fn recover(&mut self, out: &mut Outbox) {
        let told = |seat: u16| !self.here.survives(seat) || self.told.contains(&(seat, false));
        let unwanted = self.has(Bug::VariableReportsUnwanted);
        if self.recovering || !(self.here.others().all(told) || unwanted) {
            return;
        }
        self.recovering = true;
        let past = self.here.view.former().collect::<Vec<_>>();
        for shard in self.homing.keys().copied().collect::<Vec<_>>() {
            self.decide(shard, &past, out);
        }
        self.work(out);
    }

    /// Where the shard was complete last.
    fn decide(&mut self, shard: Shard, past: &Past, out: &mut Outbox) {
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        if homing.phase != Phase::Reporting && !homing.is_orphaned() {
            return;
        }
        if homing.phase == Phase::Reporting
            && let Some(store) = self.stores.get(&shard)
        {
            let at = Source { seat: self.here.seat(), estate: false };
            let records = store.records.iter().map(|(name, record)| (name.clone(), record.state.version));
            Homing::note(&mut homing.had, self.here.me, at, store.full, records);
        }
        let without = self.sources(shard, past, false);
        let (sources, out_of) = match without {
            Ok(sources) => (sources, false),
            Err(_) => match self.sources(shard, past, true) {
                Ok(sources) => (sources, true),
                Err(since) => return self.orphan(shard, since, out),
            },
        };
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        let all = homing.had.iter().chain(homing.offered.iter().filter(|_| out_of));
        let mut best = BTreeMap::<Name, (Version, Source)>::new();
        for had in all.filter(|had| sources.contains(&had.at)) {
            for (name, version) in &had.records {
                let known = best.get(name).map_or_else(Version::default, |(version, _)| *version);
                if *version > known {
                    best.insert(name.clone(), (*version, had.at));
                }
            }
        }
        let store = self.stores.get(&shard);
        let here = |name: &Name, version: Version| {
            let record = store.and_then(|store| store.records.get(name));
            record.is_some_and(|record| record.state.version == version)
        };
        homing.best = best.iter().map(|(name, (version, _))| (name.clone(), *version)).collect();
        homing.missing = best.into_iter().filter(|(name, (version, _))| !here(name, *version)).collect();
        homing.phase = Phase::Pulling;
        let wanted = !homing.waiting.is_empty();
        self.to_recover.insert((!wanted, shard));
        if out_of {
            out.reached("variable: a shard comes back from who was excluded");
            self.work(out);
        }
    }

    /// Those who had all of a shard when it was last complete; else in which view all who had it are gone.
    fn sources(&self, shard: Shard, past: &Past, offers: bool) -> Result<BTreeSet<Source>, Epoch> {
        let Some(homing) = self.homing.get(&shard) else { return Err(Epoch(0)) };
        // What is not told to its end is not all that there was.
        let offered = homing.offered.iter().filter(|had| offers && self.told.contains(&(had.at.seat, true)));
        let had: Vec<_> = homing.had.iter().chain(offered).collect();
        let replicas = usize::from(self.here.view.replicas);
        let mut last = self.here.view.at.epoch;
        let survives = |home: &Member| self.here.seat_of(*home).is_some_and(|seat| self.here.survives(seat));
        for (epoch, members) in past {
            let epoch = *epoch;
            last = epoch;
            let homes = shard.rank(members.iter().copied(), replicas);
            let full_ignored = self.has(Bug::FullIgnored);
            let full = |had: &&&Had| homes.contains(&had.by) && (had.full >= epoch || full_ignored);
            let sources: BTreeSet<_> = had.iter().filter(full).map(|had| had.at).collect();
            if !sources.is_empty() {
                return Ok(sources);
            }
            let says = |home: &Member| survives(home) || had.iter().any(|had| had.by == *home);
            if !homes.iter().any(says) {
                return Err(epoch);
            }
        }
        Err(last)
    }

    fn orphan(&mut self, shard: Shard, since: Epoch, out: &mut Outbox) {
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        let news = homing.phase != Phase::Orphaned(since);
        homing.phase = Phase::Orphaned(since);
        let waiting = core::mem::take(&mut homing.waiting);
        if news {
            // What is left of it elsewhere may complete what somebody offers one day; whoever leaves does not wait for that.
            let leaving = |had: &&Had| !had.at.estate && self.here.is_leaving(had.at.seat);
            let released: Vec<_> = homing.had.iter().filter(leaving).map(|had| had.at).collect();
            released.into_iter().for_each(|at| self.release(shard, at));
            out.reached("variable: a shard is orphaned");
            out.emit(Event::Orphaned { shard, since });
            self.list_anew(shard);
        }
        for name in waiting {
            self.pursue(&name, out);
        }
    }

    /// Begins an orphaned shard anew, with nothing in it.
    pub(super) fn reset(&mut self, shard: Shard, out: &mut Outbox) {
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        homing.best.clear();
        homing.missing.clear();
        homing.phase = Phase::Pulling;
        self.to_recover.insert((false, shard));
        out.reached("variable: an orphaned shard begins anew");
        out.emit(Event::Reset { shard });
        self.work(out);
    }

    /// Somebody waits for this variable: its shard comes before others.
    pub(super) fn want(&mut self, shard: Shard, name: &Name) {
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        if homing.phase != Phase::Active && !homing.is_orphaned() {
            homing.waiting.insert(name.clone());
            if self.to_recover.remove(&(true, shard)) {
                self.to_recover.insert((false, shard));
            }
        }
    }

    /// Some shards at a time.
    fn work(&mut self, out: &mut Outbox) {
        while self.under_recovery.len() < self.here.config.recovering_max {
            let Some((_, shard)) = self.to_recover.pop_first() else { return };
            self.under_recovery.insert(shard);
            self.pull(shard, out);
        }
    }

    /// Asks for what is missing of a shard; if that is nothing, it is complete here.
    fn pull(&mut self, shard: Shard, out: &mut Outbox) {
        let Some(homing) = self.homing.get(&shard).filter(|homing| homing.phase == Phase::Pulling) else { return };
        if homing.missing.is_empty() {
            self.complete(shard, out);
        } else {
            self.say_pull(shard, 0);
        }
    }

    pub(super) fn say_pull(&mut self, shard: Shard, level: usize) {
        let Some(homing) = self.homing.get(&shard) else { return };
        let Some((_, source)) = homing.missing.values().next().copied() else { return };
        let (mut names, mut weight) = (Vec::new(), 0);
        for (name, _) in homing.missing.iter().filter(|(_, (_, from))| *from == source) {
            weight += name.len();
            if weight > self.here.config.chunk_bytes && !names.is_empty() {
                break;
            }
            names.push(name.clone());
        }
        self.again.push(self.here.now, level, Asking::Pull(shard, homing.missing.len()));
        self.here.post(source.seat, Part::Pull { shard, estate: source.estate, names });
    }

    pub(super) fn is_missing(&self, shard: Shard, count: usize) -> bool {
        let homing = self.homing.get(&shard).filter(|homing| homing.phase == Phase::Pulling);
        homing.is_some_and(|homing| homing.missing.len() == count)
    }

    /// Somebody wants records that this node was found to have.
    pub(super) fn hear_pull(&mut self, from: u16, shard: Shard, estate: bool, names: Vec<Name>) -> bool {
        let stores = if estate { self.estate.as_ref().map(|estate| &estate.stores) } else { Some(&self.stores) };
        let Some(store) = stores.and_then(|stores| stores.get(&shard)) else { return false };
        let (mut records, mut weight) = (Vec::new(), 0);
        for name in names {
            let Some(record) = store.records.get(&name) else { continue };
            weight += name.len() + record.weight();
            if weight > self.here.config.chunk_bytes && !records.is_empty() {
                break;
            }
            records.push((name, record.clone()));
        }
        self.here.post(from, Part::Pulled { shard, records });
        true
    }

    pub(super) fn hear_pulled(&mut self, shard: Shard, records: Vec<(Name, Record)>, out: &mut Outbox) -> bool {
        let Some(homing) = self.homing.get_mut(&shard).filter(|it| it.phase == Phase::Pulling) else { return false };
        let mut news = false;
        for (name, record) in records {
            let wanted = homing.missing.get(&name).is_some_and(|(version, _)| *version == record.state.version);
            if wanted {
                out.reached("variable: a record that is brought from elsewhere");
                homing.missing.remove(&name);
                homing.pulled.insert(name, record);
                news = true;
            }
        }
        if news {
            self.pull(shard, out);
            self.work(out);
        }
        news
    }

    /// All of the shard is here. The same goes to the other homes.
    fn complete(&mut self, shard: Shard, out: &mut Outbox) {
        let epoch = self.here.view.at.epoch;
        let mut own = self.stores.remove(&shard).unwrap_or_default();
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        let mut records = BTreeMap::new();
        for (name, version) in core::mem::take(&mut homing.best) {
            let here = own.records.remove(&name).filter(|record| record.state.version == version);
            let Some(mut record) = here.or_else(|| homing.pulled.remove(&name)) else { continue };
            // Those who are gone do not ask again either.
            record.recent.retain(|it| self.here.view.has(it.by));
            record.forget_settled(&self.settled);
            if record.state.value.is_some() || !record.recent.is_empty() {
                records.insert(name, record);
            }
        }
        homing.pulled.clear();
        homing.phase = Phase::Filling;
        let holding = records.values().any(|record| record.state.value.is_some());
        self.stores.insert(shard, Store { full: epoch, records });
        if holding {
            self.learn_of_holding();
        }
        self.withdraw_stale(shard, out);
        let homes = self.here.other_homes(shard).collect::<Vec<_>>();
        if let Some(homing) = self.homing.get_mut(&shard) {
            homing.fills = homes.iter().map(|seat| (*seat, Progress::default())).collect();
        }
        for seat in homes {
            self.fill(shard, seat, 0);
        }
        self.finish(shard, out);
    }

    /// H7: a version that nobody was told of may have come back. Whoever has a copy of an older one loses it before that is
    /// served; the others have the copy that they had.
    fn withdraw_stale(&mut self, shard: Shard, out: &mut Outbox) {
        let copies = self.homing.get_mut(&shard).map(|homing| core::mem::take(&mut homing.copies)).unwrap_or_default();
        for (name, holders) in copies {
            let version = self.state(shard, &name).version;
            let (own, others): (Vec<_>, Vec<_>) = holders.into_iter().partition(|(seat, _)| *seat == self.here.seat());
            if own.iter().any(|(_, copy)| *copy != version) {
                self.withdraw(&name, out);
            }
            if others.is_empty() {
                continue;
            }
            let spared = self.has(Bug::StaleCopySpared);
            let (current, stale): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|(_, copy)| *copy == version || spared);
            let slot = self.slots.entry(name.clone()).or_default();
            slot.copies.extend(current.into_iter().map(|(seat, _)| (seat, 0)));
            if !stale.is_empty() {
                out.reached("variable: a copy is older than what came back");
                // Nothing may have come back, which is older than any copy: what is taken back is whatever there was.
                let later = Version { epoch: self.here.view.at.epoch, sequence: 0 };
                slot.pending = Some(Pending::stale(later, stale.into_iter().map(|(seat, _)| seat).collect()));
                self.say_commit(&name, None, 0);
            }
        }
    }

    /// Says the next piece of a shard, or the same again.
    pub(super) fn fill(&mut self, shard: Shard, seat: u16, level: usize) {
        let Some(homing) = self.homing.get_mut(&shard).filter(|it| it.phase == Phase::Filling) else { return };
        let (Some(store), Some(progress)) = (self.stores.get(&shard), homing.fills.get_mut(&seat)) else { return };
        let had = homing.had.iter().find(|had| had.at == Source { seat, estate: false });
        let (mut entries, mut weight, mut last) = (Vec::new(), 0, true);
        let after = progress.after.clone();
        let rest = store.records.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
        for (name, record) in rest {
            let has = had.and_then(|had| had.records.get(name)).is_some_and(|it| *it == record.state.version);
            weight += name.len() + if has { 12 } else { record.weight() };
            if weight > self.here.config.chunk_bytes && !entries.is_empty() {
                last = false;
                break;
            }
            let entry = if has {
                Entry::Same(name.clone(), record.state.version)
            } else {
                Entry::New(name.clone(), record.clone())
            };
            entries.push(entry);
        }
        progress.upto = entries.last().map(|entry| entry.name().clone());
        progress.last = last;
        let chunk = progress.chunk;
        self.again.push(self.here.now, level, Asking::Fill(shard, seat, chunk));
        self.here.post(seat, Part::Fill { shard, chunk, last, entries });
    }

    pub(super) fn is_filling(&self, shard: Shard, seat: u16, chunk: u32) -> bool {
        let progress = self.homing.get(&shard).and_then(|homing| homing.fills.get(&seat));
        progress.is_some_and(|progress| progress.chunk == chunk)
    }

    pub(super) fn hear_filled(&mut self, from: u16, shard: Shard, chunk: u32, out: &mut Outbox) -> bool {
        let Some(homing) = self.homing.get_mut(&shard) else { return false };
        let Some(progress) = homing.fills.get_mut(&from).filter(|it| it.chunk == chunk) else { return false };
        if progress.last {
            homing.fills.remove(&from);
            self.finish(shard, out);
            self.work(out);
        } else {
            out.reached("variable: a shard goes in several pieces");
            progress.chunk += 1;
            progress.after = progress.upto.take();
            self.fill(shard, from, 0);
        }
        true
    }

    /// The first home says what the shard is in this view.
    pub(super) fn hear_fill(
        &mut self,
        from: u16,
        shard: Shard,
        (chunk, last): (u32, bool),
        entries: Vec<Entry>,
        out: &mut Outbox,
    ) -> bool {
        if !self.here.is_other_home(shard, from) {
            return false;
        }
        let epoch = self.here.view.at.epoch;
        let twice = self.has(Bug::FillTakenTwice) && chunk == 0;
        let store = self.stores.entry(shard).or_default();
        if store.full >= epoch && !twice {
            out.reached("variable: a piece of a shard comes again");
        } else {
            let staged = self.staged.entry(shard).or_default();
            if chunk > staged.next {
                return false;
            }
            if chunk == staged.next {
                staged.next += 1;
                for entry in entries {
                    match entry {
                        Entry::New(name, record) => {
                            staged.records.insert(name, record);
                        }
                        Entry::Same(name, version) => {
                            let own = store.records.get(&name).filter(|it| it.state.version == version);
                            own.map(|record| staged.records.insert(name, record.clone()));
                        }
                    }
                }
                if last {
                    let records = self.staged.remove(&shard).map(|staged| staged.records).unwrap_or_default();
                    if records.values().any(|record| record.state.value.is_some()) {
                        self.holding = true;
                    }
                    self.stores.insert(shard, Store { full: epoch, records });
                }
            }
        }
        self.here.post(from, Part::Filled { shard, chunk });
        true
    }

    /// Another home is told of a version that is being written. It is acknowledged in any case.
    pub(super) fn hear_store(&mut self, from: u16, name: Name, mut record: Record, out: &mut Outbox) -> bool {
        let shard = self.here.shard(&name);
        if !self.here.is_other_home(shard, from) {
            return false;
        }
        let version = record.state.version;
        let last_wins = self.has(Bug::LastStoreWins);
        let recent_stays = self.has(Bug::RecentAtHomeOnly);
        let store = self.stores.entry(shard).or_default();
        let known = store.records.entry(name.clone()).or_default();
        if version > known.state.version || last_wins {
            let fresh = core::mem::take(&mut record.recent);
            record.recent = core::mem::take(&mut known.recent);
            if !recent_stays {
                note_recent(&mut record.recent, &fresh);
            }
            *known = record;
        } else {
            out.reached("variable: a version that is stored already");
        }
        self.holding |= known.state.value.is_some();
        self.here.post(from, Part::Stored { name, version });
        true
    }

    /// If all homes have all of it, and the excluded cannot act any more, the shard is served.
    pub(super) fn finish(&mut self, shard: Shard, out: &mut Outbox) {
        let Some(homing) = self.homing.get_mut(&shard) else { return };
        if homing.phase == Phase::Filling && homing.fills.is_empty() {
            homing.phase = Phase::Full;
            self.under_recovery.remove(&shard);
            self.full.insert(shard);
        }
        let Some(homing) = self.homing.get_mut(&shard).filter(|it| it.phase == Phase::Full) else { return };
        let active = self.here.service.active || self.here.config.bugs.has(Bug::ServedTooEarly);
        if !active {
            return;
        }
        self.full.remove(&shard);
        homing.phase = Phase::Active;
        let had = core::mem::take(&mut homing.had).into_iter().chain(core::mem::take(&mut homing.offered));
        let had = had.map(|had| had.at).collect::<Vec<_>>();
        let waiting = core::mem::take(&mut homing.waiting);
        out.emit(Event::Active { shard });
        self.list_anew(shard);
        for at in had {
            let home = self.here.homes(shard).contains(&at.seat);
            if at.estate || !home {
                out.reached("variable: who has kept what is not its own may forget it");
                self.release(shard, at);
            }
        }
        for name in waiting {
            self.pursue(&name, out);
        }
    }

    // Those who have kept what is not theirs any more.

    fn release(&mut self, shard: Shard, at: Source) {
        self.releasing.entry((at.seat, at.estate)).or_default().insert(shard);
        self.to_release.insert((at.seat, at.estate));
    }

    pub(super) fn say_release(&mut self, seat: u16, estate: bool, level: usize) {
        let Some(shards) = self.releasing.get(&(seat, estate)) else { return };
        let shards = shards.iter().copied().collect();
        self.again.push(self.here.now, level, Asking::Release(seat, estate));
        self.here.post(seat, Part::Release { shards, estate });
    }

    pub(super) fn hear_release(&mut self, from: u16, shards: Vec<Shard>, estate: bool) {
        for shard in &shards {
            if estate {
                if let Some(estate) = &mut self.estate {
                    estate.stores.remove(shard);
                }
            } else if self.here.home(*shard) == from && !self.here.homes(*shard).contains(&self.here.seat()) {
                self.stores.remove(shard);
            }
        }
        if self.estate.as_ref().is_some_and(|estate| estate.stores.is_empty()) {
            self.estate = None;
        }
        self.here.post(from, Part::Released { shards, estate });
    }

    pub(super) fn hear_released(&mut self, from: u16, shards: &[Shard], estate: bool) -> bool {
        let Some(waiting) = self.releasing.get_mut(&(from, estate)) else { return false };
        shards.iter().for_each(|shard| {
            waiting.remove(shard);
        });
        if waiting.is_empty() {
            self.releasing.remove(&(from, estate));
        }
        true
    }
}
