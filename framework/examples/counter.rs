//! A counter that all nodes share. Start it in several terminals, kill some of them, and start them again: as long as one is
//! left, nothing that was counted is lost.
//!
//! ```text
//! cargo run --example counter
//! ```

use std::time::Duration;

use guthi::prelude::*;

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?;
    let clicks = node.variable("clicks", 0_u64).await?;
    loop {
        let total = clicks.add(1).await?;
        println!("{total} clicks, counted by {} nodes; this is {}", node.members().len(), node.name());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
