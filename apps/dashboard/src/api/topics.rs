//! Topics of the cluster: messages to whoever subscribes, and what others say there.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use guthi::TopicEvent;
use serde_json::{Value, json};

use super::{
    wanted::Wanted,
    watching::{place, told},
};
use crate::{
    app::App,
    http::{
        input::{CallInput, Name},
        refusal::Refusal,
    },
    json::{MessageRow, Names},
};

/// `POST /topics/{name}/publish`
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    Name(name): Name,
    CallInput(wanted): CallInput<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let (kind, bytes) = wanted.encoded(&app.node, &format!("the message for `{name}`"), None)?;
    let nodes = app.node.raw_topic(name.as_str()).publish(kind, bytes)?;
    Ok(Json(json!({ "topic": name, "nodes": nodes })))
}

/// `GET /topics/{name}/messages`: what is published from now on.
pub(crate) async fn messages(State(app): State<Arc<App>>, Name(name): Name) -> Result<Response, Refusal> {
    let place = place(&app)?;
    let messages = app.node.raw_topic(name).subscribe()?.into_stream();
    let mut names = Names::of(&app.node);
    let line = move |node: &guthi::Node, event| match event {
        TopicEvent::Message { from, value } => {
            // Who has come since is looked up once.
            if names.name(from).is_none() {
                names = Names::of(node);
            }
            json!(MessageRow::new(node, &names, from, &value))
        }
        TopicEvent::Missed(missed) => json!({ "missed": missed }),
        _ => json!({}),
    };
    Ok(told(place, &app, messages, line))
}
