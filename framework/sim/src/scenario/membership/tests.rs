use std::time::Duration;

use guthi_core::protocol::{bugs::Bugs, membership::Config};

use super::*;
use crate::{
    fabric::Conditions,
    run::{Plan, play},
    world::Stepped,
};

#[test]
fn seeds_keep_the_rules() {
    for seed in 0..40 {
        let outcome = play::<Membership>(&Plan::of_seed::<Membership>(seed, None), Bugs::NONE, false);
        assert_eq!(outcome.violation, None, "seed={seed} replay: cargo sim --scenario membership --seed {seed}");
        let outcome = play::<Membership<true>>(&Plan::of_seed::<Membership<true>>(seed, None), Bugs::NONE, false);
        assert_eq!(outcome.violation, None, "seed={seed} replay: cargo sim --scenario membership-any --seed {seed}");
    }
}

/// Five nodes on one stage, whose ways a test opens and closes.
struct Stage {
    seed: u64,
    scenario: Membership,
    world: World<MembershipHost>,
}

impl Stage {
    fn of_five(seed: u64) -> Self {
        let conditions = Conditions { delay_us: 5000, jitter_us: 2000, ..Conditions::default() };
        let mut stage =
            Self { seed, scenario: Membership::new(Profile::Safety, 0), world: World::new(seed, conditions, false) };
        (0..5).for_each(|place| stage.boot(place));
        stage.run(Duration::from_secs(5));
        stage
    }

    fn boot(&mut self, place: Place) {
        let member = self.world.next_member(place);
        let seed = self.seed << 16 | u64::from(place) << 8 | member.incarnation.0;
        let host = self.scenario.boot(Boot { place, member, seed, bugs: Bugs::NONE, tame: true, verbose: false });
        self.world.boot(place, member, host, 0);
        self.introduce(place);
    }

    fn introduce(&mut self, place: Place) {
        (0..self.world.places()).for_each(|other| self.world.introduce(place, other));
    }

    /// Time passes. Whose membership has ended begins anew a little later.
    fn run(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while let Some(stepped) = self.world.step(until) {
            if let Stepped::Node(place) = stepped {
                self.scenario.check_step(&mut self.world, place).expect("no rule is broken");
            }
        }
        self.world.skip_to(until);
        self.world.take_died().into_iter().for_each(|place| self.boot(place));
    }

    /// Until that is so; how long it took.
    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) -> Duration {
        let began = self.world.now();
        while !is_so(self) {
            self.run(Duration::from_millis(10));
            assert!(self.world.now().saturating_since(began) < Duration::from_secs(30), "it never is so");
        }
        self.world.now().saturating_since(began)
    }

    fn serves(&self, place: Place) -> bool {
        self.world.host(place).is_some_and(|host| host.machine().serves(self.world.clock(place)))
    }

    fn members(&self, place: Place) -> usize {
        self.world.host(place).map_or(0, |host| host.machine().view().seats.len())
    }

    fn cut(&mut self, side: &[Place], cut: bool) {
        for from in 0..5 {
            for to in (0..5).filter(|to| side.contains(to) != side.contains(&from)) {
                if cut {
                    self.world.fabric_mut().cut(from, to);
                } else {
                    self.world.fabric_mut().mend(from, to);
                }
            }
        }
    }
}

/// Under `Majority`, two of five stop within a lease, and are back within two seconds, however long that lasted.
#[test]
fn of_a_split_into_three_and_two_the_two_stop_within_a_lease_and_return() {
    let mut back = Vec::new();
    for seed in 0..24 {
        let two = [[0, 1], [3, 4], [1, 3], [0, 2]][seed as usize % 4];
        let lasts = [0, 3, 8, 20, 60, 590][seed as usize % 6];
        let mut stage = Stage::of_five(seed);
        assert!((0..5).all(|place| stage.serves(place) && stage.members(place) == 5));
        stage.cut(&two, true);
        let stopped = stage.run_until(|stage| two.iter().all(|place| !stage.serves(*place)));
        assert!(stopped <= Config::default().lease, "{stopped:?}");
        let three: Vec<_> = (0..5).filter(|place| !two.contains(place)).collect();
        stage.run_until(|stage| three.iter().all(|place| stage.serves(*place) && stage.members(*place) == 3));
        stage.run(Duration::from_secs(lasts));
        assert!(two.iter().all(|place| !stage.serves(*place)));
        stage.cut(&two, false);
        back.push(stage.run_until(|stage| (0..5).all(|place| stage.serves(place) && stage.members(place) == 5)));
    }
    assert!(back.iter().all(|back| *back <= Duration::from_secs(2)), "{back:?}");
}

/// E2: in an hour of calm nobody is suspected, and no view follows another.
#[test]
fn an_hour_of_calm_is_calm() {
    let mut stage = Stage::of_five(0);
    let view = |stage: &Stage, place| stage.world.host(place).map(|host| host.machine().view().at);
    let before = view(&stage, 0);
    for place in 0..5 {
        stage.world.host_mut(place).expect("it is up").take_events();
    }
    for _ in 0..60 {
        stage.run(Duration::from_secs(60));
        for place in 0..5 {
            assert!(stage.serves(place) && view(&stage, place) == before);
        }
    }
}
