//! What must hold, with the numbers of the essays.

use guthi_core::{
    protocol::{membership::Machine, view::View},
    wire::id::Member,
};

use super::{
    letter::{name, number, view_words},
    world::{NOW, Node, State},
    worlds::Worlds,
};

/// V1 and V2 are looked at when something happens; this is what is left.
pub(super) fn check(state: &State, worlds: Worlds) -> Result<(), String> {
    if let Some(broken) = &state.history.broken {
        return Err(broken.clone());
    }
    for (member, machine) in state.machines() {
        v3(state, member, machine)?;
        if machine.is_active(NOW) {
            v4(state, member, machine.view())?;
        }
    }
    match worlds {
        Worlds::Fork => one_serves(state),
        Worlds::Meeting => n1(state),
        Worlds::Vote | Worlds::Views => Ok(()),
    }
}

/// Who has said that it serves no more serves no more.
fn v3(state: &State, member: Member, machine: &Machine) -> Result<(), String> {
    let wedged = state.node(number(member)).wedged_in == Some(machine.view().at);
    // With the rule broken on purpose, what it is for is looked at instead.
    if wedged && machine.serves(NOW) && machine.standing().is_some_and(|standing| standing.wedged) {
        return Err(format!("V3: {} serves though it is wedged", name(member)));
    }
    Ok(())
}

/// Once a view is active, nobody who was excluded on the way to it passes the check of its lease, for reads or for guards.
fn v4(state: &State, active: Member, view: &View) -> Result<(), String> {
    for (member, machine) in state.machines().filter(|(_, machine)| machine.view().at.is_before(view.at)) {
        let since = machine.view().seat(member).map(|seat| seat.since);
        if view.seat(member).map(|seat| seat.since) == since {
            continue;
        }
        let what = match () {
            () if machine.serves(NOW) => "reads",
            () if machine.lease_end().is_some_and(|end| end > NOW) => "guards",
            () => continue,
        };
        let (view, active, member) = (view_words(view), name(active), name(member));
        return Err(format!("V4 for {what}: {view} is active at {active}, and {member} is not in it and has a lease"));
    }
    Ok(())
}

/// N1: while nobody crashes, what is written in a lineage is there.
fn n1(state: &State) -> Result<(), String> {
    for lineage in &state.history.holding {
        let is_there = |node: &Node| {
            let here = node.machine.as_ref().is_some_and(|machine| machine.view().at.lineage == *lineage);
            here && node.piece == Some(*lineage)
        };
        if !state.nodes.iter().any(|node| is_there(node)) {
            return Err(format!("N1: nobody crashed, and what was written in {lineage:?} is gone"));
        }
    }
    Ok(())
}

/// N2: lineages that see each other, and of which one at most holds variables, have become one.
pub(super) fn n2(state: &State) -> Result<(), String> {
    let mut views = state.machines().map(|(_, machine)| machine.view());
    let first = views.next();
    if state.history.holding.len() > 1 || views.all(|view| Some(view) == first) {
        return Ok(());
    }
    let views: Vec<_> =
        state.machines().map(|(node, machine)| format!("{} in {}", name(node), view_words(machine.view()))).collect();
    Err(format!("N2: lineages do not become one: {}", views.join(", ")))
}

/// Of the lineages that go back to one, and of the views of each, one at most is served: whoever could come to serve stands in
/// that view. A fork and the view that it left behind are two.
fn one_serves(state: &State) -> Result<(), String> {
    let mut serving: Option<(Member, &View)> = None;
    for (member, machine) in state.machines().filter(|(_, machine)| could_serve(state, machine)) {
        let view = machine.view();
        match serving {
            Some((other, its)) if its.at != view.at && is_related(state, its, view) => {
                let (view, its, member, other) = (view_words(view), view_words(its), name(member), name(other));
                return Err(format!("both {its} at {other} and {view} at {member} can be served"));
            }
            Some(_) => {}
            None => serving = Some((member, view)),
        }
    }
    Ok(())
}

/// Whether it is active and not wedged, and a quorum stands there that could grant it leases.
fn could_serve(state: &State, machine: &Machine) -> bool {
    let stands_there = |machine: &Machine| machine.standing().filter(|standing| !standing.wedged);
    let grants = |voter: Member| state.machine(number(voter)).and_then(stands_there);
    let here = stands_there(machine);
    here.is_some() && machine.is_active(NOW) && machine.view().is_quorum(|voter| grants(voter) == here)
}

fn is_related(state: &State, one: &View, other: &View) -> bool {
    let root = |view: &View| {
        let mut lineage = view.at.lineage;
        while let Some(before) = state.history.forked.get(&lineage) {
            lineage = *before;
        }
        lineage
    };
    root(one) == root(other)
}

/// V2: a quorum has accepted what this node takes for decided. Who is beyond that view, or has no part in anything any more,
/// knew more than that.
pub(super) fn is_accepted(state: &State, by: Member, before: &View, after: &View) -> bool {
    let has_accepted = |voter: Member| match state.machine(number(voter)) {
        Some(machine) if machine.view().at == before.at => {
            machine.vote().is_some_and(|(_, changes)| before.successor(changes) == *after)
        }
        _ => true,
    };
    before.is_quorum(|voter| voter == by || has_accepted(voter))
}
