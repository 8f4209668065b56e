//! What is remembered over views: where tokens were last, so that whoever comes next is told if a holder died.

use alloc::{collections::BTreeMap, vec::Vec};

use super::Sighting;
use crate::{
    protocol::view::Epoch,
    wire::{id::Member, limits::MUTEXES_REMEMBERED_MAX, name::Name},
};

/// What one node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Past(BTreeMap<Name, Memory>);

/// Of one mutex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Memory {
    /// The last that is known.
    known: Option<Seen>,
    /// What may have been after that: homes were about to make a token. The last one comes last, and each member once.
    perhaps: Vec<Seen>,
}

/// Where a token was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) sighting: Sighting,
    /// It was on its way to this member, or with it, which perhaps has a guard of it still, views later.
    pub(super) to: Option<Member>,
}

/// So many homes are remembered for each mutex.
const SUPPOSED_MAX: usize = 8;

impl Memory {
    fn sighting(&self) -> Option<Sighting> {
        // That it may have been made counts for something only if whoever did so has died.
        let perhaps = self.perhaps.iter().copied().filter(|seen| seen.sighting.died);
        self.known.into_iter().chain(perhaps).map(|seen| seen.sighting).max()
    }
}

impl Past {
    /// Where the token of a mutex was last.
    pub(super) fn sighting(&self, name: &Name) -> Option<Sighting> {
        self.0.get(name)?.sighting()
    }

    /// The mutexes whose last holder has died, as far as this node knows, and where that was.
    pub(super) fn deaths(&self) -> impl Iterator<Item = (&Name, Sighting)> {
        let last = self.0.iter().filter_map(|(name, memory)| Some((name, memory.sighting()?)));
        last.filter(|(_, sighting)| sighting.died)
    }

    /// Whether it knows nothing that would make a difference to anybody: where nobody has died, nobody asks where a token was.
    pub(super) fn is_blank(&self) -> bool {
        self.deaths().next().is_none()
    }

    /// The token was seen there.
    pub(super) fn see(&mut self, name: &Name, seen: Seen) {
        let memory = self.0.entry(name.clone()).or_default();
        if memory.known.is_none_or(|known| seen.sighting > known.sighting) {
            memory.known = Some(seen);
        }
        memory.perhaps.retain(|perhaps| perhaps.sighting > seen.sighting);
    }

    /// It was perhaps made then.
    pub(super) fn suppose(&mut self, name: &Name, seen: Seen) {
        let perhaps = &mut self.0.entry(name.clone()).or_default().perhaps;
        perhaps.retain(|before| before.sighting.died || (before.to.is_some() && before.to != seen.to));
        if perhaps.len() == SUPPOSED_MAX {
            perhaps.remove(0);
        }
        perhaps.push(seen);
    }

    /// A view has ended, in which all that it knows of was seen. Whoever left in order may have passed a token on before, of
    /// which nobody else has heard, to somebody who dies with it in this view or in a later one: so it is not forgotten that it
    /// was there.
    pub(super) fn turn(&mut self, stays: impl Fn(Member) -> bool, somebody_died: bool) {
        let all = self.0.values_mut().flat_map(|memory| memory.known.iter_mut().chain(&mut memory.perhaps));
        for seen in all.filter(|_| somebody_died) {
            if seen.to.is_some_and(|to| !stays(to)) {
                seen.sighting.died = true;
                seen.to = None;
            }
        }
        while self.0.len() > MUTEXES_REMEMBERED_MAX {
            let epoch = |memory: &Memory| memory.sighting().map_or(Epoch(0), |sighting| sighting.epoch);
            let oldest = self.0.values().map(epoch).min().unwrap_or(Epoch(0));
            let mut excess = self.0.len() - MUTEXES_REMEMBERED_MAX;
            self.0.retain(|_, memory| {
                let goes = excess > 0 && epoch(memory) == oldest;
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}
