//! Processes that are killed and stopped, and networks that are cut: what happens to views, and what everybody is told.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod cohort;
mod cuts;
mod lives;
mod mutexes;
mod signals;
mod slow;
mod variables;

/// The binary of a node that can be killed.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");
