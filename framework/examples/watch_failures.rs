//! Prints what happens to the other nodes on this machine: `cargo run --example watch_failures`, in several terminals.
//! Then stop one (`kill -STOP`), continue it (`kill -CONT`), kill it (`kill -9`), or end it with Ctrl-C.
use guthi::prelude::*;

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?;
    let mut events = node.events();
    println!("I am {}, process {}", node.name(), std::process::id());
    for peer in node.peers() {
        println!("{peer} is here already");
    }
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Joined { peer } => println!("{peer} has joined"),
                Event::Suspected { peer, reason } => println!("{peer} is suspected: {reason}"),
                Event::Trusted { peer } => println!("{peer} is trusted again"),
                Event::Failed { peer, reason } => println!("{peer} has failed: {reason}"),
                Event::Recovered { peer } => println!("{peer} is back"),
                Event::Left { peer } => println!("{peer} has left"),
                other => println!("{}", other.name()),
            }
        }
    });
    node.run().await?; // until Ctrl-C; then it says goodbye
    Ok(())
}
