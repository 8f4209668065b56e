//! Counts primes with every node on this machine: `cargo run --release --example primes`.
//! For more nodes, start `cargo run --release --example primes -- serve` in other terminals first.
use guthi::prelude::*;

/// Counts the primes in `range`.
#[guthi::function]
fn count_primes(range: std::ops::Range<u64>) -> u64 {
    range.filter(|&n| is_prime(n)).count() as u64
}

fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?; // finds the other nodes on this machine by itself
    if std::env::args().any(|argument| argument == "serve") {
        return Ok(node.run().await?); // works for others until Ctrl-C
    }
    let parts = (0..1_000_000u64).step_by(10_000).map(|start| start..start + 10_000);
    let total: u64 = node.map::<count_primes>(parts).await?.iter().sum();
    println!("{total} primes, counted by {} nodes", node.members().len());
    node.leave().await?;
    Ok(())
}
