//! Results that cannot travel.
#![allow(unused)]

trait Stream {
    type Item;
}

impl Stream for () {
    type Item = u8;
}

#[guthi::function]
fn streamed() -> impl Stream<Item = u8> {}

#[guthi::function]
fn streamed_or_not() -> Result<impl Stream<Item = u8>, String> {
    Ok(())
}

#[guthi::function]
fn promised() -> impl Iterator<Item = u8> {
    0..8
}

#[guthi::function]
fn borrowed() -> &'static str {
    "text"
}

#[guthi::function]
fn borrowed_or_not() -> Result<Vec<&'static [u8]>, &'static str> {
    Err("no")
}

#[guthi::function]
fn endless() -> ! {
    loop {}
}

fn main() {}
