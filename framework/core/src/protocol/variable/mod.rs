//! Variables.

mod action;
mod again;
mod command;
mod config;
mod copies;
mod event;
#[cfg(feature = "simulation")]
mod explored;
mod handover;
mod here;
mod invariant;
mod machine;
mod message;
mod recovery;
mod serving;
#[cfg(test)]
mod tests;
mod writer;

pub use command::{Command, Ticket};
pub use config::Config;
pub use event::{Answer, Event, Ignored, Unanswered};
pub use handover::Estate;
pub use machine::{Known, Machine, Shards};
pub use message::{
    Action, Binding, Entry, Held, Message, Number, Operation, Outcome, Part, Recent, Record, Refusal, Report, State,
    Value, Version,
};
