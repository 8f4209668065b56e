//! One process at a time goes through: `cargo run --example turnstile`, in several terminals.
//! Then kill the one that is inside (`kill -9`), or stop it (`kill -STOP`) and let it go on (`kill -CONT`).
use std::time::Duration;

use guthi::prelude::*;

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?;
    println!("I am {}, process {}", node.name(), std::process::id());
    tokio::spawn(go_through(node.mutex("turnstile")));
    node.run().await?; // until Ctrl-C; then it says goodbye
    Ok(())
}

/// Again and again, until the node has left.
async fn go_through(turnstile: Mutex) -> guthi::Result<()> {
    loop {
        let guard = turnstile.lock().await?;
        let died = if guard.previous_holder_died() { ", and whoever was inside before has died" } else { "" };
        println!("inside, with {}{died}", guard.fence());
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = guard.lost() => println!("no longer mine: the others went on without me"),
        }
        if guard.unlock().await.is_ok() {
            println!("outside");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
