use std::{fmt, marker::PhantomData, sync::Arc};

use futures::Stream;
use guthi_core::wire::{codec, id::NodeId, limits::BROADCAST_BYTES_MAX, name::Name};

use super::{
    entry::{encoded, kind_of, refused},
    mutex::named,
    node::Node,
};
use crate::{
    PublishError, Travels,
    calls::function::Arriving,
    runtime::{
        sayings::{Closed, Sayings, Subscriber, Told},
        variables::Variables,
    },
};

/// A topic: what is published goes to all nodes that subscribe at that moment. [`Node::topic`] gives it; clones are the same.
///
/// A message may be lost, and its subscribers are told how many were; it comes at most once, and those of one node come in
/// the order in which it has published them. Nothing is kept for those who subscribe later. It keeps no node alive.
///
/// ```no_run
/// # use guthi::prelude::*;
/// # async fn example(node: Node) -> guthi::Result<()> {
/// let chat = node.topic::<String>("chat");
/// let mut messages = chat.subscribe()?;
/// chat.publish(&"hello".to_owned())?;
/// while let Some(told) = messages.next().await {
///     println!("{told:?}");
/// }
/// # Ok(()) }
/// ```
pub struct Topic<T> {
    raw: RawTopic,
    variables: Arc<Variables>,
    value: PhantomData<fn(T) -> T>,
}

/// A topic for tools that have encoded messages and not their type. [`Node::raw_topic`] gives it; clones are the same.
///
/// Programs use [`Topic`]. What a message means is said by its kind, a hash of the shape of its type:
/// [`Node::variable_type`] translates between bytes and JSON.
#[derive(Clone)]
pub struct RawTopic {
    name: Result<Name, (String, &'static str)>,
    sayings: Arc<Sayings>,
}

impl Node {
    /// The topic of this name, of the whole cluster: the same on every node. Names are as those of [mutexes](Self::mutex); one
    /// that cannot be is told when it is used.
    #[must_use]
    pub fn topic<T: Travels>(&self, name: impl Into<String>) -> Topic<T> {
        Topic { raw: self.raw_topic(name), variables: self.inner_variables().clone(), value: PhantomData }
    }

    /// The [topic](Self::topic) of this name for tools that do not know the type of its messages.
    #[must_use]
    pub fn raw_topic(&self, name: impl Into<String>) -> RawTopic {
        RawTopic { name: named(name.into()), sayings: self.sayings().clone() }
    }
}

impl<T: Travels> Topic<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.raw.name()
    }

    /// Hands a message to every node that is linked and subscribes, this one included, and says how many these are. It never
    /// waits: what a link cannot carry is dropped, the oldest of 1 MiB first, and the subscribers there are told how many
    /// messages were. A message has at most 64 KiB encoded.
    ///
    /// # Errors
    /// [`PublishError`]; it was handed to nobody then.
    pub fn publish(&self, value: &T) -> Result<usize, PublishError> {
        let name = self.raw.good_name()?;
        let kind = kind_of::<T>(&self.variables, name)?;
        self.raw.publish(kind, encoded(name, value, BROADCAST_BYTES_MAX)?)
    }

    /// What is published from now on: by this node at once, by another as soon as it has heard of the subscription. A
    /// subscriber may be 1,024 messages or 4 MiB behind before it loses the oldest.
    ///
    /// # Errors
    /// [`PublishError`]; a subscription counts as an entry of this node.
    pub fn subscribe(&self) -> Result<Messages<T>, PublishError> {
        let kind = kind_of::<T>(&self.variables, self.raw.good_name()?)?;
        Ok(Messages { subscriber: self.raw.subscriber()?, kind, value: PhantomData })
    }
}

