//! Forks: those who are left go on without a quorum, as a lineage of their own, and as exactly one set.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Event, File, Ignored, Machine, Message, Policy,
    lease::translated,
    machine::{Outbox, Peer},
};
use crate::{
    protocol::{
        bugs::Bug,
        time::Time,
        view::{At, Lineage},
    },
    wire::id::Member,
};

/// A fork under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Forking {
    /// Whom this node wants to go on with, and under which name.
    members: Vec<Member>,
    pub(super) lineage: Lineage,
    by_hand: bool,
    /// All lineages that it has ever agreed to go on in: somebody may have gone there by that.
    agreed: BTreeSet<Lineage>,
    /// Who has agreed, and until when it must be waited for on that account.
    pub(super) accepted: BTreeMap<Member, Time>,
    /// Somebody who is dead now may have gone further.
    pub(super) orphaned: bool,
    pub(super) again_at: Time,
}

impl Machine {
    // Proofs.

    /// Once dead is dead. Views of other lineages say nothing about this one, but for those that this node has agreed to go
    /// on in.
    pub(super) fn look_at_files(&mut self, now: Time, files: Vec<File>) {
        self.has_looked = true;
        self.look_further(&files);
        for file in files {
            let written = file.written.filter(|at| at.lineage == self.view.at.lineage || self.leads_on(*at));
            if written.is_none() && !self.view.has(file.member) {
                continue;
            }
            let known = self.files.get(&file.member).and_then(|known| known.written);
            let written = known.filter(|at| self.leads_on(*at)).or(written).or(known);
            let known = self.files.entry(file.member).or_insert(File { written, ..file });
            known.dead |= file.dead;
            known.written = written;
            if let Some(peer) = self.peers.get_mut(&file.member).filter(|_| file.dead) {
                peer.silent_from = Some(peer.silent_from.map_or(now, |from| from.min(now)));
            }
        }
    }

    /// Who was in a view that leads on may be in a fork of that by now, and others with it who were never in this lineage.
    fn look_further(&mut self, files: &[File]) {
        loop {
            let leads_on = |file: &&File| file.written.is_some_and(|at| self.leads_on(at));
            let further: BTreeSet<_> = files.iter().filter(leads_on).map(|file| file.member).collect();
            let theirs = files.iter().filter(|file| further.contains(&file.member)).filter_map(|file| file.written);
            let theirs = theirs.map(|at| at.lineage).filter(|lineage| *lineage != self.view.at.lineage);
            let theirs: Vec<_> = theirs.filter(|lineage| !self.further.contains(lineage)).collect();
            if theirs.is_empty() {
                return;
            }
            self.further.extend(theirs);
        }
    }

    pub(super) fn is_dead(&self, member: Member) -> bool {
        self.files.get(&member).is_some_and(|file| file.dead)
    }

    /// The members that are not proven dead, if without those who are there is no quorum any more, as far as the files have
    /// told since the view was installed.
    fn left_over(&self) -> Option<Vec<Member>> {
        let lacking =
            self.config.policy == Policy::Any && self.has_looked && !self.view.is_quorum(|voter| !self.is_dead(voter));
        let loose = self.config.bugs.has(Bug::ForkSetLoose);
        let is_left =
            |member: &Member| !self.is_dead(*member) && (!loose || *member == self.me || self.is_linked(*member));
        lacking.then(|| self.view.members().filter(is_left).collect())
    }

    /// Whether this view is later than the one here, or of a fork to which this node has agreed.
    pub(super) fn leads_on(&self, at: At) -> bool {
        self.view.at.is_before(at) || self.is_forking_into(at.lineage) || self.further.contains(&at.lineage)
    }

    /// Whether a file of this kind names a view that leads on: then this node was left behind.
    fn is_overtaken(&self, by: impl Fn(&File) -> bool) -> bool {
        let later = |file: &&File| file.written.is_some_and(|at| self.leads_on(at));
        self.files.values().filter(later).any(by)
    }

