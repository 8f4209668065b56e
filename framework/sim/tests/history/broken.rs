//! Histories of atomic objects are accepted, and the same ones broken on purpose are rejected.
//!
//! Each way of breaking says why nothing that it makes can be linearizable. *Before* means real time: one ended
//! before the other started.

use std::collections::BTreeMap;

use guthi_sim::history::{
    Answer, Call, Client, Expected, Lock, Model, Moment, Operation, Reply, Stamp, Variable, Verdict, is_witness,
    search, zones,
};

use crate::simulation::{Load, Operations, Plan, Random, simulate};

/// Breaks a history, if it has what that takes.
type Break = fn(&mut Random, &mut Operations) -> Option<()>;

const BREAKS: [(&str, Load, Break); 11] = [
    ("two reads swapped", Load::Register, swap_reads),
    ("stale read", Load::Register, read_stale),
    ("lost write", Load::Register, lose_write),
    ("read of nothing", Load::Register, read_nothing),
    ("new then old", Load::Register, read_new_then_old),
    ("addition applied twice", Load::Counter, repeat_addition),
    ("lost additions", Load::Counter, lose_additions),
    ("two win one comparison", Load::Tickets, win_twice),
    ("fence granted twice", Load::Lock, repeat_fence),
    ("fences that fall", Load::Lock, swap_fences),
    ("two holders", Load::Lock, hold_twice),
];
const HISTORIES: usize = 10_000;

#[test]
fn atomic_histories_are_accepted_and_broken_ones_rejected() {
    let mut random = Random(7);
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut accepted = 0;
    while broken.values().sum::<usize>() < HISTORIES {
        let (name, load, break_it) = *random.pick(&BREAKS).unwrap();
        let (clients, operations) = (3 + random.below(6), 10 + random.below(50));
        let mut operations = simulate(&mut random, &Plan { load, clients, operations, unknown: 3 });
        assert!(is_accepted(load, &operations), "{load:?}: {operations:#?}");
        accepted += 1;
        if break_it(&mut random, &mut operations).is_some() {
            assert!(is_rejected(load, &operations), "{name}: {operations:#?}");
            *broken.entry(name).or_default() += 1;
        }
    }
    println!("{accepted} accepted; rejected: {broken:?}");
    for (name, ..) in BREAKS {
        assert!(broken.get(name).is_some_and(|&count| count > HISTORIES / 50), "too few: {name}");
    }
}

fn is_accepted(load: Load, operations: &Operations) -> bool {
    let by_zones = load != Load::Register
        || matches!(zones(None, operations).unwrap(), Verdict::Linearizable { order }
            if is_witness(&Variable::default(), operations, &order));
    let by_search = match load {
        Load::Lock => finds_an_order(&Lock::default(), operations),
        _ => finds_an_order(&Variable::default(), operations),
    };
    by_zones && by_search
}

fn finds_an_order<M: Model<Op = Call, Ret = Reply>>(model: &M, operations: &Operations) -> bool {
    match search(model, operations, 10_000_000) {
        Verdict::Linearizable { order } => is_witness(model, operations, &order),
        _ => false,
    }
}

fn is_rejected(load: Load, operations: &Operations) -> bool {
    let by_zones = load != Load::Register || matches!(zones(None, operations).unwrap(), Verdict::NotLinearizable(_));
    let by_search = match load {
        Load::Lock => search(&Lock::default(), operations, 10_000_000),
        _ => search(&Variable::default(), operations, 10_000_000),
    };
    assert!(!matches!(by_search, Verdict::OutOfBudget { .. }), "too much for the budget");
    by_zones && matches!(by_search, Verdict::NotLinearizable(_))
}

/// The second read's value was not yet being written when the first read ended, so the first cannot have seen it.
fn swap_reads(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let reads = reads(operations);
    let mut pairs = Vec::new();
    for &(second, second_value) in &reads {
        let write = writer(operations, second_value);
        for &(first, first_value) in &reads {
            if write.is_some_and(|write| before(&operations[first], &operations[write])) && second_value != first_value
            {
                pairs.push(((first, second_value), (second, first_value)));
            }
        }
    }
    let &((first, to_first), (second, to_second)) = random.pick(&pairs)?;
    tell(operations, first, Answer::Value(to_first));
    tell(operations, second, Answer::Value(to_second));
    Some(())
}

