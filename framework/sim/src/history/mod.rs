//! Histories of operations, and whether they are linearizable.
//!
//! A client says what it asked for and what it was told, with the times of both; a [`History`] keeps it.
//! [`check`](fn@check) then looks for an order in which everything could have happened one after another. If there
//! is none, it shows the few operations that contradict each other. `cargo lin FILE` does the same with a file.
//!
//! ```
//! use guthi_sim::history::{Answer, Call, Client, Config, History, check};
//!
//! let (ann, bob) = (Client(1), Client(2));
//! let mut history = History::new();
//! history.invoke(10, ann, "x", Call::Set(5))?;
//! history.complete(20, ann, Answer::Done.into())?;
//! history.invoke(30, bob, "x", Call::Get)?;
//! history.complete(40, bob, Answer::Value(None).into())?; // It should have been 5.
//!
//! let report = check(&history, &Config::default());
//! assert!(!report.is_ok());
//! println!("{report}");
//! # Ok::<(), guthi_sim::history::Refused>(())
//! ```
//!
//! # Source
//!
//! *Linearizability: a correctness condition for concurrent objects* (Herlihy, Wing 1990). [`search`](fn@search)
//! is the search of *Testing and verifying concurrent objects* (Wing, Gong 1993), not looking at the same place
//! twice, as in *Testing for linearizability* (Lowe 2017). [`zones`](fn@zones) is from *Testing shared memories*
//! (Gibbons, Korach 1997). Taking objects one by one rests on the locality theorem of Herlihy and Wing;
//! *Faster linearizability checking via P-compositionality* (Horn, Kroening 2015) shows what it saves.
//!
//! # Definitions
//!
//! - *Operation*: what one client asked of one object, from its start to its end. One *precedes* another if it ended
//!   before the other started; otherwise they *overlap*. Equal times are in the order of recording.
//! - *Pending*: an operation whose outcome nobody knows. It has no end: it may take effect at any time after its
//!   start, or never. What certainly had no effect is not part of a history.
//! - *Linearizable*: there is an order of all that was answered, and of some that is pending, in which nothing
//!   comes before what precedes it, and in which each answer is the one that the [`Model`] gives.
//! - *Prefix*: what had happened up to an end; what ends later is pending in it. If a history is not
//!   linearizable, there is a first end at which it ceases to be: that operation is the *misfit*.
//! - *Rank*: the number of an answered operation in the order of the ends.
//!
//! # Rules for those who record
//!
//! - A client does one thing at a time. When it does not learn an outcome, it is retired: whoever goes on must do so
//!   as a new client, because the old operation may still take effect beside the new ones. This is enforced.
//! - An operation is withdrawn only if it certainly had no effect. A timeout is not that.
//! - The start is taken before the request leaves, the end after the answer has come. Several threads with one
//!   clock take a lock around the reading of the clock and the recording, so that the order of recording is real.
//! - A guard that may have lapsed: see [`Lock`].
//!
//! # The search
//!
//! A place in the search is a set of operations that have been put in order, and the state that they lead to. All
//! those before some rank are in the set; of the others only those can be that overlap it. So a place is kept as
//! that rank, a few bits for what overlaps, and the state. At a quiescent point the bits are those of pending
//! operations alone: what was before is forgotten but for the state, and the work of the two sides adds up instead
//! of multiplying. That is the cut at quiescent points, and it needs no code.
//!
//! Three things keep the search short. What only reads, and reads what is there now, is not tried later as well:
//! whatever could have come before it can come after it. What is pending is tried last, and only where it changes
//! the state. Of several pending operations that ask for the same, the one that started first goes first.
//!
//! # Zones
//!
//! If each value is written once, a read names its write. A write and its reads are a *cluster*. Let its *low*
//! be the first end in it and its *high* the last start. A cluster must come both before and after another one if
//! and only if the low of each is before the high of the other. A register is linearizable if and only if this
//! happens to no two clusters, and no read ends before its write starts or names a value that nobody wrote. It is
//! found by sorting. A pending write has no end, and if nobody read it, it is in nobody's way. The initial value was
//! written before everything.
//!
//! # Bounds
//!
//! The search may take time exponential in what overlaps, so it counts steps and has a budget. To have spent it is
//! not an answer, and does not count as one: [`Verdict::is_ok`] is true for linearizable histories only. It
//! remembers each place it has seen, which in a linearizable history are little more than operations. With up to 8
//! clients and few pending operations that is enough; zones cost O(n log n) whatever overlaps.
//!
//! # Deviations from the papers and why
//!
//! - Wing and Gong require complete histories. Here what is pending may be left out.
//! - Lowe remembers sets of all operations. A rank and the bits of what overlaps say the same in less space.
//! - Gibbons and Korach tell zones that run forward (low before high) from those that run backward, and have a
//!   condition for each pair. Both are the one condition above: two forward zones that overlap, or a backward one
//!   inside a forward one.
//!
//! # The file
//!
//! One JSON object per line, one line per event, in the order in which they were recorded:
//!
//! ```text
//! {"time":10,"client":1,"object":"x","invoke":{"set":5}}
//! {"time":14,"client":2,"object":"x","invoke":"get"}
//! {"time":17,"client":1,"return":"done"}
//! {"time":19,"client":2,"return":{"value":5},"version":"1.3"}
//! {"time":20,"client":3,"object":"m","invoke":"lock"}
//! {"time":21,"client":4,"object":"x","invoke":{"add":2}}
//! {"time":30,"client":3,"return":{"fence":"1.1"}}
//! {"time":31,"client":4,"outcome":"unknown"}
//! ```
//!
//! Times are any numbers from 0 to 2^64 - 1. What can be asked is in [`Call`], what can be told in [`Answer`], both
//! in small letters. The version is optional. Instead of a return, `"outcome":"unknown"` retires
//! the client and `"outcome":"not_applied"` withdraws the operation. What has neither is pending: a file that ends in
//! the middle of a run is a history. [`read`] and [`write`](fn@write) do it.

mod check;
mod conflict;
mod file;
mod lock;
mod model;
mod operation;
mod picture;
mod record;
mod search;
mod variable;
mod verdict;
mod zones;

#[cfg(test)]
mod tests;

pub use check::{Config, Method, ObjectReport, Report, check};
pub use file::{ReadError, read, write};
pub use lock::{Held, Lock, LockState};
pub use model::{Model, is_witness};
pub use operation::{Answer, Call, Expected, ParseStampError, Reply, Stamp};
pub use picture::picture;
pub use record::{Client, History, Moment, Operation, Refused};
pub use search::search;
pub use variable::{Variable, VariableState, Version};
pub use verdict::{Conflict, Verdict};
pub use zones::{Unsuited, zones};
