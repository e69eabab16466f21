//! Seeded bugs of the switch: each is one way to open two stores, to lose a write, or to leave nobody who may open.

/// A wrong variant of a rule or of the order of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// The other store opens once this one is fenced; nothing is given.
    NoGiven,
    /// What was given is taken back though the other store has not refused it.
    UndoWithoutRefused,
    /// An epoch is declined that nobody offers.
    RefusedUnoffered,
    /// A fence is released whatever its epoch.
    ReleaseWithoutEpoch,
    /// Registers are set without comparing.
    SwapWithoutCompare,
    /// The fence takes an epoch that was seen before.
    SameEpoch,
    /// A store opens though giving failed: the other store is not looked at.
    OpenBlind,
    /// A tool gives for a fence that was released meanwhile.
    StaleGive,
    /// What the control store remembers of an intent is finished, whatever the registers say.
    FinishedFromMemory,
    /// The barrier is read before the latch is held.
    BarrierBeforeLatch,
    /// The drain's time is over, and the switch goes on.
    ProceedOnTimeout,
    /// The fence is committed though the latch was lost since the barrier.
    FenceAfterLostLatch,
    /// The beginning is noted before the fence.
    NotedBeforeFence,
    /// The beginning is noted for an old epoch by a tool that was stopped.
    NotedByStaleTool,
    /// The reverse lane begins at the log's end when it is started, after clients were released.
    ReverseFromNow,
    /// A lane goes on at the checkpoint of an earlier tenure.
    LaneOfOldTenure,
    /// Changes are carried into a store with authority.
    CarriedIntoAuthority,
    /// Sequences are not raised.
    SequencesNotRaised,
    /// The first register is not read again after the second.
    TornReading,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::NoGiven,
        Bug::UndoWithoutRefused,
        Bug::RefusedUnoffered,
        Bug::ReleaseWithoutEpoch,
        Bug::SwapWithoutCompare,
        Bug::SameEpoch,
        Bug::OpenBlind,
        Bug::StaleGive,
        Bug::FinishedFromMemory,
        Bug::BarrierBeforeLatch,
        Bug::ProceedOnTimeout,
        Bug::FenceAfterLostLatch,
        Bug::NotedBeforeFence,
        Bug::NotedByStaleTool,
        Bug::ReverseFromNow,
        Bug::LaneOfOldTenure,
        Bug::CarriedIntoAuthority,
        Bug::SequencesNotRaised,
        Bug::TornReading,
    ];
}
