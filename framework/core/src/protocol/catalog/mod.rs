//! The catalog: what each node says about itself.
//!
//! Its functions, its name and addresses, whatever one node knows and all want to know.
//!
//! **Source.** Single-writer replicated maps with one sequence per writer; no conflict is possible, so no paper is needed.
//! The exchange of heads at the start of a conversation is that of any anti-entropy protocol (Demers et al. 1987).
//!
//! **Roles.** Every node is the *writer* of its own catalog and a *reader* of all others. A reader also *serves* its copy
//! to other readers.
//!
//! **Definitions.**
//! - A *catalog* is a map from keys to bytes. Its *sequence* rises by one with every change, and each entry keeps the
//!   sequence of its last change.
//! - A removed entry stays as a *tombstone*, with its sequence. Beyond a bound the older half of the tombstones is
//!   forgotten; the *floor* is the last sequence that is forgotten.
//! - A *head* names a catalog and how far somebody knows it.
//! - The *span* of a delta is what lies after its `after` up to its `sequence`. It names every entry whose last change lies
//!   in its span.
//!
//! **Messages.**
//!
//! | name | from | to | when |
//! |---|---|---|---|
//! | `Have` | anybody | a linked peer | when the link comes up: one's own head, and one's copies of linked nodes |
//! | `Have` | writer | a peer that has not acknowledged the last change | again and again, ever more slowly |
//! | `Taken` | reader | writer | after its delta, and when its head is no news: the acknowledgement |
//! | `Delta` | writer | a linked peer | after a change, after the first `Have` of a link, and after `Taken` if something has changed meanwhile |
//! | `Delta` | anybody | who asked | after a `Pull` |
//! | `Pull` | reader | the writer if it is linked, then one linked peer after the other | at once on a gap; on hearing of a head that it does not reach, if nothing comes |
//!
//! A greeting acknowledges nothing, even if it names the last sequence: who sent it may not have heard the other's.
//! Each side numbers its links, and an acknowledgement names the link that it is for: one of an earlier link is none.
//!
//! A change costs one delta and one acknowledgement for each linked peer. A link costs two greetings and two
//! acknowledgements. When all is acknowledged, nothing is sent and nobody wakes.
//!
//! Until its delta is acknowledged a writer sends no other one to that peer. What changes meanwhile goes afterwards, as one
//! delta, in which an entry that has changed often stands once. So changes that are faster than a link do not queue up, and
//! the peer gets the newest of each entry as often as the link carries it.
//!
//! **Invariants.**
//! - **C1** A catalog has one writer, so a sequence names one state: an entry of a copy is exactly what the writer wrote at
//!   the entry's sequence, and a copy at its writer's sequence equals it. Deltas of another life, deltas after a gap and old
//!   ones are not applied.
//! - **C2** Once links are up and writers quiet, every copy of a linked node is equal to its original. Why: until a peer
//!   has acknowledged the last sequence, the writer repeats its head; a reader that has heard of a head repeats its
//!   question until it has reached it.
//! - **C3** On each link at most one delta of the writer's own catalog is under way that the peer has not asked for, in one
//!   part or several; and while a change is to wait, one is. Why it does not wait for ever: a lost delta is asked for,
//!   as C2 says, and what is asked for is sent whatever is under way.
//!
//! **Bounds.** Of a catalog: [`CATALOG_VALUE_BYTES_MAX`](crate::wire::limits::CATALOG_VALUE_BYTES_MAX) a value,
//! [`CATALOG_ENTRIES_MAX`](crate::wire::limits::CATALOG_ENTRIES_MAX) entries,
//! [`CATALOG_BYTES_MAX`](crate::wire::limits::CATALOG_BYTES_MAX) in all and
//! [`CATALOG_TOMBSTONES_MAX`](crate::wire::limits::CATALOG_TOMBSTONES_MAX) tombstones, at the writer and at the readers, who
//! do not trust it. One copy for each node that was ever linked and is not forgotten. A writer that is not linked is asked
//! for at most once at each linked peer.
//!
//! **Deviations and why.** A delta may overlap what the reader has: it is taken then, since each of its changes names its
//! own sequence. A reader behind the floor is sent everything; what it holds and the delta does not name is dropped, which
//! is the same rule as for any delta. While such a whole arrives in parts, entries that changed late are missing for a
//! moment.

mod book;
pub mod invariant;
mod machine;
mod message;
#[cfg(test)]
mod tests;

pub use book::Book;
pub use machine::{Command, Config, Event, Ignored, Machine, Refused, Unfit};
pub use message::{Change, Delta, Head, Message};
