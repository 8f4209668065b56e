use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use guthi::{Holder, MutexInfo, NodeId};
use serde::Serialize;

use super::node::Names;
use crate::{app::App, timestamp::rfc3339};

/// A mutex, as the nodes together know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MutexRow {
    pub(crate) name: String,
    holder: Option<HolderRow>,
    /// Where its token is, held or idle.
    token: Option<At>,
    waiters: Vec<WaiterRow>,
    /// All of them together.
    waiting: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct HolderRow {
    #[serde(flatten)]
    at: At,
    fence: String,
    /// Left out where it would be old when it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_ms: Option<u64>,
    since: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct WaiterRow {
    #[serde(flatten)]
    at: At,
    count: usize,
}

/// A node, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct At {
    node: String,
    name: Option<String>,
}

/// The mutexes whose names begin so, and how much of the whole they may be.
pub(crate) struct Mutexes {
    pub(crate) rows: Vec<MutexRow>,
    pub(crate) unanswered: Vec<At>,
    pub(crate) more: bool,
}

/// Asks every member. In the order of their names.
pub(crate) async fn mutexes(app: &App, prefix: &str) -> Mutexes {
    let page = app.node.mutexes(prefix).await;
    let (names, now) = (Names::of(&app.node), SystemTime::now());
    Mutexes {
        rows: page.items.into_iter().map(|info| MutexRow::new(info, &names, now)).collect(),
        unanswered: page.unanswered.into_iter().map(|node| At::new(node, &names)).collect(),
        more: page.more,
    }
}

/// The same rows for those who hear only of what changes: since when one is held is said once for each guard, and for how long
/// is left to whoever looks.
pub(crate) fn unmoved(mut rows: Vec<MutexRow>, told: &[MutexRow]) -> Vec<MutexRow> {
    let told: HashMap<_, _> = told.iter().map(|row| (row.name.as_str(), row.holder.as_ref())).collect();
    for MutexRow { name, holder, .. } in &mut rows {
        let Some(holder) = holder else { continue };
        holder.held_ms = None;
        if let Some(Some(before)) = told.get(name.as_str())
            && (&before.at, &before.fence) == (&holder.at, &holder.fence)
        {
            holder.since.clone_from(&before.since);
        }
    }
    rows
}

impl MutexRow {
    fn new(info: MutexInfo, names: &Names, now: SystemTime) -> Self {
        let waiter = |(node, count): &(NodeId, usize)| WaiterRow { at: At::new(*node, names), count: *count };
        Self {
            name: info.name,
            holder: info.holder.map(|holder| HolderRow::new(holder, names, now)),
            token: info.token.map(|node| At::new(node, names)),
            waiters: info.waiters.iter().map(waiter).collect(),
            waiting: info.waiters.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)),
        }
    }
}

impl HolderRow {
    fn new(holder: Holder, names: &Names, now: SystemTime) -> Self {
        Self {
            at: At::new(holder.node, names),
            fence: holder.fence.to_string(),
            held_ms: Some(milliseconds(holder.held_for)),
            since: rfc3339(now.checked_sub(holder.held_for).unwrap_or(SystemTime::UNIX_EPOCH)),
        }
    }
}

impl At {
    pub(super) fn new(node: NodeId, names: &Names) -> Self {
        Self { node: node.to_string(), name: names.name(node) }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(fence: &str, since: &str) -> MutexRow {
        let at = At { node: "12D3".into(), name: Some("ann".into()) };
        let holder = HolderRow { at: at.clone(), fence: fence.into(), held_ms: Some(1), since: since.into() };
        MutexRow { name: "m".into(), holder: Some(holder), token: Some(at), waiters: Vec::new(), waiting: 0 }
    }

    #[test]
    fn a_guard_that_is_held_on_is_no_news() {
        let first = unmoved(vec![held("7.1", "2026-11-22T02:45:56.343Z")], &[]);
        let again = unmoved(vec![held("7.1", "2026-11-22T02:45:56.347Z")], &first);
        assert_eq!(again, first);
        let next = unmoved(vec![held("7.2", "2026-11-22T02:45:57.001Z")], &first);
        assert_eq!(next[0].holder.as_ref().map(|holder| holder.since.as_str()), Some("2026-11-22T02:45:57.001Z"));
        assert_eq!(next[0].holder.as_ref().and_then(|holder| holder.held_ms), None);
    }
}
