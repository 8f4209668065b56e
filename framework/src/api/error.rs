//! One error type per operation; each variant says whether the operation may have happened.

use std::{fmt, io, path::PathBuf, time::Duration};

use guthi_core::wire::{
    id::NodeId,
    limits::{CHANNELS_MAX, OPERATIONS_MAX, WAITERS_MAX},
};

use super::mutex::Fence;

/// Whether an operation that failed may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Certainly not: it can be repeated without harm.
    NotApplied,
    /// Certainly: the function ran, and said no or panicked.
    Applied,
    /// Nobody knows.
    Unknown,
}

/// Any error of this crate; every operation's own error converts into it.
///
/// Its `Debug` form is written for people, since that is what a `main` that returns it prints:
/// the sentence, what caused it, and what to do next.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node could not be started.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A node could not be reached or waited for.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A call gave no result.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A map gave no result.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A channel was not opened, or not accepted.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A channel has ended before its end.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// A mutex was not to be had, or was lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A variable could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Variables cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A variable could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something could not be said to the others.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Leaving did not go as it should.
    #[error(transparent)]
    Leave(#[from] LeaveError),
    /// A function could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl Error {
    /// Whether the operation may have happened.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Build(_) | Self::Join(_) | Self::Register(_) | Self::Read(_) | Self::Watch(_) => Outcome::NotApplied,
            Self::Publish(error) => error.outcome(),
            Self::Call(error) => error.outcome(),
            Self::Map(error) => error.outcome(),
            Self::Open(error) => error.outcome(),
            Self::Channel(error) => error.outcome(),
            Self::Lock(error) => error.outcome(),
            Self::Write(error) => error.outcome(),
            Self::Leave(error) => error.outcome(),
        }
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Build(error) => error.next_step(),
            Self::Join(error) => error.next_step(),
            Self::Call(error) | Self::Map(MapError::Item { source: error, .. }) => error.next_step(),
            Self::Open(error) => error.next_step(),
            Self::Lock(error) => error.next_step(),
            Self::Read(error) => error.next_step(),
            Self::Watch(error) => error.next_step(),
            Self::Write(error) => error.next_step(),
            Self::Publish(error) => error.next_step(),
            Self::Map(_) | Self::Channel(_) | Self::Leave(_) | Self::Register(_) => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, "\n  because {cause}")?;
            source = cause.source();
        }
        match self.next_step() {
            Some(next) => write!(f, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

/// Why a node could not be started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `start()` was called outside a tokio runtime.
    #[error("no tokio runtime is running here")]
    NoRuntime,
    /// An address to listen on, advertise or join cannot be understood.
    #[error("{address:?} is no address: {reason}")]
    BadAddress {
        /// The text that was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process listens there.
    #[error("{address} is taken by another process")]
    AddressInUse {
        /// The address.
        address: String,
    },
    /// The system refuses to listen there.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// A node that can be reached from other machines needs a key, or `open_to_anyone()`.
    #[error("a node that listens on {address} can be reached from other machines and needs a cluster key")]
    KeyRequired {
        /// The address beyond loopback.
        address: String,
    },
    /// A cluster key cannot be read.
    #[error("not a cluster key: {reason}")]
    BadKey {
        /// What is wrong with it; never the key itself.
        reason: String,
    },
    /// A name is empty, longer than 255 bytes, or has control characters.
    #[error("{name:?} cannot be a {what}: {reason}")]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The runtime directory cannot be used.
    #[error("the runtime directory {} cannot be used: {reason}", path.display())]
    RuntimeDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Another live process has this identity.
    #[error("another process runs with the identity {node}")]
    IdentityInUse {
        /// The identity.
        node: NodeId,
    },
    /// The secret key is not one.
    #[error("the identity cannot be used: {reason}")]
    Identity {
        /// Why not.
        reason: String,
    },
    /// Two functions have one name.
    #[error("two functions are named `{name}`")]
    DuplicateFunction {
        /// The name.
        name: String,
    },
    /// A function that was chosen for the node is not marked in this program.
    #[error("no function named `{function}` is marked in this program")]
    NotMarked {
        /// The name.
        function: String,
    },
    /// A type in a function's signature cannot travel.
    #[error("function `{function}`: the type {type_name} cannot travel: {hint}")]
    UnsupportedType {
        /// The function.
        function: String,
        /// The type.
        type_name: String,
        /// What to do instead.
        hint: String,
    },
    /// More is declared than a node can tell the others.
    #[error("the node cannot describe itself: {reason}")]
    TooMuchToTell {
        /// Which bound is exceeded.
        reason: String,
    },
    /// The system refuses threads.
    #[error("threads cannot be started: {reason}")]
    Threads {
        /// What the system said.
        reason: String,
    },
}

impl BuildError {
    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoRuntime => "call it from an async fn under #[tokio::main]",
            Self::BadAddress { .. } => "write host:port, [ipv6]:port or a multiaddress such as /ip4/10.0.0.5/tcp/6969",
            Self::AddressInUse { .. } => "stop the other process, or listen on port 0 for any free port",
            Self::KeyRequired { .. } => "give all nodes the same key with .key(..), or call .open_to_anyone()",
            Self::DuplicateFunction { .. } => "give one of them another name: #[guthi::function(name = \"..\")]",
            Self::IdentityInUse { .. } => "give each process its own identity",
            _ => return None,
        })
    }
}