impl RawTopic {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.name {
            Ok(name) => name,
            Err((name, _)) => name,
        }
    }

    /// As [`Topic::publish`], with the encoded value of a type of this kind. Nobody looks whether it is one: whoever subscribes
    /// with that type passes over what it cannot read.
    ///
    /// # Errors
    /// As [`Topic::publish`].
    pub fn publish(&self, kind: u64, bytes: Vec<u8>) -> Result<usize, PublishError> {
        let (name, limit) = (self.good_name()?, BROADCAST_BYTES_MAX);
        if bytes.len() > limit {
            return Err(PublishError::TooLarge { name: name.to_string(), bytes: bytes.len(), limit });
        }
        self.sayings.broadcast(name, kind, &bytes.into()).map_err(|Closed| PublishError::Left)
    }

    /// As [`Topic::subscribe`], with the messages of all types.
    ///
    /// # Errors
    /// As [`Topic::subscribe`].
    pub fn subscribe(&self) -> Result<RawMessages, PublishError> {
        Ok(RawMessages { subscriber: self.subscriber()? })
    }

    fn subscriber(&self) -> Result<Subscriber, PublishError> {
        let name = self.good_name()?;
        self.sayings.subscribe(name.clone()).map_err(|full| refused(name, full))
    }

    fn good_name(&self) -> Result<&Name, PublishError> {
        self.name.as_ref().map_err(|(name, reason)| PublishError::BadName { name: name.clone(), reason })
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        let Self { raw, variables, value } = self;
        Self { raw: raw.clone(), variables: variables.clone(), value: *value }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.raw.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for RawTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTopic").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a subscriber of a topic is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent<T> {
    /// A node has published something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        value: T,
    },
    /// So many messages were lost here: this reader, or a link, was too slow for them.
    Missed(u64),
}

/// What one subscriber of a topic is told, until the node leaves. Dropping it ends the subscription.
///
/// A slow subscriber holds nobody up: it gets [`TopicEvent::Missed`] where it lost some. Messages of another type are passed
/// over, and counted as `guthi_saying_unread_total`.
#[derive(Debug)]
pub struct Messages<T> {
    subscriber: Subscriber,
    kind: u64,
    value: PhantomData<fn() -> T>,
}

impl<T: Travels> Messages<T> {
    /// What comes next, or `None` once the node has left.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TopicEvent<T>> {
        loop {
            let (from, kind, value) = match self.subscriber.next().await? {
                Told::Missed(missed) => return Some(TopicEvent::Missed(missed)),
                Told::Message { from, kind, value } => (from, kind, value),
            };
            let value = (kind == self.kind).then(|| codec::decode::<Arriving<T>>(&value).ok()).flatten();
            match value {
                Some(Arriving(value)) => return Some(TopicEvent::Message { from, value }),
                None => self.subscriber.pass_over(),
            }
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = TopicEvent<T>> + Send + 'static
    where
        T: Send + 'static,
    {
        futures::stream::unfold(self, |mut messages| async move { Some((messages.next().await?, messages)) })
    }
}

/// A message as it was published, of whatever type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawMessage {
    /// What its type is called.
    pub kind: u64,
    /// Its encoded value.
    pub bytes: Vec<u8>,
}

/// What one subscriber of a [`RawTopic`] is told, until the node leaves. Dropping it ends the subscription.
///
/// A slow subscriber holds nobody up: it gets [`TopicEvent::Missed`] where it lost some.
#[derive(Debug)]
pub struct RawMessages {
    subscriber: Subscriber,
}

impl RawMessages {
    /// What comes next, or `None` once the node has left.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TopicEvent<RawMessage>> {
        Some(match self.subscriber.next().await? {
            Told::Missed(missed) => TopicEvent::Missed(missed),
            Told::Message { from, kind, value } => {
                TopicEvent::Message { from, value: RawMessage { kind, bytes: value.to_vec() } }
            }
        })
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = TopicEvent<RawMessage>> + Send + 'static {
        futures::stream::unfold(self, |mut messages| async move { Some((messages.next().await?, messages)) })
    }
}
