//! Connections: how many, how slow, and with or without TLS.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::login::Client;
use crate::app::{HOLDERS_MAX, SOCKETS_MAX};

/// Connections at once; who comes beyond waits in the system's queue.
const CONNECTIONS_MAX: usize = 512;
/// Those that last do not take all places.
const _: () = assert!(2 * HOLDERS_MAX <= CONNECTIONS_MAX && SOCKETS_MAX < CONNECTIONS_MAX / 2);
/// How long a handshake, the head of a request, or the pause before the next one may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 64;
/// The pause after the system refused a connection, as when all file descriptors are taken.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, routes: Router) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = places.clone().acquire_owned().await;
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        };
        let (tls, routes) = (tls.clone(), routes.clone());
        connections.spawn(async move {
            let _place = place;
            match tls {
                Some(tls) => shielded(tls, stream, address, routes).await,
                None => connection(stream, address, routes).await,
            }
        });
    }
}

async fn shielded(tls: TlsAcceptor, stream: TcpStream, address: SocketAddr, routes: Router) {
    match tokio::time::timeout(HEAD_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, address, routes).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "a browser gave up the TLS handshake"),
        Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
    }
}

async fn connection<S>(stream: S, address: SocketAddr, routes: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(routes);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Client(address));
        routes.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%address, %error, "a connection of the dashboard ended");
    }
}