/// Why a node could not be reached or waited for. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The address cannot be understood or resolved.
    #[error("{address:?} is no address: {reason}")]
    BadAddress {
        /// The text that was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or no node does.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The address leads to this node itself.
    #[error("{address} is this node itself")]
    Myself {
        /// Where.
        address: String,
    },
    /// A node answered that has another cluster key.
    #[error("the node at {address} has another cluster key")]
    WrongKey {
        /// Where.
        address: String,
    },
    /// A node answered that belongs to another cluster.
    #[error("the node at {address} belongs to another cluster")]
    WrongCluster {
        /// Where.
        address: String,
    },
    /// A node answered that speaks another version of the protocol.
    #[error("the node at {address} speaks wire version {version}, and this one {ours}")]
    WrongVersion {
        /// Where.
        address: String,
        /// What it speaks.
        version: u8,
        /// What this build speaks.
        ours: u8,
    },
    /// The other node refuses this one: it is leaving, or knows a later life of this identity.
    #[error("the node at {address} refuses: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// What it said.
        reason: String,
    },
    /// This node has a quorum, so there is no need to go on without one.
    #[error("this node is not isolated: enough voters answer")]
    NotIsolated,
    /// No other lineage of the cluster is in sight.
    #[error("no other lineage of this cluster is in sight")]
    NoOtherLineage,
    /// The others went on without this node meanwhile.
    #[error("the others went on without this node; it joins them anew")]
    Excluded,
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl JoinError {
    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadAddress { .. } => "write host:port, [ipv6]:port or a multiaddress such as /ip4/10.0.0.5/tcp/6969",
            Self::Unreachable { .. } => "is a node running there, and does a firewall let its port through?",
            Self::WrongKey { .. } => "give both nodes the same key",
            Self::WrongCluster { .. } => "give both nodes the same cluster name",
            Self::WrongVersion { .. } => "update the older of the two",
            Self::NotIsolated => "wait for Event::Isolated; until then the members go on by themselves",
            Self::NoOtherLineage => "link this node with one of the other lineage first: Node::connect",
            _ => return None,
        })
    }
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The chosen node has no function of that name. It did not run.
    #[error("cannot call `{function}` on {}: no such function there", node.short())]
    NoSuchFunction {
        /// The name.
        function: String,
        /// The node.
        node: NodeId,
    },
    /// No node in sight has a function of that name. It did not run.
    #[error("cannot call `{function}`: no node has it")]
    NoNodeHasIt {
        /// The name.
        function: String,
    },
    /// The node that was named is not linked with this one now. It did not run.
    #[error("cannot call `{function}` on {}: it is not linked with this node", node.short())]
    NotLinked {
        /// The name.
        function: String,
        /// The node.
        node: NodeId,
    },
    /// Here and there the function has different types. It did not run.
    #[error("cannot call `{function}`: here it is `{here}`, there `{there}`")]
    SignatureMismatch {
        /// The name.
        function: String,
        /// Its types in this program.
        here: String,
        /// Its types at the other node.
        there: String,
    },
    /// The arguments cannot be encoded here or decoded there. It did not run.
    #[error("cannot call `{function}`: the arguments do not fit: {message}")]
    InvalidArguments {
        /// The name.
        function: String,
        /// What does not fit.
        message: String,
    },
    /// The node went away before it answered. It may have run.
    #[error("the node {} was lost while it ran `{function}`: {reason}", node.short())]
    PeerLost {
        /// The name.
        function: String,
        /// The node.
        node: NodeId,
        /// How it was lost.
        reason: String,
    },
    /// The deadline passed first.
    #[error("`{function}` gave no result before its deadline")]
    Deadline {
        /// The name.
        function: String,
        /// Whether it may have begun.
        started: bool,
    },
    /// The node that was to run it stops or has stopped serving.
    #[error("`{function}` was cancelled: the node leaves")]
    Cancelled {
        /// The name.
        function: String,
        /// Whether it may have begun.
        started: bool,
    },
    /// Every node that has it is at its limits. It did not run.
    #[error("cannot call `{function}`: every node that has it is overloaded")]
    Overloaded {
        /// The name.
        function: String,
    },
    /// The arguments are too large, and it did not run; or the result is, and it did.
    #[error("`{function}`: the {} of {bytes} bytes, and at most {limit} are allowed", if *.result { "result is" } else { "arguments are" })]
    TooLarge {
        /// The name.
        function: String,
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        limit: u64,
        /// It is the result.
        result: bool,
    },
    /// The function ran and returned an error of its own.
    #[error("`{function}` failed: {message}")]
    Failed {
        /// The name.
        function: String,
        /// Its error.
        message: String,
    },
    /// The function panicked: a bug in it.
    #[error("`{function}` panicked at {location}: {message}")]
    Panicked {
        /// The name.
        function: String,
        /// What the panic said.
        message: String,
        /// `file:line:column` at the node where it ran.
        location: String,
    },
}

