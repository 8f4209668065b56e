//! Whoever has a token: it grants guards, and passes the token on.

use alloc::vec::Vec;

use super::{
    Body, Event, Fence, Ticket, Token,
    here::Here,
    machine::Outbox,
    one::{Brought, Hold, Making, One, Went},
};
use crate::{
    protocol::{bugs::Bug, time::Time},
    wire::id::Member,
};

impl One {
    /// What becomes of a token that is here.
    pub(super) fn next(&mut self, now: Time, here: &Here, out: &mut Outbox) {
        self.enqueue(here);
        let Some(token) = &self.token else { return };
        match self.hold {
            Hold::Free => {}
            Hold::Parked { recalled } => {
                let wanted = !self.waiters.is_empty() || !self.tried.is_empty() || !self.tries.is_empty();
                if (wanted || !token.queue.is_empty()) && !recalled {
                    self.hold = Hold::Parked { recalled: true };
                    out.emit(Event::Recalled { name: self.name.clone() });
                }
                return;
            }
            Hold::Held => {
                self.refuse_own_tries(out);
                return self.refuse_tries(here, out);
            }
        }
        let turn = token.queue.is_empty() || self.left > 0 || here.config.bugs.has(Bug::LocalTasksFirst);
        // The last step before a guard is handed out: whoever was stopped since then finds its lease over.
        let serves = here.service.grants(now) || here.config.bugs.has(Bug::GrantUnchecked);
        if turn && serves {
            let first = self.waiters.pop_front().or_else(|| (!self.tried.is_empty()).then(|| self.tried.remove(0)));
            if let Some(ticket) = first {
                return self.grant(ticket, here, out);
            }
        }
        if !serves && !self.waiters.is_empty() && !token.queue.is_empty() {
            if self.in_vain == Some(token.fence) {
                // It has come back, and nobody has had it. Two who are granted nothing would play ball with it.
                out.reached("mutex: a token that nobody may grant");
                return self.refuse_tries(here, out);
            }
            self.in_vain = Some(token.fence);
        }
        self.pass_on(now, here, out);
    }

    /// Puts those into the queue who want the token and are not in it: the first behind this node first. A request is not
    /// expected to be the one after the last that was served, since those before it may have been given up.
    fn enqueue(&mut self, here: &Here) {
        let Some(token) = &mut self.token else { return };
        let was_empty = token.queue.is_empty();
        for seat in here.others() {
            let (wanted, served) = (self.requested[usize::from(seat)], token.served[usize::from(seat)]);
            let wants = if here.config.bugs.has(Bug::NextRequestOnly) { wanted == served + 1 } else { wanted > served };
            if wants && !token.queue.contains(&seat) {
                token.queue.push(seat);
            }
        }
        if was_empty && !token.queue.is_empty() {
            self.begin_run(here);
        }
    }

    fn grant(&mut self, ticket: Ticket, here: &Here, out: &mut Outbox) {
        let Some(token) = &mut self.token else { return };
        token.fence.grant += 1;
        // A try is no request, but may be what was served.
        let served = &mut token.served[usize::from(here.seat())];
        *served = self.requested[usize::from(here.seat())].max(*served);
        self.left = self.left.saturating_sub(1);
        self.hold = Hold::Held;
        let died = core::mem::take(&mut token.died) && !here.config.bugs.has(Bug::DeathUntold);
        out.emit(Event::Granted { ticket, name: self.name.clone(), fence: token.fence, died });
        // There is a guard now.
        self.refuse_own_tries(out);
        self.refuse_tries(here, out);
    }

    /// Nothing is granted here now.
    fn pass_on(&mut self, now: Time, here: &Here, out: &mut Outbox) {
        let Some(token) = &mut self.token else { return };
        if token.queue.is_empty() && self.waiters.is_empty() && self.tried.is_empty() {
            if let Some((seat, number)) = self.tries.pop_first() {
                if number > token.served[usize::from(seat)] {
                    token.served[usize::from(seat)] = number;
                    self.refuse_tries(here, out);
                    return self.pass_to(seat, now, here, out);
                }
                self.tries.insert(seat, number);
                self.refuse_tries(here, out);
                return self.pass_on(now, here, out);
            }
            if here.service.leaving && self.home != here.me {
                // It would end with this member, and nobody could know that it was idle.
                return here.seat_of(self.home).map_or((), |home| self.pass_to(home, now, here, out));
            }
            // Who is to be told of a death must come here.
            if !token.died {
                self.hold = Hold::Parked { recalled: false };
                out.emit(Event::Parked { name: self.name.clone(), fence: token.fence });
            }
            return;
        }
        if token.queue.is_empty() {
            // Waits for the lease to come back.
            return self.refuse_tries(here, out);
        }
        let first = token.queue.remove(0);
        if !self.waiters.is_empty() {
            out.reached("mutex: a token passed on although tasks of this node wait");
            if !here.config.bugs.has(Bug::WaitersLeftBehind) {
                token.queue.push(here.seat());
            }
            self.queued = true;
        }
        self.refuse_own_tries(out);
        self.refuse_tries(here, out);
        self.pass_to(first, now, here, out);
    }

