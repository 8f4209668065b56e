//! The lane: one long-lived stream to a peer that carries all small calls in both directions.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use guthi_core::wire::{
    frame::{self, Frame, Kind},
    id::NodeId,
    limits::{
        LANE_FRAME_BYTES_MAX, LANE_FUNCTIONS_MAX, LANE_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX, UNDELIVERED_BYTES_MAX,
    },
    name::Name,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    sync::{Notify, Semaphore},
    task::AbortHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    apart::Apart,
    channel::{Channel, Channels, Doors},
    executor::{Executor, Origin, Request, Sink, Ticket},
    function::{Input, Registered, Run},
    message::{Answer, CallHeader, Format, Named, Refusal, flags},
    outbox::{Closed, Fill, Outbox},
    pace::Pace,
    pending::Pending,
    progress::{self, Listener, Reporter, Way},
    sleep_until,
    spin::Spin,
};
use crate::{
    OpenError, Trace,
    network::{ConnectionId, Network, Protocol, Stream, admission::Tag, buffer::ReadBuffer},
};

const READ_BYTES: usize = 64 * 1024;
/// What one large payload is written in: other streams of the connection get their turn between two of them.
const BULK_WRITE_BYTES: usize = 64 * 1024;
const BULK_READ_BYTES: usize = 256 * 1024;
/// Large payloads on their way to one peer at once; more streams gain nothing.
const BULK_SENDING_MAX: usize = 4;
/// Large payloads that one peer may have under way to us at once.
const BULK_RECEIVING_MAX: usize = 64;
/// A peer that sends nothing on a bulk stream for so long has it reset.
const BULK_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Calls of one peer that may run or wait here at once.
const RUNNING_MAX: usize = 16 * 1024;
/// Cancellations that came before their call, which travels on a stream of its own.
const EARLY_CANCELS_MAX: usize = 256;
/// A payload with its header.
const BULK_FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
/// How late the end of a call's deadline may be noticed.
const SWEEP_INTERVAL: Duration = Duration::from_millis(10);
const UNDELIVERED_UNIT_BYTES: usize = 1024;

/// The calls between this node and one peer.
pub(crate) struct Lane {
    peer: NodeId,
    connection: ConnectionId,
    tag: Tag,
    apart: Apart,
    channels: Arc<Channels>,
    network: Arc<dyn Network>,
    /// Where the tasks of the lane run: the network thread, but for those that move large payloads.
    spawner: tokio::runtime::Handle,
    executor: Arc<Executor>,
    outbox: Outbox,
    pending: Pending,
    /// Numbers given to functions that we call. Whoever gives one sends its name under this lock, so that nobody's
    /// frame with the bare number can overtake it.
    numbers: Mutex<HashMap<String, (u64, u32)>>,
    running: Mutex<Running>,
    outstanding: AtomicU32,
    /// Wakes the sweeper of deadlines when there is something to sweep.
    began: Notify,
    sweeping: AtomicBool,
    /// The peer has sent something since this was last asked.
    heard: AtomicBool,
    pace: Pace,
    spin: Spin,
    bulk_sending: Semaphore,
    bulk_receiving: Arc<Semaphore>,
    undelivered: Arc<Semaphore>,
}

#[derive(Default)]
struct Running {
    tickets: HashMap<u64, Arc<Ticket>>,
    early_cancels: VecDeque<u64>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("peer", &self.peer).field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// A function to be called on this lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) signature: u64,
    pub(crate) deadline: Option<Instant>,
    /// Of the call frame.
    pub(crate) flags: u16,
    pub(crate) trace: Option<Trace>,
    /// Who wants to know how far it is.
    pub(crate) listener: Option<&'a Listener>,
}

impl Lane {
    pub(crate) fn new(
        peer: NodeId,
        connection: ConnectionId,
        tag: Tag,
        network: Arc<dyn Network>,
        executor: Arc<Executor>,
        doors: Arc<Doors>,
    ) -> Arc<Self> {
        let spin = Spin::new(executor.spins());
        Arc::new(Self {
            channels: Channels::new(peer, connection, tag, network.clone(), doors),
            peer,
            connection,
            tag,
            apart: Apart::default(),
            network,
            spawner: tokio::runtime::Handle::current(),
            executor,
            outbox: Outbox::default(),
            pending: Pending::default(),
            numbers: Mutex::default(),
            running: Mutex::default(),
            outstanding: AtomicU32::new(0),
            began: Notify::new(),
            sweeping: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            pace: Pace::default(),
            spin,
            bulk_sending: Semaphore::new(BULK_SENDING_MAX),
            bulk_receiving: Arc::new(Semaphore::new(BULK_RECEIVING_MAX)),
            undelivered: Arc::new(Semaphore::new(UNDELIVERED_BYTES_MAX / UNDELIVERED_UNIT_BYTES)),
        })
    }

