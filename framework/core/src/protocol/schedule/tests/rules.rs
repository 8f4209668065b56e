//! One rule of the essay each.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::Outcome::{Failed, Returned, Succeeded};
use super::super::{BatchId, Config, Effect, Machine, Strange, invariant};
use super::{Random, Theatre};
use crate::protocol::contract::Outbox;
use crate::protocol::time::Time;

const MILLI: u64 = 1_000_000;

fn sizes(theatre: &Theatre) -> Vec<u64> {
    theatre.open.values().map(|(_, items)| items.len()).collect()
}

/// Answers every open batch, oldest first, at `cost` an item, until `enough`.
fn work(theatre: &mut Theatre, cost: u64, mut enough: impl FnMut(&Theatre) -> bool) {
    while !enough(theatre) {
        let (&batch, (_, items)) = theatre.open.first_key_value().unwrap();
        let busy = items.len() * cost;
        theatre.now = theatre.now + Duration::from_nanos(busy);
        theatre.answer(batch, busy, Succeeded);
    }
}

// Beginning and end.

#[test]
fn a_map_without_items_finishes_with_its_input() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    assert!(!theatre.finished);
    theatre.finish_input();
    assert!(theatre.finished);
}

#[test]
fn without_workers_the_map_waits() {
    let mut theatre = Theatre::with_items(Config::default(), 5);
    assert_eq!((theatre.assigned, theatre.machine.deadline()), (0, None));
    theatre.join(1, 1);
    theatre.lose(1);
    assert_eq!((theatre.machine.pending(), theatre.machine.deadline()), (5, None));
    theatre.join(2, 1);
    work(&mut theatre, MILLI, |theatre| theatre.finished);
}

#[test]
fn an_open_input_keeps_a_counted_map_alive() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.offer(1);
    work(&mut theatre, MILLI, |theatre| theatre.open.is_empty());
    assert!(!theatre.machine.is_over());
    theatre.offer(2);
    work(&mut theatre, MILLI, |theatre| theatre.open.is_empty());
    theatre.finish_input();
    assert!(theatre.finished);
}

#[test]
fn a_cancelled_map_cancels_what_is_out_and_ignores_the_rest() {
    let mut machine = Machine::new(Config::default());
    let (now, mut out) = (Time::from_nanos(0), Outbox::new());
    machine.worker_joined(now, 'a', 1, &mut out);
    machine.offer(now, 3, &mut out);
    out.drain();
    machine.cancel(&mut out);
    let cancel = |batch| Effect::Cancel { worker: 'a', batch: BatchId(batch) };
    assert_eq!(out.effects(), [cancel(0), cancel(1)]);
    assert!(machine.is_over() && machine.deadline().is_none() && machine.appetite() == 0);
    out.drain();
    machine.done(now, 'a', BatchId(0), None, &[Succeeded], &mut out);
    machine.wake(now, &mut out);
    machine.worker_lost(now, 'a', &mut out);
    machine.cancel(&mut out);
    assert_eq!(out.effects(), vec![Effect::Ignored { reason: Strange::Over }; 3]);
}

// Batches.

#[test]
fn batches_begin_with_one_item_and_grow_to_the_wanted_time() {
    let mut theatre = Theatre::with_items(Config::default(), 100_000);
    theatre.join(1, 2);
    assert_eq!(sizes(&theatre), [1, 1, 1, 1], "two a slot");
    work(&mut theatre, 10_000, |theatre| theatre.assigned >= 20);
    assert!(theatre.counted.len() < 400, "at most four times more each time");
    work(&mut theatre, 10_000, |theatre| theatre.counted.len() >= 20_000);
    assert_eq!(sizes(&theatre), [700; 4], "7 ms of 10 us each");
}

#[test]
fn tiny_items_are_bounded_by_number() {
    let mut theatre = Theatre::with_items(Config::default(), 100_000);
    theatre.join(1, 1);
    work(&mut theatre, 10, |theatre| theatre.counted.len() >= 40_000);
    assert_eq!(sizes(&theatre), [4096; 2]);
    theatre.machine.limit_batches(100);
    work(&mut theatre, 10, |theatre| theatre.counted.len() >= 60_000);
    assert_eq!(sizes(&theatre), [100; 2]);
}

