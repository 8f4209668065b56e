use std::time::Duration;

use guthi_core::protocol::{
    contract::{Outbox, Protocol, ViewChange},
    membership::{Command, Config, Machine, Message, Policy},
    time::Time,
    view::{At, Change, Epoch, Lineage, Rank, View},
};

use super::{
    Action, Membership, What,
    letter::member,
    world::{NOW, State},
};
use crate::models::Scope;

/// Which nodes there are, and what may happen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// Two, three and four voters of one view, and several attempts with different values.
    Vote,
    /// A few views in a row, with leases, waits, and nodes that do not know that they were excluded.
    Views,
    /// Processes on one machine that die, and are proven dead.
    Fork,
    /// Lineages that see each other.
    Meeting,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// A voter begins an attempt.
    pub proposals: u8,
    /// A member wants to leave.
    pub leaves: u8,
    /// A process dies.
    pub kills: u8,
    /// Something is written.
    pub writes: u8,
    /// Time goes on, where it is not by leases alone that it matters.
    pub ticks: u8,
}

impl Allowance {
    /// Messages arrive, leases are granted, time goes on, and that is all.
    pub const NONE: Self = Self { proposals: 0, leaves: 0, kills: 0, writes: 0, ticks: u8::MAX };

    pub(super) const fn spend(&mut self, action: &Action) {
        match action {
            Action::Propose { .. } => self.proposals = self.proposals.saturating_sub(1),
            Action::Leave { .. } => self.leaves = self.leaves.saturating_sub(1),
            Action::Kill { .. } => self.kills = self.kills.saturating_sub(1),
            Action::Tick if self.ticks < u8::MAX => self.ticks = self.ticks.saturating_sub(1),
            Action::Write { .. } => self.writes = self.writes.saturating_sub(1),
            Action::Know { .. } | Action::Shift { .. } | Action::Calm | Action::Round => {}
            Action::Deliver { .. } | Action::Lease { .. } | Action::Tell { .. } | Action::Tick => {}
            Action::Look { .. } | Action::Greet { .. } => {}
        }
    }
}

