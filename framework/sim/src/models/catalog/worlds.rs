use std::time::Duration;

use guthi_core::{protocol::catalog::Config, wire::id::Member};

use super::{
    Action,
    world::{DESCRIBED, EARLIER_LIFE, State, TOMBSTONES_FORGOTTEN, WHOLE_IN_PARTS},
};
use crate::models::Scope;

/// Which nodes there are, and what may happen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// Two nodes that both write; links come and go, messages are lost and repeated.
    Pair,
    /// Two nodes, one writes, and each may restart.
    Lives,
    /// A writer and two readers that know it, and that may come to know each other.
    Three,
    /// A writer that forgets what it has removed, and a reader whose copy is behind; a message may be late.
    Floor,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// An entry is set.
    pub sets: u8,
    /// An entry is removed.
    pub removals: u8,
    /// A message is lost.
    pub losses: u8,
    /// A message arrives once more than it was sent.
    pub repetitions: u8,
    /// A link comes up.
    pub links: u8,
    /// An end of a link goes down.
    pub cuts: u8,
    /// A node restarts.
    pub restarts: u8,
    /// A node is woken.
    pub wakes: u8,
    /// A copy is dropped.
    pub forgets: u8,
}

impl Allowance {
    /// Messages arrive, and that is all.
    pub const NONE: Self =
        Self { sets: 0, removals: 0, losses: 0, repetitions: 0, links: 0, cuts: 0, restarts: 0, wakes: 0, forgets: 0 };

    /// Counts an action. In recovery nothing is left, and nothing is asked.
    pub(super) fn spend(&mut self, action: &Action) {
        let one = match action {
            Action::Set { .. } => &mut self.sets,
            Action::Remove { .. } => &mut self.removals,
            Action::Lose { .. } => &mut self.losses,
            Action::Repeat { .. } => &mut self.repetitions,
            Action::Link { .. } => &mut self.links,
            Action::Unlink { .. } => &mut self.cuts,
            Action::Restart { .. } => &mut self.restarts,
            Action::Wake { .. } => &mut self.wakes,
            Action::Forget { .. } => &mut self.forgets,
            Action::Deliver { .. } | Action::Calm { .. } | Action::Rouse | Action::Join => return,
        };
        *one = one.saturating_sub(1);
    }
}

impl Worlds {
    /// What happens there, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Pair => "two nodes that both write; links come and go, messages are lost and repeated",
            Self::Lives => "two nodes, one writes, and each may restart",
            Self::Three => "a writer and two readers that know it, and serve each other",
            Self::Floor => {
                "a writer that forgets what it has removed, a reader that is behind, and a message that is late"
            }
        }
    }

    /// The first so many nodes write.
    pub(super) const fn writers(self) -> u8 {
        match self {
            Self::Pair => 2,
            Self::Lives | Self::Three | Self::Floor => 1,
        }
    }

    /// The first so many keys are written while the world is explored.
    pub(super) const fn keys(self) -> u8 {
        match self {
            Self::Floor => 3,
            Self::Pair | Self::Lives | Self::Three => 2,
        }
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::default();
        config.repeat_min = TICK;
        config.repeat_max = TICK;
        match self {
            // Each entry is a part of its own, so that there are gaps.
            Self::Pair => config.delta_bytes = 1,
            // Three entries.
            Self::Floor => config.delta_bytes = 81,
            Self::Lives | Self::Three => {}
        }
        config
    }

    pub(super) const fn allowance(self, scope: Scope) -> Allowance {
        let none = Allowance::NONE;
        match (self, scope) {
            (Self::Pair, Scope::Fast) => Allowance { sets: 2, losses: 1, repetitions: 1, links: 1, wakes: 1, ..none },
            (Self::Pair, Scope::Long) => {
                Allowance { sets: 2, removals: 1, losses: 1, repetitions: 1, links: 2, cuts: 1, wakes: 2, ..none }
            }
            (Self::Lives, Scope::Fast) => Allowance { sets: 1, losses: 1, links: 2, restarts: 1, wakes: 1, ..none },
            (Self::Lives, Scope::Long) => Allowance {
                sets: 2,
                removals: 1,
                losses: 1,
                links: 3,
                cuts: 2,
                restarts: 2,
                wakes: 1,
                forgets: 1,
                ..none
            },
            (Self::Three, Scope::Fast) => Allowance { sets: 1, losses: 1, links: 1, cuts: 1, wakes: 1, ..none },
            (Self::Three, Scope::Long) => {
                Allowance { sets: 2, losses: 1, links: 2, cuts: 2, restarts: 1, wakes: 2, ..none }
            }
            (Self::Floor, Scope::Fast) => Allowance { removals: 1, losses: 1, wakes: 1, ..none },
            (Self::Floor, Scope::Long) => {
                Allowance { sets: 1, removals: 1, losses: 1, repetitions: 1, links: 1, cuts: 2, wakes: 2, ..none }
            }
        }
    }

    /// How many of the entries that are there may be the next to be removed. Which of them makes little difference where
    /// the memory of removals is all that matters.
    pub(super) const fn choices_of_removal(self) -> usize {
        match self {
            Self::Floor => 1,
            Self::Pair | Self::Lives | Self::Three => usize::MAX,
        }
    }

    pub(super) fn initial(self, left: Allowance, config: Config) -> Vec<State> {
        match self {
            Self::Pair | Self::Lives => vec![State::new(2, left, config)],
            Self::Three => {
                let mut state = State::new(3, left, config);
                state.meet(&[Action::Link { a: 0, b: 1 }, Action::Link { a: 0, b: 2 }], config);
                state.left = left;
                vec![state]
            }
            Self::Floor => Self::behind_the_floor(left, config),
        }
    }

    fn behind_the_floor(left: Allowance, config: Config) -> Vec<State> {
        // Two removals are remembered when the two meet, two more follow, and with the fifth the first three are forgotten.
        // What is set around them makes the catalog one that travels in parts.
        let sets = [4, 5, 0, 6, 7, 1, 2, 3, 8].map(|key| Action::Set { node: 0, key });
        let remove = |key| Action::Remove { node: 0, key };
        let story: Vec<_> = sets.into_iter().chain([3, 8].map(remove)).collect();
        // How much of it the reader has seen.
        let seen = [0, 2, story.len()].into_iter();
        seen.flat_map(|seen| State::after(&story, seen, config).late(&[0, 1].map(remove), left, config)).collect()
    }

    pub(super) fn sometimes(self) -> Vec<&'static str> {
        let always = [DESCRIBED, "catalog: a head repeated"];
        let own: &[_] = match self {
            Self::Pair => &["catalog: a gap noticed", "catalog: a delta that came twice or too late"],
            Self::Lives => {
                &[EARLIER_LIFE, "catalog: a message without a link", "catalog: a copy of an earlier life replaced"]
            }
            Self::Three => &["catalog: a gap filled by somebody else than the writer"],
            Self::Floor => &[TOMBSTONES_FORGOTTEN, WHOLE_IN_PARTS, "catalog: a gap noticed"],
        };
        always.into_iter().chain(own.iter().copied()).collect()
    }
}

/// Every pause is as long as every other, so whoever waits may be the next to be woken.
const TICK: Duration = Duration::from_nanos(1);

/// The text of a key.
pub(super) const fn key_name(key: u8) -> &'static str {
    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    NAMES[key as usize]
}

/// A value that is written only once, by one life of one node.
pub(super) fn value(writer: Member, sequence: u64) -> Vec<u8> {
    vec![writer.incarnation.0 as u8, sequence as u8]
}
