//! The explorer on toys whose answers are known, and the small worlds of the catalog, the membership, the mutexes and the variables.

use std::ops::ControlFlow;

use guthi_core::protocol::bugs::Bug;
use guthi_sim::{
    explore::{Bound, Bounds, Counts, Fingerprints, Model, Report, Verdict, explore, fingerprint, replay},
    models::{
        Named, Scope,
        catalog::{Action, Allowance, Catalog, Worlds},
        membership::{self, Membership},
        mutex::{self, Mutex},
        variable::{self, Variable},
    },
};
use stateright::Checker;

/// Two glasses of three and five litres, and how much water is in them. A riddle asks for four.
struct Glasses {
    forbidden: Option<u8>,
    wanted: &'static str,
    /// Whether one may empty them when all is over.
    may_tidy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pour {
    FillSmall,
    FillLarge,
    EmptySmall,
    EmptyLarge,
    SmallToLarge,
    LargeToSmall,
    Tidy,
}

impl Model for Glasses {
    type State = (u8, u8);
    type Action = Pour;

    fn initial(&self) -> Vec<(u8, u8)> {
        vec![(0, 0)]
    }

    fn actions(&self, _: &(u8, u8), actions: &mut Vec<Pour>) {
        actions.extend([Pour::FillSmall, Pour::FillLarge, Pour::EmptySmall, Pour::EmptyLarge]);
        actions.extend([Pour::SmallToLarge, Pour::LargeToSmall]);
    }

    fn next(&self, &(small, large): &(u8, u8), action: &Pour, met: &mut Vec<&'static str>) -> Option<(u8, u8)> {
        let (to_large, to_small) = (small.min(5 - large), large.min(3 - small));
        let next = match action {
            Pour::FillSmall => (3, large),
            Pour::FillLarge => (small, 5),
            Pour::EmptySmall => (0, large),
            Pour::EmptyLarge => (small, 0),
            Pour::SmallToLarge => (small - to_large, large + to_large),
            Pour::LargeToSmall => (small + to_small, large - to_small),
            Pour::Tidy if small > 0 => (0, large),
            Pour::Tidy => (0, 0),
        };
        if next.1 == 4 {
            met.push("four litres");
        }
        (next != (small, large)).then_some(next)
    }

    fn check(&self, state: &(u8, u8)) -> Result<(), String> {
        if Some(state.1) == self.forbidden { Err(format!("{} litres", state.1)) } else { Ok(()) }
    }

    fn sometimes(&self) -> Vec<&'static str> {
        vec![self.wanted]
    }

    fn recoveries(&self, state: &(u8, u8)) -> Vec<Pour> {
        if *state == (0, 0) { Vec::new() } else { vec![Pour::Tidy] }
    }

    fn recover(&self, state: &(u8, u8)) -> Result<Option<Pour>, String> {
        match *state {
            (0, 0) => Ok(None),
            (_, 2) if !self.may_tidy => Err("two litres are left".to_owned()),
            _ => Ok(Some(Pour::Tidy)),
        }
    }

    fn describe(&self, before: &(u8, u8), action: &Pour, after: &(u8, u8)) -> String {
        format!("{action:?} {before:?} {after:?}")
    }

    fn test(&self, start: usize, actions: &[Pour]) -> String {
        format!("{start} {actions:?}")
    }
}

const GLASSES: Glasses = Glasses { forbidden: None, wanted: "four litres", may_tidy: true };

fn all<M: Model>(model: &M) -> Report {
    explore(model, &Bounds::default(), &mut |_| ControlFlow::Continue(()))
}

#[test]
fn all_states_are_visited_once() {
    let report = all(&GLASSES);
    assert!(matches!(report.verdict, Verdict::Exhausted), "{}", report.verdict);
    // One of the two glasses is always full or empty: 6 + 6 + 2 + 2 states.
    assert_eq!(report.counts.unique, 16);
    assert_eq!(report.counts.waiting, 0);
    assert!(report.unmet.is_empty() && report.met["four litres"] > 0);
}

