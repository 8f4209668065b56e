//! A socket that goes with its connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::tcp;
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::threads;

/// A TCP stream that is known to the runtime whose threads use it. Any other would be woken for each of its packets only to
/// wake the right one.
#[derive(Debug)]
pub(super) struct Socket {
    /// Nothing once it could not be made known where it is used.
    stream: Option<Compat<TcpStream>>,
    apart: bool,
}

impl Socket {
    pub(super) fn new(stream: tcp::tokio::TcpStream) -> Self {
        Self { stream: Some(TcpStream::from(stream).compat()), apart: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Compat<TcpStream>>> {
        if !self.apart && threads::is_apart() {
            self.apart = true;
            if let Some(stream) = self.stream.take() {
                self.stream = Some(TcpStream::from_std(stream.into_inner().into_std()?)?.compat());
            }
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_close(cx)
    }
}
