use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec,
    vec::Vec,
};
use core::time::Duration;

use super::{Body, Event, Fence, Sighting, Ticket, Token, here::Here, machine::Outbox, past::Seen};
use crate::{
    protocol::{bugs::Bug, home::Shard, time::Time, view::Epoch},
    wire::{id::Member, name::Name},
};

/// One mutex as this node sees it within one view. Members are named by their places in the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct One {
    pub(super) name: Name,
    /// Who makes the token, if nobody has brought it into this view.
    pub(super) home: Member,
    /// Who knows what the home knows of where the token is, should that die.
    pub(super) deputy: Option<Member>,
    pub(super) making: Making,
    /// RN: of each member, the last request that is known.
    pub(super) requested: Vec<u64>,
    /// Tries of others that wait for what this node is about to learn.
    pub(super) tries: BTreeMap<u16, u64>,
    /// It is here.
    pub(super) token: Option<Token>,
    pub(super) hold: Hold,
    /// The guard that came with this node into the view; or the parked token, until it is known whether there is a guard of it.
    pub(super) brought: Brought,
    /// It has brought a guard, and these two, or one of them, do not know that yet: the home and its deputy.
    pub(super) untold: Vec<Member>,
    /// How often the token had been passed on when it was here, or left, last.
    pub(super) pass: u64,
    /// The home has asked this node, so there is perhaps a token that this node has not seen.
    pub(super) perhaps_made: bool,
    /// It was here, and left.
    pub(super) went: Option<Went>,
    /// Local tasks that wait, the first to come first.
    pub(super) waiters: VecDeque<Ticket>,
    /// Local tasks that have tried, and have no answer yet.
    pub(super) tried: Vec<Ticket>,
    /// The request that is repeated on account of the waiters.
    pub(super) request: Option<u64>,
    /// The try that is repeated.
    pub(super) attempt: Option<u64>,
    /// This node stands in the queue of the token.
    pub(super) queued: bool,
    /// So many more guards are granted here before those in the queue get the token.
    pub(super) left: u32,
    /// The last guard of the token when it was passed on since none is granted here, although tasks wait.
    pub(super) in_vain: Option<Fence>,
    /// When what was not answered is said again.
    pub(super) again: Option<Again>,
}

/// What becomes of a token that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hold {
    /// Nothing yet.
    Free,
    /// The node may grant guards of it by itself.
    Parked {
        /// It may not any more, and is about to say what has become of it.
        recalled: bool,
    },
    /// There is a guard.
    Held,
}

/// What this node has brought of a mutex into the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Brought {
    /// Nothing.
    Nothing,
    /// A parked token. If there is no guard of it, it ends.
    Parked,
    /// A guard, and with it the token.
    Guard,
}

/// How far the home of a mutex is with making its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Making {
    /// Nobody has wanted it.
    Unwanted,
    /// It asks the survivors.
    Asking {
        /// Who has not answered.
        missing: BTreeSet<u16>,
        /// Where the token was last.
        sighting: Option<Sighting>,
    },
    /// It is made, or somebody has brought it.
    Done,
}

/// Where the token went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Went {
    pub(super) to: Member,
    pub(super) died: bool,
    /// It is sent again until its receiver says that it has it.
    pub(super) unanswered: Option<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Again {
    pub(super) at: Time,
    pub(super) pause: Duration,
}

impl One {
    /// A mutex of which nothing has been heard in this view.
    pub(super) fn new(name: Name, here: &Here) -> Self {
        let (home, deputy) = Shard::of(&name).homes(&here.view);
        Self {
            name,
            home,
            deputy,
            making: Making::Unwanted,
            requested: vec![0; here.view.seats.len()],
            tries: BTreeMap::new(),
            token: None,
            hold: Hold::Free,
            brought: Brought::Nothing,
            untold: Vec::new(),
            pass: 0,
            perhaps_made: false,
            went: None,
            waiters: VecDeque::new(),
            tried: Vec::new(),
            request: None,
            attempt: None,
            queued: false,
            left: 0,
            in_vain: None,
            again: None,
        }
    }

    /// The same mutex in the view that has just been installed. Whoever waits goes on waiting, and a guard keeps its token; all
    /// else ends with its view.
    pub(super) fn carried_over(self, survives: bool, here: &Here, out: &mut Outbox) -> Self {
        let mut next = Self::new(self.name, here);
        next.waiters = self.waiters;
        next.tried = self.tried;
        let Some(token) = self.token.filter(|_| survives) else { return next };
        next.brought = match self.hold {
            Hold::Held => Brought::Guard,
            Hold::Parked { .. } => Brought::Parked,
            Hold::Free => return next,
        };
        if let Hold::Parked { recalled: false } = self.hold {
            out.emit(Event::Recalled { name: next.name.clone() });
        }
        next.hold = if next.brought == Brought::Parked { Hold::Parked { recalled: true } } else { self.hold };
        next.token = Some(Token { served: vec![0; here.view.seats.len()], queue: Vec::new(), ..token });
        next.making = Making::Done;
        if next.brought == Brought::Guard {
            next.untold = next.keepers(here);
        }
        next
    }