#[test]
fn the_shortest_way_is_found_and_can_be_walked_again() {
    let model = Glasses { forbidden: Some(4), ..GLASSES };
    let report = all(&model);
    let found = report.counterexample().expect("four litres can be had");
    assert_eq!((found.broken.as_str(), found.path.len()), ("4 litres", 6));
    assert_eq!(found.path[5], "LargeToSmall (2, 5) (3, 4)", "{found}");
    assert!(found.test.starts_with("0 [FillLarge, LargeToSmall, EmptySmall, "), "{}", found.test);
}

#[test]
fn what_never_happens_is_told() {
    let report = all(&Glasses { wanted: "six litres", ..GLASSES });
    assert!(matches!(report.verdict, Verdict::Unmet), "{}", report.verdict);
    assert_eq!(report.unmet, ["six litres"]);
}

#[test]
fn a_recovery_that_gets_stuck_is_found() {
    let report = all(&Glasses { may_tidy: false, ..GLASSES });
    let found = report.counterexample().expect("two litres are left somewhere");
    assert_eq!(found.broken, "two litres are left");
    assert!(!found.recovery.is_empty());
}

#[test]
fn bounds_are_kept_and_told() {
    let bounded = |bounds| match explore(&GLASSES, &bounds, &mut |_| ControlFlow::Continue(())) {
        Report { verdict: Verdict::Bounded(bound), counts, .. } => (bound, counts),
        report => panic!("{}", report.verdict),
    };
    let (bound, counts) = bounded(Bounds { depth: 2, ..Bounds::default() });
    assert_eq!((bound, counts.depth), (Bound::Depth(2), 2));
    // (3, 5), (0, 3) and (3, 2) can be had by two actions.
    assert_eq!((counts.unique, counts.waiting), (6, 3));
    let (bound, counts) = bounded(Bounds { states: 5, ..Bounds::default() });
    assert_eq!(bound, Bound::States(5));
    assert!(counts.waiting > 0 && counts.unique < 16);
    let report = explore(&GLASSES, &Bounds::default(), &mut |_: &Counts| ControlFlow::Break(()));
    assert!(matches!(report.verdict, Verdict::Bounded(Bound::Watch)));
}

#[test]
fn fingerprints_are_a_set_with_numbers_and_the_same_in_every_run() {
    let mut set = Fingerprints::new();
    for number in 0..10_000_u32 {
        assert_eq!(set.insert(fingerprint(&number)), Some(number));
    }
    assert!((0..10_000_u32).all(|number| set.insert(fingerprint(&number)).is_none()));
    assert!(!set.contains(fingerprint(&10_000_u32)) && set.len() == 10_000);
    // The same low bits: they stand next to each other.
    assert!((1..100_u128).all(|high| set.insert(high << 64).is_some()));
    assert_eq!(fingerprint(&7_u32), FINGERPRINT_OF_SEVEN);
}

const FINGERPRINT_OF_SEVEN: u128 = 251_551_612_115_912_797_070_150_503_346_246_291_013;

#[test]
fn every_state_of_two_nodes_keeps_the_rules() {
    exhaust("catalog");
}

#[test]
fn every_state_of_nodes_that_restart_keeps_the_rules() {
    exhaust("catalog-lives");
}

#[test]
fn every_state_of_three_nodes_keeps_the_rules() {
    exhaust("catalog-three");
}

#[test]
fn every_state_of_a_writer_that_forgets_removals_keeps_the_rules() {
    exhaust("catalog-floor");
}

fn exhaust(name: &str) {
    let model = Named::find(name).expect("it is in the list");
    let report = model.explore(Scope::Fast, None, &Bounds::default(), &mut |_| ControlFlow::Continue(()));
    let found = report.counterexample().map(ToString::to_string).unwrap_or_default();
    assert!(matches!(report.verdict, Verdict::Exhausted), "{} {:?}\n{found}", report.verdict, report.unmet);
}

