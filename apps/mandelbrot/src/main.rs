//! Mandelbrot.
fn main() {}
