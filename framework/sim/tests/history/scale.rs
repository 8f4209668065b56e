//! Long histories.

use std::time::Instant;

use guthi_sim::history::{Answer, Call, Variable, Verdict, search, zones};

use crate::simulation::{Load, Plan, Random, simulate};

#[test]
fn a_million_operations_on_a_register_are_checked_by_zones() {
    let plan = Plan { load: Load::Register, clients: 16, operations: 1_000_000, unknown: 0 };
    let mut operations = simulate(&mut Random(5), &plan);
    let started = Instant::now();
    assert!(zones(None, &operations).unwrap().is_ok());
    println!("zones, a million operations: {:.2} s", started.elapsed().as_secs_f64());

    // A read in the last tenth is told what was written in the first.
    let written = operations.iter().find(|operation| operation.op != Call::Get).unwrap().op;
    let Call::Set(old) = written else { unreachable!("there are only gets and sets") };
    let stale = (900_000..).find(|&index| operations[index].op == Call::Get).unwrap();
    operations[stale].outcome.as_mut().unwrap().0.answer = Answer::Value(Some(old));
    let started = Instant::now();
    let Verdict::NotLinearizable(conflict) = zones(None, &operations).unwrap() else { panic!("a stale read") };
    println!("and with a stale read: {:.2} s", started.elapsed().as_secs_f64());
    assert_eq!(conflict.misfit, stale);
}

#[test]
fn a_long_history_is_searched_in_about_as_many_steps_as_it_has_operations() {
    let plan = Plan { load: Load::SmallValues, clients: 6, operations: 100_000, unknown: 0 };
    let operations = simulate(&mut Random(6), &plan);
    let started = Instant::now();
    let verdict = search(&Variable::default(), &operations, 10_000_000);
    println!("search, a hundred thousand operations: {:.2} s", started.elapsed().as_secs_f64());
    assert!(verdict.is_ok());
}
