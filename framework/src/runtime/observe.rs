//! What the engine says, in the words of logs and of the public events.

use guthi_core::protocol::{
    catalog,
    detector::{self, Reason},
    engine,
};

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
        engine::Event::Membership(event) => tracing::debug!(target: "guthi::event::membership", ?event),
        engine::Event::Catalog(_) | engine::Event::Detector(_) | engine::Event::Packet { .. } => {}
    }
}
