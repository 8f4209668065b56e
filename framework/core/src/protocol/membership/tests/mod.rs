//! Scenes in which the rules are needed. Those of known traps (T) and of holes found in earlier wordings (H) have their
//! numbers.

mod leases;
mod leaving;
mod lineages;

mod scene;
mod succession;
