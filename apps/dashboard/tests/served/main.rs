//! A served node, asked as browsers and scripts ask, and as attackers do.

mod calls;
mod kit;
mod limits;
mod lists;
mod mutexes;
mod openapi;
mod others;
mod security;
mod stream;
mod tls;
mod topics;
mod variables;
mod watching;
