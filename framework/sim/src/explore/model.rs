//! What an exploration is about.

use std::{fmt::Debug, hash::Hash};

/// A small world with all that can happen in it.
///
/// All methods are functions of their arguments, and `actions` has an order: a path is kept as the places of its actions
/// in these lists.
pub trait Model {
    /// The whole world at one moment. What the hash leaves out must make no difference to what follows.
    type State: Clone + Hash;
    /// What can happen. Its `Debug` form is the Rust expression that makes it, for [`Model::test`].
    type Action: Clone + Debug;

    /// Where the world may begin.
    fn initial(&self) -> Vec<Self::State>;

    /// What can happen now.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// The state after an action, or nothing if it is not possible or changes nothing. Markers go to `met`.
    fn next(&self, state: &Self::State, action: &Self::Action, met: &mut Vec<&'static str>) -> Option<Self::State>;

    /// What holds in every state.
    ///
    /// # Errors
    /// A sentence that names what is broken.
    fn check(&self, state: &Self::State) -> Result<(), String>;

    /// The markers that an exploration must meet.
    fn sometimes(&self) -> Vec<&'static str>;

    /// Whether the exploration goes on from here. What lies outside is neither visited nor checked.
    fn within_boundary(&self, _state: &Self::State) -> bool {
        true
    }

    /// The ways in which faults may end in this state; each is the first action of a recovery.
    fn recoveries(&self, _state: &Self::State) -> Vec<Self::Action> {
        Vec::new()
    }

    /// The next action of a recovery, or nothing if all has come to rest where it should.
    ///
    /// # Errors
    /// A sentence that names what is not as it should be, though nothing can happen any more.
    fn recover(&self, _state: &Self::State) -> Result<Option<Self::Action>, String> {
        Ok(None)
    }

    /// What an action did, for people.
    fn describe(&self, before: &Self::State, action: &Self::Action, after: &Self::State) -> String;

    /// A Rust test that walks this path from the initial state of that number.
    fn test(&self, start: usize, actions: &[Self::Action]) -> String;
}
