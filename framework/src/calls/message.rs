//! What call frames carry besides the payload.

use std::time::Duration;

use guthi_core::wire::{
    codec::{self, EncodeError},
    frame::{self, Kind},
};
use serde::{Deserialize, Serialize};

use crate::Trace;

/// Bits in the flags of call and reply frames.
pub(crate) mod flags {
    /// The payload is many payloads: see [`Batch`](super::Batch).
    pub(crate) const BATCH: u16 = 1;
    /// Arguments and result are JSON.
    pub(crate) const JSON: u16 = 2;
    /// The reply is a [`Refusal`](super::Refusal).
    pub(crate) const REFUSED: u16 = 4;
    /// The caller wants to be told how far it is.
    pub(crate) const PROGRESS: u16 = 8;
    /// Behind the header of the call stands the trace that it belongs to.
    pub(crate) const TRACED: u16 = 16;
    pub(crate) const KNOWN: u16 = BATCH | JSON | REFUSED | PROGRESS | TRACED;
}

/// The header of a call. The arguments follow as a raw tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallHeader {
    /// Which function, by the number that the caller has given it on this lane.
    pub(crate) function: u32,
    /// What that number stands for; sent with its first use, and always outside the lane.
    pub(crate) named: Option<Named>,
    /// Milliseconds until the caller gives up; zero if it does not.
    pub(crate) deadline_ms: u32,
}

impl CallHeader {
    /// Appends what stands before the payload of a call.
    pub(crate) fn put(&self, trace: Option<Trace>, body: &mut Vec<u8>) {
        codec::encode_into(self, body).expect("a header is plain data");
        if let Some(Trace { id, span }) = trace {
            body.extend_from_slice(&id.to_le_bytes());
            body.extend_from_slice(&span.to_le_bytes());
        }
    }

    /// Reads that, and returns the payload behind it. An error means that the peer does not keep to the protocol.
    pub(crate) fn take(flags: u16, body: &[u8]) -> Result<(Self, Option<Trace>, &[u8]), String> {
        if flags & !flags::KNOWN != 0 {
            return Err("a call with unknown flags".into());
        }
        let head = codec::decode_head(body);
        let (header, rest) = head.map_err(|error| format!("a call that cannot be read: {error}"))?;
        if flags & flags::TRACED == 0 {
            return Ok((header, None, rest));
        }
        let trace = rest.split_first_chunk().and_then(|(id, rest)| {
            let (span, rest) = rest.split_first_chunk()?;
            let trace = Trace { id: u128::from_le_bytes(*id), span: u64::from_le_bytes(*span) };
            trace.is_one().then_some((trace, rest))
        });
        let (trace, payload) = trace.ok_or("a call of a trace that is none")?;
        Ok((header, Some(trace), payload))
    }
}

/// A function as its caller knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Zero if the caller does not know it: then the arguments alone decide.
    pub(crate) signature: u64,
}

/// How arguments and results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Postcard,
    Json,
}

impl Format {
    pub(crate) const fn of(flags: u16) -> Self {
        if flags & flags::JSON == 0 { Self::Postcard } else { Self::Json }
    }

    pub(crate) const fn flag(self) -> u16 {
        match self {
            Self::Postcard => 0,
            Self::Json => flags::JSON,
        }
    }
}

/// Why a function gave no result, as its node tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    NoSuchFunction,
    SignatureMismatch {
        there: String,
    },
    InvalidArguments {
        message: String,
    },
    Overloaded,
    /// The node is leaving, or was told to cancel.
    Cancelled {
        started: bool,
    },
    /// The deadline had passed before, or while, it ran.
    Deadline {
        started: bool,
    },
    ResultTooLarge {
        bytes: u64,
        limit: u64,
    },
    Failed {
        message: String,
    },
    Panicked {
        message: String,
        location: String,
    },
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(Vec<u8>),
    Refused(Refusal),
    /// The lane was gone before anything was sent.
    Unsent,
    /// The deadline has passed here.
    Expired,
    /// The lane broke; nobody knows whether the function ran.
    Lost(String),
}

