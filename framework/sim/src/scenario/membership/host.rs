//! A node with its user, its operator and its toy variables.

use std::{collections::BTreeSet, time::Duration};

use guthi_core::protocol::{
    contract::Outbox,
    engine,
    membership::{Command, Event, File, Holdings, Machine, Policy},
    time::Time,
};

use super::{
    super::node::{self, Node},
    Deed,
    room::Lock,
};
use crate::{
    fabric::Kind,
    world::{Host, Input, Wish},
};

/// A node of this scenario.
#[derive(Debug)]
pub struct MembershipHost {
    pub(super) node: Node,
    pub(super) lock: Lock,
    /// So many of the events of its engine it has followed.
    looked: usize,
    policy: Policy,
    /// It looks at the files and the variables of the others so often.
    poll: Duration,
    poll_at: Time,
    /// What it has told its membership of the files.
    told: Vec<File>,
    /// Its lineage holds variables, as it saw when it last looked.
    known: bool,
    holdings: Holdings,
    guard_until: Option<Time>,
    /// Somebody reads its alarms, and lets it go on without a quorum after so long.
    patience: Option<Duration>,
    fork_at: Option<Time>,
    /// It ends with its next step.
    ends: bool,
}

/// What a node is like beside its engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) policy: Policy,
    pub(super) poll: Duration,
    pub(super) patience: Option<Duration>,
}

impl MembershipHost {
    pub(super) fn new(node: Node, lock: Lock, habits: Habits) -> Self {
        let Habits { policy, poll, patience } = habits;
        let host = Self {
            node,
            lock,
            looked: 0,
            policy,
            poll,
            poll_at: Time::default() + poll,
            told: Vec::new(),
            known: false,
            holdings: Holdings::default(),
            guard_until: None,
            patience,
            fork_at: None,
            ends: false,
        };
        host.publish();
        host
    }

    /// What its engine has said since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<engine::Event> {
        self.looked = 0;
        std::mem::take(&mut self.node.events)
    }

    pub(super) const fn machine(&self) -> &Machine {
        self.node.engine.membership()
    }

    /// The variables of which it has a copy.
    pub(super) fn copies(&self) -> BTreeSet<u8> {
        self.lock.copies()
    }
}

impl Host for MembershipHost {
    type Operation = Deed;

    fn step(&mut self, now: Time, input: Input<'_, Deed>, out: &mut Outbox<Wish>) {
        if self.ends {
            if matches!(input, Input::Wake) {
                out.push(Wish::Die);
            }
            return;
        }
        // Others have perhaps given it copies, which it knows before anything else.
        self.hold(now, out);
        match input {
            Input::Linked(member) => {
                self.node.linked(now, member, out);
                self.follow(now, out);
            }
            Input::Message { from, bytes, kind: Kind::Packet } => {
                self.node.packet(now, from, bytes, out);
                self.follow(now, out);
            }
            Input::Message { kind: Kind::Stream, .. } => {}
            Input::Unlinked(member) => self.input(now, engine::Input::Unlinked(member), out),
            Input::Unreachable(node) => self.input(now, engine::Input::Unreachable(node), out),
            Input::Operation(deed) => self.act(now, *deed, out),
            Input::Leave => self.command(now, Command::Leave, out),
            Input::Wake => self.wake(now, out),
        }
        self.hold(now, out);
        self.publish();
    }

    fn deadline(&self) -> Option<Time> {
        if self.ends {
            return Some(Time::default());
        }
        let own = [Some(self.poll_at), self.guard_until, self.fork_at, self.node.engine.deadline()];
        own.into_iter().flatten().min()
    }

    fn tell(bytes: &[u8]) -> String {
        node::tell(bytes)
    }

    fn is_noise(bytes: &[u8]) -> bool {
        node::is_noise(bytes, node::Topic::Membership)
    }
}

