use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{
        home::Shard,
        mutex::Fence,
        view::{At, Epoch, Lineage},
    },
    wire::{bytes::Bytes, id::Member, name::Name},
};

/// What nodes say to each other about variables in one step: many things at once, since one frame costs as much as another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// In which view.
    pub at: At,
    /// What, in order.
    pub parts: Vec<Part>,
}

/// One thing that is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// To its home: what is its value? I shall have a copy.
    Read {
        /// Of which variable.
        name: Name,
        /// Of the sender; it rises with each question.
        nonce: u64,
    },
    /// This is its value, and you are known to have a copy.
    Data {
        /// Of which variable.
        name: Name,
        /// Of the question.
        nonce: u64,
        /// The value; nothing if its shard is orphaned.
        state: Option<State>,
    },
    /// To its home: do this with it.
    Write {
        /// With which variable.
        name: Name,
        /// Of the sender; it rises with each batch. A repetition has the same number and content.
        number: u64,
        /// The sender has given up its copy, and wants one with the answer, under this number.
        nonce: Option<u64>,
        /// All batches of the sender before this number are answered.
        settled: u64,
        /// What, in order.
        operations: Vec<Operation>,
    },
    /// It is done, or refused.
    Wrote {
        /// Of which variable.
        name: Name,
        /// Of the batch.
        number: u64,
        /// What came of each operation.
        outcomes: Vec<Outcome>,
        /// The version after it.
        version: Version,
        /// The copy that was wanted.
        copy: Option<(u64, State)>,
    },
    /// A copy that is older than this is one no more.
    Invalidate {
        /// Of which variable.
        name: Name,
        /// The version that is about to be written.
        version: Version,
    },
    /// There is no such copy here any more.
    Invalidated {
        /// Of which variable.
        name: Name,
        /// As it was asked.
        version: Version,
    },
    /// To another home: keep this.
    Store {
        /// Of which variable.
        name: Name,
        /// What the variable is like now. `recent` has the batches of this version alone.
        record: Record,
    },
    /// It is kept.
    Stored {
        /// Of which variable.
        name: Name,
        /// As it was asked.
        version: Version,
    },
    /// To each member, after an install: what I have brought into this view.
    Report(Report),
    /// I know that now.
    Reported {
        /// Of the report.
        chunk: u32,
    },
    /// From a home that does not have all of a shard: give me these.
    Pull {
        /// Of this shard.
        shard: Shard,
        /// Of what an earlier life of yours has had.
        estate: bool,
        /// Which.
        names: Vec<Name>,
    },
    /// As many of them as there is room for.
    Pulled {
        /// Of this shard.
        shard: Shard,
        /// What they are like.
        records: Vec<(Name, Record)>,
    },
    /// To another home: this is the shard in this view, all of it. It comes in pieces, one after the other.
    Fill {
        /// Of this shard.
        shard: Shard,
        /// From 0.
        chunk: u32,
        /// There are no more.
        last: bool,
        /// In the order of their names.
        entries: Vec<Entry>,
    },
    /// I have this piece.
    Filled {
        /// Of this shard.
        shard: Shard,
        /// Which.
        chunk: u32,
    },
    /// To somebody who has kept records for others: these shards have their homes, so forget them.
    Release {
        /// Which.
        shards: Vec<Shard>,
        /// An earlier life of yours has kept them.
        estate: bool,
    },
    /// They are forgotten.
    Released {
        /// Which.
        shards: Vec<Shard>,
        /// As it was asked.
        estate: bool,
    },
    /// To a home: an earlier life of mine has had these, if you lack them.
    Offer {
        /// Which life.
        of: Member,
        /// What it had.
        report: Report,
    },
    /// I know that now.
    Offered {
        /// Of the report.
        chunk: u32,
    },
    /// To every member: from now on tell me of the variables that are at home with you and whose names begin so.
    Follow {
        /// How their names begin; nothing for all.
        prefix: Option<Name>,
        /// Of the sender.
        nonce: u64,
    },
    /// Some that there are, or that have changed. It comes in pieces, each after the one before was heard.
    News {
        /// Of the question.
        nonce: u64,
        /// From 0.
        piece: u64,
        /// Which, and what they are now.
        news: Vec<News>,
        /// Of these shards all was named by now.
        listed: Vec<Shard>,
        /// All who had these are gone.
        lost: Vec<Shard>,
    },
    /// I know that now.
    Heard {
        /// Of the question.
        nonce: u64,
        /// Which piece.
        piece: u64,
    },
    /// Nobody here wants to know any more.
    Unfollow {
        /// Of the question.
        nonce: u64,
    },
    /// Our lineage holds variables.
    Holding,
}

/// What somebody who follows it is told of a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct News {
    /// Which.
    pub name: Name,
    /// What it is; nothing if that is being written at this moment, and will be told.
    pub state: Option<State>,
    /// How many values it had since this was said last.
    pub count: u64,
}

