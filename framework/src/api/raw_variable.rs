use std::{fmt, sync::Arc};

use guthi_core::{
    protocol::variable::{Action, Answer, Operation, Outcome as Came, Refusal, State},
    wire::limits::VARIABLE_BYTES_MAX,
};

use super::{
    change::Changes,
    variable::{Version, refused, unexpected},
    variable_type::VariableType,
};
use crate::{
    ReadError, WriteError,
    runtime::variables::{Cell, Found},
};

/// A variable for tools that have its bytes and not its type.
///
/// [`Node::raw_variable`](crate::Node::raw_variable) makes it, and changes nothing by that. Programs use
/// [`Variable`](crate::Variable). What a value means is said by its kind, a hash of the shape of its type:
/// [`Node::variable_type`](crate::Node::variable_type) translates between bytes and JSON.
pub struct RawVariable {
    cell: Arc<Cell>,
}

/// What is in a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawValue {
    /// What its type is called.
    pub kind: u64,
    /// Its encoded value.
    pub bytes: Vec<u8>,
    /// Which version that is.
    pub version: Version,
}

/// What is in a variable, whatever its kind.
pub(crate) fn read_raw(name: &str, state: &State) -> Result<(RawValue, Version), ReadError> {
    let raw = raw(state).ok_or_else(|| ReadError::NotFound { name: name.to_owned() })?;
    let version = raw.version;
    Ok((raw, version))
}

fn raw(state: &State) -> Option<RawValue> {
    let value = state.value.as_ref()?;
    Some(RawValue { kind: value.kind, bytes: value.bytes.to_vec(), version: Version::of(state.version) })
}

impl RawVariable {
    pub(crate) const fn new(cell: Arc<Cell>) -> Self {
        Self { cell }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.cell.name()
    }

    /// What is in it; nothing if there is no such variable.
    ///
    /// # Errors
    /// [`ReadError`]: it is lost, or this node has left.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn get(&self) -> Result<Option<RawValue>, ReadError> {
        let state = match self.cell.peek(Clone::clone) {
            Some(state) => state,
            None => match self.cell.fetch().await {
                Ok(Found::Copy(published)) => published.state.clone(),
                Ok(Found::Lost) => return Err(ReadError::Lost { name: self.name().to_owned() }),
                Err(_) => return Err(ReadError::Left),
            },
        };
        Ok(raw(&state))
    }

    /// Each of its values as they come, beginning with the one it has; as [`Variable::watch`](crate::Variable::watch).
    pub fn watch(&self) -> Changes<RawValue> {
        Changes::of(self.cell.watch(), read_raw)
    }

    /// Gives it this value, if it is there and of this kind.
    ///
    /// # Errors
    /// [`WriteError`]. Its [outcome](WriteError::outcome) says whether it may have been written.
    ///
    /// # Cancel safety
    /// If it is dropped, the value may be written or not.
    pub async fn set(&self, kind: u64, bytes: Vec<u8>) -> Result<Version, WriteError> {
        let action = Action::Set(self.bounded(bytes)?.into());
        match self.operate(kind, action).await? {
            Answer { outcome: Came::Done, version } => Ok(Version::of(version)),
            answer => Err(self.unexpected(kind, answer)),
        }
    }

    /// Gives it this value if it still has that version; nothing if it has another one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn replace(&self, expected: Version, kind: u64, bytes: Vec<u8>) -> Result<Option<Version>, WriteError> {
        let action = Action::Replace { expected: expected.inner(), value: self.bounded(bytes)?.into() };
        match self.operate(kind, action).await? {
            Answer { outcome: Came::Done, version } => Ok(Some(Version::of(version))),
            Answer { outcome: Came::Refused(Refusal::Changed), .. } => Ok(None),
            answer => Err(self.unexpected(kind, answer)),
        }
    }

    /// Creates it with this value; nothing if it is there.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn create(&self, kind: u64, bytes: Vec<u8>) -> Result<Option<Version>, WriteError> {
        let action = Action::Create(self.bounded(bytes)?.into());
        match self.operate(kind, action).await? {
            Answer { outcome: Came::Done, version } => Ok(Some(Version::of(version))),
            Answer { outcome: Came::Exists | Came::Refused(Refusal::OtherType(_)), .. } => Ok(None),
            answer => Err(self.unexpected(kind, answer)),
        }
    }

    /// Adds to it if it is a number of this type, and gives what it is then, and which version that is.
    ///
    /// # Errors
    /// As [`set`](Self::set); and [`WriteError::Overflow`], [`WriteError::OtherType`]: nothing can be added to it.
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn add(&self, number: &VariableType, delta: i128) -> Result<(i128, Version), WriteError> {
        let (kind, name) = (number.kind(), || self.name().to_owned());
        let Some(number) = number.number() else {
            return Err(WriteError::OtherType { name: name(), here: "a whole number".into(), there: kind });
        };
        match self.operate(kind, Action::Add { number, delta }).await? {
            Answer { outcome: Came::Sum(sum), version } => Ok((sum, Version::of(version))),
            answer => Err(self.unexpected(kind, answer)),
        }
    }

    /// Removes it, for all, whatever its kind.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn delete(&self) -> Result<(), WriteError> {
        self.done(Action::Delete).await
    }

    /// Begins it anew, as one that is not there, and all others that were kept by the same nodes, after those nodes died at
    /// once. One that is not lost is left as it is.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn reset(&self) -> Result<(), WriteError> {
        self.done(Action::Reset).await
    }

    async fn done(&self, action: Action) -> Result<(), WriteError> {
        match self.operate(0, action).await? {
            Answer { outcome: Came::Done, .. } => Ok(()),
            answer => Err(self.unexpected(0, answer)),
        }
    }

    async fn operate(&self, kind: u64, action: Action) -> Result<Answer, WriteError> {
        let operation = Operation { kind, guard: None, action };
        let operating = self.cell.operate(operation).map_err(|it| refused(self.name(), it))?;
        operating.answer().await.map_err(|it| refused(self.name(), it))
    }

    fn bounded(&self, bytes: Vec<u8>) -> Result<Vec<u8>, WriteError> {
        let (name, limit) = (|| self.name().to_owned(), VARIABLE_BYTES_MAX);
        if bytes.len() > limit {
            return Err(WriteError::TooLarge { name: name(), bytes: bytes.len(), limit });
        }
        Ok(bytes)
    }

    fn unexpected(&self, kind: u64, answer: Answer) -> WriteError {
        let shape = self.cell.variables().type_of(kind);
        let here = shape.map_or_else(|| format!("one called {kind:016x}"), |shape| shape.to_string());
        unexpected(self.name(), &here, answer)
    }
}

impl Clone for RawVariable {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone() }
    }
}

impl fmt::Debug for RawVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawVariable").field("name", self.cell.name()).finish()
    }
}
