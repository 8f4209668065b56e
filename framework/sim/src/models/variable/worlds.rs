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
    /// It removes the variable.
    Delete,
    /// It watches from then on.
    Watch,
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
    members: u8,
    changes: Vec<Change>,
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
        let begin = |Begin { members, changes, homes, tasks, left }| {
            let (before, course) = course(members, &changes, homes, tasks);
            State::new(course, &before, config, left)
        };
        self.beginnings(scope).into_iter().map(begin).collect()
    }

    fn beginnings(self, scope: Scope) -> Vec<Begin> {
        use Change::{Admit, Cut, Renew, Retire};
        use Task::{Add, Delete, Read, Replace, Watch};
        let long = scope == Scope::Long;
        let none = Allowance::NONE;
        let fatal = Allowance { crashes: 1, ..none };
        let begin = |members, changes, homes, tasks, left| Begin { members, changes, homes, tasks, left };
        let mut all = Vec::new();
        match self {
            Self::Calm => {
                let calm = |tasks, left| begin(3, vec![], &[&[0, 1]], tasks, left);
                all.extend([
                    calm(&[&[], &[Read, Add], &[Add]], none),
                    calm(&[&[Add], &[Read], &[Read, Replace]], none),
                    calm(&[&[Read, Add], &[], &[Read, Add]], none),
                    calm(&[&[Add], &[Add], &[Add, Add]], none),
                    calm(&[&[], &[Add], &[Read, Add, Read]], Allowance { forgets: 1, ..none }),
                    calm(&[&[Add], &[], &[Read, Read]], Allowance { lapses: 2, ..none }),
                    calm(&[&[Add], &[Add], &[Read, Add]], none),
                    calm(&[&[], &[Add], &[Watch, Add]], none),
                    calm(&[&[Add], &[Add], &[Watch]], none),
                ]);
                if long {
                    all.push(calm(&[&[Add], &[Add], &[Read, Add, Read]], none));
                    all.push(calm(&[&[Read], &[Read, Add], &[Read, Replace, Read]], none));
                }
            }
            Self::Stay => {
                let cut = |node, homes, tasks, left| begin(3, vec![Cut(member(node))], homes, tasks, left);
                all.extend([
                    cut(2, &[&[0, 1], &[0, 1]], &[&[], &[Add], &[Read, Read]], none),
                    cut(1, &[&[0, 1], &[0, 2]], &[&[Read], &[], &[Add]], fatal),
                    begin(3, vec![Renew], &[&[0, 1], &[0, 1]], &[&[], &[Add], &[Read, Read]], none),
                    begin(3, vec![Renew], &[&[0, 1], &[0, 1]], &[&[], &[Read], &[Read, Replace]], none),
                    begin(3, vec![Renew], &[&[0, 1], &[0, 1]], &[&[], &[Add], &[Read, Add]], none),
                    begin(3, vec![Renew], &[&[0, 1], &[0, 1]], &[&[], &[Add], &[Watch]], none),
                ]);
                if long {
                    all.push(begin(3, vec![Renew], &[&[0, 1], &[0, 1]], &[&[], &[Read, Add], &[Read, Add]], none));
                }
            }
            Self::Move => {
                let cut = |tasks, left| begin(3, vec![Cut(member(0))], &[&[0, 1], &[1, 2]], tasks, left);
                let retire = |tasks, left| begin(3, vec![Retire(member(0))], &[&[0, 1], &[1, 2]], tasks, left);
                all.extend([
                    cut(&[&[Read], &[], &[Add, Read]], none),
                    cut(&[&[], &[Add], &[Add]], fatal),
                    retire(&[&[Read], &[], &[Add]], none),
                    retire(&[&[], &[Read], &[Read, Replace]], none),
                    retire(&[&[], &[Read, Add], &[Add]], none),
                    retire(&[&[], &[Add], &[Watch]], none),
                    cut(&[&[], &[Add], &[Watch]], fatal),
                ]);
                if long {
                    all.push(retire(&[&[Read], &[Add], &[Add, Read]], none));
                }
            }
            Self::Back => {
                let admit = Admit(member(2), Epoch(1));
                let dead = Cut(member(0));
                all.extend([
                    begin(2, vec![admit, Cut(member(2))], &[&[0, 1], &[2, 0], &[0, 1]], &[&[], &[Read, Add]], none),
                    begin(2, vec![admit, dead], &[&[0, 1], &[2, 0], &[2, 1]], &[&[], &[Read]], fatal),
                    begin(3, vec![Renew, dead], &[&[0, 1], &[0, 1], &[1, 2]], &[&[], &[], &[Add]], fatal),
                    begin(
                        3,
                        vec![Retire(member(0)), Cut(member(1))],
                        &[&[0, 1], &[1, 2], &[2]],
                        &[&[], &[], &[Add]],
                        none,
                    ),
                    begin(
                        2,
                        vec![admit, Retire(member(2)), dead],
                        &[&[0, 1], &[2, 0], &[0, 1], &[1]],
                        &[&[], &[Add]],
                        none,
                    ),
                ]);
                all.push(begin(3, vec![Renew, dead], &[&[0, 1], &[0, 1], &[1, 2]], &[&[], &[], &[Add, Delete]], none));
                all.push(begin(3, vec![Renew, dead], &[&[0, 1], &[0, 1], &[1, 2]], &[&[], &[Watch], &[Add]], none));
                if long {
                    all.push(begin(
                        3,
                        vec![Renew, dead],
                        &[&[0, 1], &[0, 1], &[1, 2]],
                        &[&[], &[Read], &[Add, Read]],
                        fatal,
                    ));
                }
            }
        }
        all
    }

    pub(super) fn sometimes(self) -> Vec<&'static str> {
        match self {
            Self::Calm => vec![TOGETHER, CHANGED],
            Self::Stay | Self::Move => vec![ACTIVE],
            Self::Back => vec![ACTIVE, JUMPED],
        }
    }
}

/// A first view of so many members, with those before it; one change to each view after it; and a shard with these homes.
fn course(members: u8, changes: &[Change], homes: &[&[u8]], tasks: &[&'static [Task]]) -> (Vec<View>, Course) {
    let mut before = vec![View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0))];
    for node in 1..members {
        before.push(before[before.len() - 1].successor(&[Change::Admit(member(node), Epoch(1))]));
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
