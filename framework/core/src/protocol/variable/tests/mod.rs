//! One rule each, with the numbers of the traps (T), of the holes of an earlier design (H) and of the invariants (D) that they
//! keep closed.

mod actions;
mod estates;
mod following;
mod recovery;
mod scene;
mod serving;
mod strangers;
mod traps;
mod walk;
mod watching;
