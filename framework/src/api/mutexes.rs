use std::{collections::BTreeMap, time::Duration};

use guthi_core::{
    protocol::{mutex, view::Epoch},
    wire::id::NodeId,
};
use serde::{Deserialize, Serialize};

use super::mutex::Fence;
use crate::{Function, runtime::mutexes::Listed};

/// A mutex as the nodes together know it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexInfo {
    /// Its name.
    pub name: String,
    /// Who holds it; `None` if nobody does, or the guard was on its way when the nodes were asked.
    pub holder: Option<Holder>,
    /// Where its token is, held or idle; `None` if it is on its way, or nobody has wanted the mutex in this view.
    pub token: Option<NodeId>,
    /// The nodes with tasks that wait for it, and how many of each.
    pub waiters: Vec<(NodeId, usize)>,
}

/// Who holds a mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// Of its guard.
    pub fence: Fence,
    /// For how long.
    pub held_for: Duration,
}

/// A part of what there is, and how much of the whole it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Members that did not answer: they may know of more.
    pub unanswered: Vec<NodeId>,
    /// There is more than is here: ask for a narrower part.
    pub more: bool,
}

/// Which mutexes somebody asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MutexQuery {
    pub(crate) prefix: String,
}

/// What one node knows of a mutex.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MutexReport {
    pub(crate) name: String,
    pub(crate) token: bool,
    /// By a guard of which epoch and number, and for how many nanoseconds.
    pub(crate) held: Option<(u64, u64, u64)>,
    pub(crate) waiters: u64,
}

impl From<Listed> for MutexReport {
    fn from(listed: Listed) -> Self {
        let nanos = |held: Duration| u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let held = listed.held.map(|(fence, held)| (fence.epoch.0, fence.grant, nanos(held)));
        Self { name: listed.name.to_string(), token: listed.token, held, waiters: listed.waiters as u64 }
    }
}

/// So many mutexes are told of at once.
pub(crate) const MUTEXES_LISTED_MAX: usize = 4096;

/// What each node does for whoever looks at the mutexes.
pub(crate) enum AskMutexes {}

impl Function for AskMutexes {
    type Arguments = MutexQuery;
    type Output = Vec<MutexReport>;
    const NAME: &'static str = "guthi.mutexes";
    const ONCE: bool = false;
}

/// Puts together what nodes have told.
pub(crate) fn collected(told: Vec<(NodeId, Option<Vec<MutexReport>>)>) -> Page<MutexInfo> {
    let mut page = Page { items: Vec::new(), unanswered: Vec::new(), more: false };
    let mut found = BTreeMap::new();
    for (node, reports) in told {
        let Some(reports) = reports else {
            page.unanswered.push(node);
            continue;
        };
        page.more |= reports.len() >= MUTEXES_LISTED_MAX;
        for MutexReport { name, token, held, waiters } in reports {
            let empty = MutexInfo { name: name.clone(), holder: None, token: None, waiters: Vec::new() };
            let info = found.entry(name).or_insert(empty);
            if token {
                info.token = Some(node);
            }
            if let Some((epoch, grant, nanos)) = held {
                let fence = Fence::of(mutex::Fence { epoch: Epoch(epoch), grant });
                let holder = Holder { node, fence, held_for: Duration::from_nanos(nanos) };
                // While views change two nodes may take a guard for theirs: the later one is.
                info.holder = info.holder.filter(|other| other.fence > fence).or(Some(holder));
            }
            if waiters > 0 {
                info.waiters.push((node, usize::try_from(waiters).unwrap_or(usize::MAX)));
            }
        }
    }
    page.items = found.into_values().collect();
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_tell_is_put_together() {
        let node = |n| NodeId([n; 32]);
        let report = |name: &str, held: Option<(u64, u64)>, waiters| MutexReport {
            name: name.into(),
            token: held.is_some(),
            held: held.map(|(epoch, grant)| (epoch, grant, 5)),
            waiters,
        };
        let told = vec![
            (node(1), Some(vec![report("b", Some((3, 1)), 0)])),
            (node(2), None),
            (node(3), Some(vec![report("a", None, 2), report("b", Some((2, 9)), 1)])),
        ];
        let page = collected(told);
        assert_eq!((page.unanswered, page.more), (vec![node(2)], false));
        let names: Vec<_> = page.items.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(page.items[1].holder.map(|holder| holder.node), Some(node(1)), "the higher fence is the later one");
        assert_eq!(
            (&page.items[0].waiters[..], &page.items[1].waiters[..]),
            (&[(node(3), 2)][..], &[(node(3), 1)][..])
        );
    }
}
