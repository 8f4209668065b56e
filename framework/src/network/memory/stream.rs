//! Streams: bytes on their way, and the two ends that write and read them.

use std::{
    collections::VecDeque,
    future::Future,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Hub, exchange::Cargo};
use crate::network::ConnectionId;

/// Bytes of a stream, in one direction, that were written and not yet read.
const STREAM_BYTES_MAX: usize = 256 * 1024;

/// The bytes of a stream in one direction.
#[derive(Debug, Default)]
pub(super) struct Pipe(Mutex<Bytes>);

#[derive(Debug, Default)]
struct Bytes {
    /// Here, and to be read.
    arrived: VecDeque<u8>,
    /// Written and not yet read, wherever they are.
    unread: usize,
    /// No more will arrive.
    ended: bool,
    /// Its reader is gone.
    unwanted: bool,
    /// Its writer knows that.
    left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    pub(super) fn arrive(&self, bytes: &[u8]) {
        let mut pipe = self.0.lock();
        if !pipe.unwanted {
            pipe.arrived.extend(bytes);
        }
        let reader = pipe.reader.take();
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
    }

    pub(super) fn end(&self) {
        let mut pipe = self.0.lock();
        pipe.ended = true;
        let reader = pipe.reader.take();
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
    }

    pub(super) fn leave(&self) {
        let mut pipe = self.0.lock();
        pipe.left = true;
        let writer = pipe.writer.take();
        drop(pipe);
        writer.into_iter().for_each(Waker::wake);
    }
}

/// A stream as the node at one end has it.
pub(super) struct Half {
    hub: Hub,
    connection: ConnectionId,
    side: usize,
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
    /// This end will write no more.
    ended: bool,
}

impl Half {
    /// One end of a stream between two ends of a connection.
    pub(super) fn new(
        hub: &Hub,
        (connection, side): (ConnectionId, usize),
        incoming: &Arc<Pipe>,
        outgoing: &Arc<Pipe>,
        broken: &CancellationToken,
    ) -> Self {
        Self {
            hub: hub.clone(),
            connection,
            side,
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            broken: Box::pin(broken.clone().cancelled_owned()),
            ended: false,
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.broken.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn end(&mut self) {
        if !mem::replace(&mut self.ended, true) {
            self.hub.send(self.connection, self.side, Cargo::Ended(self.outgoing.clone()));
        }
    }
}

impl AsyncRead for Half {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let mut pipe = self.incoming.0.lock();
        if pipe.arrived.is_empty() && !pipe.ended {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, _) = pipe.arrived.as_slices();
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]);
        pipe.arrived.drain(..count);
        pipe.unread -= count;
        let writer = pipe.writer.take();
        drop(pipe);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Half {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let mut pipe = self.outgoing.0.lock();
        if self.ended || pipe.left {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(STREAM_BYTES_MAX - pipe.unread);
        if count == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.unread += count;
        drop(pipe);
        self.hub.send(self.connection, self.side, Cargo::Bytes(self.outgoing.clone(), bytes[..count].to_vec()));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.end();
        let mut pipe = self.incoming.0.lock();
        pipe.unwanted = true;
        pipe.arrived.clear();
        drop(pipe);
        self.hub.send(self.connection, self.side, Cargo::Left(self.incoming.clone()));
    }
}