/// Write `old` is before write `new`, which is before the read. So `new` comes between `old` and the read, which
/// is told `old` all the same, and `old` was written only once.
fn read_stale(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let (_, read, old) = *random.pick(&overwritten(operations))?;
    tell(operations, read, Answer::Value(Some(old)));
    Some(())
}

/// Not one but all later readers of an acknowledged write are told the value that it overwrote. Each of them is
/// a stale read as above.
fn lose_write(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let (reads, writes) = (reads(operations), writes(operations));
    let mut lost: Vec<(Vec<usize>, i64)> = Vec::new();
    for &(new, value) in &writes {
        let late = |read: usize| before(&operations[new], &operations[read]);
        let readers = reads.iter().filter(|&&(read, told)| told == Some(value) && late(read)).map(|&(read, _)| read);
        let overwritten = writes.iter().find(|&&(old, _)| before(&operations[old], &operations[new]));
        lost.extend(overwritten.map(|&(_, old)| (readers.collect(), old)));
    }
    lost.retain(|(readers, _)| !readers.is_empty());
    let (readers, old) = random.pick(&lost)?;
    readers.iter().for_each(|&read| tell(operations, read, Answer::Value(Some(*old))));
    Some(())
}

/// Nobody ever writes this value.
fn read_nothing(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let &(read, _) = random.pick(&reads(operations))?;
    tell(operations, read, Answer::Value(Some(1_000_000)));
    Some(())
}

/// Write `old` is before write `new`; a read of `new` is before a read of `old`. The first read comes after
/// `new`, so `new` comes between `old` and the second read.
fn read_new_then_old(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let (reads, writes) = (reads(operations), writes(operations));
    let mut found = Vec::new();
    for &(first, value) in &reads {
        let Some(&(new, _)) = writes.iter().find(|&&(_, written)| Some(written) == value) else { continue };
        for &(second, _) in &reads {
            for &(old, old_value) in &writes {
                if before(&operations[first], &operations[second]) && before(&operations[old], &operations[new]) {
                    found.push((second, old_value));
                }
            }
        }
    }
    let &(second, old) = random.pick(&found)?;
    tell(operations, second, Answer::Value(Some(old)));
    Some(())
}

/// Each addition raises the counter by one and nothing ever lowers it, so no two are told the same sum.
fn repeat_addition(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let additions = answered(operations, |call| matches!(call, Call::Add(_)));
    let (&one, &other) = (random.pick(&additions)?, random.pick(&additions)?);
    let answer = operations[one].ret()?.answer;
    tell(operations, other, answer);
    (one != other).then_some(())
}

/// A read is told less than the number of additions that are before it.
fn lose_additions(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let additions = answered(operations, |call| matches!(call, Call::Add(_)));
    let &(read, _) = random.pick(&reads(operations))?;
    let counted = additions.iter().filter(|&&addition| before(&operations[addition], &operations[read])).count();
    let less = i64::try_from(counted).unwrap() - 1;
    tell(operations, read, Answer::Value(Some(less)));
    Some(())
}

/// Each value is there at most once, until the first comparison with it that succeeds. Here two succeed.
fn win_twice(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let comparisons = |operations: &Operations, stored: bool| -> Vec<(usize, Expected)> {
        let told = |operation: &Operation<Call, Reply>| match operation.op {
            Call::CompareAndSet { expected, .. } if operation.ret()?.answer == Answer::Stored(stored) => Some(expected),
            _ => None,
        };
        let all = operations.iter().enumerate();
        all.filter_map(|(index, operation)| Some((index, told(operation)?))).collect()
    };
    let winners = comparisons(operations, true);
    let mut losers = comparisons(operations, false);
    losers.retain(|&(_, expected)| winners.iter().any(|&(_, won)| won == expected));
    let &(loser, _) = random.pick(&losers)?;
    tell(operations, loser, Answer::Stored(true));
    Some(())
}

