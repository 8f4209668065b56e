use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::mem;

use super::{
    Body, Command, Config, Event, Fence, Ignored, Message, Report, Ticket, Token,
    here::Here,
    one::{Brought, Hold, One},
    past::{Past, Seen},
};
use crate::{
    protocol::{
        bugs::Bug,
        contract::{self, Effect, Protocol, ViewChange},
        service::Service,
        time::Time,
        view::{At, View},
    },
    wire::{id::Member, limits::MUTEXES_MAX, name::Name},
};

pub(super) type Outbox = contract::Outbox<Effect<Machine>>;

/// One node's part in all mutexes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    pub(super) here: Here,
    /// Those of which this node has heard in this view, or for which tasks of it wait.
    pub(super) names: BTreeMap<Name, One>,
    /// When which of them says something again.
    pub(super) timers: BTreeSet<(Time, Name)>,
    /// Those that wait for the membership.
    blocked: BTreeSet<Name>,
    /// Messages of views that this node is not in, and may enter.
    early: BTreeMap<Member, Vec<Message>>,
}

/// So many messages of later views are kept for each member.
const EARLY_MAX: usize = 64;

/// What is known of a mutex here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The token is here, or was parked here.
    pub token: bool,
    /// A guard was granted here, as far as this machine knows: of a parked token it does not.
    pub held: bool,
    /// The token is parked.
    pub parked: bool,
    /// Of the last guard that this machine knows of, if the token is here.
    pub fence: Option<Fence>,
    /// How many tasks of this node wait.
    pub waiters: usize,
    /// How many other nodes wait, if the token is here.
    pub queue: usize,
}

impl Machine {
    /// The mutexes of a node that has just come to a view, and has brought nothing into it.
    #[must_use]
    pub fn new(me: Member, config: Config, view: View) -> Self {
        Self {
            here: Here::new(me, config, view),
            names: BTreeMap::new(),
            timers: BTreeSet::new(),
            blocked: BTreeSet::new(),
            early: BTreeMap::new(),
        }
    }

    /// What the membership allows in the steps to come, until this is said again.
    pub const fn attend(&mut self, service: Service) {
        self.here.service = service;
    }

    /// Whether something waits for the membership: then [`Command::Proceed`] may help.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// In which view it is.
    #[must_use]
    pub const fn at(&self) -> At {
        self.here.view.at
    }

    /// The mutexes of which something is known here, by name.
    pub fn known(&self) -> impl Iterator<Item = (&Name, Known)> {
        self.names.iter().map(|(name, one)| {
            let known = Known {
                token: one.token.is_some(),
                held: one.hold == Hold::Held,
                parked: matches!(one.hold, Hold::Parked { .. }),
                fence: one.token.as_ref().map(|token| token.fence),
                waiters: one.waiters.len(),
                queue: one.token.as_ref().map_or(0, |token| token.queue.len()),
            };
            (name, known)
        })
    }

    /// The tokens that are here or on their way from here, with how often they were passed on; for whoever counts them.
    pub fn tokens(&self) -> impl Iterator<Item = (&Name, u64, &Token)> {
        self.names.values().filter_map(|one| {
            let sent = one.went.as_ref().and_then(|went| went.unanswered.as_ref());
            Some((&one.name, one.pass, one.token.as_ref().or(sent)?))
        })
    }

    /// The tasks that wait for a mutex, the first to come first.
    pub fn waiters(&self, name: &Name) -> impl Iterator<Item = Ticket> + '_ {
        self.names.get(name).into_iter().flat_map(|one| one.waiters.iter().copied())
    }
}

