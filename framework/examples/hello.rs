//! Two nodes, one call, no addresses. Run it in two terminals: `cargo run --example hello`.
use guthi::prelude::*;

/// Says hello, and who said it.
#[guthi::function]
fn hello(ctx: Context, name: String) -> String {
    let me = ctx.node().map_or_else(|| "nobody".into(), |node| node.name().to_owned());
    format!("hello {name}, this is {me} (process {})", std::process::id())
}

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?;
    println!("I am {}. Waiting for another node: start me once more in a second terminal.", node.name());
    node.wait_for(2).await?;
    for peer in node.peers().iter().filter(|peer| peer.functions.iter().any(|name| name == "hello")) {
        println!("{}", node.call::<hello>(node.name().to_owned()).on(peer).await?);
    }
    node.run().await?;
    Ok(())
}
