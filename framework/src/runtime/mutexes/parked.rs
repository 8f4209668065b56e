//! The parked token: what lets a task of this node take a mutex that nobody else wants without asking the driver.
//!
//! One word holds where the token is and the number of its last guard, so every change is one compare-and-swap:
//!
//! ```text
//! Away ──park──> Free ──take──> Taken ──give back──> Free
//!                 │               │
//!               recall          recall
//!                 ▼               ▼
//!                Away           Wanted ──give back──> Away, and the driver is told
//! ```
//!
//! The driver alone parks and recalls; whoever has taken alone gives back. The number rises with each taking, so whatever
//! the driver recalls tells it the number of the last guard.

use std::sync::atomic::{AtomicU64, Ordering};

/// The word and what happens to it. The tests put one in its place that tries every order of events.
#[derive(Debug, Default)]
pub(super) struct Parked<W = AtomicU64>(W);

/// An atomic word.
pub(super) trait Word {
    fn load(&self) -> u64;
    /// Whether it was `from`, and is `to` now.
    fn replace(&self, from: u64, to: u64) -> bool;
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn replace(&self, from: u64, to: u64) -> bool {
        self.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Where the token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// With the driver, or elsewhere.
    Away,
    /// Here, for whoever takes it.
    Free,
    /// There is a guard of it.
    Taken,
    /// There is a guard of it, and the driver wants the token back with that.
    Wanted,
}

/// What became of a token that was recalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recalled {
    /// Of its last guard.
    pub(super) grant: u64,
    /// That guard is still there.
    pub(super) held: bool,
}

/// What giving back a guard has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenBack {
    /// The token is free again.
    Free,
    /// The driver must be told.
    Wanted,
}

const fn pack(state: State, grant: u64) -> u64 {
    grant << 2 | state as u64
}

const fn unpack(word: u64) -> (State, u64) {
    let state = match word & 3 {
        0 => State::Away,
        1 => State::Free,
        2 => State::Taken,
        _ => State::Wanted,
    };
    (state, word >> 2)
}

impl<W: Word> Parked<W> {
    /// Parks a token whose last guard had that number; false if a guard of an earlier one is still there.
    pub(super) fn park(&self, grant: u64) -> bool {
        let word = self.0.load();
        unpack(word).0 == State::Away && self.0.replace(word, pack(State::Free, grant))
    }

    /// Takes the token if it is free, and gives the number of the guard.
    pub(super) fn take(&self) -> Option<u64> {
        let word = self.0.load();
        let (State::Free, last) = unpack(word) else { return None };
        self.0.replace(word, pack(State::Taken, last + 1)).then_some(last + 1)
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self) -> GivenBack {
        loop {
            let word = self.0.load();
            let (state, grant) = unpack(word);
            let (next, led_to) = match state {
                State::Taken => (State::Free, GivenBack::Free),
                State::Wanted => (State::Away, GivenBack::Wanted),
                State::Away | State::Free => unreachable!("only what was taken is given back, and once"),
            };
            if self.0.replace(word, pack(next, grant)) {
                return led_to;
            }
        }
    }

    /// Takes the token back, or orders it back from whoever has taken it; nothing if it is not parked here.
    pub(super) fn recall(&self) -> Option<Recalled> {
        loop {
            let word = self.0.load();
            let (state, grant) = unpack(word);
            let (next, held) = match state {
                State::Away | State::Wanted => return None,
                State::Free => (State::Away, false),
                State::Taken => (State::Wanted, true),
            };
            if self.0.replace(word, pack(next, grant)) {
                return Some(Recalled { grant, held });
            }
        }
    }

    /// The number of the guard that somebody has taken.
    pub(super) fn taken(&self) -> Option<u64> {
        let (state, grant) = unpack(self.0.load());
        matches!(state, State::Taken | State::Wanted).then_some(grant)
    }
}

#[cfg(test)]
mod tests {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicU64 as Loom, AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    impl Word for Loom {
        fn load(&self) -> u64 {
            self.load(Ordering::SeqCst)
        }

        fn replace(&self, from: u64, to: u64) -> bool {
            self.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        }
    }

    #[test]
    fn it_goes_around() {
        let parked = Parked::<AtomicU64>::default();
        assert_eq!((parked.take(), parked.recall()), (None, None));
        assert!(parked.park(7));
        assert_eq!((parked.take(), parked.take(), parked.taken()), (Some(8), None, Some(8)));
        assert_eq!(parked.give_back(), GivenBack::Free);
        assert_eq!(parked.recall(), Some(Recalled { grant: 8, held: false }));
        assert!(parked.park(8));
        assert_eq!(parked.take(), Some(9));
        assert_eq!(parked.recall(), Some(Recalled { grant: 9, held: true }));
        assert_eq!(parked.recall(), None, "it is on its way back");
        assert!(!parked.park(11), "its guard is still there");
        assert_eq!(parked.give_back(), GivenBack::Wanted);
        assert_eq!((parked.taken(), parked.take()), (None, None));
    }

    /// Two tasks and the driver, in every order: at most one guard at a time, each with a number of its own that the driver
    /// learns of; and a guard that the driver was told of comes back to it.
    #[test]
    fn in_every_order_there_is_one_guard_at_a_time_and_the_driver_knows_the_last() {
        loom::model(|| {
            let parked = Arc::new(Parked(Loom::new(pack(State::Free, 0))));
            let guards = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let (parked, guards) = (parked.clone(), guards.clone());
                    thread::spawn(move || {
                        let grant = parked.take()?;
                        assert_eq!(guards.fetch_add(1, Ordering::SeqCst), 0, "two guards at once");
                        guards.fetch_sub(1, Ordering::SeqCst);
                        Some((grant, parked.give_back()))
                    })
                })
                .collect();
            let recalled = parked.recall().expect("it is parked, and nobody else recalls it");
            let taken: Vec<_> = tasks.into_iter().filter_map(|task| task.join().unwrap()).collect();
            let mut grants: Vec<_> = taken.iter().map(|(grant, _)| *grant).collect();
            grants.sort_unstable();
            let expected: Vec<_> = (1..=grants.len() as u64).collect();
            assert_eq!(grants, expected, "each number once");
            assert_eq!(recalled.grant, grants.len() as u64, "the driver knows the last guard");
            let told = taken.iter().filter(|(_, led_to)| *led_to == GivenBack::Wanted).count();
            assert_eq!(told, usize::from(recalled.held), "what was held comes back to the driver");
            assert_eq!(parked.take(), None);
        });
    }
}
