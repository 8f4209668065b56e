//! What every request passes before its route: host, origin, token or cookie; and the headers of every answer.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    gate::{Entry, Gate},
    login,
    refusal::Refusal,
};
use crate::app::App;

/// Scripts, styles and pictures of this server alone, nobody's frame, no plugins.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";
const SOCKET: &str = "/api/v1/stream";

/// Lets a request through to its route, or answers it.
pub(crate) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let is_secret = is_secret(&request);
    let mut answer = match check(&app.gate, &request) {
        Ok(Pass::Open) => next.run(request).await,
        Ok(Pass::In(entry)) => {
            request.extensions_mut().insert(entry);
            next.run(request).await
        }
        Ok(Pass::Start(secret)) => login::start(&app, &secret),
        Err(refusal) => refusal.into_response(),
    };
    let headers = answer.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if is_secret {
        set(header::CACHE_CONTROL, "no-store");
    }
    answer
}

enum Pass {
    /// For everybody: the page, how the node is, and where the password is given.
    Open,
    In(Entry),
    /// The start URL with its secret.
    Start(String),
}

fn check(gate: &Gate, request: &Request) -> Result<Pass, Refusal> {
    let (uri, method, headers) = (request.uri(), request.method(), request.headers());
    if !host(uri, headers).is_some_and(|host| gate.is_host(host)) {
        let refusal = Refusal::new("host_not_allowed", "this server is not known by that name");
        return Err(refusal.next("open it by 127.0.0.1 or localhost, or start it with this host name allowed"));
    }
    let path = uri.path();
    let is_harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let needs_origin = !is_harmless || path == SOCKET;
    let origin = headers.get(header::ORIGIN);
    let is_ours = origin.is_some_and(|origin| origin.to_str().is_ok_and(|origin| gate.is_origin(origin)));
    let foreign = || Refusal::new("origin_not_allowed", "another site's page may not do this");
    if needs_origin && origin.is_some() && !is_ours {
        return Err(foreign());
    }
    if gate.has_password() && path == "/login" {
        // A page of another site must not log anybody in.
        return if is_ours { Ok(Pass::Open) } else { Err(foreign()) };
    }
    if is_harmless
        && path == "/"
        && let Some(secret) = login::secret(uri)
    {
        return Ok(Pass::Start(secret));
    }
    if is_harmless && !is_secret(request) {
        return Ok(Pass::Open);
    }
    match entry(gate, headers) {
        Some(Entry::Cookie) if needs_origin && !is_ours => Err(foreign()),
        Some(entry) => Ok(Pass::In(entry)),
        None => Err(login::unauthorized(gate)),
    }
}

/// Whether it is for more than a file of the page, which anybody could read in the program itself, or how the node is.
/// What has a route is secret unless it is named here.
fn is_secret(request: &Request) -> bool {
    match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str() != "/healthz",
        None => request.uri().path().starts_with("/api/"),
    }
}

/// Whom the request is for: the one `Host` header, and what the request line says must not say otherwise.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next()?.to_str().ok()?, hosts.next());
    let agrees = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
    (more.is_none() && agrees).then_some(host)
}

fn entry(gate: &Gate, headers: &HeaderMap) -> Option<Entry> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        // Who sends a token that is wrong is not let in by a cookie.
        let authorization = text(authorization)?;
        let (scheme, token) = authorization.split_once(' ')?;
        let is_right = scheme.eq_ignore_ascii_case("bearer") && gate.is_token(token.trim());
        return is_right.then_some(Entry::Bearer);
    }
    let mut cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
    cookies.any(|cookies| gate.is_session(&cookies)).then_some(Entry::Cookie)
}

/// A path that leads nowhere.
pub(crate) fn nowhere(uri: &Uri) -> Response {
    Refusal::not_found(format!("there is nothing at {}", uri.path())).into_response()
}

/// A path that is there, and not for this method.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Response {
    Refusal::new("method_not_allowed", format!("{method} is not for {}", uri.path())).into_response()
}
