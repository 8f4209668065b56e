//! What explorers need: states that are alike if their futures are, and where tokens are.

use super::{
    Body, Machine, Message,
    one::{Again, Making, One},
};
use crate::{
    protocol::{bugs::Bug, service::Service, time::Time},
    wire::{id::Member, name::Name},
};

/// Where a token is, as far as one node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// How often it had been passed on.
    pub pass: u64,
    /// Who has it, or is about to.
    pub at: Member,
    /// It is here; else it was sent, and nobody has said that it came.
    pub here: bool,
}

impl Machine {
    /// Drops what makes no difference: the hour, and what is said anew with each step.
    pub fn reduce(&mut self, now: Time) {
        self.here.service = Service::default();
        let pause = self.here.config.repeat_min;
        let again = self.names.values_mut().filter_map(|one| one.again.as_mut());
        again.for_each(|again| *again = Again { at: now, pause });
        let waiting = self.names.values().filter(|one| one.again.is_some());
        self.timers = waiting.map(|one| (now, one.name.clone())).collect();
    }

    /// The token of a mutex, if this node has it, or has sent it.
    #[must_use]
    pub fn place(&self, name: &Name) -> Option<Place> {
        let one = self.names.get(name)?;
        if one.token.is_some() {
            return Some(Place { pass: one.pass, at: self.here.me, here: true });
        }
        let sent = one.went.as_ref().filter(|went| went.unanswered.is_some())?;
        Some(Place { pass: one.pass, at: sent.to, here: false })
    }

    /// Whether this message changes nothing here, now and later, and what it is answered with was said before.
    #[must_use]
    pub fn is_late(&self, from: Member, message: &Message) -> bool {
        let Message { at, name, body } = message;
        let has = |bug| self.here.config.bugs.has(bug);
        if *at != self.here.view.at {
            let taken = matches!(body, Body::Token { .. }) && has(Bug::OldTokenTaken);
            return at.is_before(self.here.view.at) && !taken;
        }
        let Some(seat) = self.here.seat_of(from) else { return true };
        let Some(one) = self.names.get(name) else { return matches!(body, Body::Taken { .. }) };
        match body {
            Body::Request { number } => one.requested[usize::from(seat)] >= *number,
            Body::Busy { number } => one.attempt != Some(*number) && !has(Bug::BusyUnnumbered),
            Body::Token { pass, .. } => *pass <= one.pass && !has(Bug::PassIgnored),
            Body::Taken { pass } => !one.waits_for_taken(from, *pass),
            Body::Report(report) => {
                let known = self.here.empty_handed.contains(&seat) || !report.nothing_else;
                known && one.is_made_or_told_by(seat)
            }
            Body::Try { .. } | Body::ReportWanted => false,
        }
    }

    /// Whether this node, as the home of a mutex, waits for what a member has to report.
    #[must_use]
    pub fn waits_for_report(&self, name: &Name, of: Member) -> bool {
        let (one, seat) = (self.names.get(name), self.here.seat_of(of));
        one.zip(seat).is_some_and(|(one, seat)| match &one.making {
            Making::Asking { missing, .. } => missing.contains(&seat),
            Making::Unwanted | Making::Done => false,
        })
    }
}

impl One {
    fn is_made_or_told_by(&self, seat: u16) -> bool {
        match &self.making {
            Making::Unwanted => false,
            Making::Asking { missing, .. } => !missing.contains(&seat),
            Making::Done => true,
        }
    }
}
