//! The command line of Guthi.
#![forbid(unsafe_code)]

fn main() {}