#[test]
fn a_worker_that_slows_down_gets_smaller_batches() {
    let mut theatre = Theatre::with_items(Config::default(), 1_000_000);
    theatre.join(1, 1);
    work(&mut theatre, 10_000, |theatre| theatre.counted.len() >= 20_000);
    work(&mut theatre, 100_000, |theatre| theatre.counted.len() >= 40_000);
    assert!(sizes(&theatre).iter().all(|size| (65..=80).contains(size)), "{:?}", sizes(&theatre));
}

#[test]
fn batches_shrink_towards_the_end() {
    let mut theatre = Theatre::with_items(Config::default(), 10_000);
    theatre.join(1, 1);
    theatre.join(2, 1);
    let mut last = u64::MAX;
    while theatre.machine.pending() > 0 {
        let left = theatre.machine.pending();
        let (before, assigned) = (sizes(&theatre), theatre.assigned);
        work(&mut theatre, 10_000, |theatre| theatre.assigned > assigned);
        let given = left - theatre.machine.pending();
        assert!(given <= left.div_ceil(4) || given == 1, "{given} of {left} beside {before:?}");
        last = given;
    }
    assert_eq!(last, 1);
}

#[test]
fn a_slow_worker_gets_a_smaller_share_of_what_is_left() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.join(2, 1);
    // They prove a pace of 1 and of 4 us, and that they can do a thousand items.
    for count in [2, 8, 32, 128, 512, 2048] {
        theatre.offer(count);
        while let Some((&batch, (worker, items))) = theatre.open.first_key_value() {
            let busy = items.len() * if *worker == 1 { 1_000 } else { 4_000 };
            theatre.answer(batch, busy, Succeeded);
        }
    }
    theatre.offer(500);
    // Of half of 500 the fast one gets four fifths, of half of the other 300 the slow one gets one.
    let first = |worker| theatre.items_of(theatre.held_by(worker)[0]).len();
    let (fast, slow) = (first(1), first(2));
    assert!((195..=200).contains(&fast) && (28..=30).contains(&slow), "{fast} and {slow}");
}

#[test]
fn the_last_items_are_not_queued_at_a_busy_worker() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.join(2, 1);
    theatre.offer(3);
    assert_eq!((theatre.assigned, theatre.machine.pending()), (2, 1));
}

#[test]
fn elapsed_and_places_in_the_answer_are_told() {
    let mut machine = Machine::new(Config::default());
    let (now, mut out) = (Time::from_nanos(0), Outbox::new());
    machine.worker_joined(now, 'a', 1, &mut out);
    machine.offer(now, 100, &mut out);
    let later = now + Duration::from_millis(1);
    machine.done(later, 'a', BatchId(0), Some(Duration::from_micros(10)), &[Succeeded], &mut out);
    out.drain();
    // Items 2 to 5.
    machine.done(later, 'a', BatchId(1), None, &[Failed], &mut out);
    out.drain();
    let answer = [Succeeded, Failed, Failed, Returned];
    machine.done(later, 'a', BatchId(2), Some(Duration::from_micros(8)), &answer, &mut out);
    let elapsed = Duration::from_micros(2);
    let complete =
        |items, offset, outcome| Effect::Complete { worker: 'a', batch: BatchId(2), items, offset, outcome, elapsed };
    assert_eq!(out.effects()[..2], [complete(2..3, 0, Succeeded), complete(3..5, 1, Failed)]);
    assert_eq!((machine.counted(), machine.pending()), (5, 100 - 5 - 4));
}

// Losses.

#[test]
fn what_a_lost_worker_held_goes_to_the_front() {
    let mut theatre = Theatre::with_items(Config::default(), 100);
    theatre.join(1, 2);
    theatre.lose(1);
    assert_eq!(theatre.machine.pending(), 100);
    theatre.join(2, 1);
    let first: Vec<u64> = theatre.held_by(2).iter().flat_map(|&batch| theatre.items_of(batch)).collect();
    assert!(first.contains(&0), "{first:?}");
    work(&mut theatre, MILLI, |theatre| theatre.finished);
}

