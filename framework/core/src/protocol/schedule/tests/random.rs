//! Random histories with every kind of fault, then a quiet end with one live worker.
//! `GUTHI_SEED=n` replays one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::{BatchId, Config, Outcome, Runs};
use super::{Random, Theatre};

const WORKERS: u64 = 5;

struct History {
    random: Random,
    theatre: Theatre,
    /// Answered batches, to be answered again.
    past: BTreeMap<BatchId, (u8, Runs)>,
    left_to_offer: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let config = Config {
            attempts: [1, 2, 3, 3, 20][random.below(5) as usize],
            once: random.below(4) == 0,
            batch_items_max: [1, 3, 16, 4096][random.below(4) as usize],
            ..Config::default()
        };
        let left_to_offer = [1, 10, 100, 2000][random.below(4) as usize];
        Self { random, theatre: Theatre::new(config), past: BTreeMap::new(), left_to_offer }
    }

    fn play(&mut self) {
        for _ in 0..self.random.below(600) {
            if self.theatre.machine.is_over() {
                break;
            }
            self.step();
            self.check_the_bounds();
        }
        let left = self.left_to_offer;
        self.theatre.offer(left);
        self.theatre.end_with_one_live_worker(0);
    }

    fn step(&mut self) {
        let worker = self.random.below(WORKERS) as u8;
        match self.random.below(40) {
            0 => self.theatre.lose(worker),
            1..=3 => {
                let parallelism = self.random.below(4) as u32;
                self.theatre.join(worker, parallelism);
            }
            4..=6 => {
                let count = self.random.below(self.left_to_offer + 1);
                self.left_to_offer -= count;
                self.theatre.offer(count);
            }
            7 if self.left_to_offer == 0 => self.theatre.finish_input(),
            8..=10 => self.theatre.pass(1_000_000 << self.random.next().count_ones().min(12)),
            11..=13 => _ = self.theatre.wait_for_wake(),
            14 | 15 => self.answer_again(),
            16 => self.answer_the_late(),
            17 | 18 => self.refuse(),
            19 => self.answer_with_noise(),
            _ => self.answer(),
        }
    }

    fn pick(&mut self) -> Option<BatchId> {
        let open: Vec<BatchId> = self.theatre.open.keys().copied().collect();
        let index = self.random.below(open.len() as u64) as usize;
        open.get(index).copied()
    }

    fn answer(&mut self) {
        let Some(batch) = self.pick() else { return };
        self.past.insert(batch, self.theatre.open[&batch].clone());
        let busy = 1 + self.random.below(10_000_000);
        self.theatre.answer(batch, busy, Outcome::Succeeded);
    }

    fn answer_with_noise(&mut self) {
        let Some(batch) = self.pick() else { return };
        let wrong = u64::from(self.random.below(8) == 0);
        let length = self.theatre.open[&batch].1.len() + wrong;
        let kinds = [Outcome::Succeeded, Outcome::Failed, Outcome::Returned];
        let outcomes: Vec<Outcome> = (0..length).map(|_| kinds[self.random.below(3) as usize]).collect();
        self.theatre.answer_each(batch, None, &outcomes);
    }

    fn answer_again(&mut self) {
        let Some((&batch, (worker, items))) = self.past.last_key_value() else { return };
        let (worker, outcomes) = (*worker, alloc::vec![Outcome::Succeeded; items.len() as usize]);
        self.theatre.input(|machine, now, out| machine.done(now, worker, batch, None, &outcomes, out));
    }

    fn answer_the_late(&mut self) {
        let late: Vec<BatchId> = self.theatre.late.keys().copied().collect();
        let index = self.random.below(late.len() as u64) as usize;
        if let Some(&batch) = late.get(index) {
            self.theatre.answer(batch, 1_000_000, Outcome::Succeeded);
        }
    }

    fn refuse(&mut self) {
        if let Some(batch) = self.pick() {
            self.theatre.refuse(batch);
        }
    }

    fn check_the_bounds(&self) {
        let machine = &self.theatre.machine;
        for worker in machine.workers.values() {
            // It may have had four slots a moment ago.
            assert!(worker.held.len() <= 8, "{} batches for {} slots", worker.held.len(), worker.parallelism);
        }
        for (_, items) in self.theatre.open.values() {
            assert!(items.len() <= u64::from(machine.config.batch_items_max));
        }
    }
}

struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("seed={0} replay: GUTHI_SEED={0} cargo test -p guthi-core schedule::tests::random", self.0);
        }
    }
}

#[test]
fn random_histories_count_each_item_once_and_end() {
    let replayed = std::env::var("GUTHI_SEED").ok();
    let seeds = match replayed {
        Some(seed) => {
            let seed = seed.parse().expect("GUTHI_SEED is a number");
            seed..seed + 1
        }
        None => 0..200,
    };
    for seed in seeds {
        let _replay = Replay(seed);
        History::new(seed).play();
    }
}
