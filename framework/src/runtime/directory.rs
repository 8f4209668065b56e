//! The runtime directory: how nodes on one machine find each other.
//!
//! Each node has a file `<directory>/<cluster>/<id>.json` with its addresses, locked while its process lives.
//! A file whose lock can be taken belongs to a dead process and is deleted by whoever finds it.
//! Its first lines name the last view of each of the last lineages that the process was in; they are overwritten in place,
//! for those who hold the file open.
//!
//! Beside it stands `<id>.control` if the node can be steered: by whom, it is for the application to say.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use guthi_core::{
    protocol::{
        membership,
        view::{At, Epoch, Lineage},
    },
    wire::id::{Incarnation, Member, NodeId},
};
use serde::{Deserialize, Serialize};

use crate::{BuildError, ClusterKey};

const ENTRY_BYTES_MAX: u64 = 64 * 1024;
const KEY_FILE: &str = "key";
/// Where the text of the view begins: after `{\n  "view": "`.
const VIEW_OFFSET: u64 = 13;
const VIEW_BYTES: usize = 32 + 1 + 16 + 1 + 8;
/// So many lineages: the one that the process is in, and those that it came from last.
const LINEAGES_MAX: usize = 8;
/// So often a file is read that does not fit together.
const READS_MAX: usize = 5;
/// So many processes that are dead are remembered.
const DEAD_MAX: usize = 1024;

/// What a node writes about itself for others on its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// See [`Presence::record`]; the first field, so that it has its place.
    view: String,
    pub(crate) pid: u32,
    pub(crate) id: String,
    pub(crate) incarnation: u64,
    pub(crate) name: String,
    /// Empty in files of older builds.
    #[serde(default)]
    pub(crate) cluster: String,
    pub(crate) addresses: Vec<String>,
}

/// A live node of this machine, as its files tell.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) node: NodeId,
    pub(crate) entry: Entry,
    pub(crate) control: Option<Vec<u8>>,
}

/// This process's file. The lock is held until this is dropped, and that is what proves the process dead: so this lives as
/// long as the node acts, and its name may go earlier.
#[derive(Debug)]
pub(crate) struct Presence {
    directory: Directory,
    path: PathBuf,
    entry: Entry,
    locked: File,
    /// What is written, by place.
    views: Vec<At>,
}

impl Presence {
    /// Writes down which view this process has come to, before it acts in it: in one write, at a place that never moves, so
    /// that it is there for whoever tests the lock after this process is dead.
    pub(crate) fn record(&mut self, at: At) -> io::Result<()> {
        let same = self.views.iter().position(|known| known.lineage == at.lineage);
        let place = match same {
            Some(place) => place,
            None if self.views.len() < LINEAGES_MAX => {
                self.views.push(at);
                self.views.len() - 1
            }
            // The current one is never the oldest.
            None => {
                self.views.rotate_left(1);
                let mut text: String = self.views[..LINEAGES_MAX - 1].iter().map(|at| view_text(*at)).collect();
                text.push_str(&view_text(at));
                self.views[LINEAGES_MAX - 1] = at;
                return self.locked.write_all_at(text.as_bytes(), VIEW_OFFSET);
            }
        };
        self.views[place] = at;
        let offset = VIEW_OFFSET + u64::try_from(place * VIEW_BYTES).unwrap_or(0);
        self.locked.write_all_at(view_text(at).as_bytes(), offset)
    }

    /// The live nodes beside this one.
    pub(crate) fn others(&self, me: NodeId) -> Vec<(NodeId, Entry)> {
        self.directory.others(me)
    }

    /// Nobody who looks around finds it from now on. Who holds its file still sees that it lives.
    pub(crate) fn hide(&self) {
        let named = fs::metadata(&self.path).map(|named| named.ino());
        if self.locked.metadata().is_ok_and(|own| named.is_ok_and(|named| named == own.ino())) {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(control_path(&self.path));
        }
    }

