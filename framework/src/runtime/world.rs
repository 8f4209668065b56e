//! The world in which a node lives: where its tasks run, what carries its bytes, where its chance and its lives come
//! from.
//!
//! A builder chooses one, and nothing else in the crate knows which it is.

use std::{
    io,
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use guthi_core::wire::id::Incarnation;
use tokio::sync::mpsc;

use super::{
    clock::{self, Clock},
    gauge::Gauge,
    monitor::Monitor,
};
use crate::{
    BuildError,
    calls::pool::Pool,
    network::{
        Event, Network, StartError,
        libp2p::{Config, Libp2p},
    },
};

/// A network that has been started, and its events.
pub(crate) type Started = (Arc<dyn Network>, mpsc::Receiver<Event>);

/// What a node finds where it starts.
pub(crate) trait World: Send + Sync {
    /// Runs a node's own tasks: the driver, its lanes, the network.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()>;

    /// Starts its network, from within that task.
    fn network(&self, config: Config) -> BoxFuture<'static, Result<Started, StartError>>;

    /// How many plain functions run at once, if it was not said.
    fn workers(&self) -> usize;

    /// Where its plain functions run.
    fn pool(&self, workers: usize) -> Result<Pool, BuildError>;

    /// Which life of the node this is: a larger number than that of all before it.
    fn incarnation(&self) -> Incarnation;

    /// When it began, in milliseconds on a clock that all nodes roughly share.
    fn born(&self) -> u64;

    /// The seed of all chance in its protocols.
    fn seed(&self) -> u64;

    /// The clock that its protocols live by, beginning now.
    fn clock(&self) -> Clock;

    /// What tells how busy the machine is.
    fn gauge(&self) -> Gauge;

    /// What tells of the machine to those who ask.
    fn monitor(&self) -> Monitor;
}

/// The world outside: sockets, threads, real time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outer;

impl World for Outer {
    /// A node on a real network has a thread of its own with a single-threaded runtime.
    /// Work-stealing would cost a futex and a lost batch at every step of a call, and user code that blocks its runtime
    /// would silence the echoes.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("guthi-net".into()).spawn(move || {
            runtime.block_on(task);
            // What is still spawned here belongs to links that are closed.
            runtime.shutdown_background();
        })?;
        Ok(())
    }

    fn network(&self, config: Config) -> BoxFuture<'static, Result<Started, StartError>> {
        Box::pin(async {
            let (network, events) = Libp2p::start(config).await?;
            Ok((Arc::new(network) as Arc<dyn Network>, events))
        })
    }

    fn workers(&self) -> usize {
        thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    fn pool(&self, workers: usize) -> Result<Pool, BuildError> {
        Pool::threads(workers)
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(self.born())
    }

    fn born(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn seed(&self) -> u64 {
        clock::seed()
    }

    fn clock(&self) -> Clock {
        Clock::of_machine()
    }

    fn gauge(&self) -> Gauge {
        Gauge::of_machine()
    }

    fn monitor(&self) -> Monitor {
        Monitor::of_machine()
    }
}
