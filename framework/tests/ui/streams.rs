//! Functions that cannot stream their results as they are written.

use futures::{Stream, stream};
use guthi::Context;

#[guthi::function]
fn borrows(context: &Context) -> impl Stream<Item = u8> + use<> {
    drop(context.clone());
    stream::empty()
}

#[guthi::function(inline)]
fn at_once() -> impl Stream<Item = u8> {
    stream::empty()
}

#[guthi::function]
fn addresses() -> impl Stream<Item = &'static str> {
    stream::empty()
}

fn main() {}
