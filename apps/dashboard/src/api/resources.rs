//! What machines have and do.

use std::sync::Arc;

use axum::{Json, extract::State};
use guthi::NodeId;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    http::{
        answer::{List, Paging},
        input::Asked,
        refusal::Refusal,
    },
    json::{self, ResourcesRow},
    stream::history::{INTERVAL, POINTS_MAX, Point},
};

/// `GET /resources`: every member is asked now.
pub(crate) async fn resources(
    State(app): State<Arc<App>>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<List<ResourcesRow>>, Refusal> {
    paging.limit()?;
    let rows = json::resources(&app).await;
    let key = |node: NodeId, row: &ResourcesRow| format!("{}{}", u8::from(node != app.node.id()), row.rank());
    paging.page(rows.into_iter().map(|(node, row)| (key(node, &row), row)).collect(), app.node.id()).map(Json)
}

#[derive(Deserialize)]
pub(crate) struct HistoryQuery {
    node: Option<String>,
    seconds: Option<usize>,
}

#[derive(Serialize)]
pub(crate) struct HistoryAnswer {
    interval_ms: u64,
    #[serde(flatten)]
    points: List<Point>,
}

/// `GET /resources/history`: what was seen while somebody looked.
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<HistoryAnswer>, Refusal> {
    let limit @ 1..=POINTS_MAX = query.seconds.unwrap_or(POINTS_MAX) else {
        return Err(Refusal::bad_request(format!("seconds is 1 to {POINTS_MAX}")));
    };
    let node = query.node.as_ref().map_or_else(|| Ok(app.node.id()), |node| json::find(&app.node, node))?;
    let points = List::whole(app.history.of(node, limit), app.node.id());
    let interval_ms = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(HistoryAnswer { interval_ms, points }))
}
