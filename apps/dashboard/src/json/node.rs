use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use guthi::{Node, NodeId, Peer, Status};
use serde::Serialize;

use crate::{app::App, http::refusal::Refusal, timestamp::rfc3339};

/// The wheel of colours has so many.
const COLOURS: u8 = 12;
/// What is news about an echo: a quarter more or less, and a tenth of a millisecond at least.
const RTT_NEWS: f64 = 0.25;
const RTT_NEWS_MS: f64 = 0.1;

/// A node, as this one sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NodeRow {
    pub(crate) id: String,
    short: String,
    pub(crate) name: String,
    #[serde(rename = "self")]
    is_self: bool,
    pub(crate) status: &'static str,
    member: bool,
    addresses: Vec<String>,
    ip: Option<String>,
    port: Option<u16>,
    zone: Option<String>,
    labels: BTreeMap<String, String>,
    pub(crate) rtt_ms: Option<f64>,
    cpu: Option<u8>,
    memory: Option<u8>,
    calls: u32,
    functions: usize,
    version: Option<String>,
    incarnation: String,
    since: String,
    reason: Option<String>,
    colour: u8,
}

impl NodeRow {
    /// This node itself.
    pub(crate) fn own(app: &App) -> Self {
        let node = &app.node;
        let addresses: Vec<_> = node.addresses().iter().map(|address| address.as_str().to_owned()).collect();
        let me = node.members().into_iter().find(|member| member.id == node.id());
        let mine = |function: &guthi::FunctionInfo| function.nodes.contains(&node.id());
        let place = best_place(&addresses);
        let load = app.load.known();
        Self {
            id: node.id().to_string(),
            short: node.id().short(),
            name: node.name().to_owned(),
            is_self: true,
            status: Status::Alive.name(),
            member: me.is_some(),
            ip: place.as_ref().map(|(ip, _)| ip.clone()),
            port: place.map(|(_, port)| port),
            addresses,
            zone: node.labels().get("zone").cloned(),
            labels: node.labels().clone(),
            rtt_ms: None,
            cpu: load.cpu,
            memory: load.memory,
            calls: load.calls,
            functions: node.functions().iter().filter(|function| mine(function)).count(),
            version: Some(guthi::VERSION.to_owned()),
            incarnation: me.map(|me| me.incarnation.0.to_string()).unwrap_or_default(),
            since: rfc3339(app.began),
            reason: None,
            colour: colour(node.id()),
        }
    }

    pub(crate) fn of(peer: Peer, is_member: bool) -> Self {
        let place = best_place(&peer.addresses);
        // What a node did before it was lost says nothing of now.
        let is_gone = matches!(peer.status, Status::Failed | Status::Left);
        let (rtt, load) = if is_gone { (None, None) } else { (peer.rtt, peer.load) };
        Self {
            id: peer.id.to_string(),
            short: peer.id.short(),
            name: peer.name,
            is_self: false,
            status: peer.status.name(),
            member: is_member,
            ip: place.as_ref().map(|(ip, _)| ip.clone()),
            port: place.map(|(_, port)| port),
            addresses: peer.addresses,
            zone: peer.labels.get("zone").cloned(),
            labels: peer.labels,
            rtt_ms: rtt.map(milliseconds),
            cpu: load.and_then(|load| load.cpu),
            memory: load.and_then(|load| load.memory),
            calls: load.map_or(0, |load| load.calls),
            functions: peer.functions.len(),
            version: peer.version,
            incarnation: peer.incarnation.0.to_string(),
            since: rfc3339(peer.since),
            reason: peer.reason,
            colour: colour(peer.id),
        }
    }

    /// Where it stands in lists: itself, those who live by name, the others.
    pub(crate) fn rank(&self) -> String {
        let rank = match self.status {
            _ if self.is_self => 0,
            "joining" | "alive" | "suspected" => 1,
            _ => 2,
        };
        format!("{rank}{}\0{}", self.name, self.id)
    }
}

/// All that are known, in the order of lists.
pub(crate) fn nodes(app: &App) -> Vec<NodeRow> {
    let members: HashSet<NodeId> = app.node.members().iter().map(|member| member.id).collect();
    let peers = app.node.peers().into_iter().map(|peer| {
        let is_member = members.contains(&peer.id);
        NodeRow::of(peer, is_member)
    });
    let mut rows: Vec<_> = std::iter::once(NodeRow::own(app)).chain(peers).collect();
    rows.sort_by_cached_key(NodeRow::rank);
    rows
}

/// The same rows, with the echo's time as it was told last where it is nearly that: it trembles all the time.
pub(crate) fn steady(mut rows: Vec<NodeRow>, told: &[NodeRow]) -> Vec<NodeRow> {
    let told: HashMap<_, _> = told.iter().map(|row| (row.id.as_str(), row.rtt_ms)).collect();
    for row in &mut rows {
        if let (Some(now), Some(Some(before))) = (row.rtt_ms, told.get(row.id.as_str()))
            && (now - before).abs() <= (before * RTT_NEWS).max(RTT_NEWS_MS)
        {
            row.rtt_ms = Some(*before);
        }
    }
    rows
}

