//! What must hold, with the numbers of the essay.

use guthi_core::protocol::mutex::Place;

use super::{
    letter::{Kind, member, number},
    world::State,
};

/// L2, L5, L6 and the rule of tries are looked at when something happens; this is what is left.
pub(super) fn check(state: &State) -> Result<(), String> {
    if let Some(broken) = &state.history.broken {
        return Err(broken.clone());
    }
    (0..=state.decided).try_for_each(|view| l1(state, view))?;
    l3(state)
}

/// There is at most one token in each view. Whatever was passed on less often is an earlier one, if it is not here.
fn l1(state: &State, view: u8) -> Result<(), String> {
    let mut places = places(state, view);
    places.sort_unstable_by_key(|place| (place.pass, place.here));
    let Some(newest) = places.last() else { return Ok(()) };
    if newest.pass > PASSES_MAX {
        return Err(format!("W4: a token is passed on again and again: {}", words(newest)));
    }
    let is_second = |place: &&Place| {
        let earlier = place.pass < newest.pass;
        if earlier { place.here } else { place.at != newest.at }
    };
    let second = places.iter().find(is_second);
    match second {
        Some(second) => Err(format!("L1: two tokens in e{view}: {}, and {}", words(second), words(newest))),
        None => Ok(()),
    }
}

/// Where the token of a view is, as far as anybody knows.
fn places(state: &State, view: u8) -> Vec<Place> {
    let nodes = state.nodes.iter().filter(|node| node.view == view);
    let known = nodes.filter_map(|node| node.machine.as_ref()?.place(&state.course.name));
    let letters = state.sent.iter().filter(|letter| letter.view == view);
    let sent = letters.filter_map(|letter| match letter.kind {
        Kind::Token(pass) => Some(Place { pass, at: member(letter.to), here: false }),
        Kind::Question | Kind::Other => None,
    });
    known.chain(sent).collect()
}

fn words(place: &Place) -> String {
    let Place { pass, at, here } = place;
    let at = number(*at);
    if *here { format!("pass {pass} is at n{at}") } else { format!("pass {pass} is on its way to n{at}") }
}

/// At most one node with a valid lease has a guard.
fn l3(state: &State) -> Result<(), String> {
    let mut holders = (0..).zip(&state.nodes).filter(|(_, node)| node.leased && node.guard.is_some());
    match (holders.next(), holders.next()) {
        (Some((one, _)), Some((other, _))) => Err(format!("L3: both n{one} and n{other} hold a guard and a lease")),
        _ => Ok(()),
    }
}

/// W2: all is at rest, and nobody waits.
pub(super) fn w2(state: &State) -> Result<(), String> {
    let waits = |node: u8| state.waiters(node).next().is_some() || state.node(node).tried;
    match (0..state.nodes.len() as u8).find(|node| waits(*node)) {
        Some(node) => Err(format!("W2: n{node} waits in vain")),
        None if state.is_at_rest() => Ok(()),
        None => Err("W2: it does not come to rest".to_owned()),
    }
}

/// More often than that no token is passed on among so few tasks, if each pass serves somebody.
const PASSES_MAX: u64 = 16;
