//! One socket with topics: of each first a snapshot, then what changes.
//!
//! A topic is watched by one task for all sockets, which runs only while somebody has subscribed to it. It publishes
//! states, of which only the newest is kept. Each socket tells what differs from what it told last, at its own pace: a
//! slow browser is told less often, and holds nobody up.

mod follower;
pub(crate) mod history;
pub(crate) mod journal;
mod others;
pub(crate) mod ring;
pub(crate) mod socket;
pub(crate) mod state;
pub(crate) mod topics;
mod variables;
mod watcher;
