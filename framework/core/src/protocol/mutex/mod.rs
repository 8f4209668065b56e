//! Mutexes: Suzuki and Kasami's token on agreed views.

mod command;
mod config;
mod event;
#[cfg(feature = "simulation")]
mod explored;
mod here;
mod holder;
mod invariant;
mod machine;
mod making;
mod message;
mod one;
mod past;
mod requester;
#[cfg(test)]
mod tests;

pub use command::{Command, Service, Ticket};
pub use config::Config;
pub use event::{Event, Ignored};
#[cfg(feature = "simulation")]
pub use explored::Place;
pub use machine::{Known, Machine};
pub use message::{Body, Fence, Message, Report, Sighting, Token};
