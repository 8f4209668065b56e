//! A deterministic world for distributed protocols.
//!
//! Many [hosts](world::Host) live on one virtual time, speak over a hostile [`fabric`], and suffer [faults](fault) that
//! are plain data. A [scenario](scenario::Scenario) says who they are, what their users do and what must be true after
//! every step; a [run](run) plays one seed of it, a [campaign](campaign) thousands. Whatever fails can be played again
//! from its seed, made small, and kept for ever.
//!
//! [`history`] is whether what clients saw could have happened one after the other.

#![forbid(unsafe_code)]

pub mod campaign;
pub mod explore;
pub mod fabric;
pub mod fault;
pub mod history;
pub mod models;
pub mod run;
pub mod scenario;
pub mod script;
pub mod trace;
pub mod world;
