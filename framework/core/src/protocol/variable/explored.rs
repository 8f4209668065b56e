//! What explorers need: states that are alike if their futures are, and which messages can still make a difference.

use alloc::vec::Vec;

use super::{
    Machine, Part, State,
    copies::Copy,
    recovery::{Homing, Phase},
    serving::Pending,
};
use crate::{
    protocol::{bugs::Bug, home::Shard, service::Service, time::Time, view::At},
    wire::{id::Member, name::Name},
};

impl Machine {
    /// How many operations wait for an answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        let (said, unsaid) = self.unfinished();
        said.len() + unsaid.len()
    }

    /// Drops what makes no difference: the hour, what is said anew with each step, and what is not to be said again. Whether
    /// the lineage holds variables is no matter of this machine.
    pub fn reduce(&mut self, now: Time) {
        self.here.service = Service::default();
        self.here.now = now;
        self.holding = true;
        let mut asking: Vec<_> = self.again.all().into_iter().map(|(_, asking)| asking).collect();
        asking.retain(|asking| self.is_asking(asking));
        asking.sort_unstable();
        asking.dedup();
        for asking in asking {
            self.again.push(now, 0, asking);
        }
    }

    /// The state of a variable at this node, if it is its first home and serves it: as it was written last, or is being
    /// written.
    #[must_use]
    pub fn served(&self, name: &Name) -> Option<State> {
        let shard = self.here.shard(name);
        let homing = self.homing.get(&shard)?;
        (homing.phase == Phase::Active).then(|| self.state(shard, name))
    }

    /// Whether what is said changes nothing here, now and later, but for an answer that was given before. What merely ends
    /// repetitions counts as late.
    #[must_use]
    pub fn is_late(&self, from: Member, at: At, part: &Part) -> bool {
        if at != self.here.view.at {
            let taken = self.has(Bug::OldWriteTaken) && matches!(part, Part::Store { .. } | Part::Invalidate { .. });
            if !taken || !at.is_before(self.here.view.at) {
                return at.is_before(self.here.view.at);
            }
        }
        let Some(seat) = self.here.seat_of(from) else { return true };
        match part {
            Part::Data { name, nonce, .. } => {
                let forced = self.has(Bug::WriterCopyForced) && !self.copies.contains_key(name);
                !forced && !self.awaits(name, *nonce)
            }
            Part::Write { .. } => self.homing.is_empty(),
            Part::Wrote { name, number, .. } => {
                let sealed = self.writers.get(name).and_then(|writer| writer.sealed.as_ref());
                sealed.is_none_or(|batch| batch.number != *number)
            }
            Part::Invalidate { name, version } => {
                !matches!(self.copies.get(name), Some(Copy::Valid(state)) if state.version < *version)
            }
            Part::Invalidated { name, version } => {
                let pending = self.pending(name).filter(|pending| pending.version == *version);
                pending.is_none_or(|pending| !pending.invalidations.contains(&seat))
            }
            Part::Store { name, record } => {
                let shard = self.here.shard(name);
                let is_newer = record.state.version > self.state(shard, name).version;
                let forgetful = self.has(Bug::LastStoreWins) || self.has(Bug::OldWriteTaken);
                !self.here.is_other_home(shard, seat) || !(is_newer || forgetful)
            }
            Part::Stored { name, version } => {
                let pending = self.pending(name).filter(|pending| pending.version == *version);
                pending.is_none_or(|pending| !pending.stores.contains(&seat))
            }
            Part::Report(report) => {
                self.homing.is_empty() || self.heard.get(&(seat, false)).is_some_and(|next| report.chunk < *next)
            }
            Part::Pulled { shard, records } => self.pulling(*shard).is_none_or(|homing| {
                let mut known = records.iter().filter_map(|(name, record)| Some((record, homing.missing.get(name)?)));
                !known.any(|(record, (version, _))| record.state.version == *version)
            }),
            Part::Fill { shard, .. } => {
                let full = self.stores.get(shard).is_some_and(|store| store.full >= self.here.view.at.epoch);
                !self.here.is_other_home(*shard, seat) || (full && !self.has(Bug::FillTakenTwice))
            }
            Part::Filled { shard, chunk } => !self.is_filling(*shard, seat, *chunk),
            Part::Release { shards, .. } => {
                let kept = |shard: &Shard| self.stores.contains_key(shard) && self.here.home(*shard) == seat;
                !shards.iter().any(|shard| kept(shard) && !self.here.homes(*shard).contains(&self.here.seat()))
            }
            Part::Follow { .. } | Part::News { .. } | Part::Heard { .. } | Part::Unfollow { .. } => false,
            Part::Read { .. } | Part::Pull { .. } | Part::Holding => true,
            Part::Reported { .. } | Part::Released { .. } | Part::Offer { .. } | Part::Offered { .. } => true,
        }
    }

    /// Whether this node waits for the answer of another one to what it has said.
    #[must_use]
    pub fn waits_for(&self, to: Member, part: &Part) -> bool {
        let Some(seat) = self.here.seat_of(to) else { return false };
        match part {
            Part::Read { name, nonce } => self.awaits(name, *nonce),
            Part::Invalidate { name, version } => {
                let pending = self.pending(name).filter(|pending| pending.version == *version);
                pending.is_some_and(|pending| pending.invalidations.contains(&seat))
            }
            Part::Store { name, record } => {
                let pending = self.pending(name).filter(|pending| pending.version == record.state.version);
                pending.is_some_and(|pending| pending.stores.contains(&seat))
            }
            Part::Pull { shard, names, .. } => self.pulling(*shard).is_some_and(|homing| {
                let missing = |name| homing.missing.get(name).is_some_and(|(_, source)| source.seat == seat);
                names.iter().any(missing)
            }),
            Part::Fill { shard, chunk, .. } => self.is_filling(*shard, seat, *chunk),
            _ => false,
        }
    }

    fn pending(&self, name: &Name) -> Option<&Pending> {
        self.slots.get(name).and_then(|slot| slot.pending.as_ref())
    }

    fn pulling(&self, shard: Shard) -> Option<&Homing> {
        self.homing.get(&shard).filter(|homing| homing.phase == Phase::Pulling)
    }
}
