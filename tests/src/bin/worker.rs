//! A node with awkward functions, for tests that kill and stop it: `worker RUNTIME_DIRECTORY`.
//!
//! It prints its id when it is linked with everybody, and ends with its standard input.

use std::io::Read;

use guthi::Node;
use guthi_tests::{
    cluster::HANG,
    functions::{self, Counters},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("which runtime directory?"))?;
    let node = Node::local()
        .runtime_dir(directory)
        .cluster("test")
        .workers(2)
        .patience(HANG)
        .functions(functions::all())
        .state(Counters::default())
        .start()
        .await?;
    println!("{}", node.id());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
