use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc, time::Duration};

use guthi_core::{
    protocol::{
        variable::{self, Action, Answer, Operation, Outcome as Came, Refusal, State},
        view::Epoch,
    },
    wire::{bytes::Bytes, codec, limits::VARIABLE_BYTES_MAX, name::Name},
};
use serde::{Deserialize, Serialize};
use tokio::task::coop::consume_budget;

use super::{
    change::Changes,
    mutex::{Fence, Guard},
};
use crate::{
    ReadError, Travels, WriteError,
    calls::function::{Arriving, Departing},
    runtime::variables::{Cell, Found, Kind, Refused},
};

/// A variable of the whole cluster: every node reads and writes the same value.
///
/// [`Node::variable`](crate::Node::variable) attaches to it, or creates it. Clones are the same variable, and so is whatever any
/// node gets for its name. It keeps no node alive.
///
/// ```no_run
/// # use guthi::prelude::*;
/// # async fn example(node: Node) -> guthi::Result<()> {
/// let total = node.variable("total", 0_u64).await?;
/// total.add(1).await?;
/// println!("{} so far", total.get().await?);
/// # Ok(()) }
/// ```
///
/// # What it promises
///
/// All nodes see one order of values: whoever reads after a write has ended gets what was written, or something newer
/// (linearizability), as long as clocks run at rates that differ by less than one in a hundred. What was written is kept by as
/// many nodes as [`Builder::replicas`](crate::Builder::replicas) says, two unless it is said otherwise, and survives the death
/// of all of them but one. If all of them die at once, whoever asks is told [`ReadError::Lost`], until somebody
/// [resets](Self::reset) it. Values live in memory: when all nodes have stopped they are gone.
///
/// # What it costs
///
/// Once it was read on a node, reading costs nothing there until somebody writes: well under a microsecond, and no message. A
/// write goes to the node that is its first home, from there to the others that keep it and to those that have read it, all at
/// once, and comes back.
pub struct Variable<T> {
    cell: Arc<Cell>,
    kind: Kind,
    /// What it begins with, if it is to be begun.
    initial: Bytes,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Travels> Variable<T> {
    pub(crate) async fn attach(cell: Arc<Cell>, initial: &T) -> Result<Self, WriteError> {
        let kind = kind_of::<T>(&cell)?;
        let initial = encoded(cell.name(), initial)?;
        let variable = Self { cell, kind, initial, value: PhantomData };
        if !variable.is_there().await? {
            variable.create().await?;
        }
        Ok(variable)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.cell.name()
    }

    /// Its value. If this node has read it before, and nobody has written since, that takes well under a microsecond.
    ///
    /// It waits while the node is cut off from too many others: put a time-out around it where that matters.
    ///
    /// # Errors
    /// [`ReadError`]: it was deleted or lost, or this node has left.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn get(&self) -> Result<T, ReadError> {
        self.get_with_version().await.map(|(value, _)| value)
    }

