//! What nodes have logged.

use std::sync::Arc;

use axum::{Json, extract::State};
use guthi::LogQuery;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    http::{
        answer::{List, Paging},
        input::Asked,
        refusal::Refusal,
    },
    json::{self, LineRow, LogError},
};

#[derive(Deserialize)]
pub(crate) struct LogsQuery {
    node: Option<String>,
    level: Option<String>,
    #[serde(default)]
    contains: String,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct LogsAnswer {
    #[serde(flatten)]
    lines: List<LineRow>,
    errors: Vec<LogError>,
}

/// `GET /logs`: the newest lines of a node, or of all; of one node also those after a number.
pub(crate) async fn logs(
    State(app): State<Arc<App>>,
    Asked(query): Asked<LogsQuery>,
) -> Result<Json<LogsAnswer>, Refusal> {
    let paging = Paging::new(query.limit, query.after);
    let (limit, after) = (paging.limit()?, paging.after_number()?);
    let level = json::level(query.level.as_deref())?;
    let whose = json::whose(&app.node, query.node.as_deref())?;
    if after.is_some() && query.node.as_deref() == Some("all") {
        return Err(Refusal::bad_request("after needs a node: each numbers its own lines"));
    }
    let whom = whose.into_iter().map(|node| (node, after)).collect();
    let wanted = LogQuery { after, level, contains: query.contains, limit: u32::try_from(limit).unwrap_or(u32::MAX) };
    let (mut lines, mut errors, mut next) = (Vec::new(), Vec::new(), None);
    for (_, answer) in json::logs(&app.node, whom, &wanted).await {
        match answer {
            Ok(part) => {
                let is_full = part.lines.len() >= limit;
                next = (after.is_some() && is_full).then(|| part.last.to_string());
                lines.extend(part.lines);
            }
            Err(error) => errors.push(error),
        }
    }
    lines.sort_by_cached_key(LineRow::place);
    if after.is_none() {
        lines.drain(..lines.len().saturating_sub(limit));
    }
    Ok(Json(LogsAnswer { lines: List::part(lines, next, app.node.id()), errors }))
}
