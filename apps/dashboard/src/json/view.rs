use guthi::{Member, Node};
use serde::Serialize;

/// The view of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ViewRow {
    lineage: String,
    epoch: String,
    active: bool,
    isolated: bool,
    members: Vec<MemberRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct MemberRow {
    id: String,
    short: String,
    name: String,
    incarnation: String,
}

pub(crate) fn view(node: &Node) -> ViewRow {
    let view = node.view();
    let member = |member: Member| MemberRow {
        id: member.id.to_string(),
        short: member.id.short(),
        name: member.name,
        incarnation: member.incarnation.0.to_string(),
    };
    ViewRow {
        lineage: view.lineage,
        epoch: view.epoch.to_string(),
        active: view.active,
        isolated: view.isolated,
        members: view.members.into_iter().map(member).collect(),
    }
}
