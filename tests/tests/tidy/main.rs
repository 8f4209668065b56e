//! The tidy test: what a reviewer would otherwise have to look for in every change.
//!
//! Each rule is a module: what it looks for, the list of what is allowed in spite of it, a test that holds the project
//! to it, and one that shows on a made-up text that it can fail. The rules read tokens, not text, so that comments and
//! strings are no code, and what stands inside a macro is.
//!
//! The lists are ratchets: they complain about what has just crossed a line, not about what was once looked at and
//! allowed. Where the code has become better than its list, a note says which line to change; that fails nothing.

mod channels;
mod clock;
mod code;
mod directions;
mod manifests;
mod names;
mod project;
mod promises;
mod report;
mod size;
mod statics;
mod words;
