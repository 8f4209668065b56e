//! What the driver does about agreed views: events, the file that says how far this process came, new lives.

use std::{sync::Arc, time::Duration};

use guthi_core::{
    protocol::{
        detector,
        engine::{self, Engine, Input},
        membership::{self, Installed, Out, Reason},
    },
    wire::id::{Incarnation, Member, NodeId},
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    driver::Driver,
    observe,
    roster::{Agreed, Snapshot},
};
use crate::{Event, JoinError, Rescue, Status};

/// While somebody may have died, the files of the others are looked at so often, for a while.
const LOOK_SOON: Duration = Duration::from_millis(20);
const LOOK_SOON_MAX: Duration = Duration::from_secs(2);
/// And then so often, as long as somebody is missing.
const LOOK_LATER: Duration = Duration::from_millis(250);

/// What users have asked of the membership, and wait for.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    fork: Vec<oneshot::Sender<Result<(), JoinError>>>,
    dissolve: Vec<oneshot::Sender<Result<Rescue, JoinError>>>,
    /// Whatever is held is to be rescued now.
    rescue: bool,
    /// So many variables were.
    rescued: usize,
}

impl Wishes {
    fn forked(&mut self, result: Result<(), JoinError>) {
        for reply in self.fork.drain(..) {
            let _ = reply.send(result.clone());
        }
    }
}

impl Driver {
    // What the detector says is this node's own opinion: a peer is suspected by one, and fails for all.

    pub(super) fn detector_event(&mut self, event: detector::Event) {
        match event {
            detector::Event::Joined(peer) | detector::Event::Trusted(peer) | detector::Event::Recovered(peer) => {
                let Some(state) = self.peers.get_mut(peer.node) else { return };
                state.ready = true;
                let suspected = state.peer.status == Status::Suspected;
                let member = self.engine.membership().view().has(peer);
                self.turn(peer.node, if member { Status::Alive } else { Status::Joining }, None);
                if member && suspected {
                    self.tell_of(peer, |peer| Event::Trusted { peer });
                }
                self.look_soon();
                self.ready(peer);
            }
            detector::Event::Suspected { peer, reason } | detector::Event::Failed { peer, reason } => {
                self.accuse(peer, reason);
            }
            detector::Event::Left(peer) => {
                if let Some(state) = self.peers.get_mut(peer.node) {
                    state.ready = false;
                }
                self.turn(peer.node, Status::Left, None);
            }
            detector::Event::Answered { peer, rtt, standing, vitals, .. } => {
                self.desk.look_again();
                let here = standing.filter(|standing| standing.at == self.engine.membership().view().at);
                let hears = here.map(|_| self.named(vitals.hears));
                if let Some(state) = self.peers.get_mut(peer.node) {
                    self.dirty |= state.answered(rtt) | state.felt(vitals.load, hears);
                }
            }
            detector::Event::Relink { node, patience } => self.relink(node, patience),
            detector::Event::Unlink(member) => {
                let Some(link) = self.peers.link(member.node).filter(|link| link.member == member) else { return };
                self.drop_link(link.connection, "nothing was heard over it for too long");
            }
            detector::Event::Forgotten(node) => {
                self.peers.remove(node);
                self.stop_hearing(node);
                self.dirty = true;
            }
            detector::Event::Asked { .. } | detector::Event::Ignored { .. } => {}
        }
    }

