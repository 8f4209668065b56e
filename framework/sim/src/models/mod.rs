//! The small worlds that `cargo model` explores.
//!
//! Each has two scopes: one that is exhausted in seconds, and one for the night.

pub mod catalog;

use std::ops::ControlFlow;

use guthi_core::protocol::bugs::Bug;

use crate::explore::{Bounds, Counts, Report, explore};
use catalog::{Catalog, Worlds};

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

/// All models, in the order in which they are listed.
pub const ALL: [Named; 4] = [
    Named { name: "catalog", about: Worlds::Pair.about(), worlds: Worlds::Pair },
    Named { name: "catalog-lives", about: Worlds::Lives.about(), worlds: Worlds::Lives },
    Named { name: "catalog-three", about: Worlds::Three.about(), worlds: Worlds::Three },
    Named { name: "catalog-floor", about: Worlds::Floor.about(), worlds: Worlds::Floor },
];

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
        let model = Catalog::new(self.worlds, scope);
        let model = bug.into_iter().fold(model, Catalog::planted);
        explore(&model, bounds, watch)
    }
}
