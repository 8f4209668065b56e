//! Whoever wants a token: its local tasks wait, and it asks all others for it.

use super::{Body, Event, Ticket, here::Here, machine::Outbox, one::One};
use crate::protocol::{bugs::Bug, time::Time};

impl One {
    pub(super) fn acquire(&mut self, ticket: Ticket) {
        self.waiters.push_back(ticket);
    }

    pub(super) fn attempt(&mut self, ticket: Ticket) {
        self.tried.push(ticket);
    }

    /// A task waits no more. Its request is known to others; so a token may come that nobody waits for, and goes on.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.waiters.retain(|waiter| *waiter != ticket);
        self.tried.retain(|tried| *tried != ticket);
        if self.waiters.is_empty() {
            self.request = None;
        }
        if self.tried.is_empty() {
            self.attempt = None;
        }
    }

    /// Broadcasts a request, unless it is known already that the token will come (Suzuki and Kasami, P1 and P2).
    pub(super) fn ask_for_it(&mut self, now: Time, here: &mut Here, out: &mut Outbox) {
        if !self.waiters.is_empty() && self.request.is_none() && !self.queued {
            let number = here.next_number();
            self.requested[usize::from(here.seat())] = number;
            self.request = Some(number);
            here.others().for_each(|seat| here.send_to(seat, &self.name, Body::Request { number }, out));
            self.repeat_soon(now, here);
        }
        if self.tried.is_empty() {
            return;
        }
        if !self.waiters.is_empty() || self.queued {
            // Another task of this node was first.
            return self.refuse_own_tries(out);
        }
        if self.attempt.is_none() {
            let number = here.next_number();
            self.attempt = Some(number);
            here.others().for_each(|seat| here.send_to(seat, &self.name, Body::Try { number }, out));
            self.repeat_soon(now, here);
        }
    }

    /// Somebody who has the token says that it does not come. An answer to an earlier try says nothing about this one.
    pub(super) fn hear_busy(&mut self, number: u64, here: &Here, out: &mut Outbox) -> bool {
        let mine = self.attempt == Some(number) || here.config.bugs.has(Bug::BusyUnnumbered);
        if mine {
            self.refuse_own_tries(out);
        }
        mine
    }

    pub(super) fn refuse_own_tries(&mut self, out: &mut Outbox) {
        self.attempt = None;
        self.tried.drain(..).for_each(|ticket| out.emit(Event::Busy { ticket }));
    }
}
