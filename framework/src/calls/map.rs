//! The shell of a map: feeds the schedule, carries its effects to the nodes and their answers back.
//!
//! It has no task of its own. Whoever awaits the map drives it; when nobody does, nothing is handed out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use guthi_core::{
    protocol::{
        contract::Outbox,
        schedule::{BatchId, Config, Effect, Machine, Outcome, Runs},
        time::Time,
    },
    wire::{id::NodeId, limits::PAYLOAD_BYTES_MAX},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    message::{Answer, Batch, Refusal, flags},
    meters::Meter,
    router::{Order, Worker, call_error},
    sleep_until,
};
use crate::{CallError, Node};

/// What a batch should weigh at most, arguments or results, so that progress stays visible and memory small.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// A map for which no node is left waits so long for one.
const ALONE_MAX: Duration = Duration::from_secs(30);

/// One item that is counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) index: u64,
    pub(crate) node: NodeId,
    pub(crate) elapsed: Duration,
    pub(crate) result: Result<Vec<u8>, CallError>,
}

/// Why a map ends before its items do.
#[derive(Debug)]
pub(crate) enum Broken {
    Poisoned {
        index: u64,
        attempts: u32,
    },
    Deadline,
    Alone,
    /// An item could not be encoded.
    Input {
        index: u64,
        error: CallError,
    },
}

/// Where the items come from, encoded one by one.
pub(crate) type Source = Box<dyn Iterator<Item = Result<Vec<u8>, CallError>> + Send>;

/// A map under way.
pub(crate) struct Run {
    node: Node,
    order: Arc<Order<'static>>,
    meter: Arc<Meter>,
    attempts: u32,
    once: bool,
    machine: Machine<NodeId>,
    effects: Outbox<Effect<NodeId>>,
    source: Option<Source>,
    inputs: Inputs,
    workers: BTreeMap<NodeId, Worker>,
    /// Nodes that turned out not to have the function after all.
    excluded: BTreeSet<NodeId>,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    withdrawals: BTreeMap<BatchId, CancellationToken>,
    changes: watch::Receiver<u64>,
    ready: VecDeque<Counted>,
    began: Instant,
    alone_since: Option<Instant>,
    finished: bool,
}

struct Ended {
    worker: NodeId,
    batch: BatchId,
    items: Runs,
    answer: Answer,
}

impl Run {
    pub(crate) fn new(node: Node, order: Order<'static>, attempts: u32, once: bool, source: Source) -> Self {
        let mut config = Config::default();
        config.attempts = attempts.max(1);
        config.once = once;
        let mut changes = node.router().roster().changes();
        changes.mark_changed();
        Self {
            meter: node.router().executor().meters().of(order.name),
            order: Arc::new(order),
            attempts,
            once,
            machine: Machine::new(config),
            effects: Outbox::new(),
            source: Some(source),
            inputs: Inputs::default(),
            workers: BTreeMap::new(),
            excluded: BTreeSet::new(),
            running: FuturesUnordered::new(),
            withdrawals: BTreeMap::new(),
            changes,
            ready: VecDeque::new(),
            began: Instant::now(),
            alone_since: None,
            finished: false,
            node,
        }
    }

    /// The next item that is counted; `None` when all are.
    pub(crate) async fn next(&mut self) -> Option<Result<Counted, Broken>> {
        loop {
            if let Some(counted) = self.ready.pop_front() {
                return Some(Ok(counted));
            }
            if self.finished {
                return None;
            }
            if let Err(broken) = self.step().await {
                self.finished = true;
                self.running.clear();
                return Some(Err(broken));
            }
        }
    }

    pub(crate) fn total(&self) -> Option<u64> {
        self.source.is_none().then(|| self.machine.offered())
    }

    pub(crate) fn offered(&self) -> u64 {
        self.machine.offered()
    }