    /// A new life begins in this process. The file of the one before is let go, which proves that it is over.
    pub(crate) fn renew(&mut self, incarnation: Incarnation) -> io::Result<()> {
        self.entry.incarnation = incarnation.0;
        self.entry.view = " ".repeat(VIEW_BYTES * LINEAGES_MAX);
        self.views.clear();
        self.locked = self.directory.write(&self.entry, &self.path)?;
        Ok(())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.hide();
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

    /// Where the directories of all clusters are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
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
    pub(crate) fn enter(&self, node: NodeId, entry: Entry) -> Result<Presence, BuildError> {
        let path = self.cluster.join(format!("{}.json", entry.id));
        let failed = |error: io::Error| BuildError::RuntimeDirectory { path: path.clone(), reason: error.to_string() };
        if let Ok(existing) = File::open(&path)
            && matches!(existing.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            return Err(BuildError::IdentityInUse { node });
        }
        let locked = self.write(&entry, &path).map_err(failed)?;
        Ok(Presence { directory: self.clone(), path, entry, locked, views: Vec::new() })
    }

    /// Writes beside a node's file how it can be steered, or takes that away.
    pub(crate) fn set_control(&self, node: NodeId, control: Option<&[u8]>) -> io::Result<()> {
        let path = control_path(&self.cluster.join(format!("{node}.json")));
        let Some(control) = control else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let fresh = self.cluster.join(unique());
        write_private(&fresh, control)?;
        fs::rename(&fresh, path)
    }

    /// The live nodes of all clusters of a directory, each with what stands beside its file.
    pub(crate) fn everybody(root: &Path) -> Result<Vec<Neighbour>, BuildError> {
        let failed = |error: io::Error| BuildError::RuntimeDirectory { path: root.into(), reason: error.to_string() };
        if !root.try_exists().map_err(failed)? {
            return Ok(Vec::new());
        }
        check_private(root).map_err(failed)?;
        let folders = fs::read_dir(root).map_err(failed)?.filter_map(|folder| Some(folder.ok()?.path()));
        let folders = folders.filter(|folder| check_private(folder).is_ok());
        let everybody = folders.flat_map(|cluster| {
            let entries = Self { root: root.into(), cluster: cluster.clone() }.entries();
            entries.into_iter().map(move |(node, entry)| {
                let control = read_bounded(&control_path(&cluster.join(format!("{node}.json"))));
                Neighbour { node, entry, control }
            })
        });
        Ok(everybody.collect())
    }

    fn write(&self, entry: &Entry, path: &Path) -> io::Result<File> {
        let fresh = self.cluster.join(format!("{}.{}", entry.id, unique()));
        let text = serde_json::to_vec_pretty(entry).expect("an entry is plain data");
        let file = write_private(&fresh, &text)?;
        // Locked before it gets its name, so that nobody ever sees it unlocked.
        file.try_lock()?;
        fs::rename(&fresh, path)?;
        Ok(file)
    }

    /// The live nodes other than `me`; files of dead ones are deleted.
    pub(crate) fn others(&self, me: NodeId) -> Vec<(NodeId, Entry)> {
        self.entries().into_iter().filter(|(node, _)| *node != me).collect()
    }

    fn entries(&self) -> Vec<(NodeId, Entry)> {
        let Ok(files) = fs::read_dir(&self.cluster) else { return Vec::new() };
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        let entries = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        entries.filter_map(|path| live(&path)).collect()
    }
}

/// The processes on this machine, as one node has seen them. It holds their files open, so that a death is proven by the
/// very file that was seen alive, whoever has deleted its name since.
#[derive(Debug)]
pub(crate) struct Processes {
    directory: Directory,
    me: NodeId,
    seen: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    member: Member,
    inode: u64,
    file: File,
    dead: bool,
}

impl Process {
    /// One for each lineage, or one that names no view.
    fn files(&self) -> Vec<membership::File> {
        let (member, dead) = (self.member, self.dead);
        let file = |written| membership::File { member, dead, written };
        match written(&self.file) {
            views if views.is_empty() => vec![file(None)],
            views => views.into_iter().map(|at| file(Some(at))).collect(),
        }
    }
}

impl Processes {
    pub(crate) const fn new(directory: Directory, me: NodeId) -> Self {
        Self { directory, me, seen: Vec::new() }
    }

