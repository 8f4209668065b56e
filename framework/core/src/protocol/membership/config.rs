use core::time::Duration;

use crate::protocol::{
    bugs::Bugs,
    view::{Epoch, REPLICAS},
};

/// How a membership decides. All durations are of this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Who may go on without the others.
    pub policy: Policy,
    /// The epochs of this life come after this one, which an earlier life has come to.
    pub after: Epoch,
    /// When this life began, on any clock that others roughly share. Of two lineages that are alike the older one is joined.
    pub born: u64,
    /// For so long an answered echo counts.
    pub lease: Duration,
    /// Who is not linked for so long is taken for dead, if the detector says nothing earlier.
    pub timeout: Duration,
    /// A newborn node looks around for so long before it serves or admits anybody.
    pub window: Duration,
    /// Changes that come within so short a time become one view.
    pub settle: Duration,
    /// Each voter lets the older ones be faster by so much, so that they do not get in each other's way.
    pub stagger: Duration,
    /// A message without an answer is repeated after so long.
    pub repeat: Duration,
    /// Lineages that are linked tell each other their rank after so long.
    pub hello: Duration,
    /// It serves nothing before its view had so many members once.
    pub expect: u32,
    /// So many homes each shard has in a lineage that is born here. Whoever joins another lineage takes over that one's.
    pub replicas: u8,
    /// In a larger view, who is no voter does not poll others who are none.
    pub poll_all_max: u32,
    /// The rule that is broken on purpose.
    pub bugs: Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::Majority,
            after: Epoch(0),
            born: 0,
            lease: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            window: Duration::from_millis(500),
            settle: Duration::from_millis(20),
            stagger: Duration::from_millis(30),
            repeat: Duration::from_millis(250),
            hello: Duration::from_secs(1),
            expect: 1,
            replicas: REPLICAS,
            poll_all_max: 16,
            bugs: Bugs::NONE,
        }
    }
}

/// Who may go on without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// A quorum of the voters.
    Majority,
    /// Beyond that, all whose processes are not proven dead, if all others are: they share one machine.
    Any,
}
