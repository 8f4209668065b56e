//! Mutexes: who has them, and one that is held for as long as a request lives.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, response::Response};
use futures::stream;
use guthi::{Guard, Mutex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    app::{App, HOLDERS_MAX},
    http::{
        answer::{List, Paging, lines},
        input::{Asked, Input, Name},
        refusal::Refusal,
    },
    json::{self, At, MutexRow},
};

const WAIT_MS_MAX: u64 = 24 * 3600 * 1000;
/// How often whoever holds a mutex hears that it is still held. Who hears nothing for several times as long can take it for
/// lost.
const HEARTBEAT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(crate) struct MutexesQuery {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct MutexesAnswer {
    #[serde(flatten)]
    list: List<MutexRow>,
    unanswered: Vec<At>,
    more: bool,
}

/// `GET /mutexes`: every member is asked now.
pub(crate) async fn mutexes(
    State(app): State<Arc<App>>,
    Asked(query): Asked<MutexesQuery>,
) -> Result<Json<MutexesAnswer>, Refusal> {
    let paging = Paging::new(query.limit, query.after);
    paging.limit()?;
    let json::Mutexes { rows, unanswered, more } = json::mutexes(&app, &query.prefix).await;
    let keyed = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    let list = paging.page(keyed, app.node.id())?;
    Ok(Json(MutexesAnswer { list, unanswered, more }))
}

/// For how long somebody is ready to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    wait_ms: Option<u64>,
    #[serde(default, rename = "try")]
    tries: bool,
}

/// `POST /mutexes/{name}/lock`: the mutex is held until the request is closed, which also ends the waiting.
pub(crate) async fn lock(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Input(wanted): Input<Wanted>,
) -> Result<Response, Refusal> {
    let Ok(place) = app.holders.clone().try_acquire_owned() else {
        let refusal =
            Refusal::new("too_many_requests", format!("{HOLDERS_MAX} requests hold mutexes or wait for them"));
        return Err(refusal.next("ask another node, or let fewer wait at once"));
    };
    let guard = wanted.guard(&app.node.mutex(name)).await?;
    Ok(told_by_line(guard, place))
}

impl Wanted {
    async fn guard(self, mutex: &Mutex) -> Result<Guard, Refusal> {
        match (self.wait_ms, self.tries) {
            (None, false) => Ok(mutex.lock().await?),
            (None, true) => mutex.try_lock().await?.ok_or_else(|| busy(mutex.name())),
            (Some(wait @ 1..=WAIT_MS_MAX), false) => Ok(mutex.lock_timeout(Duration::from_millis(wait)).await?),
            (Some(_), true) => Err(Refusal::bad_request("either `try` or `wait_ms`")),
            (Some(_), false) => Err(Refusal::bad_request(format!("wait_ms is 1 to {WAIT_MS_MAX}"))),
        }
    }
}

fn busy(name: &str) -> Refusal {
    let refusal = Refusal::new("busy", format!("somebody has the mutex `{name}`, or waits for it"));
    refusal.next("see who holds it with `guthi lock ls`, or wait for it")
}

/// What becomes of a guard that is told of by lines.
enum Held {
    Granted(Guard),
    Further(Guard),
    Over,
}

/// That it was granted, that it is held, and, if that comes about, that it is lost. Dropping the answer gives it back.
fn told_by_line(guard: Guard, place: OwnedSemaphorePermit) -> Response {
    lines(stream::unfold((Held::Granted(guard), place), async |(held, place)| {
        let (value, held) = held.next().await?;
        Some((value, (held, place)))
    }))
}

impl Held {
    async fn next(self) -> Option<(Value, Self)> {
        match self {
            Self::Granted(guard) => {
                let granted = json!({ "fence": guard.fence(), "previous_holder_died": guard.previous_holder_died() });
                Some((json!({ "granted": granted }), Self::Further(guard)))
            }
            Self::Further(guard) => tokio::select! {
                biased;
                () = guard.lost() => Some((json!({ "lost": true }), Self::Over)),
                () = tokio::time::sleep(HEARTBEAT) => Some((json!({ "held": true }), Self::Further(guard))),
            },
            Self::Over => None,
        }
    }
}
