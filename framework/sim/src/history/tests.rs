//! One paragraph of the essay each.

use super::*;

type Operations = Vec<Operation<Call, Reply>>;

const A: Client = Client(1);
const B: Client = Client(2);
const C: Client = Client(3);
const D: Client = Client(4);

/// A history in which one time unit passes between two events: each line starts an operation, or ends one.
#[derive(Default)]
struct Script {
    history: History<Call, Reply>,
    now: u64,
}

impl Script {
    fn starts(mut self, client: Client, call: Call) -> Self {
        self.now += 1;
        self.history.invoke(self.now, client, "x", call).unwrap();
        self
    }

    fn ends(mut self, client: Client, reply: impl Into<Reply>) -> Self {
        self.now += 1;
        self.history.complete(self.now, client, reply.into()).unwrap();
        self
    }

    /// An operation that overlaps only what has started and not ended.
    fn does(self, client: Client, call: Call, reply: impl Into<Reply>) -> Self {
        self.starts(client, call).ends(client, reply)
    }

    fn operations(&self) -> Operations {
        self.history.operations("x")
    }
}

fn value(value: i64) -> Answer {
    Answer::Value(Some(value))
}

const NONE: Answer = Answer::Value(None);

fn stamp(epoch: u64, number: u64) -> Stamp {
    Stamp { epoch, number }
}

/// Both methods give the same verdict on a register, and it is the expected one.
fn check_register(script: &Script, expected: bool) {
    let operations = script.operations();
    let verdict = zones(None, &operations).unwrap();
    assert_eq!(verdict.is_ok(), expected, "zones: {verdict:?}");
    check_variable(script, expected);
}

fn check_variable(script: &Script, expected: bool) {
    let verdict = search(&Variable::default(), &script.operations(), 10_000);
    assert_eq!(verdict.is_ok(), expected, "search: {verdict:?}");
}

fn check_lock(script: &Script, expected: bool) {
    let verdict = search(&Lock::default(), &script.operations(), 10_000);
    assert_eq!(verdict.is_ok(), expected, "{verdict:?}");
}

fn version(answer: Answer, epoch: u64, number: u64) -> Reply {
    Reply { answer, version: Some(stamp(epoch, number)) }
}

mod recording {
    use super::*;

    #[test]
    fn a_client_does_one_thing_at_a_time() {
        let mut history = Script::default().starts(A, Call::Get).history;
        assert_eq!(history.invoke(5, A, "y", Call::Get), Err(Refused::Busy { client: A }));
        assert_eq!(history.complete(5, B, NONE.into()), Err(Refused::Idle { client: B }));
    }

    #[test]
    fn a_client_that_did_not_learn_an_outcome_is_retired() {
        let mut history = Script::default().starts(A, Call::Set(1)).history;
        history.give_up(A).unwrap();
        assert_eq!(history.invoke(5, A, "x", Call::Get), Err(Refused::Retired { client: A }));
        assert_eq!(history.complete(5, A, Answer::Done.into()), Err(Refused::Retired { client: A }));
        assert!(history.operations("x")[0].is_pending());
    }

    #[test]
    fn what_certainly_had_no_effect_is_no_part_of_the_history_and_its_client_goes_on() {
        let mut history = Script::default().starts(A, Call::Set(1)).history;
        history.withdraw(A).unwrap();
        assert_eq!(history.operations("x"), []);
        history.invoke(5, A, "x", Call::Get).unwrap();
        assert_eq!(history.operations("x").len(), 1);
    }

    #[test]
    fn a_clients_own_times_do_not_go_backwards() {
        let mut history: History<Call, Reply> = History::new();
        history.invoke(5, A, "x", Call::Get).unwrap();
        assert_eq!(history.complete(4, A, NONE.into()), Err(Refused::Backwards { client: A, last: 5, now: 4 }));
        history.complete(6, A, NONE.into()).unwrap();
        assert_eq!(history.invoke(5, A, "x", Call::Get), Err(Refused::Backwards { client: A, last: 6, now: 5 }));
    }

    #[test]
    fn equal_times_are_in_the_order_of_recording() {
        let mut history = History::new();
        history.invoke(7, A, "x", Call::Set(1)).unwrap();
        history.complete(7, A, Answer::Done.into()).unwrap();
        history.invoke(7, B, "x", Call::Get).unwrap();
        history.complete(7, B, Reply::from(NONE)).unwrap();
        assert!(!search(&Variable::default(), &history.operations("x"), 100).is_ok());
    }

