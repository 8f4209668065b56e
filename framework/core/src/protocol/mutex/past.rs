//! What is remembered over views: where tokens were last, so that whoever comes next is told if a holder died.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use super::Sighting;
use crate::{
    protocol::{
        home,
        view::{Epoch, View},
    },
    wire::{id::Member, limits::MUTEXES_REMEMBERED_MAX, name::Name},
};

/// What one node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Past {
    traces: BTreeMap<Name, Trace>,
    /// The views before, the last one last.
    views: VecDeque<Ended>,
}

/// Where a token was seen last. A guard of it may have come into every view since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Trace {
    pub(super) sighting: Sighting,
    /// Who had it then; nobody if that member has left since, and has perhaps passed it on before: then anybody may have it.
    pub(super) at: Option<Member>,
    /// Somebody has died since.
    pub(super) after_deaths: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ended {
    view: View,
    /// Who was taken for dead at its end.
    cut: Vec<Member>,
    /// Who left in order.
    parted: Vec<Member>,
}

/// So many views are remembered.
const VIEWS_MAX: usize = 64;

impl Past {
    /// Where the token of a mutex was last. A token of which nobody has heard was at home: so if a home has died since, that may
    /// have come into later views with a guard. If it has left since, it may have passed the token on to somebody who died.
    pub(super) fn sighting(&self, name: &Name) -> Option<Sighting> {
        let mut gone = BTreeSet::<Member>::new();
        let mut after_deaths = false;
        let is_fatal = |ended: &&Ended| {
            after_deaths |= !ended.cut.is_empty();
            gone.extend(ended.cut.iter().chain(&ended.parted));
            after_deaths && gone.contains(&home::home(&ended.view, name))
        };
        let implied = self.views.iter().rev().find(is_fatal).map(|ended| Sighting {
            epoch: ended.view.at.epoch,
            pass: 0,
            first_hand: false,
            died: true,
        });
        implied.max(self.traces.get(name).map(|trace| trace.sighting))
    }

    /// Whether it knows nothing that would make a difference to anybody.
    pub(super) fn is_blank(&self) -> bool {
        let calm = self.views.iter().all(|ended| ended.cut.is_empty());
        calm && !self.traces.values().any(|trace| trace.sighting.died)
    }

    pub(super) fn see(&mut self, name: &Name, trace: Trace) {
        let known = self.traces.entry(name.clone()).or_insert(trace);
        if trace.sighting > known.sighting {
            *known = trace;
        }
    }

    /// A view has ended, in which all that it knows of was seen.
    pub(super) fn turn(&mut self, before: View, next: &View, cut: Vec<Member>) {
        for trace in self.traces.values_mut() {
            trace.at = trace.at.filter(|at| next.has(*at) || cut.contains(at));
            trace.after_deaths |= !cut.is_empty();
            trace.sighting.died |= trace.after_deaths && trace.at.is_none_or(|at| cut.contains(&at));
        }
        let parted = before.missing_in(next).filter(|member| !cut.contains(member)).collect();
        self.views.push_back(Ended { view: before, cut, parted });
        if self.views.len() > VIEWS_MAX {
            self.views.pop_front();
        }
        while self.traces.len() > MUTEXES_REMEMBERED_MAX {
            let oldest = self.traces.values().map(|trace| trace.sighting.epoch).min().unwrap_or(Epoch(0));
            let mut excess = self.traces.len() - MUTEXES_REMEMBERED_MAX;
            self.traces.retain(|_, trace| {
                let goes = excess > 0 && trace.sighting.epoch == oldest;
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}
