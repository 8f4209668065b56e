//! Calls: lanes that carry them, the executor that runs them, and map on top; and channels beside them.
//!
//! A call goes from the caller's task straight into the lane of the chosen peer, past the driver:
//!
//! ```text
//! caller -> Pending slot + Outbox -> writer task -> network -> reader task -> Executor -> Outbox -> ... -> Pending slot -> caller
//! ```

pub(crate) mod apart;
pub(crate) mod channel;
pub(crate) mod executor;
pub(crate) mod function;
pub(crate) mod lane;
pub(crate) mod map;
pub(crate) mod message;
pub(crate) mod meters;
pub(crate) mod outbox;
pub(crate) mod pace;
pub(crate) mod panic;
pub(crate) mod pending;
pub(crate) mod pool;
pub(crate) mod progress;
pub(crate) mod router;
pub(crate) mod signature;
pub(crate) mod spare;
pub(crate) mod spin;
pub(crate) mod streams;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod turns;

/// Resolves at that moment; never without one.
async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
