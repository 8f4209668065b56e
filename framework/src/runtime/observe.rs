//! What the engine says, in the words of logs, of counters and of the public events.
//!
//! Each event that is no mere heartbeat leaves a trace of fields alone under `guthi::event::<protocol>::<name>`, for those
//! who look for it, with names of nodes in full. What people should read is said in sentences, with names cut short.

use guthi_core::protocol::{
    catalog,
    detector::{self, Reason},
    engine, membership, mutex, variable,
};
use tracing::{debug, info, warn};

use crate::{
    Event,
    api::metrics::{CatalogCounts, DetectorCounts, DriverCounts, MembershipCounts, MutexCounts, VariableCounts},
};

/// What is held against a peer, as a sentence; `broken` is how its last link ended.
pub(super) fn sentence(reason: Reason, broken: &str) -> String {
    match reason {
        Reason::LinkBroke => format!("the link broke: {broken}"),
        Reason::Silent(timeout) => format!("no answer for {:.1} s", timeout.as_secs_f64()),
        Reason::Restarted => "it is here again as a new process".into(),
    }
}

/// Says to people what has happened to a peer, or to this node.
pub(super) fn say(event: &Event) {
    let peer = event.peer();
    let (name, reason) = (peer.map(|peer| peer.name.as_str()), peer.and_then(|peer| peer.reason.as_deref()));
    let peer = peer.map(|peer| peer.id.short());
    match event {
        Event::Joined { .. } => info!(peer, name, "a node has joined"),
        Event::Suspected { .. } => info!(peer, name, reason, "a node is suspected"),
        Event::Trusted { .. } => info!(peer, name, "a suspected node has answered"),
        Event::Failed { .. } => warn!(peer, name, reason, "a node has failed"),
        Event::Recovered { .. } => info!(peer, name, "a node is back"),
        Event::Left { .. } => info!(peer, name, "a node has left"),
        Event::DuplicateIdentity { .. } => {
            warn!(peer, name, "another process has the identity of a linked node; it was refused");
        }
        Event::Excluded => warn!("the others went on without this node"),
        Event::Isolated { missing } => warn!(missing, "this node is isolated: too few voters answer"),
        Event::Connected => info!("enough voters answer again"),
        Event::ForeignLineage { lineage } => {
            warn!(lineage, "another lineage of this cluster is in sight, and neither gives way by itself");
        }
        Event::Dissolved { rescued } => info!(rescued, "this node has given up what its lineage held"),
        Event::Missed(_) => {}
    }
}

/// Counts what the engine says, and leaves a trace of it.
pub(super) fn note(event: &engine::Event, counts: &DriverCounts, mutexes: &MutexCounts, variables: &VariableCounts) {
    match event {
        engine::Event::Detector(event) => detector(event, &counts.detector),
        engine::Event::Membership(event) => membership(event, &counts.membership),
        engine::Event::Catalog(event) => catalog(event, &counts.catalog),
        engine::Event::Mutex(event) => mutex(event, mutexes),
        engine::Event::Variable(event) => variables_of(event, variables),
        engine::Event::Packet { .. } => {}
    }
}

fn detector(event: &detector::Event, counts: &DetectorCounts) {
    use detector::Event;
    match event {
        Event::Joined(peer) => {
            counts.joins.one();
            debug!(target: "guthi::event::detector::joined", peer = %peer.node);
        }
        Event::Suspected { peer, reason } => {
            counts.suspicions.one();
            debug!(target: "guthi::event::detector::suspected", peer = %peer.node, ?reason);
        }
        Event::Trusted(peer) => {
            counts.trusts.one();
            debug!(target: "guthi::event::detector::trusted", peer = %peer.node);
        }
        Event::Failed { peer, reason } => {
            counts.failures.one();
            debug!(target: "guthi::event::detector::failed", peer = %peer.node, ?reason);
        }
        Event::Recovered(peer) => {
            counts.recoveries.one();
            debug!(target: "guthi::event::detector::recovered", peer = %peer.node);
        }
        Event::Left(peer) => {
            counts.goodbyes.one();
            debug!(target: "guthi::event::detector::left", peer = %peer.node);
        }
        Event::Asked { .. } => counts.echoes.one(),
        Event::Answered { .. } => counts.answers.one(),
        Event::Relink { node, .. } => {
            counts.relinks.one();
            debug!(target: "guthi::event::detector::relink", peer = %node);
        }
        Event::Unlink(peer) => {
            counts.unlinks.one();
            debug!(target: "guthi::event::detector::unlink", peer = %peer.node);
        }
        Event::Forgotten(node) => {
            counts.forgotten.one();
            debug!(target: "guthi::event::detector::forgotten", peer = %node);
        }
        Event::Ignored { from, reason } => {
            counts.ignored.one();
            debug!(target: "guthi::event::detector::ignored", from = %from.node, ?reason);
        }
    }
}

