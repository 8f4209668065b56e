//! What explorers need: a member in the middle of its life, and states that are alike if their futures are.

use super::{Ballot, Config, File, Machine, Message, machine::Peer, succession::Attempt};
use crate::{
    protocol::{random::Random, time::Time, view::View},
    wire::id::Member,
};

/// What a moment that a machine remembers is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A lease or a wait ends. What is past is past, however long ago.
    End,
    /// The view was installed. It counts for one lease.
    Installed,
    /// This machine, or somebody else, was wedged. It counts for one lease.
    Wedged,
    /// This machine does something by itself then.
    Timer,
}

impl Machine {
    /// A machine that has come to a view long ago, and has heard of nobody in it.
    #[must_use]
    pub fn in_view(me: Member, config: Config, view: View) -> Self {
        let mut machine = Self::new(me, config, 0);
        machine.peers = view.members().filter(|member| *member != me).map(|member| (member, Peer::default())).collect();
        machine.view = view;
        machine.window_until = None;
        machine
    }

    /// Shows every moment that it keeps, and drops what makes no difference any more: chance, which is the explorer's, and
    /// leases that have ended.
    pub fn reduce(&mut self, now: Time, mut visit: impl FnMut(&mut Time, Moment)) {
        let epoch = self.view.at.epoch;
        let seen = |member: Member| self.peers.get(&member).is_some_and(|peer| peer.seen_in >= Some(epoch));
        if self.view.members().all(|member| member == self.me || seen(member)) {
            // It is asked for only on account of who was not seen.
            self.installed_at = Time::default();
        }
        visit(&mut self.installed_at, Moment::Installed);
        visit(&mut self.active_from, Moment::End);
        self.active |= self.active_from <= now;
        let ends = self.leases.granted.values_mut().chain(self.leases.held.values_mut());
        ends.for_each(|end| visit(end, Moment::End));
        self.leases.forget_ended(now);
        if let Some(Attempt::Proposing { proposal, .. }) = &mut self.attempt {
            proposal.accepted.values_mut().for_each(|end| visit(end, Moment::End));
        }
        if let Some(forking) = &mut self.forking {
            forking.accepted.values_mut().for_each(|end| visit(end, Moment::End));
            visit(&mut forking.again_at, Moment::Timer);
        }
        for peer in self.peers.values_mut() {
            // What was seen in an earlier view says nothing about this one.
            peer.seen_in = peer.seen_in.filter(|seen| *seen >= epoch);
            peer.wedged_since.iter_mut().for_each(|since| visit(since, Moment::Wedged));
            let timers = [peer.silent_from.as_mut(), peer.astray_from.as_mut()].into_iter().flatten();
            let timers = timers.chain(peer.joining.iter_mut().map(|(_, until)| until));
            timers.chain(peer.hello.iter_mut().map(|hello| &mut hello.until)).for_each(|at| visit(at, Moment::Timer));
        }
        self.wedged.iter_mut().for_each(|since| visit(since, Moment::Wedged));
        let timers = [&mut self.connected_until, &mut self.hello_at].into_iter();
        let timers = timers.chain(&mut self.window_until).chain(&mut self.leave_at);
        let timers = timers.chain(self.course.iter_mut().map(|course| &mut course.again_at));
        let timers = timers.chain(self.exit.iter_mut().map(|exit| &mut exit.again_at));
        timers.chain(self.attempt.iter_mut().map(Attempt::again_at)).for_each(|at| visit(at, Moment::Timer));
        // What a file says counts only if it leads on, or if its process is dead.
        let files = core::mem::take(&mut self.files).into_iter();
        let files = files
            .map(|(member, file)| (member, File { written: file.written.filter(|at| self.leads_on(*at)), ..file }));
        self.files = files.filter(|(_, file)| file.dead || file.written.is_some()).collect();
        self.random = Random::new(0);
        self.queries = 0;
    }

    /// Forgets what it would need only to begin something by itself, for worlds in which others do that for it.
    pub fn forget_hints(&mut self, now: Time) {
        self.attempt.take_if(|attempt| matches!(attempt, Attempt::Settling { .. } | Attempt::Yielding { .. }));
        for peer in self.peers.values_mut() {
            peer.standing = None;
            peer.wedged_since = None;
        }
        // Leases of others end before its own vote does, so that counts only where it is a quorum by itself.
        if !self.view.is_quorum(|voter| voter == self.me) {
            self.wedged = self.wedged.map(|_| now);
        }
    }

    /// Whether all that this message can lead to, now and later, is an answer that says how late it is.
    #[must_use]
    pub fn is_late(&self, message: &Message) -> bool {
        let above = |ballot: &Ballot| self.acceptor.promised.is_some_and(|promised| promised > *ballot);
        let proposal = |ballot: &Ballot| match &self.attempt {
            Some(Attempt::Proposing { proposal, .. }) if proposal.ballot == *ballot => Some(proposal),
            _ => None,
        };
        match message {
            _ if self.out.is_some() => true,
            Message::View { view, .. } => view.at == self.view.at || view.at.is_before(self.view.at),
            Message::Prepare { at, .. }
            | Message::Promise { at, .. }
            | Message::Accept { at, .. }
            | Message::Accepted { at, .. }
            | Message::Decided { at, .. }
            | Message::Fork { at, .. }
            | Message::Forked { at, .. }
                if *at != self.view.at =>
            {
                at.is_before(self.view.at)
            }
            Message::Prepare { ballot, .. } | Message::Accept { ballot, .. } => above(ballot),
            Message::Promise { ballot, .. } => proposal(ballot).is_none_or(|proposal| proposal.value.is_some()),
            Message::Accepted { ballot, .. } => proposal(ballot).is_none(),
            _ => false,
        }
    }
}

impl Attempt {
    const fn again_at(&mut self) -> &mut Time {
        match self {
            Self::Settling { ask_at } => ask_at,
            Self::Asking { again_at, .. } | Self::Proposing { again_at, .. } => again_at,
            Self::Yielding { until, .. } => until,
        }
    }
}
