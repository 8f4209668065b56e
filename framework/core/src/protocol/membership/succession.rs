//! What comes after this view: reasons, the question before the attempt, and the attempt.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use super::{Ballot, Event, Ignored, Machine, Message, instance::Proposal, machine::Outbox};
use crate::{
    protocol::{
        bugs::Bug,
        time::Time,
        view::{Change, Seat, VOTERS_MAX, View},
    },
    wire::id::Member,
};

/// What a voter does about the next view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Attempt {
    /// There is a reason; more may come, and older voters may be faster.
    Settling { ask_at: Time },
    /// Nobody is wedged by a question, so a flaky voter stops nobody.
    Asking { query: u64, changes: Vec<Change>, yes: BTreeMap<Member, Vec<Change>>, again_at: Time },
    /// The instance has begun.
    Proposing { proposal: Proposal, again_at: Time, tries: u32 },
    /// Somebody else's ballot is higher: it may be chosen meanwhile.
    Yielding { until: Time, changes: Vec<Change>, tries: u32 },
}

/// So many changes become one view.
pub(super) const CHANGES_MAX: usize = 64;
/// Pauses after a refusal grow with each, so many times.
const TRIES_MAX: u32 = 6;

impl Machine {
    // Reasons.

    /// The changes for which this node has a reason of its own.
    fn reasons(&self, now: Time) -> Vec<Change> {
        let mut reasons = Vec::new();
        for seat in &self.view.seats {
            let member = seat.member;
            let parted = if member == self.me {
                self.exit.as_ref().map(|exit| exit.parted)
            } else {
                self.peers.get(&member).and_then(|peer| peer.leaving)
            };
            match parted {
                Some(true) if seat.leaving => reasons.push(Change::Part(member)),
                _ if self.is_silent(now, member) => reasons.push(Change::Cut(member)),
                Some(_) if !seat.leaving => reasons.push(Change::Retire(member)),
                _ => {}
            }
        }
        if self.is_open() {
            let joiners = self.peers.iter().filter(|(_, peer)| peer.linked);
            let joiners = joiners.filter_map(|(member, peer)| Some((*member, peer.joining?)));
            let joiners = joiners.filter(|(member, (_, until))| *until > now && self.may_come_in(*member, &reasons));
            let joiners: Vec<_> = joiners.map(|(member, (epoch, _))| Change::Admit(member, epoch)).collect();
            reasons.extend(joiners.into_iter().take(self.room()));
        }
        if self.renew_at().is_some_and(|at| at <= now) {
            reasons.push(Change::Renew);
        }
        if reasons.is_empty() {
            return reasons;
        }
        reasons.truncate(CHANGES_MAX);
        // The retirement of the last one who would stay makes no difference.
        let before = self.view.members_after(&[]);
        reasons.retain(|reason| *reason == Change::Renew || self.makes_a_difference(*reason, &before));
        reasons
    }

    /// For how many there is room. Who was let in and is not heard here may be elsewhere: such members must not come to be so
    /// many that those who are here are no quorum.
    fn room(&self) -> usize {
        let is_here = |seat: &&Seat| {
            let seen = self.peers.get(&seat.member).and_then(|peer| peer.seen_in);
            seat.member == self.me || seen >= Some(seat.since)
        };
        let here = self.view.seats.iter().filter(is_here).count();
        (2 * here).saturating_sub(self.view.seats.len())
    }

    fn may_come_in(&self, member: Member, reasons: &[Change]) -> bool {
        let earlier = self.view.life(member.node);
        self.view.admits(member) || earlier.is_some_and(|life| life != member && reasons.contains(&Change::Cut(life)))
    }

    fn makes_a_difference(&self, change: Change, unchanged: &View) -> bool {
        match change {
            // With its own earlier life cut, which stands beside it.
            Change::Admit(..) => true,
            _ => self.view.members_after(&[change]).seats != unchanged.seats,
        }
    }

    /// When somebody will have been wedged for too long: then all begin anew.
    fn renew_at(&self) -> Option<Time> {
        let peers = self.view.members().filter_map(|member| self.peers.get(&member));
        let peers = peers.filter(|peer| peer.leaving != Some(true)).filter_map(|peer| peer.wedged_since);
        let earliest = peers.chain(self.wedged).min()?;
        Some(earliest + self.config.lease)
    }

    // The question.

