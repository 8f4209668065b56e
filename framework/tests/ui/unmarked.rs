//! A function without the attribute.

fn greet() {}

struct Marker;

fn call<F: guthi::Function>() {}

fn main() {
    call::<greet>();
    call::<Marker>();
}