/// Fences rise from grant to grant, so no two are the same.
fn repeat_fence(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let grants = grants(operations);
    let (&(one, fence), &(other, _)) = (random.pick(&grants)?, random.pick(&grants)?);
    tell(operations, other, Answer::Fence(fence));
    (one != other).then_some(())
}

/// One grant is before another, but has the higher fence.
fn swap_fences(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let grants = grants(operations);
    let (&(one, first), &(other, second)) = (random.pick(&grants)?, random.pick(&grants)?);
    tell(operations, one, Answer::Fence(second));
    tell(operations, other, Answer::Fence(first));
    before(&operations[one], &operations[other]).then_some(())
}

/// A grant is before, and an unlock that succeeds is after, a grant to somebody else. The guard was alive when it was
/// unlocked, so it was alive all the time between. The fence fits: it lies between the ones around it.
fn hold_twice(random: &mut Random, operations: &mut Operations) -> Option<()> {
    let mut guards = Vec::new();
    for (grant, fence) in grants(operations) {
        let unlocks = answered(operations, |call| call == Call::Unlock(fence));
        let done = unlocks.into_iter().find(|&index| operations[index].ret() == Some(&Answer::Done.into()));
        guards.extend(done.map(|unlock| (operations[grant].end(), operations[unlock].start, fence)));
    }
    let &(granted, unlocked, fence) = random.pick(&guards)?;
    let moment = |time: u64| Moment { time, position: u64::MAX / 2 };
    let (start, end) = (moment(granted.time + 1), moment(granted.time + 2));
    assert!(granted < start && end < unlocked);
    let fence = Stamp { number: fence.number + 5, ..fence };
    let outcome = Some((Answer::Fence(fence).into(), end));
    operations.push(Operation { client: Client(1_000_000), op: Call::Lock, start, outcome });
    Some(())
}

fn before(one: &Operation<Call, Reply>, other: &Operation<Call, Reply>) -> bool {
    one.end() < other.start
}

fn tell(operations: &mut Operations, index: usize, answer: Answer) {
    operations[index].outcome.as_mut().unwrap().0.answer = answer;
}

fn answered(operations: &Operations, wanted: impl Fn(Call) -> bool) -> Vec<usize> {
    (0..operations.len()).filter(|&index| !operations[index].is_pending() && wanted(operations[index].op)).collect()
}

fn reads(operations: &Operations) -> Vec<(usize, Option<i64>)> {
    let gets = answered(operations, |call| call == Call::Get);
    let value = |index: usize| match operations[index].ret().unwrap().answer {
        Answer::Value(value) => value,
        other => panic!("{other:?}"),
    };
    gets.into_iter().map(|index| (index, value(index))).collect()
}

fn writes(operations: &Operations) -> Vec<(usize, i64)> {
    let all = operations.iter().enumerate();
    all.filter_map(|(index, operation)| if let Call::Set(value) = operation.op { Some((index, value)) } else { None })
        .collect()
}

fn writer(operations: &Operations, value: Option<i64>) -> Option<usize> {
    writes(operations).into_iter().find(|&(_, written)| Some(written) == value).map(|(index, _)| index)
}

fn grants(operations: &Operations) -> Vec<(usize, Stamp)> {
    let all = operations.iter().enumerate();
    all.filter_map(|(index, operation)| match operation.ret()?.answer {
        Answer::Fence(fence) => Some((index, fence)),
        _ => None,
    })
    .collect()
}

/// A write, a read after it, and the value of a write before it.
fn overwritten(operations: &Operations) -> Vec<(usize, usize, i64)> {
    let (reads, writes) = (reads(operations), writes(operations));
    let mut found = Vec::new();
    for &(new, _) in &writes {
        for &(read, _) in &reads {
            for &(old, value) in &writes {
                if before(&operations[old], &operations[new]) && before(&operations[new], &operations[read]) {
                    found.push((new, read, value));
                }
            }
        }
    }
    found
}
