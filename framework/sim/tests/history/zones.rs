//! The two methods know nothing of each other, and must agree: on the verdict, and on where it goes wrong.

use guthi_sim::history::{Answer, Call, Conflict, Operation, Variable, Verdict, is_witness, search, zones};

use crate::simulation::{Load, Operations, Plan, Random, simulate};

#[test]
fn zones_and_search_agree_on_registers_written_with_unique_values() {
    let mut random = Random(4);
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000 {
        let (clients, operations) = (2 + random.below(5), 2 + random.below(30));
        let mut operations = simulate(&mut random, &Plan { load: Load::Register, clients, operations, unknown: 5 });
        let written: Vec<i64> = operations
            .iter()
            .filter_map(|operation| if let Call::Set(value) = operation.op { Some(value) } else { None })
            .collect();
        for _ in 0..random.below(3) {
            let index = random.below(operations.len());
            if let Operation { op: Call::Get, outcome: Some((reply, _)), .. } = &mut operations[index] {
                let value = if random.percent(5) { Some(-1) } else { random.pick(&written).copied() };
                reply.answer = Answer::Value(value);
            }
        }
        let by_zones = zones(None, &operations).unwrap();
        let by_search = search(&Variable::default(), &operations, 10_000_000);
        match (&by_zones, &by_search) {
            (Verdict::Linearizable { order: one }, Verdict::Linearizable { order: other }) => {
                good += 1;
                assert!(is_witness(&Variable::default(), &operations, one), "{one:?} {operations:#?}");
                assert!(is_witness(&Variable::default(), &operations, other), "{other:?} {operations:#?}");
            }
            (Verdict::NotLinearizable(one), Verdict::NotLinearizable(other)) => {
                bad += 1;
                assert_eq!(one.misfit, other.misfit, "{one:#?} {other:#?} {operations:#?}");
                assert!(one.core.contains(&one.misfit), "{one:#?} {operations:#?}");
                assert!(is_order_before_misfit(&operations, one), "{one:#?} {operations:#?}");
                assert!(is_order_before_misfit(&operations, other), "{other:#?} {operations:#?}");
            }
            _ => panic!("round {round}: {by_zones:#?} {by_search:#?} {operations:#?}"),
        }
    }
    println!("zones and search: {good} linearizable, {bad} not");
    assert!(good > 2_000 && bad > 2_000, "one-sided");
}

fn is_order_before_misfit(operations: &Operations, conflict: &Conflict) -> bool {
    let misfit = operations[conflict.misfit].end();
    let mut before = operations.clone();
    for operation in &mut before {
        operation.outcome.take_if(|&mut (_, end)| end >= misfit);
    }
    is_witness(&Variable::default(), &before, &conflict.prefix)
}
