//! The other nodes of this machine, which are looked for again and again: who was stopped or starved for a while when one of
//! them started was missed, and nobody else tells that they are there.

use std::time::Duration;

use guthi_core::wire::limits;
use tokio::time::Instant;

use super::driver::Driver;

/// The first look after that of the start.
pub(super) const SEEK_FIRST: Duration = Duration::from_secs(1);
/// Each pause is twice as long as the one before, up to this.
const SEEK_MAX: Duration = Duration::from_secs(30);

impl Driver {
    /// Notes the strangers in the runtime directory, to be dialled, if it is time. Who is known is the detector's business.
    pub(super) fn seek(&mut self) {
        let now = Instant::now();
        if self.seek_at.is_none_or(|at| at > now) {
            return;
        }
        let Some(presence) = self.setup.presence.as_ref().filter(|_| self.leaving.is_none()) else {
            self.seek_at = None;
            return;
        };
        let strangers = presence.others(self.setup.credentials.me.node);
        let strangers = strangers.into_iter().filter(|(node, _)| self.peers.get(*node).is_none());
        let strangers = strangers.map(|(node, entry)| (node, entry.addresses)).take(limits::PEERS_MAX);
        self.strangers.extend(strangers);
        self.seek_at = Some(now + self.seek_pause);
        self.seek_pause = (self.seek_pause * 2).min(SEEK_MAX);
    }
}
