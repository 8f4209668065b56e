use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Ballot, Command, Config, Event, File, Holdings, Ignored, Installed, Message, Reason,
    fork::Forking,
    instance::Acceptor,
    lease::{Leases, translated},
    meeting::{Exit, Hello, Move},
    succession::{Attempt, CHANGES_MAX},
};
use crate::{
    protocol::{
        bugs::Bug,
        contract::{self, Effect, Protocol, ViewChange},
        random::Random,
        time::Time,
        view::{At, Change, Epoch, Lineage, Standing, View},
    },
    wire::id::Member,
};

pub(super) type Outbox = contract::Outbox<Effect<Machine>>;

/// One member's part in agreeing on who is a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    pub(super) me: Member,
    pub(super) config: Config,
    pub(super) random: Random,
    /// Why it has no part in anything any more.
    pub(super) out: Option<Out>,
    pub(super) view: View,
    pub(super) installed_at: Time,
    /// Somebody who was there before has answered it since it came in; or it was there before.
    pub(super) welcomed: bool,
    /// What the view's excluded members were allowed to do has ended by then.
    pub(super) active_from: Time,
    pub(super) active: bool,
    /// Its view had as many members once as are expected.
    pub(super) complete: bool,
    /// Since when it serves nothing in this view.
    pub(super) wedged: Option<Time>,
    /// It has accepted its own cut, and so counts as cut.
    pub(super) gave_up: bool,
    pub(super) acceptor: Acceptor,
    pub(super) attempt: Option<Attempt>,
    pub(super) queries: u64,
    pub(super) leases: Leases,
    /// Until when there was a quorum.
    pub(super) connected_until: Time,
    pub(super) isolated: bool,
    /// Whoever is linked or a member.
    pub(super) peers: BTreeMap<Member, Peer>,
    /// What the runtime directory tells of processes.
    pub(super) files: BTreeMap<Member, File>,
    /// It has been told of the files since it installed this view.
    pub(super) has_looked: bool,
    /// Lineages in which those go on who were in a view that leads on.
    pub(super) further: BTreeSet<Lineage>,
    pub(super) holdings: Holdings,
    /// The newborn looks around until then.
    pub(super) window_until: Option<Time>,
    pub(super) hello_at: Time,
    pub(super) course: Option<Move>,
    /// A lineage of several gives way: this member leaves it then.
    pub(super) leave_at: Option<Time>,
    pub(super) exit: Option<Exit>,
    /// It gives up what it holds.
    pub(super) dissolving: bool,
    /// It has asked for what it holds to be rescued.
    pub(super) rescuing: bool,
    /// The lineage that this one has refused last.
    pub(super) refused: Option<Lineage>,
    /// What it has left in this life; there it perhaps still is a member to somebody who is behind.
    pub(super) left: BTreeSet<Lineage>,
    pub(super) forking: Option<Forking>,
}

/// Why a machine has no part in anything any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Out {
    /// It wanted to.
    Left,
    /// Others went on without it.
    Excluded,
    /// It left this lineage for another, and begins anew to join that.
    Moved,
}

/// What is known of somebody who is linked or a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) linked: bool,
    /// It is not heard, and taken for dead from then on.
    pub(super) silent_from: Option<Time>,
    /// It says that it stands elsewhere, or in an earlier view although it is told, and is taken for gone from then on.
    pub(super) astray_from: Option<Time>,
    pub(super) standing: Option<Standing>,
    /// The latest epoch of my lineage of which it has sent a message.
    pub(super) seen_in: Option<Epoch>,
    pub(super) wedged_since: Option<Time>,
    pub(super) hello: Option<Hello>,
    /// It asks to be taken in; it says so again and again.
    pub(super) joining: Option<(Epoch, Time)>,
    /// It wants to leave, and whether it serves no more.
    pub(super) leaving: Option<bool>,
}