fn membership(event: &membership::Event, counts: &MembershipCounts) {
    use membership::Event;
    match event {
        // Said in echoes; what it follows from is told by others.
        Event::Stand(_) => {}
        Event::Wedged(at) => {
            counts.wedges.one();
            debug!(target: "guthi::event::membership::wedged", view = %at.lineage, epoch = at.epoch.0);
        }
        Event::Installed(installed) => {
            let (joined, lost) = (installed.joined.len(), installed.lost.len());
            counts.views.one();
            counts.joined.add(joined as u64);
            counts.lost.add(lost as u64);
            let (view, epoch) = (installed.at.lineage, installed.at.epoch.0);
            debug!(target: "guthi::event::membership::installed", %view, epoch, joined, lost);
        }
        Event::Active(at) => {
            counts.activations.one();
            debug!(target: "guthi::event::membership::active", view = %at.lineage, epoch = at.epoch.0);
        }
        Event::Excluded(at) => {
            counts.exclusions.one();
            debug!(target: "guthi::event::membership::excluded", view = %at.lineage, epoch = at.epoch.0);
        }
        Event::Isolated { missing } => {
            counts.isolations.one();
            debug!(target: "guthi::event::membership::isolated", missing);
        }
        Event::Connected => {
            counts.connections.one();
            debug!(target: "guthi::event::membership::connected", protocol = "membership");
        }
        Event::Left => {
            counts.departures.one();
            debug!(target: "guthi::event::membership::left", protocol = "membership");
        }
        Event::ForeignLineage(lineage) => {
            counts.foreign_lineages.one();
            debug!(target: "guthi::event::membership::foreign_lineage", %lineage);
        }
        Event::Rescue => {
            counts.rescues.one();
            debug!(target: "guthi::event::membership::rescue", protocol = "membership");
        }
        Event::Moved(at) => {
            counts.moves.one();
            debug!(target: "guthi::event::membership::moved", view = %at.lineage, epoch = at.epoch.0);
        }
        Event::Ignored { from, reason } => {
            counts.ignored.one();
            debug!(target: "guthi::event::membership::ignored", from = %from.node, ?reason);
        }
    }
}

fn catalog(event: &catalog::Event, counts: &CatalogCounts) {
    use catalog::Event;
    match event {
        Event::Changed { of, keys } => {
            counts.changes.one();
            debug!(target: "guthi::event::catalog::changed", peer = %of, entries = keys.len());
        }
        Event::Described(peer) => {
            counts.descriptions.one();
            debug!(target: "guthi::event::catalog::described", peer = %peer.node);
        }
        Event::Refused { key, reason } => {
            counts.refusals.one();
            debug!(target: "guthi::event::catalog::refused", key, ?reason);
            warn!(key, ?reason, "what this node says of itself is too much, and others do not hear it");
        }
        Event::Ignored { from, reason } => {
            counts.ignored.one();
            debug!(target: "guthi::event::catalog::ignored", from = %from.node, ?reason);
        }
    }
}

fn variables_of(event: &variable::Event, counts: &VariableCounts) {
    use variable::Event;
    match event {
        // What handles ask for, they count themselves.
        Event::Published { .. } | Event::Lost { .. } | Event::Done { .. } => {}
        Event::Followed { .. } | Event::Listed { .. } => {}
        Event::Withdrawn { .. } => counts.withdrawals.one(),
        Event::Committed { operations, copies } => {
            counts.commits.one();
            counts.committed.add((*operations).into());
            counts.invalidations.add((*copies).into());
        }
        Event::Active { shard } => {
            counts.activations.one();
            debug!(target: "guthi::event::variable::active", shard = shard.0);
        }
        Event::Reset { shard } => {
            counts.resets.one();
            debug!(target: "guthi::event::variable::reset", shard = shard.0);
        }
        Event::Orphaned { shard, since } => {
            counts.orphans.one();
            debug!(target: "guthi::event::variable::orphaned", shard = shard.0, since = since.0);
        }
        Event::Ignored { from, reason } => {
            counts.ignored.one();
            debug!(target: "guthi::event::variable::ignored", from = %from.node, ?reason);
        }
    }
}

