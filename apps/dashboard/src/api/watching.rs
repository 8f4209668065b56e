//! What is told as it comes, one on each line, for as long as somebody reads it.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use futures::{Stream, StreamExt as _, stream};
use guthi::{Change, Node, RawValue};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    app::{App, WATCHERS_MAX},
    http::{
        answer::lines,
        input::{Asked, Name},
        refusal::Refusal,
    },
    json::ValueRow,
};

/// How often somebody who watches is told that there is nothing new.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// `GET /variables/{name}/changes`
pub(crate) async fn changes(State(app): State<Arc<App>>, Name(name): Name) -> Result<Response, Refusal> {
    let place = place(&app)?;
    let changes = app.node.raw_variable(name.as_str())?.watch();
    Ok(told(place, &app, changes, line_of))
}

#[derive(Deserialize)]
pub(crate) struct ChangesQuery {
    #[serde(default)]
    prefix: String,
}

/// `GET /changes/variables`: of all whose names begin so.
pub(crate) async fn all_changes(
    State(app): State<Arc<App>>,
    Asked(query): Asked<ChangesQuery>,
) -> Result<Response, Refusal> {
    let place = place(&app)?;
    let changes = app.node.watch_raw(query.prefix)?;
    Ok(told(place, &app, changes, line_of))
}

fn line_of(node: &Node, change: Change<RawValue>) -> Value {
    match change {
        Change::Set { name, value, skipped, .. } => {
            let row = ValueRow::new(node, &name, &value);
            json!({ "change": "set", "skipped": skipped, "variable": row })
        }
        Change::Lost { name } => json!({ "change": "lost", "name": name }),
        Change::Listed => json!({ "change": "listed" }),
        // Bytes are always read.
        other => json!({ "change": "deleted", "name": other.name() }),
    }
}

/// A place among those who watch.
pub(super) fn place(app: &App) -> Result<OwnedSemaphorePermit, Refusal> {
    app.watchers.clone().try_acquire_owned().map_err(|_| {
        let refusal = Refusal::new("too_many_requests", format!("{WATCHERS_MAX} requests watch something"));
        refusal.next("ask another node, or let fewer watch at once")
    })
}

/// Each piece of news as a line, until there are no more, nobody reads them, or the server ends.
pub(super) fn told<T: 'static>(
    place: OwnedSemaphorePermit,
    app: &Arc<App>,
    news: impl Stream<Item = T> + Send + 'static,
    line: impl FnMut(&Node, T) -> Value + Send + 'static,
) -> Response {
    let state = (app.clone(), news.boxed(), line, place);
    lines(stream::unfold(state, async |(app, mut news, mut line, place)| {
        let mut ending = app.ending.subscribe();
        let value = tokio::select! {
            next = news.next() => line(&app.node, next?),
            // Where there is nothing new it is noticed by this that nobody reads any more.
            () = tokio::time::sleep(HEARTBEAT) => json!({ "watched": true }),
            _ = ending.wait_for(Option::is_some) => return None,
        };
        Some((value, (app, news, line, place)))
    }))
}
