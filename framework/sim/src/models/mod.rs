//! The small worlds that `cargo model` explores.
//!
//! Each has two scopes: one that is exhausted in seconds, and one for the night.

pub mod catalog;
pub mod membership;
pub mod mutex;
pub mod variable;

use std::ops::ControlFlow;

use guthi_core::protocol::bugs::Bug;

use crate::explore::{Bounds, Counts, Report, explore};
use catalog::Catalog;
use membership::Membership;
use mutex::Mutex;
use variable::Variable;

/// How much may happen in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Exhausted in seconds.
    Fast,
    /// For a night.
    Long,
}

/// A model that can be asked for by its name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it, in a sentence.
    pub about: &'static str,
    worlds: Worlds,
}

#[derive(Clone, Copy, Debug)]
enum Worlds {
    Catalog(catalog::Worlds),
    Membership(membership::Worlds),
    Mutex(mutex::Worlds),
    Variable(variable::Worlds),
}

/// All models, in the order in which they are listed.
pub const ALL: [Named; 15] = [
    catalog("catalog", catalog::Worlds::Pair),
    catalog("catalog-lives", catalog::Worlds::Lives),
    catalog("catalog-three", catalog::Worlds::Three),
    catalog("catalog-floor", catalog::Worlds::Floor),
    membership("membership-vote", membership::Worlds::Vote),
    membership("membership-views", membership::Worlds::Views),
    membership("membership-fork", membership::Worlds::Fork),
    membership("membership-meeting", membership::Worlds::Meeting),
    mutex("mutex-view", mutex::Worlds::View),
    mutex("mutex-change", mutex::Worlds::Change),
    mutex("mutex-homes", mutex::Worlds::Homes),
    variable("variable-calm", variable::Worlds::Calm),
    variable("variable-stay", variable::Worlds::Stay),
    variable("variable-move", variable::Worlds::Move),
    variable("variable-back", variable::Worlds::Back),
];

const fn catalog(name: &'static str, worlds: catalog::Worlds) -> Named {
    Named { name, about: worlds.about(), worlds: Worlds::Catalog(worlds) }
}

const fn membership(name: &'static str, worlds: membership::Worlds) -> Named {
    Named { name, about: worlds.about(), worlds: Worlds::Membership(worlds) }
}

const fn mutex(name: &'static str, worlds: mutex::Worlds) -> Named {
    Named { name, about: worlds.about(), worlds: Worlds::Mutex(worlds) }
}

const fn variable(name: &'static str, worlds: variable::Worlds) -> Named {
    Named { name, about: worlds.about(), worlds: Worlds::Variable(worlds) }
}

impl Named {
    /// The model of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|model| model.name == name)
    }

    /// Explores it, with a fault planted in its machines or without.
    pub fn explore(
        &self,
        scope: Scope,
        bug: Option<Bug>,
        bounds: &Bounds,
        watch: &mut dyn FnMut(&Counts) -> ControlFlow<()>,
    ) -> Report {
        match self.worlds {
            Worlds::Catalog(worlds) => {
                let model = Catalog::new(worlds, scope);
                explore(&bug.into_iter().fold(model, Catalog::planted), bounds, watch)
            }
            Worlds::Membership(worlds) => {
                let model = Membership::new(worlds, scope);
                explore(&bug.into_iter().fold(model, Membership::planted), bounds, watch)
            }
            Worlds::Mutex(worlds) => {
                let model = Mutex::new(worlds, scope);
                explore(&bug.into_iter().fold(model, Mutex::planted), bounds, watch)
            }
            Worlds::Variable(worlds) => {
                let model = Variable::new(worlds, scope);
                explore(&bug.into_iter().fold(model, Variable::planted), bounds, watch)
            }
        }
    }
}
