//! Processes that begin anew, and all that stand still at once.

use std::time::{Duration, Instant};

use super::cohort::Cohort;

const QUIET: Duration = Duration::from_secs(5);

fn restarted(mut cohort: Cohort, when: impl Fn(&Cohort) -> bool) {
    let survivors = [0, 2, 3];
    let killed = Instant::now();
    cohort.restart(1, when);
    let wanted = [("failed", 1), ("recovered", 1)];
    cohort.wait("it is back", |cohort| cohort.is_one() && cohort.were_told(&survivors, &wanted));
    cohort.print("from kill -9 until the next life is a member", killed);
    cohort.settle(QUIET);
    assert!(cohort.is_whole());
    assert_eq!(cohort.sequence(0), [("failed".to_owned(), 1), ("recovered".to_owned(), 1)], "each once, in this order");
    cohort.assert_same_sequence(&survivors);
}

fn have_cut(cohort: &Cohort) -> bool {
    cohort.agree(&[0, 2, 3])
}

#[test]
fn who_is_restarted_with_its_identity_fails_and_recovers_once() {
    restarted(Cohort::at_home(4), have_cut);
    if let Some(cohort) = Cohort::in_lab(4) {
        restarted(cohort, have_cut);
    }
}

#[test]
fn who_is_restarted_at_once_fails_and_recovers_once() {
    restarted(Cohort::at_home(4), |_| true);
    if let Some(cohort) = Cohort::in_lab(4) {
        restarted(cohort, |_| true);
    }
}

fn stopped(cohort: &Cohort) {
    for worker in cohort.workers() {
        worker.stop();
    }
    cohort.pass(Instant::now() + Duration::from_secs(10));
    let resumed = Instant::now();
    for worker in cohort.workers() {
        worker.resume();
    }
    // Whoever does not answer is noticed within this time.
    cohort.pass(resumed + QUIET);
    cohort.settle(QUIET);
    assert!(cohort.is_whole());
    let took = cohort.last_change().saturating_duration_since(resumed);
    let changes: Vec<_> = cohort.all().iter().map(|number| cohort.changes(*number, resumed)).collect();
    println!("{took:.2?} after kill -CONT of all the last view changed; as many other views: {changes:?}");
}

#[test]
fn all_that_stood_still_are_one_again() {
    stopped(&Cohort::at_home(5));
}

#[test]
fn all_that_stood_still_in_a_network_are_one_again() {
    if let Some(cohort) = Cohort::in_lab(5) {
        stopped(&cohort);
    }
}
