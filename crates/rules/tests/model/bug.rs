//! Seeded bugs: each is one way to get the rule wrong, and the checker must find what it does.

/// A wrong variant of a rule or of the order of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A snapshot is read though it does not see what its range is owed.
    NoOwedCheck,
    /// What the stream starts after is not owed to the first snapshots.
    StartNotOwed,
    /// Owed transactions are not durable.
    OwedOnlyInMemory,
    /// Owed transactions are durable by the chunk's number, and chunks are cut otherwise after a restart.
    OwedByChunkNumber,
    /// Owed transactions are forgotten once logged, not once seen.
    OwedPrunedWhenLogged,
    /// Owed transactions of a chunk whose snapshot is already open are forgotten.
    OwedPrunedWhileLoading,
    /// The snapshot is opened before the chunk is marked loading.
    SnapshotBeforeMark,
    /// Held changes are kept in memory while the checkpoint moves on.
    HeldInMemory,
    /// The checkpoint passes a transaction of which a change is held.
    CheckpointPastHeld,
    /// Changes to a loading chunk are left to it.
    HoldTreatedAsLeave,
    /// The frontier row is committed before the rows.
    FrontierBeforeRows,
    /// The rows are committed and acted on before the frontier row.
    FrontierAfterRows,
    /// The chunk is loaded in memory before its transaction commits.
    LoadedBeforeDurable,
    /// A chunk that was partly written is read again without emptying its range.
    ReloadWithoutEmptying,
    /// A process that was superseded still writes.
    ZombieWithoutEpoch,
    /// The durable rows are read before the epoch is taken over.
    RestoreBeforeEpoch,
    /// A loader is given up while its commit is still under way.
    LostWithoutSettling,
    /// Changes are decided by log position.
    PositionInsteadOfVisibility,
    /// A row is read again without a frontier of its own.
    OneKeyWithoutFrontier,
    /// The frontier of a row that was read again is not durable.
    OneKeyOnlyInMemory,
    /// A row is read again at a snapshot that need not see the transaction.
    OneKeyNeedNotSee,
    /// The frontier of a row that was read again ends with its batch.
    OneKeyEndsWithBatch,
    /// A batch decided again still obeys the one-key reads of the failed attempt.
    StagedNotDiscarded,
    /// The missing column is carried from the new key's row.
    CarriedFromNewKey,
    /// The missing column is carried though the old row was left to its chunk.
    CarriedWhenLeft,
    /// The missing column is carried though the snapshot of the old row saw the update.
    CarriedWhenCovered,
    /// The missing column is carried from rows whose parts were read under different snapshots.
    CarriedInMixedParts,
    /// Both halves of a key change are decided by the old key.
    KeyChangeByOldKey,
    /// The unique index is built when all chunks are loaded.
    IndexBeforeHorizon,
    /// Followed is said when all chunks are loaded.
    FollowedBeforeHorizon,
    /// The horizon is read before the snapshot opens.
    HorizonBeforeSnapshot,
    /// Snapshots and one-key frontiers go at the source's log end instead of the checkpoint.
    SettledAtSourceEnd,
    /// The checkpoint is committed before the rows.
    CheckpointBeforeRows,
    /// The checkpoint is committed after the rows.
    CheckpointAfterRows,
    /// A batch ends in the middle of a source transaction.
    SplitTransaction,
    /// Transactions that the source sends again are applied again.
    ResentNotSkipped,
    /// The source is told of progress before the commit, and a resume does not compare.
    ConfirmedEarly,
    /// A truncate is applied to a pending chunk at once, and not owed.
    TruncateAppliedToPending,
    /// A truncate takes rows that were read again after it.
    TruncateTakesOneKey,
    /// Changes are applied before the commit record is read.
    DecidedBeforeCommit,
    /// Physical parts that another snapshot finished are decided by that snapshot.
    PartsDecidedBySecond,
    /// A table of which parts are durable is pending again after a crash.
    PartsPendingAfterCrash,
    /// The table is rewritten (its rows move between parts) between the parts' loading, unnoticed.
    PartsAfterRewrite,
    /// Changes to a parked key are left without being owed to it.
    ParkedNotOwed,
    /// A row that the target refuses is left out of its batch, and not parked.
    RefusedSkipped,
    /// A chunk is committed before the source has flushed up to its horizon.
    FlushNotAwaited,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::NoOwedCheck,
        Bug::StartNotOwed,
        Bug::OwedOnlyInMemory,
        Bug::OwedByChunkNumber,
        Bug::OwedPrunedWhenLogged,
        Bug::OwedPrunedWhileLoading,
        Bug::SnapshotBeforeMark,
        Bug::HeldInMemory,
        Bug::CheckpointPastHeld,
        Bug::HoldTreatedAsLeave,
        Bug::FrontierBeforeRows,
        Bug::FrontierAfterRows,
        Bug::LoadedBeforeDurable,
        Bug::ReloadWithoutEmptying,
        Bug::ZombieWithoutEpoch,
        Bug::RestoreBeforeEpoch,
        Bug::LostWithoutSettling,
        Bug::PositionInsteadOfVisibility,
        Bug::OneKeyWithoutFrontier,
        Bug::OneKeyOnlyInMemory,
        Bug::OneKeyNeedNotSee,
        Bug::OneKeyEndsWithBatch,
        Bug::StagedNotDiscarded,
        Bug::CarriedFromNewKey,
        Bug::CarriedWhenLeft,
        Bug::CarriedWhenCovered,
        Bug::CarriedInMixedParts,
        Bug::KeyChangeByOldKey,
        Bug::IndexBeforeHorizon,
        Bug::FollowedBeforeHorizon,
        Bug::HorizonBeforeSnapshot,
        Bug::SettledAtSourceEnd,
        Bug::CheckpointBeforeRows,
        Bug::CheckpointAfterRows,
        Bug::SplitTransaction,
        Bug::ResentNotSkipped,
        Bug::ConfirmedEarly,
        Bug::TruncateAppliedToPending,
        Bug::TruncateTakesOneKey,
        Bug::DecidedBeforeCommit,
        Bug::PartsDecidedBySecond,
        Bug::PartsPendingAfterCrash,
        Bug::PartsAfterRewrite,
        Bug::ParkedNotOwed,
        Bug::RefusedSkipped,
        Bug::FlushNotAwaited,
    ];
}
