//! Leases: what lets a member act alone for a moment. No clock is ever compared with another one; all that counts is that
//! two clocks run at nearly the same rate.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{
    protocol::{time::Time, view::View},
    wire::id::Member,
};

/// The promises of one node, and those made to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Leases {
    /// Until when I count this member as one, whatever the epoch in which I said so. Survives installs.
    pub(super) granted: BTreeMap<Member, Time>,
    /// Until when this member counts me as one, by my clock and on the safe side.
    pub(super) held: BTreeMap<Member, Time>,
}

impl Leases {
    pub(super) fn grant(&mut self, to: Member, end: Time) {
        let granted = self.granted.entry(to).or_default();
        *granted = end.max(*granted);
    }

    /// The grantor counts from when it answered, which was after the echo was sent.
    pub(super) fn take(&mut self, from: Member, sent: Time, lease: Duration) {
        let held = self.held.entry(from).or_default();
        *held = (sent + lease * 98 / 100).max(*held);
    }

    /// Until when a quorum of this view's voters counts me as a member. Nobody has to promise me my own vote: that counts
    /// until `own`.
    pub(super) fn end(&self, me: Member, own: Time, view: &View) -> Option<Time> {
        let end = |voter: Member| if voter == me { Some(own) } else { self.held.get(&voter).copied() };
        let mut ends: Vec<_> = view.voters().filter_map(end).collect();
        ends.sort_unstable();
        ends.into_iter().rev().find(|at| view.is_quorum(|voter| end(voter) >= Some(*at)))
    }

    /// What has ended makes no difference any more.
    pub(super) fn forget_ended(&mut self, now: Time) {
        self.granted.retain(|_, end| *end > now);
        self.held.retain(|_, end| *end > now);
    }
}

/// A wait told by another node, on this one's clock.
pub(super) fn translated(wait: Duration) -> Duration {
    wait * 102 / 100
}
