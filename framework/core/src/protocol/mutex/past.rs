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
    sightings: BTreeMap<Name, Seen>,
    /// The views that have ended, the last one last.
    turns: VecDeque<Turn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    sighting: Sighting,
    /// It was on its way to this member, which perhaps has a guard of it still, views later.
    to: Option<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Turn {
    view: View,
    /// Who died with it.
    cut: Vec<Member>,
}

/// So many views are remembered.
const TURNS_MAX: usize = 64;

impl Past {
    /// Where the token of a mutex was last. A token of which nobody has heard was at home; so if the home died, that may have held
    /// it. Who has brought a guard into the next view tells its home there, and may die before that has heard it: so the home of
    /// the view before counts as well.
    pub(super) fn sighting(&self, name: &Name) -> Option<Sighting> {
        let later = self.turns.iter().skip(1).map(|turn| &turn.cut[..]).chain([&[][..]]);
        let fatal = |(turn, later): &(&Turn, &[Member])| {
            let mut dead = turn.cut.iter().chain(*later).peekable();
            dead.peek().is_some() && {
                let home = home::home(&turn.view, name);
                dead.any(|member| *member == home)
            }
        };
        let implied = self.turns.iter().zip(later).filter(fatal).last().map(|(turn, _)| Sighting {
            epoch: turn.view.at.epoch,
            pass: 0,
            first_hand: false,
            died: true,
        });
        implied.max(self.sightings.get(name).map(|seen| seen.sighting))
    }

    /// Whether it knows nothing that would make a difference to anybody: where nobody has died, nobody asks where a token was.
    pub(super) fn is_blank(&self) -> bool {
        let calm = self.turns.iter().all(|turn| turn.cut.is_empty());
        calm && self.sightings.values().all(|seen| !seen.sighting.died)
    }

    pub(super) fn see(&mut self, name: &Name, sighting: Sighting, to: Option<Member>) {
        let known = self.sightings.entry(name.clone()).or_insert(Seen { sighting, to });
        if sighting > known.sighting {
            *known = Seen { sighting, to };
        }
    }

    /// A view has ended, in which all that it knows of was seen.
    pub(super) fn turn(&mut self, before: View, cut: Vec<Member>) {
        for seen in self.sightings.values_mut() {
            seen.sighting.died |= seen.to.is_some_and(|to| cut.contains(&to));
        }
        self.turns.push_back(Turn { view: before, cut });
        if self.turns.len() > TURNS_MAX {
            self.turns.pop_front();
        }
        while self.sightings.len() > MUTEXES_REMEMBERED_MAX {
            let oldest = self.sightings.values().map(|seen| seen.sighting.epoch).min().unwrap_or(Epoch(0));
            let before = self.sightings.len();
            let mut excess = before - MUTEXES_REMEMBERED_MAX;
            self.sightings.retain(|_, seen| {
                let goes = excess > 0 && seen.sighting.epoch == oldest;
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}
