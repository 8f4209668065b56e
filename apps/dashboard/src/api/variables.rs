//! Variables: what is in them, and how that is changed.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use guthi::{RawVariable, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wanted::{Wanted, given, unknown_type};
use crate::{
    app::App,
    http::{
        answer::{List, Paging, lines},
        input::{Asked, CallInput, Input, Name, body},
        refusal::Refusal,
    },
    json::{self, At, ValueRow, VariableRow},
};

/// How long the nodes may take. While too many others are gone nothing is read or written.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is begun anew if somebody else creates or deletes it meanwhile.
const ATTEMPTS: usize = 8;
/// How many variables the answer to an export has, as far as that is known when it begins.
const COUNT: &str = "guthi-variables";

#[derive(Deserialize)]
pub(crate) struct VariablesQuery {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    contains: String,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct VariablesAnswer {
    #[serde(flatten)]
    list: List<VariableRow>,
    unanswered: Vec<At>,
    more: bool,
}

/// `GET /variables`: every member is asked now.
pub(crate) async fn variables(
    State(app): State<Arc<App>>,
    Asked(query): Asked<VariablesQuery>,
) -> Result<Json<VariablesAnswer>, Refusal> {
    let paging = Paging::new(query.limit, query.after);
    paging.limit()?;
    let json::Variables { rows, unanswered, more } = json::variables(&app, &query.prefix, &query.contains).await;
    let keyed = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    let list = paging.page(keyed, app.node.id())?;
    Ok(Json(VariablesAnswer { list, unanswered, more }))
}

/// `GET /variables/{name}`
pub(crate) async fn read(State(app): State<Arc<App>>, Name(name): Name) -> Result<Response, Refusal> {
    let raw = reading(async { Ok(app.node.raw_variable(name.as_str())?.get().await?) }).await?;
    let row = ValueRow::new(&app.node, &name, &raw.ok_or_else(|| not_found(&name))?);
    Ok((etag(&row.version), Json(row)).into_response())
}

/// When it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    /// It has this version.
    Version(Version),
    /// It is there.
    There,
    /// It is not there.
    New,
}

/// `PUT /variables/{name}`: creates it if it is not there.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    Name(name): Name,
    headers: HeaderMap,
    CallInput(wanted): CallInput<Wanted>,
) -> Result<Response, Refusal> {
    let condition = condition(&headers)?;
    let (version, created) = writing(put(&app, &name, &wanted, condition)).await?;
    let row = json!({ "name": name, "version": version, "created": created });
    Ok((etag(&version.to_string()), Json(row)).into_response())
}

async fn put(app: &App, name: &str, wanted: &Wanted, condition: Condition) -> Result<(Version, bool), Refusal> {
    let variable = app.node.raw_variable(name)?;
    for _ in 0..ATTEMPTS {
        let current = variable.get().await?;
        let (kind, bytes) = wanted.encoded(&app.node, &subject(name), current.as_ref().map(|raw| raw.kind))?;
        let Some(current) = current else {
            match condition {
                Condition::Version(_) | Condition::There => return Err(not_found(name)),
                Condition::None | Condition::New => {}
            }
            match variable.create(kind, bytes).await? {
                Some(version) => return Ok((version, true)),
                None => continue,
            }
        };
        if condition == Condition::New {
            return Err(changed(format!("the variable `{name}` is there, with the version {}", current.version)));
        }
        if let Condition::Version(expected) = condition {
            let replaced = variable.replace(expected, kind, bytes).await?;
            return match replaced {
                Some(version) => Ok((version, false)),
                None => Err(conflict(&variable, expected).await),
            };
        }
        match variable.set(kind, bytes).await {
            Ok(version) => return Ok((version, false)),
            Err(guthi::WriteError::NotFound { .. }) if condition == Condition::None => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(changed(format!("others create and delete the variable `{name}` all the time")))
}

/// `DELETE /variables/{name}`
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    if condition(&headers)? != Condition::None {
        return Err(Refusal::bad_request("a variable is deleted whatever its version is"));
    }
    writing(async { Ok(app.node.raw_variable(name.as_str())?.delete().await?) }).await?;
    Ok(Json(json!({ "name": name, "deleted": true })))
}

/// What is added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addition {
    delta: i64,
}

