use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use guthi_core::wire::{id::NodeId, name::Name};

use super::node::Node;
use crate::{
    Channel, OpenError,
    calls::{channel::Door, executor::RESERVED},
};

impl Node {
    /// Accepts channels of a protocol from now on, from all nodes that are linked with this one, and from this one itself. Up
    /// to 64 that were opened wait here to be taken; more are refused.
    ///
    /// A protocol is known by its name, of 1 to 255 bytes without control characters. Say in it what will change, such as
    /// `thumbnails/1`.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # async fn example(node: Node) -> guthi::Result<()> {
    /// let mut incoming = node.accept("upper/1")?;
    /// while let Some(mut channel) = incoming.next().await {
    ///     tokio::spawn(async move {
    ///         let mut text = String::new();
    ///         channel.read_to_string(&mut text).await?; // up to its end
    ///         channel.write_all(text.to_uppercase().as_bytes()).await?;
    ///         channel.shutdown().await
    ///     });
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`OpenError::BadName`], [`OpenError::AlreadyAccepted`] while there is an [`Incoming`] of that protocol on this node, or
    /// [`OpenError::Left`].
    pub fn accept(&self, protocol: impl Into<String>) -> Result<Incoming, OpenError> {
        Ok(Incoming { door: self.doors().accept(checked(protocol.into())?)? })
    }

    /// Opens a channel of a protocol to a node that accepts it: a stream of bytes in both directions. When this returns, the
    /// channel waits there to be taken.
    ///
    /// Bytes of channels travel beside calls, over a connection of their own where one can be made, and slow none of them
    /// down. One node may have 200 channels open to another.
    ///
    /// ```no_run
    /// # use guthi::prelude::*;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # async fn example(node: Node, peer: NodeId) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut channel = node.open(peer, "upper/1").await?;
    /// channel.write_all(b"and louder").await?;
    /// channel.shutdown().await?; // no more will come
    /// let mut louder = String::new();
    /// channel.read_to_string(&mut louder).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`OpenError`]; there is no answer after 10 s.
    ///
    /// # Cancel safety
    /// If it is dropped, the other node may be given a channel that ends at once.
    pub async fn open(&self, peer: impl Into<NodeId>, protocol: impl Into<String>) -> Result<Channel, OpenError> {
        let (peer, protocol) = (peer.into(), checked(protocol.into())?);
        if peer == self.id() {
            return self.doors().open_here(peer, &protocol);
        }
        let lane = {
            let snapshot = self.router().roster().load();
            if snapshot.closed {
                return Err(OpenError::Left);
            }
            snapshot.routes.get(&peer).map(|route| route.lane.clone())
        };
        match lane {
            Some(lane) => lane.open_channel(&protocol).await,
            None => Err(OpenError::NotLinked { protocol: protocol.to_string(), peer }),
        }
    }
}

fn checked(protocol: String) -> Result<Name, OpenError> {
    let reserved = protocol.starts_with(RESERVED).then_some("names that begin with guthi. are reserved");
    let name = reserved.map_or_else(|| Name::new(&protocol), Err);
    name.map_err(|reason| OpenError::BadName { protocol, reason })
}

/// The channels that other nodes open to this one for one protocol, as a [`Stream`]; it ends when the node has left.
///
/// Dropping it stops accepting: channels that were not taken end, and from then on opening one fails with
/// [`OpenError::NobodyAccepts`]. It keeps no node alive.
#[derive(Debug)]
#[must_use = "dropping it stops accepting"]
pub struct Incoming {
    door: Door,
}

impl Incoming {
    /// The name of the protocol.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.door.protocol()
    }

    /// The next channel, or `None` once the node has left.
    ///
    /// # Cancel safety
    /// Dropping the future loses no channel.
    pub async fn next(&mut self) -> Option<Channel> {
        poll_fn(|cx| self.door.poll_next(cx)).await
    }
}

impl Stream for Incoming {
    type Item = Channel;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Channel>> {
        self.door.poll_next(cx)
    }
}
