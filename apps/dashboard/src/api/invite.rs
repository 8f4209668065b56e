//! Links for other dashboards.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    app::App,
    http::{gate::Entry, refusal::Refusal},
};

/// `POST /invite`: a start URL that is good for once, within ten minutes. Only for programs, which have the token anyway.
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    Extension(entry): Extension<Entry>,
) -> Result<Json<Value>, Refusal> {
    if entry != Entry::Bearer {
        let refusal = Refusal::new("unauthorized", "an invite is given for the token, not for a cookie");
        return Err(refusal.next("send `Authorization: Bearer <token>`"));
    }
    let invite = app.gate.invite(Instant::now());
    let invite = invite.map_err(|_| Refusal::new("internal", "the system gives no random numbers"))?;
    Ok(Json(json!({ "url": format!("{}/?t={invite}", app.url) })))
}
