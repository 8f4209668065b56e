//! One paragraph of the essay each, with the numbers of the traps (T) and of the holes of an earlier design (H) that they keep
//! closed.

mod failures;
mod holding;
mod scene;
mod trying;