    /// One look at all of them.
    pub(crate) fn look(&mut self) -> Vec<membership::File> {
        self.meet_new_ones();
        for process in self.seen.iter_mut().filter(|process| !process.dead) {
            process.dead = is_free(&process.file);
        }
        let dead = self.seen.iter().filter(|process| process.dead).count();
        let mut forgotten = dead.saturating_sub(DEAD_MAX);
        self.seen.retain(|process| {
            let forget = process.dead && forgotten > 0;
            forgotten -= usize::from(forget);
            !forget
        });
        self.seen.iter().flat_map(Process::files).collect()
    }

    fn meet_new_ones(&mut self) {
        let Ok(files) = fs::read_dir(&self.directory.cluster) else { return };
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let known = |inode| self.seen.iter().any(|process| process.inode == inode);
            if path.extension().is_none_or(|extension| extension != "json")
                || fs::metadata(&path).is_ok_and(|metadata| known(metadata.ino()))
            {
                continue;
            }
            let Some((file, inode, member)) = open(&path) else { continue };
            if member.node != self.me && !known(inode) {
                self.seen.push(Process { member, inode, file, dead: false });
            }
        }
    }
}

/// A process's file, and whose it is.
fn open(path: &Path) -> Option<(File, u64, Member)> {
    let file = File::open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    let mut text = String::new();
    (&file).take(ENTRY_BYTES_MAX).read_to_string(&mut text).ok()?;
    let entry: Entry = serde_json::from_str(&text).ok()?;
    let member = Member { node: entry.id.parse().ok()?, incarnation: Incarnation(entry.incarnation) };
    Some((file, inode, member))
}

/// Whether nobody holds the lock. A shared lock, so that two who look at once do not take each other for the owner.
fn is_free(file: &File) -> bool {
    let free = file.try_lock_shared().is_ok();
    if free {
        let _ = file.unlock();
    }
    free
}

/// The lineage, the epoch and a check, all of fixed length: whoever reads while it is being written sees that it does not
/// fit together.
fn view_text(at: At) -> String {
    let lineage = data_encoding::HEXLOWER.encode(&at.lineage.0);
    let body = format!("{lineage}/{:016x}", at.epoch.0);
    let check = &blake3::hash(body.as_bytes()).to_hex()[..8];
    format!("{body}/{check}")
}

/// The views that a file names.
fn written(file: &File) -> Vec<At> {
    let mut bytes = [0; VIEW_BYTES * LINEAGES_MAX];
    for _ in 0..READS_MAX {
        if file.read_exact_at(&mut bytes, VIEW_OFFSET).is_err() {
            break;
        }
        let used = bytes.chunks_exact(VIEW_BYTES).filter(|text| !text.starts_with(b" "));
        let views: Option<Vec<At>> = used.map(read_view).collect();
        // Otherwise it is being written right now.
        if let Some(views) = views {
            return views;
        }
    }
    Vec::new()
}

fn read_view(bytes: &[u8]) -> Option<At> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lineage = data_encoding::HEXLOWER.decode(text.get(..32)?.as_bytes()).ok()?;
    let epoch = u64::from_str_radix(text.get(33..49)?, 16).ok()?;
    let at = At { lineage: Lineage(lineage.try_into().ok()?), epoch: Epoch(epoch) };
    (view_text(at) == text).then_some(at)
}

impl Entry {
    pub(crate) fn new(member: Member, name: &str, cluster: &str, addresses: &[String]) -> Self {
        Self {
            view: " ".repeat(VIEW_BYTES * LINEAGES_MAX),
            pid: std::process::id(),
            id: member.node.to_string(),
            incarnation: member.incarnation.0,
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            addresses: addresses.to_vec(),
        }
    }
}

