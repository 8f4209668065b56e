//! What explorers need: a member in the middle of its life, and states that are alike if their futures are.

use core::time::Duration;

use super::{Config, Machine, succession::Attempt};
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
    /// Somebody was wedged. It counts for one lease, and only for what this machine does by itself.
    Wedged,
    /// This machine does something by itself then.
    Timer,
}

impl Machine {
    /// A machine that has come to a view long ago, and has heard of nobody in it.
    #[must_use]
    pub fn in_view(me: Member, config: Config, view: View) -> Self {
        let mut machine = Self::new(me, config, 0);
        machine.view = view;
        machine.window_until = None;
        machine
    }

    /// Shows every moment that it keeps, and drops what makes no difference any more: chance, which is the explorer's, and
    /// leases that have ended.
    pub fn reduce(&mut self, now: Time, mut visit: impl FnMut(&mut Time, Moment)) {
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
            forking.visit_times(&mut visit);
        }
        let epoch = self.view.at.epoch;
        for peer in self.peers.values_mut() {
            // What was seen in an earlier view says nothing about this one.
            peer.seen_in = peer.seen_in.filter(|seen| *seen >= epoch);
            peer.wedged_since.iter_mut().for_each(|since| visit(since, Moment::Wedged));
            let timers = [&mut peer.silent_from, &mut peer.astray_from];
            timers.into_iter().flatten().for_each(|at| visit(at, Moment::Timer));
            peer.joining.iter_mut().for_each(|(_, until)| visit(until, Moment::Timer));
            peer.hello.iter_mut().for_each(|hello| visit(hello.until(), Moment::Timer));
        }
        self.wedged.iter_mut().for_each(|since| visit(since, Moment::Wedged));
        let timers = [Some(&mut self.connected_until), Some(&mut self.hello_at)];
        let timers = timers.into_iter().chain([self.window_until.as_mut(), self.leave_at.as_mut()]);
        timers.flatten().for_each(|at| visit(at, Moment::Timer));
        self.course.iter_mut().for_each(|course| visit(course.again_at(), Moment::Timer));
        self.exit.iter_mut().for_each(|exit| visit(exit.again_at(), Moment::Timer));
        self.attempt.iter_mut().for_each(|attempt| visit(attempt.again_at(), Moment::Timer));
        self.random = Random::new(0);
        self.queries = 0;
    }

    /// Forgets what it would need only to begin something by itself, for worlds in which others do that for it.
    pub fn forget_hints(&mut self) {
        self.attempt.take_if(|attempt| matches!(attempt, Attempt::Settling { .. }));
        for peer in self.peers.values_mut() {
            peer.standing = None;
            peer.wedged_since = None;
        }
    }
}