impl Answer {
    /// The flags and body of the reply frame that carries this; a lost answer has none.
    pub(crate) fn put(&self, buffer: &mut Vec<u8>, flags: u16, id: u64) {
        let written = match self {
            Self::Value(bytes) => frame::put(buffer, Kind::Reply, flags, id, |body| {
                body.extend_from_slice(bytes);
                Ok::<(), EncodeError>(())
            }),
            Self::Refused(refusal) => {
                frame::put(buffer, Kind::Reply, flags::REFUSED, id, |body| codec::encode_into(refusal, body))
            }
            Self::Unsent | Self::Expired | Self::Lost(_) => Ok(()),
        };
        written.expect("a refusal is plain data");
    }

    pub(crate) fn take(flags: u16, body: &[u8]) -> Self {
        if flags & flags::REFUSED == 0 { Self::Value(body.to_vec()) } else { Self::take_refusal(body) }
    }

    /// The same of a body that need not be copied.
    pub(crate) fn take_whole(flags: u16, body: Vec<u8>) -> Self {
        if flags & flags::REFUSED == 0 { Self::Value(body) } else { Self::take_refusal(&body) }
    }

    fn take_refusal(body: &[u8]) -> Self {
        match codec::decode(body) {
            Ok(refusal) => Self::Refused(refusal),
            Err(error) => Self::Lost(format!("the answer cannot be read: {error}")),
        }
    }

    pub(crate) const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Value(_) | Self::Unsent | Self::Expired | Self::Lost(_) => None,
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        match self {
            Self::Value(bytes) => bytes.len(),
            Self::Refused(_) | Self::Unsent | Self::Expired | Self::Lost(_) => 0,
        }
    }
}

/// The tag of an entry, and its bytes.
type Entry<'a> = (u8, &'a [u8]);

/// Many payloads in one: for each a tag byte, a length and the bytes.
#[derive(Debug, Default)]
pub(crate) struct Batch(pub(crate) Vec<u8>);

impl Batch {
    /// Results: before them stands the time that their worker took.
    pub(crate) fn timed() -> Self {
        Self(vec![0; 8])
    }

    /// Finished results.
    pub(crate) fn took(mut self, time: Duration) -> Vec<u8> {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[..8].copy_from_slice(&nanos.to_le_bytes());
        self.0
    }

    /// The time that a worker took, and its results.
    pub(crate) fn split_time(bytes: &[u8]) -> Option<(Duration, &[u8])> {
        let (nanos, results) = bytes.split_first_chunk::<8>()?;
        Some((Duration::from_nanos(u64::from_le_bytes(*nanos)), results))
    }

    /// Appends what `write` writes, under the tag that it returns.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> u8) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; Self::HEAD_BYTES]);
        let tag = write(&mut self.0);
        let length = u32::try_from(self.0.len() - start - Self::HEAD_BYTES).expect("limits keep payloads below 4 GiB");
        self.0[start] = tag;
        self.0[start + 1..start + Self::HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    /// Appends the refusal of one entry; returns its tag.
    pub(crate) fn refuse(refusal: &Refusal, output: &mut Vec<u8>) -> u8 {
        codec::encode_into(refusal, output).expect("a refusal is plain data");
        Self::REFUSED
    }

    /// The entries in `bytes`, or `None` where they do not fit.
    pub(crate) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let entry = Self::split(bytes);
            bytes = entry.map_or(&[], |(_, _, rest)| rest);
            Some(entry.map(|(tag, content, _)| (tag, content)))
        })
    }

    /// The first entry, and how many bytes it takes; `None` if it is not all there yet. A length beyond `limit` is refused as
    /// soon as it is read.
    pub(crate) fn first(bytes: &[u8], limit: usize) -> Result<Option<(Entry<'_>, usize)>, String> {
        let length = bytes.get(1..Self::HEAD_BYTES).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        if let Some(length) = length.filter(|length| *length as usize > limit) {
            return Err(format!("an entry of {length} bytes, and at most {limit} are allowed"));
        }
        Ok(Self::split(bytes).map(|(tag, content, rest)| ((tag, content), bytes.len() - rest.len())))
    }

    fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<{ Self::HEAD_BYTES }>()?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (content, rest) = rest.split_at_checked(length)?;
        Some((head[0], content, rest))
    }

    pub(crate) const HEAD_BYTES: usize = 5;
    pub(crate) const VALUE: u8 = 0;
    pub(crate) const REFUSED: u8 = 1;
}