/// `POST /variables/{name}/add`
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Input(Addition { delta }): Input<Addition>,
) -> Result<Response, Refusal> {
    let added = async {
        let variable = app.node.raw_variable(name.as_str())?;
        let current = variable.get().await?.ok_or_else(|| not_found(&name))?;
        let of_type =
            app.node.variable_type(current.kind).ok_or_else(|| unknown_type(&subject(&name), current.kind))?;
        Ok(variable.add(&of_type, delta.into()).await?)
    };
    let (sum, version) = writing(added).await?;
    let sum = u64::try_from(sum).map(Value::from).or_else(|_| i64::try_from(sum).map(Value::from));
    let row = json!({ "name": name, "value": sum.unwrap_or_default(), "version": version });
    Ok((etag(&version.to_string()), Json(row)).into_response())
}

/// `POST /variables/{name}/reset`: it is not there afterwards, if it was lost.
pub(crate) async fn reset(State(app): State<Arc<App>>, Name(name): Name) -> Result<Json<Value>, Refusal> {
    writing(async { Ok(app.node.raw_variable(name.as_str())?.reset().await?) }).await?;
    Ok(Json(json!({ "name": name, "reset": true })))
}

#[derive(Deserialize)]
pub(crate) struct ExportQuery {
    #[serde(default)]
    prefix: String,
}

/// `GET /export/variables`: one on each line. If there may be more, or one could not be read, the last line says so.
pub(crate) async fn export(State(app): State<Arc<App>>, Asked(query): Asked<ExportQuery>) -> Response {
    let json::Variables { rows, unanswered, more } = json::variables(&app, &query.prefix, "").await;
    let count = HeaderValue::from(rows.len());
    let left = Left {
        names: rows.into_iter().map(|row| row.name).collect(),
        failed: Vec::new(),
        // Nobody is told at the end if nothing is missing.
        incomplete: Some((unanswered, more)),
    };
    let values = stream::unfold((app, left), async |(app, mut left)| Some((left.next(&app).await?, (app, left))));
    let mut answer = lines(values);
    answer.headers_mut().insert(COUNT, count);
    answer
}

/// What is yet to be told.
struct Left {
    names: VecDeque<String>,
    failed: Vec<Value>,
    incomplete: Option<(Vec<At>, bool)>,
}

impl Left {
    async fn next(&mut self, app: &App) -> Option<Value> {
        while let Some(name) = self.names.pop_front() {
            let raw = reading(async { Ok(app.node.raw_variable(name.as_str())?.get().await?) }).await;
            match raw {
                Ok(Some(raw)) => return Some(json!(ValueRow::whole(&app.node, &name, &raw))),
                // It has gone meanwhile.
                Ok(None) => {}
                Err(refusal) => self.failed.push(json!({ "name": name, "error": refusal })),
            }
        }
        let (unanswered, more) = self.incomplete.take()?;
        let failed = std::mem::take(&mut self.failed);
        let is_whole = unanswered.is_empty() && !more && failed.is_empty();
        (!is_whole).then(|| json!({ "incomplete": { "unanswered": unanswered, "more": more, "failed": failed } }))
    }
}

#[derive(Deserialize)]
pub(crate) struct ImportQuery {
    /// Those that are there stay as they are.
    #[serde(default)]
    keep: bool,
}

/// A line of an export.
#[derive(Deserialize)]
struct Line {
    name: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, rename = "type")]
    of_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    value: Option<Value>,
    #[serde(default)]
    base64: Option<String>,
}

