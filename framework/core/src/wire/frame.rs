//! Frames: how messages are cut out of a stream of bytes.
//!
//! ```text
//! u32 length of what follows | u8 version | u8 kind | u16 flags | u64 id | body
//! ```
//! All numbers are little-endian.
//! A body is a postcard header and, for calls and replies, a raw tail.

use alloc::vec::Vec;
use core::fmt;

use super::version::WIRE_VERSION;

/// Bytes before the body, the length included.
pub const HEADER_BYTES: usize = 16;

/// One message in a stream, borrowed from the buffer that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: Kind,
    /// What is particular about it; a bit that nobody knows is refused by whoever reads that kind.
    pub flags: u16,
    /// Which request this belongs to; zero where there is none.
    pub id: u64,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The first frame of a lane, with an empty body: it makes the stream known at the other end.
    Open = 1,
    /// A function is to be called.
    Call = 2,
    /// A call has ended.
    Reply = 3,
    /// The caller no longer wants the answer.
    Cancel = 4,
    /// A message of a protocol, or of the admission before it.
    Control = 5,
    /// How far a call is: its caller has asked to be told.
    Progress = 6,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Open,
            2 => Self::Call,
            3 => Self::Reply,
            4 => Self::Cancel,
            5 => Self::Control,
            6 => Self::Progress,
            _ => return None,
        })
    }
}

/// Appends a frame whose body is written by `body`.
///
/// # Errors
/// Whatever `body` returns; the buffer is then as it was.
pub fn put<E>(
    buffer: &mut Vec<u8>,
    kind: Kind,
    flags: u16,
    id: u64,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = buffer.len();
    buffer.extend_from_slice(&header(kind, flags, id, 0));
    if let Err(error) = body(buffer) {
        buffer.truncate(start);
        return Err(error);
    }
    let length = u32::try_from(buffer.len() - start - 4).expect("limits keep a frame far below 4 GiB");
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The header of a frame whose body, of so many bytes, is written apart.
///
/// # Panics
/// If the body is larger than any limit allows.
#[must_use]
pub fn header(kind: Kind, flags: u16, id: u64, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(HEADER_BYTES - 4 + body_bytes).expect("limits keep a frame far below 4 GiB");
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..6].copy_from_slice(&[WIRE_VERSION, kind as u8]);
    header[6..8].copy_from_slice(&flags.to_le_bytes());
    header[8..].copy_from_slice(&id.to_le_bytes());
    header
}

/// Reads a header: the frame without its body, and how many bytes the body has.
///
/// # Errors
/// [`FrameError`]; the stream is of no use after it.
pub fn read_header(bytes: &[u8; HEADER_BYTES], limit: usize) -> Result<(Frame<'static>, usize), FrameError> {
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    if length < HEADER_BYTES - 4 {
        return Err(FrameError::TooShort(length));
    }
    if length > limit {
        return Err(FrameError::TooLong { bytes: length, limit });
    }
    if bytes[4] != WIRE_VERSION {
        return Err(FrameError::Version(bytes[4]));
    }
    let kind = Kind::of(bytes[5]).ok_or(FrameError::Kind(bytes[5]))?;
    let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
    let id = u64::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]]);
    Ok((Frame { kind, flags, id, body: &[] }, length - (HEADER_BYTES - 4)))
}

/// Appends a frame with an empty body.
pub fn put_empty(buffer: &mut Vec<u8>, kind: Kind, id: u64) {
    let Ok(()) = put(buffer, kind, 0, id, |_| Ok::<(), core::convert::Infallible>(()));
}

/// Cuts the first frame off `bytes`: the frame and how many bytes it took, or `None` if it is not all there yet.
///
/// A length beyond `limit` is refused as soon as it is read, so that nobody waits for, or makes room for, the rest.
///
/// # Errors
/// [`FrameError`]; the stream is of no use after it.
pub fn take(bytes: &[u8], limit: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length < HEADER_BYTES - 4 {
        return Err(FrameError::TooShort(length));
    }
    if length > limit {
        return Err(FrameError::TooLong { bytes: length, limit });
    }
    // A wrong version is told even before the rest has come: it never will.
    if let Some(&version) = rest.first()
        && version != WIRE_VERSION
    {
        return Err(FrameError::Version(version));
    }
    if rest.len() < length {
        return Ok(None);
    }
    let (header, content) = bytes.split_first_chunk().expect("the length covers the header");
    let (frame, body_bytes) = read_header(header, limit)?;
    Ok(Some((Frame { body: &content[..body_bytes], ..frame }, 4 + length)))
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length is smaller than a header.
    TooShort(usize),
    /// The length is beyond what this stream may carry.
    TooLong {
        /// What the frame announced.
        bytes: usize,
        /// What it may be.
        limit: usize,
    },
    /// The frame is of a version that this build does not speak.
    Version(u8),
    /// The kind is unknown.
    Kind(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(bytes) => write!(f, "a frame of {bytes} bytes is shorter than its header"),
            Self::TooLong { bytes, limit } => write!(f, "a frame of {bytes} bytes, and at most {limit} are allowed"),
            Self::Version(version) => {
                write!(f, "a frame of wire version {version}, and this build speaks {WIRE_VERSION}")
            }
            Self::Kind(kind) => write!(f, "a frame of the unknown kind {kind}"),
        }
    }
}

impl core::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(()) = put(&mut bytes, Kind::Call, 5, 77, |body| {
            body.extend_from_slice(b"hello");
            Ok::<(), Infallible>(())
        });
        bytes
    }

    #[test]
    fn a_frame_comes_back_and_its_bytes_are_golden() {
        let bytes = sample();
        assert_eq!(bytes, [17, 0, 0, 0, 1, 2, 5, 0, 77, 0, 0, 0, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o']);
        let frame = Frame { kind: Kind::Call, flags: 5, id: 77, body: b"hello" };
        assert_eq!(take(&bytes, 100), Ok(Some((frame, 21))));
    }

    #[test]
    fn half_a_frame_is_not_yet_a_frame() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert_eq!(take(&bytes[..end], 100), Ok(None), "{end}");
        }
    }

    #[test]
    fn hostile_headers_are_refused_at_once() {
        assert_eq!(
            take(&u32::MAX.to_le_bytes(), 100),
            Err(FrameError::TooLong { bytes: u32::MAX as usize, limit: 100 })
        );
        assert_eq!(take(&[3, 0, 0, 0], 100), Err(FrameError::TooShort(3)));
        assert_eq!(take(&[12, 0, 0, 0, 9], 100), Err(FrameError::Version(9)));
        let mut bytes = sample();
        bytes[5] = 200;
        assert_eq!(take(&bytes, 100), Err(FrameError::Kind(200)));
    }

    #[test]
    fn a_body_that_fails_leaves_the_buffer_as_it_was() {
        let mut bytes = vec![1, 2, 3];
        assert_eq!(
            put(&mut bytes, Kind::Call, 0, 0, |body| {
                body.push(9);
                Err("no")
            }),
            Err("no")
        );
        assert_eq!(bytes, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, taken))) = take(&bytes, 64) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
