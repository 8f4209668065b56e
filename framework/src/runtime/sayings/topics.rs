//! Topics: messages to all nodes that subscribe, past the driver.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use guthi_core::{
    protocol::packet::{Broadcast, Packet, keys},
    wire::{
        bytes::Bytes,
        codec,
        frame::{self, Kind},
        id::{Incarnation, Member, NodeId},
        limits::BROADCAST_BYTES_MAX,
        name::Name,
    },
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Full, Sayings};
use crate::calls::outbox::Outbox;

/// Messages that a subscriber may be behind before it loses the oldest, and their bytes.
const MESSAGES_BEHIND_MAX: usize = 1024;
const BYTES_BEHIND_MAX: usize = 4 * 1024 * 1024;

/// Who subscribes to what, here and elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Topics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The other nodes and what they subscribe to.
    others: BTreeMap<NodeId, Other>,
    /// Those here.
    here: BTreeMap<Name, Here>,
    /// The number of the last subscription.
    last: u64,
    closed: bool,
}

/// Another node.
#[derive(Debug)]
struct Other {
    life: Incarnation,
    /// What its link carries, while it can be called.
    control: Option<Arc<Outbox>>,
    topics: BTreeMap<Name, Sending>,
    /// How many messages of each topic have come from it, or should have.
    received: BTreeMap<Name, u64>,
}

/// What is sent for one subscription of another node.
#[derive(Clone, Copy, Debug)]
struct Sending {
    subscription: u64,
    /// How many messages were.
    sent: u64,
}

/// The subscribers of one topic.
#[derive(Debug)]
struct Here {
    subscription: u64,
    queues: Vec<Arc<Queue>>,
}

/// What waits for one subscriber.
#[derive(Debug)]
struct Queue {
    state: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    told: VecDeque<Told>,
    bytes: usize,
    /// How many are lost that were before all that waits.
    missed: u64,
    closed: bool,
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Message { from: NodeId, kind: u64, value: Bytes },
    Missed(u64),
}

impl Sayings {
    /// Hands a message to all who subscribe, and says how many nodes these are. It waits for nobody.
    pub(crate) fn broadcast(&self, topic: &Name, kind: u64, value: &Bytes) -> Result<usize, super::Closed> {
        let mut state = self.topics.0.lock();
        if state.closed {
            return Err(super::Closed);
        }
        let mut nodes = 0;
        for other in state.others.values_mut() {
            let (Some(control), Some(sending)) = (&other.control, other.topics.get_mut(topic)) else { continue };
            let Sending { subscription, sent: number } = *sending;
            sending.sent += 1;
            let broadcast = Broadcast { topic: topic.clone(), subscription, number, kind, value: value.clone() };
            let mut bytes = Vec::new();
            frame::put(&mut bytes, Kind::Control, 0, 0, |body| codec::encode_into(&Packet::Broadcast(broadcast), body))
                .expect("a packet is plain data");
            nodes += 1;
            self.counts.sent.one();
            self.counts.dropped.add(control.push_lossy(bytes));
        }
        if let Some(here) = state.here.get(topic) {
            nodes += 1;
            here.tell(&Told::Message { from: self.me, kind, value: value.clone() }, self);
        }
        Ok(nodes)
    }

    /// A message has come from a linked node.
    pub(in crate::runtime) fn receive(&self, from: Member, broadcast: Broadcast) {
        let Broadcast { topic, subscription, number, kind, value } = broadcast;
        let mut state = self.topics.0.lock();
        let State { others, here, .. } = &mut *state;
        // What was on its way when the last subscriber went, and what is larger than anybody may send.
        let here = here.get(&topic).filter(|here| here.subscription == subscription);
        let (Some(here), Some(other), true) = (here, known(others, from), value.len() <= BROADCAST_BYTES_MAX) else {
            return self.counts.ignored.one();
        };
        let received = other.received.entry(topic).or_default();
        if number < *received {
            return self.counts.ignored.one();
        }
        let missed = number - *received;
        *received = number.saturating_add(1);
        self.counts.received.one();
        if missed > 0 {
            here.tell(&Told::Missed(missed), self);
        }
        here.tell(&Told::Message { from: from.node, kind, value }, self);
    }

    /// Subscribes to a topic; the others are told.
    pub(crate) fn subscribe(self: &Arc<Self>, topic: Name) -> Result<Subscriber, Full> {
        let mut state = self.topics.0.lock();
        let queue = Arc::new(Queue { state: Mutex::default(), news: Notify::new() });
        if state.closed {
            return Err(Full::Closed);
        }
        if !state.here.contains_key(&topic) {
            let subscription = state.last + 1;
            let value = codec::encode(&subscription, 16).expect("a number is short");
            self.set(&key(&topic), value.into())?;
            state.last = subscription;
            state.here.insert(topic.clone(), Here { subscription, queues: Vec::new() });
        }
        let here = state.here.get_mut(&topic).expect("it is there now");
        here.queues.push(queue.clone());
        drop(state);
        Ok(Subscriber { sayings: self.clone(), topic, queue })
    }

