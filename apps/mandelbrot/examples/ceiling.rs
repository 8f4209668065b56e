//! Prints how close the kernel comes to the arithmetic ceiling of this machine.

use mandelbrot::ceiling;

fn main() {
    println!("Billions of iterations per second on one thread, and their share of the ceiling\n");
    println!("{}", ceiling::HEADING);
    for row in ceiling::measure() {
        println!("{row}");
    }
}
