//! Agreement with two other checkers on small random histories.

use guthi_sim::history::{
    Answer, Call, Expected, Lock, Model, Moment, Operation, Reply, Stamp, Variable, Verdict, is_witness, search,
};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use todc_utils::{
    linearizability::{
        WGLChecker,
        history::{Action, History},
    },
    specifications::etcd::{EtcdOperation, EtcdSpecification, EtcdStatus},
};

use crate::simulation::{Load, Object, Operations, Plan, Random, simulate};

#[test]
fn stateright_and_todc_agree_on_registers_with_compare_and_set() {
    let mut random = Random(1);
    let mut count = Count::default();
    for _ in 0..100_000 {
        let operations = random_history(&mut random, Load::SmallValues);
        let verdict = verdict(&Variable::default(), &operations);
        assert_eq!(verdict, stateright(Object::default(), &operations), "stateright: {operations:#?}");
        assert_eq!(verdict, todc(&operations), "todc-utils: {operations:#?}");
        count.add(verdict);
    }
    count.print("stateright and todc-utils, registers with compare-and-set");
}

#[test]
fn stateright_agrees_on_all_that_can_be_asked_of_a_variable() {
    let mut random = Random(2);
    let mut count = Count::default();
    for _ in 0..30_000 {
        let operations = random_history(&mut random, Load::Everything);
        let verdict = verdict(&Variable::default(), &operations);
        assert_eq!(verdict, stateright(Object::default(), &operations), "{operations:#?}");
        count.add(verdict);
    }
    count.print("stateright, all of a variable");
}

#[test]
fn stateright_agrees_on_locks() {
    let mut random = Random(3);
    let mut count = Count::default();
    for _ in 0..30_000 {
        let operations = random_history(&mut random, Load::Lock);
        let verdict = verdict(&Lock::default(), &operations);
        assert_eq!(verdict, stateright(Object::default(), &operations), "{operations:#?}");
        count.add(verdict);
    }
    count.print("stateright, locks");
}

#[derive(Default)]
struct Count {
    good: usize,
    bad: usize,
}

impl Count {
    fn add(&mut self, good: bool) {
        if good { self.good += 1 } else { self.bad += 1 }
    }

    fn print(&self, what: &str) {
        println!("{what}: {} linearizable, {} not", self.good, self.bad);
        let tenth = (self.good + self.bad) / 10;
        assert!(self.good > tenth && self.bad > tenth, "one-sided");
    }
}

/// A history of an atomic object, in most cases with a few answers that were given by chance instead.
fn random_history(random: &mut Random, load: Load) -> Operations {
    let (clients, operations) = (2 + random.below(3), 2 + random.below(7));
    // stateright cannot say of a lock that nobody knows whether it is held.
    let unknown = if load == Load::Lock { 0 } else { 12 };
    let mut operations = simulate(random, &Plan { load, clients, operations, unknown });
    if load == Load::Lock {
        operations.retain(|operation| !operation.is_pending() || matches!(operation.op, Call::Unlock(_)));
    }
    for _ in 0..random.below(4) {
        let index = random.below(operations.len().max(1));
        if let Some(Operation { op, outcome: Some((reply, _)), .. }) = operations.get_mut(index) {
            reply.answer = by_chance(random, *op);
        }
    }
    operations
}

fn by_chance(random: &mut Random, call: Call) -> Answer {
    let small = [None, Some(0), Some(1), Some(2)][random.below(4)];
    match call {
        Call::Set(_) | Call::Delete => Answer::Done,
        Call::Get | Call::Swap(_) => Answer::Value(small),
        Call::Add(_) => small.map_or(Answer::Missing, |value| Answer::Value(Some(value))),
        Call::CompareAndSet { .. } => Answer::Stored(random.percent(50)),
        Call::TryLock if random.percent(50) => Answer::Busy,
        Call::Lock | Call::TryLock => Answer::Fence(Stamp { epoch: 1, number: 1 + random.next() % 50 }),
        Call::Unlock(_) if random.percent(50) => Answer::Lost,
        Call::Unlock(_) => Answer::Done,
    }
}

