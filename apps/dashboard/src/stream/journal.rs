//! What happens to the node: who was there when it was first served, and all from then on.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use guthi::{Event, Status};

use crate::{app::App, json::EventRow};

/// Keeps the events of a node until it leaves, and lets the sockets say goodbye then.
pub(crate) async fn keep(app: Arc<App>) {
    let mut events = app.node.events();
    // Who came earlier came at a moment that is known.
    let mut early = BTreeSet::new();
    for peer in app.node.peers().into_iter().filter(|peer| peer.status == Status::Alive) {
        early.insert((peer.id, peer.since));
        app.events.push(|seq| EventRow::new(seq, peer.since, &Event::Joined { peer }));
    }
    while let Some(event) = events.next().await {
        let is_told = matches!(&event, Event::Joined { peer } if early.remove(&(peer.id, peer.since)));
        if !is_told {
            app.events.push(|seq| EventRow::new(seq, SystemTime::now(), &event));
        }
    }
    app.end("the node has left");
}