impl CallError {
    /// Whether the function may have run.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::NoSuchFunction { .. }
            | Self::NoNodeHasIt { .. }
            | Self::NotLinked { .. }
            | Self::SignatureMismatch { .. }
            | Self::InvalidArguments { .. }
            | Self::Overloaded { .. }
            | Self::TooLarge { result: false, .. }
            | Self::Deadline { started: false, .. }
            | Self::Cancelled { started: false, .. } => Outcome::NotApplied,
            Self::TooLarge { result: true, .. } | Self::Failed { .. } | Self::Panicked { .. } => Outcome::Applied,
            Self::PeerLost { .. } | Self::Deadline { started: true, .. } | Self::Cancelled { started: true, .. } => {
                Outcome::Unknown
            }
        }
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoNodeHasIt { .. } | Self::NoSuchFunction { .. } => {
                "start a program that has it; a library of functions must be named once: use my_functions as _;"
            }
            Self::SignatureMismatch { .. } => "run the same build on all nodes, or give the new form a new name",
            Self::TooLarge { .. } => "send it in parts",
            Self::Overloaded { .. } => "try later, or add nodes",
            _ => return None,
        })
    }
}

/// Why a map gave no result. Items that had finished did run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// One item failed; what was running elsewhere is cancelled.
    #[error("item {index} of the map failed")]
    Item {
        /// The position of the item in the input, from zero.
        index: usize,
        /// How it failed.
        source: CallError,
    },
    /// One item lost so many nodes that it may be what kills them.
    #[error("item {index} of the map was given up: {attempts} nodes were lost while they ran it")]
    Poisoned {
        /// The position of the item in the input, from zero.
        index: usize,
        /// How many nodes were lost with it.
        attempts: u32,
    },
    /// The deadline passed first.
    #[error("the map was not done before its deadline: {done} of {total} items were")]
    Deadline {
        /// Items done.
        done: usize,
        /// All items.
        total: usize,
    },
}