fn verdict<M: Model<Op = Call, Ret = Reply>>(model: &M, operations: &Operations) -> bool {
    match search(model, operations, 1_000_000) {
        Verdict::Linearizable { order } => {
            assert!(is_witness(model, operations, &order), "{order:?} {operations:#?}");
            true
        }
        Verdict::NotLinearizable(conflict) => {
            assert!(conflict.core.contains(&conflict.misfit), "{conflict:?} {operations:#?}");
            false
        }
        Verdict::OutOfBudget { .. } => panic!("{operations:#?}"),
    }
}

/// Starts and ends in their order, by index.
fn events(operations: &Operations) -> Vec<(Moment, usize)> {
    let all = operations.iter().enumerate();
    let mut events: Vec<_> =
        all.flat_map(|(index, operation)| [(operation.start, index), (operation.end(), index)]).collect();
    events.retain(|&(moment, _)| moment != Moment::NEVER);
    events.sort_unstable();
    events
}

fn stateright(object: Object, operations: &Operations) -> bool {
    let mut tester = LinearizabilityTester::new(object);
    for (moment, index) in events(operations) {
        let operation = &operations[index];
        if moment == operation.start {
            tester.on_invoke(operation.client.0, operation.op).unwrap();
        } else {
            tester.on_return(operation.client.0, operation.ret().unwrap().answer).unwrap();
        }
    }
    tester.is_consistent()
}

impl SequentialSpec for Object {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        self.apply(*call).unwrap_or(Answer::Busy)
    }

    fn is_valid_step(&mut self, call: &Call, answer: &Answer) -> bool {
        match (call, answer) {
            // The object itself has a rule for the next fence that the real ones need not have.
            (Call::Lock | Call::TryLock, Answer::Fence(fence)) => {
                let allowed = self.holder.is_none() && fence.number > self.grants;
                (self.holder, self.grants) = (Some(*fence), fence.number);
                allowed
            }
            (Call::Unlock(_), Answer::Lost) => {
                self.apply(*call);
                true
            }
            _ => self.apply(*call) == Some(*answer),
        }
    }
}

/// todc-utils wants an end for everything: for what is pending it comes last. Pending reads it does not allow.
fn todc(operations: &Operations) -> bool {
    use EtcdStatus::{Fail, Invoke, Okay, Unknown};
    let mut operations = operations.clone();
    operations.retain(|operation| !(operation.is_pending() && operation.op == Call::Get));
    let action = |index: usize, status: EtcdStatus| {
        let operation: &Operation<Call, Reply> = &operations[index];
        let answer = operation.ret().map(|reply| reply.answer);
        match (operation.op, answer) {
            (Call::Get, Some(Answer::Value(value))) => EtcdOperation::Read(status, value.map(small)),
            (Call::Set(value), _) => EtcdOperation::Write(status, small(value)),
            (Call::CompareAndSet { expected: Expected::Value(Some(old)), new }, told) => {
                let told_no = told == Some(Answer::Stored(false)) && status == Okay;
                EtcdOperation::CompareAndSwap(if told_no { Fail } else { status }, (small(old), small(new)))
            }
            other => panic!("{other:?}"),
        }
    };
    let process = |index: usize| usize::try_from(operations[index].client.0).unwrap();
    let mut actions: Vec<_> = events(&operations)
        .into_iter()
        .map(|(moment, index)| {
            let starts = moment == operations[index].start;
            let action =
                if starts { Action::Call(action(index, Invoke)) } else { Action::Response(action(index, Okay)) };
            (process(index), action)
        })
        .collect();
    let pending = (0..operations.len()).filter(|&index| operations[index].is_pending());
    actions.extend(pending.map(|index| (process(index), Action::Response(action(index, Unknown)))));
    actions.is_empty() || WGLChecker::<EtcdSpecification>::is_linearizable(History::from_actions(actions))
}

fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap()
}
