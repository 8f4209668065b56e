//! What the routes do.

mod call;
mod invite;
mod lists;
mod logs;
mod metrics;
mod node;
mod openapi;
mod resources;
pub(crate) mod routes;
