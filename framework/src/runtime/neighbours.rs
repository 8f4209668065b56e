//! Nodes that were missed at the start are looked for again and again: on this machine, where somebody may have been stopped
//! or starved just then, and at the addresses that were to be joined, where nobody may have been yet.

use std::time::Duration;

use guthi_core::wire::limits;
use tokio::{sync::oneshot, time::Instant};

use super::driver::Driver;
use crate::network::address::Address;

/// The first look after that of the start.
pub(super) const SEEK_FIRST: Duration = Duration::from_secs(1);
/// Each pause is twice as long as the one before, up to this.
const SEEK_MAX: Duration = Duration::from_secs(30);

impl Driver {
    /// Looks again, if it is time. Who is known is the detector's business.
    pub(super) fn seek(&mut self) {
        let now = Instant::now();
        if self.seek_at.is_none_or(|at| at > now) {
            return;
        }
        if self.leaving.is_some() || (self.setup.presence.is_none() && self.setup.join.is_empty()) {
            self.seek_at = None;
            return;
        }
        self.seek_here();
        for address in &self.setup.join {
            // Whether it was any good shows in the list itself.
            self.errands.connect(address.clone(), oneshot::channel().0);
        }
        self.seek_at = Some(now + self.seek_pause);
        self.seek_pause = (self.seek_pause * 2).min(SEEK_MAX);
    }

    /// Notes the strangers in the runtime directory, to be dialled.
    fn seek_here(&mut self) {
        let Some(presence) = &self.setup.presence else { return };
        let strangers = presence.others(self.setup.credentials.me.node);
        let strangers = strangers.into_iter().filter(|(node, _)| self.peers.get(*node).is_none());
        let strangers = strangers.map(|(node, entry)| (node, entry.addresses)).take(limits::PEERS_MAX);
        self.strangers.extend(strangers);
    }

    /// Somebody has answered there, or never will.
    pub(super) fn found(&mut self, address: &Address) {
        self.setup.join.retain(|wanted| wanted != address);
    }
}
