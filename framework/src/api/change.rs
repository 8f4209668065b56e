use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _, stream};
use guthi_core::{
    protocol::variable::State,
    wire::{limits::FOLLOWED_MAX, name::Name},
};

use super::variable::Version;
use crate::{
    ReadError, WatchError,
    runtime::variables::{Follower, FollowerNews as News, Found, Variables, Watcher},
};

/// What has become of a variable that somebody watches, [alone](crate::Variable::watch) or
/// [with others](crate::Node::watch_prefix).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<T> {
    /// It has this value.
    Set {
        /// Which variable.
        name: String,
        /// Its value.
        value: T,
        /// Which version that is.
        version: Version,
        /// How many values it had since the one before in this stream, as far as this node knows; they are not shown.
        skipped: u64,
    },
    /// There is no such variable: it was deleted, or nobody has created it yet.
    Deleted {
        /// Which variable.
        name: String,
    },
    /// All nodes that kept it died at once. If one of them comes back, or somebody
    /// [resets](crate::Variable::reset) it, the stream goes on.
    Lost {
        /// Which variable.
        name: String,
    },
    /// All that there was when the stream began is told by now, but for what is lost: from here on it is changes. Said once, by
    /// streams of [many variables](crate::Node::watch_prefix).
    Listed,
    /// It has a value that this program cannot read: somebody has created it anew, with another type.
    Unreadable {
        /// Which variable.
        name: String,
        /// Why.
        error: ReadError,
    },
}

impl<T> Change<T> {
    /// Which variable, if it is about one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Set { name, .. } | Self::Deleted { name } | Self::Lost { name } | Self::Unreadable { name, .. } => {
                Some(name)
            }
            Self::Listed => None,
        }
    }

    /// Its value, if it has one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Set { value, .. } => Some(value),
            Self::Deleted { .. } | Self::Lost { .. } | Self::Listed | Self::Unreadable { .. } => None,
        }
    }
}

/// Somebody who follows all variables whose names begin so.
pub(crate) fn follower(variables: &Arc<Variables>, prefix: String) -> Result<Follower, WatchError> {
    let prefix = match &*prefix {
        "" => None,
        text => Some(Name::new(text).map_err(|reason| WatchError::BadPrefix { prefix: text.to_owned(), reason })?),
    };
    variables.follow(prefix).map_err(|_| WatchError::TooMany { limit: FOLLOWED_MAX })
}

/// The changes of what somebody watches, one after the other, also as a [`Stream`]. It ends when the node leaves. Dropping it
/// ends the watching.
#[must_use = "nothing is watched any more when it is dropped"]
pub struct Changes<T> {
    stream: Pin<Box<dyn Stream<Item = Change<T>> + Send>>,
}

impl<T: Send + 'static> Changes<T> {
    /// Of one variable.
    pub(crate) fn of(
        watcher: Watcher,
        decode: impl Fn(&str, &State) -> Result<(T, Version), ReadError> + Send + Sync + 'static,
    ) -> Self {
        let stream = stream::unfold((watcher, decode), async |(mut watcher, decode)| {
            let (found, skipped) = watcher.next().await?;
            let name = watcher.cell().name();
            let change = match found {
                Found::Lost => Change::Lost { name: name.to_string() },
                Found::Copy(copy) => change_of(name, decode(name, &copy.state), skipped),
            };
            Some((change, (watcher, decode)))
        });
        Self { stream: stream.boxed() }
    }

    /// Of many.
    pub(crate) fn of_all(
        follower: Follower,
        decode: impl Fn(&str, &State) -> Result<(T, Version), ReadError> + Send + Sync + 'static,
    ) -> Self {
        let stream = stream::unfold((follower, decode), async |(follower, decode)| {
            let change = match follower.next().await? {
                News::Listed => Change::Listed,
                News::Of(name, state, skipped) => change_of(&name, decode(&name, &state), skipped),
            };
            Some((change, (follower, decode)))
        });
        Self { stream: stream.boxed() }
    }
}

impl<T> Changes<T> {
    /// The next change; nothing when the node has left.
    ///
    /// # Cancel safety
    /// Safe to drop: no change is lost.
    pub async fn next(&mut self) -> Option<Change<T>> {
        self.stream.next().await
    }
}

fn change_of<T>(name: &str, read: Result<(T, Version), ReadError>, skipped: u64) -> Change<T> {
    let name = name.to_owned();
    match read {
        Ok((value, version)) => Change::Set { name, value, version, skipped },
        Err(ReadError::NotFound { .. }) => Change::Deleted { name },
        Err(error) => Change::Unreadable { name, error },
    }
}

impl<T> Stream for Changes<T> {
    type Item = Change<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change<T>>> {
        self.stream.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
