//! Who may ask, and how: connections, guards and answers that are the same for every route.

pub(crate) mod answer;
pub(crate) mod files;
pub(crate) mod gate;
pub(crate) mod guard;
pub(crate) mod input;
pub(crate) mod login;
pub(crate) mod refusal;
pub(crate) mod server;
pub(crate) mod tls;
