//! Real nodes over loopback: how they meet, how calls and channels end, what maps survive, and that the benchmarks run.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod bench;
mod calls;
mod channels;
mod control;
mod joining;
mod maps;
mod mutexes;
mod outcomes;

/// The binary of a node that can be killed.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");
