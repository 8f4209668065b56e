//! What travels between nodes: identities, frames, the codec and the limits that are checked before anything is allocated.
//!
//! Nothing here knows a protocol; every byte that arrives from a peer is hostile until it has passed through this module.

pub mod bytes;
pub mod codec;
pub mod frame;
pub mod id;
pub mod limits;
pub mod name;
pub mod version;
