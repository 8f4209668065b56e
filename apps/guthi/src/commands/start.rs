//! `guthi node start`.

use guthi::{Builder, Logs, Node, Quorum};
use guthi_dashboard::Dashboard;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, prelude::*};

use crate::{
    arguments::{Globals, Start},
    failure::Failure,
    functions, options,
    screen::Screen,
    text::plain,
};

/// Lines of its log that a node keeps.
const LOG_LINES_MAX: usize = 5000;

/// Starts a node, and serves until it is told to end.
pub(crate) fn run(options: &Start, globals: &Globals, screen: &Screen) -> Result<(), Failure> {
    let logs = Logs::new(LOG_LINES_MAX);
    log(&logs, globals, screen);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(options, logs, screen));
    // A thread that waits for the standard input waits for ever.
    runtime.shutdown_background();
    served
}

/// What is logged goes to the error output and into the ring that other nodes may read.
fn log(logs: &Logs, globals: &Globals, screen: &Screen) {
    let level = match globals.verbose {
        _ if globals.quiet => "error",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("GUTHI_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = fmt::layer().with_writer(std::io::stderr).with_ansi(screen.paints_errors()).with_filter(filter);
    // Somebody else's subscriber is as good.
    let _ = tracing_subscriber::registry().with(terminal).with(logs.layer()).try_init();
}

async fn serve(options: &Start, logs: Logs, screen: &Screen) -> Result<(), Failure> {
    let node = builder(options)?.logs(logs).start().await.map_err(options::not_started)?;
    let dashboard = match options.no_dashboard {
        true => None,
        false => Some(dashboard(options, &node).await?),
    };
    tell(&node, dashboard.as_ref(), screen)?;
    if !options.child {
        screen.note("Ctrl-C lets it leave");
    }
    tracing::info!(target: "guthi", node = node.name(), cluster = node.cluster(), "the node serves");
    if options.child {
        tokio::spawn(leave_with_stdin(node.clone()));
    }
    node.run().await.map_err(|error| Failure::new("failure", error.to_string()))
}

/// Whoever started this process has ended, or wants it to end.
async fn leave_with_stdin(node: Node) {
    let mut rest = [0; 256];
    while tokio::io::stdin().read(&mut rest).await.is_ok_and(|read| read > 0) {}
    if let Err(error) = node.leave().await {
        tracing::warn!(target: "guthi", %error, "the node has left");
    }
}

/// The settings of the node.
fn builder(options: &Start) -> Result<Builder, Failure> {
    let here = options.listen.iter().chain(&options.join).all(|address| options::is_loopback(address));
    // Whoever says where to listen does not want to be heard elsewhere.
    let preset = match (options.listen.is_empty(), here) {
        (true, _) => Node::local(),
        (false, true) => Node::builder().runtime_dir(guthi::runtime_dir()).quorum(Quorum::Any),
        (false, false) => Node::builder().runtime_dir(guthi::runtime_dir()),
    };
    let preset = if here { preset } else { preset.quorum(Quorum::Majority) };
    let mut builder = functions::equip(preset.cluster(&options.cluster));
    if let Some(name) = &options.name {
        builder = builder.name(name);
    }
    if let Some(workers) = options.workers {
        builder = builder.workers(workers);
    }
    if let Some(key) = options::key(options.key_file.as_deref())? {
        builder = builder.key(key);
    }
    builder = options.listen.iter().fold(builder, |builder, address| builder.listen(address.trim()));
    builder = options.join.iter().fold(builder, |builder, address| options::join(builder, address.trim()));
    builder = options.label.iter().fold(builder, |builder, (key, value)| builder.label(key, value));
    Ok(options.zone.iter().fold(builder, |builder, zone| builder.label("zone", zone)))
}

/// The dashboard at the address that was asked for, or at the first free port of those that people remember.
async fn dashboard(options: &Start, node: &Node) -> Result<Dashboard, Failure> {
    let address = options.dashboard.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
    let next = "choose another address with --dashboard, or none with --no-dashboard";
    let served = Dashboard::serve(node, address).await;
    served.map_err(|error| Failure::new("failure", error.to_string()).next(next))
}

/// Says who serves, and where.
fn tell(node: &Node, dashboard: Option<&Dashboard>, screen: &Screen) -> Result<(), Failure> {
    let url = dashboard.map(|dashboard| dashboard.url().to_owned());
    let members = node.members().len();
    if screen.is_json() {
        return screen.json(&told(node, url.as_deref(), members));
    }
    let beside = match members {
        0 | 1 => "nobody else is there yet".to_owned(),
        2 => "with 1 other".to_owned(),
        members => format!("with {} others", members - 1),
    };
    screen.line(&format!(
        "{}  {}  cluster {}, {beside}",
        plain(node.name()),
        node.id().short(),
        plain(node.cluster())
    ))?;
    for address in node.addresses() {
        screen.line(&format!("  address    {address}"))?;
    }
    if let Some(url) = url {
        screen.line(&format!("  dashboard  {url}"))?;
    }
    Ok(())
}

fn told(node: &Node, dashboard: Option<&str>, members: usize) -> Value {
    let addresses: Vec<_> = node.addresses().iter().map(ToString::to_string).collect();
    let id = node.id();
    json!({
        "node": {"id": id.to_string(), "short": id.short(), "name": node.name(), "addresses": addresses},
        "cluster": node.cluster(),
        "members": members,
        "dashboard": dashboard,
        "pid": std::process::id(),
    })
}
