//! What gives one result is called, and what streams its results is streamed.

use futures::{Stream, stream};
use guthi::Node;

#[guthi::function]
fn one() -> u64 {
    1
}

#[guthi::function]
fn many() -> impl Stream<Item = u64> {
    stream::iter(0..3)
}

fn mistakes(node: &Node) {
    let _ = node.call::<many>(());
    let _ = node.call_stream::<one>(());
    let _ = node.call_all::<many>(());
}

fn main() {}