    /// Does what can be done now about the next view.
    pub(super) fn pursue(&mut self, now: Time, out: &mut Outbox) {
        let Some(rank) = self.view.rank(self.me).filter(|_| !self.has_agreed_to_fork()) else { return };
        match &self.attempt {
            None => {
                if self.reasons(now).is_empty() {
                    return;
                }
                let stagger = self.config.stagger;
                let jitter = Duration::from_nanos(self.random.below(nanos(stagger) + 1)) / 2;
                let ask_at = now + self.config.settle + stagger * u32::try_from(rank).unwrap_or(0) + jitter;
                self.attempt = Some(Attempt::Settling { ask_at });
                if ask_at <= now {
                    self.ask(now, out);
                }
            }
            Some(Attempt::Settling { ask_at }) if *ask_at <= now => self.ask(now, out),
            Some(Attempt::Asking { again_at, .. }) if *again_at <= now => {
                if !self.go_on_with_the_agreed(now, out) {
                    self.ask(now, out);
                }
            }
            Some(Attempt::Proposing { again_at, .. }) if *again_at <= now => self.repeat_proposal(now, out),
            Some(Attempt::Yielding { until, changes, tries }) if *until <= now => {
                let (changes, tries) = (changes.clone(), *tries);
                self.propose_again(now, changes, tries, out);
            }
            Some(_) => {}
        }
    }

    pub(super) fn succession_deadline(&self) -> Option<Time> {
        self.view.rank(self.me).filter(|_| !self.has_agreed_to_fork())?;
        if let Some(attempt) = &self.attempt {
            return Some(match attempt {
                Attempt::Settling { ask_at } => *ask_at,
                Attempt::Asking { again_at, .. } | Attempt::Proposing { again_at, .. } => *again_at,
                Attempt::Yielding { until, .. } => *until,
            });
        }
        let members = self.view.members().filter_map(|member| self.peers.get(&member));
        let silence = members.flat_map(|peer| [peer.silent_from, peer.astray_from]).flatten();
        silence.chain(self.renew_at()).min()
    }

    fn ask(&mut self, now: Time, out: &mut Outbox) {
        let changes = self.reasons(now);
        if changes.is_empty() {
            self.attempt = None;
            return;
        }
        self.queries += 1;
        let query = self.queries;
        self.tell(self.view.voters(), &Message::WouldYou { at: self.view.at, query, changes: changes.clone() }, out);
        let again_at = now + self.config.repeat;
        self.attempt = Some(Attempt::Asking { query, changes, yes: BTreeMap::new(), again_at });
        self.go_on_if_all_answered(now, out);
    }

    pub(super) fn asked_would(&self, now: Time, from: Member, query: u64, changes: &[Change], out: &mut Outbox) {
        if self.view.rank(self.me).is_none() || self.view.rank(from).is_none() {
            return out.emit(Event::Ignored { from, reason: Ignored::NotVoter });
        }
        let yes = changes.iter().copied().take(CHANGES_MAX).filter(|change| self.agrees(now, *change, changes));
        let changes = yes.collect();
        out.send(from, Message::Would { at: self.view.at, query, changes });
    }

    /// Whether this node has a reason of its own for a change, or needs none.
    fn agrees(&self, now: Time, change: Change, all: &[Change]) -> bool {
        match change {
            Change::Renew => self.renew_at().is_some(),
            Change::Cut(member) => self.is_silent(now, member),
            Change::Retire(_) => true,
            Change::Part(member) => self.view.seat(member).is_some_and(|seat| seat.leaving),
            Change::Admit(member, _) => self.is_linked(member) && self.may_come_in(member, all),
        }
    }

    pub(super) fn would(&mut self, now: Time, from: Member, query: u64, changes: Vec<Change>, out: &mut Outbox) {
        match &mut self.attempt {
            Some(Attempt::Asking { query: asked, yes, .. }) if *asked == query => {
                yes.insert(from, changes);
                self.go_on_if_all_answered(now, out);
            }
            _ => out.emit(Event::Ignored { from, reason: Ignored::NotAsked }),
        }
    }

    /// Goes on at once if nothing more can be learnt by waiting.
    fn go_on_if_all_answered(&mut self, now: Time, out: &mut Outbox) {
        let Some(Attempt::Asking { changes, yes, .. }) = &self.attempt else { return };
        let needed = |voter: Member| voter != self.me && self.is_linked(voter) && !yes.contains_key(&voter);
        let answered = !self.view.voters().any(needed);
        if answered || changes.iter().all(|change| self.is_agreed(*change)) {
            self.go_on_with_the_agreed(now, out);
        }
    }

    fn is_agreed(&self, change: Change) -> bool {
        let Some(Attempt::Asking { yes, .. }) = &self.attempt else { return false };
        let says = |voter: Member| yes.get(&voter).is_some_and(|yes| yes.contains(&change));
        self.view.is_quorum(|voter| voter == self.me || says(voter))
    }