    /// Carries frames until the stream breaks or the lane is closed; returns why it ended.
    pub(crate) async fn run(self: Arc<Self>, stream: Stream) -> String {
        let (reading, writing) = tokio::io::split(stream);
        // The first bytes make the stream known at the other end.
        let _ = self.outbox.push(|buffer| frame::put_empty(buffer, Kind::Open, 0));
        let reason = tokio::select! {
            biased;
            reason = self.read(reading) => reason,
            carried = self.outbox.carry(writing, |bytes| self.sent(bytes)) => match carried {
                Ok(()) => "closed".into(),
                Err(error) => error.to_string(),
            },
            () = self.sweep() => unreachable!("it goes on for ever"),
        };
        self.close(&reason);
        reason
    }

    /// Ends calls whose deadline has passed: one timer for all of them, and none while there are none.
    async fn sweep(&self) {
        loop {
            self.began.notified().await;
            self.sweeping.store(true, Ordering::SeqCst);
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                if !self.pending.expire(Instant::now()) {
                    break;
                }
            }
            self.sweeping.store(false, Ordering::SeqCst);
            // A call that began since has seen the flag, and did not notify.
            if self.outstanding.load(Ordering::SeqCst) > 0 {
                self.began.notify_one();
            }
        }
    }

    /// Ends every call in flight: ours as lost, the peer's by cancelling them. Closing twice is harmless.
    pub(crate) fn close(&self, reason: &str) {
        self.outbox.close();
        self.pending.lose(reason);
        self.channels.end(reason);
        // In order, so that a run on virtual time can be repeated.
        let mut tickets: Vec<_> = std::mem::take(&mut self.running.lock().tickets).into_iter().collect();
        tickets.sort_unstable_by_key(|(id, _)| *id);
        tickets.iter().for_each(|(_, ticket)| ticket.cancel());
    }

    /// Sends a call. The future is the answer; dropping it cancels the call.
    ///
    /// # Cancel safety
    /// Dropping before the answer sends a cancellation, at any time.
    ///
    /// When `withdrawn` resolves the peer is told to cancel, and its answer to that is waited for.
    pub(crate) async fn call(
        self: &Arc<Self>,
        target: Target<'_>,
        payload: &[u8],
        withdrawn: Option<&CancellationToken>,
    ) -> Answer {
        if self.outbox.fill() != Fill::Normal {
            tokio::select! {
                biased;
                () = self.outbox.room() => {}
                () = sleep_until(target.deadline) => return Answer::Refused(Refusal::Deadline { started: false }),
            }
        }
        let Ok(id) = self.pending.begin(target.deadline, target.listener.cloned()) else { return Answer::Unsent };
        // Sequentially consistent with the sweeper's own two steps: one of both sees the other.
        if self.outstanding.fetch_add(1, Ordering::SeqCst) == 0 && !self.sweeping.load(Ordering::SeqCst) {
            self.began.notify_one();
        }
        let mut reply = Reply { lane: self, id, sending: None, answered: false };
        if payload.len() > LANE_PAYLOAD_BYTES_MAX {
            reply.sending = Some(self.send_call_apart(id, target, payload));
        } else if self.send_call(id, target, payload) == Err(Closed) {
            return Answer::Unsent;
        }
        if self.outstanding() == 1 {
            self.spin.wait(self.pace.typical(), || self.pending.is_done(id)).await;
        }
        let Some(withdrawn) = withdrawn else { return reply.await };
        tokio::select! {
            biased;
            answer = &mut reply => return answer,
            () = withdrawn.cancelled() => {}
        }
        let _ = self.outbox.push(|buffer| frame::put_empty(buffer, Kind::Cancel, id));
        reply.await
    }

    fn send_call(&self, id: u64, target: Target<'_>, payload: &[u8]) -> Result<(), Closed> {
        let put = |function, named: Option<Named>| {
            self.outbox.push(|buffer| {
                let header = CallHeader { function, named, deadline_ms: remaining_ms(target.deadline) };
                let written = frame::put(buffer, Kind::Call, target.flags, id, |body| {
                    header.put(target.trace, body);
                    body.extend_from_slice(payload);
                    Ok::<(), Infallible>(())
                });
                written.unwrap_or_else(|never| match never {});
            })
        };
        let mut numbers = self.numbers.lock();
        match numbers.get(target.name) {
            Some(&(signature, number)) if signature == target.signature => {
                drop(numbers);
                put(number, None)?;
            }
            _ => {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                let number = numbers.get(target.name).map_or(next, |&(_, number)| number);
                numbers.insert(target.name.to_owned(), (target.signature, number));
                put(number, Some(Named { name: target.name.to_owned(), signature: target.signature }))?;
            }
        }
        Ok(())
    }

    fn send_call_apart(self: &Arc<Self>, id: u64, target: Target<'_>, payload: &[u8]) -> AbortHandle {
        let named = Named { name: target.name.to_owned(), signature: target.signature };
        let header = CallHeader { function: u32::MAX, named: Some(named), deadline_ms: remaining_ms(target.deadline) };
        let mut body = self.executor.spare().empty();
        body.reserve(payload.len() + 1024);
        header.put(target.trace, &mut body);
        body.extend_from_slice(payload);
        let (lane, flags) = (self.clone(), target.flags);
        let sending = async move {
            let sent = lane.send_apart(Kind::Call, flags, id, &body).await;
            lane.executor.spare().give(body);
            if let Err(error) = sent {
                lane.complete(id, Answer::Lost(format!("the arguments could not be sent: {error}")));
            }
        };
        self.bulk().spawn(sending).abort_handle()
    }

    /// Answers a call of the peer.
    pub(crate) fn reply(self: &Arc<Self>, id: u64, flags: u16, answer: Answer) {
        self.running.lock().tickets.remove(&id);
        let bytes = match answer {
            Answer::Value(bytes) if bytes.len() > LANE_PAYLOAD_BYTES_MAX => bytes,
            small => {
                // A closed lane has told its callers already.
                let _ = self.outbox.push(|buffer| small.put(buffer, flags, id));
                if let Answer::Value(bytes) = small {
                    self.executor.spare().give(bytes);
                }
                return;
            }
        };
        let lane = self.clone();
        self.bulk().spawn(async move {
            let sent = lane.send_apart(Kind::Reply, flags, id, &bytes).await;
            lane.executor.spare().give(bytes);
            if let Err(error) = sent {
                tracing::debug!(peer = ?lane.peer, %error, "a large result could not be sent");
                lane.close("a large result could not be sent");
            }
        });
    }

    /// Tells the peer how far one of its calls is, unless it has enough to read.
    pub(crate) fn tell_progress(&self, id: u64, share: f32) {
        self.outbox.offer(|buffer| progress::put(buffer, id, share));
    }

    /// Where large payloads are moved.
    fn bulk(&self) -> tokio::runtime::Handle {
        self.network.bulk().unwrap_or_else(|| self.spawner.clone())
    }

    async fn send_apart(&self, kind: Kind, flags: u16, id: u64, body: &[u8]) -> io::Result<()> {
        let _turn = self.bulk_sending.acquire().await.map_err(io::Error::other)?;
        let connection = self.apart.connection().await.unwrap_or(self.connection);
        let mut stream = self.network.open(connection, Protocol::Bulk).await?;
        stream.write_all(&self.tag.0).await?;
        stream.write_all(&frame::header(kind, flags, id, body.len())).await?;
        for chunk in body.chunks(BULK_WRITE_BYTES) {
            stream.write_all(chunk).await?;
        }
        self.sent(frame::HEADER_BYTES + body.len());
        stream.flush().await?;
        stream.shutdown().await
    }

    /// The connection on which large payloads leave.
    pub(crate) const fn apart(&self) -> &Apart {
        &self.apart
    }

    /// Opens a channel to the peer.
    pub(crate) async fn open_channel(&self, protocol: &Name) -> Result<Channel, OpenError> {
        self.channels.open(&self.apart, protocol).await
    }

    pub(crate) const fn channels(&self) -> &Arc<Channels> {
        &self.channels
    }

    /// Takes a large payload that the peer sends on a stream of its own.
    pub(crate) fn receive_apart(self: &Arc<Self>, stream: Stream) {
        // Too many at once are refused by dropping the stream.
        let Ok(turn) = self.bulk_receiving.clone().try_acquire_owned() else { return };
        let lane = self.clone();
        self.bulk().spawn(async move {
            if let Err(error) = lane.read_apart(stream).await {
                tracing::debug!(peer = ?lane.peer, %error, "a large payload was refused");
            }
            drop(turn);
        });
    }

    async fn read_apart(self: &Arc<Self>, mut stream: Stream) -> io::Result<()> {
        // It may come on any connection with the peer, also on one that was meant for an earlier link.
        let mut tag = Tag([0; 16]);
        patiently(stream.read_exact(&mut tag.0)).await?;
        if tag != self.tag {
            return Err(io::Error::other("it belongs to another link"));
        }
        let mut header = [0; frame::HEADER_BYTES];
        patiently(stream.read_exact(&mut header)).await?;
        // The length is checked, and room for it reserved in the peer's share, before anything is allocated.
        let (frame, length) = frame::read_header(&header, BULK_FRAME_BYTES_MAX).map_err(io::Error::other)?;
        let units = u32::try_from(length.div_ceil(UNDELIVERED_UNIT_BYTES)).expect("the limit is far below");
        let _share = self.undelivered.acquire_many(units).await.map_err(io::Error::other)?;
        let mut body = self.executor.spare().filled(length);
        let mut end = 0;
        while end < length {
            let until = length.min(end + BULK_READ_BYTES);
            match patiently(stream.read(&mut body[end..until])).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => end += read,
            }
            self.heard.store(true, Ordering::Relaxed);
        }
        self.received(frame::HEADER_BYTES + length);
        match frame.kind {
            Kind::Reply => self.complete(frame.id, Answer::take_whole(frame.flags, body)),
            Kind::Call => self.called_apart(&frame, body).map_err(io::Error::other)?,
            Kind::Open | Kind::Cancel | Kind::Control | Kind::Progress => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    fn complete(&self, id: u64, answer: Answer) {
        let waker = self.pending.lock().complete(id, answer);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn read(self: &Arc<Self>, mut stream: impl AsyncRead + Unpin) -> String {
        let mut buffer = ReadBuffer::new(READ_BYTES);
        let mut functions = Vec::new();
        let mut scratch = Vec::new();
        let mut wakers = Vec::new();
        loop {
            match buffer.fill(&mut stream).await {
                Ok(0) => return "closed by the peer".into(),
                Ok(bytes) => self.received(bytes),
                Err(error) => return error.to_string(),
            }
            self.heard.store(true, Ordering::Relaxed);
            // One look at the clock serves all calls of one read.
            let now = Instant::now();
            let mut rest = buffer.unread();
            // All answers of one read are stored under one lock, which is given back before user code runs.
            let mut slots = None;
            loop {
                let (frame, taken) = match frame::take(rest, LANE_FRAME_BYTES_MAX) {
                    Ok(Some(next)) => next,
                    Ok(None) => break,
                    Err(error) => return error.to_string(),
                };
                rest = &rest[taken..];
                if frame.kind == Kind::Reply {
                    let slots = slots.get_or_insert_with(|| self.pending.lock());
                    wakers.extend(slots.complete(frame.id, Answer::take(frame.flags, frame.body)));
                    continue;
                }
                slots = None;
                let handled = match frame.kind {
                    Kind::Call => self.called(now, &frame, &mut functions, &mut scratch),
                    Kind::Cancel => {
                        self.cancelled(frame.id);
                        Ok(())
                    }
                    Kind::Progress => self.progressed(&frame),
                    Kind::Open => Ok(()),
                    Kind::Reply | Kind::Control => Err("a frame that does not belong on a lane".into()),
                };
                if let Err(reason) = handled {
                    return reason;
                }
            }
            drop(slots);
            wakers.drain(..).for_each(std::task::Waker::wake);
            let taken = buffer.unread().len() - rest.len();
            buffer.take(taken);
        }
    }

    /// The peer says how far a call of ours is. An error means that it does not keep to the protocol.
    fn progressed(&self, frame: &Frame<'_>) -> Result<(), String> {
        let share = progress::take(frame)?;
        if let Some(listener) = self.pending.listener(frame.id) {
            listener.hear(share);
        }
        Ok(())
    }

    /// Handles a call frame. An error means that the peer does not keep to the protocol.
    fn called(
        self: &Arc<Self>,
        now: Instant,
        frame: &Frame<'_>,
        functions: &mut Vec<Option<Bound>>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), String> {
        let (header, trace, payload) = CallHeader::take(frame.flags, frame.body)?;
        let origin = self.origin(now, frame, &header, trace);
        let function = match self.function(header, functions)? {
            Ok(function) => function,
            Err(refusal) => {
                self.refuse(frame.id, refusal);
                return Ok(());
            }
        };
        if let (Run::Inline(run), false) = (&function.run, frame.flags & flags::BATCH != 0) {
            scratch.clear();
            let input = Input { bytes: payload, format: Format::of(frame.flags) };
            let result = self.executor.inline(*run, &function.name, origin, input, scratch);
            self.inline_answer(frame.id, frame.flags & flags::JSON, result, scratch);
            return Ok(());
        }
        self.submit(frame, function, origin, payload.to_vec());
        Ok(())
    }

    /// The same for a call whose payload came on a stream of its own; it names its function itself.
    fn called_apart(self: &Arc<Self>, frame: &Frame<'_>, mut body: Vec<u8>) -> Result<(), String> {
        let (header, trace, payload) = CallHeader::take(frame.flags, &body)?;
        let head = body.len() - payload.len();
        let origin = self.origin(Instant::now(), frame, &header, trace);
        match self.function(header, &mut Vec::new())? {
            Ok(function) => {
                body.drain(..head);
                self.submit(frame, function, origin, body);
            }
            Err(refusal) => self.refuse(frame.id, refusal),
        }
        Ok(())
    }

    fn origin(&self, now: Instant, frame: &Frame<'_>, header: &CallHeader, trace: Option<Trace>) -> Origin {
        let patience = Duration::from_millis(u64::from(header.deadline_ms));
        let deadline = (!patience.is_zero()).then(|| now + patience);
        Origin { caller: self.peer, request: Some(frame.id), deadline, trace }
    }

    fn submit(self: &Arc<Self>, frame: &Frame<'_>, function: Arc<Registered>, origin: Origin, payload: Vec<u8>) {
        let room = self.outbox.fill() != Fill::Excessive;
        let Some(ticket) = room.then(|| self.admit(frame.id)).flatten() else {
            return self.refuse(frame.id, Refusal::Overloaded);
        };
        let reporter = (frame.flags & flags::PROGRESS != 0)
            .then(|| Reporter::new(Way::Lane { lane: self.clone(), id: frame.id }, self.executor.runtime().clone()));
        self.executor.submit(Request {
            function,
            payload,
            format: Format::of(frame.flags),
            batch: frame.flags & flags::BATCH != 0,
            origin,
            ticket,
            reporter,
            sink: Sink::Lane { lane: self.clone(), id: frame.id, flags: frame.flags & flags::JSON },
        });
    }

    fn inline_answer(self: &Arc<Self>, id: u64, flags: u16, result: Result<(), Refusal>, output: &mut Vec<u8>) {
        match result {
            Ok(()) if output.len() > LANE_PAYLOAD_BYTES_MAX => {
                let answer = if output.len() > PAYLOAD_BYTES_MAX {
                    let (bytes, limit) = (output.len() as u64, PAYLOAD_BYTES_MAX as u64);
                    Answer::Refused(Refusal::ResultTooLarge { bytes, limit })
                } else {
                    Answer::Value(std::mem::take(output))
                };
                self.reply(id, flags, answer);
            }
            Ok(()) => drop(self.outbox.push(|buffer| {
                frame::put(buffer, Kind::Reply, flags, id, |body| {
                    body.extend_from_slice(output);
                    Ok::<(), Infallible>(())
                })
                .expect("it cannot fail");
            })),
            Err(refusal) => self.say_no(id, refusal),
        }
    }

    /// Answers a call that the executor has not seen.
    fn refuse(&self, id: u64, refusal: Refusal) {
        self.executor.meters().answered(Err(&refusal));
        self.say_no(id, refusal);
    }

    fn say_no(&self, id: u64, refusal: Refusal) {
        let _ = self.outbox.push(|buffer| Answer::Refused(refusal).put(buffer, 0, id));
    }

    /// Finds the function of a header; the outer error is the peer's fault, the inner one its answer.
    fn function(
        &self,
        header: CallHeader,
        functions: &mut Vec<Option<Bound>>,
    ) -> Result<Result<Arc<Registered>, Refusal>, String> {
        let number = header.function as usize;
        if let Some(named) = header.named {
            let found = self.executor.function(&named.name);
            if header.function == u32::MAX {
                return Ok(fitting(&named, found));
            }
            if number >= LANE_FUNCTIONS_MAX {
                return Err("too many functions named on one lane".into());
            }
            if functions.len() <= number {
                functions.resize(number + 1, None);
            }
            functions[number] = Some((named, found));
        }
        let Some(Some((named, found))) = functions.get_mut(number) else {
            return Err("a function that was never named".into());
        };
        if found.is_none() {
            *found = self.executor.function(&named.name);
        }
        Ok(fitting(named, found.clone()))
    }

    fn admit(&self, id: u64) -> Option<Arc<Ticket>> {
        let mut running = self.running.lock();
        if running.tickets.len() >= RUNNING_MAX {
            return None;
        }
        let ticket = Arc::new(Ticket::default());
        if let Some(early) = running.early_cancels.iter().position(|cancelled| *cancelled == id) {
            running.early_cancels.remove(early);
            ticket.cancel();
        }
        running.tickets.insert(id, ticket.clone());
        Some(ticket)
    }

    fn cancelled(&self, id: u64) {
        let mut running = self.running.lock();
        if let Some(ticket) = running.tickets.remove(&id) {
            ticket.cancel();
        } else {
            if running.early_cancels.len() >= EARLY_CANCELS_MAX {
                running.early_cancels.pop_front();
            }
            running.early_cancels.push_back(id);
        }
    }

    fn sent(&self, bytes: usize) {
        self.executor.meters().calls.sent_bytes.add(bytes as u64);
    }

    fn received(&self, bytes: usize) {
        self.executor.meters().calls.received_bytes.add(bytes as u64);
    }

    /// Whether the peer has sent anything since this was last asked.
    pub(crate) fn heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pending.is_lost()
    }

    /// Calls of ours that the peer has not answered.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// What calls to this peer take.
    pub(crate) const fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) const fn peer(&self) -> NodeId {
        self.peer
    }
}

