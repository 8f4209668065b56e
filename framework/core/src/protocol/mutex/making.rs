//! The home of a mutex makes the token of a view, when somebody wants it for the first time: on a closed set of reports, and
//! not before the view is active.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use super::{
    Body, Event, Fence, Report, Token,
    here::Here,
    machine::Outbox,
    one::{Brought, Making, One},
};
use crate::protocol::{bugs::Bug, time::Time};

impl One {
    /// Asks, or makes the token once all have answered.
    pub(super) fn make(&mut self, now: Time, here: &Here, out: &mut Outbox) {
        if !self.is_home || self.making == Making::Done || !self.is_wanted() {
            return;
        }
        if self.making == Making::Unwanted {
            let missing: BTreeSet<_> = here
                .survivors()
                .filter(|seat| !here.empty_handed.contains(seat) && !here.config.bugs.has(Bug::ReportsUnwanted))
                .collect();
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

    fn is_wanted(&self) -> bool {
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

    /// Somebody has told the home what it has brought; false if it was not asked.
    pub(super) fn hear_report(&mut self, seat: u16, report: Report, out: &mut Outbox) -> bool {
        let Making::Asking { missing, sighting } = &mut self.making else { return false };
        if !missing.remove(&seat) {
            return false;
        }
        *sighting = report.sighting.max(*sighting);
        if report.held {
            out.reached("mutex: a guard that came into the next view");
            self.making = Making::Done;
            // Who has the token will hear them too, when they are repeated.
            self.tries.clear();
        }
        true
    }
}

fn empty_report(one: &One, here: &Here) -> Report {
    Report { held: false, sighting: here.past.sighting(&one.name), nothing_else: !here.has_brought }
}