    /// When it is clear that this node was left behind. Somebody who is linked stands where the members of this view went on
    /// to, and would have told a member of that by then.
    fn left_behind_at(&self) -> Option<Time> {
        if self.forking.is_none() && self.left_over().is_none() {
            return None;
        }
        let lives = |member: &Member| self.files.get(member).filter(|file| !file.dead).and_then(|file| file.written);
        let went_on = |(member, peer): &(&Member, &Peer)| {
            let there = peer.standing.map(|standing| standing.at.lineage);
            let there = there.filter(|lineage| peer.linked && *lineage != self.view.at.lineage);
            there.is_some_and(|lineage| {
                self.is_forking_into(lineage) || lives(member).is_some_and(|at| self.leads_on(at))
            })
        };
        self.peers.iter().filter(went_on).filter_map(|(_, peer)| peer.astray_from).min()
    }

    // The fork.

    /// Forks if that is the only way to go on, and repeats what was not answered.
    pub(super) fn pursue_fork(&mut self, now: Time, out: &mut Outbox) {
        if self.out.is_some() {
            return;
        }
        if self.left_behind_at().is_some_and(|at| at <= now) {
            out.reached("membership: left behind by somebody who stands elsewhere by now");
            return self.excluded(self.view.at, out);
        }
        if let Some(members) = self.left_over()
            && !self.welcomed
            && !members.iter().any(|member| self.is_older(*member))
        {
            // It may have come in so late that those who were cut have looked at its file before: they saw nobody who lives,
            // and went on. It holds nothing, so it can begin anew.
            out.reached("membership: everybody who let it in is dead, and nobody has answered");
            return self.excluded(self.view.at, out);
        }
        if let Some(members) = self.left_over()
            && self.forking.as_ref().is_none_or(|forking| forking.members != members)
        {
            // A living process knows more: it tells, and then this node is excluded. What was agreed to before stays.
            if self.is_overtaken(|file| !file.dead) {
                out.reached("membership: no fork, since somebody who lives went on");
            } else {
                self.begin_fork(now, members, false, out);
            }
        }
        if let Some(forking) = &self.forking
            && forking.again_at <= now
            && forking.by_hand
            && forking.members.iter().any(|member| self.is_silent(now, *member))
        {
            out.reached("membership: a fork by hand with fewer than at first");
            let members = self.who_answers(now);
            self.begin_fork(now, members, true, out);
        }
        if let Some(forking) = &mut self.forking
            && forking.again_at <= now
            && !forking.members.is_empty()
        {
            forking.again_at = now + self.config.repeat;
            let message =
                Message::Fork { at: self.view.at, members: forking.members.clone(), by_hand: forking.by_hand };
            let others: Vec<_> =
                forking.members.iter().copied().filter(|it| !forking.accepted.contains_key(it)).collect();
            self.tell(others.into_iter(), &message, out);
        }
    }

    pub(super) fn fork_deadline(&self) -> Option<Time> {
        let again = self.forking.as_ref().filter(|forking| forking.members.len() > 1).map(|forking| forking.again_at);
        again.into_iter().chain(self.left_behind_at()).min()
    }

    /// Somebody who takes the blame wants to go on with whoever answers.
    pub(super) fn fork_by_hand(&mut self, now: Time, out: &mut Outbox) {
        // For a moment each change of views is without leases; that is no reason to tear a lineage apart.
        if !self.isolated {
            return out.emit(Event::Ignored { from: self.me, reason: Ignored::NotAsked });
        }
        let members = self.who_answers(now);
        self.begin_fork(now, members, true, out);
    }

    fn who_answers(&self, now: Time) -> Vec<Member> {
        self.view.members().filter(|member| !self.is_silent(now, *member)).collect()
    }

    fn begin_fork(&mut self, now: Time, members: Vec<Member>, by_hand: bool, out: &mut Outbox) {
        let lineage = self.lineage_of(&members);
        let orphaned = self.is_overtaken(|file| file.dead) || by_hand;
        self.wedge(now, out);
        self.attempt = None;
        let mut agreed = self.forking.take().map(|forking| forking.agreed).unwrap_or_default();
        agreed.insert(lineage);
        let own = self.active_from.max(now);
        let accepted = BTreeMap::from([(self.me, own)]);
        self.forking = Some(Forking { members, lineage, by_hand, agreed, accepted, orphaned, again_at: now });
        self.complete_fork(now, out);
    }

