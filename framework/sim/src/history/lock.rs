//! A lock: at most one holder, and fences that rise.

use super::{
    Model,
    operation::{Answer, Call, Reply, Stamp, describe},
};

/// The model of a lock. Each grant has a higher fence than all before, nothing is granted while a guard lives, and
/// only the holder ends its guard.
///
/// # When a guard ends by itself
///
/// A guard may end without being unlocked: its holder crashes, or its lease lapses. Record it as an
/// [`Call::Unlock`] with its fence, by a client of its own, that starts when the holder last knew that it held the
/// lock. If the holder later notices, the answer is [`Answer::Lost`] at that time. If it crashed, there is none.
/// Without this record, whoever is granted the lock next makes two holders.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    /// Whether [`Answer::Busy`] may also be told of a free lock, because it was on its way between two nodes.
    pub spurious_busy: bool,
}

/// What a lock remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockState {
    /// The last fence that somebody was told.
    pub fence: Stamp,
    /// Whether somebody has it.
    pub held: Held,
}

/// Whether somebody has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Nobody.
    No,
    /// The one with the last fence.
    Yes,
    /// Somebody was granted it, who never learned of it. It may be free again at any time.
    Perhaps,
}

impl Model for Lock {
    type Op = Call;
    type Ret = Reply;
    type State = LockState;

    fn initial(&self) -> LockState {
        LockState { fence: Stamp::default(), held: Held::No }
    }

    fn step(&self, state: &LockState, call: &Call, reply: Option<&Reply>) -> Option<LockState> {
        let ours = |fence: &Stamp| state.held == Held::Yes && state.fence == *fence;
        match (call, reply.map(|reply| reply.answer)) {
            (Call::Lock | Call::TryLock, Some(Answer::Fence(fence))) => {
                (state.held != Held::Yes && fence > state.fence).then_some(LockState { fence, held: Held::Yes })
            }
            (Call::Lock | Call::TryLock, None) => {
                Some(if state.held == Held::No { LockState { held: Held::Perhaps, ..*state } } else { *state })
            }
            (Call::TryLock, Some(Answer::Busy)) => (self.spurious_busy || state.held != Held::No).then_some(*state),
            (Call::Unlock(fence), Some(Answer::Done)) => ours(fence).then_some(LockState { held: Held::No, ..*state }),
            (Call::Unlock(fence), Some(Answer::Lost) | None) => {
                Some(if ours(fence) { LockState { held: Held::No, ..*state } } else { *state })
            }
            _ => None,
        }
    }

    fn only_reads(&self, _: &Call, reply: Option<&Reply>) -> bool {
        matches!(reply, Some(Reply { answer: Answer::Busy, .. }))
    }

    fn describe(&self, call: &Call, reply: Option<&Reply>) -> String {
        describe(call, reply)
    }

    fn describe_state(&self, state: &LockState) -> String {
        match state.held {
            Held::No => format!("free after {}", state.fence),
            Held::Yes => format!("held with {}", state.fence),
            Held::Perhaps => format!("perhaps held after {}", state.fence),
        }
    }
}
