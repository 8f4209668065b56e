//! Many nodes in one process, on a paused clock: the kit with which an application is tested.
//!
//! A [`Cluster`] has real nodes, with the whole public API; only the network between them and the clock are not real.
//! An hour passes as soon as nobody has anything to do, so a test waits for nothing and is never too early. Nodes are
//! killed, paused and cut off from each other by one line each, and all chance comes from one seed: what was seen once
//! can be seen again.
//!
//! ```standalone_crate
//! use guthi::{Status, testing::Cluster};
//! use std::time::Duration;
//!
//! /// Squares a number.
//! #[guthi::function]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // In a test: #[tokio::test] async fn the_others_go_on() {
//! let mut cluster = Cluster::new(3).await; // a, b and c, linked with each other
//! assert_eq!(cluster.node(0).call::<square>(12).on(cluster.node(1)).await, Ok(144));
//!
//! cluster.kill(1);
//! cluster.advance(Duration::from_secs(5)).await;
//! let b = cluster.node(1).id();
//! let lost = cluster.node(0).peers().into_iter().find(|peer| peer.id == b).unwrap();
//! assert_eq!(lost.status, Status::Failed);
//!
//! cluster.restart(1).await;
//! cluster.wait_until(|cluster| cluster.node(0).members().len() == 3).await;
//! # });
//! ```
//!
//! # The clock
//! A cluster pauses the clock of its runtime for good, as `#[tokio::test(start_paused = true)]` does from the start: it
//! needs tokio's `current_thread` runtime, which is what `#[tokio::test]` gives. Virtual time passes only while nothing
//! else can happen. Measure it with [`tokio::time::Instant`] or [`Cluster::elapsed`], never with the standard one.
//!
//! # What is real, and what is not
//! Nodes, admission, detector, calls, maps and events are those of every program, byte for byte.
//! - There are no sockets, no encryption and no addresses: what is particular to them needs a test with real nodes.
//! - A plain function takes no virtual time, however long it computes. But one that waits, asking
//!   [`Context::is_cancelled`](crate::Context::is_cancelled) again and again, lets a millisecond pass for each real
//!   one, and so comes to its deadline. `async` functions take what they sleep.
//! - What a killed node computes goes on to its end, and nobody hears of it; its `async` functions are dropped.
//!   What a paused node computes goes on as well, and is heard of when it is resumed.
//! - [`Peer::since`](crate::Peer::since) is the time of day, which goes on as always.
//!
//! # The same again
//! The seed decides the identities of the nodes, the chance in their protocols and how long each way takes: with the
//! same seed the same events come in the same order and at the same virtual times. A test that fails prints its seed.
//! What you bring yourself has to keep to that as well: no threads that race, no chance without a seed, no order of a
//! hash map.

mod cluster;

/// The page of the book compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing-your-application.md")]
struct Page;

pub use cluster::{Cluster, ClusterBuilder};