fn mutex(event: &mutex::Event, counts: &MutexCounts) {
    use mutex::Event;
    match event {
        // Counted where the guard is made: handles grant too.
        Event::Granted { name, fence, died, .. } => {
            debug!(target: "guthi::event::mutex::granted", mutex = %name, %fence, died);
        }
        // Counted where the task is told.
        Event::Busy { .. } => debug!(target: "guthi::event::mutex::busy", protocol = "mutex"),
        Event::Parked { name, fence } => debug!(target: "guthi::event::mutex::parked", mutex = %name, %fence),
        Event::Recalled { name } => debug!(target: "guthi::event::mutex::recalled", mutex = %name),
        Event::Made { name, died } => {
            counts.made.one();
            counts.deaths.add(u64::from(*died));
            debug!(target: "guthi::event::mutex::made", mutex = %name, died);
        }
        Event::Passed { name, to } => {
            counts.handoffs.one();
            debug!(target: "guthi::event::mutex::passed", mutex = %name, to = %to.node);
        }
        Event::Ignored { from, reason } => {
            counts.ignored.one();
            debug!(target: "guthi::event::mutex::ignored", from = %from.node, ?reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guthi_core::{
        protocol::view::{At, Epoch, Lineage},
        wire::id::{Incarnation, Member, NodeId},
    };
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{Level, LogLine, LogQuery, Logs};

    const ANN: Member = Member { node: NodeId([7; 32]), incarnation: Incarnation(1) };

    fn lines(work: impl FnOnce()) -> Vec<LogLine> {
        let logs = Logs::new(100).level(Level::Debug);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), work);
        logs.read(&LogQuery { level: Level::Debug, ..LogQuery::default() }).lines
    }

    #[test]
    fn each_event_is_counted_and_leaves_its_fields() {
        let counts = DriverCounts::default();
        let at = At { lineage: Lineage([6; 16]), epoch: Epoch(3) };
        let reason = Reason::Silent(Duration::from_secs(2));
        let events = [
            engine::Event::Detector(detector::Event::Suspected { peer: ANN, reason }),
            engine::Event::Membership(membership::Event::Active(at)),
            engine::Event::Membership(membership::Event::Connected),
            engine::Event::Catalog(catalog::Event::Changed { of: ANN.node, keys: [String::from("node/name")].into() }),
        ];
        let lines = lines(|| {
            events.iter().for_each(|event| note(event, &counts, &MutexCounts::default(), &VariableCounts::default()))
        });
        let targets: Vec<_> = lines.iter().map(|line| line.target.strip_prefix("guthi::event::").unwrap()).collect();
        assert_eq!(targets, ["detector::suspected", "membership::active", "membership::connected", "catalog::changed"]);
        assert!(lines.iter().all(|line| line.level == Level::Debug && line.message.is_empty()), "{lines:?}");
        let field = |name: &str, value: String| (name.to_owned(), value);
        assert_eq!(lines[0].fields, [field("peer", ANN.node.to_string()), field("reason", "Silent(2s)".into())]);
        assert_eq!(lines[1].fields, [field("view", "06".repeat(16)), field("epoch", "3".into())]);
        let (detector, membership) = (counts.detector.seen(), counts.membership.seen());
        assert_eq!((detector.suspicions, detector.failures, counts.catalog.seen().changes), (1, 0, 1));
        assert_eq!((membership.activations, membership.connections, membership.views), (1, 1, 0));
    }

    #[test]
    fn people_are_told_in_sentences_and_warned_of_what_is_amiss() {
        let events = [Event::Connected, Event::Isolated { missing: 2 }, Event::Missed(3)];
        let lines = lines(|| events.iter().for_each(say));
        let said: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        let isolated = "this node is isolated: too few voters answer";
        assert_eq!(said, [(Level::Info, "enough voters answer again"), (Level::Warn, isolated)]);
        assert_eq!(lines[1].fields, [("missing".into(), "2".into())]);
    }
}
