//! What the routes do.

mod call;
mod invite;
mod lists;
mod logs;
mod metrics;
mod mutexes;
mod node;
mod openapi;
mod resources;
pub(crate) mod routes;
mod topics;
mod variables;
mod wanted;
mod watching;
