//! The channels that go over one link.

use std::{io, sync::Arc, time::Duration};

use guthi_core::wire::{id::NodeId, limits::CHANNELS_MAX, name::Name};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc::OwnedPermit},
    time::timeout,
};

use super::{
    Bond, Channel, Doors,
    doors::refused,
    hello::{self, Answer},
};
use crate::{
    OpenError,
    calls::apart::Apart,
    network::{ConnectionId, Network, Protocol, Stream, admission::Tag},
};

/// How long it may take to open a channel.
const OPENING_MAX: Duration = Duration::from_secs(10);
/// A peer that has not said by then which channel it wants is not listened to any longer.
const HEARING_MAX: Duration = Duration::from_secs(10);
/// Beginnings of one peer that are under way here; a stream beyond that is dropped.
const BEGINNINGS_MAX: usize = 256;

/// The channels between this node and one peer, over one link.
pub(crate) struct Channels {
    peer: NodeId,
    connection: ConnectionId,
    tag: Tag,
    network: Arc<dyn Network>,
    doors: Arc<Doors>,
    bond: Arc<Bond>,
    opened: Arc<Semaphore>,
    accepted: Arc<Semaphore>,
    beginnings: Arc<Semaphore>,
}

impl Channels {
    pub(crate) fn new(
        peer: NodeId,
        connection: ConnectionId,
        tag: Tag,
        network: Arc<dyn Network>,
        doors: Arc<Doors>,
    ) -> Arc<Self> {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Arc::new(Self {
            peer,
            connection,
            tag,
            network,
            bond: Bond::new(false, doors.counts().clone()),
            doors,
            opened: semaphore(CHANNELS_MAX),
            accepted: semaphore(CHANNELS_MAX),
            beginnings: semaphore(BEGINNINGS_MAX),
        })
    }

    /// The link has ended.
    pub(crate) fn end(&self, reason: &str) {
        self.bond.end(reason);
    }

    /// Opens a channel to the peer.
    ///
    /// # Cancel safety
    /// If it is dropped, the peer may have been given a channel that ends at once.
    pub(crate) async fn open(&self, apart: &Apart, protocol: &Name) -> Result<Channel, OpenError> {
        let (name, peer) = (|| protocol.to_string(), self.peer);
        let too_many = |_| OpenError::TooMany { protocol: name(), peer };
        let place = self.opened.clone().try_acquire_owned().map_err(too_many)?;
        let stream = tokio::select! {
            biased;
            begun = timeout(OPENING_MAX, self.begin(apart, protocol)) => {
                begun.unwrap_or_else(|_| Err(OpenError::Timeout { protocol: name(), peer, waited: OPENING_MAX }))?
            }
            () = self.bond.over.cancelled() => return Err(self.lost(protocol, "the link has ended")),
        };
        self.bond.counts.opened.one();
        Ok(Channel::new(peer, protocol.clone(), stream, self.bond.clone(), Some(place)))
    }

    async fn begin(&self, apart: &Apart, protocol: &Name) -> Result<Stream, OpenError> {
        let connection = apart.connection().await.unwrap_or(self.connection);
        let opened = self.network.open(connection, Protocol::Channel).await;
        // Nothing was said yet.
        let not_linked = |_| OpenError::NotLinked { protocol: protocol.to_string(), peer: self.peer };
        let mut stream = opened.map_err(not_linked)?;
        let answer = hello::ask(&mut stream, self.tag, protocol).await;
        match answer.map_err(|error| self.lost(protocol, &error.to_string()))? {
            Answer::Accepted => Ok(stream),
            no => Err(refused(no, self.peer, protocol)),
        }
    }

    /// The peer may have accepted, or not; the end of the link is a better reason than any other.
    fn lost(&self, protocol: &Name, reason: &str) -> OpenError {
        let reason = self.bond.reason.get().map_or(reason, |reason| reason).to_owned();
        OpenError::PeerLost { protocol: protocol.to_string(), peer: self.peer, reason }
    }

