//! Addresses: kept as text, understood at use.

use std::{fmt, net::IpAddr};

use ::libp2p::{Multiaddr, multiaddr::Protocol};
use guthi_core::wire::id::NodeId;

use super::{
    libp2p::{node_id, peer_id},
    ticket::{self, Ticket},
};

/// Where a node can be reached: `host:port`, `[ipv6]:port`, a multiaddress such as `/ip4/10.0.0.5/tcp/6969`, or a
/// [`Ticket`].
///
/// It is only text until it is used; what cannot be understood then is [`JoinError::BadAddress`](crate::JoinError).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The multiaddresses that this stands for, host names resolved by the system, and the node that must answer there.
    pub(crate) async fn resolve(&self) -> Result<(Vec<Multiaddr>, Option<NodeId>), String> {
        if self.0.starts_with(ticket::PREFIX) {
            let ticket: Ticket = self.0.parse().map_err(|bad: ticket::BadTicket| bad.to_string())?;
            let multiaddrs: Result<_, _> = ticket.addresses().iter().map(|address| address.parse()).collect();
            return Ok((multiaddrs.map_err(|error| format!("{error}"))?, Some(ticket.node())));
        }
        if self.0.starts_with('/') {
            let mut multiaddr: Multiaddr = self.0.parse().map_err(|error| format!("{error}"))?;
            let expected = match multiaddr.iter().last() {
                Some(Protocol::P2p(peer)) => {
                    multiaddr.pop();
                    Some(node_id(&peer).ok_or("its peer id is not of an ed25519 key")?)
                }
                _ => None,
            };
            return Ok((vec![multiaddr], expected));
        }
        if !self.0.contains(':') {
            return Err("a port is missing: write host:port".into());
        }
        let found = tokio::net::lookup_host(&self.0).await.map_err(|error| error.to_string())?;
        let multiaddrs: Vec<_> = found.map(|socket| tcp(socket.ip(), socket.port())).collect();
        if multiaddrs.is_empty() { Err("the name has no address".into()) } else { Ok((multiaddrs, None)) }
    }
}

/// The multiaddress of a TCP port.
pub(crate) fn tcp(ip: IpAddr, port: u16) -> Multiaddr {
    Multiaddr::from(ip).with(Protocol::Tcp(port))
}

/// The host and port in a multiaddress, for people.
pub(crate) fn plain(multiaddr: &str) -> Option<String> {
    let multiaddr: Multiaddr = multiaddr.parse().ok()?;
    let mut parts = multiaddr.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(format!("{ip}:{port}")),
        _ => None,
    }
}

/// A multiaddress with the node that must answer there.
pub(crate) fn with_node(multiaddr: &str, node: NodeId) -> String {
    match peer_id(node) {
        Some(peer) => format!("{multiaddr}/p2p/{peer}"),
        None => multiaddr.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: Into<String>> From<T> for Address {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}
