//! Birth and meeting: how lineages that see each other become one, and how a member leaves.

use core::{cmp::Reverse, time::Duration};

use super::{
    Event, Holdings, Ignored, Machine, Message, Out,
    machine::{Outbox, Peer},
};
use crate::{
    protocol::{
        bugs::Bug,
        time::Time,
        view::{At, Lineage, Rank},
    },
    wire::id::Member,
};

/// What a linked node has last said of its lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hello {
    rank: Rank,
    open: bool,
    /// It is too old to act on after that.
    pub(super) until: Time,
}

impl Hello {
    pub(super) fn is_of(&self, lineage: Lineage) -> bool {
        self.rank.lineage.0 == lineage
    }
}

/// The last member of a lineage is on its way into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Move {
    into: Lineage,
    pub(super) again_at: Time,
}

/// A member is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exit {
    /// It does so in order to join another lineage.
    pub(super) elsewhere: bool,
    /// It has nothing left that others need, and serves no more.
    pub(super) parted: bool,
    pub(super) again_at: Time,
}

/// A hello counts for so many of the pauses between two.
const HELLOS_MISSED_MAX: u32 = 3;

impl Machine {
    /// How this node's lineage ranks, as far as it knows.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            // Who is about to give up what it holds does not outrank anybody by that.
            holds: self.holdings.variables && !self.dissolving,
            // For a moment each change of views is without leases. A rank that followed that would send others away.
            quorum: !self.isolated,
            members: u32::try_from(self.view.seats.len()).unwrap_or(u32::MAX),
            epoch: self.view.at.epoch,
            lineage: Reverse(self.view.at.lineage),
        }
    }

    // Hello.

    pub(super) fn greet(&self, member: Member, out: &mut Outbox) {
        out.send(member, self.hello());
    }

    fn hello(&self) -> Message {
        Message::Hello { rank: self.rank(), open: self.course.is_none() && self.exit.is_none() }
    }

    /// Tells all who stand elsewhere how it ranks now.
    pub(super) fn announce(&mut self, now: Time, out: &mut Outbox) {
        self.hello_at = now + self.config.hello;
        let hello = self.hello();
        self.peers
            .iter()
            .filter(|(member, peer)| self.is_foreign(**member, peer))
            .for_each(|(member, _)| out.send(*member, hello.clone()));
    }

    /// Whether a linked node stands elsewhere, as far as it is known. Who is not polled has said nothing of late.
    fn is_foreign(&self, member: Member, peer: &Peer) -> bool {
        let elsewhere = peer.standing.is_none_or(|standing| standing.at.lineage != self.view.at.lineage);
        peer.linked && elsewhere && !self.spares(member)
    }

    pub(super) fn hear_hello(&mut self, now: Time, from: Member, rank: Rank, open: bool, out: &mut Outbox) {
        let until = now + self.config.hello * HELLOS_MISSED_MAX;
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| peer.linked) else {
            return out.emit(Event::Ignored { from, reason: Ignored::NotMember });
        };
        peer.hello = Some(Hello { rank, open, until });
    }

    /// The lineage of the highest rank among those that others have told, and its rank.
    fn best_in_sight(&self, now: Time) -> Option<Rank> {
        let hellos = self.peers.values().filter(|peer| peer.linked).filter_map(|peer| peer.hello);
        let fresh = hellos.filter(|hello| hello.until > now && hello.open);
        fresh.map(|hello| hello.rank).filter(|rank| rank.lineage.0 != self.view.at.lineage).max()
    }

    /// Whether another lineage of the cluster is in sight, of whatever rank.
    #[must_use]
    pub fn sees_another_lineage(&self, now: Time) -> bool {
        self.best_in_sight(now).is_some()
    }

    /// Whether a lineage ranks below another, and so gives way to it.
    fn gives_way(&self, mine: Rank, other: Rank) -> bool {
        if self.config.bugs.has(Bug::RankTiesGiveWay) && mine.members == other.members {
            return true;
        }
        mine < other
    }

    // Birth, and what follows from what is in sight.

    pub(super) fn look_around(&mut self, now: Time, out: &mut Outbox) {
        if self.window_until.is_some_and(|until| until <= now) {
            self.window_until = None;
            self.announce(now, out);
        }
        if self.hello_at <= now {
            self.announce(now, out);
        }
        if self.window_until.is_some() || self.exit.as_ref().is_some_and(|exit| !exit.elsewhere) {
            return;
        }
        let mine = self.rank();
        let Some(best) = self.best_in_sight(now).filter(|best| self.gives_way(mine, *best)) else {
            self.course = None;
            self.leave_at = None;
            self.rescuing = false;
            return;
        };
        let into = best.lineage.0;
        if self.holdings.variables && !self.dissolving {
            if best.holds && self.refused.replace(into) != Some(into) {
                out.reached("membership: two lineages that both hold variables");
                out.emit(Event::ForeignLineage(into));
            }
            self.course = None;
            self.leave_at = None;
        } else if self.is_alone() || self.config.bugs.has(Bug::JoinedWithoutLeaving) {
            self.join(now, best, into, out);
        } else if self.exit.is_none() {
            // Not all of a lineage at once: those who are later may stay, if it turns out to hold something.
            let most = u64::try_from(self.config.hello.as_nanos()).unwrap_or(u64::MAX);
            let chance = self.random.below(most + 1);
            let leave_at = *self.leave_at.get_or_insert_with(|| now + Duration::from_nanos(chance));
            if leave_at <= now && mine.quorum {
                self.leave(now, true, out);
            }
        }
    }

    pub(super) fn meeting_deadline(&self) -> Option<Time> {
        let foreign = self.peers.iter().any(|(member, peer)| self.is_foreign(*member, peer));
        let hello = foreign.then_some(self.hello_at);
        let join = self.course.map(|course| course.again_at);
        let exit = self.exit.map(|exit| exit.again_at);
        let leave = self.leave_at.filter(|_| !self.isolated && self.exit.is_none());
        [self.window_until, hello, join, exit, leave].into_iter().flatten().min()
    }

    // Joining.

    fn join(&mut self, now: Time, best: Rank, into: Lineage, out: &mut Outbox) {
        if self.holdings.variables {
            // It dissolves: whatever it holds is rescued first.
            if !core::mem::replace(&mut self.rescuing, true) {
                out.emit(Event::Rescue);
            }
            return;
        }
        if self.holdings.guards {
            self.course = None;
            return;
        }
        if self.left.contains(&into) {
            // There it may still be the member that it was, and would come back into a view that it has left.
            out.reached("membership: back to a lineage that it has left before");
            return self.end(Out::Moved, Event::Moved(self.view.at), out);
        }
        if self.course.is_some_and(|course| course.into == into && course.again_at > now) {
            return;
        }
        debug_assert!(best.lineage.0 == into, "a lineage is joined by its name");
        self.course = Some(Move { into, again_at: now + self.config.repeat });
        let rank = self.rank();
        let there = |peer: &Peer| peer.hello.is_some_and(|hello| hello.rank.lineage.0 == into);
        for (member, _) in self.peers.iter().filter(|(_, peer)| peer.linked && there(peer)) {
            out.send(*member, Message::Join { into, rank });
        }
    }

    /// Whether it has asked this lineage to take it in, and still may: nothing of its own would be lost.
    pub(super) fn is_moving_into(&self, lineage: Lineage) -> bool {
        let asked = self.course.is_some_and(|course| course.into == lineage);
        let free = self.is_alone() || self.config.bugs.has(Bug::JoinedWithoutLeaving);
        asked && free && !self.holdings.variables && !self.holdings.guards
    }

    pub(super) fn asked_to_admit(&mut self, now: Time, from: Member, into: Lineage, rank: Rank, out: &mut Outbox) {
        let mine = self.rank();
        let higher = mine > rank || self.config.bugs.has(Bug::RankTiesGiveWay);
        if into != self.view.at.lineage || !self.is_open() || !higher {
            return out.emit(Event::Ignored { from, reason: Ignored::Closed });
        }
        if self.view.outlived(from) {
            // It was taken in and cut before it heard of either. Only a later life of it can come in.
            return out.send(from, self.view_message(now));
        }
        let until = now + self.config.repeat * HELLOS_MISSED_MAX;
        if let Some(peer) = self.peers.get_mut(&from).filter(|peer| peer.linked)
            && !self.view.has(from)
        {
            peer.joining = Some((rank.epoch, until));
        }
    }

    // Leaving.

    pub(super) fn leave(&mut self, now: Time, elsewhere: bool, out: &mut Outbox) {
        let parted = self.exit.is_some_and(|exit| exit.parted);
        self.exit = Some(Exit { elsewhere, parted, again_at: now });
        self.part(now, out);
    }

    pub(super) fn hold(&mut self, now: Time, holdings: Holdings, out: &mut Outbox) {
        self.holdings = holdings;
        self.part(now, out);
    }

    /// Goes on with leaving: says so again, and serves no more once nobody needs it.
    pub(super) fn part(&mut self, now: Time, out: &mut Outbox) {
        let Some(exit) = self.exit.filter(|_| self.out.is_none()) else { return };
        if self.is_alone() {
            if !exit.elsewhere {
                self.end(Out::Left, Event::Left, out);
            } else {
                // The last one of a lineage goes as it is, if it still wants to.
                self.exit = None;
            }
            return;
        }
        let leaving = self.view.seat(self.me).is_some_and(|seat| seat.leaving);
        let free = leaving && !self.holdings.home && !self.holdings.guards;
        let parted = exit.parted || free;
        if parted && !exit.parted {
            self.exit = Some(Exit { parted, ..exit });
            out.emit(Event::Wedged(self.view.at));
            out.emit(Event::Stand(self.standing()));
        } else if exit.again_at > now {
            return;
        }
        self.exit = Some(Exit { parted, again_at: now + self.config.repeat, ..exit });
        self.tell(self.view.voters(), &Message::Leave { at: self.view.at, parted }, out);
    }

    pub(super) fn hear_leave(&mut self, from: Member, at: At, parted: bool, out: &mut Outbox) {
        if at.lineage != self.view.at.lineage || !self.view.has(from) {
            return out.emit(Event::Ignored { from, reason: Ignored::NotMember });
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.leaving = Some(parted || peer.leaving == Some(true));
        }
    }
}