    async fn step(&mut self) -> Result<(), Broken> {
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.update_workers();
        }
        self.feed()?;
        self.carry_out()?;
        if self.finished || !self.ready.is_empty() {
            return Ok(());
        }
        let wake = self.machine.deadline().map(|at| self.began + Duration::from_nanos(at.as_nanos()));
        let alone = self.alone_since.map(|since| since + ALONE_MAX);
        let expired = self.order.deadline;
        let next = [wake, alone, expired].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(ended) = self.running.next() => self.ended(ended),
            _ = self.changes.changed() => self.update_workers(),
            () = sleep_until(next) => {
                let now = Instant::now();
                if expired.is_some_and(|expired| expired <= now) {
                    return Err(Broken::Deadline);
                }
                if alone.is_some_and(|alone| alone <= now) {
                    return Err(Broken::Alone);
                }
                let time = self.now();
                self.machine.wake(time, &mut self.effects);
            }
        }
        self.carry_out()
    }

    fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Gives the machine as many items as it has appetite for.
    fn feed(&mut self) -> Result<(), Broken> {
        let now = self.now();
        while let Some(source) = &mut self.source {
            let appetite = self.machine.appetite();
            if appetite == 0 {
                break;
            }
            let mut taken = 0;
            for item in source.take(usize::try_from(appetite).unwrap_or(usize::MAX)) {
                let index = self.machine.offered() + taken;
                self.inputs.push(item.map_err(|error| Broken::Input { index, error })?);
                taken += 1;
            }
            if taken > 0 {
                let fit = BATCH_BYTES / self.inputs.typical_bytes().max(1);
                self.limit(fit);
                self.machine.offer(now, taken, &mut self.effects);
            }
            if taken < appetite {
                self.source = None;
                self.machine.finish_input(now, &mut self.effects);
            }
        }
        Ok(())
    }

    fn limit(&mut self, items: usize) {
        let items = u32::try_from(items.clamp(1, ITEMS_PER_BATCH_MAX)).expect("it is clamped");
        self.machine.limit_batches(items);
    }

    fn update_workers(&mut self) {
        let now = self.now();
        let router = self.node.router();
        let snapshot = router.roster().load_full();
        let (found, _) = router.workers(&snapshot, self.order.name, &self.order.types);
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|worker| (worker.node(router.executor()), worker))
            // The roster may still name a link whose loss is known here.
            .filter(|(node, worker)| !self.excluded.contains(node) && !worker.is_lost())
            .collect();
        // A peer that was linked anew is another worker: what it held is lost.
        let lost = self.workers.iter().filter(|(node, worker)| !found.get(node).is_some_and(|now| now.is(worker)));
        let lost: Vec<_> = lost.map(|(node, _)| *node).collect();
        for node in lost {
            self.workers.remove(&node);
            self.machine.worker_lost(now, node, &mut self.effects);
        }
        for (node, worker) in found {
            if self.workers.contains_key(&node) {
                continue;
            }
            let parallelism = match &worker {
                Worker::Here => u32::try_from(self.node.router().executor().workers()).unwrap_or(u32::MAX),
                Worker::There(_) => snapshot.routes.get(&node).map_or(1, |route| route.workers),
            };
            self.workers.insert(node, worker);
            self.machine.worker_joined(now, node, parallelism, &mut self.effects);
        }
        self.alone_since = self.workers.is_empty().then(|| self.alone_since.unwrap_or_else(Instant::now));
    }

    fn carry_out(&mut self) -> Result<(), Broken> {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Assign { worker, batch, items, .. } => self.assign(worker, batch, items),
                Effect::Cancel { batch, .. } => {
                    if let Some(withdrawal) = self.withdrawals.get(&batch) {
                        withdrawal.cancel();
                    }
                }
                Effect::Unknown { items } => self.unknown(items),
                Effect::Poisoned { item } => {
                    return Err(Broken::Poisoned { index: item, attempts: self.attempts });
                }
                Effect::Finished => {
                    self.finished = true;
                    self.running.clear();
                }
                Effect::Ignored { reason } => tracing::trace!(?reason, "the schedule ignored an input"),
                Effect::Complete { .. } => unreachable!("completions are taken where answers come in"),
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn assign(&mut self, node: NodeId, id: BatchId, items: Runs) {
        let Some(worker) = self.workers.get(&node).cloned() else { return };
        let mut payload = Batch::default();
        for index in items.iter().flatten() {
            payload.push(|buffer| {
                buffer.extend_from_slice(self.inputs.get(index));
                Batch::VALUE
            });
        }
        let withdrawal = CancellationToken::new();
        self.withdrawals.insert(id, withdrawal.clone());
        let (handle, order) = (self.node.clone(), self.order.clone());
        self.running.push(Box::pin(async move {
            let router = handle.router();
            let answer = router.run(&worker, &order, flags::BATCH, &payload.0, Some(&withdrawal)).await;
            Ended { worker: node, batch: id, items, answer }
        }));
    }

    fn ended(&mut self, Ended { worker, batch, items, answer }: Ended) {
        let now = self.now();
        self.withdrawals.remove(&batch);
        match answer {
            Answer::Value(bytes) => {
                self.answered(worker, batch, &items, &bytes);
                self.node.router().executor().spare().give(bytes);
            }
            // It was begun by a worker that leaves, and what must run once may not be tried again.
            Answer::Refused(Refusal::Cancelled { started: true }) if self.once => {
                self.machine.done(now, worker, batch, None, &[], &mut self.effects);
            }
            Answer::Refused(Refusal::Overloaded | Refusal::Cancelled { .. }) => {
                self.machine.worker_refused(now, worker, batch, &mut self.effects);
            }
            Answer::Refused(Refusal::NoSuchFunction | Refusal::SignatureMismatch { .. }) => {
                self.machine.worker_refused(now, worker, batch, &mut self.effects);
                self.exclude(worker);
            }
            // All of it has run; smaller parts may fit, if it may run again.
            Answer::Refused(Refusal::ResultTooLarge { .. }) if items.len() > 1 && !self.once => {
                self.limit(usize::try_from(items.len() / 2).unwrap_or(1));
                self.machine.worker_refused(now, worker, batch, &mut self.effects);
            }
            // The map's own deadline ends it in a moment.
            Answer::Refused(Refusal::Deadline { .. }) | Answer::Expired => {}
            Answer::Refused(refusal) => {
                let outcomes = vec![Outcome::Failed; usize::try_from(items.len()).unwrap_or(0)];
                self.machine.done(now, worker, batch, None, &outcomes, &mut self.effects);
                self.collect(|_| Err(refusal.clone()));
            }
            // The roster tells of the loss as well, sooner or later; the first word counts.
            Answer::Lost(_) | Answer::Unsent => {
                // A link that was lost may have been followed by another one with the same node.
                if self.workers.get(&worker).is_some_and(Worker::is_lost) {
                    self.workers.remove(&worker);
                    self.machine.worker_lost(now, worker, &mut self.effects);
                } else {
                    // Only this batch is lost: an answer without outcomes counts as that.
                    self.machine.done(now, worker, batch, None, &[], &mut self.effects);
                }
                self.changes.mark_changed();
            }
        }
    }

    fn exclude(&mut self, worker: NodeId) {
        let now = self.now();
        self.excluded.insert(worker);
        if self.workers.remove(&worker).is_some() {
            self.machine.worker_lost(now, worker, &mut self.effects);
        }
    }

    fn answered(&mut self, worker: NodeId, batch: BatchId, items: &Runs, bytes: &[u8]) {
        let now = self.now();
        let parsed = Batch::split_time(bytes).and_then(|(busy, results)| {
            let results: Option<Vec<_>> = Batch::entries(results).collect();
            Some((busy, results?))
        });
        let Some((busy, results)) = parsed else {
            tracing::warn!(peer = ?worker, "a batch was answered with something that cannot be read");
            // No outcome at all counts as a lost attempt.
            return self.machine.done(now, worker, batch, None, &[], &mut self.effects);
        };
        let per_item = bytes.len() / usize::try_from(items.len()).unwrap_or(1).max(1);
        if per_item * ITEMS_PER_BATCH_MAX > BATCH_BYTES {
            self.limit(BATCH_BYTES / per_item.max(1));
        }
        let outcome = |&(tag, _): &(u8, &[u8])| if tag == Batch::VALUE { Outcome::Succeeded } else { Outcome::Failed };
        let outcomes: Vec<_> = results.iter().map(outcome).collect();
        self.machine.done(now, worker, batch, Some(busy), &outcomes, &mut self.effects);
        self.collect(|offset| match results[offset] {
            (Batch::VALUE, value) => Ok(value.to_vec()),
            (_, refusal) => Err(guthi_core::wire::codec::decode(refusal)
                .unwrap_or_else(|_| Refusal::Failed { message: "its error cannot be read".into() })),
        });
    }

    /// Takes the completions out of the effects and pairs them with their results.
    fn collect(&mut self, result: impl Fn(usize) -> Result<Vec<u8>, Refusal>) {
        for effect in self.effects.extract(|effect| matches!(effect, Effect::Complete { .. })) {
            let Effect::Complete { worker, items, offset, elapsed, .. } = effect else { continue };
            self.meter.items.add(items.end - items.start);
            for (position, index) in items.enumerate() {
                self.inputs.release(index);
                let result = result(offset + position)
                    .map_err(|refusal| call_error(refusal, self.order.name.to_string(), worker, &self.order.types));
                self.ready.push_back(Counted { index, node: worker, elapsed, result });
            }
        }
    }

    fn unknown(&mut self, items: Range<u64>) {
        for index in items {
            self.inputs.release(index);
            let node = self.node.id();
            let error = CallError::PeerLost {
                function: self.order.name.to_string(),
                node,
                reason: "it was lost, and the function must run only once".into(),
            };
            self.ready.push_back(Counted { index, node, elapsed: Duration::ZERO, result: Err(error) });
        }
    }
}

const ITEMS_PER_BATCH_MAX: usize = 4096;
const _: () = assert!(BATCH_BYTES < PAYLOAD_BYTES_MAX);

/// Encoded items that are not counted yet, by index.
#[derive(Default)]
struct Inputs {
    first: u64,
    items: VecDeque<Option<Vec<u8>>>,
    bytes: usize,
    pushed: usize,
}

impl Inputs {
    fn push(&mut self, item: Vec<u8>) {
        self.bytes += item.len();
        self.pushed += 1;
        self.items.push_back(Some(item));
    }

    fn get(&self, index: u64) -> &[u8] {
        let position = index.checked_sub(self.first).and_then(|position| usize::try_from(position).ok());
        position.and_then(|position| self.items.get(position)?.as_deref()).expect("an item is kept until it is counted")
    }

    fn release(&mut self, index: u64) {
        if let Some(item) = index.checked_sub(self.first).and_then(|position| self.items.get_mut(position as usize)) {
            *item = None;
        }
        while let Some(None) = self.items.front() {
            self.items.pop_front();
            self.first += 1;
        }
    }

    fn typical_bytes(&self) -> usize {
        self.bytes.checked_div(self.pushed).unwrap_or(0)
    }
}
