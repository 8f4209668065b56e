//! What an operation does to a record.

use super::{Action, Guard, Number, Operation, Outcome, Record, Refusal, Value, Version, here::Here};
use crate::{
    protocol::bugs::Bug,
    wire::{bytes::Bytes, codec},
};

impl Record {
    /// Does one operation, which gives the record this version if it changes something.
    pub(super) fn apply(&mut self, operation: &Operation, version: Version, here: &Here) -> Outcome {
        match self.attempt(operation, version, here) {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// What it does, or what is answered if it does nothing.
    fn attempt(&mut self, operation: &Operation, version: Version, here: &Here) -> Result<Outcome, Outcome> {
        let Operation { kind, guard, action } = operation;
        let refused = |refusal| Err(Outcome::Refused(refusal));
        let (outcome, value) = match (&self.state.value, action) {
            (_, Action::Reset) => return Err(Outcome::Done),
            (Some(value), action) if value.kind != *kind && *action != Action::Delete => {
                return refused(Refusal::OtherType(value.kind));
            }
            (Some(_), Action::Create(_)) => return Err(Outcome::Exists),
            (None, Action::Create(bytes)) => (Outcome::Done, Some(bytes.clone())),
            (None, _) => return refused(Refusal::NotFound),
            (Some(_), Action::Set(bytes)) => (Outcome::Done, Some(bytes.clone())),
            (Some(value), Action::Swap(bytes)) => (Outcome::Was(value.bytes.clone()), Some(bytes.clone())),
            (Some(_), Action::Replace { expected, value }) => {
                if *expected != self.state.version {
                    return refused(Refusal::Changed);
                }
                (Outcome::Done, Some(value.clone()))
            }
            (Some(value), Action::Add { number, delta }) => {
                let Some(before) = number.decode(&value.bytes) else {
                    return refused(Refusal::OtherType(value.kind));
                };
                let sum = before.checked_add(*delta).and_then(|sum| Some((sum, number.encode(sum)?)));
                let Some((sum, bytes)) = sum else { return refused(Refusal::Overflow) };
                (Outcome::Sum(sum), Some(bytes))
            }
            (Some(_), Action::Delete) => (Outcome::Done, None),
        };
        if let Some(guard) = guard {
            self.check(guard, here)?;
            self.binding = Some(guard.binding.clone());
        }
        if value.is_none() || matches!(action, Action::Create(_)) {
            self.binding = guard.as_ref().map(|guard| guard.binding.clone());
        }
        self.state.version = version;
        self.state.value = value.map(|bytes| Value { kind: *kind, bytes });
        Ok(outcome)
    }

    /// D10: who is refused comes from another lineage, or with a guard of another mutex, or after a later one.
    fn check(&self, Guard { binding, lineage }: &Guard, here: &Here) -> Result<(), Outcome> {
        let bugs = here.config.bugs;
        let refused = |refusal| Err(Outcome::Refused(refusal));
        if *lineage != here.view.at.lineage && !bugs.has(Bug::GuardOfOtherLineage) {
            return refused(Refusal::OtherLineage);
        }
        match &self.binding {
            _ if bugs.has(Bug::FenceUnchecked) => Ok(()),
            Some(bound) if bound.mutex != binding.mutex => refused(Refusal::OtherMutex(bound.mutex.clone())),
            Some(bound) if bound.fence > binding.fence => refused(Refusal::Fenced(bound.fence)),
            _ => Ok(()),
        }
    }
}

impl Number {
    fn decode(self, bytes: &[u8]) -> Option<i128> {
        fn read<T: serde::de::DeserializeOwned + Into<i128>>(bytes: &[u8]) -> Option<i128> {
            codec::decode::<T>(bytes).ok().map(Into::into)
        }
        match self {
            Self::U8 => read::<u8>(bytes),
            Self::U16 => read::<u16>(bytes),
            Self::U32 => read::<u32>(bytes),
            Self::U64 => read::<u64>(bytes),
            Self::I8 => read::<i8>(bytes),
            Self::I16 => read::<i16>(bytes),
            Self::I32 => read::<i32>(bytes),
            Self::I64 => read::<i64>(bytes),
        }
    }

    fn encode(self, number: i128) -> Option<Bytes> {
        fn write<T: serde::Serialize + TryFrom<i128>>(number: i128) -> Option<Bytes> {
            codec::encode(&T::try_from(number).ok()?, 16).ok().map(Bytes::from)
        }
        match self {
            Self::U8 => write::<u8>(number),
            Self::U16 => write::<u16>(number),
            Self::U32 => write::<u32>(number),
            Self::U64 => write::<u64>(number),
            Self::I8 => write::<i8>(number),
            Self::I16 => write::<i16>(number),
            Self::I32 => write::<i32>(number),
            Self::I64 => write::<i64>(number),
        }
    }
}
