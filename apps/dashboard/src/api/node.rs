//! The node itself, and what it is told to do.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lists::{self, NodeAnswer};
use crate::{
    app::App,
    http::{
        input::{Input, Name},
        refusal::Refusal,
    },
    json::{self, Names, NodeRow},
    timestamp::rfc3339,
};

/// `GET /self`
pub(crate) async fn itself(State(app): State<Arc<App>>) -> Json<Value> {
    let resources = json::resources_of(&app, &Names::of(&app.node), app.node.id()).await;
    let uptime_s = resources.known().map(|known| known.uptime_s);
    let started = uptime_s.and_then(|uptime| SystemTime::now().checked_sub(Duration::from_secs(uptime)));
    Json(json!({
        "node": NodeRow::own(&app),
        "cluster": app.node.cluster(),
        "pid": std::process::id(),
        "started": rfc3339(started.unwrap_or(app.began)),
        "uptime_s": uptime_s,
        "version": guthi::VERSION,
        "url": app.url,
        "runtime_dir": app.node.runtime_dir(),
        "view": json::view(&app.node),
        "resources": resources.known().is_some().then_some(&resources),
        "ticket": app.node.ticket().to_string(),
    }))
}

#[derive(Deserialize)]
pub(crate) struct Leave {
    #[serde(default)]
    confirm: String,
}

/// `POST /self/leave`
pub(crate) async fn leave(State(app): State<Arc<App>>, Input(leave): Input<Leave>) -> Result<Json<Value>, Refusal> {
    if leave.confirm != app.node.name() {
        let refusal = Refusal::bad_request("leaving is confirmed by the name of the node");
        return Err(refusal.next(format!("send {}", json!({ "confirm": app.node.name() }))));
    }
    app.end("the node leaves");
    tokio::spawn(async move {
        if let Err(error) = app.node.clone().leave().await {
            tracing::warn!(%error, "the node has left as the dashboard asked");
        }
    });
    Ok(Json(json!({ "left": true })))
}

#[derive(Deserialize)]
pub(crate) struct Connect {
    address: String,
}

/// `POST /nodes/connect`
pub(crate) async fn connect(
    State(app): State<Arc<App>>,
    Input(connect): Input<Connect>,
) -> Result<Json<NodeAnswer>, Refusal> {
    let peer = app.node.connect(connect.address.trim()).await?;
    let node = lists::row(&app, peer.id).unwrap_or_else(|_| NodeRow::of(peer, false));
    Ok(Json(NodeAnswer { node }))
}

/// `POST /nodes/{node}/forget`
pub(crate) async fn forget(State(app): State<Arc<App>>, Name(name): Name) -> Result<Json<Value>, Refusal> {
    app.node.forget(json::find(&app.node, &name)?).await?;
    Ok(Json(json!({ "forgotten": true })))
}

/// `GET /healthz`
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let status = match () {
        () if app.ending.borrow().is_some() => "left",
        () if app.node.view().isolated => "isolated",
        () => return Json(json!({ "status": "ok" })).into_response(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": status }))).into_response()
}