    /// A subscriber has gone, perhaps the last one of its topic.
    fn unsubscribe(&self, topic: &Name, queue: &Arc<Queue>) {
        let mut state = self.topics.0.lock();
        let Some(here) = state.here.get_mut(topic) else { return };
        here.queues.retain(|other| !Arc::ptr_eq(other, queue));
        if here.queues.is_empty() {
            state.here.remove(topic);
            state.others.values_mut().for_each(|other| _ = other.received.remove(topic));
            // A node that has left tells nobody.
            let _ = self.clear(&key(topic));
        }
    }
}

impl Topics {
    /// A node can be called, over this link, and subscribes to these topics.
    pub(super) fn show<'a>(
        &self,
        member: Member,
        control: Arc<Outbox>,
        entries: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) {
        let mut state = self.0.lock();
        let Some(other) = known(&mut state.others, member) else { return };
        other.control = Some(control);
        let mut gone: BTreeSet<Name> = other.topics.keys().cloned().collect();
        for (key, value) in entries {
            if let Some(topic) = named(key) {
                gone.remove(&topic);
                other.subscribes(topic, Some(value));
            }
        }
        gone.iter().for_each(|topic| _ = other.topics.remove(topic));
    }

    /// A node cannot be called at the moment. What it subscribes to is known all the same.
    pub(super) fn hide(&self, node: NodeId) {
        if let Some(other) = self.0.lock().others.get_mut(&node) {
            other.control = None;
        }
    }

    /// A node is not known any more.
    pub(super) fn forget(&self, node: NodeId) {
        self.0.lock().others.remove(&node);
    }

    /// This node goes on as a later life, to which everybody says everything anew.
    pub(super) fn begin_anew(&self) {
        for other in self.0.lock().others.values_mut() {
            other.control = None;
            other.received.clear();
            other.topics.clear();
        }
    }

    /// A node that can be called has changed this entry of its catalog.
    pub(super) fn note(&self, node: NodeId, key: &str, value: Option<&[u8]>) {
        if let (Some(topic), Some(other)) = (named(key), self.0.lock().others.get_mut(&node)) {
            other.subscribes(topic, value);
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.others.clear();
        for queue in state.here.values().flat_map(|here| &here.queues) {
            queue.state.lock().closed = true;
            queue.news.notify_one();
        }
    }
}

/// What is known of a node in this life of it; nothing if a later one is known.
fn known(others: &mut BTreeMap<NodeId, Other>, member: Member) -> Option<&mut Other> {
    let other = others.entry(member.node).or_insert_with(|| Other::new(member.incarnation));
    if other.life < member.incarnation {
        *other = Other::new(member.incarnation);
    }
    Some(other).filter(|other| other.life == member.incarnation)
}

impl Other {
    const fn new(life: Incarnation) -> Self {
        Self { life, control: None, topics: BTreeMap::new(), received: BTreeMap::new() }
    }

    fn subscribes(&mut self, topic: Name, value: Option<&[u8]>) {
        match value.and_then(|value| codec::decode::<u64>(value).ok()) {
            Some(subscription) if self.topics.get(&topic).is_some_and(|it| it.subscription == subscription) => {}
            Some(subscription) => _ = self.topics.insert(topic, Sending { subscription, sent: 0 }),
            None => _ = self.topics.remove(&topic),
        }
    }
}

impl Here {
    fn tell(&self, told: &Told, sayings: &Sayings) {
        for queue in &self.queues {
            let missed = queue.state.lock().push(told.clone());
            sayings.counts.missed.add(missed);
            queue.news.notify_one();
        }
    }
}

impl Waiting {
    /// Puts one more behind all that waits; of what is too much the oldest goes, and how many messages that were is said.
    fn push(&mut self, told: Told) -> u64 {
        self.bytes += told.bytes();
        if let (Some(Told::Missed(before)), Told::Missed(more)) = (self.told.back_mut(), &told) {
            *before = before.saturating_add(*more);
        } else {
            self.told.push_back(told);
        }
        let mut dropped = 0;
        while self.told.len() > MESSAGES_BEHIND_MAX || self.bytes > BYTES_BEHIND_MAX {
            let Some(oldest) = self.told.pop_front() else { break };
            self.bytes -= oldest.bytes();
            let missed = match oldest {
                Told::Message { .. } => {
                    dropped += 1;
                    1
                }
                Told::Missed(missed) => missed,
            };
            self.missed = self.missed.saturating_add(missed);
        }
        dropped
    }

