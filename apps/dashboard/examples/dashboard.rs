//! A node with a few functions and its dashboard: `cargo run -p guthi-dashboard --example dashboard -- [NAME]`.

use std::time::Duration;

use guthi::{Logs, prelude::*};
use guthi_dashboard::Dashboard;
use tracing_subscriber::prelude::*;

/// Adds two numbers.
#[guthi::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

/// Says hello to somebody.
#[guthi::function]
fn greet(name: String) -> String {
    format!("hello, {name}")
}

/// Counts the primes below a number, the slow way.
#[guthi::function]
fn count_primes(below: u64) -> usize {
    (2..below).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

/// Waits so many milliseconds.
#[guthi::function]
async fn wait(milliseconds: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    milliseconds
}

/// Says no.
#[guthi::function]
fn refuse(why: String) -> Result<(), String> {
    Err(why)
}

/// Panics.
#[guthi::function]
fn stumble() {
    panic!("over a stone");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let logs = Logs::new(5_000);
    tracing_subscriber::registry().with(logs.layer()).init();
    let mut builder = Node::local().logs(logs);
    if let Some(name) = std::env::args().nth(1) {
        builder = builder.name(name);
    }
    let node = builder.start().await?;
    let dashboard = Dashboard::serve(&node, "127.0.0.1:0").await?;
    println!("{}", dashboard.url());
    node.run().await?;
    dashboard.close().await;
    Ok(())
}
