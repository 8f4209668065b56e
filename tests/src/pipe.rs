//! Bytes that are moved over a channel: what is read is looked at, or only counted.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::TryFutureExt;
use guthi::{Context, Node, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What bulk bytes are written and read in.
pub const PIECE_BYTES: usize = 64 * 1024;
/// The protocol of [`give_bulk`].
pub const BULK: &str = "bulk/1";
const CARRYING_MAX: Duration = Duration::from_secs(600);

/// So many bytes of a stream from a position on; the period is prime, so that a lost or repeated block shows.
#[must_use]
pub fn pattern(position: usize, count: usize) -> Vec<u8> {
    (position..position + count).map(|position| (position % 251) as u8).collect()
}

/// Writes so many bytes of the pattern, and the end; returns their number.
///
/// # Errors
/// What the stream says.
pub async fn write_pattern(mut stream: impl AsyncWrite + Unpin, count: usize) -> io::Result<usize> {
    let bytes = pattern(0, count);
    for piece in bytes.chunks(PIECE_BYTES) {
        stream.write_all(piece).await?;
    }
    stream.shutdown().await?;
    Ok(count)
}

/// Reads the pattern up to the end; returns how many bytes it were.
///
/// # Errors
/// What the stream says, or that a byte is not where it belongs.
pub async fn read_pattern(mut stream: impl AsyncRead + Unpin) -> io::Result<usize> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let wrong = bytes.iter().zip(0usize..).find(|(byte, position)| usize::from(**byte) != position % 251);
    match wrong {
        None => Ok(bytes.len()),
        Some((_, position)) => Err(io::Error::other(format!("byte {position} is not where it belongs"))),
    }
}

/// Writes so many bytes in pieces of 64 KiB, and the end.
///
/// # Errors
/// What the stream says.
pub async fn send_bulk(mut stream: impl AsyncWrite + Unpin, mut bytes: u64) -> io::Result<()> {
    let piece = vec![7; PIECE_BYTES];
    while bytes > 0 {
        let count = bytes.min(PIECE_BYTES as u64);
        stream.write_all(&piece[..count as usize]).await?;
        bytes -= count;
    }
    stream.shutdown().await
}

/// Reads up to the end in pieces of 64 KiB; returns how many bytes it were.
///
/// # Errors
/// What the stream says.
pub async fn count_bulk(mut stream: impl AsyncRead + Unpin) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

/// Opens a channel of [`BULK`] to the caller, and writes so many bytes into it.
#[guthi::function]
pub async fn give_bulk(ctx: Context, bytes: u64) -> Result<(), String> {
    let node = ctx.node().ok_or("the node has left")?;
    let caller = ctx.caller().ok_or("it is called over no link")?;
    let channel = node.open(caller, BULK).await.map_err(|error| error.to_string())?;
    send_bulk(channel, bytes).await.map_err(|error| error.to_string())
}

/// Lets another node send so many bytes over a channel, and reads them to the end; what that took from the moment at which
/// the channel was there.
///
/// # Errors
/// Whatever keeps the bytes from arriving.
pub async fn carry_bulk(node: &Node, from: NodeId, bytes: u64) -> anyhow::Result<Duration> {
    let mut incoming = node.accept(BULK)?;
    let giving = node.call::<give_bulk>(bytes).on(from).deadline(CARRYING_MAX).into_future();
    let taking = async {
        let channel = incoming.next().await.context("the node has left")?;
        let begin = Instant::now();
        let read = count_bulk(channel).await?;
        anyhow::ensure!(read == bytes, "{read} bytes of {bytes} have arrived");
        Ok(begin.elapsed())
    };
    Ok(tokio::try_join!(giving.map_err(anyhow::Error::from), taking)?.1)
}