impl Worlds {
    /// What happens there, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Vote => "membership: one view of 2, 3 and 4 voters, attempts with different values, V1",
            Self::Views => "membership: views in a row, leases, waits and nodes that were excluded, V1 to V4",
            Self::Meeting => "membership: lineages that see each other and become one, N1 and N2",
            Self::Fork => "membership: processes that die on one machine, and those who go on without a quorum",
        }
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::default();
        config.policy = if self == Self::Fork { Policy::Any } else { Policy::Majority };
        // Who is proven dead has no leases that count, and the rest is another world's: without them there is no time.
        config.lease = if self == Self::Fork { Duration::ZERO } else { LEASE };
        if self == Self::Meeting {
            // Everybody does what it does by itself; a pause is a tick, or a few.
            config.timeout = TICK * 4;
            config.settle = Duration::ZERO;
            config.stagger = Duration::ZERO;
            config.repeat = TICK;
            config.hello = TICK;
            config.window = Duration::ZERO;
            return config;
        }
        // Whoever wants to propose does, with a reason or without; nobody has to wait for anything but leases.
        config.timeout = NEVER;
        config.settle = NEVER;
        config.repeat = NEVER;
        config.hello = NEVER;
        config.window = Duration::ZERO;
        config.stagger = NEVER;
        config
    }

    pub(super) fn initial(self, model: &Membership) -> Vec<State> {
        let (scope, config) = (model.scope, model.config);
        let allow = |proposals| Allowance { proposals, ..Allowance::NONE };
        let long = scope == Scope::Long;
        match self {
            Self::Vote => {
                let votes: &[_] = if long { &[(2, 4), (3, 4), (4, 3)] } else { &[(2, 3), (3, 3), (4, 2)] };
                let vote = |(voters, ballots)| State {
                    holders: 0,
                    swift: false,
                    ..settled(voters, 0, config, allow(ballots))
                };
                votes.iter().copied().map(vote).collect()
            }
            Self::Views => {
                // One node after the other is the one whose leases matter: those of others make nobody wait less. In the long
                // scope all have them, and their answers are slow.
                let each = |members: u8, joiners: u8, proposals| {
                    let all = members + joiners;
                    let holders = if long { (1 << all) - 1..(1 << all) } else { 0..all };
                    let holders = holders.map(move |holder| if long { holder } else { 1 << holder });
                    let start = settled(members, joiners, config, allow(proposals));
                    holders.map(move |holders| State { holders, ..start.clone() })
                };
                let leaving = |state: State| State { left: Allowance { leaves: 1, ..state.left }, ..state };
                let slow = |state: State| State { swift: false, ..state };
                let more = u8::from(long);
                let mut all: Vec<_> = each(3, 0, 2 + more).chain(each(2, 1, 2 + more)).collect();
                all.extend(each(3, 1, 1 + more));
                all.extend(each(3, 0, 1 + more).map(slow));
                all.extend(each(2 + more, 0, 3).map(leaving));
                // One view later: what was granted in the one before still runs.
                let before = each(3, 0, 2).next();
                let story = [Action::Lease { holder: 1, grantor: 0 }, Action::Propose { node: 0, what: What::Cut(2) }];
                all.extend(before.map(|before| State { holders: 1 << 1, ..before.after(model, &story) }));
                all.extend(returned(config));
                all
            }
            Self::Meeting => {
                let one =
                    |sizes: &[u8], writes, ticks| met(sizes, model, Allowance { writes, ticks, ..Allowance::NONE });
                let worlds: &[(&[u8], u8, u8)] = if long {
                    &[(&[1, 1], 2, 8), (&[2, 1], 1, 2), (&[1, 1, 1], 2, 1), (&[2, 2], 1, 1), (&[2, 1, 1], 1, 0)]
                } else {
                    &[(&[1, 1], 2, 5), (&[2, 1], 1, 0), (&[1, 1, 1], 1, 0), (&[2, 2], 1, 0)]
                };
                worlds.iter().map(|(sizes, writes, ticks)| one(sizes, *writes, *ticks)).collect()
            }
            Self::Fork => {
                let one = |members: u8, joiners, proposals, kills| State {
                    // Who comes in must have been answered.
                    holders: 1 << members,
                    ..settled(members, joiners, config, Allowance { kills, ..allow(proposals) })
                };
                let mut all = vec![one(2, 1, 2, 1), one(2, 1, 2, 2), one(3, 1, if long { 2 } else { 1 }, 2)];
                // Later in the story: half of them are dead, and without the oldest the others are no quorum.
                let mut four = one(4, 1, 2, 1);
                let mut apart = one(4, 0, 0, 0);
                apart.unlink(2, 3);
                for node in [0, 1] {
                    four.kill(node);
                    apart.kill(node);
                }
                all.extend([four, apart]);
                all
            }
        }
    }

    /// What may be proposed as the next view.
    pub(super) fn proposals(self, state: &State, node: u8) -> Vec<What> {
        let nodes = 0..state.nodes.len() as u8;
        match self {
            // The values differ, and that is all that matters.
            Self::Vote => {
                vec![[What::Cut(1), What::Cut(0), What::Renew, What::Retire(1)][usize::from(state.left.proposals - 1)]]
            }
            Self::Meeting => Vec::new(),
            Self::Views | Self::Fork => {
                let Some(machine) = state.machine(node) else { return Vec::new() };
                let view = machine.view();
                let cuts = nodes.clone().filter(|other| *other != node && view.has(member(*other))).map(What::Cut);
                let new = |other: &u8| {
                    let alone = |machine: &Machine| machine.view().seats.len() == 1;
                    !view.has(member(*other)) && state.machine(*other).is_some_and(alone)
                };
                let leaving = |other: &u8| state.node(*other).leaves.is_some_and(|_| view.has(member(*other)));
                let leave = nodes.clone().filter(leaving).map(|other| {
                    let parted = state.node(other).leaves == Some(true);
                    if parted { What::Part(other) } else { What::Retire(other) }
                });
                let renew = Some(What::Renew).filter(|_| self == Self::Views);
                cuts.chain(leave).chain(nodes.filter(new).map(What::Admit)).chain(renew).collect()
            }
        }
    }

    pub(super) fn sometimes(self) -> Vec<&'static str> {
        match self {
            Self::Vote => vec!["membership: a value that was accepted before"],
            Self::Views => vec!["membership: a view learnt from somebody who was ahead", "membership: excluded"],
            Self::Fork => vec!["membership: a fork"],
            Self::Meeting => {
                vec!["membership: a view that was not asked for", "membership: two lineages that both hold variables"]
            }
        }
    }
}

