//! A buffer to read frames from.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that were read from a stream and not yet taken.
///
/// Its memory stays initialised: an adapter between the two families of I/O traits would otherwise zero all free space at
/// every read, which costs more than the read.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// A buffer that reads up to so many bytes at once, and grows for frames that are larger.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: vec![0; bytes], start: 0, end: 0 }
    }

    /// Reads once; the number of bytes is zero at the end of the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.make_room();
        }
        let read = stream.read(&mut self.bytes[self.end..]).await?;
        self.end += read;
        Ok(read)
    }

    /// What has not been taken.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end, "no more is taken than was read");
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            // One frame fills it all; the limit on frames bounds the growth.
            let bytes = self.bytes.len() * 2;
            self.bytes.resize(bytes, 0);
        }
    }
}
