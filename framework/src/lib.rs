//! Guthi.
