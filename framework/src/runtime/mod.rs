//! The driver and what it needs from the world: a thread, a clock, a directory.

pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod driver;
mod errands;
mod observe;
mod peers;
pub(crate) mod roster;

use std::{future::Future, io, thread};

/// Runs a node's own tasks: the driver, its lanes, the network.
///
/// A node on a real network has a thread of its own with a single-threaded runtime.
/// Work-stealing would cost a futex and a lost batch at every step of a call, and user code that blocks its runtime would
/// silence the echoes.
pub(crate) fn spawn<F>(future: impl FnOnce() -> F + Send + 'static) -> io::Result<()>
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("guthi-net".into()).spawn(move || {
        runtime.block_on(future());
        // What is still spawned here belongs to links that are closed.
        runtime.shutdown_background();
    })?;
    Ok(())
}
