//! What comes with a request: bounded before it is read, and refused in our own words.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// What a call may carry, and how long it may take to arrive.
const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;
const CALL_PATIENCE: Duration = Duration::from_secs(60);
/// The same of everything else.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A small body of JSON; no body is `{}`.
pub(crate) struct Input<T>(pub(crate) T);

/// The body of a call.
pub(crate) struct CallInput<T>(pub(crate) T);

/// What stands behind the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

/// The one part of the path that differs.
pub(crate) struct Name(pub(crate) String);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        read(request, BODY_BYTES_MAX, BODY_PATIENCE).await.map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for CallInput<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        read(request, CALL_BYTES_MAX, CALL_PATIENCE).await.map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = Query::try_from_uri(&parts.uri).map_err(|error| Refusal::bad_request(error.body_text()))?;
        Ok(Self(query.0))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|error| Refusal::bad_request(error.body_text()))
    }
}

/// A large body as it is.
pub(crate) async fn body(request: Request) -> Result<Bytes, Refusal> {
    bytes(request, CALL_BYTES_MAX, CALL_PATIENCE).await
}

async fn bytes(request: Request, limit: usize, patience: Duration) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new("too_large", format!("a body may have {limit} bytes here"));
    let length = request.headers().get(axum::http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let body = tokio::time::timeout(patience, axum::body::to_bytes(request.into_body(), limit)).await;
    match body {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_long(&error) => Err(too_large()),
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body breaks off: {error}"))),
        Err(_) => Err(Refusal::new("slow_request", format!("the body took longer than {patience:?}"))),
    }
}

async fn read<T: DeserializeOwned>(request: Request, limit: usize, patience: Duration) -> Result<T, Refusal> {
    let body = bytes(request, limit, patience).await?;
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    // An array would pass for an object whose members are all left out.
    if text.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(Refusal::bad_request("the body cannot be read: it is an array, and no object"));
    }
    serde_json::from_slice(text).map_err(|error| Refusal::bad_request(format!("the body cannot be read: {error}")))
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.to_string().contains("length limit exceeded") {
            return true;
        }
        source = cause.source();
    }
    error.to_string().contains("length limit exceeded")
}
