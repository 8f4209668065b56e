//! Draws the Mandelbrot set with all the nodes it can find.

fn main() {}
