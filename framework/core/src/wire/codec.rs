//! Values to bytes and back: postcard, with nothing left over.

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

/// Encodes a value; fails if the bytes exceed `limit` or the value refuses.
///
/// # Errors
/// [`EncodeError`] tells which of the two.
pub fn encode<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Vec<u8>, EncodeError> {
    let bytes = postcard::to_allocvec(value).map_err(EncodeError::Refused)?;
    if bytes.len() > limit { Err(EncodeError::TooLarge { bytes: bytes.len(), limit }) } else { Ok(bytes) }
}

/// Appends a value to a buffer.
///
/// # Errors
/// [`EncodeError::Refused`] if the value's own `Serialize` fails; the buffer is then as it was.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = buffer.len();
    match postcard::serialize_with_flavor(value, Tail(buffer)) {
        Ok(()) => Ok(()),
        Err(error) => {
            buffer.truncate(start);
            Err(EncodeError::Refused(error))
        }
    }
}

/// Decodes a whole value; bytes left over are an error.
///
/// Lengths inside are checked against the bytes that are there, and collections grow as their elements arrive,
/// so that a hostile length cannot make this allocate more than a small multiple of `bytes.len()` plus one megabyte.
///
/// # Errors
/// [`DecodeError`] if the bytes are not exactly one such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = decode_head(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes(rest.len())) }
}

/// Decodes the value at the head of `bytes` and returns it with what follows.
///
/// # Errors
/// [`DecodeError::Malformed`] if the bytes do not begin with such a value.
pub fn decode_head<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    postcard::take_from_bytes(bytes).map_err(DecodeError::Malformed)
}

/// Why a value could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The value's own `Serialize` failed, or asks for something that postcard has not.
    Refused(postcard::Error),
    /// The value is larger than it may be.
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the value cannot be encoded: {error}"),
            Self::TooLarge { bytes, limit } => write!(f, "{bytes} bytes, and at most {limit} are allowed"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end too early or do not fit the type.
    Malformed(postcard::Error),
    /// So many bytes follow the value.
    TrailingBytes(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the bytes do not fit the type: {error}"),
            Self::TrailingBytes(count) => write!(f, "{count} bytes follow the value"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Lets postcard append to a borrowed buffer.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};

    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&(1u8, "a"), 100).unwrap();
        assert_eq!(decode::<(u8, String)>(&bytes), Ok((1, String::from("a"))));
        bytes.push(0);
        assert_eq!(decode::<(u8, String)>(&bytes), Err(DecodeError::TrailingBytes(1)));
    }

    #[test]
    fn a_hostile_length_is_refused_without_its_allocation() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(DecodeError::Malformed(_))));
        assert!(matches!(decode::<String>(&bytes), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn the_limit_holds() {
        assert_eq!(encode(&vec![0u8; 10], 10), Err(EncodeError::TooLarge { bytes: 11, limit: 10 }));
    }
}