/// What a node is called; `None` if it is not known.
pub(crate) fn name(node: &Node, id: NodeId) -> Option<String> {
    if id == node.id() {
        return Some(node.name().to_owned());
    }
    node.peers().into_iter().find(|peer| peer.id == id).map(|peer| peer.name)
}

/// What all nodes are called, and where they are.
pub(crate) struct Names(HashMap<NodeId, (String, Option<String>)>);

impl Names {
    pub(crate) fn of(node: &Node) -> Self {
        let addresses: Vec<_> = node.addresses().iter().map(ToString::to_string).collect();
        let own = (node.id(), (node.name().to_owned(), best_address(&addresses)));
        let peers = node.peers().into_iter().map(|peer| (peer.id, (peer.name, best_address(&peer.addresses))));
        Self(peers.chain([own]).collect())
    }

    pub(crate) fn name(&self, id: NodeId) -> Option<String> {
        self.0.get(&id).map(|(name, _)| name.clone())
    }

    /// `10.0.0.5:6969`
    pub(crate) fn address(&self, id: NodeId) -> Option<String> {
        self.0.get(&id)?.1.clone()
    }
}

/// The node that is meant by an id, a short id, or a name, if it is the only one.
pub(crate) fn find(node: &Node, text: &str) -> Result<NodeId, Refusal> {
    let peers = node.peers();
    let known = || peers.iter().map(|peer| (peer.id, peer.name.as_str())).chain([(node.id(), node.name())]);
    if let Ok(id) = text.parse::<NodeId>() {
        let found = known().any(|(known, _)| known == id);
        return if found { Ok(id) } else { Err(unknown(text)) };
    }
    let mut found: Vec<_> =
        known().filter(|(id, name)| *name == text || id.short() == text).map(|(id, _)| id).collect();
    if found.len() > 1 {
        // A name that was taken over means who has it now.
        let lives = |id: &NodeId| {
            let peer = peers.iter().find(|peer| peer.id == *id);
            peer.is_none_or(|peer| matches!(peer.status, Status::Joining | Status::Alive | Status::Suspected))
        };
        found.retain(lives);
    }
    match found[..] {
        [id] => Ok(id),
        [] => Err(unknown(text)),
        _ => Err(Refusal::new("ambiguous", format!("{} nodes are meant by `{text}`", found.len())).next("give its id")),
    }
}

fn unknown(text: &str) -> Refusal {
    Refusal::new("not_found", format!("no node is known by `{text}`")).next("ask for /api/v1/nodes")
}

/// The address and the port in a multiaddress, `/ip4/10.0.0.5/tcp/6969/…`.
pub(crate) fn place(multiaddr: &str) -> Option<(String, u16)> {
    let mut parts = multiaddr.strip_prefix('/')?.split('/');
    if !matches!(parts.next()?, "ip4" | "ip6" | "dns" | "dns4" | "dns6") {
        return None;
    }
    let host = parts.next()?.to_owned();
    if !matches!(parts.next()?, "tcp" | "udp") {
        return None;
    }
    Some((host, parts.next()?.parse().ok()?))
}

/// Of several places the one that others reach most likely.
fn best_place(addresses: &[String]) -> Option<(String, u16)> {
    let places = || addresses.iter().filter_map(|address| place(address));
    let beyond = |(host, _): &(String, u16)| !host.starts_with("127.") && host != "::1";
    places().find(beyond).or_else(|| places().next())
}

fn best_address(addresses: &[String]) -> Option<String> {
    let (host, port) = best_place(addresses)?;
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// Three decimals: a microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn colour(id: NodeId) -> u8 {
    blake3::hash(&id.0).as_bytes()[0] % COLOURS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_a_multiaddress() {
        assert_eq!(place("/ip4/10.0.0.5/tcp/6969/p2p/12D3"), Some(("10.0.0.5".into(), 6969)));
        assert_eq!(place("/ip6/::1/udp/1/quic-v1"), Some(("::1".into(), 1)));
        for other in ["", "10.0.0.5:6969", "/memory/1", "/ip4/10.0.0.5", "/ip4/10.0.0.5/tcp/x"] {
            assert_eq!(place(other), None, "{other}");
        }
        let both = ["/ip4/127.0.0.1/tcp/1".to_owned(), "/ip4/10.0.0.5/tcp/2".to_owned()];
        assert_eq!(best_place(&both), Some(("10.0.0.5".into(), 2)));
        assert_eq!(best_place(&both[..1]), Some(("127.0.0.1".into(), 1)));
    }

    #[test]
    fn colours_are_those_of_the_wheel() {
        let colours: std::collections::BTreeSet<_> = (0..=255).map(|byte| colour(NodeId([byte; 32]))).collect();
        assert_eq!(colours, (0..COLOURS).collect());
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)), 1.235);
    }
}