fn live(path: &Path) -> Option<(NodeId, Entry)> {
    let file = File::open(path).ok()?;
    // A shared lock, so that two who look at once do not take each other for the owner.
    if file.try_lock_shared().is_ok() {
        // Only if the name still leads to the file that was tested.
        if fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|tested| now.ino() == tested.ino())) {
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(control_path(path));
        }
        return None;
    }
    let mut text = String::new();
    file.take(ENTRY_BYTES_MAX).read_to_string(&mut text).ok()?;
    let entry: Entry = serde_json::from_str(&text).ok()?;
    Some((entry.id.parse().ok()?, entry))
}

fn control_path(entry: &Path) -> PathBuf {
    entry.with_extension("control")
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_private(path)
}

fn check_private(path: &Path) -> io::Result<()> {
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
        let member = Member { node, incarnation: Incarnation(7) };
        Entry::new(member, "n", "local", &["/ip4/127.0.0.1/tcp/1".into()])
    }

    #[test]
    fn a_death_is_proven_by_the_file_that_was_seen_alive() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "local").unwrap();
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut presence = directory.enter(a, entry(a)).unwrap();
        let mut processes = Processes::new(directory.clone(), b);
        let member = Member { node: a, incarnation: Incarnation(7) };
        assert_eq!(processes.look(), [membership::File { member, dead: false, written: None }]);
        let at = At { lineage: Lineage([0xab; 16]), epoch: Epoch(300) };
        presence.record(at).unwrap();
        let other = Processes::new(directory.clone(), b).look();
        assert_eq!(other, [membership::File { member, dead: false, written: Some(at) }]);
        assert_eq!(directory.others(b).len(), 1, "it is still an entry that can be read");
        // Whoever comes later finds the name gone; who saw it alive has the proof.
        drop(presence);
        assert_eq!(processes.look(), [membership::File { member, dead: true, written: Some(at) }]);
        assert_eq!(Processes::new(directory, b).look(), []);
    }

    #[test]
    fn a_new_life_proves_the_one_before_dead_and_is_found_under_the_same_name() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "local").unwrap();
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut presence = directory.enter(a, entry(a)).unwrap();
        let mut processes = Processes::new(directory.clone(), b);
        processes.look();
        presence.renew(Incarnation(8)).unwrap();
        let seen: Vec<_> = processes.look().iter().map(|file| (file.member.incarnation.0, file.dead)).collect();
        assert_eq!(seen, [(7, true), (8, false)]);
        presence.hide();
        assert_eq!(directory.others(b), []);
        assert!(!processes.look()[1].dead, "it is hidden, and lives");
    }

    #[test]
    fn the_last_view_of_each_of_the_last_lineages_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "local").unwrap();
        let a = NodeId([1; 32]);
        let mut presence = directory.enter(a, entry(a)).unwrap();
        for lineage in 1..=10 {
            for epoch in 1..=3 {
                presence.record(At { lineage: Lineage([lineage; 16]), epoch: Epoch(epoch) }).unwrap();
            }
        }
        let files = Processes::new(directory, NodeId([2; 32])).look();
        let views: Vec<_> =
            files.iter().map(|file| file.written.unwrap()).map(|at| (at.lineage.0[0], at.epoch.0)).collect();
        assert_eq!(views, (3..=10).map(|lineage| (lineage, 3)).collect::<Vec<_>>());
    }

    #[test]
    fn a_view_that_is_half_written_is_none() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "local").unwrap();
        let a = NodeId([1; 32]);
        let mut presence = directory.enter(a, entry(a)).unwrap();
        presence.record(At { lineage: Lineage([0xab; 16]), epoch: Epoch(300) }).unwrap();
        presence.locked.write_all_at(b"0", VIEW_OFFSET).unwrap();
        let files = Processes::new(directory, NodeId([2; 32])).look();
        assert_eq!(files[0].written, None);
    }

    #[test]
    fn the_living_are_listed_and_the_dead_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path().join("run"), "a/b ü").unwrap();
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let presence = directory.enter(a, entry(a)).unwrap();
        assert_eq!(directory.others(b), [(a, entry(a))]);
        assert!(matches!(directory.enter(a, entry(a)), Err(BuildError::IdentityInUse { .. })));
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
