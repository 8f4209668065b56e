//! Finds the node for a call, sends it there, and goes elsewhere when that certainly did no harm.

use std::{
    any::TypeId,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use guthi_core::{
    protocol::schedule::{self, Candidate},
    wire::{id::NodeId, limits::PAYLOAD_BYTES_MAX},
};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    executor::{Executor, Origin, Request, Sink, Ticket},
    function::{self, Function, Input, Run, StreamFunction},
    lane::{Lane, Target},
    message::{Answer, Format, Refusal, flags},
    meters::Meter,
    pace::Pace,
    progress::{Listener, Reporter, Way},
    signature::Unsupported,
};
use crate::{
    CallError, Outcome, Trace,
    runtime::roster::{Roster, Snapshot},
};

const TIMED_ONE_IN: u64 = 8;

/// The way from handles to lanes.
#[derive(Debug)]
pub(crate) struct Router {
    roster: Arc<Roster>,
    executor: Arc<Executor>,
    rotation: AtomicU64,
    /// The types of functions that this program calls, traced at first use.
    types: DashMap<TypeId, Arc<Types>>,
}

/// The types of a function as this program has them.
#[derive(Debug, Default)]
pub(crate) struct Types {
    /// Zero if unknown.
    pub(crate) signature: u64,
    pub(crate) shape: String,
    /// Where calls are counted; nothing if only their name is known.
    pub(crate) meter: Option<Arc<Meter>>,
}

impl Types {
    /// Whether they are those of a function; unknown types fit all.
    fn fit(&self, theirs: u64) -> bool {
        theirs == self.signature || theirs == 0 || self.signature == 0
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) name: &'a str,
    pub(crate) types: Arc<Types>,
    pub(crate) format: Format,
    pub(crate) payload: &'a [u8],
    pub(crate) on: Option<NodeId>,
    pub(crate) deadline: Option<Instant>,
    /// How often it may be tried where a try may have had an effect.
    pub(crate) attempts: u32,
    pub(crate) trace: Option<Trace>,
    /// Who wants to know how far it is.
    pub(crate) listener: Option<Listener>,
}

impl Order<'_> {
    /// The same, as a part of that trace.
    pub(crate) fn within(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    /// What its call frame says of it.
    pub(super) fn flags(&self) -> u16 {
        let progress = if self.listener.is_some() { flags::PROGRESS } else { 0 };
        let traced = if self.trace.is_some() { flags::TRACED } else { 0 };
        self.format.flag() | progress | traced
    }
}

/// A node that can run a function.
#[derive(Clone, Debug)]
pub(crate) enum Worker {
    Here,
    There(Arc<Lane>),
}

impl Worker {
    fn pace<'a>(&'a self, executor: &'a Executor) -> &'a Pace {
        match self {
            Self::Here => executor.pace(),
            Self::There(lane) => lane.pace(),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::There(lane) if lane.is_closed())
    }