    /// Its value, and which version that is: a later one is higher.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn get_with_version(&self) -> Result<(T, Version), ReadError> {
        // Who reads again and again without ever waiting lets others run all the same.
        consume_budget().await;
        if let Some(value) = self.cell.peek(|state| self.decode(state)) {
            return value;
        }
        match self.cell.fetch().await {
            Ok(Found::Copy(published)) => self.decode(&published.state),
            Ok(Found::Lost) => Err(ReadError::Lost { name: self.name().to_owned() }),
            Err(_) => Err(ReadError::Left),
        }
    }

    /// Whatever this node knows of it at this moment, perhaps nothing, and perhaps not the newest. It never waits.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot<T>> {
        let published = self.cell.last()?;
        let (value, version) = self.decode(&published.state).ok()?;
        Some(Snapshot { value, version, age: published.since.elapsed() })
    }

    /// Gives it this value, and says which version that is.
    ///
    /// # Errors
    /// [`WriteError`]. Its [outcome](WriteError::outcome) says whether it may have been written.
    ///
    /// # Cancel safety
    /// If it is dropped, the value may be written or not.
    pub async fn set(&self, value: T) -> Result<Version, WriteError> {
        let value = encoded(self.cell.name(), &value)?;
        self.done(Action::Set(value), None).await
    }

    /// Gives it this value under a guard: refused once a later guard of that mutex has written, so a holder that was stopped in
    /// the middle and goes on later changes nothing. It costs no more than [`set`](Self::set).
    ///
    /// It is refused, too, in another lineage than that of the guard, where nobody knows of those before it: if the node's own
    /// gave way to another one, by which the guard was lost; or if the node went on in a fork while this waited, which takes
    /// the guard along.
    ///
    /// The first such write binds the variable to the mutex. A plain `set` is still allowed, and checks nothing.
    ///
    /// # Errors
    /// As [`set`](Self::set); and [`WriteError::Fenced`], [`WriteError::OtherMutex`], [`WriteError::OtherLineage`].
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn set_fenced(&self, guard: &Guard, value: T) -> Result<Version, WriteError> {
        let value = encoded(self.cell.name(), &value)?;
        self.done(Action::Set(value), Some(guard.named())).await
    }

    /// Gives it this value, and gives the one before.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn swap(&self, value: T) -> Result<T, WriteError> {
        let value = encoded(self.cell.name(), &value)?;
        match self.operate(Action::Swap(value), None).await? {
            Answer { outcome: Came::Was(bytes), .. } => {
                decoded(&bytes).map_err(|_| WriteError::Unreadable { name: self.name().to_owned() })
            }
            answer => Err(self.unexpected(answer)),
        }
    }

    /// Gives it the new value if it has the old one at that moment; says whether it had.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn compare_and_set(&self, old: &T, new: T) -> Result<bool, WriteError> {
        let (old, value) = (encoded(self.cell.name(), old)?, encoded(self.cell.name(), &new)?);
        loop {
            let current = self.current().await?;
            let Some(here) = current.value.filter(|it| it.bytes == old) else { return Ok(false) };
            if here.kind != self.kind.hash {
                return Err(self.other_type(here.kind));
            }
            if self.replace(current.version, value.clone()).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Changes it by a function of its value, which runs again as often as somebody else was faster; gives what it is then.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn update(&self, mut change: impl FnMut(&mut T)) -> Result<T, WriteError> {
        loop {
            let current = self.current().await?;
            let (mut value, version) = self.decode(&current).map_err(|error| self.of_read(error))?;
            change(&mut value);
            let bytes = encoded(self.cell.name(), &value)?;
            if self.replace(version.0, bytes).await?.is_some() {
                return Ok(value);
            }
        }
    }

    /// Removes it, for all. Whoever reads it then finds that it is not there, until somebody creates it anew.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn delete(&self) -> Result<(), WriteError> {
        self.done(Action::Delete, None).await.map(drop)
    }

    /// Begins it anew, with the value with which this handle was made, after all nodes that kept it died at once
    /// ([`ReadError::Lost`]). That is for a person to decide: a node that was only cut off may still have what it was. It
    /// begins all variables anew that were kept by the same nodes. One that is not lost is left as it is.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn reset(&self) -> Result<(), WriteError> {
        self.done(Action::Reset, None).await?;
        if !self.is_there().await? {
            self.create().await?;
        }
        Ok(())
    }

    /// Each of its values as they come, beginning with the one it has: a stream of [`Change`](crate::Change)s. Whoever is slow
    /// gets the newest next, and is told how many it has missed; it slows nobody else. The versions rise, and the last one
    /// always comes.
    ///
    /// While somebody watches it on a node, that node always has a copy or asks for one: a change is here one message after it
    /// is written, and a [`get`](Self::get) costs none. It ends when the node leaves.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let total = node.variable("total", 0_u64).await?;
    /// let mut changes = total.watch();
    /// while let Some(change) = changes.next().await {
    ///     if let Change::Set { value, version, .. } = change {
    ///         println!("{value}, version {version}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> Changes<T> {
        let kind = self.kind.clone();
        Changes::of(self.cell.watch(), move |name, state| read_as(name, &kind, state))
    }

    async fn is_there(&self) -> Result<bool, WriteError> {
        match self.current().await?.value {
            Some(value) if value.kind != self.kind.hash => Err(self.other_type(value.kind)),
            value => Ok(value.is_some()),
        }
    }

    async fn create(&self) -> Result<(), WriteError> {
        let answer = self.operate(Action::Create(self.initial.clone()), None).await?;
        match answer.outcome {
            Came::Done | Came::Exists => Ok(()),
            _ => Err(self.unexpected(answer)),
        }
    }

    /// What it is now.
    async fn current(&self) -> Result<State, WriteError> {
        consume_budget().await;
        if let Some(state) = self.cell.peek(Clone::clone) {
            return Ok(state);
        }
        match self.cell.fetch().await {
            Ok(Found::Copy(published)) => Ok(published.state.clone()),
            Ok(Found::Lost) => Err(WriteError::Lost { name: self.name().to_owned() }),
            Err(_) => Err(WriteError::Left),
        }
    }

    /// Nothing if it has another version by now.
    async fn replace(&self, expected: variable::Version, value: Bytes) -> Result<Option<Version>, WriteError> {
        let answer = self.operate(Action::Replace { expected, value }, None).await?;
        match answer.outcome {
            Came::Done => Ok(Some(Version(answer.version))),
            Came::Refused(Refusal::Changed) => Ok(None),
            _ => Err(self.unexpected(answer)),
        }
    }

    async fn done(&self, action: Action, guard: Option<variable::Guard>) -> Result<Version, WriteError> {
        match self.operate(action, guard).await? {
            Answer { outcome: Came::Done, version } => Ok(Version(version)),
            answer => Err(self.unexpected(answer)),
        }
    }

    async fn operate(&self, action: Action, guard: Option<variable::Guard>) -> Result<Answer, WriteError> {
        let operation = Operation { kind: self.kind.hash, guard, action };
        let operating = self.cell.operate(operation).map_err(|refused| self.refused(refused))?;
        operating.answer().await.map_err(|refused| self.refused(refused))
    }

    fn decode(&self, state: &State) -> Result<(T, Version), ReadError> {
        read_as(self.name(), &self.kind, state)
    }

    fn other_type(&self, there: u64) -> WriteError {
        WriteError::OtherType { name: self.name().to_owned(), here: self.kind.shape.to_string(), there }
    }

    fn of_read(&self, error: ReadError) -> WriteError {
        match error {
            ReadError::NotFound { name } => WriteError::NotFound { name },
            ReadError::OtherType { name, here, there } => WriteError::OtherType { name, here, there },
            ReadError::Lost { name } => WriteError::Lost { name },
            ReadError::Unreadable { name } => WriteError::Unreadable { name },
            ReadError::BadName { name, reason } => WriteError::BadName { name, reason },
            ReadError::Left => WriteError::Left,
        }
    }

    fn refused(&self, it: Refused) -> WriteError {
        refused(self.name(), it)
    }

    fn unexpected(&self, answer: Answer) -> WriteError {
        unexpected(self.name(), &self.kind.shape, answer)
    }
}

