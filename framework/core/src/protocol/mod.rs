//! How nodes agree. Every folder here has the same shape: the essay in `mod.rs`, then `message`, `machine`, `tests`.
//!
//! [`contract`] is what a machine and its driver owe each other, [`engine`] is where the machines meet.

pub mod bugs;
pub mod catalog;
pub mod contract;
pub mod detector;
pub mod engine;
pub mod home;
pub mod membership;
pub mod mutex;
pub mod packet;
pub mod random;
pub mod schedule;
pub mod service;
pub mod time;
pub mod view;
