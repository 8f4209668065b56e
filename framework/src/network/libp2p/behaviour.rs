//! Streams on pinned connections: the one behaviour that Guthi adds to libp2p.
//!
//! Streams are opened in parallel, on the connection that was named, and every request is answered.
//! Inbound streams leave as events at once; how many may wait is bounded by the swarm's own buffers and by the driver.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    task::{Context, Poll, Waker},
};

use futures::future::{Ready, ready};
use libp2p::{InboundUpgrade, OutboundUpgrade};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::oneshot;

use super::threads;
use crate::network::Protocol;

/// Streams that may be in negotiation on one connection.
pub(super) const NEGOTIATING_MAX: usize = 64;

/// Opens streams on request and reports those that peers open.
#[derive(Default)]
pub(super) struct Behaviour {
    requests: VecDeque<(PeerId, ConnectionId, Open)>,
    arrivals: VecDeque<Arrival>,
    waker: Option<Waker>,
}

/// A stream that a peer has opened.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) connection: ConnectionId,
    pub(super) protocol: Protocol,
    pub(super) stream: Stream,
}

impl Behaviour {
    /// Opens a stream; the answer comes through `reply`, which is dropped if the connection goes first.
    pub(super) fn open(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: Protocol,
        reply: oneshot::Sender<io::Result<Stream>>,
    ) {
        self.requests.push_back((peer, connection, Open { protocol, reply }));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Arrival;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        connection: ConnectionId,
        (protocol, stream): THandlerOutEvent<Self>,
    ) {
        self.arrivals.push_back(Arrival { connection, protocol, stream });
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(arrival) = self.arrivals.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(arrival));
        }
        if let Some((peer_id, connection, event)) = self.requests.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A stream to be opened.
#[derive(Debug)]
pub(super) struct Open {
    protocol: Protocol,
    reply: oneshot::Sender<io::Result<Stream>>,
}

/// The part of the behaviour that lives with one connection.
#[derive(Default)]
pub(super) struct Handler {
    /// Its connection is a link, or becomes one.
    is_link: bool,
    requests: VecDeque<Open>,
    arrivals: VecDeque<(Protocol, Stream)>,
}

impl Handler {
    /// A connection that is no link leaves the thread of the links with the first payload.
    fn carries(&mut self, protocol: Protocol) {
        match protocol {
            Protocol::Control | Protocol::Calls => self.is_link = true,
            Protocol::Bulk | Protocol::Channel if !self.is_link => threads::leave(),
            Protocol::Bulk | Protocol::Channel => {}
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = (Protocol, Stream);
    type InboundProtocol = Accept;
    type OutboundProtocol = Request;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = oneshot::Sender<io::Result<Stream>>;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept, ())
    }

    // A connection ends by decision of the driver or by an error, never because it is quiet.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Request, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(arrival) = self.arrivals.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(arrival));
        }
        if let Some(Open { protocol, reply }) = self.requests.pop_front() {
            let protocol = SubstreamProtocol::new(Request(protocol), reply);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // Everything that fills the queues is a call from the connection task, which polls again after it.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.carries(open.protocol);
        self.requests.push_back(open);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Request, (), Self::OutboundOpenInfo>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, stream), ..
            }) => {
                self.carries(protocol);
                self.arrivals.push_back((protocol, stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                // Nobody waits any more: the stream is dropped, which resets it.
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => io::Error::from(io::ErrorKind::TimedOut),
                    StreamUpgradeError::NegotiationFailed => io::Error::from(io::ErrorKind::Unsupported),
                    StreamUpgradeError::Io(error) => error,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.send(Err(error));
            }
            _ => {}
        }
    }
}

/// Accepts every protocol of [`Protocol::ALL`].
pub(super) struct Accept;

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Map<std::array::IntoIter<Protocol, 4>, fn(Protocol) -> StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        Protocol::ALL.into_iter().map(stream_protocol)
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Protocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name.as_ref());
        ready(Ok((protocol.expect("only what was offered can be negotiated"), stream)))
    }
}

/// Asks for one protocol.
pub(super) struct Request(Protocol);

impl UpgradeInfo for Request {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(stream_protocol(self.0))
    }
}

impl OutboundUpgrade<Stream> for Request {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

const fn stream_protocol(protocol: Protocol) -> StreamProtocol {
    StreamProtocol::new(protocol.name())
}
