//! What is remembered over views: where tokens were last, so that whoever comes next is told if a holder died.

use alloc::{
    collections::{BTreeMap, VecDeque},
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
    sightings: BTreeMap<Name, Sighting>,
    /// The views that ended with a death, the last one last.
    deaths: VecDeque<Death>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Death {
    view: View,
    cut: Vec<Member>,
}

/// So many views that ended with a death are remembered.
const DEATHS_MAX: usize = 64;

impl Past {
    /// Where the token of a mutex was last. A token of which nobody has heard was at home; so if the home died, that may have
    /// held it.
    pub(super) fn sighting(&self, name: &Name) -> Option<Sighting> {
        let fatal = |death: &&Death| death.cut.contains(&home::home(&death.view, name));
        let implied = self.deaths.iter().rev().find(fatal).map(|death| Sighting {
            epoch: death.view.at.epoch,
            pass: 0,
            first_hand: false,
            died: true,
        });
        implied.max(self.sightings.get(name).copied())
    }

    /// Whether it knows nothing that would make a difference to anybody.
    pub(super) fn is_blank(&self) -> bool {
        self.sightings.is_empty() && self.deaths.is_empty()
    }

    pub(super) fn see(&mut self, name: &Name, sighting: Sighting) {
        let known = self.sightings.entry(name.clone()).or_insert(sighting);
        *known = sighting.max(*known);
    }

    /// A view has ended, in which all that it knows of was seen.
    pub(super) fn turn(&mut self, before: View, cut: Vec<Member>) {
        if !cut.is_empty() {
            self.deaths.push_back(Death { view: before, cut });
        }
        if self.deaths.len() > DEATHS_MAX {
            self.deaths.pop_front();
        }
        if self.deaths.is_empty() {
            // Where nobody has died, nobody asks where a token was.
            self.sightings.retain(|_, sighting| sighting.died);
        }
        while self.sightings.len() > MUTEXES_REMEMBERED_MAX {
            let oldest = self.sightings.values().map(|sighting| sighting.epoch).min().unwrap_or(Epoch(0));
            let before = self.sightings.len();
            let mut excess = before - MUTEXES_REMEMBERED_MAX;
            self.sightings.retain(|_, sighting| {
                let goes = excess > 0 && sighting.epoch == oldest;
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}