    /// Takes a stream on which the peer wants to open a channel.
    pub(crate) fn receive(self: &Arc<Self>, stream: Stream) {
        let Ok(turn) = self.beginnings.clone().try_acquire_owned() else { return self.bond.counts.refused.one() };
        let channels = self.clone();
        tokio::spawn(async move {
            let heard = timeout(HEARING_MAX, channels.accept(stream)).await;
            if let Err(error) = heard.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                channels.bond.counts.refused.one();
                tracing::debug!(peer = ?channels.peer, %error, "a channel was refused");
            }
            drop(turn);
        });
    }

    async fn accept(&self, mut stream: Stream) -> io::Result<()> {
        let protocol = hello::hear(&mut stream, self.tag).await?;
        let (permit, place) = match self.reserve(&protocol) {
            Ok(reserved) => reserved,
            Err(no) => {
                hello::answer(&mut stream, no).await?;
                return Err(io::Error::other(format!("{protocol}: {no:?}")));
            }
        };
        // The door may be dropped between the two, and then the channel is, which its other end sees.
        hello::answer(&mut stream, Answer::Accepted).await?;
        self.bond.counts.accepted.one();
        permit.send(Channel::new(self.peer, protocol, stream, self.bond.clone(), Some(place)));
        Ok(())
    }

    fn reserve(&self, protocol: &Name) -> Result<(OwnedPermit<Channel>, OwnedSemaphorePermit), Answer> {
        let permit = self.doors.reserve(protocol)?;
        let place = self.accepted.clone().try_acquire_owned().map_err(|_| Answer::TooMany)?;
        Ok((permit, place))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc,
        time::Instant,
    };

    use super::*;
    use crate::network::{
        Event,
        memory::{Hub, Memory},
    };

    const TAG: Tag = Tag([7; 16]);

    struct End {
        network: Arc<dyn Network>,
        events: mpsc::Receiver<Event>,
        doors: Arc<Doors>,
        channels: Arc<Channels>,
    }

    impl End {
        fn new((network, events): (Memory, mpsc::Receiver<Event>), peer: u8, connection: ConnectionId) -> Self {
            let (network, doors): (Arc<dyn Network>, _) = (Arc::new(network), Doors::new());
            let channels = Channels::new(NodeId([peer; 32]), connection, TAG, network.clone(), doors.clone());
            Self { network, events, doors, channels }
        }

        async fn inbound(&mut self) -> Stream {
            loop {
                if let Some(Event::Inbound { stream, .. }) = self.events.recv().await {
                    return stream;
                }
            }
        }
    }

    async fn pair() -> (End, End) {
        let hub = Hub::default();
        let (a, b) = (Memory::join(&hub, NodeId([1; 32])), Memory::join(&hub, NodeId([2; 32])));
        let connection = a.0.dial(b.0.addresses(), None).await.unwrap().id;
        (End::new(a, 2, connection), End::new(b, 1, connection))
    }

    /// There is no second connection, and nobody makes one.
    fn no_apart() -> Apart {
        let apart = Apart::default();
        apart.answer(None);
        apart
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_not_listened_to_for_ever() {
        let (a, mut b) = pair().await;
        let _door = b.doors.accept(Name::new("fs").unwrap()).unwrap();
        // Each of these says a part, and then nothing.
        for said in [&b""[..], &TAG.0, &[&TAG.0[..], &[2, b'f']].concat()] {
            let began = Instant::now();
            let mut silent = a.network.open(a.channels.connection, Protocol::Channel).await.unwrap();
            silent.write_all(said).await.unwrap();
            let stream = b.inbound().await;
            b.channels.receive(stream);
            assert_eq!(silent.read(&mut [0; 9]).await.unwrap(), 0);
            assert_eq!(began.elapsed(), HEARING_MAX, "{said:?}");
        }
        assert_eq!(b.doors.counts().seen().refused, 3);
        assert_eq!(b.channels.beginnings.available_permits(), BEGINNINGS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_answered_does_not_wait_for_ever() {
        let (a, mut b) = pair().await;
        let (protocol, apart) = (Name::new("fs").unwrap(), no_apart());
        let opening = async { a.channels.open(&apart, &protocol).await.unwrap_err() };
        let (error, _stream) = tokio::join!(opening, b.inbound());
        assert_eq!(error, OpenError::Timeout { protocol: "fs".into(), peer: NodeId([2; 32]), waited: OPENING_MAX });
        // The end of the link is the end of waiting.
        let ending = async {
            let stream = b.inbound().await;
            a.channels.end("the cable was pulled");
            stream
        };
        let opening = async { a.channels.open(&apart, &protocol).await.unwrap_err() };
        let (error, _stream) = tokio::join!(opening, ending);
        let reason = "the cable was pulled".to_owned();
        assert_eq!(error, OpenError::PeerLost { protocol: "fs".into(), peer: NodeId([2; 32]), reason });
        assert_eq!(a.channels.opened.available_permits(), CHANNELS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_after_the_end_of_the_link_and_what_has_arrived_is_read() {
        let (a, mut b) = pair().await;
        let protocol = Name::new("fs").unwrap();
        let mut door = b.doors.accept(protocol.clone()).unwrap();
        let apart = no_apart();
        let accepting = async {
            let stream = b.inbound().await;
            b.channels.receive(stream);
            poll_fn(|cx| door.poll_next(cx)).await.unwrap()
        };
        let (here, mut there) = tokio::join!(a.channels.open(&apart, &protocol), accepting);
        let mut here = here.unwrap();
        here.write_all(b"abc").await.unwrap();
        here.shutdown().await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        // The connection outlives the link.
        b.channels.end("it was renewed");
        assert_eq!(there.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(there.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted, "it is told again");
        let mut read = Vec::new();
        there.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"abc");
    }
}
