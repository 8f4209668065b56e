//! How nodes agree. Every folder here has the same shape: the essay in `mod.rs`, then `message`, `machine`, `tests`.

pub mod catalog;
pub mod packet;
pub mod schedule;
pub mod time;