    fn pop(&mut self) -> Option<Told> {
        if self.missed > 0 {
            return Some(Told::Missed(std::mem::take(&mut self.missed)));
        }
        let told = self.told.pop_front()?;
        self.bytes -= told.bytes();
        Some(told)
    }
}

impl Told {
    fn bytes(&self) -> usize {
        match self {
            Self::Message { value, .. } => value.len(),
            Self::Missed(_) => 0,
        }
    }
}

fn key(topic: &Name) -> String {
    format!("{}{topic}", keys::TOPIC)
}

/// The topic that an entry is about.
fn named(key: &str) -> Option<Name> {
    let topic = key.strip_prefix(keys::TOPIC)?;
    Name::new(topic).ok()
}

/// One subscriber of a topic on this node.
#[derive(Debug)]
pub(crate) struct Subscriber {
    sayings: Arc<Sayings>,
    topic: Name,
    queue: Arc<Queue>,
}

impl Subscriber {
    /// What comes next; `None` once the node has left and all is told.
    pub(crate) async fn next(&self) -> Option<Told> {
        loop {
            {
                let mut state = self.queue.state.lock();
                if let Some(told) = state.pop() {
                    return Some(told);
                }
                if state.closed {
                    return None;
                }
            }
            self.queue.news.notified().await;
        }
    }

    /// A message is of another type than this subscriber reads.
    pub(crate) fn pass_over(&self) {
        self.sayings.counts.unread.one();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.sayings.unsubscribe(&self.topic, &self.queue);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn member(life: u64) -> Member {
        Member { node: NodeId([2; 32]), incarnation: Incarnation(life) }
    }

    fn broadcast(subscription: u64, number: u64) -> Broadcast {
        let topic = Name::new("t").unwrap();
        Broadcast { topic, subscription, number, kind: 7, value: vec![number as u8].into() }
    }

    /// What a subscriber is told, in short: the value of a message, or how many are missed.
    fn told(subscriber: &Subscriber) -> Vec<Result<u8, u64>> {
        let next = || match subscriber.next().now_or_never()?? {
            Told::Message { value, .. } => Some(Ok(value[0])),
            Told::Missed(missed) => Some(Err(missed)),
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_gap_is_told_and_what_is_old_or_for_another_subscription_is_not() {
        let sayings = Sayings::new(NodeId([1; 32]));
        let subscriber = sayings.subscribe(Name::new("t").unwrap()).unwrap();
        for (life, subscription, number) in
            [(1, 1, 2), (1, 1, 3), (1, 1, 3), (1, 2, 4), (1, 1, 6), (2, 1, 1), (1, 1, 7)]
        {
            sayings.receive(member(life), broadcast(subscription, number));
        }
        assert_eq!(told(&subscriber), [Err(2), Ok(2), Ok(3), Err(2), Ok(6), Err(1), Ok(1)]);
        assert_eq!((sayings.counts.ignored.get(), sayings.counts.received.get()), (3, 4));
        sayings.receive(member(2), broadcast(1, u64::MAX));
        sayings.receive(member(2), broadcast(1, u64::MAX));
        let large = Broadcast { value: vec![0; BROADCAST_BYTES_MAX + 1].into(), ..broadcast(1, u64::MAX) };
        sayings.receive(member(2), large);
        assert_eq!(told(&subscriber), [Err(u64::MAX - 2), Ok(255), Ok(255)]);
        drop(subscriber);
        sayings.receive(member(2), broadcast(1, 9));
        assert!(sayings.topics.0.lock().others[&member(2).node].received.is_empty(), "nobody wants it");
    }

    #[test]
    fn who_subscribes_anew_is_counted_anew_and_who_is_linked_anew_is_not() {
        let sayings = Sayings::new(NodeId([1; 32]));
        let (topic, value) = (Name::new("t").unwrap(), Bytes::default());
        let show = |subscription: u64| {
            let value = codec::encode(&subscription, 16).unwrap();
            sayings.topics.show(member(1), Arc::default(), [("topic/t", &*value)].into_iter());
        };
        let sent = || sayings.topics.0.lock().others[&member(1).node].topics[&topic].sent;
        assert_eq!(sayings.broadcast(&topic, 7, &value), Ok(0));
        show(1);
        assert_eq!((sayings.broadcast(&topic, 7, &value), sent()), (Ok(1), 1));
        sayings.topics.hide(member(1).node);
        assert_eq!((sayings.broadcast(&topic, 7, &value), sent()), (Ok(0), 1));
        show(1);
        assert_eq!((sayings.broadcast(&topic, 7, &value), sent()), (Ok(1), 2));
        show(2);
        assert_eq!((sayings.broadcast(&topic, 7, &value), sent()), (Ok(1), 1));
        sayings.topics.note(member(1).node, "topic/t", None);
        assert_eq!(sayings.broadcast(&topic, 7, &value), Ok(0));
    }
}