#[test]
fn an_item_that_kills_its_workers_is_named_and_no_other() {
    for (seed, killer) in [0, 1, 7, 777, 2_999].into_iter().cycle().take(30).enumerate() {
        let mut random = Random::new(seed as u64);
        let attempts = 2 + seed as u32 % 2;
        let mut theatre = Theatre::with_items(Config { attempts, ..Config::default() }, 3_000);
        let mut deaths = 0;
        for worker in 1..4 {
            theatre.join(worker, 4);
        }
        while !theatre.machine.is_over() {
            // Any of the batches that run may be the next to end.
            let worker = 1 + random.below(3) as u8;
            let running: Vec<BatchId> = theatre.held_by(worker).into_iter().take(4).collect();
            let Some(&batch) = running.get(random.below(4) as usize) else { continue };
            if theatre.items_of(batch).contains(&killer) {
                deaths += 1;
                theatre.lose(worker);
                theatre.join(worker, 4);
            } else {
                theatre.answer(batch, 1000, Succeeded);
            }
        }
        assert_eq!((theatre.poisoned, deaths), (Some(killer), attempts), "seed={seed}");
    }
}

#[test]
fn an_answer_that_comes_after_its_worker_was_lost_still_counts() {
    let mut theatre = Theatre::with_items(Config::default(), 2);
    theatre.join(1, 1);
    let batch = theatre.held_by(1)[0];
    theatre.lose(1);
    theatre.answer(batch, MILLI, Succeeded);
    assert_eq!((theatre.counted.len(), theatre.machine.pending()), (1, 1));
    // Nobody runs that item again.
    theatre.join(2, 1);
    assert_eq!(theatre.items_of(theatre.held_by(2)[0]), [1]);
}

#[test]
fn a_late_answer_cancels_the_second_run() {
    let mut theatre = Theatre::with_items(Config::default(), 1);
    theatre.join(1, 1);
    let batch = theatre.held_by(1)[0];
    theatre.lose(1);
    theatre.join(2, 1);
    let second = theatre.held_by(2)[0];
    theatre.answer(batch, MILLI, Succeeded);
    assert!(theatre.finished || theatre.cancelled.contains(&second));
    // And the other way round: the late one comes second.
    let mut theatre = Theatre::with_items(Config::default(), 2);
    theatre.join(1, 1);
    let batch = theatre.held_by(1)[0];
    theatre.lose(1);
    theatre.join(2, 1);
    theatre.answer(theatre.held_by(2)[0], MILLI, Succeeded);
    theatre.answer(batch, MILLI, Succeeded);
    assert_eq!(theatre.counted.len(), 1);
}

#[test]
fn what_must_run_once_ends_unknown_with_its_worker() {
    let mut theatre = Theatre::with_items(Config { once: true, ..Config::default() }, 9);
    theatre.join(1, 1);
    theatre.join(2, 1);
    let batch = theatre.held_by(1)[0];
    let held: Vec<u64> = theatre.held_by(1).iter().flat_map(|&batch| theatre.items_of(batch)).collect();
    theatre.lose(1);
    assert!(!held.is_empty() && theatre.unknown.iter().copied().eq(held.iter().copied()));
    theatre.answer(batch, MILLI, Succeeded);
    assert_eq!(theatre.ignored, [Strange::UnknownBatch], "it is counted already");
    work(&mut theatre, MILLI, |theatre| theatre.finished);
    assert_eq!(theatre.unknown.len(), held.len());
}

#[test]
fn what_must_run_once_is_not_duplicated_but_tried_again_if_it_did_not_run() {
    let mut theatre = Theatre::with_items(Config { once: true, ..Config::default() }, 1);
    theatre.join(1, 1);
    theatre.join(2, 1);
    theatre.pass(60_000 * MILLI);
    assert_eq!((theatre.duplicates, theatre.machine.deadline()), (0, None));
    theatre.refuse(theatre.held_by(1)[0]);
    theatre.answer_each(theatre.held_by(2)[0], None, &[Returned]);
    assert_eq!(theatre.counted.len(), 0);
    theatre.wait_for_wake();
    work(&mut theatre, MILLI, |theatre| theatre.finished);
    assert!(theatre.unknown.is_empty());
}

