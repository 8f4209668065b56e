//! The driver and what it needs from the world: a place to run, a clock, a directory.

mod aparts;
mod bans;
pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod driver;
mod errands;
pub(crate) mod gauge;
mod goodbye;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod inner;
pub(crate) mod life;
pub(crate) mod machine;
pub(crate) mod monitor;
pub(crate) mod mutexes;
mod neighbours;
mod observe;
mod peers;
pub(crate) mod roster;
pub(crate) mod sayings;
pub(crate) mod variables;
mod views;
pub(crate) mod world;
