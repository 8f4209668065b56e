//! What the engine says, in the words of logs and of the public events.

use guthi_core::{
    protocol::{
        catalog,
        detector::{self, Reason},
        engine,
    },
    wire::id::Member,
};

use crate::{Event, Peer};

/// Whom an event of the detector is about.
pub(super) const fn about(event: &detector::Event) -> Option<Member> {
    match event {
        detector::Event::Joined(peer)
        | detector::Event::Trusted(peer)
        | detector::Event::Recovered(peer)
        | detector::Event::Left(peer)
        | detector::Event::Unlink(peer)
        | detector::Event::Suspected { peer, .. }
        | detector::Event::Failed { peer, .. }
        | detector::Event::Asked { peer, .. }
        | detector::Event::Answered { peer, .. }
        | detector::Event::Ignored { from: peer, .. } => Some(*peer),
        detector::Event::Relink { .. } | detector::Event::Forgotten(_) => None,
    }
}

/// The public event for an event of the detector, if there is one; the peer is as it is now.
pub(super) fn event(event: &detector::Event, peer: Peer) -> Option<Event> {
    let reason = peer.reason.clone().unwrap_or_default();
    match event {
        detector::Event::Joined(_) => Some(Event::Joined { peer }),
        detector::Event::Trusted(_) => Some(Event::Trusted { peer }),
        detector::Event::Recovered(_) => Some(Event::Recovered { peer }),
        detector::Event::Left(_) => Some(Event::Left { peer }),
        detector::Event::Suspected { .. } => Some(Event::Suspected { peer, reason }),
        detector::Event::Failed { .. } => Some(Event::Failed { peer, reason }),
        detector::Event::Asked { .. }
        | detector::Event::Answered { .. }
        | detector::Event::Relink { .. }
        | detector::Event::Unlink(_)
        | detector::Event::Forgotten(_)
        | detector::Event::Ignored { .. } => None,
    }
}

/// What is held against a peer, as a sentence; `broken` is how its last link ended.
pub(super) fn sentence(reason: Reason, broken: &str) -> String {
    match reason {
        Reason::LinkBroke => format!("the link broke: {broken}"),
        Reason::Silent(timeout) => format!("no answer for {:.1} s", timeout.as_secs_f64()),
        Reason::Restarted => "it is here again as a new process".into(),
    }
}

/// Leaves a trace of what is of interest only to those who look for it.
pub(super) fn trace(event: &engine::Event) {
    match event {
        engine::Event::Catalog(catalog::Event::Ignored { from, reason }) => {
            tracing::debug!(target: "guthi::event::catalog::ignored", from = from.node.short(), ?reason);
        }
        engine::Event::Detector(detector::Event::Ignored { from, reason }) => {
            tracing::debug!(target: "guthi::event::detector::ignored", from = from.node.short(), ?reason);
        }
        engine::Event::Catalog(catalog::Event::Refused { key, reason }) => {
            tracing::warn!(target: "guthi::event::catalog::refused", key, ?reason);
        }
        // Agreed views are not acted on by the node yet.
        engine::Event::Membership(event) => tracing::debug!(target: "guthi::event::membership", ?event),
        engine::Event::Catalog(_) | engine::Event::Detector(_) | engine::Event::Packet { .. } => {}
    }
}
