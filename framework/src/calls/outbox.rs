//! The sending half of a stream: many write into one buffer, one task carries it out.

use std::{
    collections::VecDeque,
    io, mem,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Notify,
};

/// A writer waits while so many bytes wait to be carried out.
const BYTES_BEFORE_WAITING: usize = 1024 * 1024;
/// Beyond this, new calls from the peer are refused: it does not read their answers.
const BYTES_BEFORE_REFUSING: usize = 8 * 1024 * 1024;
/// Beyond this the peer is given up.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Of what may be lost so many bytes wait at most, and so many go at once.
const LOSSY_BYTES_MAX: usize = 1024 * 1024;
const LOSSY_BYTES_AT_ONCE: usize = 64 * 1024;
/// A buffer that grew beyond this in a burst is given back afterwards.
const BYTES_KEPT: usize = 1024 * 1024;

/// Frames on their way into one stream.
///
/// Whoever writes encodes straight into the buffer; the carrier takes all that has gathered in one write and one flush.
/// So frames coalesce by themselves under load, and a lone frame leaves at once, without any timer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Bytes in the buffer, for those who only look.
    level: AtomicUsize,
    filled: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// Frames that may be lost, the oldest first.
    lossy: VecDeque<Vec<u8>>,
    lossy_bytes: usize,
    closed: bool,
}

/// The stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// How full the buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fill {
    Normal,
    /// Writers who can wait, should.
    High,
    /// Work that would add more is refused.
    Excessive,
}

impl Outbox {
    /// Lets `write` append to the buffer. Never waits.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Fill, Closed> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Closed);
        }
        let was_empty = state.buffer.is_empty();
        write(&mut state.buffer);
        let bytes = state.buffer.len();
        self.level.store(bytes, Ordering::Relaxed);
        if bytes > BYTES_MAX {
            state.closed = true;
        }
        drop(state);
        if was_empty || bytes > BYTES_MAX {
            self.filled.notify_one();
        }
        Ok(fill(bytes))
    }

    /// The same for what may be lost: drops it unless there is room.
    pub(crate) fn offer(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.fill() == Fill::Normal {
            // What is closed tells nobody anything.
            let _ = self.push(write);
        }
    }

    /// Queues a frame that may be lost behind all that must not be; where there are too many the oldest are dropped. Says how
    /// many were. Never waits.
    pub(crate) fn push_lossy(&self, frame: Vec<u8>) -> u64 {
        let mut state = self.state.lock();
        if state.closed {
            return 1;
        }
        state.lossy_bytes += frame.len();
        state.lossy.push_back(frame);
        let mut dropped = 0;
        while state.lossy_bytes > LOSSY_BYTES_MAX {
            state.take_lossy();
            dropped += 1;
        }
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Waits until there is room for more.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.room.notified();
            if self.fill() == Fill::Normal {
                return;
            }
            freed.await;
        }
    }

    pub(crate) fn fill(&self) -> Fill {
        fill(self.level.load(Ordering::Relaxed))
    }

    /// Nothing waits to be carried out.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().buffer.is_empty()
    }

    /// Ends the stream after what is in the buffer now.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.lossy.clear();
        drop(state);
        self.level.store(0, Ordering::Relaxed);
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// Carries the buffer into `stream` until it is closed or breaks; `carried` is told how many bytes went.
    pub(crate) async fn carry(&self, mut stream: impl AsyncWrite + Unpin, carried: impl Fn(usize)) -> io::Result<()> {
        let mut batch = Vec::new();
        loop {
            let closed = {
                let mut state = self.state.lock();
                mem::swap(&mut state.buffer, &mut batch);
                self.level.store(0, Ordering::Relaxed);
                while batch.len() < LOSSY_BYTES_AT_ONCE
                    && let Some(frame) = state.take_lossy()
                {
                    batch.extend_from_slice(&frame);
                }
                state.closed
            };
            if !batch.is_empty() {
                self.room.notify_waiters();
                stream.write_all(&batch).await?;
                stream.flush().await?;
                carried(batch.len());
                batch.clear();
                if batch.capacity() > BYTES_KEPT {
                    batch = Vec::new();
                }
            } else if closed {
                return stream.shutdown().await;
            } else {
                self.filled.notified().await;
                // Whoever is ready to run may have more for the same write.
                tokio::task::yield_now().await;
            }
        }
    }
}

impl State {
    fn take_lossy(&mut self) -> Option<Vec<u8>> {
        let frame = self.lossy.pop_front()?;
        self.lossy_bytes -= frame.len();
        Some(frame)
    }
}

const fn fill(bytes: usize) -> Fill {
    if bytes < BYTES_BEFORE_WAITING {
        Fill::Normal
    } else if bytes < BYTES_BEFORE_REFUSING {
        Fill::High
    } else {
        Fill::Excessive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_is_dropped_while_there_is_no_room() {
        let outbox = Outbox::default();
        let bytes = || outbox.state.lock().buffer.len();
        outbox.offer(|buffer| buffer.push(1));
        assert_eq!(bytes(), 1);
        outbox.push(|buffer| buffer.resize(BYTES_BEFORE_WAITING, 0)).unwrap();
        outbox.offer(|buffer| buffer.push(1));
        assert_eq!(bytes(), BYTES_BEFORE_WAITING);
    }

    #[tokio::test]
    async fn what_may_be_lost_goes_last_and_the_oldest_of_it_is_dropped() {
        let outbox = Outbox::default();
        let frame = |number: u8| vec![number; LOSSY_BYTES_MAX / 4];
        let dropped: Vec<_> = (0..6).map(|number| outbox.push_lossy(frame(number))).collect();
        assert_eq!(dropped, [0, 0, 0, 0, 1, 1]);
        outbox.push(|buffer| buffer.push(9)).unwrap();
        let mut written = Vec::new();
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), outbox.carry(&mut written, drop)).await;
        written.dedup();
        assert_eq!(written, [9, 2, 3, 4, 5]);
        outbox.close();
        assert_eq!(outbox.push_lossy(frame(7)), 1);
    }
}