impl Protocol for Machine {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox) {
        let Message { at, name, body } = message;
        let stale = at.is_before(self.here.view.at) && self.here.config.bugs.has(Bug::OldTokenTaken);
        if at != self.here.view.at && !(stale && matches!(body, Body::Token { .. })) {
            return self.elsewhere(from, Message { at, name, body }, out);
        }
        let ignore = |reason, out: &mut Outbox| out.emit(Event::Ignored { from, reason });
        let Some(seat) = self.here.seat_of(from) else { return ignore(Ignored::NotMember, out) };
        if !self.here.service.open {
            return ignore(Ignored::Wedged, out);
        }
        if self.names.len() >= MUTEXES_MAX && !self.names.contains_key(&name) {
            return ignore(Ignored::TooMany, out);
        }
        match body {
            Body::Request { number } => self.with(now, name, out, |one, _, _| one.hear_request(seat, number)),
            Body::Try { number } => self.with(now, name, out, |one, here, out| one.hear_try(seat, number, here, out)),
            Body::Token { pass, token } => {
                if !is_sound(&token, self.here.count()) {
                    return ignore(Ignored::Unsound, out);
                }
                let mut taken = true;
                self.with(now, name, out, |one, here, out| taken = one.take(from, pass, token, here, out));
                if !taken {
                    ignore(Ignored::Duplicate, out);
                }
            }
            Body::Busy { number } => self.with_known(now, &name, from, Ignored::NotAsked, out, |one, here, out| {
                one.hear_busy(number, here, out)
            }),
            Body::Taken { pass } => {
                self.with_known(now, &name, from, Ignored::NotAsked, out, |one, _, _| one.hear_taken(from, pass));
            }
            Body::ReportWanted => {
                self.report(&name, from, out);
                self.with(now, name, out, |one, _, _| one.wanted_by(from));
            }
            Body::Report(report) => {
                if report.nothing_else {
                    self.here.empty_handed.insert(seat);
                }
                if let Some(sighting) = report.sighting.filter(|sighting| sighting.died) {
                    self.here.past.see(&name, Seen { sighting, to: None });
                }
                let mut news = false;
                if report.held || self.names.contains_key(&name) {
                    self.with(now, name, out, |one, here, out| news = one.hear_report(seat, report, here, out));
                }
                if !news {
                    ignore(Ignored::NotAsked, out);
                }
            }
        }
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox) {
        let me = self.here.me;
        match command {
            Command::Acquire { name, ticket } => self.with(now, name, out, |one, _, _| one.acquire(ticket)),
            Command::Try { name, ticket } => self.with(now, name, out, |one, _, _| one.attempt(ticket)),
            Command::Cancel { name, ticket } => {
                self.with_known(now, &name, me, Ignored::NotAsked, out, |one, _, _| {
                    one.cancel(ticket);
                    true
                });
            }
            Command::Release { name, fence } => {
                self.with_known(now, &name, me, Ignored::NotHeld, out, |one, here, _| one.release(fence, here));
            }
            Command::Returned { name, fence, held } => {
                self.with_known(now, &name, me, Ignored::NotAsked, out, |one, here, _| one.returned(fence, held, here));
            }
            Command::Install { view, cut } => self.install(now, view, cut, out),
            Command::Abandon => {
                let held = self.names.values().filter(|one| one.hold == Hold::Held).map(|one| one.name.clone());
                for name in held.collect::<Vec<_>>() {
                    self.with(now, name, out, |one, _, _| one.abandon());
                }
            }
            Command::Proceed => {
                for name in mem::take(&mut self.blocked) {
                    self.with(now, name, out, |_, _, _| {});
                }
            }
        }
    }

    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox) {
        let ViewChange::Linked(member) = change else { return };
        // What was said over an earlier link may be lost.
        let Some(seat) = self.here.seat_of(member) else { return };
        for (_, name) in self.timers.clone() {
            self.with(now, name, out, |one, here, out| one.say_again(Some(seat), here, out));
        }
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        while let Some((_, name)) = self.timers.first().filter(|(at, _)| *at <= now).cloned() {
            self.with(now, name, out, |one, here, out| {
                one.say_again(None, here, out);
                // After a pause somebody else is perhaps granted what is not granted here.
                one.in_vain = None;
                let max = here.config.repeat_max;
                if let Some(again) = &mut one.again {
                    again.pause = (again.pause * 2).min(max);
                    again.at = now + again.pause;
                }
            });
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}

impl Machine {
    /// One step of one mutex, and what follows from it.
    fn with(&mut self, now: Time, name: Name, out: &mut Outbox, step: impl FnOnce(&mut One, &mut Here, &mut Outbox)) {
        let here = &mut self.here;
        let one = self.names.entry(name).or_insert_with_key(|name| One::new(name.clone(), here));
        let before = one.again.map(|again| again.at);
        step(one, here, out);
        one.pursue(now, here, out);
        debug_assert_eq!(super::invariant::check(one, here), Ok(()), "{:?}", one.name);
        let after = one.again.map(|again| again.at);
        if before != after {
            before.map(|at| self.timers.remove(&(at, one.name.clone())));
            after.map(|at| self.timers.insert((at, one.name.clone())));
        }
        if one.is_blocked() {
            self.blocked.insert(one.name.clone());
        } else if !self.blocked.is_empty() {
            self.blocked.remove(&one.name);
        }
    }

    /// The same for a mutex that something is known of, if the step finds that it is meant.
    fn with_known(
        &mut self,
        now: Time,
        name: &Name,
        from: Member,
        reason: Ignored,
        out: &mut Outbox,
        step: impl FnOnce(&mut One, &mut Here, &mut Outbox) -> bool,
    ) {
        let mut meant = false;
        if self.names.contains_key(name) {
            self.with(now, name.clone(), out, |one, here, out| meant = step(one, here, out));
        }
        if !meant {
            out.emit(Event::Ignored { from, reason });
        }
    }

    fn report(&self, name: &Name, to: Member, out: &mut Outbox) {
        let report = match self.names.get(name) {
            Some(one) => one.report(&self.here),
            None => One::new(name.clone(), &self.here).report(&self.here),
        };
        match report {
            Some(report) => self.here.send(to, name, Body::Report(report), out),
            None => out.emit(Event::Ignored { from: to, reason: Ignored::NotAsked }),
        }
    }

    /// Whoever is on its way out tells what it knows of the dead, since it will not be there to be asked.
    fn hand_over(&self, out: &mut Outbox) {
        let here = &self.here;
        if !here.view.seat(here.me).is_some_and(|seat| seat.leaving) {
            return;
        }
        for (name, sighting) in here.past.deaths() {
            let report = Report { held: false, sighting: Some(sighting), nothing_else: false };
            for keeper in One::new(name.clone(), here).keepers(here) {
                here.send(keeper, name, Body::Report(report), out);
            }
        }
    }

    /// A message of another view: of an earlier one its sender says it again; any other is kept, since this node perhaps enters
    /// that view.
    fn elsewhere(&mut self, from: Member, message: Message, out: &mut Outbox) {
        let mut reason = Ignored::Old;
        if !message.at.is_before(self.here.view.at) {
            let early = self.early.entry(from).or_default();
            if early.len() < EARLY_MAX {
                out.reached("mutex: a message of a later view");
                return early.push(message);
            }
            reason = Ignored::TooMany;
        }
        out.emit(Event::Ignored { from, reason });
    }

    fn install(&mut self, now: Time, view: View, cut: Vec<Member>, out: &mut Outbox) {
        if view.at == self.here.view.at {
            return;
        }
        // Who comes from elsewhere brings nothing, even if it was taken in some views ago and learns that only now.
        let since = |view: &View| view.seat(self.here.me).map(|seat| seat.since);
        let survives = since(&view) == since(&self.here.view);
        let before = self.here.enter(view);
        let names = mem::take(&mut self.names);
        self.timers.clear();
        self.blocked.clear();
        if survives {
            for one in names.values() {
                if let Some(seen) = one.supposed(before.at.epoch) {
                    self.here.past.suppose(&one.name, seen);
                }
                if let Some(seen) = one.seen(before.at.epoch) {
                    self.here.past.see(&one.name, seen);
                }
            }
            let view = &self.here.view;
            self.here.past.turn(|member| view.has(member), !cut.is_empty());
        } else {
            self.here.past = Past::default();
        }
        for (name, one) in names {
            let one = one.carried_over(survives, &self.here, out);
            if one.brought != Brought::Nothing || !one.waiters.is_empty() || !one.tried.is_empty() {
                self.names.insert(name, one);
            }
        }
        self.hand_over(out);
        let brought = self.names.values().any(|one| one.brought != Brought::Nothing);
        self.here.has_brought = brought || !self.here.past.is_blank();
        for name in self.names.keys().cloned().collect::<Vec<_>>() {
            self.with(now, name, out, |_, _, _| {});
        }
        for (from, messages) in mem::take(&mut self.early) {
            for message in messages {
                let later = self.here.view.at.is_before(message.at);
                if later || message.at == self.here.view.at {
                    self.receive(now, from, message, out);
                }
            }
        }
    }
}

/// Whether a token could be one of a view of so many members.
fn is_sound(token: &Token, members: u16) -> bool {
    let places: BTreeSet<_> = token.queue.iter().filter(|seat| **seat < members).collect();
    token.served.len() == usize::from(members) && places.len() == token.queue.len()
}
