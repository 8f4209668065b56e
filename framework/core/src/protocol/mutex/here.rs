use alloc::collections::{BTreeMap, BTreeSet};

use super::{Body, Config, Message, machine::Outbox, past::Past};
use crate::{
    protocol::{service::Service, view::View},
    wire::{id::Member, name::Name},
};

/// What is the same for all mutexes of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Here {
    pub(super) me: Member,
    pub(super) config: Config,
    pub(super) view: View,
    /// The places of the members in the view.
    seats: BTreeMap<Member, u16>,
    pub(super) service: Service,
    /// The number of its last request, whatever it was for. It rises over all views.
    pub(super) number: u64,
    pub(super) past: Past,
    /// It has brought guards into this view, or tokens of which it is not known yet, or knows of deaths.
    pub(super) has_brought: bool,
    /// The members that have brought nothing of any mutex into this view.
    pub(super) empty_handed: BTreeSet<u16>,
}

impl Here {
    pub(super) fn new(me: Member, config: Config, view: View) -> Self {
        let mut here = Self {
            me,
            config,
            view,
            seats: BTreeMap::new(),
            service: Service::default(),
            number: 0,
            past: Past::default(),
            has_brought: false,
            empty_handed: BTreeSet::new(),
        };
        here.count_seats();
        here
    }

    /// Enters a view; gives the one before.
    pub(super) fn enter(&mut self, view: View) -> View {
        let before = core::mem::replace(&mut self.view, view);
        self.empty_handed.clear();
        self.count_seats();
        before
    }

    fn count_seats(&mut self) {
        self.seats = self.view.members().zip(0..).collect();
    }

    pub(super) fn seat_of(&self, member: Member) -> Option<u16> {
        self.seats.get(&member).copied()
    }

    /// Its own place; of a view without this node nothing is ever done.
    pub(super) fn seat(&self) -> u16 {
        self.seat_of(self.me).unwrap_or_default()
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.view.seats.len()).unwrap_or(u16::MAX)
    }

    /// The places of the others: first of those who come after this node, around and up to it.
    pub(super) fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let (count, mine) = (self.count(), self.seat());
        (1..count).map(move |step| ((u32::from(mine) + u32::from(step)) % u32::from(count)) as u16)
    }

    /// Those who were in an earlier view already, and may have brought something of it.
    pub(super) fn survivors(&self) -> impl Iterator<Item = u16> + '_ {
        let survives = |seat: &u16| self.view.seats[usize::from(*seat)].since < self.view.at.epoch;
        self.others().filter(survives)
    }

    pub(super) const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn send_to(&self, seat: u16, name: &Name, body: Body, out: &mut Outbox) {
        if let Some(seat) = self.view.seats.get(usize::from(seat)) {
            self.send(seat.member, name, body, out);
        }
    }

    pub(super) fn send(&self, to: Member, name: &Name, body: Body, out: &mut Outbox) {
        out.send(to, Message { at: self.view.at, name: name.clone(), body });
    }
}
