//! What a user types: one file per noun. Handles are cheap to clone and hold no logic.

pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod call_stream;
pub(crate) mod change;
pub(crate) mod channel;
pub(crate) mod context;
mod environment;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod functions;
pub(crate) mod key;
pub(crate) mod local;
pub(crate) mod logs;
pub(crate) mod map;
pub(crate) mod metrics;
pub(crate) mod mutex;
pub(crate) mod mutexes;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod raw_variable;
pub(crate) mod resources;
pub(crate) mod service;
pub(crate) mod trace;
pub(crate) mod variable;
pub(crate) mod variable_type;
pub(crate) mod variables;
