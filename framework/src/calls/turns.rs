//! Plain functions on virtual time.
//!
//! Where the clock is paused, tokio moves it whenever its own tasks have nothing to do, and it does not know of
//! functions that compute on other threads: their deadlines would pass in a moment. It would wait for those of
//! `spawn_blocking`, but then a function that hangs until its deadline would wait for a clock that waits for it, and
//! several functions at once would end in any order.
//!
//! So a function and the runtime take turns. While the function computes, the runtime waits for it, and no virtual time
//! passes. A function that asks whether it is still wanted, and has had its share of real time, gives the turn back for
//! a moment of virtual time: so one that only waits to be cancelled lets the clock go on. All follows from the seed, as
//! long as no function computes for longer than [`PATIENCE`] without asking. Then the runtime goes on without it, and
//! only the clock still waits.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore};

use super::pool::COMPUTE_STACK_BYTES;

/// Real time that the runtime waits for a function.
const PATIENCE: Duration = Duration::from_secs(1);
/// Real time that a function has before asking gives the turn back.
const SHARE: Duration = Duration::from_millis(1);
/// Virtual time for which the turn is given back.
const MOMENT: Duration = Duration::from_millis(1);

/// The plain functions of one node, one after the other.
#[derive(Debug)]
pub(crate) struct Turns {
    runtime: Handle,
    /// One permit for each worker: so many may have begun.
    free: Arc<Semaphore>,
    running: Mutex<HashMap<ThreadId, Turn>>,
}

/// A function's hold on the runtime; its end is told by dropping it.
#[derive(Debug)]
struct Turn {
    since: Instant,
    back: SyncSender<()>,
    again: Receiver<()>,
}

/// A function that runs; its turn ends with it.
struct Running<'a>(&'a Turns);

impl Turns {
    /// Room for as many functions that have begun as there are workers.
    pub(crate) fn new(workers: usize, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { runtime, free: Arc::new(Semaphore::new(workers)), running: Mutex::default() })
    }

    /// Runs a job when a worker is free, first come, first served.
    pub(crate) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let turns = self.clone();
        self.runtime.spawn(async move {
            let Ok(_free) = turns.free.clone().acquire_owned().await else { return };
            if let Err(error) = turns.follow(job).await {
                tracing::error!(%error, "there is no thread for a function");
            }
        });
    }

    /// Takes turns with a job until it has ended.
    async fn follow(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // One word at most is under way in each direction.
        let (back, mut given_back) = sync_channel(1);
        let (go_on, again) = sync_channel(1);
        let turns = self.clone();
        let thread = thread::Builder::new().name("guthi-compute".into()).stack_size(COMPUTE_STACK_BYTES);
        thread.spawn(move || {
            // The clock of the runtime is the clock of the function.
            let _entered = turns.runtime.enter();
            turns.running.lock().insert(thread::current().id(), Turn { since: Instant::now(), back, again });
            let _running = Running(&turns);
            job();
        })?;
        loop {
            let word = match given_back.recv_timeout(PATIENCE) {
                Ok(()) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => Err(RecvError),
                Err(RecvTimeoutError::Timeout) => {
                    // The paused clock stands still as long as a blocking task runs.
                    let waiting = tokio::task::spawn_blocking(move || (given_back.recv(), given_back)).await?;
                    given_back = waiting.1;
                    waiting.0
                }
            };
            if word.is_err() {
                return Ok(());
            }
            tokio::time::sleep(MOMENT).await;
            // If it is gone, the next look says so.
            let _ = go_on.send(());
        }
    }

    /// The function of this thread asks whether it is still wanted; true if its runtime is gone.
    pub(crate) fn asked(&self) -> bool {
        let me = thread::current().id();
        let Some(mut turn) = self.take(me) else { return false };
        let gone = turn.back.send(()).is_err() || turn.again.recv().is_err();
        turn.since = Instant::now();
        self.running.lock().insert(me, turn);
        gone
    }

    /// The turn of a thread that has had its share.
    fn take(&self, thread: ThreadId) -> Option<Turn> {
        let mut running = self.running.lock();
        let spent = running.get(&thread).is_some_and(|turn| turn.since.elapsed() >= SHARE);
        if spent { running.remove(&thread) } else { None }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.lock().remove(&thread::current().id());
    }
}