    fn pass_to(&mut self, seat: u16, now: Time, here: &Here, out: &mut Outbox) {
        let Some(to) = here.view.seats.get(usize::from(seat)).map(|seat| seat.member) else { return };
        let Some(token) = self.token.take() else { return };
        self.pass += 1;
        here.send(to, &self.name, Body::Token { pass: self.pass, token: token.clone() }, out);
        out.emit(Event::Passed { name: self.name.clone(), to });
        self.went = Some(Went { to, died: token.died, unanswered: Some(token) });
        self.repeat_soon(now, here);
    }

    /// Tries of others, while there is no hope for them.
    fn refuse_tries(&mut self, here: &Here, out: &mut Outbox) {
        let Some(token) = &mut self.token else { return };
        while let Some((seat, number)) = self.tries.pop_first() {
            let served = &mut token.served[usize::from(seat)];
            *served = number.max(*served);
            here.send_to(seat, &self.name, Body::Busy { number }, out);
        }
    }

    // What comes from others.

    pub(super) fn hear_request(&mut self, seat: u16, number: u64) {
        let requested = &mut self.requested[usize::from(seat)];
        *requested = number.max(*requested);
    }

    /// A try is nothing to remember: only who has the token answers it, or who is about to make it.
    pub(super) fn hear_try(&mut self, seat: u16, number: u64, here: &Here, out: &mut Outbox) {
        if here.config.bugs.has(Bug::TryQueued) {
            self.hear_request(seat, number);
        }
        if self.token.is_some() || (self.is_home(here) && self.making != Making::Done) {
            if self.token.is_none() {
                out.reached("mutex: a try that waits for the token to be made");
            }
            self.tries.insert(seat, number);
        }
    }

    /// The token comes; false if it was here before.
    pub(super) fn take(&mut self, from: Member, pass: u64, mut token: Token, here: &Here, out: &mut Outbox) -> bool {
        let was_here = pass <= self.pass && !here.config.bugs.has(Bug::PassIgnored);
        if was_here || self.token.is_none() {
            here.send(from, &self.name, Body::Taken { pass }, out);
        }
        if was_here || self.token.is_some() {
            out.reached("mutex: a token that comes again");
            return false;
        }
        let seat = here.seat();
        let mine = usize::from(seat);
        token.served[mine] = self.requested[mine].max(token.served[mine]);
        token.queue.retain(|queued| *queued != seat);
        if self.waiters.is_empty() && self.tried.is_empty() {
            out.reached("mutex: a token that nobody waits for");
        }
        self.pass = pass;
        self.token = Some(token);
        self.hold = Hold::Free;
        self.went = None;
        self.making = Making::Done;
        self.request = None;
        self.attempt = None;
        self.queued = false;
        self.begin_run(here);
        true
    }

    pub(super) fn hear_taken(&mut self, from: Member, pass: u64) -> bool {
        let awaited = self.waits_for_taken(from, pass);
        if awaited && pass == 0 {
            // It knows of the guard that was brought.
            self.untold.retain(|it| *it != from);
        } else if awaited {
            self.went.iter_mut().for_each(|went| went.unanswered = None);
        }
        awaited
    }

    pub(super) fn waits_for_taken(&self, from: Member, pass: u64) -> bool {
        if pass == 0 {
            return self.untold.contains(&from);
        }
        pass == self.pass && self.went.as_ref().is_some_and(|went| went.to == from && went.unanswered.is_some())
    }

    // What comes from this node.

    /// A guard is given back; false if it is not the current one.
    pub(super) fn release(&mut self, fence: Fence, here: &Here) -> bool {
        let current = self.token.as_ref().is_some_and(|token| token.fence == fence);
        let released = self.hold == Hold::Held && (current || here.config.bugs.has(Bug::AnyGuardReleases));
        if released {
            self.hold = Hold::Free;
        }
        released
    }

    /// A guard is lost, and was not given back.
    pub(super) fn abandon(&mut self) {
        self.hold = Hold::Free;
        self.token.iter_mut().for_each(|token| token.died = true);
    }

    /// What became of a parked token; false if it was not asked for.
    pub(super) fn returned(&mut self, fence: Fence, held: bool, here: &Here) -> bool {
        let (Hold::Parked { recalled: true }, Some(token)) = (self.hold, &mut self.token) else { return false };
        if !here.config.bugs.has(Bug::FenceForgotten) {
            token.fence = fence.max(token.fence);
        }
        self.hold = if held { Hold::Held } else { Hold::Free };
        if self.brought == Brought::Parked {
            self.brought = if held { Brought::Guard } else { Brought::Nothing };
            self.untold = if held { self.keepers(here) } else { Vec::new() };
            if !held && !here.config.bugs.has(Bug::IdleTokenSurvives) {
                // It was idle, and so it ended with its view.
                self.token = None;
                self.making = Making::Unwanted;
            }
        }
        true
    }
}
