//! Admission: both ends prove that they hold the cluster's key before anything else is said.
//!
//! ```text
//! dialler                                   listener
//!   Hello { cluster tag, nonce, incarnation } ->
//!   <- Hello { cluster tag, nonce, incarnation }
//!   Proof { mac, standing } ->                           wrong: Verdict and close
//!   <- Proof { mac, standing }, Verdict
//!   Verdict ->
//! ```
//! A proof is a keyed BLAKE3 hash over both fresh nonces, both node ids (which noise has proven), both incarnations, the
//! cluster's name and the prover's role: nothing of it can be used on another connection, nor sent back.
//! The dialler proves first, so a stranger who dials learns nothing that a key has touched.
//!
//! **One link per pair.** When two nodes dial each other at once, the node of the *smaller id* decides which connection
//! becomes the link. It refuses a second one as `Duplicate` if the other end says that it holds one `elsewhere`:
//! if it does not, it has lost the first, and the new one takes its place. That counts only if it was said after the
//! proof of the first: handshakes overtake each other, and before it the other end had nothing to lose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use guthi_core::wire::{
    codec,
    frame::{self, FrameError, Kind},
    id::{Incarnation, Member, NodeId},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Connection, ConnectionId, Stream};
use crate::api::key::ClusterKey;

const TIMEOUT: Duration = Duration::from_secs(5);
const FRAME_BYTES_MAX: usize = 1024;

/// Who asks for admission, and to what.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) me: Member,
    pub(crate) cluster: String,
    /// The first is used; the others are accepted as well.
    pub(crate) keys: Vec<ClusterKey>,
}

/// Names one link to its two ends, and to nobody else. What travels on another connection says by it where it belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) [u8; 16]);

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tag")
    }
}

/// Who is at the other end of a connection that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) member: Member,
    pub(crate) tag: Tag,
}

/// Why a connection was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it has another cluster key")]
    WrongKey,
    #[error("it belongs to another cluster")]
    WrongCluster,
    #[error("it speaks wire version {0}")]
    WrongVersion(u8),
    #[error("there is a link with it already")]
    Duplicate,
    #[error("{0}")]
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Message {
    Hello(Hello),
    Proof { mac: [u8; 32], standing: Standing },
    Verdict(Verdict),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    cluster: [u8; 16],
    nonce: [u8; 32],
    incarnation: Incarnation,
}

/// What a node says of its other connections with the same peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    /// It is, or may be, linked on another one.
    elsewhere: bool,
    /// Rises with every proof, whatever the connection: tells which of two was sent first.
    number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Accept,
    Duplicate,
    WrongKey,
    WrongCluster,
    Refused(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Dialler,
    Listener,
}

/// Runs the handshake on a fresh control stream; returns who is at the other end.
pub(crate) async fn admit(
    credentials: &Credentials,
    connection: &Connection,
    links: &Links,
    stream: &mut Stream,
) -> Result<Admitted, Refused> {
    let handshake = Handshake { credentials, connection, links, stream };
    match tokio::time::timeout(TIMEOUT, handshake.run()).await {
        Ok(result) => result,
        Err(_) => Err(Refused::Other("it did not finish the handshake".into())),
    }
}

struct Handshake<'a> {
    credentials: &'a Credentials,
    connection: &'a Connection,
    links: &'a Links,
    stream: &'a mut Stream,
}