// Refusals.

#[test]
fn a_worker_that_refuses_is_left_alone_for_a_growing_while() {
    let mut theatre = Theatre::with_items(Config::default(), 4);
    theatre.join(1, 1);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        for batch in theatre.held_by(1) {
            theatre.refuse(batch);
        }
        assert!(theatre.open.is_empty(), "it rests");
        let until = theatre.machine.deadline().unwrap();
        pauses.push(until.saturating_since(theatre.now).as_millis());
        theatre.wake();
        assert!(theatre.open.is_empty(), "an early wake does no harm");
        theatre.wait_for_wake();
        assert_eq!(theatre.open.len(), 1, "after a refusal it is tried with less");
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]);
    work(&mut theatre, MILLI, |theatre| theatre.finished);
}

#[test]
fn refused_items_go_to_somebody_else_and_cost_no_attempt() {
    let mut theatre = Theatre::with_items(Config { attempts: 1, ..Config::default() }, 1);
    theatre.join(1, 1);
    theatre.join(2, 1);
    theatre.refuse(theatre.held_by(1)[0]);
    theatre.refuse(theatre.held_by(2)[0]);
    assert!(theatre.poisoned.is_none());
    theatre.wait_for_wake();
    work(&mut theatre, MILLI, |theatre| theatre.finished);
}

// Stragglers.

/// Workers 1 and 2 have shown a pace of 1 ms an item; worker 1 holds the last item, 2 is idle.
fn one_last_item() -> (Theatre, BatchId) {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.join(2, 1);
    theatre.offer(2);
    theatre.now = theatre.now + Duration::from_millis(1);
    for worker in [1, 2] {
        theatre.answer(theatre.held_by(worker)[0], MILLI, Succeeded);
    }
    theatre.offer(1);
    theatre.finish_input();
    let batch = theatre.held_by(1)[0];
    assert!(theatre.held_by(2).is_empty());
    (theatre, batch)
}

fn wait_for_a_duplicate(theatre: &mut Theatre) {
    for _ in 0..100 {
        if theatre.duplicates > 0 {
            return;
        }
        assert!(theatre.wait_for_wake(), "the machine does not ask to be woken");
    }
    panic!("nothing is ever late");
}

#[test]
fn an_idle_worker_duplicates_what_is_late_and_the_first_answer_counts() {
    let (mut theatre, late) = one_last_item();
    assert_eq!(theatre.duplicates, 0);
    assert!(theatre.wait_for_wake(), "the machine asks to be woken");
    wait_for_a_duplicate(&mut theatre);
    theatre.wake();
    assert_eq!(theatre.duplicates, 1, "a repeated wake does no harm");
    let copy = theatre.held_by(2)[0];
    assert_eq!(theatre.items_of(copy), theatre.items_of(late));
    theatre.answer(copy, MILLI, Succeeded);
    assert!(theatre.finished);
    theatre.answer(late, MILLI, Succeeded);
    assert_eq!(theatre.ignored, [Strange::Over]);
}

#[test]
fn each_further_copy_waits_twice_as_long() {
    let (mut theatre, _) = one_last_item();
    theatre.join(3, 1);
    theatre.join(4, 1);
    let mut copies = Vec::new();
    for _ in 0..20 {
        theatre.pass(MILLI);
        copies.push(theatre.duplicates);
    }
    // At 2 ms, 4 ms later, and 8 ms later; then everybody has one.
    assert_eq!(copies, [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]);
    assert_eq!(theatre.machine.deadline(), None);
}

