use std::collections::BTreeSet;

use guthi_core::{
    protocol::{variable, view::Epoch},
    wire::id::NodeId,
};
use serde::{Deserialize, Serialize};

use super::{mutexes::Page, variable::Version};
use crate::{Function, runtime::variables::ListedVariable};

/// A variable as its first home knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// What its type is called: a hash of its shape, which is the same in all programs that mean the same.
    pub kind: u64,
    /// Which version it has.
    pub version: Version,
    /// Bytes of its encoded value.
    pub bytes: u64,
    /// Who keeps it, the first home first.
    pub homes: Vec<NodeId>,
    /// How many nodes beside its first home have a copy of it.
    pub copies: u64,
    /// Fewer nodes keep it than should.
    pub degraded: bool,
    /// Its encoded value, if that has no more than [`SHOWN_BYTES_MAX`](Self::SHOWN_BYTES_MAX).
    pub value: Option<Vec<u8>>,
}

impl VariableInfo {
    /// Values that are no longer than this are told with their variables.
    pub const SHOWN_BYTES_MAX: usize = 128;
}

/// Which variables somebody asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VariableQuery {
    pub(crate) prefix: String,
}

/// What a first home knows of a variable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VariableReport {
    name: String,
    kind: u64,
    version: (u64, u64),
    bytes: u64,
    homes: Vec<NodeId>,
    copies: u64,
    value: Option<Vec<u8>>,
}

impl From<ListedVariable> for VariableReport {
    fn from(ListedVariable { name, known }: ListedVariable) -> Self {
        let variable::Known { state, homes, copies } = known;
        let (kind, bytes) = state.value.as_ref().map_or((0, 0), |value| (value.kind, value.bytes.len() as u64));
        let value = state.value.filter(|value| value.bytes.len() <= VariableInfo::SHOWN_BYTES_MAX);
        let value = value.map(|value| value.bytes.to_vec());
        Self {
            name: name.to_string(),
            kind,
            version: (state.version.epoch.0, state.version.sequence),
            bytes,
            homes: homes.into_iter().map(|home| home.node).collect(),
            copies: copies as u64,
            value,
        }
    }
}

/// So many variables are told of at once.
pub(crate) const VARIABLES_LISTED_MAX: usize = 4096;

/// What each node does for whoever looks at the variables.
pub(crate) enum AskVariables {}

impl Function for AskVariables {
    type Arguments = VariableQuery;
    type Output = Vec<VariableReport>;
    const NAME: &'static str = "guthi.variables";
    const ONCE: bool = false;
}

/// Puts together what nodes have told. While views change, two may take themselves for the first home of a variable: the later
/// version counts.
pub(crate) fn collected(told: Vec<(NodeId, Option<Vec<VariableReport>>)>, replicas: usize) -> Page<VariableInfo> {
    let mut page = Page { items: Vec::new(), unanswered: Vec::new(), more: false };
    let mut found = Vec::new();
    for (node, reports) in told {
        let Some(reports) = reports else {
            page.unanswered.push(node);
            continue;
        };
        page.more |= reports.len() >= VARIABLES_LISTED_MAX;
        found.extend(reports.into_iter().map(|report| {
            let VariableReport { name, kind, version: (epoch, sequence), bytes, homes, copies, value } = report;
            let version = Version::of(variable::Version { epoch: Epoch(epoch), sequence });
            let degraded = homes.len() < replicas;
            VariableInfo { name, kind, version, bytes, homes, copies, degraded, value }
        }));
    }
    found.sort_by(|one, other| one.name.cmp(&other.name).then(other.version.cmp(&one.version)));
    let mut seen = BTreeSet::new();
    found.retain(|info| seen.insert(info.name.clone()));
    page.items = found;
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_homes_the_later_version_counts_and_who_is_silent_is_named() {
        let report = |name: &str, sequence, homes| VariableReport {
            name: name.into(),
            kind: 7,
            version: (3, sequence),
            bytes: 1,
            homes: (0..homes).map(|home| NodeId([home; 32])).collect(),
            copies: 0,
            value: None,
        };
        let node = |number| NodeId([number; 32]);
        let told = vec![
            (node(1), Some(vec![report("b", 1, 2), report("a", 9, 2)])),
            (node(2), None),
            (node(3), Some(vec![report("b", 2, 1)])),
        ];
        let page = collected(told, 2);
        let seen: Vec<_> = page.items.iter().map(|it| (&*it.name, it.version.to_string(), it.degraded)).collect();
        assert_eq!(seen, [("a", "3.9".into(), false), ("b", "3.2".into(), true)]);
        assert_eq!((page.unanswered, page.more), (vec![node(2)], false));
    }
}
