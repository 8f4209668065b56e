//! What happens to the node, from the moment at which it is served.

use std::{sync::Arc, time::SystemTime};

use crate::{app::App, json::EventRow};

/// Keeps the events of a node until it leaves, and lets the sockets say goodbye then.
pub(crate) async fn keep(app: Arc<App>) {
    let mut events = app.node.events();
    while let Some(event) = events.next().await {
        app.events.push(|seq| EventRow::new(seq, SystemTime::now(), &event));
    }
    app.end("the node has left");
}