    /// A name that follows from who is left, so that those who agree on that mint the same.
    fn lineage_of(&self, members: &[Member]) -> Lineage {
        let mut hasher = blake3::Hasher::new_derive_key("guthi 1 lineage of a fork");
        hasher.update(&self.view.at.lineage.0).update(&self.view.at.epoch.0.to_be_bytes());
        for member in members {
            hasher.update(&member.node.0).update(&member.incarnation.0.to_be_bytes());
        }
        let mut lineage = [0; 16];
        lineage.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Lineage(lineage)
    }

    pub(super) fn asked_to_fork(
        &mut self,
        now: Time,
        from: Member,
        members: Vec<Member>,
        by_hand: bool,
        out: &mut Outbox,
    ) {
        let sound = members.len() <= self.view.seats.len() && members.contains(&self.me) && members.contains(&from);
        let sound = sound && members.iter().all(|member| self.view.has(*member));
        let mine = self.left_over();
        let agrees = if by_hand {
            self.lease_end().is_none_or(|end| end <= now)
        } else {
            let overtaken = self.is_overtaken(|file| !file.dead);
            (mine.as_ref() == Some(&members) && !overtaken) || self.config.bugs.has(Bug::ForkSetLoose)
        };
        if !sound || !agrees {
            return out.emit(Event::Ignored { from, reason: Ignored::Closed });
        }
        let into = self.lineage_of(&members);
        if self.forking.as_ref().is_none_or(|forking| forking.lineage != into) {
            self.begin_fork(now, members, by_hand, out);
        }
        let wait = self.active_from.saturating_since(now);
        // It may have gone over already, being the last to agree.
        if self.view.at.lineage == into {
            out.send(from, self.view_message(now));
        } else {
            out.send(from, Message::Forked { at: self.view.at, into, wait });
        }
    }

    pub(super) fn forked(&mut self, now: Time, from: Member, into: Lineage, wait: Duration, out: &mut Outbox) {
        match &mut self.forking {
            Some(forking) if forking.lineage == into && forking.members.contains(&from) => {
                forking.accepted.insert(from, now + translated(wait));
                self.complete_fork(now, out);
            }
            _ => out.emit(Event::Ignored { from, reason: Ignored::NotAsked }),
        }
    }

    fn complete_fork(&mut self, now: Time, out: &mut Outbox) {
        let Some(forking) = &self.forking else { return };
        if !forking.members.iter().all(|member| forking.accepted.contains_key(member)) {
            return;
        }
        out.reached("membership: a fork");
        let end = forking.accepted.values().copied().max().unwrap_or(now);
        let (members, lineage) = (forking.members.clone(), forking.lineage);
        let next = self.view.fork(lineage, &members);
        self.install(now, next, end.saturating_since(now), &[], out);
        let whole = self.view_message(now);
        self.tell(members.into_iter().filter(|member| *member != self.me), &whole, out);
    }

    /// Whether it has agreed to go on in another lineage: then it installs no later view of the one that it leaves.
    pub(super) const fn has_agreed_to_fork(&self) -> bool {
        self.forking.is_some()
    }

    /// A member of the fork says that it has gone on in the old lineage: it never agrees any more, so nobody goes that way.
    pub(super) fn give_up_fork_without(&mut self, member: Member, out: &mut Outbox) {
        if self.forking.as_ref().is_some_and(|it| it.agreed.len() == 1 && it.members.contains(&member)) {
            out.reached("membership: a fork given up");
            self.forking = None;
        }
    }

    /// Whether it has agreed to go on as this lineage.
    pub(super) fn is_forking_into(&self, lineage: Lineage) -> bool {
        self.forking.as_ref().is_some_and(|forking| forking.agreed.contains(&lineage))
    }
}