    /// Whether this is the same link, not merely the same node.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here, Self::Here) => true,
            (Self::There(a), Self::There(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub(crate) fn node(&self, executor: &Executor) -> NodeId {
        match self {
            Self::Here => executor.me(),
            Self::There(lane) => lane.peer(),
        }
    }
}

impl Router {
    pub(crate) fn new(roster: Arc<Roster>, executor: Arc<Executor>) -> Self {
        Self { roster, executor, rotation: AtomicU64::new(0), types: DashMap::new() }
    }

    pub(crate) fn types<F: Function>(&self) -> Result<Arc<Types>, Unsupported> {
        self.traced(TypeId::of::<F>(), F::NAME, function::signature::<F>)
    }

    pub(crate) fn stream_types<F: StreamFunction>(&self) -> Result<Arc<Types>, Unsupported> {
        self.traced(TypeId::of::<F>(), F::NAME, function::stream_signature::<F>)
    }

    fn traced(
        &self,
        function: TypeId,
        name: &str,
        trace: impl FnOnce() -> Result<(u64, String), Unsupported>,
    ) -> Result<Arc<Types>, Unsupported> {
        if let Some(types) = self.types.get(&function) {
            return Ok(types.clone());
        }
        let (signature, shape) = trace()?;
        let meter = Some(self.executor.meters().of(name));
        let types = Arc::new(Types { signature, shape, meter });
        self.types.insert(function, types.clone());
        Ok(types)
    }

    /// A call whose results were streamed has ended.
    pub(crate) fn note(&self, types: &Types, took: Duration, succeeded: bool) {
        if let Some(meter) = &types.meter {
            meter.note(took, succeeded);
        }
    }

    /// Runs a call to its end, and counts it; the node is the one that ran it.
    pub(crate) async fn call(&self, order: &Order<'_>) -> Result<(NodeId, Vec<u8>), CallError> {
        let began = Instant::now();
        let result = self.try_in_turn(order, began).await;
        self.count(order, began.elapsed(), result.as_ref().err());
        result
    }

    fn count(&self, order: &Order<'_>, took: Duration, error: Option<&CallError>) {
        let meters = self.executor.meters();
        if let Some(meter) = &order.types.meter {
            return meter.note(took, error.is_none());
        }
        let meter = match error {
            None => meters.of(order.name),
            // Any text can be a name; where it certainly did not run, it may be that of nothing.
            Some(error) if error.outcome() == Outcome::NotApplied => meters.of_known(order.name),
            Some(_) => meters.of(order.name),
        };
        meter.note(took, error.is_none());
    }

    /// Where it certainly had no effect the next candidate is tried, each once; where it may have had one, `attempts` counts.
    async fn try_in_turn(&self, order: &Order<'_>, began: Instant) -> Result<(NodeId, Vec<u8>), CallError> {
        let mut started = began;
        let function = || order.name.to_string();
        if order.payload.len() > PAYLOAD_BYTES_MAX {
            let (bytes, limit) = (order.payload.len() as u64, PAYLOAD_BYTES_MAX as u64);
            return Err(CallError::TooLarge { function: function(), bytes, limit, result: false });
        }
        let mut tries = Tries::new(order.attempts);
        loop {
            let (worker, node) = self.next(order, &mut tries, started)?;
            let answer = self.run(&worker, order, 0, order.payload, None).await;
            let error = match answer {
                Answer::Value(bytes) => {
                    // One call in so many is timed: the clock costs more than the note.
                    if self.rotation.load(Ordering::Relaxed).is_multiple_of(TIMED_ONE_IN) {
                        worker.pace(&self.executor).note(started.elapsed());
                    }
                    return Ok((node, bytes));
                }
                Answer::Refused(refusal) => call_error(refusal, function(), node, &order.types),
                Answer::Expired => return Err(CallError::Deadline { function: function(), started: true }),
                Answer::Unsent => CallError::NotLinked { function: function(), node },
                Answer::Lost(reason) => CallError::PeerLost { function: function(), node, reason },
            };
            tries.failed(order, node, error)?;
            started = Instant::now();
        }
    }

    /// The node for the next try.
    pub(super) fn next(
        &self,
        order: &Order<'_>,
        tries: &mut Tries,
        now: Instant,
    ) -> Result<(Worker, NodeId), CallError> {
        let function = || order.name.to_string();
        let Some(worker) = self.choose(order, &tries.refused)? else {
            return Err(tries.last.take().unwrap_or_else(|| CallError::NoNodeHasIt { function: function() }));
        };
        if order.deadline.is_some_and(|deadline| deadline <= now) {
            let late = || CallError::Deadline { function: function(), started: false };
            return Err(tries.last.take().unwrap_or_else(late));
        }
        let node = worker.node(&self.executor);
        Ok((worker, node))
    }

    /// Sends a payload to a worker and waits for the answer, until the deadline.
    pub(crate) async fn run(
        &self,
        worker: &Worker,
        order: &Order<'_>,
        flags: u16,
        payload: &[u8],
        withdrawn: Option<&CancellationToken>,
    ) -> Answer {
        match worker {
            Worker::Here => {
                let running = self.run_here(order, flags, payload, withdrawn);
                match order.deadline {
                    Some(deadline) => tokio::time::timeout_at(deadline, running).await.unwrap_or(Answer::Expired),
                    None => running.await,
                }
            }
            Worker::There(lane) => {
                let target = Target {
                    name: order.name,
                    signature: order.types.signature,
                    deadline: order.deadline,
                    flags: flags | order.flags(),
                    trace: order.trace,
                    listener: order.listener.as_ref(),
                };
                // The lane keeps the deadline itself, for all its calls with one timer.
                lane.call(target, payload, withdrawn).await
            }
        }
    }

    async fn run_here(
        &self,
        order: &Order<'_>,
        flags: u16,
        payload: &[u8],
        withdrawn: Option<&CancellationToken>,
    ) -> Answer {
        let Some(function) = self.executor.function(order.name) else {
            return Answer::Refused(Refusal::NoSuchFunction);
        };
        if !order.types.fit(function.entry.signature) {
            return Answer::Refused(Refusal::SignatureMismatch { there: function.entry.shape.clone() });
        }
        let batch = flags & flags::BATCH != 0;
        let origin = Origin { caller: self.executor.me(), request: None, deadline: order.deadline, trace: order.trace };
        if let (Run::Inline(run), false) = (&function.run, batch) {
            let mut output = Vec::new();
            let input = Input { bytes: payload, format: order.format };
            return match self.executor.inline(*run, order.name, origin, input, &mut output) {
                Ok(()) => Answer::Value(output),
                Err(refusal) => Answer::Refused(refusal),
            };
        }
        let ticket = Arc::new(Ticket::default());
        let reporter = order.listener.clone();
        let reporter = reporter.map(|it| Reporter::new(Way::Here(it), self.executor.runtime().clone()));
        let (reply, answer) = oneshot::channel();
        self.executor.submit(Request {
            function,
            payload: payload.to_vec(),
            format: order.format,
            batch,
            origin,
            ticket: ticket.clone(),
            reporter,
            sink: Sink::Local(reply),
        });
        let _hold = CancelOnDrop(ticket.clone());
        let mut answer = answer;
        let answer = match withdrawn {
            None => answer.await,
            Some(withdrawn) => tokio::select! {
                biased;
                answer = &mut answer => answer,
                () = withdrawn.cancelled() => {
                    ticket.cancel();
                    answer.await
                }
            },
        };
        answer.unwrap_or_else(|_| Answer::Lost("this node has left".into()))
    }

    fn choose(&self, order: &Order<'_>, refused: &[NodeId]) -> Result<Option<Worker>, CallError> {
        let function = || order.name.to_string();
        let snapshot = self.roster.load();
        if let Some(node) = order.on {
            if refused.contains(&node) {
                return Ok(None);
            }
            self.rotation.fetch_add(1, Ordering::Relaxed);
            if node == self.executor.me() {
                return Ok(Some(Worker::Here));
            }
            return match snapshot.routes.get(&node) {
                Some(route) => Ok(Some(Worker::There(route.lane.clone()))),
                None => Err(CallError::NotLinked { function: function(), node }),
            };
        }
        let (workers, mismatch) = self.workers(&snapshot, order.name, &order.types);
        let candidates: Vec<_> =
            workers.iter().filter(|worker| !refused.contains(&worker.node(&self.executor))).collect();
        if candidates.is_empty() {
            return match mismatch {
                Some(there) if workers.is_empty() => {
                    Err(CallError::SignatureMismatch { function: function(), here: order.types.shape.clone(), there })
                }
                _ => Ok(None),
            };
        }
        let entropy = self.rotation.fetch_add(1, Ordering::Relaxed);
        let measured: Vec<_> = candidates.iter().map(|worker| self.candidate(&snapshot, worker)).collect();
        Ok(schedule::choose(&measured, entropy).map(|index| candidates[index].clone()))
    }

    fn candidate(&self, snapshot: &Snapshot, worker: &Worker) -> Candidate {
        match worker {
            Worker::Here => Candidate {
                outstanding: u32::try_from(self.executor.accepted()).unwrap_or(u32::MAX),
                parallelism: u32::try_from(self.executor.workers()).unwrap_or(u32::MAX),
                service: self.executor.pace().typical(),
                round_trip: Duration::ZERO,
                local: true,
            },
            Worker::There(lane) => Candidate {
                outstanding: lane.outstanding(),
                parallelism: snapshot.routes.get(&lane.peer()).map_or(1, |route| route.workers),
                service: lane.pace().typical(),
                round_trip: snapshot.peers.get(&lane.peer()).and_then(|peer| peer.rtt).unwrap_or_default(),
                local: false,
            },
        }
    }

    /// Everybody who has a function with these types; and, if somebody has it with others, those.
    pub(crate) fn workers(&self, snapshot: &Snapshot, name: &str, types: &Types) -> (Vec<Worker>, Option<String>) {
        let mut workers = Vec::new();
        let mut mismatch = None;
        let fits = |theirs| types.fit(theirs);
        if let Some(function) = self.executor.function(name) {
            if fits(function.entry.signature) {
                workers.push(Worker::Here);
            } else {
                mismatch = Some(function.entry.shape.clone());
            }
        }
        for node in snapshot.by_function.get(name).into_iter().flatten() {
            let Some(route) = snapshot.routes.get(node) else { continue };
            match route.functions.get(name) {
                Some(entry) if fits(entry.signature) => workers.push(Worker::There(route.lane.clone())),
                Some(entry) => mismatch = Some(entry.shape.clone()),
                None => {}
            }
        }
        (workers, mismatch)
    }

    /// Whether anybody says that the function must not be retried.
    pub(crate) fn is_once(&self, name: &str) -> bool {
        let snapshot = self.roster.load();
        let mut entries = snapshot.routes.values().filter_map(|route| route.functions.get(name));
        self.executor.function(name).is_some_and(|function| function.entry.once) || entries.any(|entry| entry.once)
    }

    pub(crate) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(crate) const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }
}

/// The tries of one call so far.
#[derive(Debug)]
pub(super) struct Tries {
    refused: Vec<NodeId>,
    last: Option<CallError>,
    /// How many there may be that may have had an effect.
    attempts: u32,
}

impl Tries {
    pub(super) fn new(attempts: u32) -> Self {
        Self { refused: Vec::new(), last: None, attempts: attempts.max(1) }
    }

