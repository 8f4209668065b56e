//! One node in a process of its own, which says what it sees and when, and does what it is told.

use anyhow::Context;
use clap::Args;
use guthi::{Node, View};
use guthi_tests::process::now;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::process::calls;

const CALLS: usize = 1000;

#[derive(Args)]
pub(crate) struct MemberOptions {
    /// The cluster to belong to.
    #[arg(long)]
    cluster: String,
    /// The cluster's key. Without one it is a node for one machine, and finds the others by itself.
    #[arg(long)]
    key: Option<String>,
    /// The addresses to join.
    #[arg(long)]
    join: Vec<String>,
}

/// A line of its output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, in nanoseconds on the clock that all processes of the machine share.
    pub(crate) at: u64,
    pub(crate) news: News,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// The process runs, and starts its node now.
    Starting,
    Started {
        id: String,
        addresses: Vec<String>,
    },
    View(Sight),
    Leaving,
    Left,
    /// How long a call of another member takes.
    Called {
        p50_us: f64,
    },
}

/// A view, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    pub(crate) lineage: String,
    pub(crate) epoch: u64,
    /// The ids, the oldest first.
    pub(crate) members: Vec<String>,
    pub(crate) active: bool,
    pub(crate) isolated: bool,
}

impl Sight {
    fn of(view: &View) -> Self {
        Self {
            lineage: view.lineage.clone(),
            epoch: view.epoch,
            members: view.members.iter().map(|member| member.id.to_string()).collect(),
            active: view.active,
            isolated: view.isolated,
        }
    }
}

/// Serves until it is told to leave, or its standard input closes.
pub(crate) fn run(options: &MemberOptions) -> anyhow::Result<()> {
    tell(News::Starting)?;
    tokio::runtime::Runtime::new()?.block_on(serve(options))
}

async fn serve(options: &MemberOptions) -> anyhow::Result<()> {
    let builder = match &options.key {
        Some(key) => Node::builder().listen("127.0.0.1:0").key(key.parse()?),
        None => Node::local(),
    };
    let builder = options.join.iter().fold(builder, |builder, address| builder.join(address.as_str()));
    let node = builder.cluster(&options.cluster).start().await?;
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    tell(News::Started { id: node.id().to_string(), addresses })?;
    tokio::spawn(watch(node.clone()));
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        match order.as_str() {
            "call" => tell(News::Called { p50_us: call(&node).await? })?,
            "leave" => {
                tell(News::Leaving)?;
                node.leave().await?;
                return tell(News::Left);
            }
            _ => anyhow::bail!("nobody knows how to {order}"),
        }
    }
    Ok(())
}

/// Tells every view that differs from the one before.
async fn watch(node: Node) -> anyhow::Result<()> {
    let mut view = node.view();
    let mut told = None;
    loop {
        let sight = Sight::of(&view);
        if told.as_ref() != Some(&sight) {
            tell(News::View(sight.clone()))?;
            told = Some(sight);
        }
        view = node.view_after(&view).await?;
    }
}

/// The lines of the standard input.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    orders
}

async fn call(node: &Node) -> anyhow::Result<f64> {
    let other = node.members().into_iter().find(|member| member.id != node.id()).context("another member")?.id;
    calls(node, other, CALLS).await
}

fn tell(news: News) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&Line { at: now(), news })?);
    Ok(())
}
