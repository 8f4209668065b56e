use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    protocol::view::{At, Lineage, Standing},
    wire::id::Member,
};

/// Why a view was left or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It did not answer.
    Cut,
    /// It left.
    Parted,
    /// It was left behind when others went on without a quorum.
    Forked,
}

/// What the membership tells its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Say this in echoes from now on.
    Stand(Option<Standing>),
    /// No service message of this view leaves any more. A view installed later ends that.
    Wedged(At),
    /// A view is installed. All survivors see the same sequence of changes.
    Installed(Installed),
    /// The view is active: what its excluded members were allowed to do has ended.
    Active(At),
    /// A later view of this lineage is without this member: it has no part in anything any more, and can only begin a new
    /// life.
    Excluded(At),
    /// For a while now, there is neither lease nor quorum. Nothing is lost, and nothing can be done.
    Isolated {
        /// How many voters do not answer.
        missing: u32,
    },
    /// The quorum is back.
    Connected,
    /// This node has left, as it wanted to.
    Left,
    /// Another lineage of this cluster is in sight, and both hold variables, so neither gives way.
    ForeignLineage(Lineage),
    /// Rescue the variables now; then say that none are held.
    Rescue,
    /// This member has left its lineage for another one, and begins a new life to join that; its epochs come after this.
    Moved(At),
    /// A message or a command changed nothing.
    Ignored {
        /// Whom it came from, or is about.
        from: Member,
        /// Why.
        reason: Ignored,
    },
}

/// A view that was just installed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Installed {
    /// Its name.
    pub at: At,
    /// The one before it on this node.
    pub before: At,
    /// Who came in, the oldest first.
    pub joined: Vec<Member>,
    /// Who is out.
    pub lost: Vec<(Member, Reason)>,
    /// Those of them who have not said, as far as this node knows, that they hold nothing any more.
    pub unheard: Vec<Member>,
    /// This node has come into another lineage, with nothing of its own.
    pub entered: bool,
    /// It is active after so long.
    pub wait: Duration,
    /// What the lost held may have changed after anything that this lineage knows: their shards are orphaned.
    pub orphaned: bool,
}

/// Why an input was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It comes from nobody of this view.
    NotMember,
    /// It asks for what only voters do, or comes from none.
    NotVoter,
    /// It is about nothing that is under way.
    NotAsked,
    /// It is no view that anybody could have installed.
    Unsound,
    /// It would lead back.
    Later,
    /// It names a view that this node did not ask to join.
    Uninvited,
    /// Not now: this node is on its way elsewhere, or does not admit yet.
    Closed,
}
