//! Which node of this machine a command asks.

use guthi::{Control, LocalNode};

use crate::{arguments::Globals, client::Client, failure::Failure, screen::Screen, text::plain};

const START: &str = "start one with `guthi node start`";

/// The node that is asked: the one that was named, else the oldest one, those of the cluster `local` first. With
/// `GUTHI_CLUSTER` in the environment it is one of that cluster.
pub(crate) fn find(globals: &Globals, screen: &Screen) -> Result<Client, Failure> {
    find_named(globals.node.as_deref(), globals, screen)
}

/// The same, by a name that may come from elsewhere.
pub(crate) fn find_named(wanted: Option<&str>, globals: &Globals, screen: &Screen) -> Result<Client, Failure> {
    let wanted = wanted.filter(|wanted| !wanted.is_empty());
    if let Some(url) = wanted.filter(|wanted| wanted.starts_with("http://")) {
        return at_url(url, globals);
    }
    let nodes = local_nodes()?;
    let (node, control) = match wanted {
        Some(wanted) => named(&nodes, wanted)?,
        None => oldest(&nodes)?,
    };
    screen.detail(&format!(
        "asking {} ({}) of the cluster {} at {}",
        plain(&node.name),
        node.id.short(),
        plain(&node.cluster),
        plain(&control.url)
    ));
    Ok(Client::new(node.name.clone(), control, globals.timeout))
}

/// How many nodes there are to choose from without a name.
pub(crate) fn choices() -> Result<Vec<LocalNode>, Failure> {
    let cluster = std::env::var("GUTHI_CLUSTER").ok().filter(|cluster| !cluster.is_empty());
    let mut nodes = local_nodes()?;
    nodes.retain(|node| node.control.is_some() && cluster.as_ref().is_none_or(|cluster| *cluster == node.cluster));
    Ok(nodes)
}

/// All nodes of this user that live on this machine, the oldest first.
pub(crate) fn local_nodes() -> Result<Vec<LocalNode>, Failure> {
    let nodes = guthi::local_nodes(None).map_err(|error| Failure::new("no_local_node", error.to_string()));
    let mut nodes = nodes.map_err(|failure| failure.next("`guthi doctor` looks at the runtime directory"))?;
    nodes.sort_by_key(|node| (node.incarnation, node.id));
    Ok(nodes)
}

/// A URL that was given, such as the one that a node prints when it starts.
fn at_url(url: &str, globals: &Globals) -> Result<Client, Failure> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let base = base.trim_end_matches('/');
    let given = query.split('&').find_map(|pair| pair.strip_prefix("t="));
    let known = local_nodes().unwrap_or_default().into_iter().filter_map(|node| node.control);
    let known = || known.into_iter().find(|control| control.url.trim_end_matches('/') == base);
    let token = match given {
        Some(token) => Some(token.to_owned()),
        None => known().map(|control| control.token),
    };
    let Some(token) = token else {
        let failure = Failure::new("unauthorized", format!("the token for {base} is not known"));
        return Err(failure.next("give the whole URL that the node printed when it started, with ?t=…"));
    };
    Ok(Client::new(base.to_owned(), &Control { url: base.to_owned(), token }, globals.timeout))
}

fn named<'a>(nodes: &'a [LocalNode], wanted: &str) -> Result<(&'a LocalNode, &'a Control), Failure> {
    let is_wanted =
        |node: &&LocalNode| node.name == wanted || node.id.to_string() == wanted || node.id.short() == wanted;
    let found: Vec<_> = nodes.iter().filter(is_wanted).collect();
    match found.as_slice() {
        [node] => Ok((node, control(node)?)),
        [] if nodes.is_empty() => Err(nobody()),
        [] => {
            let failure = Failure::new("no_local_node", format!("no node here is called {wanted:?}"));
            Err(failure.next(format!("choose one of {}, or {START}", list(nodes.iter()))))
        }
        several => {
            let failure = Failure::new("ambiguous", format!("several nodes here are called {wanted:?}"));
            Err(failure.next(format!("say which by its short id: {}", list(several.iter().copied()))))
        }
    }
}

fn oldest(nodes: &[LocalNode]) -> Result<(&LocalNode, &Control), Failure> {
    let cluster = std::env::var("GUTHI_CLUSTER").ok().filter(|cluster| !cluster.is_empty());
    let fits = |node: &&LocalNode| cluster.as_ref().is_none_or(|cluster| *cluster == node.cluster);
    let fitting = || nodes.iter().filter(fits);
    let able = || fitting().filter(|node| node.control.is_some());
    let chosen = able().find(|node| node.cluster == "local").or_else(|| able().next());
    match chosen.or_else(|| fitting().next()) {
        Some(node) => Ok((node, control(node)?)),
        None => match cluster.filter(|_| !nodes.is_empty()) {
            Some(cluster) => {
                let failure =
                    Failure::new("no_local_node", format!("no node of the cluster {cluster:?} is running here"));
                Err(failure.next("unset GUTHI_CLUSTER, or choose a node with --node"))
            }
            None => Err(nobody()),
        },
    }
}

fn control(node: &LocalNode) -> Result<&Control, Failure> {
    node.control.as_ref().ok_or_else(|| {
        let failure = Failure::new("no_local_node", format!("{} has no dashboard that could be asked", node.name));
        failure.next("start a node without --no-dashboard, or embed guthi-dashboard in the program")
    })
}

fn nobody() -> Failure {
    Failure::new("no_local_node", format!("no node is running here — {START}"))
}

fn list<'a>(nodes: impl Iterator<Item = &'a LocalNode>) -> String {
    nodes.map(|node| format!("{} ({})", node.name, node.id.short())).collect::<Vec<_>>().join(", ")
}
