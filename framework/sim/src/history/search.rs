//! The search for an order: Wing and Gong's, with Lowe's memory of places. See the module's essay.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use fixedbitset::FixedBitSet;
use rustc_hash::FxBuildHasher;

use super::{Model, Moment, Operation, Verdict, conflict, record};

/// Whether the operations are linearizable, by search, in at most `steps_max` steps of the model.
///
/// If they are not, as many again, and some thousands more, go into the explanation.
pub fn search<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>], steps_max: u64) -> Verdict {
    let mut search = Search::new(model, operations, steps_max);
    match search.run() {
        End::Found => Verdict::Linearizable { order: search.order() },
        End::Spent => Verdict::OutOfBudget { steps: search.steps },
        End::Exhausted => {
            let (misfit, prefix) = search.furthest();
            Verdict::NotLinearizable(conflict::explain(model, operations, misfit, prefix, steps_max))
        }
    }
}

/// A search under way. It stands at one place; `taken` is the way to it.
pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Ret>],
    /// The answered operations by rank.
    by_end: Vec<usize>,
    /// Those not taken, in the order of their starts.
    answered: Chain,
    pending: Chain,
    /// The bit of each operation; those that overlap have different ones.
    bits: Vec<usize>,

    /// The first rank that is not taken.
    rank: usize,
    /// The bits of what is taken and pending or of a higher rank.
    beyond: FixedBitSet,
    state: M::State,
    taken: Vec<Step<M::State>>,

    /// Of each pending operation the one before it that asks for the same. It can stand in, so it goes first.
    twins: Vec<Option<usize>>,
    /// When it is too late for what may but need not happen; for what is pending, never.
    deadlines: Vec<Moment>,
    /// By rank, the last start of what has a lower rank. Nothing that is too late for that can come any more.
    latest_start: Vec<Moment>,

    seen: HashSet<(usize, FixedBitSet, M::State), FxBuildHasher>,
    furthest: Furthest,
    steps: u64,
    steps_max: u64,
    watch: Option<usize>,
    crossings: Vec<Place<M::State>>,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Found,
    Exhausted,
    Spent,
}

/// A place where the search came past the watched rank.
pub(super) struct Place<S> {
    pub(super) state: S,
    /// What had been taken of the watched rank or beyond, and of what is pending.
    pub(super) taken: Vec<usize>,
}

/// One operation that was taken, and what was before.
struct Step<S> {
    index: usize,
    state: S,
    rank: usize,
    /// It only read: whatever else could have come here can come after it.
    only_choice: bool,
}