impl MapError {
    /// Whether the items may have run.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Item { source, .. } => source.outcome(),
            Self::Poisoned { .. } | Self::Deadline { .. } => Outcome::Unknown,
        }
    }
}

/// Why a variable could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The name is empty, longer than 255 bytes, or has control characters.
    #[error("{name:?} cannot name a variable: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such variable any more.
    #[error("there is no variable `{name}`: it was deleted")]
    NotFound {
        /// The name.
        name: String,
    },
    /// It was deleted, and created anew with another type.
    #[error("the variable `{name}` is of another type than {here}")]
    OtherType {
        /// The name.
        name: String,
        /// The shape of the type here.
        here: String,
        /// What the other type is called: a hash of its shape.
        there: u64,
    },
    /// Its bytes are no value of its type: whoever wrote them has a type that looks alike and is not.
    #[error("what is written in the variable `{name}` is no value of its type")]
    Unreadable {
        /// The name.
        name: String,
    },
    /// All nodes that kept it died at once.
    #[error("the variable `{name}` is lost: all nodes that kept it have died")]
    Lost {
        /// The name.
        name: String,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl ReadError {
    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName { .. } => GOOD_NAME,
            Self::NotFound { .. } => "create it anew with `Node::variable`",
            Self::OtherType { .. } | Self::Unreadable { .. } => SAME_TYPE,
            Self::Lost { .. } => START_ANEW,
            Self::Left => return None,
        })
    }
}

/// Why variables cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// It is longer than 255 bytes, or has control characters.
    #[error("no name begins with {prefix:?}: {reason}")]
    BadPrefix {
        /// The beginning.
        prefix: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The type cannot be in a variable.
    #[error("{type_name} cannot be in a variable (found in {place}): {hint}")]
    UnsupportedType {
        /// The type at fault.
        type_name: String,
        /// Where it sits.
        place: String,
        /// What to use instead.
        hint: String,
    },
    /// This node watches as many beginnings as it may.
    #[error("this node watches {limit} beginnings of names already")]
    TooMany {
        /// How many it may watch.
        limit: usize,
    },
}

impl WatchError {
    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadPrefix { .. } => GOOD_NAME,
            Self::UnsupportedType { .. } => "use a type that serde can write and read as it is",
            Self::TooMany { .. } => "watch a shorter beginning that they have in common",
        })
    }
}

