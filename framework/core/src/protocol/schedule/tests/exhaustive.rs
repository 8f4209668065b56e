//! Every history of a few inputs, over at most three items and two workers. After each step the
//! invariants hold and nothing is counted twice (M1); from each state reached, either worker alone
//! brings the map to its end, while the other one stays silent (M2).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::super::Outcome::{Returned, Succeeded};
use super::super::{BatchId, Config};
use super::Theatre;

#[derive(Clone, Copy, Debug)]
enum Step {
    Join(u8),
    Lose(u8),
    Answer(BatchId),
    Return(BatchId),
    Refuse(BatchId),
    Garble(BatchId),
    /// Until the machine wants to be woken.
    Wake,
}

fn steps(theatre: &Theatre) -> Vec<Step> {
    let mut steps = Vec::new();
    for worker in [1, 2] {
        let here = theatre.machine.workers.contains_key(&worker);
        steps.push(if here { Step::Lose(worker) } else { Step::Join(worker) });
    }
    for &batch in theatre.open.keys() {
        steps.extend([Step::Answer(batch), Step::Return(batch), Step::Refuse(batch), Step::Garble(batch)]);
    }
    steps.extend(theatre.late.keys().map(|&batch| Step::Answer(batch)));
    steps.extend(theatre.machine.deadline().map(|_| Step::Wake));
    steps
}

fn take(theatre: &mut Theatre, step: Step) {
    match step {
        Step::Join(worker) => theatre.join(worker, 1),
        Step::Lose(worker) => theatre.lose(worker),
        Step::Answer(batch) => theatre.answer(batch, 1_000_000, Succeeded),
        Step::Return(batch) => theatre.answer(batch, 1_000_000, Returned),
        Step::Refuse(batch) => theatre.refuse(batch),
        Step::Garble(batch) => theatre.answer_each(batch, None, &[]),
        Step::Wake => _ = theatre.wait_for_wake(),
    }
}

struct Explorer {
    /// Hashes of the states seen, with the steps that were left from them.
    seen: BTreeSet<(u64, u32)>,
    path: Vec<Step>,
}

impl Explorer {
    fn explore(&mut self, theatre: &Theatre, depth: u32) {
        let state = fingerprint(theatre);
        if (depth..20).any(|deeper| self.seen.contains(&(state, deeper))) {
            return;
        }
        self.seen.insert((state, depth));
        for worker in [1, 2] {
            theatre.clone().end_with_one_live_worker(worker);
        }
        if depth == 0 || theatre.machine.is_over() {
            return;
        }
        for step in steps(theatre) {
            let mut next = theatre.clone();
            self.path.push(step);
            take(&mut next, step);
            if next.machine.is_over() {
                next.check_the_verdict();
            }
            self.explore(&next, depth - 1);
            self.path.pop();
        }
    }
}

/// A failing history prints the way to it.
impl Drop for Explorer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("history: {:?}", self.path);
        }
    }
}

/// FNV-1a over the printed state.
fn fingerprint(theatre: &Theatre) -> u64 {
    let text = alloc::format!("{:?}{:?}{:?}{:?}", theatre.machine, theatre.now, theatre.counted, theatre.losses);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn explore(config: &Config, items: u64, depth: u32) {
    let theatre = Theatre::with_items(config.clone(), items);
    let mut explorer = Explorer { seen: BTreeSet::new(), path: Vec::new() };
    explorer.explore(&theatre, depth);
    std::println!("{items} items, {depth} steps: {} states", explorer.seen.len());
}

#[test]
fn every_short_history_counts_each_item_once_and_can_end() {
    for (items, depth) in [(1, 8), (2, 5), (3, 5)] {
        explore(&Config::default(), items, depth);
        explore(&Config { attempts: 2, ..Config::default() }, items, depth);
    }
}

/// With `once` a silent worker is never replaced, by design; so here the other one is lost, not silent.
#[test]
fn every_short_history_of_a_once_function_ends_when_the_silent_are_lost() {
    for items in 1..=3 {
        let config = Config { once: true, ..Config::default() };
        explore(&config, items, 5);
    }
}
