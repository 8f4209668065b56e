//! The model of the membership: two to five nodes that agree on views, on a network that forgets nothing.
//!
//! **The world.** Each node runs the real [`Machine`](guthi_core::protocol::membership::Machine). Messages are in wire form,
//! and whatever was sent stays: it may arrive at any time, again and again, or never. So loss, repetition and reordering
//! need no actions of their own. Only what can make no difference any more is dropped: a message of an instance that its
//! reader has left, of a ballot below the one it has promised, or of an attempt that is over.
//!
//! **What begins.** Safety must not hang on reasons, questions or pauses, so in the worlds [`Vote`](Worlds::Vote),
//! [`Views`](Worlds::Views) and [`Fork`](Worlds::Fork) the machine begins nothing by itself, and any voter may propose any
//! change at any moment; false suspicion is nothing else. Excluded nodes go on as they did until a view is told to them.
//! What is refused is dropped: the next attempt is an action. In [`Meeting`](Worlds::Meeting) the machines do what they do by
//! themselves; agreement inside a lineage is quick, and hellos, joins, leaves and views are as slow as they like.
//!
//! **Time.** One tick moves all clocks, and a lease is two. Moments are counted from the present, so two states never
//! differ by the hour alone. An echo and its answer are one action: a lease is worth as much as it can be, and the two
//! hundredths between clocks round to nothing, so that the holder believes in it as long as the grantor does. Whoever is
//! behind is told a view with what is left of the wait at that moment; an older answer would only make it wait longer. Where
//! one node alone comes to hold leases, each is that one in a beginning of its own: a lease of somebody else makes nobody
//! wait less.
//!
//! **Answers.** Where a state is *swift*, promises and acceptances arrive as soon as they are sent. Who asks may still ask
//! anybody at any time. Every scope has beginnings that are not.
//!
//! **Invariants.** V1 and V2 when a view is installed that was not told by anybody; V3 when a lease is granted, and with V4, for
//! reads and for guards, in each state. E1: nobody goes on over a view without it. In `Fork`: of the lineages that go back to
//! one, and the views of each, one at most could be served. In `Meeting`: N1 in each state, with variables that are a piece
//! in some member's hand and move when that member leaves; N2 by recovery: what is under way is lost, time goes on, all
//! arrives, and lineages of which one at most holds variables are one in the end.
//!
//! **What is left out.** Clocks of different rates, more than four voters, batches of changes, and in `Fork` leases: there they
//! end at once, and who has been answered is all that matters. With a rule broken on purpose V2 and V3 are not asked for, but
//! what they are for.

mod action;
mod letter;
mod rules;
mod world;
mod worlds;

pub use action::{Action, What};
pub use world::{Node, State};
pub use worlds::{Allowance, Worlds};

use std::{cell::RefCell, rc::Rc};

use guthi_core::protocol::{
    bugs::{Bug, Bugs},
    membership::Config,
    view::Epoch,
};
use rustc_hash::FxHashMap;

use super::Scope;
use crate::explore::{Model, Shared};
use letter::{Letter, member};
use world::{Input, Step};

/// What came of something at a node before.
type Memory<K, V> = RefCell<FxHashMap<(Shared<Node>, K), V>>;

/// The memberships of a few nodes.
#[derive(Debug)]
pub struct Membership {
    worlds: Worlds,
    scope: Scope,
    planted: Option<Bug>,
    config: Config,
    start: Option<usize>,
    /// What came of each input of each node: the same nodes meet the same messages again and again, in many worlds.
    steps: Memory<Input, Option<Rc<Step>>>,
    late: Memory<Shared<Letter>, bool>,
}

impl Membership {
    /// The machines as they are.
    #[must_use]
    pub fn new(worlds: Worlds, scope: Scope) -> Self {
        let config = worlds.config();
        Self { worlds, scope, planted: None, config, start: None, steps: RefCell::default(), late: RefCell::default() }
    }

    /// The machines with a fault.
    #[must_use]
    pub fn planted(mut self, bug: Bug) -> Self {
        self.planted = Some(bug);
        self.config.bugs = Bugs::plant(bug);
        self
    }

    /// One of the ways in which the world may begin.
    #[must_use]
    pub const fn starting(mut self, start: usize) -> Self {
        self.start = Some(start);
        self
    }

    /// With a rule broken on purpose, what it is for is looked at, and not whether it is kept.
    const fn is_broken(&self) -> bool {
        self.planted.is_some()
    }

    /// The machines do by themselves what they do, and agree quickly.
    fn is_awake(&self) -> bool {
        self.worlds == Worlds::Meeting
    }

    fn decisions_are_lost(&self) -> bool {
        self.worlds == Worlds::Vote
    }

    fn step(&self, node: &Shared<Node>, input: &Input) -> Option<Rc<Step>> {
        let key = (node.clone(), input.clone());
        if let Some(known) = self.steps.borrow().get(&key) {
            return known.clone();
        }
        let step = Step::take(self, node, input).map(Rc::new);
        let mut steps = self.steps.borrow_mut();
        if steps.len() == STEPS_MAX {
            steps.clear();
        }
        steps.insert(key, step.clone());
        step
    }

