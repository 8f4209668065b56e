//! A world within a process: no sockets, no threads of its own, and the clock of the runtime that started the node.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::future::BoxFuture;
use guthi_core::wire::id::Incarnation;
use parking_lot::Mutex;

use super::{
    clock::Clock,
    gauge::Gauge,
    monitor::Monitor,
    world::{Started, World},
};
use crate::{
    BuildError,
    calls::{pool::Pool, turns::Turns},
    network::{
        Network, StartError,
        libp2p::{self, Config},
        memory::{Hub, Memory},
    },
};

/// One life of a node of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) hub: Hub,
    pub(crate) incarnation: Incarnation,
    pub(crate) born: u64,
    pub(crate) seed: u64,
    pub(crate) pause: Pause,
}

impl World for Inner {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        drop(tokio::spawn(Pausable { task, pause: self.pause.clone() }));
        Ok(())
    }

    fn network(&self, config: Config) -> BoxFuture<'static, Result<Started, StartError>> {
        let started = libp2p::identity(config.secret).map(|id| {
            let (network, events) = Memory::join(&self.hub, id);
            (Arc::new(network) as Arc<dyn Network>, events)
        });
        Box::pin(std::future::ready(started))
    }

    /// The same on every machine.
    fn workers(&self) -> usize {
        2
    }

    fn pool(&self, workers: usize) -> Result<Pool, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        Ok(Pool::Turns(Turns::new(workers, runtime)))
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn born(&self) -> u64 {
        self.born
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn clock(&self) -> Clock {
        Clock::of_runtime()
    }

    /// The machine is busy with something else in every run.
    fn gauge(&self) -> Gauge {
        Gauge::blind()
    }

    fn monitor(&self) -> Monitor {
        Monitor::blind()
    }
}

/// Lets a node stand still, as a process that is stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paused: bool,
    waiting: Option<Waker>,
}

impl Pause {
    pub(crate) fn set(&self, paused: bool) {
        let mut state = self.0.lock();
        state.paused = paused;
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The task of a node: it does nothing while it is paused.
struct Pausable {
    task: BoxFuture<'static, ()>,
    pause: Pause,
}

impl Future for Pausable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.pause.0.lock();
            if state.paused {
                state.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.task.as_mut().poll(cx)
    }
}
