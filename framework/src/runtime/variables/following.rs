//! Following all variables whose names begin alike: what there is, and each change, or the last of several for who is slow.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    sync::{Arc, Weak},
};

use guthi_core::{
    protocol::variable::{Command, Prefix, State},
    wire::{limits::FOLLOWED_MAX, name::Name},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Variables;

/// What is followed on this node, by how the names begin, each for as long as somebody reads it.
#[derive(Debug, Default)]
pub(super) struct Subjects(Mutex<HashMap<Prefix, Weak<Subject>>>);

/// All variables whose names begin alike, as this node was told of them.
#[derive(Debug)]
struct Subject {
    prefix: Prefix,
    variables: Arc<Variables>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    there: BTreeMap<Name, State>,
    /// What an earlier life of this node was told, and this one was not yet.
    earlier: BTreeMap<Name, State>,
    /// All that there was at first is told.
    is_whole: bool,
    /// There will be no more.
    over: bool,
    readers: HashMap<u64, Reader>,
    last: u64,
}

/// What somebody has not read yet: of each variable it is told once, whatever it has become by then.
#[derive(Debug, Default)]
struct Reader {
    waiting: VecDeque<Item>,
    /// How many values of each were told since it has read one.
    counts: HashMap<Name, u64>,
    notify: Arc<Notify>,
}

#[derive(Clone, Debug)]
enum Item {
    Of(Name),
    Listed,
}

/// Somebody who follows variables. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Follower {
    subject: Arc<Subject>,
    id: u64,
    notify: Arc<Notify>,
}

/// What a follower is told.
#[derive(Debug)]
pub(crate) enum News {
    /// What a variable is, and how many values came and went since it was told of one.
    Of(Name, State, u64),
    /// All that there was at first is told.
    Listed,
}

/// Too many are followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooMany;

impl Variables {
    /// Follows all variables whose names begin so.
    ///
    /// # Errors
    /// This node follows too many already.
    pub(crate) fn follow(self: &Arc<Self>, prefix: Prefix) -> Result<Follower, TooMany> {
        let mut subjects = self.subjects.0.lock();
        let known = subjects.get(&prefix).and_then(Weak::upgrade);
        let subject = match known {
            Some(subject) => subject,
            None if subjects.len() >= FOLLOWED_MAX => return Err(TooMany),
            None => {
                if subjects.contains_key(&prefix) {
                    // The last one is going at this moment. What there is has to be listed anew.
                    self.tell(Command::Unfollow { prefix: prefix.clone() });
                }
                let inner = Mutex::new(Inner { over: self.is_closed(), ..Inner::default() });
                let subject = Arc::new(Subject { prefix: prefix.clone(), variables: self.clone(), inner });
                subjects.insert(prefix.clone(), Arc::downgrade(&subject));
                self.tell(Command::Follow { prefix });
                subject
            }
        };
        drop(subjects);
        Ok(Follower::of(subject))
    }

    pub(super) fn tell_followers(&self, prefix: &Prefix, name: Name, state: State, skipped: u64) {
        let Some(subject) = self.subject(prefix) else { return };
        let mut inner = subject.inner.lock();
        if inner.earlier.remove(&name).is_none_or(|before| before != state) {
            inner.readers.values_mut().for_each(|reader| reader.hear(&name, skipped + 1));
        }
        if state.value.is_some() {
            inner.there.insert(name, state);
        } else {
            inner.there.remove(&name);
        }
    }

    pub(super) fn tell_whole(&self, prefix: &Prefix) {
        let Some(subject) = self.subject(prefix) else { return };
        let mut inner = subject.inner.lock();
        for name in mem::take(&mut inner.earlier).into_keys() {
            inner.readers.values_mut().for_each(|reader| reader.hear(&name, 1));
        }
        if mem::replace(&mut inner.is_whole, true) {
            return;
        }
        for reader in inner.readers.values_mut() {
            reader.waiting.push_back(Item::Listed);
            reader.notify.notify_one();
        }
    }

    /// This node goes on as another life, which follows nothing yet: what there is will be listed anew.
    pub(super) fn follow_anew(&self) {
        let subjects: Vec<_> = self.subjects.0.lock().values().filter_map(Weak::upgrade).collect();
        for subject in subjects {
            let mut inner = subject.inner.lock();
            let there = mem::take(&mut inner.there);
            inner.earlier.extend(there);
            drop(inner);
            self.tell(Command::Follow { prefix: subject.prefix.clone() });
        }
    }

    pub(super) fn end_following(&self) {
        let subjects: Vec<_> = self.subjects.0.lock().values().filter_map(Weak::upgrade).collect();
        for subject in subjects {
            let mut inner = subject.inner.lock();
            inner.over = true;
            inner.readers.values().for_each(|reader| reader.notify.notify_one());
        }
    }

    fn subject(&self, prefix: &Prefix) -> Option<Arc<Subject>> {
        self.subjects.0.lock().get(prefix)?.upgrade()
    }
}

impl Reader {
    fn hear(&mut self, name: &Name, values: u64) {
        if let Some(count) = self.counts.get_mut(name) {
            *count += values;
            return;
        }
        self.counts.insert(name.clone(), values);
        self.waiting.push_back(Item::Of(name.clone()));
        self.notify.notify_one();
    }
}

impl Follower {
    fn of(subject: Arc<Subject>) -> Self {
        let mut inner = subject.inner.lock();
        let mut reader = Reader::default();
        inner.there.keys().chain(inner.earlier.keys()).for_each(|name| reader.hear(name, 1));
        if inner.is_whole {
            reader.waiting.push_back(Item::Listed);
        }
        let notify = reader.notify.clone();
        notify.notify_one();
        inner.last += 1;
        let id = inner.last;
        inner.readers.insert(id, reader);
        drop(inner);
        Self { subject, id, notify }
    }

    /// The next that it does not know; nothing when the node has left.
    pub(crate) async fn next(&self) -> Option<News> {
        loop {
            {
                let mut inner = self.subject.inner.lock();
                if inner.over {
                    return None;
                }
                let Inner { there, earlier, readers, .. } = &mut *inner;
                let reader = readers.get_mut(&self.id)?;
                match reader.waiting.pop_front() {
                    Some(Item::Of(name)) => {
                        let count = reader.counts.remove(&name).unwrap_or_default();
                        let state = there.get(&name).or_else(|| earlier.get(&name)).cloned().unwrap_or_default();
                        return Some(News::Of(name, state, count.saturating_sub(1)));
                    }
                    Some(Item::Listed) => return Some(News::Listed),
                    None => {}
                }
            }
            self.notify.notified().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.subject.inner.lock().readers.remove(&self.id);
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let mut subjects = self.variables.subjects.0.lock();
        // Somebody may have begun to follow the same since the last one went.
        if subjects.get(&self.prefix).is_some_and(|subject| subject.strong_count() == 0) {
            subjects.remove(&self.prefix);
            self.variables.tell(Command::Unfollow { prefix: self.prefix.clone() });
        }
    }
}
