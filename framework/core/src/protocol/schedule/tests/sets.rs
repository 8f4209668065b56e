//! `Runs` against a set of single items.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Random, Runs};

#[test]
fn runs_agree_with_a_set_of_single_items() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
        for _ in 0..60 {
            let start = random.below(40);
            let run = start..start + random.below(9);
            let missing: Vec<u64> = runs.missing(&run).into_iter().flatten().collect();
            let expected: Vec<u64> = run.clone().filter(|item| !set.contains(item)).collect();
            assert_eq!(missing, expected, "seed={seed}");
            match random.below(5) {
                0 | 1 => {
                    runs.insert(run.clone());
                    set.extend(run);
                }
                2 | 3 => {
                    runs.remove(&run);
                    set.retain(|item| !run.contains(item));
                }
                _ => {
                    let count = random.below(5);
                    let taken: Vec<u64> = runs.take_front(count).items().collect();
                    let expected: Vec<u64> = set.iter().copied().take(count as usize).collect();
                    assert_eq!(taken, expected, "seed={seed}");
                    taken.iter().for_each(|item| assert!(set.remove(item)));
                }
            }
            assert!(runs.items().eq(set.iter().copied()), "seed={seed}");
            assert_eq!(runs.len(), set.len() as u64, "seed={seed}");
            let apart = runs.iter().zip(runs.iter().skip(1)).all(|(one, next)| one.end < next.start);
            assert!(apart, "touching runs are not joined, seed={seed}");
        }
    }
}
