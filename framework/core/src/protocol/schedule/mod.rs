//! The schedule: which worker runs which items of a `map`, and which result counts.
//!
//! Two pure things. [`Machine`] is the ledger of one map call, kept by its caller and by nobody
//! else: its death is the end of the map. [`choose`] picks the node for one single call. Neither
//! touches values: items are numbers here, their bytes and results stay with the shell.
//!
//! # Source
//!
//! *Guided self-scheduling* (Polychronopoulos, Kuck 1987) for batches that shrink with what is left;
//! *factoring* (Hummel, Schonberg, Flynn 1992) for handing out half of it in each round, which
//! forgives uneven items. Backup tasks from *MapReduce* (Dean, Ghemawat 2004, section 3.6); judging
//! lateness by the time that is left, not by the time that has passed, from *LATE* (Zaharia et al.
//! 2008). *The power of two choices* (Mitzenmacher 2001) for [`choose`].
//!
//! # Roles
//!
//! The **caller** keeps the machine. A **worker** has some slots (its `parallelism`) and runs batches
//! in the order in which they come, one on each slot, the items of a batch one after another. The
//! **shell** around the machine pulls items from the input, sends batches, knows who is a member.
//!
//! # Definitions
//!
//! - *Item*: a number from 0 upwards, in the order of the input. Each is at any time in one of three
//!   places: **pending** (nobody has it), **outstanding** (in exactly one parcel) or **counted**.
//! - *Parcel*: items that travel together. *Batch*: one assignment of a parcel to one worker. A parcel
//!   has one batch, or several copies at different workers when the first is late.
//! - *Running*: of the batches that a worker holds, the oldest as many as it has slots. The others *wait*.
//! - *Cost*: nanoseconds an item takes at a worker, as measured. *Overhead*: what an answer takes beyond the work.
//! - *Loss*: a worker was lost, or answered nonsense, while it had the item. A refusal is none.
//! - *Last chance*: an item whose next loss would be the `attempts`-th.
//!
//! # Messages
//!
//! | name | from, to | when |
//! |---|---|---|
//! | [`offer`](Machine::offer), [`finish_input`](Machine::finish_input) | shell, machine | items are there; best as many as [`appetite`](Machine::appetite) says |
//! | [`worker_joined`](Machine::worker_joined), [`worker_lost`](Machine::worker_lost) | shell, machine | the view, or a lane, changed |
//! | [`done`](Machine::done) | worker, machine | a batch was answered |
//! | [`worker_refused`](Machine::worker_refused) | worker, machine | a batch was not taken (`Overloaded`), or dropped after a cancel |
//! | [`wake`](Machine::wake) | shell, machine | at the [`deadline`](Machine::deadline) |
//! | [`cancel`](Machine::cancel) | shell, machine | the caller has what it wanted, or gave up |
//! | [`Effect::Assign`], [`Effect::Cancel`] | machine, worker | work, and its withdrawal |
//! | [`Effect::Complete`], [`Effect::Unknown`] | machine, shell | an item is counted |
//! | [`Effect::Finished`], [`Effect::Poisoned`] | machine, shell | the map has ended |
//! | [`Effect::Ignored`] | machine, shell | an input was strange |
//!
//! A worker owes an end to every batch, a cancelled one too: `done`, `worker_refused`, or its own
//! loss. Until then the batch fills a slot. That is why a worker which has fallen silent gets nothing
//! more although others have taken over its work.
//!
//! # How it schedules
//!
//! - *Pull.* A worker gets a batch when it has room: one for each slot, and one more to wait there so
//!   that the slot does not idle for a round trip. A worker twice as fast has room twice as often.
//!   The last items, fewer than there are slots, wait here for whoever is free first.
//! - *Size.* `batch_time` of work at the worker's own cost; at most four times what it has answered
//!   before, beginning with one item; at most `batch_items_max`; at most its share, by speed, of
//!   half of what is pending. Where the way is longer than `batch_time`, batches are as long as the way.
//! - *Stragglers.* With nothing pending, the parcel that will be ready last is copied to the fastest
//!   idle worker, if that one could well be ready sooner: at once if the parcel still waits in a
//!   queue; if it runs, when the time it will still need is twice what the other would need, for the
//!   next copy four times, and so on. A batch beyond its expected time is taken to need as long again.
//!   The first answer counts, the other copies are cancelled.
//! - *Poison.* What has lost a worker goes first, in parcels sixteen times smaller for each loss; a
//!   last chance travels alone, and no worker is given two. So the item that is named is the one to blame,
//!   unless that many workers died of other causes.
//! - *Once.* A function that must run once gets no copies, and what a lost worker held is unknown:
//!   that counts, and is not tried again. Refused and returned items did not run, and are.
//!
//! # Invariants
//!
//! - **M1** Each item is counted exactly once: as complete or, under `once`, as unknown. By
//!   construction: only one function puts items among the counted, and it answers with those that
//!   were not there. A map that is cancelled or poisoned counts none twice.
//! - **M2** With one live worker the map ends, whatever the others do; under `once` those that fall
//!   silent must be reported lost. Why: what is pending goes to it whenever it has room, and it has room
//!   after each answer; what is outstanding elsewhere is copied to it at last, since what is needed for
//!   a copy is finite and grows with the copies only, of which no worker has two. Pauses after refusals end.
//! - **S1** Pending, outstanding and counted items are disjoint, and together they are all items.
//! - **S2** Each parcel has an uncounted item and a live batch that carries all of them.
//! - **S3** Workers and batches agree on who holds what.
//!
//! S1 to S3 are in [`invariant`], checked after each input in debug builds.
//!
//! # Bounds
//!
//! Sets of items are kept as runs, so the memory is that of the gaps. A worker holds at most two
//! batches a slot and is believed to have at most 1024 slots. A lost batch is remembered for its late
//! answer while an item of it is uncounted; an item that is alone in its parcel condemns the map with
//! its `attempts`-th loss, and one that is not travels alone from then on, so each item is in few more
//! than that many. Pending items are bounded by a shell that follows `appetite`: four
//! rounds of batches, at least 64 items, at most `pending_max`. The counted set is one run and a gap
//! for each outstanding parcel. An input costs time in proportion to the workers and, when
//! nothing is pending and somebody is idle, to the outstanding parcels.
//!
//! # Deviations from the papers and why
//!
//! - Guided self-scheduling gives the first worker a P-th of everything. Here a batch is bounded by
//!   time from above, because workers may leave, and results are wanted as they come.
//! - LATE copies only what runs. A parcel that waits in a queue is copied too, and first: that is work
//!   stealing by way of cancellation, without asking the victim.
//! - MapReduce starts backups for all that is left near the end. Here a running batch is
//!   copied only when it is late, because the copy takes a slot from other maps.

mod choose;
mod config;
mod effect;
pub mod invariant;
mod machine;
mod portion;
mod runs;
mod state;
mod straggler;
mod worker;

#[cfg(test)]
mod tests;

pub use choose::{Candidate, choose};
pub use config::Config;
pub use effect::{BatchId, Effect, Outcome, Strange};
pub use machine::Machine;
pub use runs::Runs;