    pub(super) fn is_home(&self, here: &Here) -> bool {
        self.home == here.me
    }

    /// The home and its deputy, as far as they are others.
    pub(super) fn keepers(&self, here: &Here) -> Vec<Member> {
        let told = |it: &Member| *it != here.me && !here.config.bugs.has(Bug::GuardUnreported);
        [Some(self.home), self.deputy].into_iter().flatten().filter(told).collect()
    }

    /// Where the token was last, and where it went then, to be told in later views.
    pub(super) fn seen(&self, epoch: Epoch) -> Option<Seen> {
        let sighting = |first_hand, died| Sighting { epoch, pass: self.pass, first_hand, died };
        match (&self.token, &self.went) {
            (Some(token), _) => Some(Seen { sighting: sighting(true, token.died), to: None }),
            (None, Some(went)) => Some(Seen { sighting: sighting(false, went.died), to: Some(went.to) }),
            // Deaths that others have told of are remembered already. All else they tell again: this node could not say where
            // the token went then.
            (None, None) => None,
        }
    }

    /// What the home may have made of it, unseen by this node.
    pub(super) fn supposed(&self, epoch: Epoch) -> Option<Seen> {
        let sighting = Sighting { epoch, pass: 0, first_hand: false, died: false };
        self.perhaps_made.then_some(Seen { sighting, to: Some(self.home) })
    }

    /// Does what can be done now.
    pub(super) fn pursue(&mut self, now: Time, here: &mut Here, out: &mut Outbox) {
        if here.service.open {
            if self.again.is_none() {
                self.tell_keepers(None, here, out);
            }
            self.make(now, here, out);
            if self.token.is_some() {
                self.next(now, here, out);
            } else if !self.is_home(here) || self.making == Making::Done {
                self.ask_for_it(now, here, out);
            }
        }
        if !self.is_waiting() {
            self.again = None;
        } else if self.again.is_none() {
            self.repeat_soon(now, here);
        }
    }

    /// Those tasks that wait by now have their turn before others do; but not too many of them.
    pub(super) fn begin_run(&mut self, here: &Here) {
        let waiting = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
        self.left = waiting.min(here.config.run_max);
    }

    /// Whether something is said again and again, or done as soon as it can be.
    fn is_waiting(&self) -> bool {
        let sent = self.went.as_ref().is_some_and(|went| went.unanswered.is_some());
        let asking = matches!(self.making, Making::Asking { .. }) && self.is_wanted();
        sent || asking
            || !self.untold.is_empty()
            || self.request.is_some()
            || self.attempt.is_some()
            || self.is_blocked()
    }

    /// Whether it waits for the membership.
    pub(super) fn is_blocked(&self) -> bool {
        let wanted_here = !self.waiters.is_empty() || !self.tried.is_empty();
        let cannot_grant = self.token.is_some() && self.hold == Hold::Free && wanted_here;
        let told = matches!(&self.making, Making::Asking { missing, .. } if missing.is_empty());
        let cannot_make = told && self.is_wanted();
        cannot_grant || cannot_make
    }

    pub(super) fn repeat_soon(&mut self, now: Time, here: &Here) {
        let pause = here.config.repeat_min;
        self.again = Some(Again { at: now + pause, pause });
    }

    /// Says again what was not answered: to all, or to one who has just been linked.
    pub(super) fn say_again(&self, to: Option<u16>, here: &Here, out: &mut Outbox) {
        if !here.service.open {
            return;
        }
        let is_meant = |seat: &u16| to.is_none_or(|to| to == *seat);
        if let Some(Went { to, unanswered: Some(token), .. }) = &self.went
            && here.seat_of(*to).is_some_and(|seat| is_meant(&seat))
        {
            let body = Body::Token { pass: self.pass, token: token.clone() };
            here.send(*to, &self.name, body, out);
        }
        self.tell_keepers(to, here, out);
        if let Making::Asking { missing, .. } = &self.making {
            missing.iter().filter(|seat| is_meant(seat)).for_each(|seat| {
                here.send_to(*seat, &self.name, Body::ReportWanted, out);
            });
        }
        for seat in here.others().filter(is_meant) {
            if let Some(number) = self.request {
                here.send_to(seat, &self.name, Body::Request { number }, out);
            }
            if let Some(number) = self.attempt {
                here.send_to(seat, &self.name, Body::Try { number }, out);
            }
        }
    }
}
