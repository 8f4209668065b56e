//! The model of the catalog: two or three nodes on a network that loses, repeats and reorders.
//!
//! **The world.** Each node runs the real [`Machine`]. What is under way is a set of messages in wire form: each of them
//! may arrive next, arrive and stay under way, or be lost. A link comes up at both ends at once, and goes down at each end
//! by itself, so one end may go on while the other knows better; what was sent over it may still arrive over the next one.
//! A restarted node begins a new life with nothing written. What was sent to the earlier life is lost, as
//! [`ViewChange::Linked`] promises, while what that life has sent may still arrive.
//!
//! **Time.** Each node has a clock of its own, which stands still until the node is woken, and is at its deadline then. All
//! pauses are one tick long. So whoever waits may be the next to be woken, what was just asked for is not asked for again
//! at once, and two states never differ by the hour alone, since moments are counted from the present.
//!
//! **Bounds.** How often each thing may happen is part of the state, see [`Allowance`]. So each world is finite, and is
//! exhausted.
//!
//! **Invariants.** C1 for each pair of nodes in each state, and of C3 that nothing waits without a reason. C2 by recovery: links that are up at one end alone go down,
//! and what is under way arrives, or is lost; then nodes are woken and everything arrives, until nobody has anything
//! to do: each copy of a linked node is there, and its reader knows. Then links come up that were not, and in the end every node has a copy of
//! every other.

mod action;
mod world;
mod worlds;

pub use action::Action;
pub use world::{Node, State};
pub use worlds::{Allowance, Worlds};

use guthi_core::protocol::{
    bugs::{Bug, Bugs},
    catalog::{Config, invariant},
    contract::Protocol,
};

use super::Scope;
use crate::explore::Model;
use world::Phase;

/// The catalogs of a few nodes.
#[derive(Clone, Debug)]
pub struct Catalog {
    worlds: Worlds,
    scope: Scope,
    planted: Option<Bug>,
    config: Config,
    allowance: Allowance,
}

impl Catalog {
    /// The machines as they are.
    #[must_use]
    pub fn new(worlds: Worlds, scope: Scope) -> Self {
        Self { worlds, scope, planted: None, config: worlds.config(), allowance: worlds.allowance(scope) }
    }

    /// The same with other bounds.
    #[must_use]
    pub const fn allowing(mut self, allowance: Allowance) -> Self {
        self.allowance = allowance;
        self
    }

    /// The machines with a fault.
    #[must_use]
    pub fn planted(mut self, bug: Bug) -> Self {
        self.planted = Some(bug);
        self.config.bugs = Bugs::plant(bug);
        self
    }
}

impl Model for Catalog {
    type State = State;
    type Action = Action;

    fn initial(&self) -> Vec<State> {
        self.worlds.initial(self.allowance, self.config)
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        let nodes = 0..state.nodes.len() as u8;
        for (letter, _) in (0..).zip(&state.under_way) {
            actions.push(Action::Deliver { letter });
            if left.repetitions > 0 {
                actions.push(Action::Repeat { letter });
            }
            if left.losses > 0 {
                actions.push(Action::Lose { letter });
            }
        }
        for node in nodes.clone() {
            let machine = &state.node(node).machine;
            if left.wakes > 0 && machine.deadline().is_some() {
                actions.push(Action::Wake { node });
            }
            if node < self.worlds.writers() {
                // Which key is written first makes no difference, so the second one waits for its turn.
                let keys = 0..self.worlds.keys().min(machine.own().sequence().saturating_add(1) as u8);
                if left.sets > 0 {
                    actions.extend(keys.clone().map(|key| Action::Set { node, key }));
                }
                if left.removals > 0 {
                    let present = keys.filter(|key| machine.own().get(worlds::key_name(*key)).is_some());
                    let removals = present.map(|key| Action::Remove { node, key });
                    actions.extend(removals.take(self.worlds.choices_of_removal()));
                }
            }
            if left.restarts > 0 {
                actions.push(Action::Restart { node });
            }
            for peer in nodes.clone().filter(|peer| *peer != node) {
                let linked = state.node(node).linked_to(peer).is_some();
                if left.links > 0 && node < peer {
                    actions.push(Action::Link { a: node, b: peer });
                }
                if left.cuts > 0 && linked {
                    actions.push(Action::Unlink { at: node, from: peer });
                }
                if left.forgets > 0 && !linked && state.has_copy(node, peer) {
                    actions.push(Action::Forget { at: node, of: peer });
                }
            }
        }
    }

    fn next(&self, state: &State, action: &Action, met: &mut Vec<&'static str>) -> Option<State> {
        let mut next = state.clone();
        next.act(action, self.config, met)?;
        Some(next)
    }

    fn check(&self, state: &State) -> Result<(), String> {
        for reader in &state.nodes {
            invariant::check_waits(&reader.machine)?;
            for writer in &state.nodes {
                invariant::check_copy(&reader.machine, &writer.machine)?;
            }
        }
        Ok(())
    }

    fn sometimes(&self) -> Vec<&'static str> {
        self.worlds.sometimes()
    }

    fn recoveries(&self, state: &State) -> Vec<Action> {
        match state.phase {
            Phase::Faults if state.under_way.is_empty() => vec![Action::Calm { lose: false }],
            Phase::Faults => vec![Action::Calm { lose: false }, Action::Calm { lose: true }],
            Phase::Calm | Phase::Joined => Vec::new(),
        }
    }

    fn recover(&self, state: &State) -> Result<Option<Action>, String> {
        if !state.under_way.is_empty() {
            return Ok(Some(Action::Deliver { letter: 0 }));
        }
        if state.is_waiting() {
            return Ok(Some(Action::Rouse));
        }
        for (reader, writer) in state.linked_pairs() {
            invariant::check_arrived(&reader.machine, &writer.machine)?;
            if !reader.has_described(writer) {
                return Err("C2: a copy is up to date, and its reader does not know".to_owned());
            }
        }
        Ok((state.phase == Phase::Calm).then_some(Action::Join))
    }

    fn describe(&self, before: &State, action: &Action, after: &State) -> String {
        action.describe(before, after)
    }

    fn test(&self, start: usize, actions: &[Action]) -> String {
        let Self { worlds, scope, planted, allowance, .. } = self;
        let planted = planted.map_or_else(String::new, |bug| format!(".planted(Bug::{bug:?})"));
        let other = *allowance != worlds.allowance(*scope);
        let allowance = if other { format!(".allowing({allowance:?})") } else { String::new() };
        let actions: String = actions.iter().map(|action| format!("        {action:?},\n")).collect();
        format!(
            "#[test]\nfn the_catalog_keeps_its_rules_on_this_path() {{\n    \
             use Action::*;\n    \
             let model = Catalog::new(Worlds::{worlds:?}, Scope::{scope:?}){allowance}{planted};\n    \
             let path = [\n{actions}    ];\n    \
             assert_eq!(explore::replay(&model, {start}, &path), Ok(()));\n}}\n"
        )
    }
}