#[test]
fn nothing_is_duplicated_in_time_or_while_items_are_pending() {
    let (theatre, _) = one_last_item();
    let wake = theatre.machine.deadline().unwrap().saturating_since(theatre.now);
    assert!(wake >= Duration::from_millis(1) && wake <= Duration::from_millis(4), "{wake:?}");
    let mut theatre = Theatre::with_items(Config::default(), 1000);
    theatre.join(1, 1);
    theatre.join(2, 1);
    theatre.pass(10_000 * MILLI);
    assert_eq!(theatre.duplicates, 0, "both have work");
}

#[test]
fn a_silent_worker_gets_nothing_more_although_its_work_was_taken_over() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.offer(2);
    let silent = theatre.held_by(1);
    assert_eq!(silent.len(), 2);
    theatre.join(2, 1);
    for _ in 0..100 {
        match theatre.held_by(2).first() {
            Some(&batch) => theatre.answer(batch, MILLI, Succeeded),
            None => _ = theatre.wait_for_wake(),
        }
    }
    assert!(silent.iter().all(|batch| theatre.cancelled.contains(batch)));
    theatre.offer(50);
    assert_eq!(theatre.held_by(1), silent, "its slots are still filled");
    // It wakes up: one late result, one acknowledged cancellation, and it is back at work.
    theatre.answer(silent[0], MILLI, Succeeded);
    assert_eq!(theatre.ignored, [Strange::Superseded]);
    theatre.refuse(silent[1]);
    assert_eq!(theatre.held_by(1).len(), 2);
}

#[test]
fn a_parcel_that_waits_behind_a_long_item_is_taken_over_at_once() {
    let mut theatre = Theatre::new(Config::default());
    theatre.join(1, 1);
    theatre.offer(3);
    theatre.answer(theatre.held_by(1)[0], 10 * MILLI, Succeeded);
    assert_eq!(theatre.held_by(1).len(), 2);
    let waiting = theatre.held_by(1)[1];
    // Half of what runs is over: 15 ms are left for the second item, which a newcomer needs 10 for.
    theatre.pass(5 * MILLI);
    theatre.join(2, 1);
    assert_eq!(theatre.items_of(theatre.held_by(2)[0]), theatre.items_of(waiting));
}

#[test]
fn a_returned_copy_leaves_its_items_to_the_other() {
    let (mut theatre, late) = one_last_item();
    wait_for_a_duplicate(&mut theatre);
    theatre.answer_each(theatre.held_by(2)[0], None, &[Returned]);
    assert_eq!(theatre.machine.pending(), 0);
    theatre.answer(late, MILLI, Succeeded);
    assert!(theatre.finished);
}

// Strange input.

#[test]
fn strange_answers_are_ignored_by_name() {
    let mut theatre = Theatre::with_items(Config::default(), 9);
    theatre.join(1, 1);
    let batch = theatre.held_by(1)[0];
    let before = theatre.machine.clone();
    let strange = |theatre: &mut Theatre, worker: u8, batch: u64| {
        let batch = BatchId::from_u64(batch);
        theatre.input(|machine, now, out| machine.done(now, worker, batch, None, &[Succeeded], out));
        theatre.input(|machine, now, out| machine.worker_refused(now, worker, batch, out));
    };
    strange(&mut theatre, 1, 99);
    strange(&mut theatre, 7, batch.as_u64());
    theatre.lose(7);
    theatre.offer(1);
    theatre.finish_input();
    let (finished, batches) = (Strange::InputFinished, Strange::UnknownBatch);
    assert_eq!(theatre.ignored, [batches, batches, batches, batches, Strange::UnknownWorker, finished, finished]);
    assert_eq!(alloc::format!("{:?}", theatre.machine), alloc::format!("{before:?}"));
}

#[test]
fn an_answer_of_the_wrong_length_is_a_lost_attempt() {
    let mut theatre = Theatre::with_items(Config::default(), 1);
    theatre.join(1, 1);
    for _ in 0..3 {
        theatre.answer_each(theatre.held_by(1)[0], None, &[Succeeded, Succeeded]);
    }
    assert_eq!((theatre.poisoned, theatre.ignored.len()), (Some(0), 3));
    let mut theatre = Theatre::with_items(Config { once: true, ..Config::default() }, 1);
    theatre.join(1, 1);
    theatre.answer_each(theatre.held_by(1)[0], None, &[]);
    assert!(theatre.finished && theatre.unknown.contains(&0));
}

