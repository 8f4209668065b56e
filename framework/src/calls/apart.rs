//! The second connection with a peer, for large payloads: what is small does not queue behind them.
//!
//! On one connection an echo waits for whatever the kernel has taken from a large payload before it, which on a slow way is
//! seconds: long enough to lose a lease, and to be taken for dead. Two connections share a slow way packet by packet.

use std::time::Duration;

use tokio::sync::watch;

use crate::network::ConnectionId;

/// A large payload waits for the second connection so long, and then takes the first.
const PATIENCE: Duration = Duration::from_secs(3);

/// The second connection, from one side: what comes from the peer has one of its own.
#[derive(Debug)]
pub(crate) struct Apart(watch::Sender<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has needed it.
    Unasked,
    /// It is being made, and payloads wait for it.
    Asked,
    Open(ConnectionId),
    /// It could not be made.
    Refused,
    /// It could not be made, and is tried once more while payloads take the first.
    AskedAgain,
}

impl Default for Apart {
    fn default() -> Self {
        Self(watch::Sender::new(State::Unasked))
    }
}

impl Apart {
    /// The connection for a large payload, if there is a second one, or will be soon.
    pub(crate) async fn connection(&self) -> Option<ConnectionId> {
        let mut changes = self.0.subscribe();
        self.0.send_if_modified(|state| {
            let next = match state {
                State::Unasked => State::Asked,
                State::Refused => State::AskedAgain,
                State::Asked | State::Open(_) | State::AskedAgain => return false,
            };
            *state = next;
            true
        });
        let settled = changes.wait_for(|state| *state != State::Asked);
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(Ok(state)) => {
                if let State::Open(connection) = *state {
                    Some(connection)
                } else {
                    None
                }
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Returns when it is to be made.
    pub(crate) async fn asked(&self) {
        self.until(|state| matches!(state, State::Asked | State::AskedAgain)).await;
    }

    /// Returns when it has been made or not.
    pub(crate) async fn answered(&self) {
        self.until(|state| !matches!(state, State::Asked | State::AskedAgain)).await;
    }

    /// It has been made, or cannot be.
    pub(crate) fn answer(&self, connection: Option<ConnectionId>) {
        self.0.send_replace(connection.map_or(State::Refused, State::Open));
    }

    /// That connection is gone; the next large payload asks for another.
    pub(crate) fn closed(&self, connection: ConnectionId) {
        self.0.send_if_modified(|state| {
            let gone = *state == State::Open(connection);
            if gone {
                *state = State::Unasked;
            }
            gone
        });
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        // The sender is here, so it does not end before.
        let _ = self.0.subscribe().wait_for(is_so).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn payloads_wait_for_it_once_and_never_for_what_cannot_be() {
        let apart = Arc::new(Apart::default());
        let waiting = tokio::spawn({
            let apart = apart.clone();
            async move { apart.connection().await }
        });
        apart.asked().await;
        apart.answer(None);
        assert_eq!(waiting.await.unwrap(), None);
        // It is asked for again, and nobody waits.
        let before = tokio::time::Instant::now();
        assert_eq!(apart.connection().await, None);
        assert_eq!(before.elapsed(), Duration::ZERO);
        apart.asked().await;
        apart.answer(Some(ConnectionId(7)));
        apart.answered().await;
        assert_eq!(apart.connection().await, Some(ConnectionId(7)));
        apart.closed(ConnectionId(6));
        assert_eq!(apart.connection().await, Some(ConnectionId(7)));
        // What is gone is asked for anew, and waited for as long as patience lasts.
        apart.closed(ConnectionId(7));
        assert_eq!(apart.connection().await, None);
        assert_eq!(before.elapsed(), PATIENCE);
    }
}