impl News {
    pub(super) fn weight(&self) -> usize {
        self.name.len() + 12 + self.state.as_ref().map_or(0, State::weight)
    }
}

/// What a survivor has brought into a view for one home; or what an earlier life had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Report {
    /// Reports come in pieces, one after the other, from 0.
    pub chunk: u32,
    /// There are no more.
    pub last: bool,
    /// All batches of the sender before this number are answered.
    pub settled: u64,
    /// Our lineage holds variables.
    pub holding: bool,
    /// The shards that are at home with the receiver.
    pub shards: Vec<Held>,
    /// The copies that the sender still has.
    pub copies: Vec<(Name, Version)>,
}

/// What somebody has of a shard, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    /// Which.
    pub shard: Shard,
    /// In this view it had all of it.
    pub full: Epoch,
    /// What it has.
    pub records: Vec<(Name, Version)>,
}

/// One record of a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entry {
    /// You have it already, in this version.
    Same(Name, Version),
    /// This is it.
    New(Name, Record),
}

/// The number of a value of a variable: it rises with each, and no two values of a shard have the same.
///
/// Its text form is `epoch.number`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The epoch of the view in which it was written.
    pub epoch: Epoch,
    /// Counts the versions of the shard in that view, from 1.
    pub sequence: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.sequence)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value as it travels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Value {
    /// Of which type: a hash of its shape.
    pub kind: u64,
    /// Encoded.
    pub bytes: Bytes,
}

/// What a variable is like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    /// Which version that is; the default if it was never written.
    pub version: Version,
    /// Nothing if there is no such variable.
    pub value: Option<Value>,
}

/// What a home keeps of a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Its state; a record without a value is of one that was deleted.
    pub state: State,
    /// The mutex that it is bound to, and the highest fence with which it was written.
    pub binding: Option<Binding>,
    /// Of each member that has written, the last batch, so that no repetition of it does it again. By member.
    pub recent: Vec<Recent>,
}

/// A batch that was done, or refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Recent {
    /// Whose.
    pub by: Member,
    /// Its number there.
    pub number: u64,
    /// What came of each of its operations.
    pub outcomes: Vec<Outcome>,
    /// The version that the variable had then.
    pub version: Version,
}

/// A mutex and the fence of one of its guards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// Which.
    pub mutex: Name,
    /// Of the guard.
    pub fence: Fence,
}

/// A guard, for those who look at what is done under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// What is remembered of it.
    pub binding: Binding,
    /// In which it was granted, or to which a fork has taken it along since.
    pub lineage: Lineage,
}

/// What is done with a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// It is for a variable of this type alone.
    pub kind: u64,
    /// It is done under this guard, and refused in another lineage, or once a later one has written.
    pub guard: Option<Guard>,
    /// What.
    pub action: Action,
}

/// What is done with a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Create it, if there is none of that name.
    Create(Bytes),
    /// Give it this value.
    Set(Bytes),
    /// Give it this value, if it still has that version.
    Replace {
        /// The version that it should have.
        expected: Version,
        /// The new value.
        value: Bytes,
    },
    /// Give it this value, and say which one it had.
    Swap(Bytes),
    /// Add to a number.
    Add {
        /// How the number is encoded.
        number: Number,
        /// What is added.
        delta: i128,
    },
    /// Remove it.
    Delete,
    /// Begin its shard anew, without any variable, if all who had it are gone.
    Reset,
}

/// How a number is encoded in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Number {
    /// One byte.
    U8,
    /// From 0 to 2^16 - 1.
    U16,
    /// From 0 to 2^32 - 1.
    U32,
    /// From 0 to 2^64 - 1.
    U64,
    /// One byte.
    I8,
    /// From -2^15 to 2^15 - 1.
    I16,
    /// From -2^31 to 2^31 - 1.
    I32,
    /// From -2^63 to 2^63 - 1.
    I64,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done; this was the value before.
    Was(Bytes),
    /// It is done; this is the number now.
    Sum(i128),
    /// It was not to be created, since it was there.
    Exists,
    /// Nothing is done.
    Refused(Refusal),
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such variable.
    NotFound,
    /// It is of another type.
    OtherType(u64),
    /// It does not have that version any more.
    Changed,
    /// The sum is no number of that type.
    Overflow,
    /// It is bound to another mutex.
    OtherMutex(Name),
    /// A later guard has written.
    Fenced(Fence),
    /// All who had it are gone.
    Lost,
    /// The name is not one that its home keeps any room for.
    Full,
    /// The guard is of another lineage.
    OtherLineage,
}

impl Message {
    /// A name for logs and counters: of its first part.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.parts.first().map_or("variable_nothing", Part::name)
    }
}

