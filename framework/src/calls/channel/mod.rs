//! Channels: streams of bytes between two nodes, for protocols of applications.
//!
//! A node that *accepts* a protocol has a [door](doors) for it. Whoever opens a channel makes a stream on the connection that
//! stands [apart](super::apart) for large payloads, [says](hello) which link it belongs to and which protocol it is of, and is
//! answered. From then on both ends send each other [pieces].
//!
//! **Invariants.**
//! - A reader that is told the end has read all that was written before it. Whatever else ends a channel is an error.
//! - Nobody has channels but over a link: its tag stands before everything else, and with the link all its channels end.
//! - Bytes that a reader has not taken are bounded: by the window of the stream below, and one piece at the writer.
//! - Whoever is told that a channel was refused has none, and the other side was given none.
//!
//! **Bounds.** Channels of each peer, beginnings under way, channels that wait at a door, and the time until a beginning is
//! over; they stand beside what they bound.

mod doors;
mod hello;
mod link;
mod pieces;

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};

use futures::task::AtomicWaker;
use guthi_core::wire::{id::NodeId, name::Name};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    task::coop::poll_proceed,
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use self::pieces::{Arriving, Leaving, Torn};
pub(crate) use self::{
    doors::{Door, Doors},
    link::Channels,
};
use crate::{ChannelError, api::metrics::ChannelCounts, network::Stream};

/// A stream of bytes to another node, in both directions: [`AsyncRead`] and [`AsyncWrite`].
///
/// It is opened with [`Node::open`](crate::Node::open) at one node and comes out of
/// [`Node::accept`](crate::Node::accept) at the other. Bytes arrive in the order in which they were written. A writer waits
/// while the other side does not read: some 256 KiB may be on their way, more where the way is long and the reader fast.
///
/// What was written leaves at once as far as there is room, and the rest with the next write, read or flush: `flush` before
/// you wait for something else than this channel. `shutdown` tells the other side that no more will come; it may still
/// write. Reading returns zero bytes after that and never otherwise: if the other side drops its channel before it has shut it
/// down, or the link with it ends, reading and writing fail with a [`ChannelError`] inside the [`io::Error`]. What the other
/// side had not read by then is lost, and nobody knows how much that was.
///
/// The two directions may be used by two tasks, with `tokio::io::split`.
pub struct Channel {
    peer: NodeId,
    protocol: Name,
    stream: Stream,
    arriving: Arriving,
    leaving: Leaving,
    bond: Arc<Bond>,
    unbound: Pin<Box<WaitForCancellationFutureOwned>>,
    tasks: Arc<Tasks>,
    /// Wakes both of them.
    waker: Waker,
    reading: State,
    writing: State,
    /// Of the channels that a peer may have here, or this node there.
    _place: Option<OwnedSemaphorePermit>,
}

impl Channel {
    fn new(peer: NodeId, protocol: Name, stream: Stream, bond: Arc<Bond>, place: Option<OwnedSemaphorePermit>) -> Self {
        let tasks = Arc::<Tasks>::default();
        Self {
            peer,
            protocol,
            stream,
            arriving: Arriving::default(),
            leaving: Leaving::default(),
            unbound: Box::pin(bond.over.clone().cancelled_owned()),
            bond,
            waker: tasks.clone().into(),
            tasks,
            reading: State::Whole,
            writing: State::Whole,
            _place: place,
        }
    }

    /// The node at the other end.
    #[must_use]
    pub const fn peer(&self) -> NodeId {
        self.peer
    }