/// What is in a variable, if it is of this kind.
pub(crate) fn read_as<T: Travels>(name: &str, kind: &Kind, state: &State) -> Result<(T, Version), ReadError> {
    let name = || name.to_owned();
    match &state.value {
        None => Err(ReadError::NotFound { name: name() }),
        Some(value) if value.kind != kind.hash => {
            Err(ReadError::OtherType { name: name(), here: kind.shape.to_string(), there: value.kind })
        }
        Some(value) => match decoded(&value.bytes) {
            Ok(it) => Ok((it, Version(state.version))),
            Err(_) => Err(ReadError::Unreadable { name: name() }),
        },
    }
}

/// What is told when an operation has no answer.
pub(crate) fn refused(name: &str, refused: Refused) -> WriteError {
    let name = || name.to_owned();
    match refused {
        Refused::Closed => WriteError::Left,
        Refused::Crowded => WriteError::TooManyWaiters { name: name() },
        Refused::Unknown => WriteError::Unknown { name: name() },
    }
}

/// What is told when an operation on what is of the type `here` was not done.
pub(crate) fn unexpected(name: &str, here: &str, answer: Answer) -> WriteError {
    let name = name.to_owned();
    match answer.outcome {
        Came::Refused(Refusal::NotFound) => WriteError::NotFound { name },
        Came::Refused(Refusal::OtherType(there)) => WriteError::OtherType { name, here: here.to_owned(), there },
        Came::Refused(Refusal::Overflow) => WriteError::Overflow { name },
        Came::Refused(Refusal::OtherMutex(mutex)) => WriteError::OtherMutex { name, mutex: mutex.to_string() },
        Came::Refused(Refusal::Fenced(fence)) => WriteError::Fenced { name, fence: Fence::of(fence) },
        Came::Refused(Refusal::Lost) => WriteError::Lost { name },
        Came::Refused(Refusal::Full) => WriteError::TooMany { name },
        Came::Refused(Refusal::OtherLineage) => WriteError::OtherLineage { name },
        // What was asked is answered otherwise by no node that keeps the rules.
        Came::Refused(Refusal::Changed) | Came::Done | Came::Was(_) | Came::Sum(_) | Came::Exists => {
            WriteError::Unknown { name }
        }
    }
}

impl<T: Travels + Number> Variable<T> {
    /// Adds to it, and gives what it is then. The sum is made where the variable is at home: many nodes that add to one variable
    /// do not get in each other's way, as they do with [`update`](Self::update).
    ///
    /// # Errors
    /// As [`set`](Self::set); and [`WriteError::Overflow`]: it is as it was.
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn add(&self, delta: T) -> Result<T, WriteError> {
        self.shift(delta.wide()).await
    }

