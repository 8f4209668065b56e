use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use super::{Config, Message, Part, machine::Outbox};
use crate::{
    protocol::{
        home::{Shard, all_homes},
        service::Service,
        time::Time,
        view::View,
    },
    wire::{id::Member, name::Name},
};

/// Where this node is, and what it counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Here {
    pub(super) me: Member,
    pub(super) config: Config,
    pub(super) view: View,
    pub(super) service: Service,
    pub(super) now: Time,
    /// The places of the members in the view.
    seats: BTreeMap<Member, u16>,
    /// The places of the homes of each shard, the first home first.
    homes: BTreeMap<Shard, Vec<u16>>,
    /// Of its last question for a copy. It rises over all views.
    nonce: u64,
    /// Of its last batch. It rises over all views.
    number: u64,
    /// Of those of its batches that are not answered.
    pub(super) unanswered: BTreeSet<u64>,
    /// What is said in this step.
    mail: BTreeMap<u16, Vec<Part>>,
    /// What this node says to itself.
    own: VecDeque<Part>,
}

impl Here {
    pub(super) fn new(me: Member, config: Config, view: View) -> Self {
        let mut here = Self {
            me,
            config,
            view,
            service: Service::default(),
            now: Time::default(),
            seats: BTreeMap::new(),
            homes: BTreeMap::new(),
            nonce: 0,
            number: 0,
            unanswered: BTreeSet::new(),
            mail: BTreeMap::new(),
            own: VecDeque::new(),
        };
        here.count();
        here
    }

    /// Enters a view; gives the one before.
    pub(super) fn enter(&mut self, view: View) -> View {
        let before = core::mem::replace(&mut self.view, view);
        self.mail.clear();
        self.own.clear();
        self.count();
        before
    }

    fn count(&mut self) {
        self.seats = self.view.members().zip(0..).collect();
        let places = |members: Vec<Member>| members.iter().filter_map(|it| self.seats.get(it).copied()).collect();
        self.homes = match self.config.only {
            Some(shard) => [(shard, places(shard.homes_in(&self.view)))].into(),
            None => (0..).map(Shard).zip(all_homes(&self.view).into_iter().map(places)).collect(),
        };
    }

    pub(super) fn shard(&self, name: &Name) -> Shard {
        self.config.only.unwrap_or_else(|| Shard::of(name))
    }

    pub(super) fn seat_of(&self, member: Member) -> Option<u16> {
        self.seats.get(&member).copied()
    }

    pub(super) fn member(&self, seat: u16) -> Option<Member> {
        self.view.seats.get(usize::from(seat)).map(|seat| seat.member)
    }

    /// Its own place; of a view without this node nothing is ever done.
    pub(super) fn seat(&self) -> u16 {
        self.seat_of(self.me).unwrap_or_default()
    }

    pub(super) fn homes(&self, shard: Shard) -> &[u16] {
        self.homes.get(&shard).map_or(&[], Vec::as_slice)
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.homes.len()
    }

    /// The first home of a shard.
    pub(super) fn home(&self, shard: Shard) -> u16 {
        self.homes(shard).first().copied().unwrap_or_default()
    }

    /// The first homes of all shards.
    pub(super) fn first_homes(&self) -> BTreeMap<Shard, Member> {
        self.homes.keys().filter_map(|shard| Some((*shard, self.member(self.home(*shard))?))).collect()
    }

    pub(super) fn is_home(&self, shard: Shard) -> bool {
        self.home(shard) == self.seat()
    }

    /// Whether this node is a home of a shard whose first home has that place.
    pub(super) fn is_other_home(&self, shard: Shard, first: u16) -> bool {
        self.home(shard) == first && self.homes(shard).contains(&self.seat())
    }

    /// The homes of a shard, beside this node.
    pub(super) fn other_homes(&self, shard: Shard) -> impl Iterator<Item = u16> + '_ {
        let me = self.seat();
        self.homes(shard).iter().copied().filter(move |seat| *seat != me)
    }

    /// The shards that are at home here in some way, and whether this node is the first home.
    pub(super) fn own_shards(&self) -> impl Iterator<Item = (Shard, bool)> + '_ {
        let me = self.seat();
        let mine = self.homes.iter().filter(move |(_, homes)| homes.contains(&me));
        mine.map(move |(shard, homes)| (*shard, homes.first() == Some(&me)))
    }

    /// The places of all others.
    pub(super) fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let (me, count) = (self.seat(), u16::try_from(self.view.seats.len()).unwrap_or(u16::MAX));
        (0..count).filter(move |seat| *seat != me)
    }

    /// Whether it was in an earlier view already.
    pub(super) fn survives(&self, seat: u16) -> bool {
        self.view.seats.get(usize::from(seat)).is_some_and(|seat| seat.since < self.view.at.epoch)
    }

    /// Whether it is another member, and on its way out.
    pub(super) fn is_leaving(&self, seat: u16) -> bool {
        seat != self.seat() && self.view.seats.get(usize::from(seat)).is_some_and(|seat| seat.leaving)
    }

    pub(super) const fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.unanswered.insert(self.number);
        self.number
    }

    /// All its batches before this one are answered.
    pub(super) fn settled(&self) -> u64 {
        self.unanswered.first().copied().unwrap_or(self.number + 1)
    }

    /// Whether what was done may be told, and what was read.
    pub(super) fn answers(&self) -> bool {
        self.service.answers(self.now)
    }

    /// Says something at the end of this step, unless this node is wedged: then it says it again in the next view.
    pub(super) fn post(&mut self, to: u16, part: Part) {
        if !self.service.open {
            return;
        }
        if to == self.seat() {
            self.own.push_back(part);
        } else {
            self.mail.entry(to).or_default().push(part);
        }
    }

    pub(super) fn next_own(&mut self) -> Option<Part> {
        self.own.pop_front()
    }

    /// What was said in this step goes out, in as few messages as are not too large.
    pub(super) fn flush(&mut self, out: &mut Outbox) {
        for (seat, parts) in core::mem::take(&mut self.mail) {
            let Some(to) = self.member(seat) else { continue };
            let (mut message, mut weight) = (Vec::new(), 0);
            for part in parts {
                let more = part.weight();
                if weight + more > MESSAGE_BYTES_MAX && !message.is_empty() {
                    out.send(to, Message { at: self.view.at, parts: core::mem::take(&mut message) });
                    weight = 0;
                }
                weight += more;
                message.push(part);
            }
            out.send(to, Message { at: self.view.at, parts: message });
        }
    }
}

/// Beyond this a message takes no more parts.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