    fn go_on_with_the_agreed(&mut self, now: Time, out: &mut Outbox) -> bool {
        let Some(Attempt::Asking { changes, .. }) = &self.attempt else { return false };
        let agreed: Vec<_> = changes.iter().copied().filter(|change| self.is_agreed(*change)).collect();
        if agreed.len() < changes.len() {
            out.reached("membership: a change that not enough agree to");
        }
        let agreed_any = !agreed.is_empty();
        if agreed_any {
            self.propose(now, agreed, out);
        }
        agreed_any
    }

    // The attempt.

    /// Begins an attempt to make this the next view. Nobody has to be asked before: that is a courtesy.
    pub fn propose(&mut self, now: Time, changes: Vec<Change>, out: &mut Outbox) {
        self.propose_again(now, changes, 0, out);
    }

    fn propose_again(&mut self, now: Time, changes: Vec<Change>, tries: u32, out: &mut Outbox) {
        // Who agreed to a fork has nothing to say here any more.
        if self.has_agreed_to_fork() {
            return;
        }
        let round = self.acceptor.promised.map_or(0, |promised| promised.round).saturating_add(1);
        let ballot = Ballot { round, proposer: self.me };
        let again_at = now + self.config.repeat;
        let proposal = Proposal::new(ballot, changes);
        self.attempt = Some(Attempt::Proposing { proposal, again_at, tries });
        self.tell(self.view.voters(), &Message::Prepare { at: self.view.at, ballot }, out);
        self.prepare(now, self.me, ballot, out);
    }

    fn repeat_proposal(&mut self, now: Time, out: &mut Outbox) {
        let (at, repeat) = (self.view.at, self.config.repeat);
        let Some(Attempt::Proposing { proposal, again_at, .. }) = &mut self.attempt else { return };
        *again_at = now + repeat;
        if let Some((changes, wait)) = proposal.chosen(now, &self.view, self.config.bugs) {
            return self.decide(now, changes, wait, out);
        }
        let ballot = proposal.ballot;
        let message = match proposal.value.clone() {
            None => Message::Prepare { at, ballot },
            Some(changes) => Message::Accept { at, ballot, changes },
        };
        let waiting = |voter: &Member| match proposal.value {
            None => !proposal.promises.contains_key(voter),
            Some(_) => !proposal.accepted.contains_key(voter),
        };
        let waiting: Vec<_> = self.view.voters().filter(waiting).collect();
        self.tell(waiting.into_iter(), &message, out);
    }

    pub(super) fn prepare(&mut self, now: Time, from: Member, ballot: Ballot, out: &mut Outbox) {
        if self.view.rank(self.me).is_none() || self.view.rank(from).is_none() || ballot.proposer != from {
            return out.emit(Event::Ignored { from, reason: Ignored::NotVoter });
        }
        if self.has_agreed_to_fork() {
            return;
        }
        let at = self.view.at;
        match self.acceptor.prepare(ballot) {
            Ok(()) => {
                self.wedge(now, out);
                let accepted = self.acceptor.accepted.clone();
                self.answer(now, from, Message::Promise { at, ballot, accepted }, out);
            }
            Err(promised) => self.answer(now, from, Message::Refused { at, promised }, out),
        }
    }

    pub(super) fn promised(
        &mut self,
        now: Time,
        from: Member,
        ballot: Ballot,
        accepted: Option<(Ballot, Vec<Change>)>,
        out: &mut Outbox,
    ) {
        let bugs = self.config.bugs;
        let Some(Attempt::Proposing { proposal, .. }) = &mut self.attempt else { return };
        if proposal.ballot != ballot {
            return;
        }
        if accepted.is_some() {
            out.reached("membership: a value that was accepted before");
        }
        let Some(changes) = proposal.promised(from, accepted, &self.view, bugs).cloned() else { return };
        self.tell(self.view.voters(), &Message::Accept { at: self.view.at, ballot, changes: changes.clone() }, out);
        self.accept(now, self.me, ballot, changes, out);
    }

    pub(super) fn accept(&mut self, now: Time, from: Member, ballot: Ballot, changes: Vec<Change>, out: &mut Outbox) {
        if self.view.rank(self.me).is_none() || self.view.rank(from).is_none() || ballot.proposer != from {
            return out.emit(Event::Ignored { from, reason: Ignored::NotVoter });
        }
        if self.has_agreed_to_fork() {
            return;
        }
        let at = self.view.at;
        let wait = self.wait_of(now, &changes);
        let own_cut = self.view.missing_in(&self.view.members_after(&changes)).any(|member| member == self.me);
        match self.acceptor.accept(ballot, changes, self.config.bugs) {
            Ok(()) => {
                self.wedge(now, out);
                if own_cut && !self.config.bugs.has(Bug::OwnCutShrugged) {
                    out.reached("membership: a voter accepts its own cut");
                    self.gave_up = true;
                }
                self.answer(now, from, Message::Accepted { at, ballot, wait }, out);
            }
            Err(promised) => self.answer(now, from, Message::Refused { at, promised }, out),
        }
    }

