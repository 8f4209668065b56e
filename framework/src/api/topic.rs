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
    name: Result<Name, (String, &'static str)>,
    sayings: Arc<Sayings>,
    variables: Arc<Variables>,
    value: PhantomData<fn(T) -> T>,
}

impl Node {
    /// The topic of this name, of the whole cluster: the same on every node. Names are as those of [mutexes](Self::mutex); one
    /// that cannot be is told when it is used.
    #[must_use]
    pub fn topic<T: Travels>(&self, name: impl Into<String>) -> Topic<T> {
        let (sayings, variables) = (self.sayings().clone(), self.inner_variables().clone());
        Topic { name: named(name.into()), sayings, variables, value: PhantomData }
    }
}

impl<T: Travels> Topic<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.name {
            Ok(name) => name,
            Err((name, _)) => name,
        }
    }

    /// Hands a message to every node that is linked and subscribes, this one included, and says how many these are. It never
    /// waits: what a link cannot carry is dropped, the oldest of 1 MiB first, and the subscribers there are told how many
    /// messages were. A message has at most 64 KiB encoded.
    ///
    /// # Errors
    /// [`PublishError`]; it was handed to nobody then.
    pub fn publish(&self, value: &T) -> Result<usize, PublishError> {
        let name = self.good_name()?;
        let kind = kind_of::<T>(&self.variables, name)?;
        let value = encoded(name, value, BROADCAST_BYTES_MAX)?.into();
        self.sayings.broadcast(name, kind, &value).map_err(|Closed| PublishError::Left)
    }

    /// What is published from now on: by this node at once, by another as soon as it has heard of the subscription. A
    /// subscriber may be 1,024 messages or 4 MiB behind before it loses the oldest.
    ///
    /// # Errors
    /// [`PublishError`]; a subscription counts as an entry of this node.
    pub fn subscribe(&self) -> Result<Messages<T>, PublishError> {
        let name = self.good_name()?;
        let kind = kind_of::<T>(&self.variables, name)?;
        let subscriber = self.sayings.subscribe(name.clone()).map_err(|full| refused(name, full))?;
        Ok(Messages { subscriber, kind, value: PhantomData })
    }

    fn good_name(&self) -> Result<&Name, PublishError> {
        self.name.as_ref().map_err(|(name, reason)| PublishError::BadName { name: name.clone(), reason })
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        let Self { name, sayings, variables, value } = self;
        Self { name: name.clone(), sayings: sayings.clone(), variables: variables.clone(), value: *value }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.name).finish_non_exhaustive()
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