impl Machine {
    /// A newborn node, at the beginning of its clock: a cluster of one that looks around. The seed is all the chance that it
    /// will ever have.
    #[must_use]
    pub fn new(me: Member, config: Config, seed: u64) -> Self {
        let now = Time::default();
        let mut random = Random::new(seed);
        let at = At { lineage: Lineage::mint(config.born, &mut random), epoch: config.after.next() };
        Self {
            me,
            config,
            random,
            out: None,
            view: View::born(at, me).with_replicas(config.replicas),
            installed_at: now,
            welcomed: true,
            active_from: now,
            active: true,
            complete: config.expect <= 1,
            wedged: None,
            gave_up: false,
            acceptor: Acceptor::default(),
            attempt: None,
            queries: 0,
            leases: Leases::default(),
            connected_until: now,
            isolated: false,
            peers: BTreeMap::new(),
            files: BTreeMap::new(),
            has_looked: false,
            further: BTreeSet::new(),
            holdings: Holdings::default(),
            window_until: Some(now + config.window),
            hello_at: now,
            course: None,
            leave_at: None,
            exit: None,
            dissolving: false,
            rescuing: false,
            refused: None,
            left: BTreeSet::new(),
            forking: None,
        }
    }

    /// The view that it has installed last.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Why it has no part in anything any more, if so.
    #[must_use]
    pub const fn out(&self) -> Option<Out> {
        self.out
    }

    /// What it says in echoes; nothing if it has no part in anything any more.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let wedged = (self.wedged.is_some() || self.has_parted()) && !self.config.bugs.has(Bug::WedgeForgotten);
        self.out.is_none().then_some(Standing { at: self.view.at, wedged })
    }

    /// What it has accepted as a voter on the next view, and in which attempt.
    #[must_use]
    pub fn vote(&self) -> Option<(Ballot, &[Change])> {
        self.acceptor.accepted.as_ref().map(|(ballot, changes)| (*ballot, &changes[..]))
    }

    /// Whether the waits for the excluded have ended in the view that is installed.
    #[must_use]
    pub fn is_active(&self, now: Time) -> bool {
        self.out.is_none() && now >= self.active_from
    }

    /// Until when a quorum counts this node as a member. A guard is valid so long: wedging does not end it.
    #[must_use]
    pub fn lease_end(&self) -> Option<Time> {
        let valid = self.out.is_none() && !self.gave_up && !self.has_parted();
        self.quorum_end().filter(|_| valid)
    }

    /// Like anybody's, its own vote for itself counts for one lease after it was wedged, and no longer: a member whose vote is
    /// a quorum would believe in itself for ever.
    fn quorum_end(&self) -> Option<Time> {
        let own = self.wedged.map_or(Time::MAX, |since| since + self.config.lease * 98 / 100);
        self.leases.end(self.me, own, &self.view)
    }

    /// Whether a read may be answered now.
    #[must_use]
    pub fn serves(&self, now: Time) -> bool {
        let wedged = self.standing().is_none_or(|standing| standing.wedged);
        // Who has asked to be taken in elsewhere must not come to hold anything here.
        let settled = self.window_until.is_none() && self.course.is_none() && !self.rescuing && self.complete;
        !wedged && settled && self.is_active(now) && self.lease_end().is_some_and(|end| end > now)
    }

    /// Whether it is on its way out, of this lineage at least.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether it has neither lease nor quorum for a while now.
    #[must_use]
    pub const fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// Whether its view had as many members once as are expected.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The members whom this one need not poll: in a large view the voters poll everybody, and the others the voters.
    pub fn spared(&self) -> impl Iterator<Item = Member> {
        self.view.members().filter(|member| self.spares(*member))
    }

    pub(super) fn spares(&self, member: Member) -> bool {
        let large = self.view.seats.len() > usize::try_from(self.config.poll_all_max).unwrap_or(usize::MAX);
        let votes = |member| self.view.rank(member).is_some();
        large && member != self.me && self.view.has(member) && !votes(self.me) && !votes(member)
    }

    /// Whether it is this node's turn to take others in: it knows where it belongs.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.out.is_none() && self.window_until.is_none() && self.course.is_none() && self.exit.is_none()
    }

    /// Whether that member was there before this one came in.
    pub(super) fn is_older(&self, member: Member) -> bool {
        let since = |member: Member| self.view.seat(member).map(|seat| seat.since);
        since(member).is_some_and(|it| Some(it) < since(self.me))
    }

    pub(super) fn is_alone(&self) -> bool {
        self.view.seats.len() == 1
    }

    pub(super) fn has_parted(&self) -> bool {
        self.exit.as_ref().is_some_and(|exit| exit.parted)
    }

    /// Whether somebody is not heard, or says that it belongs elsewhere.
    pub(super) fn is_silent(&self, now: Time, member: Member) -> bool {
        let over = |from: Option<Time>| from.is_some_and(|from| now >= from);
        // Who is not polled does not say where it stands.
        let astray = |peer: &Peer| over(peer.astray_from) && !self.spares(member);
        member != self.me && self.peers.get(&member).is_none_or(|peer| over(peer.silent_from) || astray(peer))
    }

    pub(super) fn is_linked(&self, member: Member) -> bool {
        self.peers.get(&member).is_some_and(|peer| peer.linked)
    }

    /// Sends to these, but not to this node itself. What is sent without a link is lost, so it is not sent.
    pub(super) fn tell(&self, to: impl Iterator<Item = Member>, message: &Message, out: &mut Outbox) {
        to.filter(|to| self.is_linked(*to)).for_each(|to| out.send(to, message.clone()));
    }
}