/// The way to the highest rank so far. Its first `shared` operations are those that are taken now.
#[derive(Default)]
struct Furthest {
    rank: usize,
    order: Vec<usize>,
    shared: usize,
}

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(model: &'a M, operations: &'a [Operation<M::Op, M::Ret>], steps_max: u64) -> Self {
        let by_end = record::by_end(operations);
        let mut by_start: Vec<usize> = (0..operations.len()).collect();
        by_start.sort_unstable_by_key(|&index| operations[index].start);
        let latest_start = std::iter::once(Moment::BEGINNING)
            .chain(by_end.iter().scan(Moment::BEGINNING, |latest, &index| {
                *latest = operations[index].start.max(*latest);
                Some(*latest)
            }))
            .collect();
        let (bits, width) = assign_bits(operations, &by_start, &by_end);
        let twins = find_twins(operations, &by_start);
        let chain = |pending: bool| {
            let members = by_start.iter().copied().filter(|&index| operations[index].is_pending() == pending);
            Chain::new(operations.len(), members)
        };
        Self {
            model,
            operations,
            answered: chain(false),
            pending: chain(true),
            by_end,
            bits,
            rank: 0,
            beyond: FixedBitSet::with_capacity(width),
            state: model.initial(),
            taken: Vec::new(),
            twins,
            deadlines: vec![Moment::NEVER; operations.len()],
            latest_start,
            seen: HashSet::default(),
            furthest: Furthest::default(),
            steps: 0,
            steps_max,
            watch: None,
            crossings: Vec::new(),
        }
    }

    /// The same, but what is pending has deadlines.
    pub(super) fn with_deadlines(self, deadlines: Vec<Moment>) -> Self {
        Self { deadlines, ..self }
    }

    pub(super) fn run(&mut self) -> End {
        let mut tried = None;
        while self.rank < self.by_end.len() {
            match self.candidate_after(tried) {
                Some(index) if self.steps < self.steps_max => {
                    self.steps += 1;
                    tried = if self.take(index) { None } else { Some(index) };
                }
                Some(_) => return End::Spent,
                None => match self.give_back() {
                    Some(index) => tried = Some(index),
                    None => return End::Exhausted,
                },
            }
        }
        End::Found
    }

    /// The order found.
    fn order(&self) -> Vec<usize> {
        self.taken.iter().map(|step| step.index).collect()
    }

    /// The operation at whose end no order is left, and an order for what ended before.
    fn furthest(self) -> (usize, Vec<usize>) {
        (self.by_end[self.furthest.rank], self.furthest.order)
    }

    /// All places at which the operations below `rank` have just been taken; nothing if that is too much work.
    pub(super) fn crossings(mut self, rank: usize) -> Option<Vec<Place<M::State>>> {
        self.watch = Some(rank);
        (self.run() == End::Exhausted).then_some(self.crossings)
    }

    /// What may come next, after what has been tried here. First that which was answered: nothing can come after an
    /// operation that ends before it starts. Last that which is pending.
    fn candidate_after(&self, tried: Option<usize>) -> Option<usize> {
        let first_end = self.operations[self.by_end[self.rank]].end();
        let has_started = |index: usize| self.operations[index].start < first_end;
        let mut next_pending = match tried {
            Some(index) if self.operations[index].is_pending() => self.pending.after(index),
            _ => {
                let next = tried.map_or_else(|| self.answered.first(), |index| self.answered.after(index));
                if let Some(index) = next.filter(|&index| has_started(index)) {
                    return Some(index);
                }
                self.pending.first()
            }
        };
        while let Some(index) = next_pending
            && (self.deadlines[index] <= self.latest_start[self.rank] || self.waits_for_twin(index))
        {
            next_pending = self.pending.after(index);
        }
        next_pending.filter(|&index| has_started(index))
    }

    fn waits_for_twin(&self, index: usize) -> bool {
        self.twins[index]
            .is_some_and(|twin| !self.beyond.contains(self.bits[twin]) && self.deadlines[twin] == self.deadlines[index])
    }

    /// Takes an operation as the next one in the order; whether that leads to a new place.
    fn take(&mut self, index: usize) -> bool {
        let operation = &self.operations[index];
        let Some(next) = self.model.step(&self.state, &operation.op, operation.ret()) else { return false };
        let changes_nothing = next == self.state;
        if changes_nothing && operation.is_pending() {
            return false;
        }
        let only_choice = changes_nothing && self.model.only_reads(&operation.op, operation.ret());
        let state = std::mem::replace(&mut self.state, next);
        self.taken.push(Step { index, state, rank: self.rank, only_choice });
        self.chain(index).unlink(index);
        self.beyond.insert(self.bits[index]);
        while let Some(&first) = self.by_end.get(self.rank)
            && self.beyond.contains(self.bits[first])
        {
            self.beyond.remove(self.bits[first]);
            self.rank += 1;
        }
        let new = self.seen.insert((self.rank, self.beyond.clone(), self.state.clone()));
        if new {
            self.note_crossing();
        } else {
            self.undo();
        }
        new
    }

    /// Goes back to where there was a choice; the operation that was chosen there, if there is such a place.
    fn give_back(&mut self) -> Option<usize> {
        self.furthest.note(self.rank, &self.taken);
        loop {
            let (index, only_choice) = self.undo()?;
            if !only_choice {
                return Some(index);
            }
        }
    }

    fn undo(&mut self) -> Option<(usize, bool)> {
        let Step { index, state, rank, only_choice } = self.taken.pop()?;
        self.state = state;
        while self.rank > rank {
            self.rank -= 1;
            self.beyond.insert(self.bits[self.by_end[self.rank]]);
        }
        self.beyond.remove(self.bits[index]);
        self.chain(index).relink(index);
        self.furthest.shared = self.furthest.shared.min(self.taken.len());
        Some((index, only_choice))
    }

    fn note_crossing(&mut self) {
        let Some(watch) = self.watch else { return };
        if self.taken.last().is_some_and(|step| step.rank < watch) && self.rank >= watch {
            let border = self.operations[self.by_end[watch]].end();
            let beyond = |index: &usize| self.operations[*index].end() >= border;
            let taken = self.taken.iter().map(|step| step.index).filter(beyond).collect();
            self.crossings.push(Place { state: self.state.clone(), taken });
        }
    }

    fn chain(&mut self, index: usize) -> &mut Chain {
        if self.operations[index].is_pending() { &mut self.pending } else { &mut self.answered }
    }
}

impl Furthest {
    fn note<S>(&mut self, rank: usize, taken: &[Step<S>]) {
        if rank > self.rank {
            self.rank = rank;
            self.order.truncate(self.shared);
            self.order.extend(taken[self.shared..].iter().map(|step| step.index));
            self.shared = taken.len();
        }
    }
}

/// Gives each operation a bit, so that those which overlap have different ones; and how many bits there are.
fn assign_bits<O, R>(operations: &[Operation<O, R>], by_start: &[usize], by_end: &[usize]) -> (Vec<usize>, usize) {
    let mut bits = vec![0; operations.len()];
    let mut width = 0;
    let mut free = Vec::new();
    let mut ended = by_end.iter().peekable();
    for &index in by_start {
        let start: Moment = operations[index].start;
        while let Some(&over) = ended.next_if(|&&other| operations[other].end() < start) {
            free.push(bits[over]);
        }
        bits[index] = free.pop().unwrap_or_else(|| {
            width += 1;
            width - 1
        });
    }
    (bits, width)
}

fn find_twins<O: Eq + Hash, R>(operations: &[Operation<O, R>], by_start: &[usize]) -> Vec<Option<usize>> {
    let mut twins = vec![None; operations.len()];
    let mut last: HashMap<&O, usize, FxBuildHasher> = HashMap::default();
    for &index in by_start.iter().filter(|&&index| operations[index].is_pending()) {
        twins[index] = last.insert(&operations[index].op, index);
    }
    twins
}

/// Operations in a row, from which they can be taken out and put back in the reverse order.
struct Chain {
    /// Of each operation the next one; the last entry is that of the head, and the head ends the row.
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Chain {
    fn new(operations: usize, members: impl Iterator<Item = usize>) -> Self {
        let head = operations;
        let mut chain = Self { next: vec![head; operations + 1], previous: vec![head; operations + 1] };
        let mut last = head;
        for index in members {
            chain.next[last] = index;
            chain.previous[index] = last;
            last = index;
        }
        chain.previous[head] = last;
        chain
    }

    fn first(&self) -> Option<usize> {
        self.after(self.head())
    }

    fn after(&self, index: usize) -> Option<usize> {
        let next = self.next[index];
        (next != self.head()).then_some(next)
    }

    fn unlink(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = index;
        self.previous[next] = index;
    }

    const fn head(&self) -> usize {
        self.next.len() - 1
    }
}
