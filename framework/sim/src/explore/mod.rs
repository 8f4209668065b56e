//! Exploration: every state of a small world, instead of many states of a large one.
//!
//! A [`Model`] says where a world may begin, what can happen in each of its states, and what must hold. [`explore`] visits
//! each state once, those first that take the fewest actions, so the first [`Counterexample`] is one of the shortest. The
//! machines in the world are the real ones; the model adds the network, the faults and their bounds.
//!
//! **Definitions.**
//! - An *action* is one atomic thing that can happen: a message arrives, a node restarts.
//! - A state is known by its *fingerprint*, 128 bits of a hash with fixed keys. Two states of one fingerprint are taken
//!   for one: among a thousand million states the chance of such a pair is below 10^-20.
//! - A *marker* is a word that the model says when something worth seeing happens on the way. Those that it promises in
//!   [`Model::sometimes`] must be met, so that a model in which nothing happens does not pass.
//! - *Recovery* is what follows when faults end: one fixed sequence of actions that must come to rest where the model
//!   wants it. So liveness is asked of each state by itself, and needs no fairness of infinite paths.
//!
//! **What is shown, and what is not.** An exhausted model has no state in which an invariant is broken, within its bounds:
//! so many nodes, so many faults. Nothing follows for larger ones, but most mistakes in protocols show in small worlds. A
//! recovery is one schedule among many, so what it shows is that rest can be reached from everywhere, not that every
//! schedule reaches it.

mod fingerprint;
mod model;
mod report;
mod search;

pub use fingerprint::{Fingerprints, Shared, fingerprint};
pub use model::Model;
pub use report::{Bound, Counterexample, Counts, Report, Verdict};
pub use search::{Bounds, explore, replay};
