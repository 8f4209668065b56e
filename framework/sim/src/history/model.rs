//! What an object would do if it were asked one thing after another.

use std::{collections::BTreeSet, fmt::Debug, hash::Hash};

use super::{Moment, Operation};

/// The sequential specification of an object.
pub trait Model {
    /// What can be asked.
    type Op: Clone + Eq + Hash;
    /// What can be told.
    type Ret: Clone;
    /// What the object remembers.
    type State: Clone + Debug + Eq + Hash;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after an operation, or nothing if the object would not have told `ret`. Without `ret` nobody knows
    /// what was told, and everything is allowed.
    ///
    /// If an operation can end in several ways, the state must be one that stands for all of them. Where a pending one
    /// may also do nothing, only the effect counts: it can always be left out.
    fn step(&self, state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<Self::State>;

    /// Whether an operation with this answer leaves every state as it is, up to what is known of it. It is always
    /// right to say no; yes makes the search faster.
    fn only_reads(&self, _op: &Self::Op, _ret: Option<&Self::Ret>) -> bool {
        false
    }

    /// How people read an operation: a few words without a line break.
    fn describe(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// How people read a state.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// Whether `order`, indices into `operations`, shows that they are linearizable. This trusts nothing but the
/// definition, and so checks the checkers.
pub fn is_witness<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>], order: &[usize]) -> bool {
    let ordered: BTreeSet<usize> = order.iter().copied().collect();
    let complete = (0..operations.len()).all(|index| operations[index].is_pending() || ordered.contains(&index));
    let mut state = Some(model.initial());
    let mut latest_start = Moment::BEGINNING;
    for &index in order {
        let Some(operation) = operations.get(index) else { return false };
        if operation.end() < latest_start {
            return false;
        }
        latest_start = latest_start.max(operation.start);
        state = state.and_then(|state| model.step(&state, &operation.op, operation.ret()));
    }
    complete && ordered.len() == order.len() && state.is_some()
}
