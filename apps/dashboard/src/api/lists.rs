//! What is only read.

use std::sync::Arc;

use axum::{Json, extract::State};
use guthi::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    app::App,
    http::{
        answer::{List, Paging, Seen},
        input::{Asked, Name},
        refusal::Refusal,
    },
    json::{self, FunctionRow, NodeRow, ViewRow},
};

const STATUSES: [&str; 5] = ["joining", "alive", "suspected", "failed", "left"];

#[derive(Deserialize)]
pub(crate) struct NodesQuery {
    status: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

/// `GET /nodes`
pub(crate) async fn nodes(
    State(app): State<Arc<App>>,
    Asked(query): Asked<NodesQuery>,
) -> Result<Json<List<NodeRow>>, Refusal> {
    let wanted: Option<Vec<&str>> = query.status.as_ref().map(|wanted| wanted.split(',').collect());
    if let Some(bad) = wanted.iter().flatten().find(|status| !STATUSES.contains(status)) {
        return Err(Refusal::bad_request(format!("`{bad}` is no status; there are {}", STATUSES.join(", "))));
    }
    json::look(&app).await;
    let mut rows = json::nodes(&app);
    rows.retain(|row| wanted.as_ref().is_none_or(|wanted| wanted.contains(&row.status)));
    let keyed = rows.into_iter().map(|row| (row.rank(), row)).collect();
    Paging::new(query.limit, query.after).page(keyed, app.node.id()).map(Json)
}

#[derive(Serialize)]
pub(crate) struct NodeAnswer {
    pub(crate) node: NodeRow,
}

/// `GET /nodes/{node}`
pub(crate) async fn node(State(app): State<Arc<App>>, Name(name): Name) -> Result<Json<NodeAnswer>, Refusal> {
    let id = json::find(&app.node, &name)?;
    row(&app, id).map(|node| Json(NodeAnswer { node }))
}

/// A node that is known.
pub(crate) fn row(app: &App, id: NodeId) -> Result<NodeRow, Refusal> {
    let id = id.to_string();
    let row = json::nodes(app).into_iter().find(|row| row.id == id);
    row.ok_or_else(|| Refusal::not_found(format!("no node is known by `{id}`")))
}

#[derive(Serialize)]
pub(crate) struct ViewAnswer {
    view: ViewRow,
    #[serde(flatten)]
    seen: Seen,
}

/// `GET /view`
pub(crate) async fn view(State(app): State<Arc<App>>) -> Json<ViewAnswer> {
    Json(ViewAnswer { view: json::view(&app.node), seen: Seen::by(app.node.id()) })
}

/// `GET /sees`
pub(crate) async fn sees(State(app): State<Arc<App>>) -> Json<serde_json::Value> {
    let sees = json::sees(&app.node);
    Json(serde_json::json!(json::SeesAnswer::new(&sees, Seen::by(app.node.id()))))
}

#[derive(Deserialize)]
pub(crate) struct FunctionsQuery {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    contains: String,
    limit: Option<usize>,
    after: Option<String>,
}

/// `GET /functions`
pub(crate) async fn functions(
    State(app): State<Arc<App>>,
    Asked(query): Asked<FunctionsQuery>,
) -> Result<Json<List<FunctionRow>>, Refusal> {
    let mut rows = json::functions(&app.node);
    rows.retain(|row| row.name.starts_with(&query.prefix) && row.name.contains(&query.contains));
    let keyed = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    Paging::new(query.limit, query.after).page(keyed, app.node.id()).map(Json)
}

/// `GET /events`: the newest, or those after one.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<List<Box<RawValue>>>, Refusal> {
    let limit = paging.limit()?;
    let Some(after) = paging.after_number()? else {
        return Ok(Json(List::whole(texts(&app.events.newest(limit)), app.node.id())));
    };
    // Who asks for what is no longer kept gets what is.
    let mut kept = app.events.after(after).unwrap_or_else(|| app.events.newest(usize::MAX));
    let more = kept.len() > limit;
    kept.truncate(limit);
    let next = kept.last().filter(|_| more).map(|last| last.seq.to_string());
    Ok(Json(List::part(texts(&kept), next, app.node.id())))
}

fn texts(kept: &[Arc<crate::stream::ring::Kept>]) -> Vec<Box<RawValue>> {
    kept.iter().map(|kept| kept.json.clone()).collect()
}
