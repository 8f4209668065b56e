//! Results that cannot travel.
#![allow(unused)]

trait Stream {
    type Item;
}

impl Stream for () {
    type Item = u8;
}

#[guthi::function]
fn streamed() -> Option<impl Stream<Item = u8>> {
    None::<()>
}

#[guthi::function]
fn streams_anything() -> impl Stream {}

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
