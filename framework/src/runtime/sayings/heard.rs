//! The entries of all nodes, this one's among them, and those who watch them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use guthi_core::wire::{bytes::Bytes, id::NodeId};
use tokio::sync::Notify;

use super::Sayings;

/// Entries of all nodes that can be called, by their keys and then by node.
#[derive(Debug, Default)]
pub(super) struct Heard {
    entries: BTreeMap<String, BTreeMap<NodeId, Bytes>>,
    watches: BTreeMap<u64, Watching>,
    closed: bool,
}

/// One who watches: it is as far behind as there are entries that it has not looked at, and never further.
#[derive(Debug)]
struct Watching {
    prefix: String,
    /// Entries that are not as this reader knows them.
    unread: BTreeSet<Place>,
    /// Entries that it knows of.
    shown: BTreeSet<Place>,
    news: Arc<Notify>,
}

type Place = (String, NodeId);

/// What a reader learns of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) key: String,
    pub(crate) node: NodeId,
    pub(crate) value: Option<Bytes>,
    /// The reader has been shown something there before.
    pub(crate) known: bool,
}

impl Heard {
    /// A node's entry is this now.
    pub(super) fn note(&mut self, node: NodeId, key: &str, value: Option<Bytes>) {
        let before = self.entries.get(key).and_then(|nodes| nodes.get(&node));
        if before == value.as_ref() {
            return;
        }
        let gone = value.is_none();
        match value {
            Some(value) => _ = self.entries.entry(key.to_owned()).or_default().insert(node, value),
            None => {
                if let Some(nodes) = self.entries.get_mut(key) {
                    nodes.remove(&node);
                    if nodes.is_empty() {
                        self.entries.remove(key);
                    }
                }
            }
        }
        for watching in self.watches.values_mut().filter(|watching| key.starts_with(&watching.prefix)) {
            let place = (key.to_owned(), node);
            if gone && !watching.shown.contains(&place) {
                // Who has not seen it come need not see it go.
                watching.unread.remove(&place);
            } else {
                watching.unread.insert(place);
                watching.news.notify_one();
            }
        }
    }

    /// All entries of a node are these.
    pub(super) fn show<'a>(&mut self, node: NodeId, entries: impl Iterator<Item = (&'a str, &'a [u8])>) {
        let mut before: BTreeSet<String> = self.of(node).collect();
        for (key, value) in entries {
            before.remove(key);
            self.note(node, key, Some(value.into()));
        }
        for key in before {
            self.note(node, &key, None);
        }
    }

    fn of(&self, node: NodeId) -> impl Iterator<Item = String> {
        self.entries.iter().filter(move |(_, nodes)| nodes.contains_key(&node)).map(|(key, _)| key.clone())
    }

    fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&String, NodeId, &Bytes)> {
        let entries = self.entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let entries = entries.take_while(move |(key, _)| key.starts_with(prefix));
        entries.flat_map(|(key, nodes)| nodes.iter().map(move |(node, value)| (key, *node, value)))
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.watches.values().for_each(|watching| watching.news.notify_one());
    }
}

impl Sayings {
    /// What all nodes have under this key.
    pub(crate) fn at(&self, key: &str) -> Vec<(NodeId, Bytes)> {
        let state = self.state.lock();
        let nodes = state.heard.entries.get(key).into_iter().flatten();
        nodes.map(|(node, value)| (*node, value.clone())).collect()
    }

    /// What all nodes have under keys that begin so.
    pub(crate) fn below(&self, prefix: &str) -> Vec<(String, NodeId, Bytes)> {
        let state = self.state.lock();
        state.heard.with_prefix(prefix).map(|(key, node, value)| (key.clone(), node, value.clone())).collect()
    }

    /// Watches the entries whose keys begin so, beginning with those that are there.
    pub(crate) fn watch(self: &Arc<Self>, prefix: String) -> Watch {
        let mut state = self.state.lock();
        let number = state.heard.watches.last_key_value().map_or(0, |(last, _)| last + 1);
        let unread = state.heard.with_prefix(&prefix).map(|(key, node, _)| (key.clone(), node)).collect();
        let news = Arc::<Notify>::default();
        let watching = Watching { prefix, unread, shown: BTreeSet::new(), news: news.clone() };
        state.heard.watches.insert(number, watching);
        Watch { sayings: self.clone(), number, news }
    }
}