impl Protocol for Machine {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn receive(&mut self, now: Time, from: Member, message: Message, out: &mut Outbox) {
        if self.out.is_some() {
            return;
        }
        if message.changes().is_some_and(|changes| changes.len() > CHANGES_MAX) {
            return out.emit(Event::Ignored { from, reason: Ignored::Unsound });
        }
        match message {
            Message::Hello { rank, open } => self.hear_hello(now, from, rank, open, out),
            Message::Join { into, rank } => self.asked_to_admit(now, from, into, rank, out),
            Message::Leave { at, parted } => self.hear_leave(from, at, parted, out),
            Message::View { view, wait } => self.learn(now, from, view, wait, out),
            Message::ViewWanted { at } => self.answer_with_view(now, from, at, out),
            Message::WouldYou { at, query, changes } => {
                if self.is_here(now, from, at, out) {
                    self.asked_would(now, from, query, &changes, out);
                }
            }
            Message::Would { at, query, changes } => {
                if self.is_here(now, from, at, out) {
                    self.would(now, from, query, changes, out);
                }
            }
            Message::Prepare { at, ballot } => {
                if self.is_here(now, from, at, out) {
                    self.prepare(now, from, ballot, out);
                }
            }
            Message::Promise { at, ballot, accepted } => {
                if self.is_here(now, from, at, out) {
                    self.promised(now, from, ballot, accepted, out);
                }
            }
            Message::Accept { at, ballot, changes } => {
                if self.is_here(now, from, at, out) {
                    self.accept(now, from, ballot, changes, out);
                }
            }
            Message::Accepted { at, ballot, wait } => {
                if self.is_here(now, from, at, out) {
                    self.accepted(now, from, ballot, wait, out);
                }
            }
            Message::Refused { at, promised } => {
                if self.is_here(now, from, at, out) {
                    self.refused(now, promised, out);
                }
            }
            Message::Decided { at, changes, wait } => {
                if self.is_here(now, from, at, out) {
                    let next = self.view.successor(&changes);
                    let parted =
                        changes.iter().filter_map(|it| if let Change::Part(it) = it { Some(*it) } else { None });
                    self.install(now, next, translated(wait), &parted.collect::<Vec<_>>(), out);
                }
            }
            Message::Fork { at, members, by_hand } => {
                if self.is_here(now, from, at, out) {
                    self.asked_to_fork(now, from, members, by_hand, out);
                }
            }
            Message::Forked { at, into, wait } => {
                if self.is_here(now, from, at, out) {
                    self.forked(now, from, into, wait, out);
                }
            }
        }
        self.proceed(now, out);
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox) {
        if self.out.is_some() {
            return;
        }
        match command {
            Command::Asked { by, standing } => {
                if !self.asked(now, by, standing, out) {
                    return;
                }
            }
            Command::Answered { by, sent, asked, standing } => {
                if !self.answered(now, by, sent, asked, standing, out) {
                    return;
                }
            }
            Command::Suspect(member) => {
                if let Some(peer) = self.peers.get_mut(&member) {
                    peer.silent_from = Some(peer.silent_from.map_or(now, |from| from.min(now)));
                }
            }
            Command::Hold(holdings) => self.hold(now, holdings, out),
            Command::Files(files) => self.look_at_files(now, files),
            Command::Leave => self.leave(now, false, out),
            Command::Fork => self.fork_by_hand(now, out),
            Command::Dissolve => self.dissolving = true,
        }
        self.proceed(now, out);
    }

