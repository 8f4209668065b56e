use std::time::Duration;

use guthi_core::{
    protocol::{
        home::home,
        mutex::Config,
        view::{At, Change, Epoch, Lineage, View},
    },
    wire::name::Name,
};

use super::{
    Action,
    letter::{member, number},
    world::{BUSY, Course, DEATH_TOLD, JUMPED, MADE, PASSED, RUN_MAX, State, TAKEN},
};
use crate::models::Scope;

/// Which nodes there are, and what may happen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// One view: tasks wait, try, and wait no more; tokens are parked, and leases lapse.
    View,
    /// The view changes once: somebody is cut, dead or alive, or the home moves.
    Change,
    /// The view changes twice: the home moves on, or back, or stays.
    Homes,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// A task waits.
    pub locks: u8,
    /// A task tries.
    pub tries: u8,
    /// A task waits no more.
    pub cancels: u8,
    /// A node takes a guard of its parked token.
    pub takes: u8,
    /// A guard is given back again.
    pub again: u8,
    /// The lease of a member ends.
    pub lapses: u8,
    /// A node dies.
    pub crashes: u8,
}

impl Allowance {
    /// Messages arrive, views change, and that is all.
    pub const NONE: Self = Self { locks: 0, tries: 0, cancels: 0, takes: 0, again: 0, lapses: 0, crashes: 0 };

    /// Counts an action. That the lease of somebody ends who was cut costs nothing.
    pub(super) const fn spend(&mut self, action: &Action, of_member: bool) {
        let one = match action {
            Action::Acquire { .. } => &mut self.locks,
            Action::Try { .. } => &mut self.tries,
            Action::Cancel { .. } => &mut self.cancels,
            Action::Take { .. } => &mut self.takes,
            Action::Again { .. } => &mut self.again,
            Action::Lapse { .. } if of_member => &mut self.lapses,
            Action::Crash { .. } => &mut self.crashes,
            Action::Deliver { .. } | Action::Release { .. } | Action::Proceed { .. } | Action::Wedge { .. } => return,
            Action::Install { .. } | Action::Lapse { .. } | Action::Renew { .. } => return,
            Action::Calm { .. } | Action::Round => return,
        };
        *one = one.saturating_sub(1);
    }
}

impl Worlds {
    /// What happens there, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::View => "one view: tasks wait, try, and wait no more; tokens are parked, and leases lapse",
            Self::Change => "the view changes once: a member is cut, dead or alive, or the home moves",
            Self::Homes => "the view changes twice: the home moves on, or back, or stays",
        }
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::default();
        config.repeat_min = TICK;
        config.repeat_max = TICK;
        config.run_max = RUN_MAX;
        config
    }

    /// The ways in which the world may begin.
    pub(super) fn initial(self, scope: Scope, config: Config) -> Vec<State> {
        let begin = |(course, left)| State::new(course, config, left);
        self.beginnings(scope).into_iter().map(begin).collect()
    }

    fn beginnings(self, scope: Scope) -> Vec<(Course, Allowance)> {
        use Change::{Admit, Cut, Renew, Retire};
        let long = u8::from(scope == Scope::Long);
        let none = Allowance::NONE;
        let node = member;
        match self {
            Self::View => {
                let three = |left| (course(3, &[], &[0]), left);
                let two = |left| (course(2, &[], &[0]), left);
                vec![
                    three(Allowance { locks: 2, tries: 1, cancels: 1, ..none }),
                    two(Allowance { locks: 3 + long, cancels: 1 + long, lapses: 2, ..none }),
                    two(Allowance { locks: 2 + long, tries: 2, takes: 1 + long, again: 1, lapses: long, ..none }),
                    two(Allowance { locks: 4, ..none }),
                ]
            }
            Self::Change => {
                let left = Allowance { locks: 2 + long, crashes: 1, ..none };
                let calm = Allowance { locks: 2, tries: 1, cancels: long, takes: 1, lapses: 1, ..none };
                vec![
                    (course(3, &[Cut(node(2))], &[0, 0]), left),
                    (course(3, &[Cut(node(0))], &[0, 1]), left),
                    (course(3, &[Renew], &[0, 0]), left),
                    (course(3, &[Retire(node(0))], &[0, 1]), left),
                    (course(2, &[Admit(node(2), Epoch(1))], &[0, 2]), left),
                    (course(2, &[Renew], &[0, 0]), calm),
                    (course(2, &[Retire(node(0))], &[0, 1]), calm),
                    (course(2, &[Cut(node(0))], &[0, 1]), Allowance { takes: 1, crashes: 1, ..left }),
                ]
            }
            Self::Homes => {
                let left = Allowance { locks: 2 + long, ..none };
                let fatal = Allowance { crashes: 1, ..left };
                vec![
                    (course(3, &[Renew, Cut(node(2))], &[0, 0, 0]), fatal),
                    (course(2, &[Admit(node(2), Epoch(1)), Cut(node(2))], &[0, 2, 0]), left),
                    (course(2, &[Retire(node(0)), Cut(node(1))], &[0, 1, 0]), left),
                    (course(3, &[Retire(node(0)), Cut(node(1))], &[0, 1, 2]), left),
                ]
            }
        }
    }

    pub(super) fn sometimes(self) -> Vec<&'static str> {
        let always = [MADE, PASSED];
        let own: &[_] = match self {
            Self::View => &[
                BUSY,
                TAKEN,
                "mutex: a token passed on although tasks of this node wait",
                "mutex: a token that nobody waits for",
            ],
            Self::Change => {
                &[DEATH_TOLD, "mutex: made anew after its holder died", "mutex: a guard that came into the next view"]
            }
            Self::Homes => &[JUMPED, DEATH_TOLD, "mutex: a guard that came into the next view"],
        };
        always.into_iter().chain(own.iter().copied()).collect()
    }
}

/// A first view of so many members, one change to each view after it, and a mutex whose homes are these.
fn course(members: u8, changes: &[Change], homes: &[u8]) -> Course {
    let born = View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0));
    let admit = |view: View, node| view.successor(&[Change::Admit(member(node), Epoch(1))]);
    // One more view, so that all have come in before it.
    let mut views = vec![(1..members).fold(born, admit).successor(&[Change::Renew])];
    for change in changes {
        let next = views[views.len() - 1].successor(&[*change]);
        views.push(next);
    }
    let fits = |name: &Name| views.iter().map(|view| number(home(view, name))).eq(homes.iter().copied());
    let mut names = (0..).map(|number| Name::new(&format!("m{number}")).expect("it is short and plain"));
    let name = names.find(fits).expect("there are names for all homes");
    Course { name, views }
}

/// Every pause is as long as every other.
const TICK: Duration = Duration::from_nanos(1);
