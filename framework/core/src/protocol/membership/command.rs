use alloc::vec::Vec;

use crate::{
    protocol::{
        time::Time,
        view::{At, Standing},
    },
    wire::id::Member,
};

/// What the node tells its membership.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// This member asks for an echo. The answer goes out in the same step, so it is a promise from here on.
    Asked {
        /// Who.
        by: Member,
        /// Where it stands.
        standing: Option<Standing>,
    },
    /// This member has answered an echo.
    Answered {
        /// Who.
        by: Member,
        /// When the echo was sent.
        sent: Time,
        /// Where this node stood then.
        asked: Option<Standing>,
        /// Where it stands.
        standing: Option<Standing>,
    },
    /// The detector takes this member for dead.
    Suspect(Member),
    /// What the services of this node hold has changed.
    Hold(Holdings),
    /// What the runtime directory tells of the processes on this machine, all of them at one look: who finds that one is
    /// dead must know how far the others came. It is told anew after each install: what an earlier look has seen leads on
    /// from another view.
    Files(Vec<File>),
    /// Leave for good.
    Leave,
    /// Go on without a quorum, with whoever answers, as a lineage of its own.
    Fork,
    /// Give up what this lineage holds, and join a higher one in sight.
    Dissolve,
}

/// What the services of a node hold, and may not lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holdings {
    /// Its lineage holds variables, as far as it knows.
    pub variables: bool,
    /// It is home of shards, or becomes it.
    pub home: bool,
    /// It holds guards.
    pub guards: bool,
}

/// What the runtime directory tells of one life of one process. Its file keeps the last view of each lineage that it was in,
/// and there is one of these for each of them: who only saw the last would not know that somebody went on by a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct File {
    /// Whose process it is.
    pub member: Member,
    /// The lock on its file is free, and was its own before: it is proven dead. A file that is missing proves nothing.
    pub dead: bool,
    /// The last view of one lineage that the file names.
    pub written: Option<At>,
}
