//! Calls whose results are streamed: each over a channel of its own.
//!
//! Whoever calls opens a channel and writes one call frame, as it would stand on a lane. The answer is a row of entries, as
//! in a [`Batch`]: first that the function has begun, then each result, and at the end why it failed, if it did. A channel
//! that ends without its end is a node that was lost; and a caller that drops its channel wants no more.
//!
//! Results that are ready together leave together. What the caller does not read stops the function, as a channel stops
//! its writer.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use futures::FutureExt;
use guthi_core::wire::{
    codec,
    frame::{self, Kind},
    id::NodeId,
    limits::PAYLOAD_BYTES_MAX,
    name::Name,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

use super::{
    channel::{Channel, Doors},
    executor::{Accepted, Executor, Origin, Ticket, panicked},
    function::{Input, Items, Stop},
    lane::{fitting, remaining_ms},
    message::{Batch, CallHeader, Format, Named, Refusal},
    panic,
    router::{CancelOnDrop, Order, Router, Tries, Worker, call_error},
    sleep_until,
};
use crate::{CallError, OpenError, network::buffer::ReadBuffer};

/// What the channels of such calls are of.
const PROTOCOL: &str = "guthi.streams";
/// The largest call: a header and arguments.
const CALL_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;
/// The largest arguments of a call whose results are streamed: so many may arrive at once that they are kept small.
const ARGUMENTS_BYTES_MAX: usize = 1024 * 1024;
/// Whoever has opened a channel and not said by then what to call is not listened to any longer.
const ASKING_MAX: Duration = Duration::from_secs(30);
/// Results that are ready together leave together, up to so many bytes.
const GATHERED_BYTES_MAX: usize = 32 * 1024;
const READ_BYTES: usize = 32 * 1024;

/// Answers such calls until the node has left.
pub(crate) fn serve(executor: &Arc<Executor>, doors: &Arc<Doors>) {
    let mut door = doors.accept(protocol()).expect("nobody else accepts what is reserved");
    let serving = executor.clone();
    executor.runtime().spawn(async move {
        while let Some(channel) = poll_fn(|cx| door.poll_next(cx)).await {
            let executor = serving.clone();
            serving.runtime().spawn(async move {
                let caller = channel.peer();
                if let Err(error) = answer(&executor, channel).await {
                    tracing::debug!(peer = ?caller, %error, "a call whose results are streamed was given up");
                }
            });
        }
    });
}

fn protocol() -> Name {
    Name::new(PROTOCOL).expect("it is a name")
}

async fn answer(executor: &Arc<Executor>, mut channel: Channel) -> io::Result<()> {
    let caller = channel.peer();
    let (flags, body) = timeout(ASKING_MAX, read_call(&mut channel)).await??;
    let (header, trace, payload) = CallHeader::take(flags, &body).map_err(io::Error::other)?;
    let named = header.named.ok_or_else(|| io::Error::other("a call without a name"))?;
    let patience = Duration::from_millis(u64::from(header.deadline_ms));
    let deadline = (!patience.is_zero()).then(|| Instant::now() + patience);
    let origin = Origin { caller, request: None, deadline, trace };
    let (mut reads, mut writes) = tokio::io::split(channel);
    let input = Input { bytes: payload, format: Format::of(flags) };
    tokio::select! {
        biased;
        done = run(executor, &named, origin, input, &mut writes).instrument(origin.span(&named.name)) => done,
        // The caller says nothing more: whatever comes is its end.
        _ = reads.read_u8() => Ok(()),
    }
}

async fn read_call(channel: &mut Channel) -> io::Result<(u16, Vec<u8>)> {
    let mut header = [0; frame::HEADER_BYTES];
    channel.read_exact(&mut header).await?;
    let (frame, length) = frame::read_header(&header, CALL_BYTES_MAX).map_err(io::Error::other)?;
    if frame.kind != Kind::Call {
        return Err(io::Error::other("a frame that is no call"));
    }
    let mut body = vec![0; length];
    channel.read_exact(&mut body).await?;
    Ok((frame.flags, body))
}

/// Runs a function, and writes its results and their end.
async fn run(
    executor: &Arc<Executor>,
    named: &Named,
    origin: Origin,
    input: Input<'_>,
    writes: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut served = Served { executor, is_counted: false };
    let mut gathered = Gathered::default();
    let result = match begin(executor, named, origin, input) {
        Err(refusal) => Err(refusal),
        Ok(mut running) => {
            // An empty entry says that it has begun.
            gathered.entries.push(|_| Batch::VALUE);
            tokio::select! {
                biased;
                done = running.carry(&mut gathered, writes) => done?,
                () = executor.given_up() => Err(Refusal::Cancelled { started: true }),
                () = sleep_until(origin.deadline) => Err(Refusal::Deadline { started: true }),
            }
        }
    };
    served.count(result.as_ref().copied());
    if let Err(refusal) = result {
        gathered.entries.push(|output| Batch::refuse(&refusal, output));
    }
    gathered.leave(writes).await?;
    writes.shutdown().await
}

/// Counts a call as cancelled if its caller is gone before its end.
struct Served<'a> {
    executor: &'a Executor,
    is_counted: bool,
}

