use std::time::Duration;

use guthi_core::{
    protocol::{
        home::{SHARDS, Shard},
        variable::Config,
        view::{At, Change, Epoch, Lineage, View},
    },
    wire::name::Name,
};

use super::{
    Action,
    letter::{member, number},
    world::{ACTIVE, CHANGED, Course, JUMPED, State, TOGETHER},
};
use crate::models::Scope;

/// Which nodes there are, and what may happen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// One view: tasks read and write, and leases lapse.
    Calm,
    /// The view changes once, and the first home stays.
    Stay,
    /// The view changes once, and the first home moves.
    Move,
    /// The view changes twice: the home moves back, or on.
    Back,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// It reads.
    Read,
    /// It adds.
    Add,
    /// It replaces what was read last, if that is still there.
    Replace,
}

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// Nobody wants a copy any more.
    pub forgets: u8,
    /// The lease of a member ends.
    pub lapses: u8,
    /// A node dies.
    pub crashes: u8,
}

impl Allowance {
    /// Messages arrive, tasks begin, views change, and that is all.
    pub const NONE: Self = Self { forgets: 0, lapses: 0, crashes: 0 };

    /// Counts an action. That the lease of somebody ends who was cut costs nothing.
    pub(super) const fn spend(&mut self, action: &Action, of_member: bool) {
        let one = match action {
            Action::Forget { .. } => &mut self.forgets,
            Action::Lapse { .. } if of_member => &mut self.lapses,
            Action::Crash { .. } => &mut self.crashes,
            Action::Deliver { .. } | Action::Begin { .. } | Action::Proceed { .. } | Action::Wedge { .. } => return,
            Action::Install { .. } | Action::Lapse { .. } | Action::Renew { .. } => return,
            Action::Calm { .. } | Action::Round => return,
        };
        *one = one.saturating_sub(1);
    }
}

/// A way in which a world begins: its homes in each view, the changes between them, and the tasks of each node.
struct Begin {
    changes: &'static [Change],
    homes: &'static [&'static [u8]],
    tasks: &'static [&'static [Task]],
    left: Allowance,
}

impl Worlds {
    /// What happens there, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Calm => "one view: tasks read, write and compare, and leases lapse",
            Self::Stay => "the view changes once, and the first home stays",
            Self::Move => "the view changes once, and the first home moves",
            Self::Back => "the view changes twice: the home moves back, or on",
        }
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::default();
        config.repeat_min = TICK;
        config.repeat_max = TICK;
        config
    }

    /// The ways in which the world may begin.
    pub(super) fn initial(self, scope: Scope, config: Config) -> Vec<State> {
        let begin = |Begin { changes, homes, tasks, left }| {
            let (before, course) = course(changes, homes, tasks);
            State::new(course, &before, config, left)
        };
        self.beginnings(scope).into_iter().map(begin).collect()
    }

    fn beginnings(self, scope: Scope) -> Vec<Begin> {
        use Change::{Cut, Renew, Retire};
        use Task::{Add, Read, Replace};
        let long = scope == Scope::Long;
        let none = Allowance::NONE;
        match self {
            Self::Calm => {
                let calm = |tasks, left| Begin { changes: &[], homes: &[&[0, 1]], tasks, left };
                let mut all = vec![
                    calm(&[&[], &[Add, Read], &[Add, Read]], none),
                ];
                if long {
                    all.extend([]);
                }
                all
            }
            Self::Stay | Self::Move | Self::Back => vec![],
        }
    }

    pub(super) fn sometimes(self) -> Vec<&'static str> {
        match self {
            Self::Calm => vec![TOGETHER],
            Self::Stay | Self::Move => vec![ACTIVE],
            Self::Back => vec![ACTIVE, JUMPED],
        }
    }
}

/// A first view of three members, with those before it; one change to each view after it; and a shard with these homes.
fn course(changes: &[Change], homes: &[&[u8]], tasks: &[&'static [Task]]) -> (Vec<View>, Course) {
    let mut before = vec![View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0))];
    for change in [Change::Admit(member(1), Epoch(1)), Change::Admit(member(2), Epoch(1))] {
        before.extend(before.last().map(|view| view.successor(&[change])));
    }
    // One more view, so that all have come in before it.
    let mut views = vec![before[before.len() - 1].successor(&[Change::Renew])];
    for change in changes {
        views.push(views[views.len() - 1].successor(&[*change]));
    }
    let fits = |shard: &Shard| {
        let mut all = views.iter().zip(homes);
        all.all(|(view, homes)| shard.homes_in(view).into_iter().map(number).eq(homes.iter().copied()))
    };
    let shard = (0..SHARDS).map(Shard).find(fits).expect("there are shards for all homes");
    let name = Name::new("x").expect("it is short and plain");
    (before, Course { name, shard, views, tasks: tasks.to_vec() })
}

/// Every pause is as long as every other.
const TICK: Duration = Duration::from_nanos(1);
