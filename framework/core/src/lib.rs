//! The machine-independent part of Guthi.
