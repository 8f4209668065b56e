//! The runtime directory: how nodes on one machine find each other.
//!
//! Each node has a file `<directory>/<cluster>/<id>.json` with its addresses, locked while its process lives.
//! A file whose lock can be taken belongs to a dead process and is deleted by whoever finds it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use guthi_core::wire::id::NodeId;
use serde::{Deserialize, Serialize};

use crate::{BuildError, ClusterKey};

const ENTRY_BYTES_MAX: u64 = 64 * 1024;
const KEY_FILE: &str = "key";

/// What a node writes about itself for others on its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) pid: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
}

/// This node's file; the lock is held, and the file there, until it is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    path: PathBuf,
    _locked: File,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A directory that only this user can read.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    cluster: PathBuf,
}

impl Directory {
    /// `GUTHI_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/guthi`, else `guthi-<uid>` in the temporary directory.
    pub(crate) fn default_root() -> PathBuf {
        if let Some(path) = std::env::var_os("GUTHI_RUNTIME_DIR") {
            return path.into();
        }
        match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(path) if Path::new(&path).is_dir() => Path::new(&path).join("guthi"),
            _ => std::env::temp_dir().join(format!("guthi-{}", rustix::process::getuid().as_raw())),
        }
    }

    /// Opens, or makes, the directory of a cluster; refuses one that others could write to.
    pub(crate) fn open(root: PathBuf, cluster: &str) -> Result<Self, BuildError> {
        // A cluster's name may hold anything; its file name may not.
        let folder = cluster.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            other => format!("_{other:02x}"),
        });
        let folder: String = folder.collect();
        let directory = Self { cluster: root.join(format!("c-{}", &folder[..folder.len().min(200)])), root };
        for path in [&directory.root, &directory.cluster] {
            make_private(path)
                .map_err(|error| BuildError::RuntimeDirectory { path: path.clone(), reason: error.to_string() })?;
        }
        Ok(directory)
    }

    /// The key that nodes of this user share, made once.
    pub(crate) fn key(&self) -> Result<ClusterKey, BuildError> {
        let path = self.root.join(KEY_FILE);
        let failed = |error: io::Error| BuildError::RuntimeDirectory { path: path.clone(), reason: error.to_string() };
        if !path.exists() {
            let fresh = self.root.join(format!("{KEY_FILE}.{}", unique()));
            write_private(&fresh, ClusterKey::generate()?.to_text().as_bytes()).map_err(failed)?;
            // A link, unlike a rename, never replaces the key of somebody who was faster.
            let linked = fs::hard_link(&fresh, &path);
            fs::remove_file(&fresh).map_err(failed)?;
            if let Err(error) = linked
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(failed(error));
            }
        }
        fs::read_to_string(&path).map_err(failed)?.trim().parse()
    }

    /// Announces this node to those who start later.
    pub(crate) fn enter(&self, node: NodeId, entry: &Entry) -> Result<Presence, BuildError> {
        let path = self.cluster.join(format!("{}.json", entry.id));
        let failed = |error: io::Error| BuildError::RuntimeDirectory { path: path.clone(), reason: error.to_string() };
        if let Ok(existing) = File::open(&path)
            && matches!(existing.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            return Err(BuildError::IdentityInUse { node });
        }
        let fresh = self.cluster.join(format!("{}.{}", entry.id, unique()));
        let text = serde_json::to_vec_pretty(entry).expect("an entry is plain data");
        let file = write_private(&fresh, &text).map_err(failed)?;
        // Locked before it gets its name, so that nobody ever sees it unlocked.
        file.try_lock().map_err(|error| failed(error.into()))?;
        fs::rename(&fresh, &path).map_err(failed)?;
        Ok(Presence { path, _locked: file })
    }

    /// The live nodes other than `me`; files of dead ones are deleted.
    pub(crate) fn others(&self, me: NodeId) -> Vec<(NodeId, Entry)> {
        let Ok(files) = fs::read_dir(&self.cluster) else { return Vec::new() };
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        let entries = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        entries.filter_map(|path| live(&path)).filter(|(node, _)| *node != me).collect()
    }
}

fn live(path: &Path) -> Option<(NodeId, Entry)> {
    let file = File::open(path).ok()?;
    // A shared lock, so that two who look at once do not take each other for the owner.
    if file.try_lock_shared().is_ok() {
        // Only if the name still leads to the file that was tested.
        if fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|tested| now.ino() == tested.ino())) {
            let _ = fs::remove_file(path);
        }
        return None;
    }
    let mut text = String::new();
    file.take(ENTRY_BYTES_MAX).read_to_string(&mut text).ok()?;
    let entry: Entry = serde_json::from_str(&text).ok()?;
    Some((entry.id.parse().ok()?, entry))
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::symlink_metadata(path)?;
    let mine = metadata.uid() == rustix::process::getuid().as_raw();
    if !metadata.is_dir() || !mine || metadata.mode() & 0o077 != 0 {
        let reason = "it must be a directory that only its owner, who runs this, can open (mode 0700)";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A part of a file name that no other process, and no other call, makes.
fn unique() -> String {
    let mut bytes = [0; 8];
    // Without entropy the process id has to do; `create_new` refuses a clash.
    let _ = getrandom::fill(&mut bytes);
    format!("{}-{}.tmp", std::process::id(), data_encoding::HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(node: NodeId) -> Entry {
        Entry { pid: 1, id: node.to_string(), name: "n".into(), addresses: vec!["/ip4/127.0.0.1/tcp/1".into()] }
    }

    #[test]
    fn the_living_are_listed_and_the_dead_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "a/b ü").unwrap();
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let presence = directory.enter(a, &entry(a)).unwrap();
        assert_eq!(directory.others(b), [(a, entry(a))]);
        assert!(matches!(directory.enter(a, &entry(a)), Err(BuildError::IdentityInUse { .. })));
        // A killed process leaves its file and loses its lock.
        let path = presence.path.clone();
        let copy = fs::read(&path).unwrap();
        drop(presence);
        fs::write(&path, copy).unwrap();
        assert_eq!(directory.others(b), []);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_others_can_open_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("open");
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        assert!(matches!(Directory::open(path, "local"), Err(BuildError::RuntimeDirectory { .. })));
    }

    #[test]
    fn everybody_gets_the_same_key() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "local").unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| directory.key().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
