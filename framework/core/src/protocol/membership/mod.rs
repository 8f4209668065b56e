//! Membership: views without a master.

mod command;
mod config;
mod event;
mod fork;
mod instance;
mod lease;
mod machine;
mod meeting;
mod message;
mod succession;
#[cfg(test)]
mod tests;

pub use command::{Command, File, Holdings};
pub use config::{Config, Policy};
pub use event::{Event, Ignored, Installed, Reason};
pub use machine::{Machine, Out};
pub use message::{Ballot, Message};

pub use super::view::VOTERS_MAX;
