//! The model of the variables: one variable, three nodes, two homes, and a membership that is written down beforehand.
//!
//! **The world.** Each node runs the real [`Machine`](guthi_core::protocol::variable::Machine). Each part of a message is in
//! wire form and travels by itself, and whatever was sent stays: it may arrive at any time, again and again, or never. So loss,
//! repetition and reordering need no actions of their own. Only what can make no difference any more is dropped.
//!
//! **The membership** is as in the model of the mutexes: a voter may be wedged at any moment; the next view is decided once a
//! quorum is wedged; members install it one by one, and may skip one; whoever was cut goes on in its own view until its lease
//! ends; and a view is active once the leases of all who were cut on the way to it have ended.
//!
//! **The tasks.** Each node has a list of tasks, and begins them in order, at any time. A task reads; or adds a number that is
//! its own; or replaces what was read last by the same with its own number added, if nobody else has written; or removes the
//! variable; or watches from then on. So each value tells which operations were done on it, and how often. A read ends once there
//! is a copy and the lease holds.
//!
//! **Time** stands still, as there. A message of a view that its reader has not installed yet waits outside.
//!
//! **Invariants.** Looked at in each state, at nodes whose lease holds:
//! - D3: no copy that may be read is older than a version that anybody was told of.
//! - D4: a home that serves the variable has all that anybody has seen.
//! - D8: nothing is done twice there, and nothing that was refused.
//!
//! Looked at when a task ends:
//! - D9: it has seen what was seen before it began, its own operation too, and of all that was ever seen one contains the
//!   other. So there is one order of all that was done, and D6: what was read stays.
//!
//! Looked at when who watches is told of a version: D12, that it is not older than the one before; and D6 and D9 as for a read
//! that began before everything.
//!
//! Looked at when a shard has nobody left: D5, that at least as many nodes are gone as there are homes.
//!
//! W3 by recovery, as W2 of the mutexes: in the end no task waits; and D12, that who watches was told of the newest at last.
//!
//! **What is left out.** More than one variable, messages that come too early and are kept, what an earlier life offers, the
//! reset of a shard that has nobody left, guards, and more than a few tasks.

mod action;
mod letter;
mod rules;
mod world;
mod worlds;

pub use action::Action;
pub use world::{Node, State};
pub use worlds::{Allowance, Task, Worlds};

use std::{cell::RefCell, rc::Rc};

use guthi_core::protocol::{
    bugs::{Bug, Bugs},
    service::Service,
    variable::Config,
};
use rustc_hash::FxHashMap;

use super::Scope;
use crate::explore::{Model, Shared};
use letter::{Letter, member};
use world::{Course, Input, Step};

/// What came of something before.
type Memory<K, V> = RefCell<FxHashMap<K, V>>;
/// A node that takes an input, where it is and what the membership allows.
type Taking = (Shared<Course>, Shared<Node>, u8, Service, Input);

/// One variable at a few nodes.
#[derive(Debug)]
pub struct Variable {
    worlds: Worlds,
    scope: Scope,
    planted: Option<Bug>,
    config: Config,
    start: Option<usize>,
    /// What came of each input of each node: the same nodes meet the same messages again and again, in many worlds.
    steps: Memory<Taking, Option<Rc<Step>>>,
    late: Memory<(Shared<Node>, Shared<Letter>), bool>,
    awaited: Memory<(Shared<Node>, Shared<Letter>), bool>,
}

