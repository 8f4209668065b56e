//! The catalog: what each node says about itself.
//!
//! **Source.** Single-writer replicated maps; no conflict is possible, so no paper is needed.
//!
//! **Roles.** Every node is the *writer* of its own catalog and a *reader* of all others.
//!
//! **Definitions.** A catalog is a map from keys to bytes. Its *sequence* rises by one with every change, and each entry
//! keeps the sequence of its last change; a removed entry stays as a tombstone with its sequence.
//!
//! **Messages.**
//!
//! | name | from | to | when |
//! |---|---|---|---|
//! | `Delta` | writer | every linked peer | after a change, and from zero when a link comes up |
//!
//! **Invariants.**
//! - **C1** A catalog has one writer, so a sequence names one state.
//! - **C2** Once links are up and writers quiet, all copies are equal: a delta is taken only if it continues the copy
//!   without a gap, and links deliver in order from sequence zero.
//!
//! **Bounds.** [`CATALOG_VALUE_BYTES_MAX`](crate::wire::limits::CATALOG_VALUE_BYTES_MAX) a value and
//! [`CATALOG_ENTRIES_MAX`](crate::wire::limits::CATALOG_ENTRIES_MAX) entries, tombstones included, at the writer and at
//! the readers, who do not trust it.

mod machine;
mod message;
#[cfg(test)]
mod tests;

pub use machine::{Copy, Ignored, Refused, Writer};
pub use message::{Change, Delta};
