use std::{marker::PhantomData, sync::Arc};

use futures::Stream;
use guthi_core::{
    protocol::packet::keys,
    wire::{
        bytes::Bytes,
        codec,
        id::NodeId,
        limits::{ENTRIES_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX},
    },
};

use super::{mutex::named, node::Node};
use crate::{
    PublishError, Travels,
    calls::function::{Arriving, Departing},
    runtime::{
        sayings::{Closed, Full, News, Own, Sayings, Watch},
        variables::Variables,
    },
};

/// What a node says under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<T> {
    /// Who says it.
    pub node: NodeId,
    /// Under which name.
    pub name: String,
    /// What.
    pub value: T,
}

/// What has become of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryChange<T> {
    /// A node says this now. What it said before, and what it said in between, if the reader was slow, counts no more.
    Set {
        /// Who.
        node: NodeId,
        /// Under which name.
        name: String,
        /// What.
        value: T,
    },
    /// A node says nothing under this name any more: it has taken it back, has left, or cannot be called.
    Gone {
        /// Who.
        node: NodeId,
        /// Under which name.
        name: String,
    },
}

/// The entries whose names begin so, of all nodes: first those that are there, and then what becomes of them; it ends when
/// the node leaves.
///
/// A slow reader holds nobody up: it gets the newest of each entry, and is at most as far behind as there are entries.
#[derive(Debug)]
pub struct EntryChanges<T> {
    watch: Watch,
    reader: Reader<T>,
    prefix: &'static str,
}

impl<T: Travels> EntryChanges<T> {
    /// The next change, or `None` once the node has left.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<EntryChange<T>> {
        loop {
            let news = self.watch.next().await?;
            let News { key, node, value, known } = &news;
            let (node, name) = (*node, stripped(self.prefix, key));
            match value.as_ref().and_then(|value| self.reader.read(value)) {
                Some(value) => return Some(EntryChange::Set { node, name, value }),
                None => {
                    let known = *known;
                    self.watch.unread(news);
                    if known {
                        return Some(EntryChange::Gone { node, name });
                    }
                }
            }
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = EntryChange<T>> + Send + 'static
    where
        T: Send + 'static,
    {
        futures::stream::unfold(self, |mut changes| async move { Some((changes.next().await?, changes)) })
    }
}

/// An entry of this node for what changes often, such as where somebody points: [`Node::ephemeral`] makes it.
///
/// It is gone for all when it is dropped; of several of one name on one node, with the last. It keeps no node alive.
#[derive(Debug)]
pub struct Ephemeral<T> {
    name: String,
    own: Result<Own, &'static str>,
    variables: Arc<Variables>,
    value: PhantomData<fn(T)>,
}

impl<T: Travels> Ephemeral<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says this from now on. It never waits: the others are told at once, or, if they were told less than a sixtieth of a
    /// second ago, then; what was set in between is passed over, what was set last is not.
    ///
    /// # Errors
    /// [`PublishError`]; what was said before is still said. A slow network, or none, is no error.
    pub fn set(&self, value: T) -> Result<(), PublishError> {
        let own = self.own()?;
        let bytes = written(&self.variables, &self.name, &value)?;
        own.set(bytes).map_err(|full| refused(&self.name, full))
    }

    /// Says nothing any more, until it is set again.
    ///
    /// # Errors
    /// [`PublishError::BadName`], [`PublishError::Left`].
    pub fn clear(&self) -> Result<(), PublishError> {
        self.own()?.clear().map_err(|Closed| PublishError::Left)
    }

    fn own(&self) -> Result<&Own, PublishError> {
        self.own.as_ref().map_err(|reason| PublishError::BadName { name: self.name.clone(), reason })
    }
}

impl Node {
    /// Says something to all nodes under a name of this node's own, until it is [taken back](Self::unpublish) or the node is
    /// gone. Each node that is linked gets it by itself, whoever joins later as well; nobody is asked, and nothing is agreed.
    /// What changes more often than a few times a second is better an [ephemeral value](Self::ephemeral).
    ///
    /// A value has at most 64 KiB encoded (8 bytes less), all of a node together 1 MiB and 1,024 names, its ephemeral values
    /// and its subscriptions included.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # fn example(node: Node) -> guthi::Result<()> {
    /// node.publish("role", "renderer".to_owned())?;
    /// for (node, role) in node.published::<String>("role") {
    ///     println!("{node} is a {role}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]; what was published before is still said.
    pub fn publish<T: Travels>(&self, name: impl Into<String>, value: T) -> Result<(), PublishError> {
        let name = checked(name.into())?;
        let bytes = written(self.inner_variables(), &name, &value)?;
        self.sayings().set(&format!("{}{name}", keys::PUBLISHED), bytes).map_err(|full| refused(&name, full))
    }

    /// Takes back what this node has published under this name, if anything.
    ///
    /// # Errors
    /// [`PublishError::BadName`], [`PublishError::Left`].
    pub fn unpublish(&self, name: impl Into<String>) -> Result<(), PublishError> {
        let name = checked(name.into())?;
        self.sayings().clear(&format!("{}{name}", keys::PUBLISHED)).map_err(|Closed| PublishError::Left)
    }

    /// What the nodes that can be called, and this one, have published under this name, by id. Values of another type are
    /// passed over, and counted as `guthi_saying_unread_total`.
    #[must_use]
    pub fn published<T: Travels>(&self, name: &str) -> Vec<(NodeId, T)> {
        let reader = Reader::new(self);
        let all = self.sayings().at(&format!("{}{name}", keys::PUBLISHED));
        all.into_iter().filter_map(|(node, value)| Some((node, reader.read(&value)?))).collect()
    }

