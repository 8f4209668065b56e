//! What can be asked of variables and locks, and what can be told.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a client asks for. An object is a variable or a lock by what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// The value of a variable.
    Get,
    /// To write a value, whether there was one or not.
    Set(i64),
    /// To write a value if the variable is as expected. To create a variable is to expect that it has no value.
    CompareAndSet {
        /// What must be there.
        expected: Expected,
        /// What shall be there then.
        new: i64,
    },
    /// To add to the value, if there is one.
    Add(i64),
    /// To write a value and be told what was there.
    Swap(i64),
    /// To take the value away.
    Delete,
    /// The lock, however long it takes.
    Lock,
    /// The lock, if it is free.
    TryLock,
    /// To end the guard with this fence. Also recorded for a guard that has ended by itself.
    Unlock(Stamp),
}

/// What a compare-and-set compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// The value, or that there is none.
    Value(Option<i64>),
    /// The version.
    Version(Stamp),
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done. Says nothing else: also for [`Call::Add`] and [`Call::Swap`], if their result was not kept.
    Done,
    /// For [`Call::Get`] what is there, for [`Call::Swap`] what was there, for [`Call::Add`] the sum; nothing if the
    /// variable has no value.
    Value(Option<i64>),
    /// For [`Call::CompareAndSet`]: whether it was as expected.
    Stored(bool),
    /// The variable has no value, and nothing was done.
    Missing,
    /// The lock is yours.
    Fence(Stamp),
    /// The lock is somebody else's.
    Busy,
    /// The guard had ended by itself.
    Lost,
}

/// An answer, and the version that the variable has with it if the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// What the client was told.
    pub answer: Answer,
    /// The version after the operation.
    pub version: Option<Stamp>,
}

/// A version or a fence: an epoch and a number within it, written `3.41`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stamp {
    /// The epoch.
    pub epoch: u64,
    /// The number within the epoch.
    pub number: u64,
}

/// A text is not two numbers with a point between them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not of the form epoch.number, such as 3.41")]
pub struct ParseStampError {
    text: String,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, version: None }
    }
}

impl FromStr for Stamp {
    type Err = ParseStampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| digits.parse().ok();
        text.split_once('.')
            .and_then(|(epoch, rest)| Some(Self { epoch: number(epoch)?, number: number(rest)? }))
            .ok_or_else(|| ParseStampError { text: text.to_owned() })
    }
}

impl TryFrom<String> for Stamp {
    type Error = ParseStampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("get"),
            Self::Set(value) => write!(f, "set {value}"),
            Self::CompareAndSet { expected: Expected::Value(Some(value)), new } => write!(f, "set {new} if {value}"),
            Self::CompareAndSet { expected: Expected::Value(None), new } => write!(f, "set {new} if none"),
            Self::CompareAndSet { expected: Expected::Version(version), new } => write!(f, "set {new} if at {version}"),
            Self::Add(amount) => write!(f, "add {amount}"),
            Self::Swap(value) => write!(f, "swap {value}"),
            Self::Delete => f.write_str("delete"),
            Self::Lock => f.write_str("lock"),
            Self::TryLock => f.write_str("try_lock"),
            Self::Unlock(fence) => write!(f, "unlock {fence}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Value(Some(value)) => value.fmt(f),
            Self::Value(None) => f.write_str("none"),
            Self::Stored(true) => f.write_str("yes"),
            Self::Stored(false) => f.write_str("no"),
            Self::Missing => f.write_str("missing"),
            Self::Fence(fence) => fence.fmt(f),
            Self::Busy => f.write_str("busy"),
            Self::Lost => f.write_str("lost"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{} at {version}", self.answer),
            None => self.answer.fmt(f),
        }
    }
}

/// How people read an operation: `get = 5`, `add 2 = ?` while its outcome is unknown.
pub(super) fn describe(call: &Call, reply: Option<&Reply>) -> String {
    match reply {
        None => format!("{call} = ?"),
        Some(Reply { answer: Answer::Done, version: None }) => call.to_string(),
        Some(reply) => format!("{call} = {reply}"),
    }
}
