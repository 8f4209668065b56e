//! An HTTP interface and a web page for a Guthi node.
#![forbid(unsafe_code)]
