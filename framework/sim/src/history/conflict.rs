//! From "there is no order" to the few operations that show it.

use std::collections::BTreeSet;

use super::{
    Conflict, Model, Moment, Operation, record,
    search::{End, Place, Search},
};

/// How many answered operations before the misfit are looked at.
const WINDOW: usize = 8;
/// In how many ways the time before them may have gone.
const PLACES_MAX: usize = 16;
/// What it may cost to see whether an answer matters.
const STEPS_MAX: u64 = 3_000;

/// Finds the operations that contradict each other. An operation does not matter if there is still no order when
/// nobody knows what it was told, nor whether it happened at all between its start and its end. Those that
/// matter are left.
pub(super) fn explain<M: Model>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    misfit: usize,
    prefix: Vec<usize>,
    steps_max: u64,
) -> Conflict {
    let (indices, mut window) = record::prefix(operations, operations[misfit].end());
    let by_end = record::by_end(&window);
    let border = by_end.len().saturating_sub(WINDOW);
    let places = if border == 0 {
        Some(vec![Place { state: model.initial(), taken: Vec::new() }])
    } else {
        Search::new(model, &window, steps_max).crossings(border).filter(|places| places.len() <= PLACES_MAX)
    };
    let mut core: Vec<usize> = by_end[border..].iter().rev().copied().collect();
    if let Some(places) = &places {
        let mut is_past = vec![false; window.len()];
        by_end[..border].iter().for_each(|&index| is_past[index] = true);
        let mut deadlines = vec![Moment::NEVER; window.len()];
        let rest: Vec<usize> = (0..window.len()).filter(|&index| !is_past[index]).collect();
        core.retain(|&index| {
            indices[index] == misfit || {
                deadlines[index] = window[index].end();
                let outcome = window[index].outcome.take();
                let matters = !places.iter().all(|place| leads_nowhere(model, &window, &deadlines, &rest, place));
                if matters {
                    deadlines[index] = Moment::NEVER;
                    window[index].outcome = outcome;
                }
                matters
            }
        });
    }
    core.sort_unstable_by_key(|&index| window[index].start);
    let reason = reason(model, &operations[misfit], places.as_deref(), border, by_end.len() - border - core.len());
    Conflict { misfit, prefix, core: core.into_iter().map(|index| indices[index]).collect(), reason }
}

/// Whether nothing that starts at this place is an order for `rest`.
fn leads_nowhere<M: Model>(
    model: &M,
    window: &[Operation<M::Op, M::Ret>],
    deadlines: &[Moment],
    rest: &[usize],
    place: &Place<M::State>,
) -> bool {
    let rest = rest.iter().filter(|index| !place.taken.contains(index));
    let (rest, deadlines): (Vec<_>, Vec<_>) = rest.map(|&index| (window[index].clone(), deadlines[index])).unzip();
    let from = From { model, state: place.state.clone() };
    Search::new(&from, &rest, STEPS_MAX).with_deadlines(deadlines).run() == End::Exhausted
}

fn reason<M: Model>(
    model: &M,
    misfit: &Operation<M::Op, M::Ret>,
    places: Option<&[Place<M::State>]>,
    before: usize,
    left_out: usize,
) -> String {
    let what = model.describe(&misfit.op, misfit.ret());
    let mut reason = format!("client {}: {what} is the first answer that fits into no order.", misfit.client);
    let states: BTreeSet<String> =
        places.into_iter().flatten().map(|place| model.describe_state(&place.state)).collect();
    let named: Vec<&str> = states.iter().take(4).map(String::as_str).collect();
    let others = if states.len() > named.len() { " or something else" } else { "" };
    match before {
        _ if named.is_empty() => {}
        0 => reason += &format!("\nBefore everything the state was: {}.", named.join(" or ")),
        _ => {
            reason += &format!(
                "\nAfter {before} answers before those looked at, the state was: {}{others}.",
                named.join(" or ")
            );
        }
    }
    if left_out > 0 {
        reason += &format!("\nLeft out: {left_out} that make no difference, whatever they were told.");
    }
    reason
}

/// A model that starts in another state.
struct From<'a, M: Model> {
    model: &'a M,
    state: M::State,
}

impl<M: Model> Model for From<'_, M> {
    type Op = M::Op;
    type Ret = M::Ret;
    type State = M::State;

    fn initial(&self) -> M::State {
        self.state.clone()
    }

    fn step(&self, state: &M::State, op: &M::Op, ret: Option<&M::Ret>) -> Option<M::State> {
        self.model.step(state, op, ret)
    }

    fn only_reads(&self, op: &M::Op, ret: Option<&M::Ret>) -> bool {
        self.model.only_reads(op, ret)
    }

    fn describe(&self, op: &M::Op, ret: Option<&M::Ret>) -> String {
        self.model.describe(op, ret)
    }
}
