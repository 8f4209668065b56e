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
    let places: HashMap<NodeId, usize> = members.iter().zip(0..).map(|((id, _), place)| (*id, place)).collect();
    let own = || members.iter().map(|(of, _)| peers.get(of).map(|peer| peer.status == Status::Alive)).collect();
    let told = |heard: &Vec<NodeId>| {
        let mut row = vec![Some(false); members.len()];
        heard.iter().filter_map(|of| places.get(of)).for_each(|&place| row[place] = Some(true));
        row
    };
    let row = |(observer, _): &(NodeId, String)| match peers.get(observer) {
        _ if *observer == node.id() => own(),
        Some(Peer { hears: Some(heard), .. }) => told(heard),
        _ => vec![None; members.len()],
    };
    let rows = members.iter().map(row).collect();
    matrix(&members, rows)
}

/// Rows and columns are the members in their order.
fn matrix(members: &[(NodeId, String)], mut rows: Vec<Vec<Option<bool>>>) -> Sees {
    let node = |(id, name): &(NodeId, String)| Seat { id: id.to_string(), short: id.short(), name: name.clone() };
    let nodes: Vec<_> = members.iter().map(node).collect();
    rows.iter_mut().enumerate().for_each(|(place, row)| row[place] = None);
    let mut disagreements = Vec::new();
    for (a, deaf) in nodes.iter().enumerate() {
        for (b, heard) in nodes.iter().enumerate() {
            if rows[a][b] == Some(false) && rows[b][a] == Some(true) {
                let (a, b) = (&deaf.name, &heard.name);
                let text = format!("{a} does not hear {b}, and {b} hears {a}: a one-way link?");
                disagreements.push(Disagreement { a: deaf.id.clone(), b: heard.id.clone(), text });
            }
        }
    }
    let row = |(seat, sees): (&Seat, Vec<_>)| Row { observer: seat.id.clone(), sees };
    let rows = nodes.iter().zip(rows).map(row).collect();
    Sees { nodes, rows, disagreements }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_and_is_not_heard_is_told() {
        let member = |byte, name: &str| (NodeId([byte; 32]), name.to_owned());
        let members = [member(1, "ann"), member(2, "ben"), member(3, "cat")];
        let (ben, cat) = (members[1].0, members[2].0);
        let rows = vec![vec![None; 3], vec![Some(true), Some(true), Some(false)], vec![Some(true); 3]];
        let sees = matrix(&members, rows);
        assert_eq!(sees.rows[1].sees, [Some(true), None, Some(false)]);
        let [told] = &sees.disagreements[..] else { panic!("{sees:?}") };
        assert_eq!((&told.a, &told.b), (&ben.to_string(), &cat.to_string()));
        assert_eq!(told.text, "ben does not hear cat, and cat hears ben: a one-way link?");
    }
}
