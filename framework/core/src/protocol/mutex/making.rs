//! The home of a mutex makes the token of a view, when somebody wants it for the first time: on a closed set of reports, and
//! not before the view is active.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use super::{
    Body, Event, Fence, Report, Token,
    here::Here,
    machine::Outbox,
    one::{Brought, Making, One, Went},
};
use crate::{
    protocol::{bugs::Bug, time::Time},
    wire::id::Member,
};

impl One {
    /// Asks, or makes the token once all have answered.
    pub(super) fn make(&mut self, now: Time, here: &Here, out: &mut Outbox) {
        if !self.is_home(here) || self.making == Making::Done || !self.is_wanted() {
            return;
        }
        if self.making == Making::Unwanted {
            // The deputy learns from the question that there is a token, whatever it has brought.
            let deputy = self.deputy.filter(|it| *it != here.me).and_then(|it| here.seat_of(it));
            let unknown = here.survivors().filter(|seat| !here.empty_handed.contains(seat));
            let missing: BTreeSet<_> = unknown.chain(deputy).collect();
            let missing = if here.config.bugs.has(Bug::ReportsUnwanted) { BTreeSet::new() } else { missing };
            missing.iter().for_each(|seat| here.send_to(*seat, &self.name, Body::ReportWanted, out));
            self.making = Making::Asking { missing, sighting: here.past.sighting(&self.name) };
            self.repeat_soon(now, here);
        }
        let Making::Asking { missing, sighting } = &self.making else { return };
        let ready = missing.is_empty() && (here.service.active || here.config.bugs.has(Bug::MadeTooEarly));
        if !ready {
            if missing.is_empty() {
                out.reached("mutex: all reports are there before the view is active");
            }
            return;
        }
        let died = sighting.is_some_and(|sighting| sighting.died);
        if died {
            out.reached("mutex: made anew after its holder died");
        }
        let fence = Fence { epoch: here.view.at.epoch, grant: 0 };
        let served = vec![0; here.view.seats.len()];
        self.token = Some(Token { fence, served, queue: Vec::new(), died });
        self.making = Making::Done;
        out.emit(Event::Made { name: self.name.clone(), died });
    }

    /// Whether anybody is known who wants the token.
    pub(super) fn is_wanted(&self) -> bool {
        let here = !self.waiters.is_empty() || !self.tried.is_empty();
        here || !self.tries.is_empty() || self.requested.iter().any(|number| *number > 0)
    }

    /// What this node has brought, for the home; nothing while that is not known.
    pub(super) fn report(&self, here: &Here) -> Option<Report> {
        let held = match self.brought {
            Brought::Nothing => false,
            Brought::Parked => return None,
            Brought::Guard => !here.config.bugs.has(Bug::GuardUnreported),
        };
        Some(Report { held, ..empty_report(self, here) })
    }

    /// Tells the home, and its deputy, of the guard that this node has brought, whether they ask or not: should this node die,
    /// somebody must know that it had one.
    pub(super) fn tell_keepers(&self, only: Option<u16>, here: &Here, out: &mut Outbox) {
        let Some(report) = self.report(here).filter(|_| !self.untold.is_empty()) else { return };
        for seat in self.untold.iter().filter_map(|it| here.seat_of(*it)) {
            if only.is_none_or(|only| only == seat) {
                here.send_to(seat, &self.name, Body::Report(report), out);
            }
        }
    }

    /// The home asks what this node has brought, so it has perhaps made a token by the time that it dies.
    pub(super) fn wanted_by(&mut self, home: Member) {
        self.perhaps_made |= home == self.home;
    }

    /// Somebody tells what it has brought; false if that was known.
    pub(super) fn hear_report(&mut self, seat: u16, report: Report, here: &Here, out: &mut Outbox) -> bool {
        if report.held {
            here.send_to(seat, &self.name, Body::Taken { pass: 0 }, out);
            let news = self.token.is_none() && self.pass == 0;
            if news {
                out.reached("mutex: a guard that came into the next view");
                self.making = Making::Done;
                let to = here.view.seats[usize::from(seat)].member;
                self.went = Some(Went { to, died: false, unanswered: None });
                // Who has the token will hear them too, when they are repeated.
                self.tries.clear();
            }
            return news;
        }
        let Making::Asking { missing, sighting } = &mut self.making else { return false };
        *sighting = report.sighting.max(*sighting);
        let news = missing.remove(&seat);
        if news && missing.is_empty() && !here.service.active {
            out.reached("mutex: all reports are there before the view is active");
        }
        news
    }
}

fn empty_report(one: &One, here: &Here) -> Report {
    Report { held: false, sighting: here.past.sighting(&one.name), nothing_else: !here.has_brought }
}
