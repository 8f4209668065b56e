//! Networks that are cut, and heal.

use std::time::{Duration, Instant};

use super::cohort::Cohort;

/// A view that has not changed for so long does not change any more.
const QUIET: Duration = Duration::from_secs(5);

#[test]
fn of_five_that_are_split_three_go_on_and_two_wait() {
    let Some(cohort) = Cohort::in_lab(5) else { return };
    // The two are the oldest, and those through whom the others came to know each other.
    let (few, many) = ([0, 1], [2, 3, 4]);
    let before = cohort.view(0).unwrap();
    let cut = Instant::now();
    cohort.lab().partition(&few, &many);
    cohort.wait("the three go on", |cohort| cohort.agree(&many));
    cohort.print("from the cut to a view of the three", cut);
    cohort.wait("the two are isolated", |cohort| few.iter().all(|number| cohort.view(*number).is_none()));
    cohort.print("from the cut until the two are isolated", cut);

    cohort.pass(cut + Duration::from_secs(10));
    for number in few {
        assert_eq!(cohort.changes(number, cut), 0, "nobody decides without a quorum");
        assert_eq!(cohort.count(number, "isolated", cut), 1);
        let (_, view) = cohort.workers()[number].view().unwrap();
        assert_eq!((view.epoch, view.members), (before.epoch, before.members.clone()));
    }
    assert!(cohort.agree(&many));

    cohort.lab().heal();
    let healed = Instant::now();
    cohort.wait("all are one again", Cohort::is_whole);
    cohort.print("from the end of a cut of 10 s to a view of all", healed);
    let wanted = [("failed", 0), ("failed", 1), ("recovered", 0), ("recovered", 1)];
    cohort.wait("the three know", |cohort| cohort.were_told(&many, &wanted));
    cohort.settle(QUIET);
    assert!(cohort.is_whole() && cohort.were_told(&many, &wanted));
    cohort.assert_same_sequence(&many);
    for number in few {
        assert_eq!(cohort.count(number, "excluded", cut), 1, "the old life ended once");
    }
}

#[test]
fn a_one_way_cut_ends_in_one_view_and_heals() {
    let Some(cohort) = Cohort::in_lab(5) else { return };
    let cut = Instant::now();
    cohort.lab().cut_one_way(1, 3);
    cohort.wait("both ends miss each other", |cohort| cohort.has_lost(1, 3));
    cohort.print("from the one-way cut until both ends miss each other", cut);
    cohort.settle(QUIET);
    let views = cohort.agreed_views();
    println!("one way cut: the views are {views:?}");
    assert!(views[0].len() >= 3, "{views:?}");

    cohort.lab().heal();
    let healed = Instant::now();
    cohort.wait("all are one again", Cohort::is_whole);
    cohort.print("from the end of the one-way cut until all hear all", healed);
    cohort.settle(QUIET);
    assert!(cohort.is_whole());
    cohort.assert_same_sequence(&[0, 2, 4]);
}

#[test]
fn of_two_that_are_cut_one_way_the_older_goes_on() {
    let Some(cohort) = Cohort::in_lab(2) else { return };
    let cut = Instant::now();
    cohort.lab().cut_one_way(0, 1);
    cohort.wait("the older one goes on", |cohort| cohort.agree(&[0]));
    cohort.wait("the younger one waits", |cohort| cohort.view(1).is_none());
    cohort.print("from the cut of two until one goes on and one waits", cut);
    cohort.lab().heal();
    let healed = Instant::now();
    cohort.wait("both are one again", Cohort::is_whole);
    cohort.print("from the end of the cut of two to a view of both", healed);
    assert!(cohort.were_told(&[0], &[("failed", 1), ("recovered", 1)]));
}

/// Neighbours alone hear each other.
fn chain(cohort: &Cohort) {
    let cut = Instant::now();
    cohort.lab().chain();
    let size = cohort.all().len();
    cohort.wait("every cut is noticed", |cohort| {
        (0..size).all(|one| (one + 2..size).all(|other| cohort.has_lost(one, other)))
    });
    cohort.settle(QUIET);
    let views = cohort.agreed_views();
    let changes: Vec<_> = cohort.all().iter().map(|number| cohort.changes(*number, cut)).collect();
    println!("chain of {size}: the views are {views:?}, after as many changes: {changes:?}");
    assert!(views[0].len() > size / 2, "{views:?}");
    // Still the same a while later.
    cohort.pass(Instant::now() + QUIET);
    assert_eq!(cohort.agreed_views(), views);

    cohort.lab().heal();
    let healed = Instant::now();
    cohort.wait("all are one again", Cohort::is_whole);
    cohort.print("from the end of the chain to a view of all", healed);
    cohort.settle(QUIET);
    assert!(cohort.is_whole());
    let always: Vec<_> =
        views[0].iter().copied().filter(|number| cohort.count(*number, "excluded", cut) == 0).collect();
    cohort.assert_same_sequence(&always);
}

#[test]
fn a_chain_of_three_ends_in_one_view_and_heals() {
    let Some(cohort) = Cohort::in_lab(3) else { return };
    chain(&cohort);
}

#[test]
fn a_chain_of_five_ends_in_one_view_and_heals() {
    let Some(cohort) = Cohort::in_lab(5) else { return };
    chain(&cohort);
}