    /// Takes away from it, and gives what it is then; as [`add`](Self::add).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    pub async fn sub(&self, delta: T) -> Result<T, WriteError> {
        self.shift(-delta.wide()).await
    }

    async fn shift(&self, delta: i128) -> Result<T, WriteError> {
        let answer = self.operate(Action::Add { number: T::number(), delta }, None).await?;
        match answer.outcome {
            Came::Sum(sum) => T::narrow(sum).ok_or_else(|| WriteError::Overflow { name: self.name().to_owned() }),
            _ => Err(self.unexpected(answer)),
        }
    }
}

impl<T> Clone for Variable<T> {
    fn clone(&self) -> Self {
        let Self { cell, kind, initial, value } = self;
        Self { cell: cell.clone(), kind: kind.clone(), initial: initial.clone(), value: *value }
    }
}

impl<T> fmt::Debug for Variable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable").field("name", self.cell.name()).field("type", &self.kind.shape).finish()
    }
}

/// What a node knew of a variable at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot<T> {
    /// Its value.
    pub value: T,
    /// Which version that is.
    pub version: Version,
    /// For how long this node has had it. It may be the newest all the same.
    pub age: Duration,
}

/// The number of a value of a variable: a later one is higher, over failures too.
///
/// Its text form is `epoch.number`, as in `7.42`. What compares versions by itself compares the two as numbers, the epoch first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(variable::Version);

impl Version {
    pub(crate) const fn of(version: variable::Version) -> Self {
        Self(version)
    }

    pub(crate) const fn inner(self) -> variable::Version {
        self.0
    }

    /// Of the view in which it was written.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.0.epoch.0
    }

    /// Counts what was written in that view, of this and other variables that are kept together.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.sequence
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version: expected two numbers with a dot between them, such as 7.42")]
#[non_exhaustive]
pub struct BadVersion;

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let (epoch, sequence) = text.split_once('.').ok_or(BadVersion)?;
        let number = |text: &str| text.parse().map_err(|_| BadVersion);
        Ok(Self(variable::Version { epoch: Epoch(number(epoch)?), sequence: number(sequence)? }))
    }
}

/// As its text form.
impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Numbers that variables can [add](Variable::add) to.
pub trait Number: sealed::Sealed + Copy {
    #[doc(hidden)]
    fn wide(self) -> i128;
    #[doc(hidden)]
    fn narrow(wide: i128) -> Option<Self>;
    #[doc(hidden)]
    fn number() -> variable::Number;
}

mod sealed {
    #[allow(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($type:ty => $number:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Number for $type {
            fn wide(self) -> i128 {
                self.into()
            }

            fn narrow(wide: i128) -> Option<Self> {
                Self::try_from(wide).ok()
            }

            fn number() -> variable::Number {
                variable::Number::$number
            }
        }
    )*};
}

numbers!(u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16, i32 => I32, i64 => I64);

/// What a type is called on this node.
fn kind_of<T: Travels>(cell: &Cell) -> Result<Kind, WriteError> {
    cell.variables().kind::<T>().map_err(|unsupported| WriteError::UnsupportedType {
        type_name: unsupported.type_name,
        place: unsupported.place,
        hint: unsupported.hint,
    })
}

fn encoded<T: Travels>(name: &Name, value: &T) -> Result<Bytes, WriteError> {
    let name = || name.to_string();
    match codec::encode(&Departing(value), VARIABLE_BYTES_MAX) {
        Ok(bytes) => Ok(bytes.into()),
        Err(codec::EncodeError::TooLarge { bytes, limit }) => Err(WriteError::TooLarge { name: name(), bytes, limit }),
        Err(codec::EncodeError::Refused(error)) => {
            Err(WriteError::NotEncoded { name: name(), reason: error.to_string() })
        }
    }
}

fn decoded<T: Travels>(bytes: &[u8]) -> Result<T, codec::DecodeError> {
    codec::decode::<Arriving<T>>(bytes).map(|arriving| arriving.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_come_back_from_their_text() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("9.10") > version("9.9") && version("10.1") > version("9.10"));
        assert_eq!((version("7.42").epoch(), version("7.42").number()), (7, 42));
        assert_eq!(version("7.42").to_string(), "7.42");
        for text in ["", "7", "7.", ".7", "a.b", "7.4.2", "-1.2"] {
            assert_eq!(text.parse::<Version>(), Err(BadVersion), "{text:?}");
        }
        assert_eq!(serde_json::to_string(&version("7.42")).unwrap(), "\"7.42\"");
    }
}
