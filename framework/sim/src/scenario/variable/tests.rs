use guthi_core::protocol::bugs::Bugs;

use super::*;
use crate::run::{Plan, play};

#[test]
fn seeds_keep_the_rules() {
    for seed in 0..40 {
        let outcome = play::<Variable>(&Plan::of_seed::<Variable>(seed, None), Bugs::NONE, false);
        assert_eq!(outcome.violation, None, "seed={seed} replay: cargo sim --scenario variable --seed {seed}");
    }
}
