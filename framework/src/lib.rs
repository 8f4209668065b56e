//! Distributed applications without a master.
//!
//! Link this crate, start the same program on every machine, and call its functions anywhere:
//!
//! ```no_run
//! use guthi::prelude::*;
//!
//! /// Squares a number.
//! #[guthi::function]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! #[tokio::main]
//! async fn main() -> guthi::Result<()> {
//!     let node = Node::local().start().await?;
//!     let squares = node.map::<square>(1..=100).await?;
//!     println!("{} squares by {} nodes", squares.len(), node.members().len());
//!     node.leave().await?;
//!     Ok(())
//! }
//! ```
//!
//! There is no master, no broker and no configuration server: every node runs the same modules.
#![forbid(unsafe_code)]

mod api;
mod calls;
mod network;
mod runtime;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use api::{
    builder::Builder,
    call::{Call, NamedCall},
    call_stream::CallStream,
    change::{Change, Changes},
    channel::Incoming,
    context::Context,
    entry::{Entry, EntryChange, EntryChanges, Ephemeral},
    error::{
        BuildError, CallError, ChannelError, Error, JoinError, LeaveError, LockError, MapError, OpenError, Outcome,
        PublishError, ReadError, RegisterError, WatchError, WriteError,
    },
    event::{Event, Events, Subscription},
    functions::Functions,
    key::ClusterKey,
    local::{Control, LocalNode, local_nodes, runtime_dir},
    logs::{Level, LogLine, LogPage, LogQuery, Logs, UnknownLevel},
    map::{Done, Map, Progress},
    metrics::{
        CallMetrics, CatalogMetrics, ChannelMetrics, DetectorMetrics, FunctionMetrics, Histogram, LinkMetrics,
        MembershipMetrics, Metrics, MutexMetrics, Sample, SayingMetrics, ServedMetrics, VariableMetrics,
    },
    mutex::{BadFence, Fence, Guard, Mutex},
    mutexes::{Holder, MutexInfo, Page},
    node::Node,
    peer::{FunctionInfo, Load, Member, Peer, Quorum, Rescue, Status, View},
    raw_variable::{RawValue, RawVariable},
    resources::{Resources, VERSION},
    topic::{Messages, RawMessage, RawMessages, RawTopic, Topic, TopicEvent},
    trace::{BadTrace, Trace},
    variable::{BadVersion, Number, Snapshot, Variable, Version},
    variable_type::{BadValue, VariableType},
    variables::VariableInfo,
};
pub use calls::{
    channel::Channel,
    function::{Failure, Function, StreamFunction, Travels},
};
pub use guthi_core::wire::id::{Incarnation, NodeId};
pub use guthi_macros::function;
pub use network::{
    address::Address,
    ticket::{BadTicket, Ticket},
};
pub use runtime::driver::Echo;

/// The result of most operations, with any error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What most programs need: `use guthi::prelude::*;`.
pub mod prelude {
    pub use crate::{Builder, Change, ClusterKey, Context, Event, Guard, Mutex, Node, NodeId, Outcome, Peer, Variable};
}

/// What the expansion of [`function`](macro@function) names. Not for use by hand; it may change at any time.
#[doc(hidden)]
pub mod __private {
    pub use futures::{Stream, StreamExt};
    pub use inventory;

    pub use crate::calls::function::{
        About, Body, Definition, Input, IntoOutcome, Items, Outline, Stop, invoke, invoke_async, invoke_stream,
    };
}