    #[test]
    fn events_may_be_recorded_late() {
        let mut history = History::new();
        history.invoke(10, B, "x", Call::Get).unwrap();
        history.complete(12, B, Reply::from(value(1))).unwrap();
        history.invoke(5, A, "x", Call::Set(1)).unwrap();
        assert!(search(&Variable::default(), &history.operations("x"), 100).is_ok());
    }

    #[test]
    fn what_was_written_to_a_file_is_read_from_it() {
        let mut script = Script::default()
            .does(A, Call::Set(1), version(Answer::Done, 1, 2))
            .starts(B, Call::CompareAndSet { expected: Expected::Version(stamp(1, 2)), new: 4 })
            .does(A, Call::Unlock(stamp(2, 1)), Answer::Lost);
        script.history.give_up(B).unwrap();
        let mut file = Vec::new();
        write(&script.history, &mut file).unwrap();
        assert_eq!(read(file.as_slice()).unwrap().operations("x"), script.operations());
    }
}

mod registers {
    use super::*;

    #[test]
    fn a_read_sees_the_last_write() {
        check_register(&Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Get, value(1)), true);
        check_register(&Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Get, NONE), false);
    }

    #[test]
    fn a_read_that_overlaps_a_write_sees_either_value() {
        for told in [NONE, value(1)] {
            let script = Script::default().starts(A, Call::Set(1)).does(B, Call::Get, told);
            check_register(&script.ends(A, Answer::Done), true);
        }
    }

    #[test]
    fn nobody_sees_the_old_value_after_somebody_saw_the_new_one() {
        let script = Script::default().starts(A, Call::Set(1)).does(B, Call::Get, value(1)).does(C, Call::Get, NONE);
        check_register(&script.ends(A, Answer::Done), false);
    }

    #[test]
    fn a_pending_write_may_have_happened_or_not_or_happen_late() {
        let pending = || Script::default().starts(D, Call::Set(9)).does(A, Call::Set(1), Answer::Done);
        check_register(&pending().does(B, Call::Get, value(1)), true);
        check_register(&pending().does(B, Call::Get, value(9)), true);
        check_register(&pending().does(B, Call::Get, value(1)).does(C, Call::Get, value(9)), true);
    }

    #[test]
    fn a_pending_write_happens_at_most_once_and_not_before_it_starts() {
        let pending = || Script::default().starts(D, Call::Set(9));
        let twice = pending().does(B, Call::Get, value(9)).does(A, Call::Set(1), Answer::Done);
        check_register(&twice.does(C, Call::Get, value(9)), false);
        check_register(&Script::default().does(B, Call::Get, value(9)).starts(D, Call::Set(9)), false);
    }

    #[test]
    fn the_initial_value_does_not_come_back() {
        let script = Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Get, value(1));
        check_register(&script.does(C, Call::Get, NONE), false);
    }

    #[test]
    fn writes_that_overlap_are_ordered_by_their_readers() {
        let overlap = || Script::default().starts(A, Call::Set(1)).starts(B, Call::Set(2)).starts(C, Call::Set(3));
        let read = overlap().does(D, Call::Get, value(3)).does(D, Call::Get, value(2)).does(D, Call::Get, value(1));
        check_register(&read, true);
        check_register(&read.does(D, Call::Get, value(3)), false);
    }

    #[test]
    fn a_write_inside_the_life_of_another_value_does_not_fit() {
        // The one condition for a zone that runs backward: 2 is written and nobody reads it, but it must have been there.
        let script = Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Set(2), Answer::Done);
        check_register(&script.does(C, Call::Get, value(1)), false);
    }

    #[test]
    fn values_that_come_twice_are_not_for_zones() {
        let twice = Script::default().does(A, Call::Set(1), Answer::Done).does(A, Call::Set(1), Answer::Done);
        assert_eq!(zones(None, &twice.operations()), Err(Unsuited::WrittenTwice { value: 1 }));
        assert_eq!(zones(Some(1), &twice.operations()), Err(Unsuited::WrittenTwice { value: 1 }));
        let add = Script::default().does(A, Call::Add(1), Answer::Missing);
        assert_eq!(zones(None, &add.operations()), Err(Unsuited::NotARegister { index: 0 }));
    }
}

mod variables {
    use super::*;

    #[test]
    fn one_of_two_comparisons_wins() {
        let set = |new| Call::CompareAndSet { expected: Expected::Value(None), new };
        let race = || Script::default().starts(A, set(1)).does(B, set(2), Answer::Stored(true));
        check_variable(&race().ends(A, Answer::Stored(false)).does(C, Call::Get, value(2)), true);
        check_variable(&race().ends(A, Answer::Stored(true)), false);
    }

