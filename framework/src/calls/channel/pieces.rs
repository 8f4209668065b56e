//! The bytes of a channel on their way: pieces, so that an end can be told from a break.
//!
//! ```text
//! u32 length | so many bytes       again and again
//! u32 0                            the end: whoever wrote has shut it down
//! u32 0xffffffff                   whoever wrote has dropped it
//! ```
//! The streams below show the death of a peer, a stream that was dropped and one that was shut down as the same thing: no
//! more bytes.

use std::{
    io, mem,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::ReadBuf;

use crate::network::Stream;

/// The longest piece.
pub(super) const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Up to here a piece is copied behind its length, which is cheaper than two writes.
const COPIED_BYTES_MAX: usize = 4 * 1024;

const END: [u8; 4] = [0; 4];
const DROPPED: [u8; 4] = [u8::MAX; 4];

/// Why no more bytes arrive, although the end has not.
#[derive(Debug)]
pub(super) enum Torn {
    /// The other side has dropped its channel.
    Dropped,
    /// The stream below has ended or broken.
    Broken(io::Error),
}

impl From<io::Error> for Torn {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// The pieces that arrive.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// The length of the next piece, and how many of its bytes are here.
    head: [u8; 4],
    head_bytes: usize,
    /// What is left of this piece.
    left: usize,
    ended: bool,
}

impl Arriving {
    /// Reads into a buffer that has room; nothing is read once the end has come.
    pub(super) fn poll_read(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Torn>> {
        while !self.ended {
            if self.left > 0 {
                let count = self.left.min(buffer.remaining());
                let mut part = ReadBuf::new(buffer.initialize_unfilled_to(count));
                ready!(stream.as_mut().poll_read(cx, &mut part))?;
                let read = part.filled().len();
                if read == 0 {
                    return Poll::Ready(Err(no_end()));
                }
                buffer.advance(read);
                self.left -= read;
                break;
            }
            let mut head = ReadBuf::new(&mut self.head);
            head.set_filled(self.head_bytes);
            ready!(stream.as_mut().poll_read(cx, &mut head))?;
            let bytes = head.filled().len();
            if bytes == mem::replace(&mut self.head_bytes, bytes) {
                return Poll::Ready(Err(no_end()));
            }
            if bytes == self.head.len() {
                self.head_bytes = 0;
                self.begin()?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self) -> Result<(), Torn> {
        match (self.head, u32::from_le_bytes(self.head) as usize) {
            (END, _) => self.ended = true,
            (DROPPED, _) => return Err(Torn::Dropped),
            (_, length) if length <= PIECE_BYTES_MAX => self.left = length,
            (_, length) => {
                let reason = format!("a piece of {length} bytes, and at most {PIECE_BYTES_MAX} are allowed");
                return Err(Torn::Broken(io::Error::new(io::ErrorKind::InvalidData, reason)));
            }
        }
        Ok(())
    }
}

fn no_end() -> Torn {
    Torn::Broken(io::ErrorKind::UnexpectedEof.into())
}

/// The pieces that leave.
///
/// A piece is announced by its length, and then has to come, even if the writer comes no more: what the stream does not take
/// of it at once waits here.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// One piece and its length at most.
    waiting: Vec<u8>,
    /// So much of that has left.
    gone: usize,
    ended: bool,
}

impl Leaving {
    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Writes a piece that begins with the first of these bytes; returns how many it has. While it is pending nothing is
    /// promised to the other side.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(stream, cx))?;
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
        let head = u32::try_from(bytes.len()).expect("a piece is short").to_le_bytes();
        if bytes.len() <= COPIED_BYTES_MAX {
            self.waiting.extend_from_slice(&head);
            self.waiting.extend_from_slice(bytes);
            match write_some(stream, cx, &self.waiting) {
                Poll::Ready(Ok(gone)) => self.gone = gone,
                refused => {
                    self.waiting.clear();
                    return refused;
                }
            }
        } else {
            let mut gone = ready!(write_some(stream, cx, &head))?;
            self.waiting.extend_from_slice(&head[gone..]);
            gone = 0;
            while self.waiting.is_empty() && gone < bytes.len() {
                match write_some(stream, cx, &bytes[gone..]) {
                    Poll::Ready(more) => gone += more?,
                    Poll::Pending => break,
                }
            }
            self.waiting.extend_from_slice(&bytes[gone..]);
        }
        if let Poll::Ready(sent) = self.poll_send(stream, cx) {
            sent?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends what waits here.
    pub(super) fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.waiting.len() {
            self.gone += ready!(write_some(stream, cx, &self.waiting[self.gone..]))?;
        }
        self.waiting.clear();
        self.gone = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what waits here, and the end behind it.
    pub(super) fn poll_end(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(stream, cx))?;
        if !mem::replace(&mut self.ended, true) {
            self.waiting.extend_from_slice(&END);
        }
        self.poll_send(stream, cx)
    }

    /// Says that nothing more comes, as far as the stream takes it at once; without that word the other side sees a break.
    pub(super) fn give_up(&mut self, stream: &mut Stream) {
        let mut cx = Context::from_waker(Waker::noop());
        if !self.ended && matches!(self.poll_send(stream, &mut cx), Poll::Ready(Ok(()))) {
            let _ = stream.as_mut().poll_write(&mut cx, &DROPPED);
        }
    }
}

/// A stream that takes nothing of something is broken.
fn write_some(stream: &mut Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(stream.as_mut().poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => Poll::Ready(Ok(count)),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|position| (position % 251) as u8).collect()
    }

    async fn write(stream: &mut Stream, leaving: &mut Leaving, bytes: &[u8]) -> usize {
        poll_fn(|cx| leaving.poll_write(stream, cx, bytes)).await.unwrap()
    }

    async fn read(stream: &mut Stream, arriving: &mut Arriving, most: usize) -> Result<Vec<u8>, Torn> {
        let mut bytes = vec![0; most];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| arriving.poll_read(stream, cx, &mut buffer)).await?;
        let count = buffer.filled().len();
        bytes.truncate(count);
        Ok(bytes)
    }

    async fn read_all(mut stream: Stream, most: usize) -> (Vec<u8>, Result<(), Torn>) {
        let (mut arriving, mut all) = (Arriving::default(), Vec::new());
        loop {
            match read(&mut stream, &mut arriving, most).await {
                Ok(bytes) if bytes.is_empty() => return (all, Ok(())),
                Ok(bytes) => all.extend(bytes),
                Err(torn) => return (all, Err(torn)),
            }
        }
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_whatever_room_there_is() {
        for room in [1, 2, 3, 4, 5, 7, 100, 5000, 70_000, 1 << 20] {
            for written in [1, 3, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1] {
                let all = bytes(3 * written + 1);
                let (here, there) = duplex(room);
                let writing = async {
                    let (mut stream, mut leaving): (Stream, _) = (Box::pin(here), Leaving::default());
                    for part in all.chunks(written) {
                        let mut part = part;
                        while !part.is_empty() {
                            let count = write(&mut stream, &mut leaving, part).await;
                            part = &part[count..];
                        }
                    }
                    poll_fn(|cx| leaving.poll_end(&mut stream, cx)).await.unwrap();
                };
                let ((), (read, end)) = tokio::join!(writing, read_all(Box::pin(there), 1000));
                assert!(end.is_ok() && read == all, "{room} {written}: {} of {}", read.len(), all.len());
            }
        }
    }

    /// Whoever gives up a write that was pending has written nothing, and may go on with something else.
    #[tokio::test]
    async fn a_write_that_is_given_up_has_written_nothing() {
        for (room, tried) in [(1, 10), (3, 10), (9, 100), (20, 2 * PIECE_BYTES_MAX)] {
            let (here, there) = duplex(room);
            let (mut stream, mut leaving): (Stream, _) = (Box::pin(here), Leaving::default());
            let reading = tokio::spawn(read_all(Box::pin(there), 1 << 20));
            let mut expected = Vec::new();
            for turn in 0..50 {
                let part = vec![turn; tried];
                if let Some(count) = write(&mut stream, &mut leaving, &part).now_or_never() {
                    expected.extend_from_slice(&part[..count]);
                }
                if turn % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            poll_fn(|cx| leaving.poll_end(&mut stream, cx)).await.unwrap();
            let (read, end) = reading.await.unwrap();
            assert!(end.is_ok() && read == expected, "{room}: {} of {}", read.len(), expected.len());
        }
    }

    #[tokio::test]
    async fn only_the_end_is_an_end() {
        let whole = [&[2, 0, 0, 0][..], b"ab", &[1, 0, 0, 0], b"c", &END].concat();
        for cut in 0..=whole.len() {
            let (mut here, there) = duplex(100);
            here.write_all(&whole[..cut]).await.unwrap();
            drop(here);
            let (read, end) = read_all(Box::pin(there), 100).await;
            assert!(b"abc".starts_with(&read[..]), "{read:?}");
            assert_eq!(end.is_ok(), cut == whole.len(), "cut at {cut}");
        }
        let (mut here, there) = duplex(100);
        here.write_all(&(PIECE_BYTES_MAX as u32 + 1).to_le_bytes()).await.unwrap();
        assert!(matches!(read_all(Box::pin(there), 100).await, (_, Err(Torn::Broken(_)))), "a piece that is too long");
    }

    #[tokio::test]
    async fn who_gives_up_says_so_unless_a_piece_is_under_way() {
        for (room, is_told) in [(100, true), (8, false)] {
            let (here, there) = duplex(room);
            let (mut stream, mut leaving): (Stream, _) = (Box::pin(here), Leaving::default());
            assert_eq!(write(&mut stream, &mut leaving, b"abcdefgh").await, 8);
            leaving.give_up(&mut stream);
            drop(stream);
            let (read, end) = read_all(Box::pin(there), 100).await;
            assert_eq!(matches!(end, Err(Torn::Dropped)), is_told, "{room}");
            assert_eq!(read == b"abcdefgh", is_told, "{room}");
        }
        let (mut here, mut there) = duplex(100);
        here.write_all(&DROPPED).await.unwrap();
        let mut bytes = [0; 4];
        there.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, [255; 4], "what is sent never changes");
    }
}
