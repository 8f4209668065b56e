//! The Mandelbrot set, drawn fast and with the same bytes on every machine.
//!
//! A [`View`](view::View) names a rectangle of the plane, [`kernel::render`] turns one of its tiles into escape counts,
//! [`picture::Picture`] puts tiles together, and a [`Palette`](palette::Palette) gives them colour.
//! Every step is a fixed sequence of IEEE operations: no fused multiply-add, no fast-math, logarithms and roots from
//! `libm`.
//! So a tile may be computed by any node and the finished file has the same SHA-256 all the same.

#![deny(unsafe_code)]

pub mod ceiling;
pub mod kernel;
pub mod palette;
pub mod picture;
pub mod view;