/// `POST /import/variables`: lines as an export gives them. Each is done by itself.
pub(crate) async fn import(
    State(app): State<Arc<App>>,
    Asked(query): Asked<ImportQuery>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let body = body(request).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Refusal::bad_request("the body is no text"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let lines: Result<Vec<_>, Refusal> = lines
        .map(|(number, line)| {
            let is_object = line.trim_start().starts_with('{');
            let read = is_object.then(|| serde_json::from_str::<Line>(line).map_err(|error| error.to_string()));
            let read = read.unwrap_or_else(|| Err("it is no object".into()));
            read.map_err(|error| Refusal::bad_request(format!("line {} cannot be read: {error}", number + 1)))
        })
        .collect();
    let (mut imported, mut kept, mut failed) = (0_u64, 0_u64, Vec::new());
    for line in lines? {
        let condition = if query.keep { Condition::New } else { Condition::None };
        // The bytes count where both are there: they mean the same everywhere.
        let value = line.value.filter(|_| line.base64.is_none());
        let wanted = Wanted { value, of_type: line.of_type, base64: line.base64, kind: line.kind };
        match writing(put(&app, &line.name, &wanted, condition)).await {
            Ok(_) => imported += 1,
            Err(refusal) if query.keep && refusal.is("conflict") => kept += 1,
            Err(refusal) => failed.push(json!({ "name": line.name, "error": refusal })),
        }
    }
    Ok(Json(json!({ "imported": imported, "kept": kept, "failed": failed })))
}

/// `If-Match` and `If-None-Match`, as far as they mean something here.
fn condition(headers: &HeaderMap) -> Result<Condition, Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::None),
        (Some("*"), None) => Ok(Condition::There),
        (None, Some("*")) => Ok(Condition::New),
        (Some(version), None) => {
            let version = version.trim_matches('"').parse();
            version.map(Condition::Version).map_err(|error| Refusal::bad_request(format!("If-Match: {error}")))
        }
        _ => Err(Refusal::bad_request("If-Match with a version or *, or If-None-Match with *")),
    }
}

/// Which variable it is, in a sentence.
fn subject(name: &str) -> String {
    format!("the variable `{name}`")
}

fn etag(version: &str) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

/// Waits for what is read, for a while.
async fn reading<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(unanswered()))
}

/// The same of what is written, which may have been done if it took too long.
async fn writing<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(unanswered().unknown()))
}

fn unanswered() -> Refusal {
    let message = format!("too few of the other nodes have answered within {PATIENCE:?}");
    Refusal::new("unanswered", message).next("try again; if it stays so, see with `guthi view show` who answers")
}

fn not_found(name: &str) -> Refusal {
    let refusal = Refusal::not_found(format!("there is no variable `{name}`"));
    refusal.next("`guthi var ls` shows those that are there; `guthi var set` creates one")
}

fn changed(message: String) -> Refusal {
    Refusal::new("conflict", message).next("look at what it is now, and decide anew")
}

async fn conflict(variable: &RawVariable, expected: Version) -> Refusal {
    let name = variable.name();
    let now = match variable.get().await {
        Ok(Some(raw)) => format!("it has {} now", raw.version),
        _ => "it is not there now".into(),
    };
    changed(format!("the variable `{name}` does not have the version {expected} any more: {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: header::HeaderName, value: &'static str) -> Result<Condition, Refusal> {
        condition(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn conditions_are_versions_or_whether_it_is_there() {
        let version: Version = "7.42".parse().unwrap();
        assert_eq!(of(header::IF_MATCH, "\"7.42\"").unwrap(), Condition::Version(version));
        assert_eq!(of(header::IF_MATCH, "7.42").unwrap(), Condition::Version(version));
        assert_eq!(of(header::IF_MATCH, "*").unwrap(), Condition::There);
        assert_eq!(of(header::IF_NONE_MATCH, "*").unwrap(), Condition::New);
        assert_eq!(condition(&HeaderMap::new()).unwrap(), Condition::None);
        assert!(of(header::IF_MATCH, "\"7\"").is_err() && of(header::IF_NONE_MATCH, "\"7.42\"").is_err());
        assert!(of(header::IF_MATCH, "\"1.1\", \"1.2\"").is_err() && of(header::IF_MATCH, "").is_err());
    }
}
