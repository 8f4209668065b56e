//! What all nodes of a world ever had and said, side by side.

use std::collections::{BTreeMap, BTreeSet};

use guthi_core::{
    protocol::{
        membership::{Ballot, Installed},
        view::{At, Change, Lineage, View},
    },
    wire::id::{Incarnation, Member, NodeId},
};

use crate::{
    scenario::{
        Violation,
        node::{self, members},
    },
    world::short,
};

/// What all nodes of a world ever had and said.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    views: BTreeMap<At, View>,
    /// Which view was decided to come after which.
    next: BTreeMap<At, At>,
    /// Who has accepted which value in which attempt.
    votes: BTreeMap<(At, Ballot), Vote>,
    chosen: BTreeMap<At, Vec<Change>>,
    /// Which lineages began as a fork, and from where.
    forks: BTreeMap<Lineage, At>,
    /// Who serves no more in which view, by its own word.
    wedged: BTreeSet<(Member, At)>,
    /// The latest view of each lineage that was active somewhere.
    active: BTreeMap<Lineage, At>,
    /// Where each member is.
    at: BTreeMap<Member, At>,
    voted: BTreeMap<Member, (At, Ballot)>,
}

#[derive(Debug)]
struct Vote {
    changes: Vec<Change>,
    by: BTreeSet<Member>,
}

impl Ledger {
    /// Where a member was last seen.
    pub(super) fn at(&self, member: Member) -> Option<At> {
        self.at.get(&member).copied()
    }

    /// A view of which this member says that it serves nothing in it any more.
    pub(super) fn wedge(&mut self, member: Member, at: At) {
        self.wedged.insert((member, at));
    }

    pub(super) fn is_wedged(&self, member: Member, at: At) -> bool {
        self.wedged.contains(&(member, at))
    }

    /// A voter has accepted a value.
    pub(super) fn vote(&mut self, by: Member, at: At, ballot: Ballot, changes: &[Change]) -> Result<(), Violation> {
        if self.voted.insert(by, (at, ballot)) == Some((at, ballot)) {
            return Ok(());
        }
        let vote = self.votes.entry((at, ballot));
        let vote = vote.or_insert_with(|| Vote { changes: changes.to_vec(), by: BTreeSet::new() });
        if vote.changes != changes {
            return Err(Violation::new(format!("V1: attempt {} has two values", told(ballot))));
        }
        vote.by.insert(by);
        let Some(view) = self.views.get(&at) else { return Ok(()) };
        if view.is_quorum(|voter| vote.by.contains(&voter)) {
            let chosen = self.chosen.entry(at).or_insert_with(|| changes.to_vec());
            if chosen != changes {
                let (chosen, now) = (node::changes(chosen), node::changes(changes));
                let what = format!("V1: after {at:?}, {chosen} was chosen, and now {now} is");
                return Err(Violation::new(what));
            }
        }
        Ok(())
    }

    /// A member has another view than when it was last seen.
    pub(super) fn enter(&mut self, member: Member, view: &View) -> Result<(), Violation> {
        let before = self.at.insert(member, view.at);
        let who = short(member.node);
        if !view.is_sound() || !view.has(member) {
            return Err(Violation::new(format!("V1: {who} enters a view that nobody can enter: {view:?}")));
        }
        let first = match self.views.get(&view.at) {
            Some(known) if known != view => {
                let what = format!("V1: two views: {} and, at {who}, {}", members(known), members(view));
                return Err(Violation::new(what));
            }
            known => known.is_none(),
        };
        if first {
            self.views.insert(view.at, view.clone());
        }
        let Some(before) = before else { return Ok(()) };
        if before.lineage == view.at.lineage {
            if before.epoch >= view.at.epoch {
                return Err(Violation::new(format!("V1: {who} goes back from {before:?} to {:?}", view.at)));
            }
            if first {
                return self.decided(member, before, view);
            }
        }
        Ok(())
    }

    /// Whoever is the first in a view has decided it, by a quorum of the view before.
    fn decided(&mut self, by: Member, before: At, view: &View) -> Result<(), Violation> {
        if let Some(other) = self.next.insert(before, view.at) {
            let what = format!("V1: after {before:?} came {other:?}, and comes {:?}", view.at);
            return Err(Violation::new(what));
        }
        let Some(previous) = self.views.get(&before) else { return Ok(()) };
        // Its own last acts in the view before were of the same step, and so are not to be seen any more.
        let alone = previous.is_quorum(|voter| voter == by);
        let accepted = |(_, vote): (&(At, Ballot), &Vote)| {
            previous.successor(&vote.changes) == *view
                && previous.is_quorum(|voter| voter == by || vote.by.contains(&voter))
        };
        let votes = self.votes.range((before, FIRST)..);
        let mut votes = votes.take_while(|((at, _), _)| *at == before);
        if alone || votes.any(accepted) {
            return Ok(());
        }
        let what = format!("V2: {} enters {}, which no quorum accepted", short(by.node), members(view));
        Err(Violation::new(what))
    }

