use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _, stream};
use guthi_core::protocol::variable::State;

use super::variable::Version;
use crate::{
    ReadError,
    runtime::variables::{Found, Watcher},
};

/// What has become of a variable that somebody [watches](crate::Variable::watch).
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
    /// It has a value that this program cannot read: somebody has created it anew, with another type.
    Unreadable {
        /// Which variable.
        name: String,
        /// Why.
        error: ReadError,
    },
}

impl<T> Change<T> {
    /// Which variable.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Deleted { name } | Self::Lost { name } | Self::Unreadable { name, .. } => {
                name
            }
        }
    }

    /// Its value, if it has one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Set { value, .. } => Some(value),
            Self::Deleted { .. } | Self::Lost { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// The changes of what somebody watches, as a [`Stream`]. It ends when the node leaves. Dropping it ends the watching; dropping
/// a future of its next change loses none.
#[must_use = "nothing is watched any more when it is dropped"]
pub struct Changes<T> {
    stream: Pin<Box<dyn Stream<Item = Change<T>> + Send>>,
}

impl<T: Send + 'static> Changes<T> {
    pub(crate) fn of(
        watcher: Watcher,
        decode: impl Fn(&State) -> Result<(T, Version), ReadError> + Send + Sync + 'static,
    ) -> Self {
        let stream = stream::unfold((watcher, decode), async |(mut watcher, decode)| {
            let (found, skipped) = watcher.next().await?;
            let name = watcher.cell().name().to_string();
            let change = match found {
                Found::Lost => Change::Lost { name },
                Found::Copy(copy) => match decode(&copy.state) {
                    Ok((value, version)) => Change::Set { name, value, version, skipped },
                    Err(ReadError::NotFound { .. }) => Change::Deleted { name },
                    Err(error) => Change::Unreadable { name, error },
                },
            };
            Some((change, (watcher, decode)))
        });
        Self { stream: stream.boxed() }
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
