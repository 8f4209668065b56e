//! Tickets: all that is needed to join a node, as one word to copy.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use guthi_core::wire::{codec, id::NodeId, limits::ADDRESSES_MAX};
use serde::{Deserialize, Serialize};

use crate::ClusterKey;

pub(crate) const PREFIX: &str = "guthi1node";
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// At the end, against a letter that was lost on the way.
const CHECK_BYTES: usize = 4;

/// All that is needed to join a node, as one word to copy: `guthi1node…`.
///
/// It holds the node's cluster, its identity and its addresses, and the key of the cluster if
/// [`with_key`](Self::with_key) put it there: then treat it like a password. Wherever an [`Address`](crate::Address) is
/// asked for, a ticket will do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    cluster: String,
    node: NodeId,
    addresses: Vec<String>,
    key: Option<[u8; 32]>,
}

impl Ticket {
    pub(crate) fn new(cluster: &str, node: NodeId, addresses: &[String]) -> Self {
        let addresses = addresses.iter().take(ADDRESSES_MAX).cloned().collect();
        Self { cluster: cluster.to_owned(), node, addresses, key: None }
    }

    /// The same with the key, for those who do not have it yet.
    #[must_use]
    pub fn with_key(self, key: &ClusterKey) -> Self {
        Self { key: Some(key.bytes()), ..self }
    }

    /// The cluster of the node.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Where the node can be reached, as multiaddresses.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The key of the cluster, if the ticket has it.
    #[must_use]
    pub fn key(&self) -> Option<ClusterKey> {
        self.key.map(ClusterKey::of_bytes)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = codec::encode(self, TEXT_BYTES_MAX).map_err(|_| fmt::Error)?;
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(BadTicket("it does not begin with guthi1node"))?;
        if digits.len() > TEXT_BYTES_MAX {
            return Err(BadTicket("it is too long"));
        }
        let damaged = BadTicket("it is damaged: copy it anew, as a whole");
        let bytes = BASE32_NOPAD.decode(digits.to_uppercase().as_bytes()).map_err(|_| damaged)?;
        let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(damaged)?;
        if blake3::hash(bytes).as_bytes()[..CHECK_BYTES] != *check {
            return Err(damaged);
        }
        let ticket: Self = codec::decode(bytes).map_err(|_| damaged)?;
        if ticket.addresses.is_empty() || ticket.addresses.len() > ADDRESSES_MAX {
            return Err(BadTicket("its node cannot be reached from anywhere"));
        }
        Ok(ticket)
    }
}

/// The key is not shown.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Ticket");
        debug.field("cluster", &self.cluster).field("node", &self.node).field("addresses", &self.addresses);
        debug.finish_non_exhaustive()
    }
}

/// A text is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket: {0}")]
pub struct BadTicket(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket::new("studio", NodeId([7; 32]), &["/ip4/10.0.0.5/tcp/6969".into()])
    }

    #[test]
    fn a_ticket_survives_being_copied() {
        let key = ClusterKey::generate().unwrap();
        for ticket in [ticket(), ticket().with_key(&key)] {
            assert_eq!(format!(" {ticket}\n").parse(), Ok(ticket));
        }
        assert_eq!(ticket().with_key(&key).key(), Some(key));
    }

    #[test]
    fn a_damaged_ticket_is_refused() {
        let text = ticket().to_string();
        let mut swapped = text.clone().into_bytes();
        swapped[20] = if swapped[20] == b'a' { b'b' } else { b'a' };
        let swapped = String::from_utf8(swapped).unwrap();
        for bad in ["", "guthi1node", "guthi1file22", &text[..text.len() - 3], &swapped, &format!("{text}aaaaaaaa")] {
            assert!(bad.parse::<Ticket>().is_err(), "{bad}");
        }
        let unreachable = Ticket { addresses: Vec::new(), ..ticket() }.to_string();
        assert!(unreachable.parse::<Ticket>().is_err());
        assert!(format!("{PREFIX}{}", "a".repeat(1 << 20)).parse::<Ticket>().is_err());
    }
}
