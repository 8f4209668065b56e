//! Bounds on what a peer may make this node hold. All sizes are in bytes unless the name says otherwise.

/// The largest control frame: a value of 1 MiB and what stands around it.
pub const CONTROL_FRAME_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Payloads above this size travel on a stream of their own, so that small calls never wait behind them.
pub const LANE_PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// The largest frame on a call lane: a payload and its header.
pub const LANE_FRAME_BYTES_MAX: usize = LANE_PAYLOAD_BYTES_MAX + 4 * 1024;

/// The largest argument or result of a call.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Payload bytes that one peer may have under way to this node outside the lane, before its next stream waits.
pub const UNDELIVERED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The longest name of a function, node or cluster.
pub const NAME_BYTES_MAX: usize = 255;

/// The most channels that one node may have open to another. Both together, and the large payloads beside them, stay below
/// the 512 streams of a connection, should they have to share one.
pub const CHANNELS_MAX: usize = 200;

/// The longest key of an entry in a node's catalog: what kind of entry it is, and a name.
pub const CATALOG_KEY_BYTES_MAX: usize = NAME_BYTES_MAX + 16;

/// The largest value in a node's catalog.
pub const CATALOG_VALUE_BYTES_MAX: usize = 64 * 1024;

/// The most entries that a node may keep in its catalog.
pub const CATALOG_ENTRIES_MAX: usize = 4096;

/// What a node's catalog may weigh, keys and values together.
pub const CATALOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most removals that a catalog remembers; beyond it the older half is forgotten, and copies start anew.
pub const CATALOG_TOMBSTONES_MAX: usize = 1024;

/// The most entries of a node's catalog that its program may write itself; there is always room for its functions.
pub const ENTRIES_MAX: usize = 1024;

/// What those may weigh, keys and values together.
pub const ENTRIES_BYTES_MAX: usize = 1024 * 1024;

/// The largest value of such an entry, without the 8 bytes that say of what type it is.
pub const ENTRY_BYTES_MAX: usize = CATALOG_VALUE_BYTES_MAX - 8;

/// The largest message of a topic.
pub const BROADCAST_BYTES_MAX: usize = 64 * 1024;

/// The most functions that one lane can name.
pub const LANE_FUNCTIONS_MAX: usize = 4096;

/// The most addresses that a peer may tell about one node.
pub const ADDRESSES_MAX: usize = 16;

/// The most nodes that are banned at once.
pub const BANS_MAX: usize = 1024;

/// The most members of a view.
pub const MEMBERS_MAX: usize = 1024;

/// The most nodes that one answer about peers may name.
pub const PEERS_MAX: usize = 1024;

/// The most names of mutexes that a node keeps something of within one view.
pub const MUTEXES_MAX: usize = 1_000_000;

/// The most names of mutexes of which a node remembers, over views, where they were last.
pub const MUTEXES_REMEMBERED_MAX: usize = 65_536;

/// The most tasks of one node that wait for mutexes at once.
pub const WAITERS_MAX: usize = 65_536;

/// The most names of variables with which something is under way at one home within one view.
pub const VARIABLES_MAX: usize = 1_000_000;

/// The largest value of a variable.
pub const VARIABLE_BYTES_MAX: usize = 1024 * 1024;

/// The most operations on variables that tasks of one node wait for at once.
pub const OPERATIONS_MAX: usize = 262_144;

/// What a node may follow at once, by how the names begin.
pub const FOLLOWED_MAX: usize = 256;