/// Why a variable could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name is empty, longer than 255 bytes, or has control characters.
    #[error("{name:?} cannot name a variable: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its type cannot travel between nodes.
    #[error("{type_name} cannot be in a variable (found in {place}): {hint}")]
    UnsupportedType {
        /// The type at fault.
        type_name: String,
        /// Where it sits.
        place: String,
        /// What to use instead.
        hint: String,
    },
    /// The value refuses to be encoded.
    #[error("the value for the variable `{name}` cannot be encoded: {reason}")]
    NotEncoded {
        /// The name.
        name: String,
        /// What serde says.
        reason: String,
    },
    /// The value is larger than a variable may be.
    #[error("the value for the variable `{name}` has {bytes} bytes, and at most {limit} are allowed")]
    TooLarge {
        /// The name.
        name: String,
        /// How large it is, encoded.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// There is no such variable any more.
    #[error("there is no variable `{name}`: it was deleted")]
    NotFound {
        /// The name.
        name: String,
    },
    /// It is there with another type.
    #[error("the variable `{name}` is of another type than {here}")]
    OtherType {
        /// The name.
        name: String,
        /// The shape of the type here.
        here: String,
        /// What the other type is called: a hash of its shape.
        there: u64,
    },
    /// What is written in it is no value of its type: whoever wrote that has a type that looks alike and is not.
    #[error("what is written in the variable `{name}` is no value of its type")]
    Unreadable {
        /// The name.
        name: String,
    },
    /// The sum is beyond the bounds of its type.
    #[error("the sum does not fit into the variable `{name}`")]
    Overflow {
        /// The name.
        name: String,
    },
    /// A guard that was granted later has written: this one was lost.
    #[error("the variable `{name}` was written under a later guard, with {fence}")]
    Fenced {
        /// The name.
        name: String,
        /// Of that guard.
        fence: Fence,
    },
    /// It is written under guards of another mutex.
    #[error("the variable `{name}` is written under guards of the mutex `{mutex}`")]
    OtherMutex {
        /// The name.
        name: String,
        /// The name of that mutex.
        mutex: String,
    },
    /// Its node has come into another lineage than that of the guard, and mostly has lost it by that.
    #[error("the variable `{name}` is in another lineage than the guard under which it was to be written")]
    OtherLineage {
        /// The name.
        name: String,
    },
    /// All nodes that kept it died at once.
    #[error("the variable `{name}` is lost: all nodes that kept it have died")]
    Lost {
        /// The name.
        name: String,
    },
    /// Its home has as many variables as it can keep.
    #[error("the variable `{name}` is one too many for its home")]
    TooMany {
        /// The name.
        name: String,
    },
    /// As many tasks of this node wait for variables as may.
    #[error("cannot write the variable `{name}`: {OPERATIONS_MAX} tasks of this node wait for variables already")]
    TooManyWaiters {
        /// The name.
        name: String,
    },
    /// It was on its way when this node was separated from the others, or left. Nobody knows whether it was written.
    #[error(
        "nobody knows whether the variable `{name}` was written: this node was separated from the others meanwhile"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl WriteError {
    /// Whether it may have been written.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Unknown { .. } => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName { .. } => GOOD_NAME,
            Self::UnsupportedType { .. } | Self::NotEncoded { .. } => {
                "use a type that serde can write and read as it is"
            }
            Self::TooLarge { .. } => "divide it into several variables; what is larger belongs into a file",
            Self::NotFound { .. } => "create it anew with `Node::variable`",
            Self::OtherType { .. } | Self::Unreadable { .. } => SAME_TYPE,
            Self::Overflow { .. } => "use a wider type",
            Self::Fenced { .. } => "lock the mutex again, and look at what the later holder has done",
            Self::OtherMutex { .. } => "lock that mutex, or use `set`",
            Self::OtherLineage { .. } => "lock the mutex again, if the guard is not held any more, and try again",
            Self::Lost { .. } => START_ANEW,
            Self::TooMany { .. } => "delete some, or let more nodes join",
            Self::TooManyWaiters { .. } => "let fewer tasks wait at once",
            Self::Unknown { .. } => "read it and see",
            Self::Left => return None,
        })
    }
}

/// Why something could not be said to the others: published, set, sent to a topic, or subscribed to. Nobody was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is empty, longer than 255 bytes, or has control characters.
    #[error("{name:?} cannot be a name: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its type cannot travel between nodes.
    #[error("cannot say `{name}`: the type {type_name} cannot travel: {hint}")]
    UnsupportedType {
        /// The name.
        name: String,
        /// The type at fault.
        type_name: String,
        /// What to use instead.
        hint: String,
    },
    /// The value refuses to be encoded.
    #[error("the value for `{name}` cannot be encoded: {reason}")]
    NotEncoded {
        /// The name.
        name: String,
        /// What serde says.
        reason: String,
    },
    /// The value is larger than it may be.
    #[error("the value for `{name}` has {bytes} bytes, and at most {limit} are allowed")]
    TooLarge {
        /// The name.
        name: String,
        /// How large it is, encoded.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// With it this node would say more than a node may.
    #[error("cannot say `{name}`: a node has at most {entries_max} entries of {bytes_max} bytes together")]
    Full {
        /// The name.
        name: String,
        /// How many entries there may be.
        entries_max: usize,
        /// How many bytes their names and values may have.
        bytes_max: usize,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl PublishError {
    /// Whether the others may have been told: never.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::NotApplied
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName { .. } => GOOD_NAME,
            Self::UnsupportedType { .. } | Self::NotEncoded { .. } => {
                "use a type that serde can write and read as it is"
            }
            Self::TooLarge { .. } => "say where it is to be had instead, and let those who want it call a function",
            Self::Full { .. } => "take something back, or keep it in variables",
            Self::Left => return None,
        })
    }
}