    /// The members of the view that these bits stand for.
    fn named(&self, bits: u64) -> Vec<NodeId> {
        let members = (0..u64::BITS).zip(self.engine.membership().view().members());
        members.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, member)| member.node).collect()
    }

    fn accuse(&mut self, peer: Member, reason: detector::Reason) {
        self.look_soon();
        let Some(state) = self.peers.get_mut(peer.node) else { return };
        let reason = observe::sentence(reason, &state.broken);
        state.ready = false;
        let news = state.peer.status != Status::Suspected;
        if !self.engine.membership().view().has(peer) {
            // Nobody but this node has an opinion about it.
            return self.turn(peer.node, Status::Failed, Some(reason));
        }
        self.turn(peer.node, Status::Suspected, Some(reason.clone()));
        if news {
            self.tell_of(peer, |peer| Event::Suspected { peer, reason });
        }
    }

    // What the membership says is agreed.

    pub(super) fn membership_event(&mut self, event: membership::Event) {
        self.dirty = true;
        self.desk.look_again();
        match event {
            membership::Event::Installed(installed) => self.installed(installed),
            membership::Event::Excluded(_) => {
                self.tell(Event::Excluded);
                self.wishes.forked(Err(JoinError::Excluded));
                self.over = true;
            }
            membership::Event::Moved(_) => {
                self.dissolved();
                self.over = true;
            }
            membership::Event::Isolated { missing } => self.tell(Event::Isolated { missing }),
            membership::Event::Connected => {
                self.tell(Event::Connected);
                self.wishes.forked(Err(JoinError::NotIsolated));
            }
            membership::Event::Rescue => self.wishes.rescue = true,
            membership::Event::ForeignLineage(lineage) => {
                self.tell(Event::ForeignLineage { lineage: lineage.to_string() })
            }
            membership::Event::Wedged(_) => self.desk.stop_serving(),
            membership::Event::Left
            | membership::Event::Stand(_)
            | membership::Event::Active(_)
            | membership::Event::Ignored { .. } => {}
        }
    }

    fn installed(&mut self, Installed { at, before, joined, lost, entered, .. }: Installed) {
        if at.lineage != before.lineage {
            if entered {
                self.come_empty_handed(at.lineage);
            } else {
                self.desk.life().fork(at.lineage);
            }
            // The handle that was waited with finds the view changed.
            self.publish();
            self.wishes.forked(Ok(()));
            self.dissolved();
        }
        for (member, reason) in lost {
            self.lost(member, reason);
        }
        for member in joined {
            let state = self.peers.meet(member);
            let returned = matches!(state.peer.status, Status::Failed | Status::Left) || state.was_member;
            state.was_member = true;
            let status = if state.ready { Status::Alive } else { Status::Joining };
            self.turn(member.node, status, None);
            self.tell_of(member, |peer| if returned { Event::Recovered { peer } } else { Event::Joined { peer } });
        }
        self.look_soon();
    }

    // What users wish.

    pub(super) fn fork(&mut self, reply: oneshot::Sender<Result<(), JoinError>>) {
        if !self.engine.membership().is_isolated() {
            let _ = reply.send(Err(JoinError::NotIsolated));
            return;
        }
        self.wishes.fork.push(reply);
        self.step(Input::Membership(membership::Command::Fork));
    }

    pub(super) fn dissolve(&mut self, reply: oneshot::Sender<Result<Rescue, JoinError>>) {
        if !self.engine.membership().sees_another_lineage(self.clock.now()) {
            let _ = reply.send(Err(JoinError::NoOtherLineage));
            return;
        }
        self.wishes.dissolve.push(reply);
        self.step(Input::Membership(membership::Command::Dissolve));
    }

    /// Whatever is held is written down, if it is asked for. If it cannot be, nothing is given up.
    pub(super) fn rescue(&mut self) {
        if !std::mem::take(&mut self.wishes.rescue) {
            return;
        }
        match self.rescue_variables() {
            Ok(variables) => {
                self.wishes.rescued = variables;
                self.desk.others = membership::Holdings::default();
                self.desk.rescued = true;
                self.tell_holdings();
            }
            Err(error) => tracing::error!(%error, "the variables cannot be written into a file, so this node stays"),
        }
    }

    fn dissolved(&mut self) {
        if self.wishes.dissolve.is_empty() {
            return;
        }
        let rescue = Rescue { variables: std::mem::take(&mut self.wishes.rescued) };
        self.tell(Event::Dissolved { rescued: rescue.variables });
        for reply in self.wishes.dissolve.drain(..) {
            let _ = reply.send(Ok(rescue));
        }
    }

    fn lost(&mut self, member: Member, reason: Reason) {
        let state = self.peers.meet(member);
        let said = (state.peer.incarnation == member.incarnation).then(|| state.peer.reason.clone()).flatten();
        let goodbye = reason == Reason::Parted || state.peer.status == Status::Left;
        let reason = said.unwrap_or_else(|| match reason {
            Reason::Forked => "the others went on without it".into(),
            Reason::Cut | Reason::Parted => "it did not answer the others".into(),
        });
        if state.peer.incarnation != member.incarnation {
            // A later process of that node is here already.
            let mut peer = state.peer.clone();
            (peer.incarnation, peer.status, peer.reason) = (member.incarnation, Status::Failed, Some(reason.clone()));
            return self.tell(Event::Failed { peer, reason });
        }
        if goodbye {
            self.turn(member.node, Status::Left, None);
            self.tell_of(member, |peer| Event::Left { peer });
        } else {
            self.turn(member.node, Status::Failed, Some(reason.clone()));
            self.tell_of(member, |peer| Event::Failed { peer, reason });
        }
    }

    fn tell_of(&self, member: Member, event: impl FnOnce(crate::Peer) -> Event) {
        if let Some(state) = self.peers.get(member.node) {
            self.tell(event(state.peer.clone()));
        }
    }

    // Files.

    /// Writes down how far this process came. Whoever finds it dead must know.
    pub(super) fn record(&mut self, at: guthi_core::protocol::view::At) {
        if let Some(Err(error)) = self.setup.presence.as_mut().map(|presence| presence.record(at)) {
            tracing::error!(%error, "the view cannot be written into the runtime directory; if this process dies now, the \
                others may go on with what is older");
        }
    }

    fn look_soon(&mut self) {
        if self.setup.processes.is_some() {
            let now = Instant::now();
            self.look_at = Some(now);
            self.look_soon_until = now + LOOK_SOON_MAX;
        }
    }

    /// Looks at the files of the processes on this machine, if it is time.
    pub(super) fn look_at_files(&mut self) {
        let now = Instant::now();
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let Some(processes) = &mut self.setup.processes else { return };
        let files = processes.look();
        self.step(Input::Membership(membership::Command::Files(files)));
        let me = self.setup.credentials.me;
        let view = self.engine.membership().view();
        let missing = view.members().any(|member| member != me && !self.peers.is_ready(member.node));
        let pause = if now < self.look_soon_until { LOOK_SOON } else { LOOK_LATER };
        self.look_at = missing.then(|| now + pause);
    }

    // Lives.

    /// This life is over, since others went on without it; the process goes on as a later one.
    pub(super) fn begin_anew(&mut self) {
        if !std::mem::take(&mut self.over) {
            return;
        }
        let last = self.engine.membership().view().at.epoch;
        let own = self.engine.catalog().own().with_prefix("");
        let description: Vec<_> = own.map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
        let me = &mut self.setup.credentials.me;
        me.incarnation = Incarnation(me.incarnation.0 + 1);
        let me = *me;
        tracing::info!(incarnation = me.incarnation.0, "a new life of this node begins");
        self.errands.renew(me);
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.drop_link(id, "this node begins a new life");
            self.setup.network.close(id);
        }
        if let Some(Err(error)) = self.setup.presence.as_mut().map(|presence| presence.renew(me.incarnation)) {
            tracing::error!(%error, "the runtime directory cannot be written to");
        }
        self.clock = self.clock.begin_anew();
        if self.engine.membership().is_complete() {
            self.setup.expect = 1;
        }
        let next = Engine::new(me, self.setup.config(last), self.setup.seed ^ me.incarnation.0);
        let before = std::mem::replace(&mut self.engine, next);
        for (key, value) in description {
            self.step(Input::Set { key, value });
        }
        self.begin_mutexes_anew();
        self.inherit_variables(before);
        self.record(self.engine.membership().view().at);
        let known = self.peers.start_anew();
        self.hear_anew();
        self.strangers.extend(known);
        self.dirty = true;
    }

    /// Whether this node, which wants to leave, may: the others have agreed, or it takes too long.
    pub(super) fn may_go(&self) -> bool {
        let out = self.engine.membership().out() == Some(Out::Left);
        self.leaving.as_ref().is_some_and(|(_, until)| out || Instant::now() >= *until)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let membership = self.engine.membership();
        let mut snapshot = self.peers.snapshot();
        snapshot.agreed = Some(Arc::new(Agreed {
            view: membership.view().clone(),
            active: membership.is_active(self.clock.now()),
            isolated: membership.is_isolated(),
        }));
        snapshot
    }
}

impl super::driver::Setup {
    /// How the machines of the next life behave.
    pub(super) fn config(&self, after: guthi_core::protocol::view::Epoch) -> engine::Config {
        let mut config = engine::Config::default();
        config.detector.interval = self.echo.interval;
        config.detector.timeout = self.echo.timeout;
        config.membership.timeout = self.echo.timeout;
        config.membership.lease = self.echo.lease;
        config.membership.policy = self.policy;
        config.membership.window = self.window;
        config.membership.after = after;
        config.membership.born = self.born;
        config.membership.expect = self.expect;
        config.membership.replicas = self.replicas;
        config
    }
}

#[cfg(test)]
mod tests;
