//! Faults planted on purpose, so that the tests can be tested.
//!
//! Whoever believes a simulator should ask what it would have missed. With the feature `bugs`, and only then, a machine
//! can be told to break one of its rules; `cargo sim --bugs` shows that each breach is noticed. Without the feature
//! [`Bugs`] has no size, and [`has`](Bugs::has) is `false` at compile time.

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// Catalog: a delta that does not continue the copy is applied.
    DeltaOutOfOrder,
    /// Catalog: a gap is noticed, and nobody is asked for what is missing.
    GapNotPulled,
    /// Catalog: a head that was not acknowledged is not repeated.
    HeadNotRepeated,
    /// Catalog: what an earlier life of the node has said is taken for its own.
    StaleLifeAccepted,
    /// Catalog: a removed entry leaves nothing behind, so whoever was away never hears of the removal.
    TombstoneForgotten,
    /// Catalog: what changes is sent at once, whatever is under way.
    DeltaNotAwaited,
    /// Catalog: what waited for an acknowledgement is not sent after it.
    WaitingForgotten,
    /// Catalog: who asks for what was lost gets it when it has acknowledged that.
    QuestionWaits,
    /// Schedule: an item is counted again when a second copy is answered.
    ItemCountedTwice,
    /// Schedule: what a lost worker held is forgotten.
    LostItemForgotten,
    /// Schedule: the late answer of a worker that was lost counts although the item has been counted.
    LateResultCounted,
    /// Schedule: what a worker refused is not given to anybody else.
    RefusedItemForgotten,
    /// Schedule: a function that must run once is copied to a second worker when it is late.
    OnceCopied,
    /// Membership: a wedged member still renews leases.
    WedgeForgotten,
    /// Membership: what is left of the wait of the view before is not waited for.
    InheritedWaitForgotten,
    /// Membership: a member of whom nothing is heard in this view is cut without a wait.
    InstallWaitForgotten,
    /// Membership: who accepts its own cut keeps its guards.
    OwnCutShrugged,
    /// Membership: accepting a ballot does not promise it.
    AcceptPromisesNothing,
    /// Membership: a proposer proposes its own value whatever was accepted before.
    OwnValuePreferred,
    /// Membership: any half of the voters is enough.
    AnyHalfIsQuorum,
    /// Membership: an install forgets which leases were granted.
    GrantsForgotten,
    /// Membership: a view that is learnt from another one than its proposer is active at once.
    LaterViewUnwaited,
    /// Membership: who was cut and taken in again does not notice.
    SinceIgnored,
    /// Membership: rank is no total order: of two lineages of one size each gives way.
    RankTiesGiveWay,
    /// Membership: a member of two lineages at once.
    JoinedWithoutLeaving,
    /// Membership: a fork is agreed to with whatever members somebody names, and made with those who are at hand.
    ForkSetLoose,
    /// Membership: a view is acted in, and is not written down.
    EpochNotWritten,
    /// Membership: who missed a decision is never told.
    StragglerForgotten,
    /// Membership: a refused ballot is repeated instead of raised.
    RefusalIgnored,
    /// Mutex: a request counts only if it is the one after the last that was served.
    NextRequestOnly,
    /// Mutex: a token is taken however often it was passed on.
    PassIgnored,
    /// Mutex: a token is made although others have perhaps brought one.
    ReportsUnwanted,
    /// Mutex: a token of an earlier view is taken.
    OldTokenTaken,
    /// Mutex: a guard is handed out without a lease.
    GrantUnchecked,
    /// Mutex: a token is made before the excluded have lost theirs.
    MadeTooEarly,
    /// Mutex: an idle token is kept when its view ends.
    IdleTokenSurvives,
    /// Mutex: who passes a token on although its tasks wait does not queue for them.
    WaitersLeftBehind,
    /// Mutex: the guards of a parked token are not counted.
    FenceForgotten,
    /// Mutex: a guard that has ended gives back the one after it.
    AnyGuardReleases,
    /// Mutex: a late answer counts for the next try.
    BusyUnnumbered,
    /// Mutex: a try is remembered like a request.
    TryQueued,
    /// Mutex: nobody is told that the holder before died.
    DeathUntold,
    /// Mutex: as long as tasks of its own wait, a token is not passed on.
    LocalTasksFirst,
    /// Mutex: a guard that came into the view is not reported.
    GuardUnreported,
    /// Variable: a copy is installed although something newer was heard of meanwhile.
    FloorIgnored,
    /// Variable: what an earlier home writes is kept and acknowledged.
    OldWriteTaken,
    /// Variable: a home decides what is left before all survivors have said what they have.
    VariableReportsUnwanted,
    /// Variable: whoever has something of a shard counts as who has all of it.
    FullIgnored,
    /// Variable: who writes is answered before the other homes keep it.
    AnsweredBeforeStored,
    /// Variable: an operation that is repeated is done again.
    OperationNumberIgnored,
    /// Variable: a shard is served before the excluded have lost their leases.
    ServedTooEarly,
    /// Variable: what came back is served while older copies are read.
    StaleCopySpared,
    /// Variable: a copy that is watched and taken back is not asked for again.
    WatchForgotten,
    /// Variable: a view that is installed ends the watching of what is asked for no more.
    WatchEndsWithView,
    /// Variable: what changes while a follower has not acknowledged a piece is not told.
    NewsForgotten,
    /// Variable: what is not listed any more counts as there.
    GoneUntold,
    /// Variable: the copy that comes with an answer is installed whatever came between.
    WriterCopyForced,
    /// Variable: what is stored last is kept, not what is newest.
    LastStoreWins,
    /// Variable: a shard is filled again, whatever was stored in it since.
    FillTakenTwice,
    /// Variable: what was done last is known at the first home alone.
    RecentAtHomeOnly,
    /// Variable: who is home no more forgets its records at once.
    RecordsDroppedEarly,
    /// Variable: a fence that is lower than one before is written with.
    FenceUnchecked,
    /// Variable: what comes under a guard of another lineage is done.
    GuardOfOtherLineage,
    /// Detector: silence is not noticed while the link looks healthy.
    SilenceIgnored,
    /// Detector: a stall of this process is blamed on its peers.
    StallBlamedOnPeers,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 65] = [
        Self::DeltaOutOfOrder,
        Self::GapNotPulled,
        Self::HeadNotRepeated,
        Self::StaleLifeAccepted,
        Self::TombstoneForgotten,
        Self::DeltaNotAwaited,
        Self::WaitingForgotten,
        Self::QuestionWaits,
        Self::ItemCountedTwice,
        Self::LostItemForgotten,
        Self::LateResultCounted,
        Self::RefusedItemForgotten,
        Self::OnceCopied,
        Self::WedgeForgotten,
        Self::InheritedWaitForgotten,
        Self::InstallWaitForgotten,
        Self::OwnCutShrugged,
        Self::AcceptPromisesNothing,
        Self::OwnValuePreferred,
        Self::AnyHalfIsQuorum,
        Self::GrantsForgotten,
        Self::LaterViewUnwaited,
        Self::SinceIgnored,
        Self::RankTiesGiveWay,
        Self::JoinedWithoutLeaving,
        Self::ForkSetLoose,
        Self::EpochNotWritten,
        Self::StragglerForgotten,
        Self::RefusalIgnored,
        Self::NextRequestOnly,
        Self::PassIgnored,
        Self::ReportsUnwanted,
        Self::OldTokenTaken,
        Self::GrantUnchecked,
        Self::MadeTooEarly,
        Self::IdleTokenSurvives,
        Self::WaitersLeftBehind,
        Self::FenceForgotten,
        Self::AnyGuardReleases,
        Self::BusyUnnumbered,
        Self::TryQueued,
        Self::DeathUntold,
        Self::LocalTasksFirst,
        Self::GuardUnreported,
        Self::FloorIgnored,
        Self::OldWriteTaken,
        Self::VariableReportsUnwanted,
        Self::FullIgnored,
        Self::AnsweredBeforeStored,
        Self::OperationNumberIgnored,
        Self::ServedTooEarly,
        Self::StaleCopySpared,
        Self::WatchForgotten,
        Self::WatchEndsWithView,
        Self::NewsForgotten,
        Self::GoneUntold,
        Self::WriterCopyForced,
        Self::LastStoreWins,
        Self::FillTakenTwice,
        Self::RecentAtHomeOnly,
        Self::RecordsDroppedEarly,
        Self::FenceUnchecked,
        Self::GuardOfOtherLineage,
        Self::SilenceIgnored,
        Self::StallBlamedOnPeers,
    ];

    /// The name for the command line, such as `gap-not-pulled`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeltaOutOfOrder => "delta-out-of-order",
            Self::GapNotPulled => "gap-not-pulled",
            Self::HeadNotRepeated => "head-not-repeated",
            Self::StaleLifeAccepted => "stale-life-accepted",
            Self::TombstoneForgotten => "tombstone-forgotten",
            Self::DeltaNotAwaited => "delta-not-awaited",
            Self::WaitingForgotten => "waiting-forgotten",
            Self::QuestionWaits => "question-waits",
            Self::ItemCountedTwice => "item-counted-twice",
            Self::LostItemForgotten => "lost-item-forgotten",
            Self::LateResultCounted => "late-result-counted",
            Self::RefusedItemForgotten => "refused-item-forgotten",
            Self::OnceCopied => "once-copied",
            Self::WedgeForgotten => "wedge-forgotten",
            Self::InheritedWaitForgotten => "inherited-wait-forgotten",
            Self::InstallWaitForgotten => "install-wait-forgotten",
            Self::OwnCutShrugged => "own-cut-shrugged",
            Self::AcceptPromisesNothing => "accept-promises-nothing",
            Self::OwnValuePreferred => "own-value-preferred",
            Self::AnyHalfIsQuorum => "any-half-is-quorum",
            Self::GrantsForgotten => "grants-forgotten",
            Self::LaterViewUnwaited => "later-view-unwaited",
            Self::SinceIgnored => "since-ignored",
            Self::RankTiesGiveWay => "rank-ties-give-way",
            Self::JoinedWithoutLeaving => "joined-without-leaving",
            Self::ForkSetLoose => "fork-set-loose",
            Self::EpochNotWritten => "epoch-not-written",
            Self::StragglerForgotten => "straggler-forgotten",
            Self::RefusalIgnored => "refusal-ignored",
            Self::NextRequestOnly => "next-request-only",
            Self::PassIgnored => "pass-ignored",
            Self::ReportsUnwanted => "reports-unwanted",
            Self::OldTokenTaken => "old-token-taken",
            Self::GrantUnchecked => "grant-unchecked",
            Self::MadeTooEarly => "made-too-early",
            Self::IdleTokenSurvives => "idle-token-survives",
            Self::WaitersLeftBehind => "waiters-left-behind",
            Self::FenceForgotten => "fence-forgotten",
            Self::AnyGuardReleases => "any-guard-releases",
            Self::BusyUnnumbered => "busy-unnumbered",
            Self::TryQueued => "try-queued",
            Self::DeathUntold => "death-untold",
            Self::LocalTasksFirst => "local-tasks-first",
            Self::GuardUnreported => "guard-unreported",
            Self::FloorIgnored => "floor-ignored",
            Self::OldWriteTaken => "old-write-taken",
            Self::VariableReportsUnwanted => "variable-reports-unwanted",
            Self::FullIgnored => "full-ignored",
            Self::AnsweredBeforeStored => "answered-before-stored",
            Self::OperationNumberIgnored => "operation-number-ignored",
            Self::ServedTooEarly => "served-too-early",
            Self::StaleCopySpared => "stale-copy-spared",
            Self::WatchForgotten => "watch-forgotten",
            Self::WatchEndsWithView => "watch-ends-with-view",
            Self::NewsForgotten => "news-forgotten",
            Self::GoneUntold => "gone-untold",
            Self::WriterCopyForced => "writer-copy-forced",
            Self::LastStoreWins => "last-store-wins",
            Self::FillTakenTwice => "fill-taken-twice",
            Self::RecentAtHomeOnly => "recent-at-home-only",
            Self::RecordsDroppedEarly => "records-dropped-early",
            Self::FenceUnchecked => "fence-unchecked",
            Self::GuardOfOtherLineage => "guard-of-other-lineage",
            Self::SilenceIgnored => "silence-ignored",
            Self::StallBlamedOnPeers => "stall-blamed-on-peers",
        }
    }
}

/// The faults planted in one machine: none, or one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bugs {
    #[cfg(feature = "bugs")]
    planted: Option<Bug>,
}

impl Bugs {
    /// A machine that keeps its rules.
    pub const NONE: Self = Self {
        #[cfg(feature = "bugs")]
        planted: None,
    };

    /// A machine that breaks this rule.
    #[cfg(feature = "bugs")]
    #[must_use]
    pub const fn plant(bug: Bug) -> Self {
        Self { planted: Some(bug) }
    }

    /// Whether this rule is to be broken.
    #[must_use]
    #[inline]
    pub fn has(self, bug: Bug) -> bool {
        #[cfg(feature = "bugs")]
        return self.planted == Some(bug);
        #[cfg(not(feature = "bugs"))]
        {
            let _ = bug;
            false
        }
    }
}