const GOOD_NAME: &str = "give it a name of 1 to 255 bytes without control characters";
const SAME_TYPE: &str = "give the type the same shape in all programs, or use another name";
const START_ANEW: &str = "if one of those nodes was only cut off, bring it back; else begin anew with `Variable::reset`, or `guthi var reset`";

/// Why a mutex was not to be had, or what has become of its guard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The name is empty, longer than 255 bytes, or has control characters.
    #[error("{name:?} cannot name a mutex: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It was not free in time.
    #[error("the mutex `{name}` was not to be had within {waited:?}")]
    Timeout {
        /// The name.
        name: String,
        /// How long this task has waited.
        waited: Duration,
    },
    /// Nobody could say in time whether it is free: it was on its way between two nodes, or too few members answer.
    #[error("nobody could say whether the mutex `{name}` is free")]
    Unanswered {
        /// The name.
        name: String,
    },
    /// As many tasks of this node wait for mutexes as may.
    #[error("cannot wait for the mutex `{name}`: {WAITERS_MAX} tasks of this node wait for mutexes already")]
    TooManyWaiters {
        /// The name.
        name: String,
    },
    /// The guard was not held until it was given back: another one may have been granted meanwhile.
    #[error("the mutex `{name}` was lost while this task had it, with {fence}")]
    Lost {
        /// The name.
        name: String,
        /// Of the guard.
        fence: Fence,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl LockError {
    /// Whether this task may have had the mutex.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::BadName { .. }
            | Self::Timeout { .. }
            | Self::Unanswered { .. }
            | Self::TooManyWaiters { .. }
            | Self::Left => Outcome::NotApplied,
            Self::Lost { .. } => Outcome::Unknown,
        }
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName { .. } => "give it a name of 1 to 255 bytes without control characters",
            Self::Timeout { .. } => "see who holds it with `guthi lock ls`, or wait longer",
            Self::Unanswered { .. } => "try again; if it stays so, see with `guthi view show` who answers",
            Self::TooManyWaiters { .. } => "let fewer tasks wait at once",
            Self::Lost { .. } => {
                "look at what was done under it; where it must not happen twice, let what you change refuse lower fences"
            }
            Self::Left => return None,
        })
    }
}