#[test]
fn extreme_figures_do_not_overflow() {
    let mut machine = Machine::new(Config { attempts: u32::MAX, rest_max: Duration::MAX, ..Config::default() });
    let (now, mut out) = (Time::from_nanos(0), Outbox::new());
    machine.worker_joined(now, 'a', u32::MAX, &mut out);
    machine.worker_joined(now, 'b', 0, &mut out);
    machine.offer(now, u64::MAX, &mut out);
    machine.offer(now, 1, &mut out);
    assert_eq!(out.effects().last(), Some(&Effect::Ignored { reason: Strange::InputFinished }));
    let end = Time::from_nanos(u64::MAX);
    for batch in 0..100 {
        let worker = if batch == 1 { 'b' } else { 'a' };
        machine.done(end, worker, BatchId(batch), Some(Duration::MAX), &[Succeeded], &mut out);
        machine.worker_refused(end, worker, BatchId(batch + 100), &mut out);
    }
    machine.worker_lost(now, 'a', &mut out);
    assert_eq!(invariant::check(&machine), Ok(()));
}

// Streams.

#[test]
fn the_appetite_follows_the_pace_and_ends_with_the_input() {
    let mut theatre = Theatre::new(Config::default());
    assert_eq!(theatre.machine.appetite(), 64, "some wait for the first worker");
    theatre.join(1, 4);
    let mut most = 0;
    while theatre.counted.len() < 100_000 {
        theatre.offer(theatre.machine.appetite());
        most = most.max(theatre.machine.pending());
        let &batch = theatre.open.first_key_value().unwrap().0;
        let items = theatre.items_of(batch).len() as u64;
        theatre.answer(batch, items * 10_000, Succeeded);
    }
    assert_eq!(most, 4 * 4 * 700, "four rounds of four slots, 7 ms each");
    theatre.finish_input();
    assert_eq!(theatre.machine.appetite(), 0);
}

/// Two workers die of copies of one parcel: any of its items may be to blame, so none is named before it was alone.
#[test]
fn items_that_were_lost_together_get_their_last_chance_alone() {
    let mut machine = Machine::new(Config { attempts: 2, ..Config::default() });
    let (mut out, mut now) = (Outbox::new(), Time::from_nanos(0));
    machine.worker_joined(now, 1, 1, &mut out);
    machine.offer(now, 100, &mut out);
    machine.finish_input(now, &mut out);
    // Worker 1 answers at once until it is given several items together, and then no more.
    // Worker 2 answers all that it is given, until that is a copy of those.
    let mut copied = false;
    for _ in 0..1000 {
        let mut answers = Vec::new();
        for effect in out.drain() {
            match effect {
                Effect::Assign { worker: 1, batch, items, .. } if items.len() == 1 => answers.push((1, batch, items)),
                Effect::Assign { worker: 2, items, duplicate: true, .. } if items.len() > 1 => copied = true,
                Effect::Assign { worker: 2, batch, items, .. } => answers.push((2, batch, items)),
                _ => {}
            }
        }
        if copied {
            break;
        }
        now = now + Duration::from_millis(1);
        for (worker, batch, items) in &answers {
            let outcomes = vec![Succeeded; items.len() as usize];
            machine.done(now, *worker, *batch, Some(Duration::from_micros(1)), &outcomes, &mut out);
        }
        if answers.is_empty() {
            machine.worker_joined(now, 2, 1, &mut out);
            machine.wake(now, &mut out);
        }
    }
    assert!(copied, "a late parcel of several items is copied");
    machine.worker_lost(now, 1, &mut out);
    machine.worker_lost(now, 2, &mut out);
    assert!(!machine.is_over(), "nobody knows whom to blame: {out:?}");
    machine.worker_joined(now, 3, 1, &mut out);
    let alone = |effect: &Effect<u32>| matches!(effect, Effect::Assign { worker: 3, items, .. } if items.len() == 1);
    assert!(out.effects().iter().any(alone), "{out:?}");
}
