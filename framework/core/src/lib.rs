//! The part of Guthi that cannot touch the world.
//!
//! `wire` is what nodes say to each other, `protocol` is how they decide what to say.
//! Neither can name a clock, a socket, a thread or a hash map: the crate is `no_std`, so the compiler holds it to that.
//! Time and entropy come in as arguments, effects leave as values.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod protocol;
pub mod wire;