    #[test]
    fn a_sum_counts_each_addition_once() {
        let script = || Script::default().does(A, Call::Set(0), Answer::Done).starts(B, Call::Add(1));
        check_variable(&script().does(C, Call::Add(1), value(2)), true);
        check_variable(&script().does(C, Call::Add(1), value(3)), false);
    }

    #[test]
    fn a_swap_tells_what_was_there_and_a_deleted_variable_has_nothing() {
        let script = Script::default().does(A, Call::Swap(1), NONE).does(A, Call::Swap(2), value(1));
        let script = script.does(B, Call::Delete, Answer::Done).does(C, Call::Get, NONE);
        let script = script.does(C, Call::Add(1), Answer::Missing).does(C, Call::Delete, Answer::Missing);
        check_variable(&script, true);
        check_variable(&script.does(C, Call::Get, value(2)), false);
    }

    #[test]
    fn versions_never_fall_and_change_only_with_writes() {
        let written = || Script::default().does(A, Call::Set(1), version(Answer::Done, 1, 5));
        check_variable(&written().does(B, Call::Get, version(value(1), 1, 5)), true);
        check_variable(&written().does(B, Call::Get, version(value(1), 1, 6)), false);
        check_variable(&written().does(B, Call::Set(2), version(Answer::Done, 1, 4)), false);
        let untold = || written().does(B, Call::Set(2), Answer::Done);
        check_variable(&untold().does(C, Call::Get, version(value(2), 2, 0)), true);
        check_variable(&untold().does(C, Call::Get, version(value(2), 1, 4)), false);
    }

    #[test]
    fn a_comparison_of_versions_wins_only_at_that_version() {
        let written = || Script::default().does(A, Call::Set(1), version(Answer::Done, 1, 5));
        let compare = |epoch, number| Call::CompareAndSet { expected: Expected::Version(stamp(epoch, number)), new: 7 };
        check_variable(&written().does(B, compare(1, 5), Answer::Stored(true)).does(C, Call::Get, value(7)), true);
        check_variable(&written().does(B, compare(1, 5), Answer::Stored(false)), false);
        check_variable(&written().does(B, compare(1, 4), Answer::Stored(true)), false);
        // Nobody was told the version of the second write: it may be the expected one.
        let untold = || written().does(B, Call::Set(2), Answer::Done);
        for stored in [true, false] {
            check_variable(&untold().does(C, compare(1, 6), Answer::Stored(stored)), true);
        }
    }
}

mod locks {
    use super::*;

    const FIRST: Answer = Answer::Fence(Stamp { epoch: 1, number: 1 });
    const SECOND: Answer = Answer::Fence(Stamp { epoch: 1, number: 2 });

    fn held() -> Script {
        Script::default().does(A, Call::Lock, FIRST)
    }

    fn unlock() -> Call {
        Call::Unlock(stamp(1, 1))
    }

    #[test]
    fn one_holder_at_a_time_with_rising_fences() {
        check_lock(&held().does(A, unlock(), Answer::Done).does(B, Call::Lock, SECOND), true);
        check_lock(&held().does(B, Call::Lock, SECOND), false);
        check_lock(&held().does(A, unlock(), Answer::Done).does(B, Call::Lock, FIRST), false);
    }

    #[test]
    fn only_the_holder_unlocks_and_only_once() {
        check_lock(&held().does(B, Call::Unlock(stamp(1, 2)), Answer::Done), false);
        check_lock(&held().does(A, unlock(), Answer::Done).does(A, unlock(), Answer::Done), false);
    }

    #[test]
    fn busy_is_told_only_while_somebody_holds_it() {
        let busy = Script::default().does(A, Call::TryLock, Answer::Busy);
        check_lock(&busy, false);
        assert!(search(&Lock { spurious_busy: true }, &busy.operations(), 100).is_ok());
        check_lock(&held().does(B, Call::TryLock, Answer::Busy), true);
        // Somebody may have been granted it and never learned of it.
        check_lock(&Script::default().starts(D, Call::Lock).does(A, Call::TryLock, Answer::Busy), true);
    }

    #[test]
    fn a_request_of_unknown_outcome_keeps_nobody_out() {
        check_lock(&Script::default().starts(D, Call::Lock).does(A, Call::Lock, FIRST), true);
    }

    #[test]
    fn a_crashed_holder_lets_go_at_some_time_after_its_crash() {
        check_lock(&held().starts(D, unlock()).does(B, Call::Lock, SECOND), true);
        check_lock(&held().does(B, Call::Lock, SECOND).starts(D, unlock()), false);
    }

