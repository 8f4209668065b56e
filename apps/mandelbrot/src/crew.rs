//! The processes that draw: this one, those it starts, and those that others have started.

use std::{
    hash::{BuildHasher, RandomState},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use guthi::{Builder, ClusterKey, Context, Node};
use mandelbrot::{
    kernel::{Detail, Path, render_with},
    view::{Tile, View},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

use crate::arguments::{Draw, Serve};

/// How long the processes may take to start and to find each other.
const START_MAX: Duration = Duration::from_secs(30);

/// Renders one tile: the smooth count of each pixel and, if they are wanted, the escape counts.
#[guthi::function(name = "mandelbrot.tile")]
pub(crate) fn render_tile(ctx: Context, view: View, tile: Tile, counts: bool) -> Result<(Vec<f32>, Vec<u32>), String> {
    view.validate().map_err(|error| error.to_string())?;
    let rendered = render_with(Path::best(), &view, tile, Detail::Smooth, &|| ctx.is_cancelled());
    let rendered = rendered.ok_or("it was cancelled, or the tile is not part of the view")?;
    Ok((rendered.smooth, if counts { rendered.counts } else { Vec::new() }))
}

/// Works for others until a signal, or the end of the process that started this one.
pub(crate) async fn serve(options: Serve) -> anyhow::Result<()> {
    let mut builder = local(&options.cluster, options.workers)?;
    if let Some(name) = &options.name {
        builder = builder.name(name);
    }
    if let Some(listen) = &options.listen {
        builder = builder.listen(listen);
    }
    let node = options.join.iter().fold(builder, |builder, address| builder.join(address)).start().await?;
    if options.child {
        println!("ready");
        let mut rest = Vec::new();
        tokio::io::stdin().read_to_end(&mut rest).await?;
        return Ok(node.leave().await?);
    }
    println!("{} works for the cluster {:?}; stop it with Ctrl-C", node.name(), node.cluster());
    for address in node.addresses() {
        println!("  mandelbrot --join {address}");
    }
    Ok(node.run().await?)
}

fn local(cluster: &str, workers: Option<usize>) -> anyhow::Result<Builder> {
    let mut builder = Node::local().cluster(cluster);
    if let Some(workers) = workers {
        builder = builder.workers(workers);
    }
    if std::env::var_os("GUTHI_KEY").is_some() {
        builder = builder.key(ClusterKey::from_env()?);
    }
    Ok(builder)
}

/// This process as a node, and the processes that it has started.
pub(crate) struct Crew {
    pub(crate) node: Node,
    children: Vec<Child>,
}

impl Crew {
    /// Starts what is asked for and waits until all have found each other.
    pub(crate) async fn gather(options: &Draw) -> anyhow::Result<Self> {
        // Strangers are not invited unless an address is given: a cluster of this name has nobody else in it.
        let alone = options.join.is_empty();
        let cluster = if alone { format!("mandelbrot-{:016x}", random()) } else { options.cluster.clone() };
        let gathering = Self::start(options, &cluster);
        match tokio::time::timeout(START_MAX, gathering).await {
            Ok(crew) => crew,
            Err(_) => anyhow::bail!("the processes did not find each other within {START_MAX:?}"),
        }
    }

    async fn start(options: &Draw, cluster: &str) -> anyhow::Result<Self> {
        let children = (0..options.nodes).map(|_| spawn(cluster, options)).collect::<anyhow::Result<Vec<_>>>()?;
        let builder = local(cluster, options.workers)?;
        let node = options.join.iter().fold(builder, |builder, address| builder.join(address)).start().await?;
        let mut crew = Self { node, children };
        for child in &mut crew.children {
            let output = child.stdout.take().context("a child's output is piped")?;
            let line = BufReader::new(output).lines().next_line().await?;
            anyhow::ensure!(line.as_deref() == Some("ready"), "a process that was started ended at once");
        }
        crew.node.wait_for(1 + options.nodes).await?;
        if !options.join.is_empty() && crew.node.members().len() == 1 + options.nodes {
            anyhow::bail!("nobody was found at {}; is a worker running there?", options.join.join(", "));
        }
        Ok(crew)
    }

    /// Kills one of the processes that were started, without a warning.
    pub(crate) fn kill_one(&mut self) -> Option<u32> {
        let alive: Vec<_> = self.children.iter_mut().filter(|child| child.id().is_some()).collect();
        let chosen = random() as usize % alive.len().max(1);
        let victim = alive.into_iter().nth(chosen)?;
        let pid = victim.id();
        // It is gone already if this fails, which comes to the same.
        let _ = victim.start_kill();
        pid
    }

    /// Ends everything that was started.
    pub(crate) async fn dismiss(self) -> anyhow::Result<()> {
        let Self { node, mut children } = self;
        node.leave().await?;
        for child in &mut children {
            drop(child.stdin.take());
        }
        for child in &mut children {
            if tokio::time::timeout(Duration::from_secs(5), child.wait()).await.is_err() {
                child.kill().await?;
            }
        }
        Ok(())
    }
}

fn spawn(cluster: &str, options: &Draw) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut command = Command::new(program);
    command.args(["serve", "--child", "--cluster", cluster]);
    if let Some(workers) = options.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    // A child ends when its standard input does, and so with this process, however this process ends.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    for variable in ["GUTHI_JOIN", "GUTHI_LISTEN", "GUTHI_NAME"] {
        command.env_remove(variable);
    }
    command.spawn().context("a process could not be started")
}

/// The standard library's hasher is seeded from the system's entropy.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
