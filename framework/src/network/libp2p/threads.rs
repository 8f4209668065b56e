//! Where connections run: on the network's thread, until they carry large payloads.
//!
//! To encrypt and decrypt keeps a core busy as long as there are bytes, and whoever shares a thread with that waits. So a
//! connection that stands beside a link, for large payloads and channels, moves to threads of its own with the first of them.
//! Calls, echoes and leases stay on a thread that mostly sleeps, which the kernel wakes at once.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    thread,
};

use libp2p::swarm::Executor;
use tokio::runtime::{Builder, Handle, Runtime};

use super::wakes;

/// There is one of these threads for two cores, and more gain nothing: they share the network with each other.
const BULK_THREADS_MAX: usize = 4;
/// Their nice value: calls go first, and what is computed comes last.
const BULK_NICE: i32 = 5;

/// The task of a connection.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the connections of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    bulk: Arc<Bulk>,
}

impl Threads {
    /// The runtime of those who have left.
    pub(super) fn bulk(&self) -> Option<Handle> {
        self.bulk.handle()
    }
}

impl Executor for Threads {
    fn exec(&self, task: Task) {
        tokio::spawn(Staying { task: Some(task), threads: self.clone() });
    }
}

/// Lets the connection whose task is polled run apart from now on; for its handler.
pub(super) fn leave() {
    LEAVES.set(true);
}

/// Whether this is a thread of those who have left.
pub(super) fn is_apart() -> bool {
    APART.get()
}

thread_local! {
    /// What is polled on this thread wants to leave it.
    static LEAVES: Cell<bool> = const { Cell::new(false) };
    static APART: Cell<bool> = const { Cell::new(false) };
}

/// A connection on the network's thread.
struct Staying {
    task: Option<Task>,
    threads: Threads,
}

impl Future for Staying {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        LEAVES.set(false);
        let polled = task.as_mut().poll(cx);
        if !LEAVES.take() || polled.is_ready() {
            return polled;
        }
        // Without a thread for it, it stays.
        let Some(bulk) = self.threads.bulk() else { return polled };
        // It is polled there at once, so that the right task is woken from then on.
        self.task.take().map(|task| bulk.spawn(Gone(task)));
        Poll::Ready(())
    }
}

/// A connection that has left.
struct Gone(Task);

impl Future for Gone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        wakes::gather(|| self.0.as_mut().poll(cx))
    }
}

/// The threads of those who have left; there are none before the first.
#[derive(Debug, Default)]
struct Bulk {
    runtime: OnceLock<Option<Runtime>>,
}

impl Bulk {
    fn handle(&self) -> Option<Handle> {
        let begin = || {
            let threads =
                thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, BULK_THREADS_MAX));
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads).thread_name("guthi-bulk").enable_all().on_thread_start(|| {
                APART.set(true);
                // A system that refuses is no reason not to run.
                let _ = rustix::process::setpriority_process(None, BULK_NICE);
            });
            builder.build().inspect_err(|error| tracing::warn!(%error, "large payloads share a thread with calls")).ok()
        };
        self.runtime.get_or_init(begin).as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // Whoever drops it must not be kept waiting.
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::{mpsc, oneshot},
        task::yield_now,
    };

    use super::*;

    fn thread() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn who_leaves_goes_on_elsewhere_and_is_still_woken() {
        let threads = Threads::default();
        let (go, mut gone) = mpsc::channel(1);
        let (told, tells) = oneshot::channel();
        threads.exec(Box::pin(async move {
            let before = thread();
            yield_now().await;
            let between = thread();
            leave();
            gone.recv().await;
            let _ = told.send([before, between, thread()]);
        }));
        // It waits for this by then, there or here.
        yield_now().await;
        yield_now().await;
        go.send(()).await.unwrap();
        let [before, between, after] = tells.await.unwrap();
        assert_eq!((&before, &between), (&thread(), &thread()));
        assert_eq!(after, "guthi-bulk");
    }

    #[tokio::test]
    async fn what_one_wants_the_next_does_not_get() {
        let threads = Threads::default();
        leave();
        let (told, tells) = oneshot::channel();
        threads.exec(Box::pin(async move {
            yield_now().await;
            let _ = told.send(thread());
        }));
        assert_eq!(tells.await.unwrap(), thread());
        assert!(threads.bulk.runtime.get().is_none(), "no thread was needed");
    }
}
