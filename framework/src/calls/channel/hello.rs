//! How a channel begins: whoever opens it says which protocol it is of, and whoever accepts it says yes, or why not.
//!
//! ```text
//! 16 bytes, the tag of the link | u8 length | so many bytes, the name of the protocol
//! u8 answer
//! ```

use std::io;

use guthi_core::wire::{limits::NAME_BYTES_MAX, name::Name};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::network::admission::Tag;

/// What is said to whoever opens a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted = 0,
    /// Nobody here accepts channels of that protocol.
    Nobody = 1,
    /// As many channels of it as may wait here to be taken.
    Full = 2,
    /// The peer has as many channels here as it may have.
    TooMany = 3,
}

impl Answer {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Accepted,
            1 => Self::Nobody,
            2 => Self::Full,
            3 => Self::TooMany,
            _ => return None,
        })
    }
}

/// Asks for a channel on a stream that was just opened.
pub(super) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    tag: Tag,
    protocol: &Name,
) -> io::Result<Answer> {
    let mut hello = tag.0.to_vec();
    hello.push(u8::try_from(protocol.len()).expect("a name has 255 bytes at most"));
    hello.extend_from_slice(protocol.as_bytes());
    stream.write_all(&hello).await?;
    stream.flush().await?;
    Answer::of(stream.read_u8().await?).ok_or_else(|| invalid("an answer that nobody knows"))
}

/// Hears which protocol a channel shall be of.
pub(super) async fn hear(stream: &mut (impl AsyncRead + Unpin), tag: Tag) -> io::Result<Name> {
    // It may come on any connection with the peer, also on one that was meant for an earlier link.
    let mut theirs = Tag([0; 16]);
    stream.read_exact(&mut theirs.0).await?;
    if theirs != tag {
        return Err(invalid("it belongs to another link"));
    }
    let mut buffer = [0; NAME_BYTES_MAX];
    let name = &mut buffer[..usize::from(stream.read_u8().await?)];
    stream.read_exact(name).await?;
    let name = std::str::from_utf8(name).map_err(|_| invalid("a protocol whose name is no text"))?;
    Name::new(name).map_err(|reason| invalid(&format!("a protocol that cannot be: {reason}")))
}

pub(super) async fn answer(stream: &mut (impl AsyncWrite + Unpin), answer: Answer) -> io::Result<()> {
    stream.write_u8(answer as u8).await?;
    stream.flush().await
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag([7; 16]);

    #[tokio::test]
    async fn a_beginning_keeps_its_bytes() {
        let (mut here, mut there) = tokio::io::duplex(64);
        let accepting = async {
            let mut bytes = [0; 19];
            there.read_exact(&mut bytes).await.unwrap();
            assert_eq!(bytes, *b"\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x02fs");
            there.write_all(&[2]).await.unwrap();
        };
        let protocol = Name::new("fs").unwrap();
        let (asked, ()) = tokio::join!(ask(&mut here, TAG, &protocol), accepting);
        assert_eq!(asked.unwrap(), Answer::Full);
        for byte in 0..4 {
            assert_eq!(Answer::of(byte).unwrap() as u8, byte);
        }
        assert_eq!(Answer::of(4), None);
    }

    #[tokio::test]
    async fn what_is_no_beginning_is_refused() {
        let hello = |tag: u8, name: &[u8]| [&[tag; 16], &[name.len() as u8][..], name].concat();
        assert_eq!(&*hear(&mut &hello(7, b"fs")[..], TAG).await.unwrap(), "fs");
        for bytes in
            [hello(6, b"fs"), hello(7, b""), hello(7, b"a\nb"), hello(7, &[0xff]), hello(7, b"fs")[..18].into()]
        {
            hear(&mut &bytes[..], TAG).await.unwrap_err();
        }
    }
}
