//! What must hold, with the numbers of the essay.

use super::world::{Known, Ops, State};

/// What is seen when something happens is looked at there: D5, D6, D8 and D9. This is what is left.
pub(super) fn check(state: &State) -> Result<(), String> {
    if let Some(broken) = &state.history.broken {
        return Err(broken.clone());
    }
    let nodes = (0..).zip(&state.nodes).filter(|(_, node)| node.leased);
    for (at, machine) in nodes.filter_map(|(at, node)| Some((at, node.machine.as_ref()?))) {
        if let Some((_, copy)) = machine.readable().next() {
            d3(state, at, copy)?;
        }
        if let Some(served) = machine.served(&state.course.name) {
            d4(state, at, &served)?;
        }
    }
    Ok(())
}

/// Once a version is known to somebody, nobody can read an older one.
fn d3(state: &State, at: u8, copy: &Known) -> Result<(), String> {
    let (version, shown) = (copy.version, state.history.shown);
    let over = copy.value.is_none() && state.history.is_over();
    if version < shown && !over {
        return Err(format!("D3: {version} can be read at n{at}, and {shown} is written"));
    }
    Ok(())
}

/// A version that somebody knows of is at the home that serves it, or a newer one is; and D8: each operation is done once.
fn d4(state: &State, at: u8, served: &Known) -> Result<(), String> {
    let (version, shown) = (served.version, state.history.shown);
    let over = served.value.is_none() && state.history.is_over();
    if version < shown && !over {
        return Err(format!("D4: n{at} serves {version}, and {shown} was written"));
    }
    let ops = Ops::of(served).map_err(|why| format!("{why}, at n{at}"))?;
    state.history.suits(ops).map_err(|why| format!("{why}, at n{at}"))
}

/// W3: all is at rest, and nobody waits.
pub(super) fn w3(state: &State) -> Result<(), String> {
    match (0..state.nodes.len() as u8).find(|node| state.waits(*node)) {
        Some(node) => Err(format!("W3: n{node} waits in vain")),
        None if state.is_at_rest() => d12(state),
        None => Err("W3: it does not come to rest".to_owned()),
    }
}

/// In the end whoever watches was told what there is.
fn d12(state: &State) -> Result<(), String> {
    let machines = state.nodes.iter().filter_map(|node| node.machine.as_ref());
    let Some(served) = machines.filter_map(|machine| machine.served(&state.course.name)).next() else { return Ok(()) };
    let mut watching = (0..).zip(&state.nodes).filter(|(_, node)| node.watching);
    match watching.find(|(_, node)| node.told != Some(served.version)) {
        Some((at, node)) => {
            let told = node.told.map_or_else(|| "nothing".to_owned(), |told| told.to_string());
            Err(format!("D12: n{at} was told of {told} at last, and there is {}", served.version))
        }
        None => Ok(()),
    }
}
