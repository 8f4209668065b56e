//! The model of the mutexes: one name, two or three nodes, and a membership that is written down beforehand.
//!
//! **The world.** Each node runs the real [`Machine`](guthi_core::protocol::mutex::Machine). Messages are in wire form, and
//! whatever was sent stays: it may arrive at any time, again and again, or never. So loss, repetition and reordering need no
//! actions of their own. Only what can make no difference any more is dropped, such as a message of a view that its reader has
//! left, or a request of which it knows already.
//!
//! **The membership.** Each way in which a world may begin has a course: a first view and the changes after it, and a name
//! whose homes are the wanted ones. A voter may be wedged at any moment, and serves nothing from then on until it installs
//! another view; the next view is decided once a quorum is wedged. Members install it one by one, and may skip one. Whoever
//! was cut knows nothing of it and goes on in its own view, until its lease ends, at any time. A view is active once the
//! leases of all who were cut on the way to it have ended, or they are dead. This is what the model of the membership shows,
//! and is taken for granted here.
//!
//! **The tasks.** Tasks wait, try and wait no more, as often as an [`Allowance`] says. A node may take a guard of its parked
//! token by itself, and answers in the same step when the token is recalled. A guard that was given back may be given back
//! again, and a node may die with or without one. The lease of a member may end for a while; a cut one never comes back.
//!
//! **Time.** It stands still, and timers are not hashed: what they would say again was said, and stays. A message of a view
//! that its reader has not installed yet waits outside, and not in the machine.
//!
//! **Invariants.** Looked at in each state:
//! - L1: in each view at most one token is somewhere. Of those that were passed on equally often, or most often, all are in
//!   one place; whatever is said of an earlier pass is an old copy, unless the token is here.
//! - L3: at most one node holds a guard and a lease.
//! - W4: a token is not passed on and on while nobody gets it.
//!
//! Looked at when something is granted or taken:
//! - L2: fences rise, over all views.
//! - L5: where others wait, a node grants no more guards in a row than it may.
//! - L6: if the guard before was not given back, the next one tells of a death; and none is told of where nobody has died.
//! - L7: where nobody waits, and nobody has stopped waiting, no token comes. So a try that was told to be in vain is.
//!
//! W2 by recovery: what is under way is lost, or arrives; the dead are cut by one more view, which all others install; then
//! messages arrive, guards are given back and who waits is woken, until all is at rest. Then nobody waits.
//!
//! **What is left out.** More than one name, more than three nodes, more than two changes, and messages that come too early
//! and are kept. Two rules of the machine guard the same thing, so the breach of one alone is not noticed: a token that is
//! made before its view is active is of no use, since no guard is granted then either.

mod action;
pub(super) mod letter;
mod rules;
mod world;
mod worlds;

pub use action::Action;
pub use world::{Node, State};
pub use worlds::{Allowance, Worlds};

use std::{cell::RefCell, rc::Rc};

use guthi_core::protocol::{
    bugs::{Bug, Bugs},
    mutex::Config,
    service::Service,
};
use rustc_hash::FxHashMap;

use super::Scope;
use crate::explore::{Model, Shared};
use letter::{Letter, member};
use world::{Course, Input, Step, TRY};

/// What came of something before.
type Memory<K, V> = RefCell<FxHashMap<K, V>>;
/// A node that takes an input, where it is and what the membership allows.
type Taking = (Shared<Course>, Shared<Node>, u8, Service, Input);

/// One mutex at a few nodes.
#[derive(Debug)]
pub struct Mutex {
    worlds: Worlds,
    scope: Scope,
    planted: Option<Bug>,
    config: Config,
    start: Option<usize>,
    /// What came of each input of each node: the same nodes meet the same messages again and again, in many worlds.
    steps: Memory<Taking, Option<Rc<Step>>>,
    late: Memory<(Shared<Node>, Shared<Letter>), bool>,
}

impl Mutex {
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
    fn is_late(&self, node: &Shared<Node>, letter: &Shared<Letter>) -> bool {
        let mut late = self.late.borrow_mut();
        if late.len() == STEPS_MAX {
            late.clear();
        }
        let is_late = || {
            let machine = node.machine.as_ref();
            machine.is_none_or(|machine| machine.is_late(member(letter.from), &letter.message()))
        };
        *late.entry((node.clone(), letter.clone())).or_insert_with(is_late)
    }
}

impl Model for Mutex {
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
            may(left.locks > 0 && state.waiters(node).count() < WAITERS_MAX, Action::Acquire { node });
            may(left.tries > 0 && !it.tried, Action::Try { node });
            for ticket in state.waiters(node).chain(it.tried.then_some(TRY)) {
                may(left.cancels > 0, Action::Cancel { node, ticket: ticket.0 as u8 });
            }
            may(it.guard.is_some(), Action::Release { node });
            may(left.again > 0 && it.before.is_some(), Action::Again { node });
            may(left.takes > 0 && it.parked.is_some(), Action::Take { node });
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
        rules::w2(state).map(|()| None)
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
            "#[test]\nfn the_mutexes_keep_their_rules_on_this_path() {{\n    \
             use Action::*;\n    \
             let model = Mutex::new(Worlds::{worlds:?}, Scope::{scope:?}){starting}{planted};\n    \
             let path = [\n{actions}    ];\n    \
             assert_eq!(explore::replay(&model, {start}, &path), Ok(()));\n}}\n"
        )
    }
}

/// So many tasks of one node wait at once.
const WAITERS_MAX: usize = 3;
/// A recovery has so many rounds to come to its end.
const ROUNDS_MAX: u8 = 40;
/// Steps are remembered up to so many.
const STEPS_MAX: usize = 1 << 18;