impl Served<'_> {
    fn count(&mut self, result: Result<(), &Refusal>) {
        self.executor.meters().answered(result);
        self.is_counted = true;
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        if !self.is_counted {
            self.count(Err(&Refusal::Cancelled { started: true }));
        }
    }
}

/// A function that gives results.
struct Running {
    items: Box<dyn Items>,
    _accepted: Accepted,
    _hold: CancelOnDrop,
}

fn begin(executor: &Arc<Executor>, named: &Named, origin: Origin, input: Input<'_>) -> Result<Running, Refusal> {
    let function = fitting(named, executor.function(&named.name))?;
    let Some(body) = function.streams else {
        let message = "it gives one result: call it with `call`".to_owned();
        return Err(Refusal::InvalidArguments { message });
    };
    let accepted = executor.accept(&function)?;
    let ticket = Arc::new(Ticket::default());
    let context = accepted.context(origin, ticket.clone());
    let items = panic::catch(|| body(context, input)).map_err(panicked)?.map_err(|Stop(refusal)| refusal)?;
    Ok(Running { items, _accepted: accepted, _hold: CancelOnDrop(ticket) })
}

impl Running {
    /// Writes all results but those that were gathered last.
    async fn carry(
        &mut self,
        gathered: &mut Gathered,
        writes: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Result<(), Refusal>> {
        loop {
            let ready = poll_fn(|cx| self.poll_next(cx, &mut gathered.entries)).now_or_never();
            let next = match ready {
                Some(next) => next,
                // Before it waits for the next, what is there leaves.
                None if !gathered.entries.0.is_empty() => {
                    gathered.leave(writes).await?;
                    continue;
                }
                None => poll_fn(|cx| self.poll_next(cx, &mut gathered.entries)).await,
            };
            match next {
                None => return Ok(Ok(())),
                Some(Err(refusal)) => return Ok(Err(refusal)),
                Some(Ok(())) if gathered.entries.0.len() >= GATHERED_BYTES_MAX => gathered.leave(writes).await?,
                Some(Ok(())) => {}
            }
        }
    }

    /// Lets the function write its next result behind the entries.
    fn poll_next(&mut self, cx: &mut task::Context<'_>, entries: &mut Batch) -> Poll<Option<Result<(), Refusal>>> {
        let start = entries.0.len();
        let mut poll = Poll::Pending;
        entries.push(|output| {
            poll = match panic::catch(|| self.items.poll_next(cx, output)) {
                Ok(poll) => poll.map(|next| next.map(|item| item.map_err(|Stop(refusal)| refusal))),
                Err(panic) => Poll::Ready(Some(Err(panicked(panic)))),
            };
            Batch::VALUE
        });
        let bytes = entries.0.len() - start - Batch::HEAD_BYTES;
        if bytes > PAYLOAD_BYTES_MAX {
            let (bytes, limit) = (bytes as u64, PAYLOAD_BYTES_MAX as u64);
            poll = Poll::Ready(Some(Err(Refusal::ResultTooLarge { bytes, limit })));
        }
        if !matches!(poll, Poll::Ready(Some(Ok(())))) {
            entries.0.truncate(start);
        }
        poll
    }
}

/// Entries that leave together.
#[derive(Default)]
struct Gathered {
    entries: Batch,
    /// So many of their bytes have left.
    gone: usize,
}

impl Gathered {
    /// # Cancel safety
    /// What has left is remembered, and the next one goes on behind it.
    async fn leave(&mut self, writes: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while self.gone < self.entries.0.len() {
            self.gone += writes.write(&self.entries.0[self.gone..]).await?;
        }
        self.entries.0.clear();
        self.gone = 0;
        writes.flush().await
    }
}

/// The results of a call, as they arrive.
pub(crate) struct Results {
    channel: Channel,
    buffer: ReadBuffer,
}

impl Results {
    /// The next result, as `read` reads it; `None` after the last one.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> io::Result<Option<Result<T, Refusal>>> {
        loop {
            let first = Batch::first(self.buffer.unread(), PAYLOAD_BYTES_MAX).map_err(io::Error::other)?;
            if let Some(((tag, content), taken)) = first {
                let entry = match tag {
                    Batch::REFUSED => Err(codec::decode(content).map_err(io::Error::other)?),
                    Batch::VALUE => Ok(read(content)),
                    _ => return Err(io::Error::other("an entry that nobody knows")),
                };
                self.buffer.take(taken);
                return Ok(Some(entry));
            }
            if self.buffer.fill(&mut self.channel).await? == 0 {
                let is_whole = self.buffer.unread().is_empty();
                return if is_whole { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

impl Router {
    /// Lets a function begin whose results are streamed. Where it certainly has not, the next node is tried.
    pub(crate) async fn begin(&self, doors: &Doors, order: &Order<'_>) -> Result<(NodeId, Results), CallError> {
        let function = || order.name.to_owned();
        if order.payload.len() > ARGUMENTS_BYTES_MAX {
            let (bytes, limit) = (order.payload.len() as u64, ARGUMENTS_BYTES_MAX as u64);
            return Err(CallError::TooLarge { function: function(), bytes, limit, result: false });
        }
        let mut tries = Tries::new(1);
        loop {
            let (worker, node) = self.next(order, &mut tries, Instant::now())?;
            let beginning = self.begin_on(doors, &worker, node, order);
            let begun = match order.deadline {
                Some(deadline) => match timeout_at(deadline, beginning).await {
                    Ok(begun) => begun,
                    Err(_) => return Err(CallError::Deadline { function: function(), started: true }),
                },
                None => beginning.await,
            };
            match begun {
                Ok(results) => return Ok((node, results)),
                Err(error) => tries.failed(order, node, error)?,
            }
        }
    }

    async fn begin_on(
        &self,
        doors: &Doors,
        worker: &Worker,
        node: NodeId,
        order: &Order<'_>,
    ) -> Result<Results, CallError> {
        let function = order.name.to_owned();
        let protocol = protocol();
        let opened = match worker {
            Worker::Here => doors.open_here(node, &protocol),
            Worker::There(lane) => lane.open_channel(&protocol).await,
        };
        // Nothing was asked yet, so nothing has run.
        let channel = opened.map_err(|error| match error {
            OpenError::Full { .. } | OpenError::TooMany { .. } => CallError::Overloaded { function: function.clone() },
            _ => CallError::NotLinked { function: function.clone(), node },
        })?;
        let mut results = Results { channel, buffer: ReadBuffer::new(READ_BYTES) };
        let lost = |error: io::Error| lost(order.name, node, &error);
        results.ask(order).await.map_err(lost)?;
        match results.next(|_| ()).await.map_err(lost)? {
            Some(Ok(())) => Ok(results),
            Some(Err(refusal)) => Err(call_error(refusal, function, node, &order.types)),
            None => Err(lost(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

impl Results {
    async fn ask(&mut self, order: &Order<'_>) -> io::Result<()> {
        let named = Some(Named { name: order.name.to_owned(), signature: order.types.signature });
        let header = CallHeader { function: u32::MAX, named, deadline_ms: remaining_ms(order.deadline) };
        let mut call = Vec::new();
        let Ok(()) = frame::put(&mut call, Kind::Call, order.flags(), 0, |body| {
            header.put(order.trace, body);
            body.extend_from_slice(order.payload);
            Ok::<(), std::convert::Infallible>(())
        });
        self.channel.write_all(&call).await?;
        self.channel.flush().await
    }
}

/// The function has perhaps given results that did not arrive.
pub(crate) fn lost(function: &str, node: NodeId, error: &io::Error) -> CallError {
    CallError::PeerLost { function: function.to_owned(), node, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::calls::{message::flags, pool::Pool};

    const ME: NodeId = NodeId([1; 32]);

    fn frame(kind: Kind, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(()) = frame::put(&mut bytes, kind, flags, 0, |output| {
            output.extend_from_slice(body);
            Ok::<(), std::convert::Infallible>(())
        });
        bytes
    }

    fn header(name: Option<&str>) -> Vec<u8> {
        let named = name.map(|name| Named { name: name.to_owned(), signature: 0 });
        let mut body = Vec::new();
        CallHeader { function: 0, named, deadline_ms: 0 }.put(None, &mut body);
        body
    }

    /// What comes back, up to the end.
    async fn answer(doors: &Doors, said: &[u8]) -> Vec<u8> {
        let mut channel = doors.open_here(ME, &protocol()).unwrap();
        let mut answer = Vec::new();
        channel.write_all(said).await.unwrap();
        // Who is given up finds its channel dropped.
        let _ = channel.read_to_end(&mut answer).await;
        answer
    }

    /// On a clock that goes on as soon as all wait: who says too little is given up after a while.
    #[tokio::test(start_paused = true)]
    async fn whatever_is_said_instead_of_a_call_is_given_up_and_the_next_is_answered() {
        let executor = Executor::new(ME, HashMap::new(), HashMap::new(), Pool::threads(1).unwrap(), 1, 100).unwrap();
        let doors = Doors::new();
        serve(&executor, &doors);
        let promised = u32::try_from(CALL_BYTES_MAX).unwrap().to_le_bytes();
        let mut too_little = frame(Kind::Call, 0, &[]);
        too_little[..4].copy_from_slice(&promised);
        let mut too_much = too_little.clone();
        too_much[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut other_version = frame(Kind::Call, 0, &header(Some("f")));
        other_version[4] ^= 0xff;
        let traced_by_nobody = [header(Some("f")), vec![0; 24]].concat();
        for (what, said) in [
            ("nothing", vec![]),
            ("half a header", frame(Kind::Call, 0, &[])[..8].to_vec()),
            ("less than was promised", too_little),
            ("a promise of too much", too_much),
            ("another version", other_version),
            ("no call", frame(Kind::Cancel, 0, &header(Some("f")))),
            ("no header", frame(Kind::Call, 0, &[0xff; 40])),
            ("no name", frame(Kind::Call, 0, &header(None))),
            ("flags that nobody knows", frame(Kind::Call, !flags::KNOWN, &header(Some("f")))),
            ("a trace that is none", frame(Kind::Call, flags::TRACED, &traced_by_nobody)),
        ] {
            assert_eq!(answer(&doors, &said).await, [0; 0], "{what}");
            let known = answer(&doors, &frame(Kind::Call, 0, &header(Some("f")))).await;
            let (entry, taken) = Batch::first(&known, PAYLOAD_BYTES_MAX).unwrap().expect(what);
            assert_eq!((entry.0, taken), (Batch::REFUSED, known.len()), "{what}");
            assert!(matches!(codec::decode(entry.1), Ok(Refusal::NoSuchFunction)), "{what}");
        }
    }

    /// A worker says this, and then the end.
    async fn results(doors: &Arc<Doors>, said: &[u8]) -> io::Result<Vec<Result<Vec<u8>, Refusal>>> {
        let name = Name::new("worker").unwrap();
        let mut door = doors.accept(name.clone()).unwrap();
        let channel = doors.open_here(ME, &name).unwrap();
        let mut worker = poll_fn(|cx| door.poll_next(cx)).await.unwrap();
        worker.write_all(said).await.unwrap();
        worker.shutdown().await.unwrap();
        let mut results = Results { channel, buffer: ReadBuffer::new(READ_BYTES) };
        let mut all = Vec::new();
        while let Some(result) = results.next(<[u8]>::to_vec).await? {
            all.push(result);
        }
        Ok(all)
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_a_worker_says_is_results_or_the_end_of_the_call() {
        let doors = Doors::new();
        let mut good = Batch::default();
        good.push(|_| Batch::VALUE);
        good.push(|output| {
            output.extend([1, 2, 3]);
            Batch::VALUE
        });
        let all = results(&doors, &good.0).await.unwrap();
        assert_eq!(all, [Ok(vec![]), Ok(vec![1, 2, 3])]);
        let too_long = [vec![Batch::VALUE], u32::MAX.to_le_bytes().to_vec()].concat();
        for (what, said, kind) in [
            ("cut short", good.0[..good.0.len() - 1].to_vec(), io::ErrorKind::UnexpectedEof),
            ("a tag that nobody knows", vec![7, 0, 0, 0, 0], io::ErrorKind::Other),
            ("longer than allowed", too_long, io::ErrorKind::Other),
            ("a refusal that is none", vec![Batch::REFUSED, 1, 0, 0, 0, 0xff], io::ErrorKind::Other),
        ] {
            assert_eq!(results(&doors, &said).await.unwrap_err().kind(), kind, "{what}");
        }
    }
}
