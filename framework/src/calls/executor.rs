//! Runs functions on this node: inline on the reader, on the compute pool, or on the user's runtime.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use guthi_core::wire::{id::NodeId, limits};
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    function::{Entered, Input, Registered, Run, Stop},
    lane::Lane,
    message::{Answer, Batch, Format, Refusal},
    meters::Meters,
    pace::Pace,
    panic,
    pool::Pool,
    progress::Reporter,
    sleep_until,
    spare::Spare,
};
use crate::{BuildError, Context, Node, Trace, api::node::Inner};

/// The functions of this node and the threads that run them.
pub(crate) struct Executor {
    me: NodeId,
    functions: RwLock<HashMap<String, Arc<Registered>>>,
    pool: Pool,
    workers: usize,
    runtime: tokio::runtime::Handle,
    states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    node: OnceLock<Weak<Inner>>,
    /// Accepted and not yet ended, on the pool and on the runtime.
    accepted: AtomicUsize,
    accepted_max: usize,
    leaving: AtomicBool,
    /// The time for leaving is over: what still runs is answered without its result.
    given_up: CancellationToken,
    pace: Pace,
    spare: Arc<Spare>,
    meters: Meters,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("workers", &self.workers).finish_non_exhaustive()
    }
}

/// One request to run a function.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) function: Arc<Registered>,
    pub(crate) payload: Vec<u8>,
    pub(crate) format: Format,
    pub(crate) batch: bool,
    pub(crate) origin: Origin,
    pub(crate) ticket: Arc<Ticket>,
    /// Tells the caller how far it is, if that has asked.
    pub(crate) reporter: Option<Arc<Reporter>>,
    pub(crate) sink: Sink,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) caller: NodeId,
    /// Its number on the lane; nothing for a call of this node itself.
    pub(crate) request: Option<u64>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<Trace>,
}

impl Origin {
    /// What the function of a traced call runs in.
    pub(super) fn span(&self, function: &str) -> Span {
        let Some(trace) = self.trace else { return Span::none() };
        tracing::info_span!("call", request = self.request, function, from = self.caller.short(), %trace)
    }

    /// Runs a function in that.
    fn within<T>(&self, function: &str, run: impl FnOnce() -> T) -> T {
        if self.trace.is_none() { run() } else { self.span(function).in_scope(run) }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) enum Sink {
    Lane { lane: Arc<Lane>, id: u64, flags: u16 },
    Local(oneshot::Sender<Answer>),
}

impl Sink {
    fn send(self, answer: Answer) {
        match self {
            Self::Lane { lane, id, flags } => lane.reply(id, flags, answer),
            // The caller has lost interest.
            Self::Local(reply) => drop(reply.send(answer)),
        }
    }
}

/// The caller's hold on one run.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    cancelled: AtomicBool,
    notify: Notify,
}

