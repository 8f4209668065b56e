//! The peer that channels are measured against: a stream of a bare libp2p connection, with the transport, the encryption, the
//! multiplexing and the read buffer of Guthi's connections, and nothing above them.

use std::{
    future::poll_fn,
    pin::Pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt, io::BufReader};
use guthi_tests::pipe::{count_bulk, send_bulk};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint, StreamMuxer,
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;

const SOCKET_READ_BYTES: usize = 256 * 1024;

/// Listens, and says where: whoever opens a stream there says how many bytes it wants, and gets them.
#[guthi::function]
pub(crate) async fn gives_over_substreams() -> Result<String, String> {
    listen().await.map_err(|error| error.to_string())
}

async fn listen() -> anyhow::Result<String> {
    let mut transport = transport()?;
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let TransportEvent::NewAddress { listen_addr, .. } = transport.next().await.context("it listens")? {
            break listen_addr;
        }
    };
    tokio::spawn(async move {
        while let Some(event) = transport.next().await {
            if let Some((upgrade, _)) = event.into_incoming() {
                tokio::spawn(async move { give(upgrade.await?.1).await });
            }
        }
    });
    Ok(address.to_string())
}

/// Serves the streams of a connection until it ends.
async fn give(mut connection: StreamMuxerBox) -> anyhow::Result<()> {
    loop {
        let stream = poll_fn(|cx| {
            // It is this that moves the bytes of all streams.
            let _ = Pin::new(&mut connection).poll(cx)?;
            Pin::new(&mut connection).poll_inbound(cx)
        });
        let mut stream = stream.await?.compat();
        tokio::spawn(async move {
            let bytes = stream.read_u64().await?;
            send_bulk(stream, bytes).await
        });
    }
}

/// Takes so many bytes over a stream of a connection of its own; what that took from the moment at which the stream was there.
pub(crate) async fn take(address: &str, bytes: u64) -> anyhow::Result<Duration> {
    let mut transport = transport()?;
    let address: Multiaddr = address.parse()?;
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let (_, mut connection) = transport.dial(address, options)?.await?;
    let mut stream = poll_fn(|cx| Pin::new(&mut connection).poll_outbound(cx)).await?.compat();
    let moving = tokio::spawn(poll_fn(move |cx| Pin::new(&mut connection).poll(cx).map_ok(drop)));
    let begin = Instant::now();
    stream.write_u64(bytes).await?;
    stream.flush().await?;
    let read = count_bulk(stream).await?;
    moving.abort();
    ensure!(read == bytes, "{read} bytes of {bytes} have arrived");
    Ok(begin.elapsed())
}

fn transport() -> anyhow::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(|socket, _| BufReader::with_capacity(SOCKET_READ_BYTES, socket))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&Keypair::generate_ed25519())?)
        .multiplex(yamux::Config::default());
    Ok(transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed())
}