/// Why a channel was not opened, or a protocol not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is empty, longer than 255 bytes, has control characters, or begins with `guthi.`.
    #[error("{protocol:?} cannot name a protocol: {reason}")]
    BadName {
        /// The name.
        protocol: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Somebody accepts the protocol on this node already.
    #[error("this node accepts `{protocol}` already")]
    AlreadyAccepted {
        /// The name.
        protocol: String,
    },
    /// The node is not linked with this one now.
    #[error("cannot open `{protocol}` to {}: it is not linked with this node", peer.short())]
    NotLinked {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
    },
    /// Nobody accepts channels of the protocol on that node.
    #[error("cannot open `{protocol}` to {}: nobody accepts this protocol there", peer.short())]
    NobodyAccepts {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
    },
    /// As many channels of the protocol wait on that node as may.
    #[error("cannot open `{protocol}` to {}: too many wait there to be taken", peer.short())]
    Full {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
    },
    /// This node has as many channels open to that one as it may.
    #[error("cannot open `{protocol}` to {}: {CHANNELS_MAX} channels are open to it", peer.short())]
    TooMany {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
    },
    /// There was no answer in time. The channel may have been given to the other node, and has ended since.
    #[error("cannot open `{protocol}` to {}: no answer within {waited:?}", peer.short())]
    Timeout {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
        /// How long this task has waited.
        waited: Duration,
    },
    /// The node went away before it answered. The channel may have been given to it, and has ended since.
    #[error("cannot open `{protocol}` to {}: it was lost before it answered: {reason}", peer.short())]
    PeerLost {
        /// The name.
        protocol: String,
        /// The node.
        peer: NodeId,
        /// How it was lost.
        reason: String,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

impl OpenError {
    /// Whether the other node may have been given a channel, which has ended since.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::BadName { .. }
            | Self::AlreadyAccepted { .. }
            | Self::NotLinked { .. }
            | Self::NobodyAccepts { .. }
            | Self::Full { .. }
            | Self::TooMany { .. }
            | Self::Left => Outcome::NotApplied,
            Self::Timeout { .. } | Self::PeerLost { .. } => Outcome::Unknown,
        }
    }

    /// What to do about it, if there is something to say.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadName { .. } => {
                "give it a name of 1 to 255 bytes without control characters, that does not begin with guthi."
            }
            Self::AlreadyAccepted { .. } => "drop the `Incoming` that accepts it, or use another name",
            Self::NotLinked { .. } => "see with `guthi node ls` who is there, or wait for it with `Node::wait_for`",
            Self::NobodyAccepts { .. } => "call `Node::accept` there first, with the same name",
            Self::Full { .. } => "take channels faster there, or try again later",
            Self::TooMany { .. } => "drop channels that are not needed, or carry more over each",
            Self::Timeout { .. } | Self::PeerLost { .. } => "open another one once the node is linked again",
            Self::Left => return None,
        })
    }
}

/// Why a channel ended before its end. It stands within the [`io::Error`] of a read or write, whose kind is
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset) or [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The other side has dropped it before it had shut it down; or, which is rare, the connection that carried it broke and
    /// the link did not.
    #[error("the channel `{protocol}` was dropped by {}", peer.short())]
    Dropped {
        /// The name of its protocol.
        protocol: String,
        /// The node at the other end.
        peer: NodeId,
    },
    /// The link with the other node has ended, or this node has left.
    #[error("the channel `{protocol}` to {} has ended with the link: {reason}", peer.short())]
    PeerLost {
        /// The name of its protocol.
        protocol: String,
        /// The node at the other end.
        peer: NodeId,
        /// How it was lost.
        reason: String,
    },
}

impl ChannelError {
    /// Whether the other side may have read what was written: nobody knows how much of it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Unknown
    }
}

impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        let kind = match error {
            ChannelError::Dropped { .. } => io::ErrorKind::ConnectionReset,
            ChannelError::PeerLost { .. } => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Why a function could not be registered. It is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The node has a function of that name.
    #[error("this node has a function named `{name}` already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The name is empty, too long, has control characters, or begins with `guthi.`.
    #[error("{name:?} cannot name a function: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A type cannot travel.
    #[error("function `{name}`: the type {type_name} cannot travel: {hint}")]
    UnsupportedType {
        /// The function.
        name: String,
        /// The type.
        type_name: String,
        /// What to do instead.
        hint: String,
    },
    /// The node has as many functions as it can tell the others.
    #[error("the function `{name}` cannot be announced: {reason}")]
    TooMuchToTell {
        /// The function.
        name: String,
        /// Which bound is exceeded.
        reason: String,
    },
    /// This node has left.
    #[error("this node has left")]
    Left,
}

/// Why leaving did not go as it should. The node is gone in any case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// Functions were still running when the time for leaving was over; their callers were told.
    #[error("{running} functions were still running and were given up")]
    StillRunning {
        /// How many.
        running: usize,
    },
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to: {reason}")]
    Signals {
        /// What the system said.
        reason: String,
    },
}

impl LeaveError {
    /// Whether the node has left.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::StillRunning { .. } => Outcome::Applied,
            Self::Signals { .. } => Outcome::NotApplied,
        }
    }
}