impl MembershipHost {
    fn input(&mut self, now: Time, input: engine::Input, out: &mut Outbox<Wish>) {
        self.node.step(now, input, out);
        self.follow(now, out);
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox<Wish>) {
        self.input(now, engine::Input::Membership(command), out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox<Wish>) {
        if self.poll_at <= now {
            self.poll_at = now + self.poll;
            self.look_at_files(now, out);
            self.known = self.lock.recover(self.node.engine.membership().view());
        }
        if self.guard_until.is_some_and(|until| until <= now) {
            self.guard_until = None;
        }
        if self.fork_at.is_some_and(|at| at <= now) {
            self.fork_at = Some(now + FORK_AGAIN);
            self.fork(now, out);
        }
        if self.node.engine.deadline().is_some_and(|due| due <= now) {
            self.input(now, engine::Input::Wake, out);
        }
    }

    fn act(&mut self, now: Time, deed: Deed, out: &mut Outbox<Wish>) {
        let machine = self.node.engine.membership();
        match deed {
            Deed::Leave => self.command(now, Command::Leave, out),
            Deed::Set { variable } => {
                if machine.serves(now) && !self.lock.set(machine.view(), variable) {
                    out.push(Wish::Note("cannot set that now".into()));
                }
            }
            Deed::Remove { variable } => {
                if machine.serves(now) {
                    self.lock.remove(machine.view(), variable);
                }
            }
            Deed::Lock { ms } => {
                if machine.serves(now) {
                    self.guard_until = Some(now + Duration::from_millis(ms.into()));
                }
            }
            Deed::Fork => self.fork(now, out),
            Deed::Dissolve => self.command(now, Command::Dissolve, out),
        }
    }

    fn fork(&mut self, now: Time, out: &mut Outbox<Wish>) {
        self.lock.room.fork_by_hand();
        self.command(now, Command::Fork, out);
    }

    /// What its services hold has perhaps changed.
    fn hold(&mut self, now: Time, out: &mut Outbox<Wish>) {
        let home = !self.lock.copies().is_empty();
        let guards = self.guard_until.is_some();
        let variables = self.known || home;
        let holdings = Holdings { variables, home, guards };
        if holdings != self.holdings && !self.ends {
            self.holdings = holdings;
            self.command(now, Command::Hold(holdings), out);
        }
    }

    /// Whether the processes of the others live, and how far they came.
    fn look_at_files(&mut self, now: Time, out: &mut Outbox<Wish>) {
        if self.policy != Policy::Any {
            return;
        }
        let files = self.lock.room.files();
        if files != self.told {
            self.told.clone_from(&files);
            self.command(now, Command::Files(files), out);
        }
    }

    /// What its membership has said since this was last looked at.
    fn follow(&mut self, now: Time, out: &mut Outbox<Wish>) {
        while self.looked < self.node.events.len() {
            self.looked += 1;
            let engine::Event::Membership(event) = &self.node.events[self.looked - 1] else { continue };
            match event {
                Event::Excluded(_) | Event::Moved(_) => self.ends = true,
                Event::Left => {
                    self.ends = true;
                    self.node.step(now, engine::Input::Leave, out);
                }
                Event::Installed(installed) => {
                    if installed.at.lineage != installed.before.lineage {
                        self.known = false;
                    }
                    self.told.clear();
                }
                Event::Rescue => self.rescue(),
                Event::Isolated { .. } => self.fork_at = self.patience.map(|patience| now + patience),
                Event::Connected => self.fork_at = None,
                _ => {}
            }
        }
    }

    /// It writes its variables into rescue files.
    fn rescue(&mut self) {
        self.known = false;
        self.lock.drop_copies();
    }

    fn publish(&self) {
        let standing = self.machine().standing();
        let unwedged = standing.is_some_and(|standing| !standing.wedged);
        self.lock.publish(&self.node.written, self.machine().view().at, unwedged);
    }
}

/// Whoever lets a node go on without a quorum, and sees that it does not, tries again after so long.
const FORK_AGAIN: Duration = Duration::from_secs(5);
