//! One instance of single-decree Paxos: what comes after one view.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use super::{Ballot, lease};
use crate::{
    protocol::{
        bugs::{Bug, Bugs},
        time::Time,
        view::{Change, View},
    },
    wire::id::Member,
};

/// What a voter has promised and accepted. It belongs to one view, and lives in memory: who restarts is another member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Acceptor {
    pub(super) promised: Option<Ballot>,
    pub(super) accepted: Option<(Ballot, Vec<Change>)>,
}

impl Acceptor {
    /// Promises this ballot, or says which higher one was promised.
    pub(super) fn prepare(&mut self, ballot: Ballot) -> Result<(), Ballot> {
        match self.promised {
            Some(promised) if promised > ballot => Err(promised),
            _ => {
                self.promised = Some(ballot);
                Ok(())
            }
        }
    }

    /// Accepts a value, or says which higher ballot was promised. To accept is to promise: otherwise a late message of a
    /// lower ballot could still replace what was chosen.
    pub(super) fn accept(&mut self, ballot: Ballot, value: Vec<Change>, bugs: Bugs) -> Result<(), Ballot> {
        match self.promised {
            Some(promised) if promised > ballot => Err(promised),
            _ => {
                if !bugs.has(Bug::AcceptPromisesNothing) {
                    self.promised = Some(ballot);
                }
                self.accepted = Some((ballot, value));
                Ok(())
            }
        }
    }
}

/// One attempt to have a value chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Proposal {
    pub(super) ballot: Ballot,
    /// What is proposed if nothing was accepted before.
    pub(super) own: Vec<Change>,
    pub(super) promises: BTreeMap<Member, Option<(Ballot, Vec<Change>)>>,
    /// What is proposed. It never changes.
    pub(super) value: Option<Vec<Change>>,
    /// Who has accepted it, and until when it must be waited for on that account.
    pub(super) accepted: BTreeMap<Member, Time>,
}

impl Proposal {
    pub(super) const fn new(ballot: Ballot, own: Vec<Change>) -> Self {
        Self { ballot, own, promises: BTreeMap::new(), value: None, accepted: BTreeMap::new() }
    }

    /// Counts a promise; the value, if this one made it certain.
    pub(super) fn promised(
        &mut self,
        by: Member,
        accepted: Option<(Ballot, Vec<Change>)>,
        view: &View,
        bugs: Bugs,
    ) -> Option<&Vec<Change>> {
        if self.value.is_some() {
            return None;
        }
        self.promises.insert(by, accepted);
        if !is_quorum(view, |voter| self.promises.contains_key(&voter), bugs) {
            return None;
        }
        let highest = self.promises.values().flatten().max_by_key(|(ballot, _)| *ballot);
        let highest = highest.filter(|_| !bugs.has(Bug::OwnValuePreferred));
        self.value = Some(highest.map_or_else(|| self.own.clone(), |(_, value)| value.clone()));
        self.value.as_ref()
    }

    /// Counts an acceptance; the value and the end of all waits, if it is chosen now.
    pub(super) fn accepted(
        &mut self,
        now: Time,
        by: Member,
        wait: Duration,
        view: &View,
        bugs: Bugs,
    ) -> Option<(Vec<Change>, Duration)> {
        self.value.as_ref()?;
        let end = now + lease::translated(wait);
        let known = self.accepted.entry(by).or_insert(end);
        *known = end.min(*known);
        self.chosen(now, view, bugs)
    }

    /// The value and the end of all waits, if it is chosen.
    pub(super) fn chosen(&self, now: Time, view: &View, bugs: Bugs) -> Option<(Vec<Change>, Duration)> {
        let value = self.value.as_ref()?;
        if !is_quorum(view, |voter| self.accepted.contains_key(&voter), bugs) {
            return None;
        }
        let end = self.accepted.values().copied().max().unwrap_or(now);
        Some((value.clone(), end.saturating_since(now)))
    }
}

fn is_quorum(view: &View, has: impl Fn(Member) -> bool, bugs: Bugs) -> bool {
    let half = || 2 * view.voters().filter(|voter| has(*voter)).count() >= view.voters().len();
    view.is_quorum(&has) || (bugs.has(Bug::AnyHalfIsQuorum) && half())
}
