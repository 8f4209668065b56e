//! A future that cannot move between threads.

use std::rc::Rc;

#[guthi::function]
async fn count() -> usize {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    *shared
}

fn main() {}
