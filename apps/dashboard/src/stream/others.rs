//! The other dashboards of this machine: where a page can go when its own node ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use guthi::Control;
use hyper::{Request, StatusCode, body::Body as _, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::Instant};

use crate::app::App;

/// How often is looked who is there, and how old a link may become.
const LOOK: Duration = Duration::from_secs(5);
const LINK_AGE_MAX: Duration = Duration::from_secs(300);
/// Others that are told of, how long one may take to answer, and how much it may say.
const OTHERS_MAX: usize = 16;
const PATIENCE: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 4096;

/// Another dashboard, with a start URL that is good for once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Other {
    name: String,
    url: String,
}

/// Whom a socket was told of.
#[derive(Default)]
struct Known {
    controls: Vec<(String, String)>,
    asked: Option<Instant>,
}

/// The others, whenever there are others than before, with links that are good for a while.
pub(crate) fn others(app: Arc<App>) -> impl Stream<Item = Vec<Other>> + Send + 'static {
    stream::unfold((app, Known::default()), async |(app, mut known)| {
        loop {
            if known.asked.is_some() {
                tokio::time::sleep(LOOK).await;
            }
            let found = controls(&app).await;
            let names: Vec<_> = found.iter().map(|(name, control)| (name.clone(), control.url.clone())).collect();
            let is_old = known.asked.is_none_or(|asked| asked.elapsed() > LINK_AGE_MAX);
            if known.controls != names || is_old && !names.is_empty() {
                known = Known { controls: names, asked: Some(Instant::now()) };
                let links = stream::iter(found).map(link).buffer_unordered(OTHERS_MAX);
                let mut others: Vec<_> = links.filter_map(async |other| other).collect().await;
                others.sort_by(|a: &Other, b| a.name.cmp(&b.name));
                return Some((others, (app, known)));
            }
            known.asked.get_or_insert_with(Instant::now);
        }
    })
}

/// What the other nodes of this cluster and machine announce.
async fn controls(app: &App) -> Vec<(String, Control)> {
    let Some(directory) = app.node.runtime_dir().map(std::path::Path::to_path_buf) else { return Vec::new() };
    let nodes = tokio::task::spawn_blocking(move || guthi::local_nodes(Some(&directory))).await;
    let nodes = nodes.ok().and_then(Result::ok).unwrap_or_default();
    let ours = nodes.into_iter().filter(|node| node.cluster == app.node.cluster() && node.id != app.node.id());
    ours.filter_map(|node| Some((node.name, node.control?))).take(OTHERS_MAX).collect()
}

async fn link((name, control): (String, Control)) -> Option<Other> {
    let url = tokio::time::timeout(PATIENCE, invite(&control)).await.ok()??;
    // A link that leads elsewhere is none of that dashboard's.
    url.starts_with(&format!("{}/?t=", control.url)).then_some(Other { name, url })
}

/// Asks another dashboard for a link. It is on this machine, so there is nobody on the way.
async fn invite(control: &Control) -> Option<String> {
    #[derive(Deserialize)]
    struct Invite {
        url: String,
    }
    let host = control.url.strip_prefix("http://")?;
    let address: SocketAddr = host.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())?;
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::post("/api/v1/invite")
        .header(header::HOST, host)
        .header(header::AUTHORIZATION, format!("Bearer {}", control.token))
        .body(axum::body::Body::empty())
        .ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let is_small = answer.body().size_hint().upper().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX);
        if answer.status() != StatusCode::OK || !is_small {
            return None;
        }
        let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), ANSWER_BYTES_MAX as usize).await;
        body.ok()
    };
    let mut answer = std::pin::pin!(answer);
    let body: Bytes = tokio::select! {
        body = &mut answer => body?,
        // It has closed the connection, with the answer or without.
        _ = connection => answer.await?,
    };
    serde_json::from_slice::<Invite>(&body).ok().map(|invite| invite.url)
}