    /// What is published under names that begin so, by all nodes, and what becomes of it.
    #[must_use]
    pub fn watch_published<T: Travels>(&self, prefix: &str) -> EntryChanges<T> {
        self.watch(keys::PUBLISHED, prefix)
    }

    /// An ephemeral value of this node: of what is set again and again all others get the newest, at most sixty times a
    /// second, and on a slow link less often. Only this node writes it, and it is gone when the node is, or when it is dropped.
    ///
    /// Names and bounds are as those of [`publish`](Self::publish). A name that cannot be is told when it is set.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// # fn example(node: Node) -> guthi::Result<()> {
    /// let pointer = node.ephemeral::<(f32, f32)>("pointer");
    /// pointer.set((0.25, 0.75))?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn ephemeral<T: Travels>(&self, name: impl Into<String>) -> Ephemeral<T> {
        let (name, own) = match named(name.into()) {
            Ok(name) => {
                let own = Own::new(self.sayings().clone(), format!("{}{name}", keys::EPHEMERAL));
                (name.to_string(), Ok(own))
            }
            Err((name, reason)) => (name, Err(reason)),
        };
        Ephemeral { name, own, variables: self.inner_variables().clone(), value: PhantomData }
    }

    /// The ephemeral values whose names begin so, of the nodes that can be called and of this one, by name and node. Values of
    /// another type are passed over, and counted as `guthi_saying_unread_total`.
    #[must_use]
    pub fn ephemerals<T: Travels>(&self, prefix: &str) -> Vec<Entry<T>> {
        let reader = Reader::new(self);
        let all = self.sayings().below(&format!("{}{prefix}", keys::EPHEMERAL));
        let read = |(key, node, value): (String, NodeId, Bytes)| {
            Some(Entry { node, name: stripped(keys::EPHEMERAL, &key), value: reader.read(&value)? })
        };
        all.into_iter().filter_map(read).collect()
    }

    /// The ephemeral values whose names begin so, of all nodes, and what becomes of them.
    #[must_use]
    pub fn watch_ephemerals<T: Travels>(&self, prefix: &str) -> EntryChanges<T> {
        self.watch(keys::EPHEMERAL, prefix)
    }

    fn watch<T: Travels>(&self, sort: &'static str, prefix: &str) -> EntryChanges<T> {
        EntryChanges { watch: self.sayings().watch(format!("{sort}{prefix}")), reader: Reader::new(self), prefix: sort }
    }
}

/// Reads values of one type, and counts those of others.
#[derive(Debug)]
struct Reader<T> {
    sayings: Arc<Sayings>,
    /// Nothing for a type that cannot travel: nobody can have written one.
    kind: Option<u64>,
    value: PhantomData<fn() -> T>,
}

impl<T: Travels> Reader<T> {
    fn new(node: &Node) -> Self {
        let kind = node.inner_variables().kind::<T>().ok().map(|kind| kind.hash);
        Self { sayings: node.sayings().clone(), kind, value: PhantomData }
    }

    fn read(&self, bytes: &[u8]) -> Option<T> {
        let (kind, value) = bytes.split_first_chunk().map_or((None, bytes), |(kind, value)| (Some(*kind), value));
        let of_kind = kind.map(u64::from_le_bytes).is_some_and(|kind| Some(kind) == self.kind);
        let value = of_kind.then(|| codec::decode::<Arriving<T>>(value).ok()).flatten();
        if value.is_none() {
            self.sayings.counts.unread.one();
        }
        value.map(|arriving| arriving.0)
    }
}

fn written<T: Travels>(variables: &Variables, name: &str, value: &T) -> Result<Bytes, PublishError> {
    let kind = kind_of::<T>(variables, name)?;
    let value = encoded(name, value, ENTRY_BYTES_MAX)?;
    Ok([&kind.to_le_bytes()[..], &value].concat().into())
}

/// What a type is called.
pub(super) fn kind_of<T: Travels>(variables: &Variables, name: &str) -> Result<u64, PublishError> {
    let kind = variables.kind::<T>().map_err(|unsupported| PublishError::UnsupportedType {
        name: name.to_owned(),
        type_name: unsupported.type_name,
        hint: unsupported.hint,
    })?;
    Ok(kind.hash)
}

pub(super) fn encoded<T: Travels>(name: &str, value: &T, limit: usize) -> Result<Vec<u8>, PublishError> {
    let name = || name.to_owned();
    codec::encode(&Departing(value), limit).map_err(|error| match error {
        codec::EncodeError::TooLarge { bytes, limit } => PublishError::TooLarge { name: name(), bytes, limit },
        codec::EncodeError::Refused(error) => PublishError::NotEncoded { name: name(), reason: error.to_string() },
    })
}

pub(super) fn refused(name: &str, full: Full) -> PublishError {
    match full {
        Full::Full => {
            PublishError::Full { name: name.to_owned(), entries_max: ENTRIES_MAX, bytes_max: ENTRIES_BYTES_MAX }
        }
        Full::Closed => PublishError::Left,
    }
}

fn checked(name: String) -> Result<String, PublishError> {
    match named(name) {
        Ok(name) => Ok(name.to_string()),
        Err((name, reason)) => Err(PublishError::BadName { name, reason }),
    }
}

fn stripped(prefix: &str, key: &str) -> String {
    key.strip_prefix(prefix).unwrap_or(key).to_owned()
}