    /// Whether a message can make no difference any more to the node to which it was sent.
    fn is_late(&self, node: &Shared<Node>, letter: &Shared<Letter>) -> bool {
        let mut late = self.late.borrow_mut();
        if late.len() == STEPS_MAX {
            late.clear();
        }
        let is_late = || node.machine.as_ref().is_none_or(|machine| machine.is_late(&letter.message()));
        *late.entry((node.clone(), letter.clone())).or_insert_with(is_late)
    }
}

impl Model for Membership {
    type State = State;
    type Action = Action;

    fn initial(&self) -> Vec<State> {
        let all = self.worlds.initial(self);
        match self.start {
            Some(start) => all.into_iter().skip(start).take(1).collect(),
            None => all,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let nodes = 0..state.nodes.len() as u8;
        actions.extend((0..state.sent.len() as u16).map(|letter| Action::Deliver { letter }));
        for node in nodes.clone() {
            let Some(machine) = state.machine(node) else { continue };
            let view = machine.view();
            if state.left.proposals > 0 && view.rank(member(node)).is_some() {
                let proposals = self.worlds.proposals(state, node).into_iter();
                actions.extend(proposals.map(|what| Action::Propose { node, what }));
            }
            if state.left.leaves > 0 {
                actions.push(Action::Leave { node });
            }
            if self.is_awake() {
                if state.left.writes > 0 {
                    actions.push(Action::Write { node });
                }
                actions.push(Action::Know { node });
                actions.extend(nodes.clone().map(|to| Action::Shift { from: node, to }));
                continue;
            }
            if state.left.kills > 0 {
                actions.push(Action::Kill { node });
            }
            if self.worlds == Worlds::Fork {
                actions.push(Action::Look { node });
            }
            for (other, its) in nodes.clone().filter_map(|other| Some((other, state.machine(other)?))) {
                if view.at.is_before(its.view().at) && !self.decisions_are_lost() {
                    actions.push(Action::Tell { node, by: other });
                }
                let newborn = view.seats.len() == 1 && view.at.epoch == Epoch(1);
                if self.worlds == Worlds::Fork && newborn && its.view().at.lineage != view.at.lineage {
                    actions.push(Action::Greet { node, by: other });
                }
                if other != node && state.holders >> node & 1 == 1 {
                    actions.push(Action::Lease { holder: node, grantor: other });
                }
            }
        }
        if self.worlds == Worlds::Views || (self.is_awake() && state.left.ticks > 0) {
            actions.push(Action::Tick);
        }
    }

    fn next(&self, state: &State, action: &Action, met: &mut Vec<&'static str>) -> Option<State> {
        let mut next = state.clone();
        next.act(self, action, met)?;
        Some(next)
    }

    fn check(&self, state: &State) -> Result<(), String> {
        rules::check(state, self.worlds)
    }

    fn sometimes(&self) -> Vec<&'static str> {
        self.worlds.sometimes()
    }

    fn recoveries(&self, state: &State) -> Vec<Action> {
        if self.is_awake() && state.rounds.is_none() { vec![Action::Calm] } else { Vec::new() }
    }

    fn recover(&self, state: &State) -> Result<Option<Action>, String> {
        let Some(rounds) = state.rounds else { return Ok(None) };
        // Pieces move and words spread before anything else.
        let nodes = 0..state.nodes.len() as u8;
        let pairs = nodes.clone().flat_map(|from| nodes.clone().map(move |to| Action::Shift { from, to }));
        let mut idle = pairs.chain(nodes.clone().map(|node| Action::Know { node }));
        if let Some(action) = idle.find(|action| self.next(state, action, &mut Vec::new()).is_some()) {
            return Ok(Some(action));
        }
        match rules::n2(state) {
            Ok(()) => Ok(None),
            Err(_) if rounds < ROUNDS_MAX => Ok(Some(Action::Round)),
            Err(why) => Err(why),
        }
    }

    fn describe(&self, before: &State, action: &Action, after: &State) -> String {
        action.describe(before, after)
    }

    fn test(&self, start: usize, actions: &[Action]) -> String {
        let Self { worlds, scope, planted, .. } = self;
        let planted = planted.map_or_else(String::new, |bug| format!(".planted(Bug::{bug:?})"));
        let starting = self.start.map_or_else(String::new, |start| format!(".starting({start})"));
        let actions: String = actions.iter().map(|action| format!("        {action:?},\n")).collect();
        format!(
            "#[test]\nfn the_membership_keeps_its_rules_on_this_path() {{\n    \
             use {{Action::*, What::*}};\n    \
             let model = Membership::new(Worlds::{worlds:?}, Scope::{scope:?}){starting}{planted};\n    \
             let path = [\n{actions}    ];\n    \
             assert_eq!(explore::replay(&model, {start}, &path), Ok(()));\n}}\n"
        )
    }
}

/// A recovery has so many ticks to come to its end.
const ROUNDS_MAX: u8 = 60;
/// Steps are remembered up to so many.
const STEPS_MAX: usize = 1 << 18;