/// What a number on this lane stands for, and the function if there is one.
type Bound = (Named, Option<Arc<Registered>>);

pub(super) fn fitting(named: &Named, found: Option<Arc<Registered>>) -> Result<Arc<Registered>, Refusal> {
    let function = found.ok_or(Refusal::NoSuchFunction)?;
    let (here, theirs) = (function.entry.signature, named.signature);
    if here != theirs && here != 0 && theirs != 0 {
        return Err(Refusal::SignatureMismatch { there: function.entry.shape.clone() });
    }
    Ok(function)
}

/// Milliseconds until the deadline, at least one; zero without a deadline.
pub(super) fn remaining_ms(deadline: Option<Instant>) -> u32 {
    deadline.map_or(0, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        u32::try_from(left).unwrap_or(u32::MAX).max(1)
    })
}

async fn patiently<T>(reading: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(BULK_SILENCE_MAX, reading).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// A call in flight.
struct Reply<'a> {
    lane: &'a Arc<Lane>,
    id: u64,
    /// Sends the arguments, if they travel on their own stream.
    sending: Option<AbortHandle>,
    answered: bool,
}

impl Future for Reply<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = std::task::ready!(self.lane.pending.poll(self.id, cx));
        self.answered = true;
        if let (Answer::Expired, Some(sending)) = (&answer, &self.sending) {
            // The peer knows the deadline of what it has; what is still on its way need not arrive.
            sending.abort();
        }
        Poll::Ready(answer)
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        self.lane.outstanding.fetch_sub(1, Ordering::Relaxed);
        if self.answered {
            return;
        }
        if let Some(sending) = &self.sending {
            sending.abort();
        }
        if self.lane.pending.abandon(self.id) {
            let _ = self.lane.outbox.push(|buffer| frame::put_empty(buffer, Kind::Cancel, self.id));
        }
    }
}
