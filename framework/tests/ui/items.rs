//! Items that are no functions of the cluster.
#![allow(unused)]

struct Counter;

impl Counter {
    #[guthi::function]
    fn count(&self) -> u64 {
        1
    }
}

#[guthi::function]
unsafe fn dangerous() {}

#[guthi::function]
extern "C" fn foreign() {}

#[guthi::function]
struct Point;

#[guthi::function]
const LIMIT: u8 = 1;

fn main() {}
