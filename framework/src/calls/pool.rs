//! Where plain functions run.

#[cfg(any(test, feature = "testing"))]
use std::sync::Arc;

#[cfg(any(test, feature = "testing"))]
use super::turns::Turns;
use crate::BuildError;

/// Nice value of the compute threads: the network thread, the user's and everybody else's go first.
const COMPUTE_NICE: i32 = 10;
pub(super) const COMPUTE_STACK_BYTES: usize = 4 * 1024 * 1024;

/// The threads of one node that compute.
pub(crate) enum Pool {
    /// As many as it has workers, all at once.
    Threads(rayon::ThreadPool),
    /// One at a time, on the clock of the runtime.
    #[cfg(any(test, feature = "testing"))]
    Turns(Arc<Turns>),
}

impl Pool {
    pub(crate) fn threads(workers: usize) -> Result<Self, BuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .stack_size(COMPUTE_STACK_BYTES)
            .thread_name(|index| format!("guthi-compute-{index}"))
            // Echoes must not wait behind user code. A system that refuses lower priority is no reason not to run.
            .start_handler(|_| {
                let _ = rustix::process::setpriority_process(None, COMPUTE_NICE);
            })
            .build();
        pool.map(Self::Threads).map_err(|error| BuildError::Threads { reason: error.to_string() })
    }

    /// Runs a job when a worker is free, first come, first served. Never waits.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        match self {
            Self::Threads(pool) => pool.spawn_fifo(job),
            #[cfg(any(test, feature = "testing"))]
            Self::Turns(turns) => turns.run(job),
        }
    }

    /// Whether time is the machine's here.
    pub(crate) const fn is_real(&self) -> bool {
        matches!(self, Self::Threads(_))
    }

    /// A running function has asked whether it is still wanted; true if the world in which it runs has ended.
    pub(crate) fn asked(&self) -> bool {
        match self {
            Self::Threads(_) => false,
            #[cfg(any(test, feature = "testing"))]
            Self::Turns(turns) => turns.asked(),
        }
    }
}
