//! Seeded bugs of comparing: each is one way to call a difference equal, or the other way round.

/// A wrong variant of a rule or of the order of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Collecting begins after the source's snapshot opened.
    CollectAfterSnapshot,
    /// Collecting ends when the target's snapshot opens.
    CollectEndsAtTarget,
    /// What was touched is forgotten when the rest is equal.
    TouchedClearedOnEqual,
    /// The target's snapshot is opened before the checkpoint reaches the horizon.
    TargetBelowHorizon,
    /// The horizon is read before the source's snapshot opens.
    HorizonBeforeSnapshot,
    /// The source's snapshot need not see what was applied before collecting began.
    UnseenNotAwaited,
    /// What readers may not see yet is asked for before collecting begins.
    UnseenAskedEarly,
    /// A repaired range counts as equal.
    RepairedCountsAsEqual,
    /// A repaired row is not entered as touched.
    RepairedNotTouched,
    /// A repaired row does not become the last image of its key.
    RepairNotCollected,
    /// Touched keys over the bound are forgotten.
    OverflowForgets,
    /// The book outlives an attempt whose last commit was not entered.
    RestartKeepsBook,
    /// A check of touched keys clears those that were touched again meanwhile.
    CheckClearsTouchedAgain,
    /// A check of touched keys begins after its source snapshot opened.
    CheckAfterSnapshot,
    /// A check of touched keys reads the target below the horizon.
    CheckBelowHorizon,
    /// A check of touched keys compares the target with what the stream said.
    StreamTakenAsProof,
    /// A touched key is compared with its row at the source's snapshot.
    SnapshotRowForTouched,
    /// The columns that the log left out are taken from the target.
    ColumnsFromTarget,
    /// The outcome of a void reading is entered.
    VoidTicketProves,
    /// A truncate touches nothing.
    TruncateNotTouched,
    /// A change of key touches the new key only.
    KeyChangeTouchesNew,
    /// Keys are touched before the commit, outside of its critical section.
    TouchedEarly,
    /// Keys are touched after the commit, outside of its critical section.
    TouchedLate,
    /// The target stops for a query one transaction late.
    MeetStopsLate,
    /// The target stops before the first transaction that the snapshot does not see, though it sees later ones.
    MeetOfNoPrefix,
    /// The target is taken to be at a snapshot that does not see all that was applied.
    MeetUnseenApplied,
    /// The horizon of a query's snapshot is read before it opens.
    MeetHorizonBeforeSnapshot,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::CollectAfterSnapshot,
        Bug::CollectEndsAtTarget,
        Bug::TouchedClearedOnEqual,
        Bug::TargetBelowHorizon,
        Bug::HorizonBeforeSnapshot,
        Bug::UnseenNotAwaited,
        Bug::UnseenAskedEarly,
        Bug::RepairedCountsAsEqual,
        Bug::RepairedNotTouched,
        Bug::RepairNotCollected,
        Bug::OverflowForgets,
        Bug::RestartKeepsBook,
        Bug::CheckClearsTouchedAgain,
        Bug::CheckAfterSnapshot,
        Bug::CheckBelowHorizon,
        Bug::StreamTakenAsProof,
        Bug::SnapshotRowForTouched,
        Bug::ColumnsFromTarget,
        Bug::VoidTicketProves,
        Bug::TruncateNotTouched,
        Bug::KeyChangeTouchesNew,
        Bug::TouchedEarly,
        Bug::TouchedLate,
        Bug::MeetStopsLate,
        Bug::MeetOfNoPrefix,
        Bug::MeetUnseenApplied,
        Bug::MeetHorizonBeforeSnapshot,
    ];
}