/// A reader's place among those who watch.
#[derive(Debug)]
pub(crate) struct Watch {
    sayings: Arc<Sayings>,
    number: u64,
    news: Arc<Notify>,
}

impl Watch {
    /// The next entry that is not as this reader knows it, as it is now; `None` once the node has left.
    pub(crate) async fn next(&self) -> Option<News> {
        loop {
            if let Some(news) = self.look() {
                return Some(news);
            }
            if self.sayings.state.lock().heard.closed {
                return None;
            }
            self.news.notified().await;
        }
    }

    fn look(&self) -> Option<News> {
        let mut state = self.sayings.state.lock();
        let Heard { entries, watches, .. } = &mut state.heard;
        let watching = watches.get_mut(&self.number)?;
        let (key, node) = watching.unread.pop_first()?;
        let value = entries.get(&key).and_then(|nodes| nodes.get(&node)).cloned();
        let place = (key, node);
        let known = watching.shown.contains(&place);
        if value.is_some() {
            watching.shown.insert(place.clone());
        } else {
            watching.shown.remove(&place);
        }
        let (key, node) = place;
        Some(News { key, node, value, known })
    }

    /// The reader could make nothing of it: as far as it knows there is nothing.
    pub(crate) fn unread(&self, news: News) {
        let mut state = self.sayings.state.lock();
        if let Some(watching) = state.heard.watches.get_mut(&self.number) {
            watching.shown.remove(&(news.key, news.node));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.sayings.state.lock().heard.watches.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn bytes(value: u8) -> Bytes {
        vec![value].into()
    }

    #[test]
    fn a_slow_reader_is_shown_the_newest_and_is_as_far_behind_as_there_are_names() {
        let (me, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let sayings = Sayings::new(me);
        let watch = sayings.watch("ephemeral/".into());
        for value in 0..100 {
            sayings.set("ephemeral/a", bytes(value)).unwrap();
            sayings.state.lock().heard.note(other, "ephemeral/a", Some(bytes(value)));
            sayings.set("published/a", bytes(value)).unwrap();
            // Nobody was shown these.
            sayings.set(&format!("ephemeral/short/{value}"), bytes(value)).unwrap();
            sayings.clear(&format!("ephemeral/short/{value}")).unwrap();
        }
        assert_eq!(sayings.state.lock().heard.watches[&0].unread.len(), 2);
        let next = || watch.next().now_or_never().map(|news| news.unwrap());
        for node in [me, other] {
            let news = News { key: "ephemeral/a".into(), node, value: Some(bytes(99)), known: false };
            assert_eq!(next(), Some(news));
        }
        assert_eq!(next(), None);
        sayings.clear("ephemeral/a").unwrap();
        assert_eq!(next(), Some(News { key: "ephemeral/a".into(), node: me, value: None, known: true }));
        assert_eq!(next(), None);
        drop(watch);
        assert!(sayings.state.lock().heard.watches.is_empty());
    }

    #[test]
    fn whoever_is_shown_anew_has_what_it_has_now_and_nothing_else() {
        let (sayings, node) = (Sayings::new(NodeId([1; 32])), NodeId([2; 32]));
        let show = |entries: &[(&str, &[u8])]| sayings.state.lock().heard.show(node, entries.iter().copied());
        show(&[("published/a", b"1"), ("published/b", b"1")]);
        let watch = sayings.watch("published/".into());
        let next = || watch.next().now_or_never().map(|news| news.unwrap()).map(|it| (it.key, it.value));
        assert_eq!(next().map(|(key, _)| key).as_deref(), Some("published/a"));
        assert_eq!(next().map(|(key, _)| key).as_deref(), Some("published/b"));
        show(&[("published/b", b"1"), ("published/c", b"2")]);
        assert_eq!(next(), Some(("published/a".into(), None)));
        assert_eq!(next(), Some(("published/c".into(), Some(b"2".to_vec().into()))));
        assert_eq!(next(), None);
        show(&[]);
        assert_eq!((sayings.at("published/b"), sayings.below("published/")), (vec![], vec![]));
    }
}
