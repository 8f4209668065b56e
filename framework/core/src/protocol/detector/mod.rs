//! The detector: who answers. Its echoes also carry the leases of the [membership](super::membership).
//!
//! **Source.** Echo polling with time-outs, as every failure detector since Chandra and Toueg (1996) has it in some form;
//! in their terms it is eventually perfect on links that are timely from some moment on. The evidence of broken links is
//! an accelerator: a killed process is noticed in milliseconds.
//!
//! **Roles.** Every node *observes* every node that it is linked to, except those whom it *spares*: in a view of more than
//! 16 members, who is no voter observes no other who is none. The voters observe everybody, and their word is what counts.
//!
//! **Definitions.**
//! - A *peer* is a node that was linked at least once and is not forgotten. Its *status* is one of `Joining` (linked, but
//!   not ready), `Alive`, `Suspected`, `Failed`, `Left`.
//! - A link is *ready* when the peer has described itself and can be called.
//! - *Silence* is the time since the last sign of life: any message counts.
//! - A *relink* is the attempt to make a broken link anew. The first one after a break is *decisive*.
//!
//! **Messages.**
//!
//! | name | from | to | when |
//! |---|---|---|---|
//! | `Echo` | observer | linked peer | every `interval` |
//! | `EchoReply` | peer | observer | at once |
//! | `Leaving` | leaving node | linked peers | once, as its last word |
//!
//! **Leases.** An echo says where its sender stands, and so does the answer. If both stand in the same view and neither is
//! wedged, the answer is a promise: to count the asker as a member for one lease from now. The asker counts from when it
//! sent the echo *first*; a repeated echo says what it said first, so an answer never counts for a view that the asker did
//! not stand in when it began to count. The detector carries these words and does not read them: the answer leaves first,
//! since what follows from the question may end the view, and the membership notes it in the same step.
//!
//! **Rules.**
//! - When this node stands in another view than before, every linked peer is asked at once.
//! - A ready peer is `Alive`: `Joined` if it is new, `Trusted` if it was suspected, `Recovered` if it had failed or left.
//! - A broken link makes an `Alive` peer `Suspected`, and asks for a decisive relink. If that fails, or takes too long,
//!   the peer has `Failed`.
//! - Silence for `timeout` makes it `Failed` at once, and ends the link.
//! - A peer with a later incarnation has `Failed` in its earlier one.
//! - A link that breaks before its peer was ready is made again after a pause that doubles, until the peer is ready.
//! - A failed peer is tried twice a second for ten minutes, then ever more rarely, and forgotten after a day. When one that
//!   was lost is linked again, the way to the others may be open again too: they are tried at once.
//! - An attempt may take sixteen round trips, as measured last, and a second at least; one of 64, drawn by lot, may take ten.
//!   On a way that swallows packets, an attempt that was begun too early only keeps the next from beginning.
//! - One that has left is forgotten after a day.
//! - An answer says how its sender is ([`Vitals`]). Nothing is decided by that.
//! - A node that was itself stopped, and so wakes late by more than an interval, blames nobody for what it did not hear:
//!   all silences start anew. A peer from which nothing came over eight such stalls has no more excuse: a node that never
//!   gets its core in time would miss nobody.
//!
//! **Invariants.**
//! - **E1** A peer that answers no more is `Suspected`, `Failed` or `Left` within `timeout + interval` on this node's
//!   clock, up to eight own stalls not counted; and a suspicion ends within the time of a decisive relink.
//! - **E2** While every echo is answered within `timeout - interval` and no link breaks, nobody is suspected.
//! - **E4** Events alternate: between two `Failed` or `Left` of a peer there is one `Joined` or `Recovered`.
//!
//! **Bounds.** One record for each node that was linked within a day. One echo under way for each link. Of n members a voter
//! polls n - 1, and beyond 16 who is none polls the voters: with m voters each interval costs m (2n - m - 1) pairs of messages.
//!
//! **Deviations and why.** Two-way silence only: an echo that is answered shows both directions alive, so a one-way cut
//! looks like death to both sides.

mod config;
mod machine;
mod message;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use machine::{Command, Event, Ignored, Machine, Reason, Status};
pub use message::{Load, Message, Vitals};
