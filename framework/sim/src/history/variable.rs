//! A variable: a value that can be read, written, compared, added to, swapped and deleted.

use super::{
    Model,
    operation::{Answer, Call, Expected, Reply, Stamp, describe},
};

/// The model of a variable. With [`Call::Get`] and [`Call::Set`] alone it is a register.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variable {
    /// Its value before the first operation.
    pub initial: Option<i64>,
}

/// What a variable remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VariableState {
    /// Its value, if it has one.
    pub value: Option<i64>,
    /// Its version, as far as it is known.
    pub version: Version,
}

/// What is known of a version. It never falls; writes that were answered together may share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// The last version that somebody was told, or compared with.
    pub told: Stamp,
    /// Whether something was written since whose version nobody was told: then it is `told` or any later one.
    pub vague: bool,
}

impl Model for Variable {
    type Op = Call;
    type Ret = Reply;
    type State = VariableState;

    fn initial(&self) -> VariableState {
        VariableState { value: self.initial, version: Version { vague: true, ..Version::default() } }
    }

    fn step(&self, state: &VariableState, call: &Call, reply: Option<&Reply>) -> Option<VariableState> {
        let told = reply.map(|reply| reply.answer);
        if told == Some(Answer::Missing) {
            return state.value.is_none().then_some(*state);
        }
        let old = state.value;
        let mut version = state.version;
        // What it would do, and what it would tell.
        let (written, answer) = match *call {
            Call::Get => (None, Answer::Value(old)),
            Call::Set(new) => (Some(Some(new)), Answer::Done),
            Call::Delete => (Some(None), Answer::Done),
            Call::Swap(new) => (Some(Some(new)), Answer::Value(old)),
            Call::Add(amount) => match old {
                Some(old) => (Some(Some(old.wrapping_add(amount))), Answer::Value(Some(old.wrapping_add(amount)))),
                None => (None, Answer::Missing),
            },
            Call::CompareAndSet { expected, new } => {
                let equal = match expected {
                    Expected::Value(expected) => expected == old,
                    Expected::Version(expected) => version.compare(expected, told != Some(Answer::Stored(false))),
                };
                (equal.then_some(Some(new)), Answer::Stored(equal))
            }
            Call::Lock | Call::TryLock | Call::Unlock(_) => return None,
        };
        let result_not_kept = told == Some(Answer::Done) && matches!(call, Call::Add(_) | Call::Swap(_));
        let fits = told.is_none_or(|told| told == answer || (result_not_kept && written.is_some()));
        let version_fits = version.pass(written.is_some(), reply.and_then(|reply| reply.version));
        (fits && version_fits).then_some(VariableState { value: written.unwrap_or(old), version })
    }

    fn only_reads(&self, call: &Call, reply: Option<&Reply>) -> bool {
        let told_no = matches!(reply, Some(Reply { answer: Answer::Missing | Answer::Stored(false), .. }));
        *call == Call::Get || told_no
    }

    fn describe(&self, call: &Call, reply: Option<&Reply>) -> String {
        describe(call, reply)
    }

    fn describe_state(&self, state: &VariableState) -> String {
        state.value.map_or_else(|| "none".to_owned(), |value| value.to_string())
    }
}

impl Version {
    /// Whether it is the expected one; if both is possible, what `wanted` says.
    fn compare(&mut self, expected: Stamp, wanted: bool) -> bool {
        let possible = if self.vague { expected >= self.told } else { expected == self.told };
        let equal = possible && (wanted || !self.vague);
        if equal {
            *self = Self { told: expected, vague: false };
        }
        equal
    }

    /// Goes on to the version after an operation; whether it can be the one that was told.
    fn pass(&mut self, written: bool, told: Option<Stamp>) -> bool {
        match told {
            None => {
                self.vague |= written;
                true
            }
            Some(told) => {
                let possible = if self.vague || written { told >= self.told } else { told == self.told };
                *self = Self { told, vague: false };
                possible
            }
        }
    }
}