    /// What a member says of a view that it has entered.
    pub(super) fn check_installed(&self, member: Member, said: &Installed) -> Result<(), Violation> {
        let (Some(before), Some(after)) = (self.views.get(&said.before), self.views.get(&said.at)) else {
            return Ok(());
        };
        let forked = self.is_fork(said);
        let joined: Vec<_> = after.missing_in(before).collect();
        let lost: Vec<_> = before.missing_in(after).filter(|it| *it != member).collect();
        let moved = said.before.lineage != said.at.lineage && !forked;
        let told: Vec<_> = said.lost.iter().map(|(member, _)| *member).collect();
        let joined: Vec<_> = joined.into_iter().filter(|it| *it != member).collect();
        if said.joined != joined || (!moved && told != lost) {
            let (who, at) = (short(member.node), said.at);
            return Err(Violation::new(format!("V5: {who} tells of {at:?} what is not so: {said:?}")));
        }
        Ok(())
    }

    /// Whether a view in another line comes from the one before it by a fork, perhaps over views that this member missed.
    fn is_fork(&self, said: &Installed) -> bool {
        let (Some(before), Some(after)) = (self.views.get(&said.before), self.views.get(&said.at)) else {
            return false;
        };
        let direct = after.seats.iter().all(|seat| before.seats.contains(seat));
        said.before.lineage != said.at.lineage && (direct || self.forks.get(&said.at.lineage) == Some(&said.before))
    }

    /// A member has come to another line: it was alone, or whoever is not in the fork is gone. Whether it is a fork.
    pub(super) fn check_crossing(
        &mut self,
        member: Member,
        said: &Installed,
        counts: impl Fn(Member) -> bool,
    ) -> Result<bool, Violation> {
        let (Some(before), Some(after)) = (self.views.get(&said.before), self.views.get(&said.at)) else {
            // It went through a view so fast that nobody saw it there.
            return Ok(true);
        };
        let who = short(member.node);
        if self.is_fork(said) {
            self.forks.insert(said.at.lineage, said.before);
            return match before.members().find(|it| !after.has(*it) && counts(*it)) {
                Some(left) => {
                    let what = format!("V4: {who} forks from {:?}, and {} lives", said.before, short(left.node));
                    Err(Violation::new(what))
                }
                None => Ok(true),
            };
        }
        if before.seats.len() > 1 {
            let what = format!("N1: {who} enters {:?} and had not left {:?}", said.at, said.before);
            return Err(Violation::new(what));
        }
        Ok(false)
    }

    /// Somebody is excluded by a view, so it is not in it.
    pub(super) fn check_excluded(&self, member: Member, by: At) -> Result<(), Violation> {
        let (Some(own), Some(later)) = (self.at(member), self.views.get(&by)) else { return Ok(()) };
        let since = |view: &View| view.seat(member).map(|seat| seat.since);
        // Who was let in by members who all died since ends by its own word.
        if own.is_before(by) && self.views.get(&own).and_then(since) == since(later) {
            return Err(Violation::new(format!("V5: {} is excluded by {by:?}, which has it", short(member.node))));
        }
        Ok(())
    }

    /// A view is active somewhere. Whether that is news.
    pub(super) fn activate(&mut self, at: At) -> bool {
        let active = self.active.entry(at.lineage).or_insert(at);
        let news = *active < at;
        *active = at.max(*active);
        news
    }

    /// The view that is active and without this member, if there is one: then it may do nothing.
    pub(super) fn excluded_by(&self, member: Member, at: At) -> Option<&View> {
        let active = self.active.get(&at.lineage).filter(|active| active.epoch > at.epoch)?;
        let (active, own) = (self.views.get(active)?, self.views.get(&at)?);
        let stays = own.seat(member).is_some_and(|seat| active.seat(member).is_some_and(|it| it.since == seat.since));
        (!stays).then_some(active)
    }
}

fn told(ballot: Ballot) -> String {
    format!("{}/{}", ballot.round, short(ballot.proposer.node))
}

/// Before all attempts.
const FIRST: Ballot = Ballot { round: 0, proposer: Member { node: NodeId([0; 32]), incarnation: Incarnation(0) } };