impl Part {
    /// A name for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "variable_read",
            Self::Data { .. } => "variable_data",
            Self::Write { .. } => "variable_write",
            Self::Wrote { .. } => "variable_wrote",
            Self::Invalidate { .. } => "variable_invalidate",
            Self::Invalidated { .. } => "variable_invalidated",
            Self::Store { .. } => "variable_store",
            Self::Stored { .. } => "variable_stored",
            Self::Report(_) => "variable_report",
            Self::Reported { .. } => "variable_reported",
            Self::Pull { .. } => "variable_pull",
            Self::Pulled { .. } => "variable_pulled",
            Self::Fill { .. } => "variable_fill",
            Self::Filled { .. } => "variable_filled",
            Self::Release { .. } => "variable_release",
            Self::Released { .. } => "variable_released",
            Self::Offer { .. } => "variable_offer",
            Self::Offered { .. } => "variable_offered",
            Self::Follow { .. } => "variable_follow",
            Self::News { .. } => "variable_news",
            Self::Heard { .. } => "variable_heard",
            Self::Unfollow { .. } => "variable_unfollow",
            Self::Holding => "variable_holding",
        }
    }

    /// Bytes on the wire, roughly and at least.
    pub(super) fn weight(&self) -> usize {
        let small = 16;
        small
            + match self {
                Self::Read { name, .. } | Self::Invalidate { name, .. } | Self::Invalidated { name, .. } => name.len(),
                Self::Stored { name, .. } => name.len(),
                Self::Data { name, state, .. } => name.len() + state.as_ref().map_or(0, State::weight),
                Self::Write { name, operations, .. } => {
                    name.len() + operations.iter().map(Operation::weight).sum::<usize>()
                }
                Self::Wrote { name, outcomes, copy, .. } => {
                    let copy = copy.as_ref().map_or(0, |(_, state)| state.weight());
                    name.len() + copy + outcomes.iter().map(Outcome::weight).sum::<usize>()
                }
                Self::Store { name, record } => name.len() + record.weight(),
                Self::Report(report) | Self::Offer { report, .. } => report.weight(),
                Self::Pull { names, .. } => names.iter().map(|name| name.len() + 2).sum(),
                Self::Pulled { records, .. } => records.iter().map(|(name, it)| name.len() + it.weight()).sum(),
                Self::Fill { entries, .. } => entries.iter().map(Entry::weight).sum(),
                Self::Follow { prefix, .. } => prefix.as_ref().map_or(0, |prefix| prefix.len()),
                Self::News { news, listed, lost, .. } => {
                    news.iter().map(News::weight).sum::<usize>() + 2 * (listed.len() + lost.len())
                }
                Self::Heard { .. } | Self::Unfollow { .. } => 0,
                Self::Release { shards, .. } | Self::Released { shards, .. } => 2 * shards.len(),
                Self::Reported { .. } | Self::Filled { .. } | Self::Offered { .. } | Self::Holding => 0,
            }
    }
}

impl Report {
    fn weight(&self) -> usize {
        let listed = |list: &[(Name, Version)]| list.iter().map(|(name, _)| name.len() + 12).sum::<usize>();
        listed(&self.copies) + self.shards.iter().map(|held| 12 + listed(&held.records)).sum::<usize>()
    }
}

impl State {
    pub(super) fn weight(&self) -> usize {
        12 + self.value.as_ref().map_or(0, |value| 12 + value.bytes.len())
    }
}

impl Binding {
    fn weight(&self) -> usize {
        12 + self.mutex.len()
    }
}

impl Record {
    pub(super) fn weight(&self) -> usize {
        let recent = |it: &Recent| 64 + it.outcomes.iter().map(Outcome::weight).sum::<usize>();
        let binding = self.binding.as_ref().map_or(0, Binding::weight);
        self.state.weight() + binding + self.recent.iter().map(recent).sum::<usize>()
    }
}

impl Entry {
    pub(super) const fn name(&self) -> &Name {
        match self {
            Self::Same(name, _) | Self::New(name, _) => name,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Same(name, _) => name.len() + 12,
            Self::New(name, record) => name.len() + record.weight(),
        }
    }
}

impl Operation {
    pub(super) fn weight(&self) -> usize {
        let guard = self.guard.as_ref().map_or(0, |guard| 16 + guard.binding.weight());
        let value = match &self.action {
            Action::Create(value) | Action::Set(value) | Action::Swap(value) | Action::Replace { value, .. } => {
                value.len()
            }
            Action::Add { .. } | Action::Delete | Action::Reset => 4,
        };
        16 + guard + value
    }
}

impl Outcome {
    fn weight(&self) -> usize {
        match self {
            Self::Was(bytes) => 4 + bytes.len(),
            Self::Refused(Refusal::OtherMutex(name)) => 4 + name.len(),
            Self::Done | Self::Sum(_) | Self::Exists | Self::Refused(_) => 8,
        }
    }
}
