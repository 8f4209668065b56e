//! The wire version, separate from the version of the crates.
//!
//! | version | since | what changed |
//! |---|---|---|
//! | 1 | 0.1.0 | the first |

/// The version that this build speaks. It stands in every frame, and a frame of another version is refused.
pub const WIRE_VERSION: u8 = 1;