    /// The name of its protocol.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    const fn reading(&mut self) -> &mut State {
        &mut self.reading
    }

    const fn writing(&mut self) -> &mut State {
        &mut self.writing
    }

    /// Does something with one direction, unless that is broken, and looks at the link where it has to wait.
    fn poll<T, E: Into<Torn>>(
        &mut self,
        state: fn(&mut Self) -> &mut State,
        act: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<Result<T, E>>,
    ) -> Poll<io::Result<T>> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        if matches!(state(self), State::Whole) {
            match act(self, &mut cx).map_err(Into::into) {
                Poll::Ready(Ok(done)) => return Poll::Ready(Ok(done)),
                Poll::Ready(Err(Torn::Dropped)) => *state(self) = State::Dropped,
                Poll::Ready(Err(Torn::Broken(error))) => {
                    tracing::debug!(peer = ?self.peer, protocol = %self.protocol, %error, "a channel broke");
                    let doubt = if self.bond.here { Duration::ZERO } else { DOUBT_MAX };
                    *state(self) = State::Doubtful(Box::pin(sleep(doubt)));
                }
                Poll::Pending => {}
            }
        }
        let unbound = self.unbound.as_mut().poll(&mut cx).is_ready();
        let state = state(self);
        if unbound && !matches!(state, State::Dropped) {
            *state = State::Lost;
        }
        match state {
            State::Whole => return Poll::Pending,
            State::Doubtful(doubt) => {
                ready!(doubt.as_mut().poll(&mut cx));
                *state = State::Dropped;
            }
            State::Dropped | State::Lost => {}
        }
        let lost = matches!(state, State::Lost);
        Poll::Ready(Err(self.error(lost).into()))
    }

    fn error(&self, lost: bool) -> ChannelError {
        let (peer, protocol) = (self.peer, self.protocol.to_string());
        match self.bond.reason.get().filter(|_| lost) {
            Some(reason) => ChannelError::PeerLost { peer, protocol, reason: reason.clone() },
            None => ChannelError::Dropped { peer, protocol },
        }
    }
}

/// How one direction of a channel is. What has arrived can be read although nothing can be written any more.
enum State {
    Whole,
    /// Its stream has broken, which may be the first sign that the link has.
    Doubtful(Pin<Box<Sleep>>),
    /// The other side has dropped it.
    Dropped,
    /// The link has ended.
    Lost,
}

/// So long after its stream the link of a channel may break, and be the reason.
const DOUBT_MAX: Duration = Duration::from_millis(500);

impl AsyncRead for Channel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let turn = ready!(poll_proceed(cx));
        let channel = self.get_mut();
        channel.tasks.reader.register(cx.waker());
        let before = buffer.filled().len();
        ready!(channel.poll(Self::reading, |it, cx| {
            // Whoever reads for an answer has perhaps not flushed its question. That it cannot leave is told to the writer.
            let _ = it.leaving.poll_send(&mut it.stream, cx);
            it.arriving.poll_read(&mut it.stream, cx, buffer)
        }))?;
        turn.made_progress();
        channel.bond.counts.received_bytes.add((buffer.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let turn = ready!(poll_proceed(cx));
        let channel = self.get_mut();
        if channel.leaving.is_ended() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "this channel was shut down")));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        channel.tasks.writer.register(cx.waker());
        let count = ready!(channel.poll(Self::writing, |it, cx| {
            // What would take more bytes although the link is over brings them nowhere.
            if it.bond.is_over() {
                return Poll::Pending;
            }
            it.leaving.poll_write(&mut it.stream, cx, bytes)
        }))?;
        turn.made_progress();
        channel.bond.counts.sent_bytes.add(count as u64);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let channel = self.get_mut();
        channel.tasks.writer.register(cx.waker());
        channel.poll(Self::writing, |it, cx| {
            ready!(it.leaving.poll_send(&mut it.stream, cx))?;
            it.stream.as_mut().poll_flush(cx)
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let channel = self.get_mut();
        channel.tasks.writer.register(cx.waker());
        channel.poll(Self::writing, |it, cx| {
            ready!(it.leaving.poll_end(&mut it.stream, cx))?;
            it.stream.as_mut().poll_shutdown(cx)
        })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if matches!(self.writing, State::Whole) {
            self.leaving.give_up(&mut self.stream);
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("peer", &self.peer).field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// The tasks that read and write a channel. Below, a stream is used by one task; so one waker wakes both.
#[derive(Debug, Default)]
struct Tasks {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

/// What channels end with: a link, or the life of this node for those that it has with itself.
#[derive(Debug)]
struct Bond {
    here: bool,
    over: CancellationToken,
    /// Why it is over.
    reason: OnceLock<String>,
    counts: Arc<ChannelCounts>,
}

impl Bond {
    fn new(here: bool, counts: Arc<ChannelCounts>) -> Arc<Self> {
        Arc::new(Self { here, over: CancellationToken::new(), reason: OnceLock::new(), counts })
    }

    fn is_over(&self) -> bool {
        self.reason.get().is_some()
    }

    fn end(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.over.cancel();
    }
}
