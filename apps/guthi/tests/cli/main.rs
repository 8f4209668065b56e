//! The program as its user runs it: real nodes, each test with a runtime directory of its own.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod calls;
mod choosing;
mod golden;
mod kit;
mod lab;
mod locks;
mod manners;
mod topics;
mod variables;
mod watching;
