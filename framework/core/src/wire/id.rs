//! Who is who.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A node's identity: its ed25519 public key.
///
/// The text form is the PeerId that libp2p tools print (`12D3KooW…`).
/// All such texts begin alike, so the short form is the *last* eight characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The last eight characters of the text form, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.text();
        String::from(&text[text.len() - SHORT_CHARACTERS..])
    }

    fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(MULTIHASH_PREFIX.len() + self.0.len());
        bytes.extend_from_slice(&MULTIHASH_PREFIX);
        bytes.extend_from_slice(&self.0);
        bs58::encode(bytes).into_string()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for NodeId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        // The bound keeps a hostile text from costing quadratic time in the base conversion.
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadId);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| BadId)?;
        let key = bytes.strip_prefix(&MULTIHASH_PREFIX).ok_or(BadId)?;
        key.try_into().map(Self).map_err(|_| BadId)
    }
}

/// A text that is no node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a node id: expected a PeerId of an ed25519 key, 12D3KooW…")
    }
}

impl core::error::Error for BadId {}

/// Which life of a node this is: a restarted process is a new member with a higher incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// One life of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// Which of its lives.
    pub incarnation: Incarnation,
}

/// An identity multihash of 36 bytes that holds a protobuf of an ed25519 key of 32 bytes.
const MULTIHASH_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
const SHORT_CHARACTERS: usize = 8;
const TEXT_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_text_form_is_a_peer_id_and_comes_back() {
        let id = NodeId([7; 32]);
        let text = id.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse::<NodeId>(), Ok(id));
        assert!(text.ends_with(&id.short()));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl", &"1".repeat(100_000)] {
            assert_eq!(text.parse::<NodeId>(), Err(BadId));
        }
    }
}