impl Handshake<'_> {
    async fn run(mut self) -> Result<Admitted, Refused> {
        let mine = Hello {
            cluster: cluster_tag(&self.credentials.cluster),
            nonce: nonce()?,
            incarnation: self.credentials.me.incarnation,
        };
        let theirs = if self.connection.dialled {
            self.send(Message::Hello(mine.clone())).await?;
            self.hello().await?
        } else {
            let theirs = match self.hello().await {
                Err(Refused::WrongVersion(version)) => {
                    // Any frame of ours tells the other end which version we speak.
                    let _ = self.send(Message::Verdict(Verdict::Refused("another wire version".into()))).await;
                    return Err(Refused::WrongVersion(version));
                }
                theirs => theirs?,
            };
            if theirs.cluster == mine.cluster {
                self.send(Message::Hello(mine.clone())).await?;
            }
            theirs
        };
        if theirs.cluster != mine.cluster {
            // The other end learns it from us, since it has seen nothing of our cluster.
            let _ = self.send(Message::Verdict(Verdict::WrongCluster)).await;
            return Err(Refused::WrongCluster);
        }
        let peer = Member { node: self.connection.peer, incarnation: theirs.incarnation };
        let result = if self.connection.dialled {
            self.as_dialler(&mine, &theirs, peer).await
        } else {
            self.as_listener(&mine, &theirs, peer).await
        };
        let nonces = if self.connection.dialled { [mine.nonce, theirs.nonce] } else { [theirs.nonce, mine.nonce] };
        result.map(|()| Admitted { member: peer, tag: Tag::of(nonces) })
    }

    async fn as_dialler(&mut self, mine: &Hello, theirs: &Hello, peer: Member) -> Result<(), Refused> {
        let key = self.credentials.keys[0].clone();
        self.prove(&key, mine, theirs, Role::Dialler, peer).await?;
        let (mac, standing) = self.proof().await?;
        self.verdict().await?;
        if self.matching(mac, mine, theirs, Role::Listener).is_none() {
            return self.refuse(Verdict::WrongKey).await;
        }
        self.decide(peer, standing).await
    }

    async fn as_listener(&mut self, mine: &Hello, theirs: &Hello, peer: Member) -> Result<(), Refused> {
        let (mac, standing) = self.proof().await?;
        let Some(key) = self.matching(mac, mine, theirs, Role::Dialler) else {
            return self.refuse(Verdict::WrongKey).await;
        };
        self.prove(&key, mine, theirs, Role::Listener, peer).await?;
        self.decide(peer, standing).await?;
        self.verdict().await?;
        self.links.confirm(self.credentials.me.node, self.connection, peer);
        Ok(())
    }

    /// Gives this side's verdict. The node of the smaller id chooses among connections; the other accepts what it chose.
    async fn decide(&mut self, peer: Member, standing: Standing) -> Result<(), Refused> {
        let verdict = self.links.decide(self.credentials.me.node, self.connection, peer, standing);
        if verdict == Verdict::Accept { self.send(Message::Verdict(verdict)).await } else { self.refuse(verdict).await }
    }

    async fn prove(
        &mut self,
        key: &ClusterKey,
        mine: &Hello,
        theirs: &Hello,
        role: Role,
        peer: Member,
    ) -> Result<(), Refused> {
        let mac = self.mac(key, mine, theirs, role);
        let standing = self.links.proving(self.connection.id, peer.node);
        self.send(Message::Proof { mac: *mac.as_bytes(), standing }).await
    }

    /// The key under which a proof of the other end is right. The comparison takes constant time.
    fn matching(&self, mac: [u8; 32], mine: &Hello, theirs: &Hello, prover: Role) -> Option<ClusterKey> {
        self.credentials.keys.iter().find(|key| self.mac(key, mine, theirs, prover) == mac).cloned()
    }

    fn mac(&self, key: &ClusterKey, mine: &Hello, theirs: &Hello, prover: Role) -> blake3::Hash {
        let me = self.credentials.me.node;
        let peer = self.connection.peer;
        let (dialler, listener) =
            if self.connection.dialled { ((me, mine), (peer, theirs)) } else { ((peer, theirs), (me, mine)) };
        let mut hasher = blake3::Hasher::new_keyed(&key.admission_key());
        hasher.update(&[guthi_core::wire::version::WIRE_VERSION, u8::from(prover == Role::Dialler)]);
        for (node, hello) in [dialler, listener] {
            hasher.update(&node.0).update(&hello.nonce).update(&hello.incarnation.0.to_le_bytes());
        }
        hasher.update(self.credentials.cluster.as_bytes());
        hasher.finalize()
    }

    async fn refuse(&mut self, verdict: Verdict) -> Result<(), Refused> {
        let refused = match &verdict {
            Verdict::Accept => return Ok(()),
            Verdict::Duplicate => Refused::Duplicate,
            Verdict::WrongKey => Refused::WrongKey,
            Verdict::WrongCluster => Refused::WrongCluster,
            Verdict::Refused(reason) => Refused::Other(reason.clone()),
        };
        let _ = self.send(Message::Verdict(verdict)).await;
        Err(refused)
    }

    async fn hello(&mut self) -> Result<Hello, Refused> {
        match self.receive().await? {
            Message::Hello(hello) => Ok(hello),
            other => Err(out_of_order(&other)),
        }
    }

    async fn proof(&mut self) -> Result<([u8; 32], Standing), Refused> {
        match self.receive().await? {
            Message::Proof { mac, standing } => Ok((mac, standing)),
            other => Err(out_of_order(&other)),
        }
    }

    async fn verdict(&mut self) -> Result<(), Refused> {
        match self.receive().await? {
            Message::Verdict(Verdict::Accept) => Ok(()),
            other => Err(out_of_order(&other)),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Refused> {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, Kind::Control, 0, 0, |body| codec::encode_into(&message, body))
            .map_err(|error| Refused::Other(error.to_string()))?;
        self.stream.write_all(&bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    /// Reads exactly one frame, so that nothing of what follows the handshake is swallowed.
    async fn receive(&mut self) -> Result<Message, Refused> {
        let mut bytes = vec![0; 5];
        self.stream.read_exact(&mut bytes).await.map_err(broken)?;
        if let Err(error) = frame::take(&bytes, FRAME_BYTES_MAX) {
            return Err(unreadable(error));
        }
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        bytes.resize(4 + length, 0);
        self.stream.read_exact(&mut bytes[5..]).await.map_err(broken)?;
        match frame::take(&bytes, FRAME_BYTES_MAX) {
            Ok(Some((frame, _))) if frame.kind == Kind::Control => {
                codec::decode(frame.body).map_err(|error| Refused::Other(error.to_string()))
            }
            Ok(_) => Err(Refused::Other("it does not speak the handshake".into())),
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// A message where another was due; a verdict explains itself.
fn out_of_order(message: &Message) -> Refused {
    match message {
        Message::Verdict(Verdict::WrongKey) => Refused::WrongKey,
        Message::Verdict(Verdict::WrongCluster) => Refused::WrongCluster,
        Message::Verdict(Verdict::Duplicate) => Refused::Duplicate,
        Message::Verdict(Verdict::Refused(reason)) => Refused::Other(reason.clone()),
        _ => Refused::Other("it does not keep to the handshake".into()),
    }
}

fn broken(error: std::io::Error) -> Refused {
    Refused::Other(format!("the handshake broke: {error}"))
}

fn unreadable(error: FrameError) -> Refused {
    match error {
        FrameError::Version(version) => Refused::WrongVersion(version),
        other => Refused::Other(other.to_string()),
    }
}

fn cluster_tag(cluster: &str) -> [u8; 16] {
    let hash = blake3::derive_key("guthi 2026 cluster tag", cluster.as_bytes());
    *hash.first_chunk().expect("a hash has 32 bytes")
}

impl Tag {
    /// Nobody else has seen both nonces: they travel encrypted, between two ends that have proven who they are.
    fn of([dialler, listener]: [[u8; 32]; 2]) -> Self {
        let hash = blake3::derive_key("guthi 2026 link tag", &[dialler, listener].concat());
        Self(*hash.first_chunk().expect("a hash has 32 bytes"))
    }
}

fn nonce() -> Result<[u8; 32], Refused> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| Refused::Other(error.to_string()))?;
    Ok(nonce)
}

/// Which connections are, or may become, the link with each peer: what the handshakes of one node share.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    peers: BTreeMap<NodeId, Candidates>,
    proofs: u64,
    /// Who is refused, whatever key it has.
    banned: BTreeSet<NodeId>,
}

#[derive(Debug, Default)]
struct Candidates {
    admitted: Option<Candidate>,
    proving: BTreeSet<ConnectionId>,
}

#[derive(Debug)]
struct Candidate {
    connection: ConnectionId,
    incarnation: Incarnation,
    /// The number of the peer's proof.
    proof: u64,
}

impl Links {
    /// Notes that a proof goes out on this connection, and returns what it says of the others.
    fn proving(&self, connection: ConnectionId, peer: NodeId) -> Standing {
        let mut table = self.0.lock();
        table.proofs += 1;
        let number = table.proofs;
        let candidates = table.peers.entry(peer).or_default();
        candidates.proving.insert(connection);
        Standing { elsewhere: candidates.admitted.is_some() || candidates.proving.len() > 1, number }
    }

    fn decide(&self, me: NodeId, connection: &Connection, peer: Member, standing: Standing) -> Verdict {
        let mut table = self.0.lock();
        if table.banned.contains(&peer.node) {
            return Verdict::Refused("it has banned this node".into());
        }
        let candidates = table.peers.entry(peer.node).or_default();
        match &candidates.admitted {
            Some(admitted) if admitted.incarnation != peer.incarnation => {
                Verdict::Refused("another process with this identity is linked".into())
            }
            Some(admitted) if me < peer.node && (standing.elsewhere || standing.number < admitted.proof) => {
                Verdict::Duplicate
            }
            _ => {
                if me < peer.node || connection.dialled {
                    candidates.admit(connection, peer, standing.number);
                }
                Verdict::Accept
            }
        }
    }

    /// Refuses a node from now on.
    pub(crate) fn ban(&self, node: NodeId) {
        self.0.lock().banned.insert(node);
    }

    pub(crate) fn is_banned(&self, node: NodeId) -> bool {
        self.0.lock().banned.contains(&node)
    }

    pub(crate) fn bans(&self) -> BTreeSet<NodeId> {
        self.0.lock().banned.clone()
    }

    /// The deciding end has accepted this connection; if that is this end, it knows.
    fn confirm(&self, me: NodeId, connection: &Connection, peer: Member) {
        if me > peer.node {
            self.0.lock().peers.entry(peer.node).or_default().admit(connection, peer, 0);
        }
    }

    /// Whether this connection is the link with its peer now.
    pub(crate) fn is_link(&self, connection: ConnectionId, peer: NodeId) -> bool {
        self.0.lock().peers.get(&peer).is_some_and(|candidates| candidates.is_link(connection))
    }

    /// The connection is gone.
    pub(crate) fn forget(&self, connection: ConnectionId, peer: NodeId) {
        let mut table = self.0.lock();
        if let Some(candidates) = table.peers.get_mut(&peer) {
            candidates.proving.remove(&connection);
            if candidates.is_link(connection) {
                candidates.admitted = None;
            }
            if candidates.admitted.is_none() && candidates.proving.is_empty() {
                table.peers.remove(&peer);
            }
        }
    }
}

impl Candidates {
    fn admit(&mut self, connection: &Connection, peer: Member, proof: u64) {
        self.admitted = Some(Candidate { connection: connection.id, incarnation: peer.incarnation, proof });
    }

    fn is_link(&self, connection: ConnectionId) -> bool {
        self.admitted.as_ref().is_some_and(|admitted| admitted.connection == connection)
    }
}
