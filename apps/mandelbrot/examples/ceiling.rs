//! Prints how close the kernel comes to the arithmetic ceiling of this machine.

use mandelbrot::ceiling;

fn main() {
    println!("{}", ceiling::HEADING);
    for row in ceiling::measure() {
        println!("{row}");
    }
}