    #[test]
    fn a_lapsed_guard_had_ended_when_its_holder_noticed() {
        check_lock(&held().starts(D, unlock()).does(B, Call::Lock, SECOND).ends(D, Answer::Lost), true);
        check_lock(&held().does(D, unlock(), Answer::Lost).does(B, Call::TryLock, Answer::Busy), false);
    }
}

mod verdicts {
    use super::*;

    #[test]
    fn a_spent_budget_is_a_failure() {
        let script = Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Get, value(1));
        let verdict = search(&Variable::default(), &script.operations(), 1);
        assert_eq!(verdict, Verdict::OutOfBudget { steps: 1 });
        assert!(!verdict.is_ok());
    }

    #[test]
    fn the_conflict_names_the_first_misfit_and_those_that_matter() {
        let mut script = Script::default().does(A, Call::Set(0), Answer::Done);
        for _ in 0..50 {
            script = script.does(B, Call::Add(1), Answer::Done).does(C, Call::Swap(0), value(1));
        }
        let script = script
            .does(A, Call::Set(5), Answer::Done)
            .does(C, Call::Get, value(5))
            .does(B, Call::Set(7), Answer::Done)
            .does(A, Call::Get, value(7))
            .does(C, Call::Get, value(5))
            .does(D, Call::Get, value(9));
        let operations = script.operations();
        let verdict = search(&Variable::default(), &operations, 10_000);
        let conflict = verdict.conflict().unwrap();
        let last = operations.len() - 1;
        assert_eq!(conflict.misfit, last - 1);
        assert_eq!(conflict.prefix, (0..last - 1).collect::<Vec<_>>());
        let picture = picture(&Variable::default(), &operations, &conflict.core, conflict.misfit);
        let expected = "\
client 2 │├ set 7 ┤
client 3 │         ├ get = 5 ┤  <- does not fit
  207 .. 208  client 2: set 7
  211 .. 212  client 3: get = 5
";
        assert_eq!(picture, expected, "{}", conflict.reason);
        let reason = "\
client 3: get = 5 is the first answer that fits into no order.
After 98 answers before those looked at, the state was: 1.
Left out: 6 that make no difference, whatever they were told.";
        assert_eq!(conflict.reason, reason);
    }

    #[test]
    fn a_witness_keeps_the_order_of_time_and_the_answers() {
        let script = Script::default().does(A, Call::Set(1), Answer::Done).does(B, Call::Get, value(1));
        let operations = script.does(D, Call::Get, value(1)).starts(C, Call::Set(2)).operations();
        let variable = Variable::default();
        assert!(is_witness(&variable, &operations, &[0, 1, 2]));
        assert!(is_witness(&variable, &operations, &[0, 1, 2, 3]));
        let wrong_answer = [1, 0, 2];
        let wrong_time = [0, 2, 1];
        for order in [&wrong_answer[..], &wrong_time, &[0, 1], &[0, 1, 1, 2], &[0, 1, 2, 4]] {
            assert!(!is_witness(&variable, &operations, order), "{order:?}");
        }
    }

    #[test]
    fn objects_are_checked_one_by_one() {
        let mut history = History::new();
        for (object, told) in [("a", value(1)), ("b", NONE)] {
            history.invoke(1, A, object, Call::Set(1)).unwrap();
            history.complete(1, A, Answer::Done.into()).unwrap();
            history.invoke(1, B, object, Call::Get).unwrap();
            history.complete(1, B, told.into()).unwrap();
        }
        let report = check(&history, &Config::default());
        let verdicts: Vec<bool> = report.objects.iter().map(|object| object.verdict.is_ok()).collect();
        assert_eq!(verdicts, [true, false]);
        assert!(!report.is_ok());
    }

    #[test]
    fn what_is_pending_is_drawn_without_an_end() {
        let script = Script::default().starts(A, Call::Add(1)).does(B, Call::Get, value(3)).does(C, Call::Get, NONE);
        let expected = "\
client 1 │├ add 1 = ? ╌╌╌╌╌╌╌╌╌╌╌╌╌╌…
client 2 │ ├ get = 3 ┤  <- does not fit
client 3 │            ├ get = none ┤
  1 .. ?  client 1: add 1 = ?
  2 .. 3  client 2: get = 3
  4 .. 5  client 3: get = none
";
        assert_eq!(picture(&Variable::default(), &script.operations(), &[0, 1, 2], 1), expected);
    }
}