    fn view_changed(&mut self, now: Time, change: ViewChange, out: &mut Outbox) {
        if self.out.is_some() {
            return;
        }
        match change {
            ViewChange::Linked(member) => {
                let later = |other: &Member| other.node == member.node && other.incarnation > member.incarnation;
                if self.peers.keys().any(later) {
                    return out.emit(Event::Ignored { from: member, reason: Ignored::Later });
                }
                let peer = self.peers.entry(member).or_default();
                peer.linked = true;
                peer.silent_from = None;
                // An earlier life of that node has ended.
                let earlier = |other: &Member| other.node == member.node && other.incarnation < member.incarnation;
                for (_, peer) in self.peers.iter_mut().filter(|(other, _)| earlier(other)) {
                    peer.linked = false;
                    peer.silent_from = Some(peer.silent_from.map_or(now, |from| from.min(now)));
                }
                self.greet(member, out);
            }
            ViewChange::Unlinked(member) => {
                if let Some(peer) = self.peers.get_mut(&member).filter(|peer| peer.linked) {
                    peer.linked = false;
                    peer.hello = None;
                    peer.joining = None;
                    peer.silent_from = peer.silent_from.or(Some(now + self.config.timeout));
                }
            }
        }
        self.forget_strangers();
        self.proceed(now, out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        if self.out.is_none() {
            self.proceed(now, out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.out.is_some() {
            return None;
        }
        let activation = (!self.active).then_some(self.active_from);
        let isolation = (!self.isolated && !self.is_alone()).then(|| self.connected_until + self.config.timeout);
        [activation, isolation, self.succession_deadline(), self.meeting_deadline(), self.fork_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Machine {
    /// What time, or the input just taken, has made possible.
    fn proceed(&mut self, now: Time, out: &mut Outbox) {
        if self.out.is_some() {
            return;
        }
        self.look_around(now, out);
        self.part(now, out);
        if self.out.is_some() {
            return;
        }
        self.pursue(now, out);
        self.pursue_fork(now, out);
        if self.out.is_some() {
            return;
        }
        if !self.active && now >= self.active_from {
            self.active = true;
            out.emit(Event::Active(self.view.at));
        }
        self.notice_isolation(now, out);
    }

    /// A service or an instance message is about a view: is it the one that is installed here?
    fn is_here(&mut self, now: Time, from: Member, at: At, out: &mut Outbox) -> bool {
        if at == self.view.at {
            self.seen(from, at);
            return true;
        }
        if at.is_before(self.view.at) {
            self.answer_with_view(now, from, at, out);
        } else if self.view.at.is_before(at) {
            out.send(from, Message::ViewWanted { at: self.view.at });
        }
        false
    }

    fn seen(&mut self, member: Member, at: At) {
        if at.lineage == self.view.at.lineage
            && let Some(peer) = self.peers.get_mut(&member)
        {
            peer.seen_in = peer.seen_in.max(Some(at.epoch));
        }
    }

    // Leases.

    // Most echoes bring nothing new. They come so often that it matters to be done with them at once.

    fn asked(&mut self, now: Time, by: Member, standing: Option<Standing>, out: &mut Outbox) -> bool {
        let news = self.note_standing(now, by, standing, out);
        let mine = self.standing();
        if standing == mine && mine.is_some_and(|it| !it.wedged) && self.view.has(by) {
            self.leases.grant(by, now + self.config.lease);
        }
        news
    }

    fn answered(
        &mut self,
        now: Time,
        by: Member,
        sent: Time,
        asked: Option<Standing>,
        standing: Option<Standing>,
        out: &mut Outbox,
    ) -> bool {
        let news = self.note_standing(now, by, standing, out);
        let mine = self.standing();
        if standing == mine && asked == mine && mine.is_some_and(|it| !it.wedged) && self.view.has(by) {
            self.leases.take(by, sent, self.config.lease);
            self.welcomed |= self.is_older(by);
            self.connected_until = self.connected_until.max(self.quorum_end().unwrap_or_default());
        }
        news || self.isolated
    }

    /// Whether it stands elsewhere than before.
    fn note_standing(&mut self, now: Time, member: Member, standing: Option<Standing>, out: &mut Outbox) -> bool {
        let (here, timeout) = (self.view.at, self.config.timeout);
        let Some(peer) = self.peers.get_mut(&member) else { return false };
        let news = core::mem::replace(&mut peer.standing, standing) != standing;
        let wedged = standing.is_some_and(|standing| standing.at == here && standing.wedged);
        peer.wedged_since = wedged.then(|| peer.wedged_since.unwrap_or(now));
        let foreign = standing.is_none_or(|standing| standing.at.lineage != here.lineage);
        let astray = foreign || standing.is_some_and(|standing| standing.at.is_before(here));
        peer.astray_from = astray.then(|| peer.astray_from.unwrap_or(now + timeout));
        let Some(standing) = standing else { return news };
        self.seen(member, standing.at);
        if here.is_before(standing.at) {
            out.send(member, Message::ViewWanted { at: here });
        } else if standing.at.is_before(here) || (foreign && self.view.has(member)) {
            self.answer_with_view(now, member, standing.at, out);
        }
        news
    }

    fn notice_isolation(&mut self, now: Time, out: &mut Outbox) {
        let end = self.quorum_end();
        let connected = end.is_some_and(|end| end > now) && self.wedged.is_none();
        // Who was a quorum by itself was connected for ever, until it was not.
        self.connected_until = end.filter(|_| connected).unwrap_or_else(|| self.connected_until.min(now));
        if self.isolated && connected {
            self.isolated = false;
            out.emit(Event::Connected);
        } else if !self.isolated && !connected && now >= self.connected_until + self.config.timeout {
            out.reached("membership: isolated");
            self.isolated = true;
            let missing = self.view.voters().filter(|voter| self.is_silent(now, *voter)).count();
            out.emit(Event::Isolated { missing: u32::try_from(missing).unwrap_or(u32::MAX) });
        }
    }

    // Views.

    /// From now on this view is served no more: whoever decides what follows may rely on that.
    pub(super) fn wedge(&mut self, now: Time, out: &mut Outbox) {
        if self.wedged.is_none() {
            self.wedged = Some(now);
            out.emit(Event::Wedged(self.view.at));
            out.emit(Event::Stand(self.standing()));
        }
    }

    /// Somebody is behind, or does not know that it belongs here. What is left of my wait goes with the view: by then the
    /// excluded are harmless, whoever counts.
    fn answer_with_view(&self, now: Time, to: Member, theirs: At, out: &mut Outbox) {
        if self.config.bugs.has(Bug::StragglerForgotten) || !self.is_linked(to) {
            return;
        }
        let behind = theirs.is_before(self.view.at);
        if behind || (theirs.lineage != self.view.at.lineage && self.view.has(to)) {
            out.send(to, self.view_message(now));
        }
    }

    pub(super) fn view_message(&self, now: Time) -> Message {
        Message::View { view: self.view.clone(), wait: self.active_from.saturating_since(now) }
    }

    fn learn(&mut self, now: Time, from: Member, view: View, wait: Duration, out: &mut Outbox) {
        if !view.is_sound() {
            return out.emit(Event::Ignored { from, reason: Ignored::Unsound });
        }
        let wait = if self.config.bugs.has(Bug::LaterViewUnwaited) { Duration::ZERO } else { translated(wait) };
        if self.view.at.is_before(view.at) {
            out.reached("membership: a view learnt from somebody who was ahead");
            if view.has(from) {
                self.give_up_fork_without(from, out);
            }
            return self.install(now, view, wait, &[], out);
        }
        if view.at.lineage == self.view.at.lineage {
            return;
        }
        if self.is_moving_into(view.at.lineage) && view.outlived(self.me) {
            out.reached("membership: a joiner that was cut before it knew that it was in");
            return self.end(Out::Moved, Event::Moved(self.view.at), out);
        }
        let invited =
            view.has(self.me) && (self.is_moving_into(view.at.lineage) || self.is_forking_into(view.at.lineage));
        if invited {
            self.install(now, view, wait, &[], out);
        } else {
            out.reached("membership: a view that was not asked for");
            out.emit(Event::Ignored { from, reason: Ignored::Uninvited });
        }
    }

    /// Enters a view, over several at once if need be.
    pub(super) fn install(&mut self, now: Time, next: View, wait: Duration, parted: &[Member], out: &mut Outbox) {
        let bugs = self.config.bugs;
        let same_line = next.at.lineage == self.view.at.lineage;
        let mine = self.view.seat(self.me).map(|seat| seat.since);
        let stays = next
            .seat(self.me)
            .is_some_and(|seat| !same_line || Some(seat.since) == mine || bugs.has(Bug::SinceIgnored));
        if !stays {
            return self.excluded(next.at, out);
        }
        // Who has agreed to a fork installs no later view of the lineage that it leaves.
        if same_line && self.has_agreed_to_fork() {
            out.reached("membership: a view of a lineage that is left by a fork");
            return;
        }
        if !bugs.has(Bug::EpochNotWritten) {
            out.record(next.at);
        }
        let before = core::mem::replace(&mut self.view, next);
        let own_wait = if bugs.has(Bug::InheritedWaitForgotten) { now } else { self.active_from };
        self.installed_at = now;
        self.active_from = own_wait.max(now + wait);
        self.active = false;
        self.wedged = None;
        self.gave_up = false;
        self.acceptor = Acceptor::default();
        self.attempt = None;
        if bugs.has(Bug::GrantsForgotten) {
            self.leases.granted.clear();
        }
        self.leases.forget_ended(now);
        self.connected_until = now;
        self.window_until = None;
        self.course = None;
        self.leave_at = None;
        let forked = !same_line && self.is_forking_into(self.view.at.lineage);
        let orphaned = forked && self.forking.take().is_some_and(|it| it.orphaned);
        self.forking = None;
        if !same_line {
            self.left.insert(before.at.lineage);
        }
        if !same_line && !forked {
            self.welcomed = false;
            // Nobody of the lineage that was left is waited for, or waits.
            self.exit = None;
            self.dissolving = false;
            self.rescuing = false;
        }
        self.settle_in(now, &before);
        let joined = self.view.missing_in(&before).filter(|member| *member != self.me).collect();
        let reason = |member: Member| match () {
            () if forked => Reason::Forked,
            () if parted.contains(&member) || before.seat(member).is_some_and(|seat| seat.leaving) => Reason::Parted,
            () => Reason::Cut,
        };
        let lost = before.missing_in(&self.view).filter(|_| same_line || forked);
        let lost: Vec<_> = lost.map(|member| (member, reason(member))).collect();
        let unheard = lost.iter().map(|(member, _)| *member).filter(|member| !parted.contains(member)).collect();
        let entered = !same_line && !forked;
        let (at, before) = (self.view.at, before.at);
        let wait = self.active_from.saturating_since(now);
        out.emit(Event::Installed(Installed { at, before, joined, lost, unheard, entered, wait, orphaned }));
        out.emit(Event::Stand(self.standing()));
        self.announce(now, out);
    }

    /// Opinions of the view before are void, what was heard is not.
    fn settle_in(&mut self, now: Time, before: &View) {
        let (here, grace) = (self.view.at, now + self.config.timeout);
        self.complete |= u32::try_from(self.view.seats.len()).unwrap_or(u32::MAX) >= self.config.expect;
        for member in self.view.members().filter(|member| *member != self.me) {
            let new = !before.has(member);
            let peer = self.peers.entry(member).or_default();
            if new && !peer.linked {
                peer.silent_from = Some(peer.silent_from.unwrap_or(grace));
            }
            if before.at.lineage != here.lineage {
                peer.seen_in = None;
                peer.leaving = None;
            }
            peer.joining = None;
            peer.wedged_since = None;
            let astray = peer.standing.is_none_or(|standing| standing.at != here);
            peer.astray_from = astray.then_some(grace);
        }
        // What was said in a lineage that is left does not mean that it is in sight.
        let old = before.at.lineage;
        if old != here.lineage {
            self.peers.values_mut().for_each(|peer| peer.hello = peer.hello.filter(|hello| !hello.is_of(old)));
        }
        // Dead is dead; what the files said leads on from the view before, and is asked for again before it is acted on.
        let view = &self.view;
        self.files.retain(|member, file| file.dead && view.has(*member));
        self.files.values_mut().for_each(|file| file.written = None);
        self.further.clear();
        self.has_looked = false;
        self.forget_strangers();
    }

    /// Who is neither linked nor a member is nobody.
    fn forget_strangers(&mut self) {
        let view = &self.view;
        self.peers.retain(|member, peer| peer.linked || view.has(*member));
    }

    /// A later view is without this member, or with it anew.
    pub(super) fn excluded(&mut self, at: At, out: &mut Outbox) {
        match self.exit.filter(|exit| exit.parted) {
            Some(exit) if exit.elsewhere => {
                out.reached("membership: a member moves to another lineage");
                self.end(Out::Moved, Event::Moved(at), out);
            }
            Some(_) => self.end(Out::Left, Event::Left, out),
            None => {
                out.reached("membership: excluded");
                self.end(Out::Excluded, Event::Excluded(at), out);
            }
        }
    }

    pub(super) fn end(&mut self, why: Out, event: Event, out: &mut Outbox) {
        self.out = Some(why);
        out.emit(event);
        out.emit(Event::Stand(None));
    }
}
