//! Wake-ups that wait for the end of a turn.
//!
//! Whoever reads a stream is woken for each frame of 16 KiB, and to wake a thread costs as much as to decrypt one. So whoever is
//! woken while a connection apart has its turn is woken at the end of that, and once.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures::{AsyncRead, AsyncWrite, task::AtomicWaker};

thread_local! {
    /// Who is to be woken, while somebody has a turn here.
    static GATHERED: RefCell<Option<Vec<Arc<Waiter>>>> = const { RefCell::new(None) };
}

/// A turn, at the end of which all are woken whom it has woken.
pub(super) fn gather<T>(turn: impl FnOnce() -> T) -> T {
    GATHERED.set(Some(Vec::new()));
    // A connection that panics has readers too.
    let _end = End;
    turn()
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        for waiter in GATHERED.take().into_iter().flatten() {
            waiter.0.wake();
        }
    }
}

/// A stream whose reader and writer can wait so.
#[derive(Debug)]
pub(super) struct Gathering<S> {
    stream: S,
    reader: Side,
    writer: Side,
}

/// Who waits for one direction, and what the stream is told to wake.
#[derive(Debug)]
struct Side {
    waiter: Arc<Waiter>,
    waker: Waker,
}

/// It forgets whom to wake when it does: who is gathered twice is woken once.
#[derive(Debug, Default)]
struct Waiter(AtomicWaker);

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        let now = GATHERED.with_borrow_mut(|gathered| match gathered {
            Some(gathered) => {
                gathered.push(self);
                None
            }
            None => Some(self),
        });
        if let Some(waiter) = now {
            waiter.0.wake();
        }
    }
}

impl Side {
    fn new() -> Self {
        let waiter = Arc::<Waiter>::default();
        Self { waker: waiter.clone().into(), waiter }
    }

    fn context(&self, cx: &Context<'_>) -> Context<'_> {
        self.waiter.0.register(cx.waker());
        Context::from_waker(&self.waker)
    }
}

impl<S> Gathering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, reader: Side::new(), writer: Side::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { stream, reader, .. } = &mut *self;
        Pin::new(stream).poll_read(&mut reader.context(cx), buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, writer, .. } = &mut *self;
        Pin::new(stream).poll_write(&mut writer.context(cx), bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, writer, .. } = &mut *self;
        Pin::new(stream).poll_flush(&mut writer.context(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, writer, .. } = &mut *self;
        Pin::new(stream).poll_close(&mut writer.context(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::io::Cursor;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It keeps whoever reads waiting.
    #[derive(Debug)]
    struct Silent(Option<Waker>);

    impl AsyncRead for Silent {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            self.0 = Some(cx.waker().clone());
            Poll::Pending
        }
    }

    #[test]
    fn who_is_woken_in_a_turn_is_woken_once_at_its_end() {
        let count = Arc::<Count>::default();
        let woken = || count.0.load(Ordering::Relaxed);
        let mut stream = Gathering::new(Silent(None));
        let waker = count.clone().into();
        let mut read = || {
            let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut [0]);
            assert!(polled.is_pending());
            stream.stream.0.clone().unwrap()
        };
        let inner = read();
        gather(|| {
            inner.wake_by_ref();
            inner.wake_by_ref();
            assert_eq!(woken(), 0);
        });
        assert_eq!(woken(), 1);
        // Outside of a turn at once, and in the next turn again.
        read().wake();
        assert_eq!(woken(), 2);
        let inner = read();
        gather(|| inner.wake());
        assert_eq!(woken(), 3);
    }

    #[test]
    fn bytes_go_through() {
        let mut stream = Gathering::new(Cursor::new(vec![1, 2, 3]));
        let mut bytes = [0; 3];
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut stream).poll_read(&mut cx, &mut bytes), Poll::Ready(Ok(3))));
        assert_eq!(bytes, [1, 2, 3]);
    }
}