impl Variable {
    /// The machines as they are.
    #[must_use]
    pub fn new(worlds: Worlds, scope: Scope) -> Self {
        let config = worlds.config();
        Self {
            worlds,
            scope,
            planted: None,
            config,
            start: None,
            steps: RefCell::default(),
            late: RefCell::default(),
            awaited: RefCell::default(),
        }
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

    const fn config(&self) -> Config {
        self.config
    }

    fn step(
        &self,
        course: &Shared<Course>,
        node: &Shared<Node>,
        at: u8,
        service: Service,
        input: Input,
    ) -> Option<Rc<Step>> {
        let key = (course.clone(), node.clone(), at, service, input);
        if let Some(known) = self.steps.borrow().get(&key) {
            return known.clone();
        }
        let step = Step::take(self, course, node, at, service, &key.4).map(Rc::new);
        let mut steps = self.steps.borrow_mut();
        if steps.len() == STEPS_MAX {
            steps.clear();
        }
        steps.insert(key, step.clone());
        step
    }

    /// Whether a message can make no difference any more to the node to which it was sent.
    fn is_late(&self, course: &Course, node: &Shared<Node>, letter: &Shared<Letter>) -> bool {
        let mut late = self.late.borrow_mut();
        if late.len() == STEPS_MAX {
            late.clear();
        }
        let is_late = || {
            let (at, machine) = (course.view(letter.view).at, node.machine.as_ref());
            machine.is_none_or(|machine| machine.is_late(member(letter.from), at, &letter.part()))
        };
        *late.entry((node.clone(), letter.clone())).or_insert_with(is_late)
    }

    /// Whether the node that has said it waits for the answer.
    fn is_awaited(&self, node: &Shared<Node>, letter: &Shared<Letter>) -> bool {
        if node.view != letter.view || node.wedged {
            return false;
        }
        let mut awaited = self.awaited.borrow_mut();
        if awaited.len() == STEPS_MAX {
            awaited.clear();
        }
        let is_awaited = || {
            let machine = node.machine.as_ref();
            machine.is_some_and(|machine| machine.waits_for(member(letter.to), &letter.part()))
        };
        *awaited.entry((node.clone(), letter.clone())).or_insert_with(is_awaited)
    }
}

impl Model for Variable {
    type State = State;
    type Action = Action;

    fn initial(&self) -> Vec<State> {
        let all = self.worlds.initial(self.scope, self.config);
        match self.start {
            Some(start) => all.into_iter().skip(start).take(1).collect(),
            None => all,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        actions.extend((0..state.sent.len() as u16).map(|letter| Action::Deliver { letter }));
        for node in 0..state.nodes.len() as u8 {
            let it = state.node(node);
            let installs = (0..=state.decided).filter(|view| state.may_install(node, *view));
            actions.extend(installs.map(|view| Action::Install { node, view }));
            let Some(machine) = &it.machine else { continue };
            let mut may = |is_possible: bool, action| actions.extend(is_possible.then_some(action));
            may(state.next_task(node).is_some() && state.rounds.is_none(), Action::Begin { node });
            may(left.forgets > 0 && !it.reading, Action::Forget { node });
            may(machine.is_blocked(), Action::Proceed { node });
            let more = usize::from(state.decided) + 1 < state.course.views.len();
            may(more && it.view == state.decided && !it.wedged, Action::Wedge { node });
            may(it.leased && (left.lapses > 0 || state.is_cut(node)), Action::Lapse { node });
            may(!it.leased && !state.is_cut(node), Action::Renew { node });
            may(left.crashes > 0, Action::Crash { node });
        }
    }

    fn next(&self, state: &State, action: &Action, met: &mut Vec<&'static str>) -> Option<State> {
        let mut next = state.clone();
        next.act(self, action, met)?;
        Some(next)
    }

    fn check(&self, state: &State) -> Result<(), String> {
        rules::check(state)
    }

    fn sometimes(&self) -> Vec<&'static str> {
        self.worlds.sometimes()
    }

    fn recoveries(&self, state: &State) -> Vec<Action> {
        match state.rounds {
            None if !state.can_recover() => Vec::new(),
            None if state.sent.is_empty() => vec![Action::Calm { lose: true }],
            None => vec![Action::Calm { lose: true }, Action::Calm { lose: false }],
            Some(_) => Vec::new(),
        }
    }

    fn recover(&self, state: &State) -> Result<Option<Action>, String> {
        let rounds = state.rounds.unwrap_or(ROUNDS_MAX);
        if rounds < ROUNDS_MAX && !state.is_at_rest() {
            return Ok(Some(Action::Round));
        }
        rules::w3(state).map(|()| None)
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
            "#[test]\nfn the_variable_keeps_its_rules_on_this_path() {{\n    \
             use Action::*;\n    \
             let model = Variable::new(Worlds::{worlds:?}, Scope::{scope:?}){starting}{planted};\n    \
             let path = [\n{actions}    ];\n    \
             assert_eq!(explore::replay(&model, {start}, &path), Ok(()));\n}}\n"
        )
    }
}

/// A recovery has so many rounds to come to its end.
const ROUNDS_MAX: u8 = 40;
/// Steps are remembered up to so many.
const STEPS_MAX: usize = 1 << 18;
