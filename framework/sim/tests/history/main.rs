//! Checks the checkers of histories: against other checkers, against histories with known verdicts, and against
//! histories that were broken on purpose.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod broken;
mod command;
mod etcd;
mod oracles;
mod scale;
mod simulation;
mod zones;
