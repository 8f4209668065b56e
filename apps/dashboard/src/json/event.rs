use std::time::SystemTime;

use guthi::{Event, Peer};
use serde::Serialize;

use crate::timestamp::rfc3339;

/// Something that happened, with a sentence for people.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventRow {
    pub(crate) seq: u64,
    at: String,
    event: &'static str,
    node: Option<Named>,
    reason: Option<String>,
    text: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Named {
    id: String,
    short: String,
    name: String,
}

impl EventRow {
    pub(crate) fn new(seq: u64, at: SystemTime, event: &Event) -> Self {
        let named = |peer: &Peer| Named { id: peer.id.to_string(), short: peer.id.short(), name: peer.name.clone() };
        let reason = match event {
            Event::Suspected { reason, .. } | Event::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        let node = event.peer().map(named);
        Self { seq, at: rfc3339(at), event: event.name(), node, reason, text: sentence(event) }
    }
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Joined { peer } => format!("{peer} has joined"),
        Event::Suspected { peer, reason } => format!("{peer} is suspected: {reason}"),
        Event::Trusted { peer } => format!("{peer} has answered after all"),
        Event::Failed { peer, reason } => format!("{peer} has failed: {reason}"),
        Event::Recovered { peer } => format!("{peer} is back"),
        Event::Left { peer } => format!("{peer} has left"),
        Event::DuplicateIdentity { peer } => {
            format!("another process asks to be let in with the identity of {peer}, and was refused")
        }
        Event::Excluded => "the others went on without this node; it joins them anew".into(),
        Event::Isolated { missing } => format!("this node is isolated: {missing} voters do not answer"),
        Event::Connected => "enough voters answer again".into(),
        Event::ForeignLineage { lineage } => format!("another lineage of this cluster is in sight: {lineage}"),
        Event::Dissolved { rescued } => {
            format!(
                "this node has given up its lineage and joins another; {rescued} variables were written to rescue files"
            )
        }
        Event::Missed(missed) => format!("{missed} events were missed"),
        other => other.name().replace('_', " "),
    }
}
