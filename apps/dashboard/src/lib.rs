//! An HTTP interface and a web page for a Guthi node.
//!
//! One line shows what a node sees, and lets a browser or a script steer it:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = guthi::Node::local().start().await?;
//! let dashboard = guthi_dashboard::Dashboard::serve(&node, "127.0.0.1:0").await?;
//! println!("open {}", dashboard.url());
//! node.run().await?;
//! dashboard.close().await; // the browsers hear of it
//! # Ok(()) }
//! ```
//!
//! The interface lies under `/api/v1`; `docs/http-api.md` is its reference. Whoever has the token can do all that the
//! node can do, so it is served on loopback only, unless a password and TLS are given.
//!
//! While nobody looks, nothing is measured and nobody is asked: what is watched is watched only as long as somebody
//! has subscribed to it.
#![forbid(unsafe_code)]

mod api;
mod app;
mod dashboard;
mod http;
mod json;
mod stream;
mod timestamp;

pub use dashboard::{Builder, Dashboard, ServeError};
pub use http::tls::Tls;
