//! How a browser gets its cookie: by the start URL, or by the password.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    gate::{Denied, Gate},
    input::Input,
    refusal::Refusal,
};
use crate::app::App;

/// The page that asks for the password.
const PAGE: &str = "/login.html";

/// What the start URL carries: `/?t=<secret>`.
pub(crate) fn secret(uri: &Uri) -> Option<String> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("t=")).map(str::to_owned)
}

/// Gives the cookie for the secret of a start URL and leads to the page, so that the secret leaves the address bar. The
/// page says what to do if the secret was not the right one.
pub(crate) fn start(app: &App, secret: &str) -> Response {
    let home = [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")];
    let home = (StatusCode::SEE_OTHER, home).into_response();
    if app.gate.welcomes(secret, Instant::now()) { with_cookie(app, home) } else { home }
}

/// Nobody knows who asks.
pub(crate) fn unauthorized(gate: &Gate) -> Refusal {
    let refusal = Refusal::new("unauthorized", "the token or the cookie is missing or not the right one");
    let refusal = refusal.next("open the URL that the program printed, or send `Authorization: Bearer <token>`");
    if gate.has_password() { refusal.login(PAGE) } else { refusal }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    password: String,
}

/// `POST /login`
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Extension(Client(client)): Extension<Client>,
    Input(credentials): Input<Credentials>,
) -> Response {
    match app.gate.admit(&credentials.password, client.ip(), Instant::now()) {
        Ok(()) => with_cookie(&app, StatusCode::NO_CONTENT.into_response()),
        Err(Denied::Wrong) => {
            tracing::warn!(%client, "a wrong password was given to the dashboard");
            Refusal::new("unauthorized", "that is not the password").login(PAGE).into_response()
        }
        Err(Denied::TooOften(wait)) => {
            let wait = wait.max(Duration::from_secs(1)).as_secs();
            let refusal = Refusal::new("too_many_requests", "too many wrong passwords came lately");
            let mut answer = refusal.next(format!("try again in {wait} s")).into_response();
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
            answer
        }
    }
}

fn with_cookie(app: &App, mut answer: Response) -> Response {
    match app.gate.session().ok().and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        Some(cookie) => {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
            answer
        }
        None => Refusal::new("internal", "the system gives no random numbers").into_response(),
    }
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) SocketAddr);
