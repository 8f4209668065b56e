//! Scenarios: who lives in the world, what its users do, and what must be true.

pub mod catalog;
pub mod membership;
pub mod mutex;
pub(crate) mod node;
pub mod schedule;
pub mod variable;

use std::fmt::Debug;

use guthi_core::{
    protocol::{bugs::Bugs, random::Random, time::Time},
    wire::id::Member,
};
use serde::{Serialize, de::DeserializeOwned};

pub use catalog::Catalog;
pub use membership::Membership;
pub use mutex::Mutex;
pub use schedule::Schedule;
pub use variable::Variable;

use crate::{
    fabric::Place,
    fault::{Fault, Profile},
    world::{Host, World},
};

/// One protocol with its users, its world and its rules.
pub trait Scenario: Sized {
    /// The word on the command line.
    const NAME: &'static str;
    /// The rare branches that a campaign must have reached.
    const MARKERS: &'static [&'static str];
    /// When nothing happens, each node sends each other one at most so many messages a second (G4).
    const IDLE_MESSAGES_MAX: u32 = 9;
    /// What users do.
    type Operation: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
    /// A node.
    type Host: Host<Operation = Self::Operation>;

    /// How many nodes there are at the start.
    fn nodes(random: &mut Random) -> Place;

    /// What users do up to then, in any order.
    fn operations(nodes: Place, until: Time, random: &mut Random) -> Vec<Operation<Self::Operation>>;

    /// What a user does, in the words of a [play](crate::script).
    ///
    /// # Errors
    /// What is wrong with the words, and what there is instead.
    fn parse(words: &[&str]) -> Result<Self::Operation, String> {
        Err(format!("this scenario has no words for what users do, so nothing is known of {words:?}"))
    }

    /// What is done to the world of this scenario beside the faults that any world may meet.
    fn faults(_nodes: Place, _until: Time, _random: &mut Random) -> Vec<Fault> {
        Vec::new()
    }

    /// A scenario about to begin. The seed serves for what is the same at all nodes.
    fn new(profile: Profile, seed: u64) -> Self;

    /// A node about to begin.
    fn boot(&mut self, boot: Boot) -> Self::Host;

    /// Whether this node may be killed, stopped or replaced.
    fn may_fail(_place: Place) -> bool {
        true
    }

    /// What must be true after each step of the node at this place.
    ///
    /// # Errors
    /// The rule that is broken.
    fn check_step(&mut self, world: &mut World<Self::Host>, place: Place) -> Result<(), Violation>;

    /// What must be true at the end; `quiet` if there was a time without faults before it, long enough for everything.
    ///
    /// # Errors
    /// The rule that is broken.
    fn check_end(&mut self, world: &mut World<Self::Host>, quiet: bool) -> Result<(), Violation>;
}

/// Something that a user does at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Operation<O> {
    /// When, in microseconds of the world's time.
    pub at_us: u64,
    /// Where.
    pub place: Place,
    /// What.
    pub what: O,
}

/// What a node begins with.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// Where it is.
    pub place: Place,
    /// Who it is, and in which life.
    pub member: Member,
    /// All the chance that it will have.
    pub seed: u64,
    /// The rule that it breaks on purpose.
    pub bugs: Bugs,
    /// It has no habits of its own: in plays and in calm, nodes do what they should.
    pub tame: bool,
    /// Somebody will read what it notes.
    pub verbose: bool,
}

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number and what was seen.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}