/// A rule of the catalog that is broken, a world that shows it, and how many actions that takes.
const CATCHES: [(Bug, Worlds, Scope, usize); 8] = [
    (Bug::DeltaOutOfOrder, Worlds::Pair, Scope::Fast, 5),
    (Bug::GapNotPulled, Worlds::Pair, Scope::Fast, 3),
    (Bug::HeadNotRepeated, Worlds::Pair, Scope::Fast, 1),
    (Bug::StaleLifeAccepted, Worlds::Lives, Scope::Fast, 5),
    (Bug::TombstoneForgotten, Worlds::Lives, Scope::Long, 4),
    (Bug::TombstoneForgotten, Worlds::Floor, Scope::Fast, 0),
    (Bug::WaitingForgotten, Worlds::Pair, Scope::Fast, 4),
    (Bug::QuestionWaits, Worlds::Pair, Scope::Fast, 3),
];

#[test]
fn every_rule_of_the_catalog_that_is_broken_is_noticed() {
    for (bug, worlds, scope, actions) in CATCHES {
        let report = all(&Catalog::new(worlds, scope).planted(bug));
        let found = report.counterexample().unwrap_or_else(|| panic!("{bug:?} was not noticed: {}", report.verdict));
        assert_eq!(found.path.len(), actions, "{bug:?}: {found}");
        assert!(found.test.contains(&format!(".planted(Bug::{bug:?})")), "{}", found.test);
    }
}

#[test]
fn every_vote_on_one_view_keeps_the_rules() {
    exhaust("membership-vote");
}

#[test]
fn every_state_of_views_in_a_row_keeps_the_rules() {
    exhaust("membership-views");
}

#[test]
fn every_state_of_processes_that_die_on_one_machine_keeps_the_rules() {
    exhaust("membership-fork");
}

#[test]
fn every_state_of_lineages_that_meet_keeps_the_rules() {
    exhaust("membership-meeting");
}

/// A rule of the membership that is removed, a world and how it begins, what is broken then, and how many actions that takes.
const REMOVED: [(Bug, membership::Worlds, usize, &str, usize); 14] = {
    use membership::Worlds::{Fork, Meeting, Views, Vote};
    [
        (Bug::AcceptPromisesNothing, Vote, 1, "V1", 13),
        (Bug::OwnValuePreferred, Vote, 0, "V1", 7),
        (Bug::AnyHalfIsQuorum, Vote, 0, "V1", 2),
        (Bug::WedgeForgotten, Views, 1, "V4 for reads", 4),
        (Bug::OwnCutShrugged, Views, 5, "V4 for guards", 3),
        (Bug::InheritedWaitForgotten, Views, 4, "V4 for reads", 3),
        (Bug::InstallWaitForgotten, Views, 2, "V4 for guards", 5),
        (Bug::LaterViewUnwaited, Views, 4, "V4 for reads", 4),
        (Bug::GrantsForgotten, Views, 15, "V4 for guards", 3),
        (Bug::SinceIgnored, Views, 16, "E1", 1),
        (Bug::ForkSetLoose, Fork, 4, "both", 2),
        (Bug::EpochNotWritten, Fork, 0, "both", 8),
        (Bug::RankTiesGiveWay, Meeting, 0, "N2", 0),
        (Bug::JoinedWithoutLeaving, Meeting, 3, "N2", 4),
    ]
};

#[test]
fn every_rule_of_the_membership_that_is_removed_is_missed() {
    for (bug, worlds, start, broken, actions) in REMOVED {
        let report = all(&Membership::new(worlds, Scope::Fast).starting(start).planted(bug));
        let found = report.counterexample().unwrap_or_else(|| panic!("{bug:?} was not missed: {}", report.verdict));
        assert!(found.broken.starts_with(broken), "{bug:?}: {found}");
        assert_eq!(found.path.len(), actions, "{bug:?}: {found}");
    }
}