/// Members of a view that is long active, who all know each other, and nodes that want to come in.
fn settled(members: u8, joiners: u8, config: Config, left: Allowance) -> State {
    let at = |founder: u8| At { lineage: Lineage([founder + 1; 16]), epoch: Epoch(1) };
    let born = View::born(at(0), member(0));
    let view = (1..members).fold(born, |view, node| view.successor(&[Change::Admit(member(node), Epoch(1))]));
    let all = 0..members + joiners;
    let mut machines = Vec::new();
    for node in all.clone() {
        // Who comes in may come from far on, so that epochs leave gaps.
        let far = if config.policy == Policy::Any { Epoch(1) } else { Epoch(9) };
        let born = View::born(At { epoch: far, ..at(node) }, member(node));
        let view = if node < members { view.clone() } else { born };
        let mut machine = Machine::in_view(member(node), config, view);
        for other in all.clone().filter(|other| *other != node) {
            machine.view_changed(NOW, ViewChange::Linked(member(other)), &mut Outbox::new());
            if node < members && other < members {
                let standing = machine.standing();
                let asked = Command::Asked { by: member(other), standing };
                // So long ago that nobody has to wait for it.
                machine.command(Time::default(), asked, &mut Outbox::new());
            }
        }
        machines.push(machine);
    }
    // Who wants to come in has heard of those who are there, and goes where they are. Where forks are, it may hear of either.
    let joiners = if config.policy == Policy::Any { 0 } else { joiners };
    for joiner in members..members + joiners {
        for old in 0..members {
            let rank = Rank { quorum: true, ..machines[usize::from(old)].rank() };
            let hello = Message::Hello { rank, open: true };
            machines[usize::from(joiner)].receive(NOW, member(old), hello, &mut Outbox::new());
        }
    }
    machines.iter_mut().for_each(|machine| machine.forget_hints(NOW));
    State::new(machines, left)
}

/// Lineages of so many members each, which come to be linked now.
fn met(sizes: &[u8], model: &Membership, left: Allowance) -> State {
    let mut machines = Vec::new();
    for size in sizes {
        let first = machines.len() as u8;
        let at = At { lineage: Lineage([first + 1; 16]), epoch: Epoch(1) };
        let born = View::born(at, member(first));
        let view =
            (first + 1..first + size).fold(born, |view, node| view.successor(&[Change::Admit(member(node), Epoch(1))]));
        machines.extend((first..first + size).map(|node| Machine::in_view(member(node), model.config, view.clone())));
    }
    let mut state = State::new(machines, left);
    state.link_all(model);
    state
}

/// Long ago a member was cut, and let in again after so many others had gone that nobody remembered it. It has not heard of
/// any of this.
fn returned(config: Config) -> Option<State> {
    let before = settled(3, 0, config, Allowance::NONE);
    let view = before.machine(2)?.view().clone();
    let mut after = view.successor(&[Change::Cut(member(2))]);
    after.gone.clear();
    let after = after.successor(&[Change::Admit(member(2), Epoch(1))]);
    let machines = (0..3).map(|node| {
        let view = if node == 2 { view.clone() } else { after.clone() };
        let mut machine = Machine::in_view(member(node), config, view);
        let others = (0..3).filter(|other| *other != node).map(member);
        others.for_each(|other| machine.view_changed(NOW, ViewChange::Linked(other), &mut Outbox::new()));
        machine
    });
    let mut machines: Vec<_> = machines.collect();
    machines.iter_mut().for_each(|machine| machine.forget_hints(NOW));
    Some(State::new(machines, Allowance::NONE))
}

/// The step of all clocks.
pub(super) const TICK: Duration = Duration::from_nanos(24);
/// Two ticks, so that a lease may be as good as new, half over, or over. It is so short that the two hundredths by which
/// clocks may differ do not make a nanosecond: the holder believes in its lease as long as the grantor does.
pub(super) const LEASE: Duration = Duration::from_nanos(48);
/// Longer than any world.
const NEVER: Duration = Duration::from_nanos(1 << 50);
/// Moments that never come.
pub(super) const FAR: Time = Time::from_nanos(1 << 49);
