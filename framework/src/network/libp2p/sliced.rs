//! A socket from which a connection takes no more than its turn.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};

/// What a connection may read, and what it may write, before the others of its thread have their turn: some 0.1 ms.
const TURN_BYTES: usize = 128 * 1024;

/// All connections of a node share one thread. One that carries much would keep it for as long as its socket gives and takes,
/// which can be tens of milliseconds, while calls, echoes and leases wait.
#[derive(Debug)]
pub(super) struct Sliced<S> {
    socket: S,
    read: usize,
    written: usize,
}

impl<S> Sliced<S> {
    pub(super) const fn new(socket: S) -> Self {
        Self { socket, read: 0, written: 0 }
    }
}

/// Moves bytes; or, once a turn is over, gives way: it comes back when all others who are ready were served, and whoever has
/// become ready meanwhile.
fn turn(
    moved: &mut usize,
    cx: &mut Context<'_>,
    go_on: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    if *moved >= TURN_BYTES {
        *moved = 0;
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        return Poll::Pending;
    }
    let count = ready!(go_on(cx))?;
    *moved += count;
    Poll::Ready(Ok(count))
}

impl<S: AsyncRead + Unpin> AsyncRead for Sliced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { socket, read, .. } = &mut *self;
        turn(read, cx, |cx| Pin::new(socket).poll_read(cx, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sliced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { socket, written, .. } = &mut *self;
        turn(written, cx, |cx| Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::{
        AsyncReadExt, AsyncWriteExt,
        io::{Cursor, sink},
    };
    use tokio::task::yield_now;

    use super::*;

    const PIECES: usize = 20;

    /// How often another task of this thread has its turn meanwhile.
    async fn turns_beside(moving: impl Future<Output = ()>) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        moving.await;
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn who_moves_much_gives_way_again_and_again() {
        let bytes = vec![7; PIECES * TURN_BYTES];
        let reading = turns_beside(async {
            let mut stream = Sliced::new(Cursor::new(&bytes));
            for _ in 0..PIECES {
                let mut piece = vec![0; TURN_BYTES];
                stream.read_exact(&mut piece).await.unwrap();
                assert_eq!(piece, bytes[..TURN_BYTES]);
            }
        });
        let writing = turns_beside(async {
            let mut stream = Sliced::new(sink());
            for piece in bytes.chunks(TURN_BYTES) {
                stream.write_all(piece).await.unwrap();
            }
        });
        for turns in [reading.await, writing.await] {
            assert!((PIECES - 1..=2 * PIECES).contains(&turns), "{turns}");
        }
    }
}
