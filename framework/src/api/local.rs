//! The nodes of this machine, for those who are no node themselves: command lines, scripts, supervisors.

use std::path::{Path, PathBuf};

use guthi_core::wire::id::{Incarnation, NodeId};
use serde::{Deserialize, Serialize};

use crate::{
    BuildError,
    runtime::directory::{Directory, Neighbour},
};

/// A live node of this user on this machine, as it wrote about itself in the runtime directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalNode {
    /// Its identity.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// The process in which it runs.
    pub pid: u32,
    /// Which of its lives this is: the milliseconds since 1970 when it began, as a rule.
    pub incarnation: Incarnation,
    /// Where other nodes reach it, as multiaddresses.
    pub addresses: Vec<String>,
    /// How it can be looked at and steered, if it can.
    pub control: Option<Control>,
}

/// How a node can be looked at and steered: what [`Node::set_control`](crate::Node::set_control) announces.
///
/// Whoever knows the token can do with the node what its owner can. It stands in a file that only the owner can read, and
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Where its HTTP interface is, such as `http://127.0.0.1:7969`.
    pub url: String,
    /// What the interface asks for.
    pub token: String,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The live nodes of this user on this machine, of all clusters, the oldest first: of this runtime directory, or of
/// [`runtime_dir`]. None if the directory does not exist.
///
/// # Errors
/// [`BuildError::RuntimeDirectory`] if it cannot be read, or others than its owner could write to it.
pub fn local_nodes(directory: Option<&Path>) -> Result<Vec<LocalNode>, BuildError> {
    let root = directory.map_or_else(runtime_dir, Path::to_path_buf);
    let everybody = Directory::everybody(&root)?.into_iter().map(|Neighbour { node: id, entry, control }| LocalNode {
        id,
        name: entry.name,
        cluster: entry.cluster,
        pid: entry.pid,
        incarnation: Incarnation(entry.incarnation),
        addresses: entry.addresses,
        control: control.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
    });
    let mut everybody: Vec<_> = everybody.collect();
    everybody.sort_by_key(|node| (node.incarnation, node.id));
    Ok(everybody)
}

/// Where the nodes of one machine find each other unless they are told otherwise: `GUTHI_RUNTIME_DIR`, else
/// `$XDG_RUNTIME_DIR/guthi`, else a private folder of the temporary directory.
#[must_use]
pub fn runtime_dir() -> PathBuf {
    Directory::default_root()
}