impl Ticket {
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) async fn cancelled(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// So begin the names of what every node has: nobody needs to be told of it.
pub(crate) const RESERVED: &str = "guthi.";

impl Executor {
    pub(crate) fn new(
        me: NodeId,
        functions: HashMap<String, Arc<Registered>>,
        states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
        pool: Pool,
        workers: usize,
        accepted_max: usize,
    ) -> Result<Arc<Self>, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        Ok(Arc::new(Self {
            me,
            functions: RwLock::new(functions),
            pool,
            workers,
            spare: Spare::new(runtime.clone()),
            runtime,
            states,
            node: OnceLock::new(),
            accepted: AtomicUsize::new(0),
            accepted_max,
            leaving: AtomicBool::new(false),
            given_up: CancellationToken::new(),
            pace: Pace::default(),
            meters: Meters::default(),
        }))
    }

    /// Accepts a request or answers why not. Never waits.
    pub(crate) fn submit(self: &Arc<Self>, request: Request) {
        if self.leaving.load(Ordering::Relaxed) {
            return self.refuse(request, Refusal::Cancelled { started: false });
        }
        let Some(entered) = self.enter(&request.function) else {
            return self.refuse(request, Refusal::Overloaded);
        };
        let executor = self.clone();
        match &request.function.run {
            Run::Inline(_) | Run::Plain(_) => self.pool.run(move || executor.compute(request, entered)),
            Run::Async(_) => drop(self.runtime.spawn(async move { executor.drive(request, entered).await })),
        }
    }

    /// Counts one more run; `None` if as many run as may, of that function or of all.
    fn enter(&self, function: &Arc<Registered>) -> Option<Entered> {
        if self.accepted.fetch_add(1, Ordering::Relaxed) < self.accepted_max
            && let Some(entered) = function.enter()
        {
            return Some(entered);
        }
        self.accepted.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Accepts a run that goes on for as long as somebody wants it, or says why not.
    pub(super) fn accept(self: &Arc<Self>, function: &Arc<Registered>) -> Result<Accepted, Refusal> {
        if self.leaving.load(Ordering::Relaxed) {
            return Err(Refusal::Cancelled { started: false });
        }
        let entered = self.enter(function).ok_or(Refusal::Overloaded)?;
        Ok(Accepted { executor: self.clone(), _entered: entered })
    }

    /// Resolves when what still runs is to be answered without its result.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    fn refuse(&self, request: Request, refusal: Refusal) {
        self.meters.answered(Err(&refusal));
        request.sink.send(Answer::Refused(refusal));
    }

    /// Runs an inline function here and now; what it returns is appended to `output`.
    pub(crate) fn inline(
        self: &Arc<Self>,
        run: fn(&Context, Input<'_>, &mut Vec<u8>) -> Result<(), Stop>,
        function: &str,
        origin: Origin,
        input: Input<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let context = Context::new(self.clone(), origin, None, None);
        let result = origin.within(function, || guarded(|| run(&context, input, output)));
        self.meters.answered(result.as_ref().copied());
        result
    }

    fn compute(self: Arc<Self>, request: Request, entered: Entered) {
        let (Run::Plain(run) | Run::Inline(run)) = request.function.run else {
            unreachable!("only plain functions come here")
        };
        let context = self.context(&request);
        let _span = request.origin.span(&request.function.name).entered();
        let answer = if request.batch {
            self.compute_batch(&request, run, &context)
        } else {
            let mut output = self.spare.empty();
            let input = Input { bytes: &request.payload, format: request.format };
            match self.stop(&request, false) {
                Some(refusal) => Answer::Refused(refusal),
                None => match guarded(|| run(&context, input, &mut output)) {
                    Ok(()) => Answer::Value(output),
                    Err(refusal) => Answer::Refused(refusal),
                },
            }
        };
        self.finish(request, entered, answer);
    }

    fn compute_batch(
        &self,
        request: &Request,
        run: fn(&Context, Input<'_>, &mut Vec<u8>) -> Result<(), Stop>,
        context: &Context,
    ) -> Answer {
        let begin = Instant::now();
        let mut results = Batch::timed();
        let mut started = false;
        for entry in Batch::entries(&request.payload) {
            let Some((_, bytes)) = entry else {
                return Answer::Refused(Refusal::InvalidArguments { message: "the batch is cut short".into() });
            };
            if let Some(refusal) = self.stop(request, started) {
                return Answer::Refused(refusal);
            }
            started = true;
            let input = Input { bytes, format: request.format };
            results.push(|output| {
                let start = output.len();
                match guarded(|| run(context, input, output)) {
                    Ok(()) => Batch::VALUE,
                    Err(refusal) => {
                        output.truncate(start);
                        Batch::refuse(&refusal, output)
                    }
                }
            });
        }
        Answer::Value(results.took(begin.elapsed()))
    }

    async fn drive(self: Arc<Self>, request: Request, entered: Entered) {
        let Run::Async(run) = request.function.run.clone() else { unreachable!("only async functions come here") };
        if let Some(refusal) = self.stop(&request, false) {
            return self.finish(request, entered, Answer::Refused(refusal));
        }
        let context = self.context(&request);
        let one = |bytes: &[u8]| {
            let future = panic::catch(|| run(context.clone(), Input { bytes, format: request.format }));
            async move {
                match future {
                    Ok(future) => match panic::catch_async(future).await {
                        Ok(result) => result.map_err(|Stop(refusal)| refusal),
                        Err(panic) => Err(panicked(panic)),
                    },
                    Err(panic) => Err(panicked(panic)),
                }
            }
        };
        let all = async {
            if !request.batch {
                return match one(&request.payload).await {
                    Ok(output) => Answer::Value(output),
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            let mut runs = Vec::new();
            for entry in Batch::entries(&request.payload) {
                let Some((_, bytes)) = entry else {
                    return Answer::Refused(Refusal::InvalidArguments { message: "the batch is cut short".into() });
                };
                runs.push(one(bytes));
            }
            let begin = Instant::now();
            let mut results = Batch::timed();
            for result in futures::future::join_all(runs).await {
                results.push(|output| match result {
                    Ok(bytes) => {
                        output.extend_from_slice(&bytes);
                        Batch::VALUE
                    }
                    Err(refusal) => Batch::refuse(&refusal, output),
                });
            }
            Answer::Value(results.took(begin.elapsed()))
        };
        let all = all.instrument(request.origin.span(&request.function.name));
        let answer = tokio::select! {
            biased;
            answer = all => answer,
            () = request.ticket.cancelled() => Answer::Refused(Refusal::Cancelled { started: true }),
            () = self.given_up.cancelled() => Answer::Refused(Refusal::Cancelled { started: true }),
            () = sleep_until(request.origin.deadline) => Answer::Refused(Refusal::Deadline { started: true }),
        };
        self.finish(request, entered, answer);
    }

    fn finish(&self, request: Request, entered: Entered, answer: Answer) {
        drop(entered);
        if let Some(reporter) = &request.reporter {
            reporter.end();
        }
        self.spare.give(request.payload);
        self.accepted.fetch_sub(1, Ordering::Relaxed);
        let answer = if request.origin.is_late() && matches!(answer, Answer::Value(_)) {
            // A function that has seen its deadline returns anything; the caller, whose clock may be a moment behind, must
            // not take that for a result.
            Answer::Refused(Refusal::Deadline { started: true })
        } else if answer.bytes() > limits::PAYLOAD_BYTES_MAX {
            Answer::Refused(Refusal::ResultTooLarge {
                bytes: answer.bytes() as u64,
                limit: limits::PAYLOAD_BYTES_MAX as u64,
            })
        } else {
            answer
        };
        self.meters.answered(answer.refusal().map_or(Ok(()), Err));
        request.sink.send(answer);
    }

    fn stop(&self, request: &Request, started: bool) -> Option<Refusal> {
        if request.ticket.is_cancelled() || self.leaving.load(Ordering::Relaxed) {
            Some(Refusal::Cancelled { started })
        } else if request.origin.is_late() {
            Some(Refusal::Deadline { started })
        } else {
            None
        }
    }

    fn context(self: &Arc<Self>, request: &Request) -> Context {
        let (ticket, reporter) = (Some(request.ticket.clone()), request.reporter.clone());
        Context::new(self.clone(), request.origin, ticket, reporter)
    }

    pub(crate) fn function(&self, name: &str) -> Option<Arc<Registered>> {
        self.functions.read().get(name).cloned()
    }

    pub(crate) fn functions(&self) -> Vec<Arc<Registered>> {
        let functions = self.functions.read();
        functions.values().filter(|function| !function.name.starts_with(RESERVED)).cloned().collect()
    }

    /// Adds a function; false if there is one of that name.
    pub(crate) fn register(&self, function: Registered) -> bool {
        let mut functions = self.functions.write();
        if functions.contains_key(&function.name) {
            return false;
        }
        functions.insert(function.name.clone(), Arc::new(function));
        true
    }

    /// Takes back a function that was registered.
    pub(crate) fn unregister(&self, name: &str) {
        self.functions.write().remove(name);
    }

    pub(crate) fn attach(&self, node: Weak<Inner>) {
        let _ = self.node.set(node);
    }

    pub(crate) fn node(&self) -> Option<Node> {
        self.node.get().and_then(Weak::upgrade).map(Node::of)
    }

    pub(crate) fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.states.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }

    /// From now on nothing is accepted, and what has not started does not.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Answers what still runs without its result; plain functions that do not ask are not reached.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// A running function asks whether it is still wanted; true if it cannot be.
    pub(crate) fn asked(&self) -> bool {
        self.pool.asked()
    }

    pub(crate) const fn me(&self) -> NodeId {
        self.me
    }

    pub(crate) const fn workers(&self) -> usize {
        self.workers
    }

    /// Whether those who wait for something may [look](super::spin::Spin) for it before they sleep.
    pub(crate) const fn spins(&self) -> bool {
        self.pool.is_real()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// What calls to this node itself take.
    pub(crate) const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What is counted of calls.
    pub(crate) const fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Buffers that large payloads leave behind.
    pub(crate) const fn spare(&self) -> &Arc<Spare> {
        &self.spare
    }

    pub(crate) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }
}

/// A run that was accepted; ends when it is dropped.
pub(super) struct Accepted {
    executor: Arc<Executor>,
    _entered: Entered,
}

impl Accepted {
    /// What its function is told.
    pub(super) fn context(&self, origin: Origin, ticket: Arc<Ticket>) -> Context {
        Context::new(self.executor.clone(), origin, Some(ticket), None)
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.executor.accepted.fetch_sub(1, Ordering::Relaxed);
    }
}

fn guarded(run: impl FnOnce() -> Result<(), Stop>) -> Result<(), Refusal> {
    match panic::catch(run) {
        Ok(result) => result.map_err(|Stop(refusal)| refusal),
        Err(panic) => Err(panicked(panic)),
    }
}

pub(super) fn panicked(panic::Panic { message, location }: panic::Panic) -> Refusal {
    Refusal::Panicked { message, location }
}