    /// Notes how one has failed; that is the end if there may be no other.
    pub(super) fn failed(&mut self, order: &Order<'_>, node: NodeId, error: CallError) -> Result<(), CallError> {
        match error.outcome() {
            Outcome::NotApplied
                if !matches!(error, CallError::InvalidArguments { .. } | CallError::Deadline { .. }) => {}
            Outcome::Unknown if self.attempts > 1 && matches!(error, CallError::PeerLost { .. }) => self.attempts -= 1,
            _ => return Err(error),
        }
        if order.on.is_some() {
            return Err(error);
        }
        self.refused.push(node);
        // What may have had an effect is the truth to tell, even if the next candidate certainly had none.
        if !matches!(&self.last, Some(before) if CallError::outcome(before) == Outcome::Unknown) {
            self.last = Some(error);
        }
        Ok(())
    }
}

/// Cancels a run that nobody waits for any more.
pub(super) struct CancelOnDrop(pub(super) Arc<Ticket>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What a refusal means to the caller.
pub(crate) fn call_error(refusal: Refusal, function: String, node: NodeId, types: &Types) -> CallError {
    match refusal {
        Refusal::NoSuchFunction => CallError::NoSuchFunction { function, node },
        Refusal::SignatureMismatch { there } => {
            CallError::SignatureMismatch { function, here: types.shape.clone(), there }
        }
        Refusal::InvalidArguments { message } => CallError::InvalidArguments { function, message },
        Refusal::Overloaded => CallError::Overloaded { function },
        Refusal::Cancelled { started } => CallError::Cancelled { function, started },
        Refusal::Deadline { started } => CallError::Deadline { function, started },
        Refusal::ResultTooLarge { bytes, limit } => CallError::TooLarge { function, bytes, limit, result: true },
        Refusal::Failed { message } => CallError::Failed { function, message },
        Refusal::Panicked { message, location } => CallError::Panicked { function, message, location },
    }
}