#[test]
fn every_state_of_a_mutex_in_one_view_keeps_the_rules() {
    exhaust("mutex-view");
}

#[test]
fn every_state_of_a_mutex_whose_view_changes_keeps_the_rules() {
    exhaust("mutex-change");
}

#[test]
fn every_state_of_a_mutex_whose_home_moves_keeps_the_rules() {
    exhaust("mutex-homes");
}

/// A rule of the mutexes that is broken, a world and how it begins, what is noticed, and how many actions that takes.
const BROKEN: [(Bug, mutex::Worlds, usize, &str, usize); 14] = {
    use mutex::Worlds::{Change, Homes, View};
    [
        (Bug::NextRequestOnly, View, 0, "W2", 2),
        (Bug::PassIgnored, View, 0, "L7", 2),
        (Bug::ReportsUnwanted, Homes, 2, "L6", 3),
        (Bug::OldTokenTaken, Change, 5, "L1", 6),
        (Bug::GrantUnchecked, Homes, 2, "L2", 10),
        (Bug::IdleTokenSurvives, Change, 6, "L1", 6),
        (Bug::WaitersLeftBehind, View, 1, "W2", 3),
        (Bug::FenceForgotten, View, 2, "L2", 6),
        (Bug::AnyGuardReleases, View, 2, "L3", 7),
        (Bug::BusyUnnumbered, View, 2, "L7", 8),
        (Bug::TryQueued, View, 0, "L7", 2),
        (Bug::DeathUntold, Change, 7, "L6", 5),
        (Bug::LocalTasksFirst, View, 3, "L5", 3),
        (Bug::GuardUnreported, Change, 6, "L1", 5),
    ]
};

#[test]
fn every_rule_of_the_mutexes_that_is_broken_is_noticed() {
    let noticed = BROKEN.map(|(bug, worlds, start, ..)| {
        let report = all(&Mutex::new(worlds, Scope::Fast).starting(start).planted(bug));
        let found = report.counterexample().unwrap_or_else(|| panic!("{bug:?} was not noticed: {}", report.verdict));
        (bug, found.broken[..2].to_owned(), found.path.len())
    });
    assert_eq!(noticed, BROKEN.map(|(bug, _, _, broken, actions)| (bug, broken.to_owned(), actions)));
}

/// Two rules guard the same thing: no guard is granted in a view that is not active, wherever its token comes from.
#[test]
fn a_token_that_is_made_too_early_is_of_no_use() {
    let report = all(&Mutex::new(mutex::Worlds::Change, Scope::Fast).starting(1).planted(Bug::MadeTooEarly));
    assert!(report.counterexample().is_none(), "{}", report.verdict);
}

#[test]
fn every_state_of_a_variable_in_one_view_keeps_the_rules() {
    exhaust_all("variable-calm", CALM);
}

#[test]
fn every_state_of_a_variable_whose_home_stays_keeps_the_rules() {
    exhaust_all("variable-stay", STAY);
}

#[test]
fn every_state_of_a_variable_whose_home_moves_keeps_the_rules() {
    exhaust_all("variable-move", MOVE);
}

#[test]
fn every_state_of_a_variable_whose_home_moves_back_keeps_the_rules() {
    exhaust_all("variable-back", BACK);
}

/// How many different states there are.
const CALM: u64 = 195_553;
const STAY: u64 = 119_060;
const MOVE: u64 = 160_691;
const BACK: u64 = 306_177;

fn exhaust_all(name: &str, states: u64) {
    let model = Named::find(name).expect("it is in the list");
    let report = model.explore(Scope::Fast, None, &Bounds::default(), &mut |_| ControlFlow::Continue(()));
    let found = report.counterexample().map(ToString::to_string).unwrap_or_default();
    assert!(matches!(report.verdict, Verdict::Exhausted), "{} {:?}\n{found}", report.verdict, report.unmet);
    assert_eq!(report.counts.unique, states, "{name}");
}

