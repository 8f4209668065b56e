//! How a node leaves: as agreed with the others, and with a word to each.

use std::time::Duration;

use guthi_core::protocol::{engine::Input, membership, mutex};
use tokio::{sync::oneshot, time::Instant};

use super::driver::Driver;

/// So long guards are waited for; and then, without the agreement of the others, a node goes after so long.
const LEAVING_MAX: Duration = Duration::from_secs(1);
const GOODBYE_MAX: Duration = Duration::from_millis(250);

impl Driver {
    pub(super) fn hide(&self) {
        if let Some(presence) = &self.setup.presence {
            presence.hide();
        }
    }

    pub(super) fn begin_to_leave(&mut self, reply: oneshot::Sender<()>) {
        if let Some((replies, _)) = &mut self.leaving {
            replies.push(reply);
            return;
        }
        self.hide();
        self.leaving = Some((vec![reply], Instant::now() + LEAVING_MAX));
        self.desk.close();
        self.setup.variables.close();
        self.step(Input::Membership(membership::Command::Leave));
    }

    /// Whoever still holds a guard has had the time to give it back: it is lost now, so that the others can agree.
    pub(super) fn give_up_guards(&mut self) {
        if let Some((_, until)) = &mut self.leaving
            && *until <= Instant::now()
            && self.desk.has_guards()
        {
            *until += LEAVING_MAX;
            self.desk.lose_guards();
            // Before the membership hears that there are none left: it stops them from being passed on.
            self.take_step(Input::Mutex(mutex::Command::Abandon));
            self.tell_holdings();
        }
    }

    /// Says goodbye to all, and gives the words time to leave.
    pub(super) async fn say_goodbye(&mut self) {
        self.step(Input::Leave);
        let outboxes: Vec<_> = self.peers.links().map(|link| link.control.clone()).collect();
        let sent = async {
            while outboxes.iter().any(|outbox| !outbox.is_empty()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // What has left the buffers is still in the hands of the connection task.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, sent).await;
    }

    pub(super) fn end(&mut self) {
        let last = self.peers.close("this node has left");
        for id in self.connections.keys() {
            self.setup.network.close(*id);
        }
        self.setup.doors.close("this node has left");
        self.desk.end();
        self.setup.variables.end();
        self.setup.sayings.end();
        self.setup.roster.publish(last);
    }
}
