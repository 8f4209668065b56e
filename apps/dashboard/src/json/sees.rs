use std::collections::HashMap;

use guthi::{Node, NodeId, Peer, Status};
use serde::Serialize;

use crate::http::answer::Seen;

/// Members beyond these are not told of: nobody says whom it hears of them.
const MEMBERS_MAX: usize = 64;

/// Who hears whom, among the first members of the view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sees {
    nodes: Vec<Seat>,
    rows: Vec<Row>,
    disagreements: Vec<Disagreement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Seat {
    id: String,
    short: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    observer: String,
    /// In the order of `nodes`; nothing for itself, and where nobody knows.
    sees: Vec<Option<bool>>,
}

/// Two of whom one hears the other, and is not heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Disagreement {
    a: String,
    b: String,
    text: String,
}

/// The same with who says so.
#[derive(Serialize)]
pub(crate) struct SeesAnswer<'a> {
    #[serde(flatten)]
    sees: &'a Sees,
    #[serde(flatten)]
    seen: Seen,
}

impl<'a> SeesAnswer<'a> {
    pub(crate) const fn new(sees: &'a Sees, seen: Seen) -> Self {
        Self { sees, seen }
    }
}

pub(crate) fn sees(node: &Node) -> Sees {
    let members: Vec<_> = node.members().into_iter().take(MEMBERS_MAX).map(|member| (member.id, member.name)).collect();
    let peers: HashMap<NodeId, Peer> = node.peers().into_iter().map(|peer| (peer.id, peer)).collect();
    let own = |of: NodeId| peers.get(&of).map(|peer| peer.status == Status::Alive);
    let hears = |observer: NodeId, of: NodeId| match () {
        () if observer == of => None,
        () if observer == node.id() => own(of),
        () => peers.get(&observer).and_then(|peer| peer.hears.as_ref()).map(|heard| heard.contains(&of)),
    };
    matrix(&members, hears)
}

fn matrix(members: &[(NodeId, String)], hears: impl Fn(NodeId, NodeId) -> Option<bool>) -> Sees {
    let seat = |(id, name): &(NodeId, String)| Seat { id: id.to_string(), short: id.short(), name: name.clone() };
    let row = |(observer, _): &(NodeId, String)| Row {
        observer: observer.to_string(),
        sees: members.iter().map(|(of, _)| hears(*observer, *of)).collect(),
    };
    let mut disagreements = Vec::new();
    for (deaf, deaf_name) in members {
        for (heard, heard_name) in members {
            if hears(*deaf, *heard) == Some(false) && hears(*heard, *deaf) == Some(true) {
                let text = format!(
                    "{deaf_name} does not hear {heard_name}, and {heard_name} hears {deaf_name}: a one-way link?"
                );
                disagreements.push(Disagreement { a: deaf.to_string(), b: heard.to_string(), text });
            }
        }
    }
    Sees { nodes: members.iter().map(seat).collect(), rows: members.iter().map(row).collect(), disagreements }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_and_is_not_heard_is_told() {
        let member = |byte, name: &str| (NodeId([byte; 32]), name.to_owned());
        let members = [member(1, "ann"), member(2, "ben"), member(3, "cat")];
        let (ben, cat) = (members[1].0, members[2].0);
        let sees = matrix(&members, |observer, of| match (observer, of) {
            _ if observer == of => None,
            _ if observer == members[0].0 => None,
            _ => Some((observer, of) != (ben, cat)),
        });
        assert_eq!(sees.rows[1].sees, [Some(true), None, Some(false)]);
        let [told] = &sees.disagreements[..] else { panic!("{sees:?}") };
        assert_eq!((&told.a, &told.b), (&ben.to_string(), &cat.to_string()));
        assert_eq!(told.text, "ben does not hear cat, and cat hears ben: a one-way link?");
    }
}