/// A rule of the variables that is broken, a world and how it begins, what is noticed, and how many actions that takes.
const FORGOTTEN: [(Bug, variable::Worlds, usize, &str, usize); 14] = {
    use variable::Worlds::{Back, Calm, Move, Stay};
    [
        (Bug::FloorIgnored, Calm, 1, "D3", 5),
        (Bug::OperationNumberIgnored, Calm, 0, "D8", 1),
        (Bug::WriterCopyForced, Calm, 1, "D3", 12),
        (Bug::VariableReportsUnwanted, Stay, 0, "D3", 5),
        (Bug::StaleCopySpared, Stay, 0, "D3", 6),
        (Bug::RecentAtHomeOnly, Stay, 1, "D8", 4),
        (Bug::AnsweredBeforeStored, Move, 1, "D4", 4),
        (Bug::ServedTooEarly, Move, 0, "D3", 13),
        (Bug::LastStoreWins, Move, 1, "D4", 9),
        (Bug::RecordsDroppedEarly, Back, 1, "D5", 3),
        (Bug::FillTakenTwice, Back, 2, "D4", 14),
        (Bug::FullIgnored, Back, 4, "D4", 17),
        (Bug::OldWriteTaken, Back, 5, "D4", 20),
        (Bug::WatchForgotten, Calm, 7, "D12", 2),
    ]
};

#[test]
fn every_rule_of_the_variables_that_is_broken_is_noticed() {
    let noticed = FORGOTTEN.map(|(bug, worlds, start, ..)| {
        let report = all(&Variable::new(worlds, Scope::Fast).starting(start).planted(bug));
        let found = report.counterexample().unwrap_or_else(|| panic!("{bug:?} was not noticed: {}", report.verdict));
        let rule = found.broken.split(':').next().unwrap_or_default();
        (bug, rule.to_owned(), found.path.len())
    });
    assert_eq!(noticed, FORGOTTEN.map(|(bug, _, _, broken, actions)| (bug, broken.to_owned(), actions)));
}

#[test]
fn a_path_is_walked_as_it_was_found() {
    use Action::{Deliver, Link, Set};
    let path = [Link { a: 0, b: 1 }, Set { node: 0, key: 0 }, Deliver { letter: 0 }];
    let model = Catalog::new(Worlds::Pair, Scope::Fast);
    assert_eq!(replay(&model, 0, &path), Ok(()));
    let broken = replay(&model.planted(Bug::HeadNotRepeated), 0, &path);
    assert!(broken.is_err_and(|why| why.contains("does not come to rest")));
}

#[test]
fn stateright_finds_the_same_states() {
    let small = Allowance { sets: 1, losses: 1, links: 1, restarts: 1, wakes: 1, ..Allowance::NONE };
    for worlds in [Worlds::Pair, Worlds::Lives] {
        let model = Catalog::new(worlds, Scope::Fast).allowing(small);
        let ours = all(&model).counts;
        let theirs = stateright::Model::checker(Theirs(model)).spawn_bfs().join();
        assert_eq!(ours.unique, theirs.unique_state_count() as u64, "{worlds:?}");
        assert_eq!(ours.states, theirs.state_count() as u64, "{worlds:?}");
        assert!(ours.unique > 1000, "{worlds:?}: {ours:?}");
    }
}

/// A model of ours as stateright sees it. Recovery has no counterpart there.
struct Theirs<M>(M);

impl<M: Model> stateright::Model for Theirs<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.0.initial()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &M::State, action: M::Action) -> Option<M::State> {
        self.0.next(state, &action, &mut Vec::new())
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always("its rules", |model, state| model.0.check(state).is_ok())]
    }

    fn within_boundary(&self, state: &M::State) -> bool {
        self.0.within_boundary(state)
    }
}