    /// How long what these changes exclude may still act, as far as this voter knows: it has made promises, waits itself,
    /// or has seen nothing of somebody who may still live by promises of the view before.
    pub(super) fn wait_of(&self, now: Time, changes: &[Change]) -> Duration {
        let bugs = self.config.bugs;
        let mut end = if bugs.has(Bug::InheritedWaitForgotten) { now } else { self.active_from };
        for member in self.view.missing_in(&self.view.members_after(changes)) {
            if self.is_dead(member) || member == self.me || changes.contains(&Change::Part(member)) {
                continue;
            }
            end = end.max(self.leases.granted.get(&member).copied().unwrap_or_default());
            let seen = self.peers.get(&member).and_then(|peer| peer.seen_in);
            if seen < Some(self.view.at.epoch) && !bugs.has(Bug::InstallWaitForgotten) {
                end = end.max(self.installed_at + self.config.lease);
            }
        }
        end.saturating_since(now)
    }

    pub(super) fn accepted(&mut self, now: Time, from: Member, ballot: Ballot, wait: Duration, out: &mut Outbox) {
        let bugs = self.config.bugs;
        let Some(Attempt::Proposing { proposal, .. }) = &mut self.attempt else { return };
        if proposal.ballot != ballot {
            return;
        }
        if let Some((changes, wait)) = proposal.accepted(now, from, wait, &self.view, bugs) {
            self.decide(now, changes, wait, out);
        }
    }

    fn decide(&mut self, now: Time, changes: Vec<Change>, wait: Duration, out: &mut Outbox) {
        let at = self.view.at;
        let old: Vec<_> = self.view.members().filter(|member| *member != self.me).collect();
        let next = self.view.successor(&changes);
        let new: Vec<_> = next.members().filter(|member| !self.view.has(*member)).collect();
        let whole = Message::View { view: next.clone(), wait };
        let parted = changes.iter().filter_map(|it| if let Change::Part(it) = it { Some(*it) } else { None });
        let parted: Vec<_> = parted.collect();
        // It is written down before anybody is told.
        let linked = |members: Vec<Member>| members.into_iter().filter(|member| self.is_linked(*member)).collect();
        let (old, new): (Vec<_>, Vec<_>) = (linked(old), linked(new));
        // Whoever goes is told so by those who stay: if it had decided that alone, and were gone before it was heard, they
        // could be left without a quorum for ever.
        let stays_for_now = self.has_parted() && !next.has(self.me);
        if stays_for_now && next.members().any(|member| !self.is_silent(now, member)) {
            out.reached("membership: a leaver decides that it is gone");
        } else {
            self.install(now, next, wait, &parted, out);
        }
        old.into_iter().for_each(|to| out.send(to, Message::Decided { at, changes: changes.clone(), wait }));
        new.into_iter().for_each(|to| out.send(to, whole.clone()));
    }

    pub(super) fn refused(&mut self, now: Time, promised: Ballot, out: &mut Outbox) {
        let Some(Attempt::Proposing { proposal, tries, .. }) = &self.attempt else { return };
        if promised <= proposal.ballot || self.config.bugs.has(Bug::RefusalIgnored) {
            return;
        }
        out.reached("membership: two proposers in a duel");
        let (changes, tries) = (proposal.own.clone(), (*tries + 1).min(TRIES_MAX));
        // A higher round is known now; it is no promise, only a number to go above.
        let known = self.acceptor.promised.map_or(0, |known| known.round).max(promised.round);
        if let Some(mine) = &mut self.acceptor.promised
            && mine.round < known
        {
            *mine = promised;
        }
        let most = nanos(self.config.stagger) * u64::from(tries) * VOTERS_MAX as u64;
        let until = now + self.config.stagger + Duration::from_nanos(self.random.below(most + 1));
        self.attempt = Some(Attempt::Yielding { until, changes, tries });
    }

    /// To this node itself there is no network.
    fn answer(&mut self, now: Time, to: Member, message: Message, out: &mut Outbox) {
        if to != self.me {
            return out.send(to, message);
        }
        match message {
            Message::Promise { ballot, accepted, .. } => self.promised(now, to, ballot, accepted, out),
            Message::Accepted { ballot, wait, .. } => self.accepted(now, to, ballot, wait, out),
            Message::Refused { promised, .. } => self.refused(now, promised, out),
            _ => {}
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
