//! Each seeded bug, the smallest world in which it does harm, and the harm.

use super::bug::Bug;
use super::check::{FENCE_EQUAL, KEYS_EQUAL, NO_FALSE_ALARM, NO_FALSE_EQUAL};

/// Bug, setting, transactions, the property that must fail.
pub const SEEDED: &[(Bug, &str, usize, &str)] = &[
    (Bug::CollectAfterSnapshot, "rows change", 2, NO_FALSE_ALARM),
    (
        Bug::CollectEndsAtTarget,
        "a transaction is decoded wrongly",
        2,
        FENCE_EQUAL,
    ),
    (
        Bug::TouchedClearedOnEqual,
        "a transaction is decoded wrongly",
        2,
        FENCE_EQUAL,
    ),
    (Bug::TargetBelowHorizon, "rows change", 2, NO_FALSE_ALARM),
    (Bug::HorizonBeforeSnapshot, "rows change", 2, NO_FALSE_ALARM),
    (Bug::UnseenNotAwaited, "rows change", 2, NO_FALSE_ALARM),
    (Bug::UnseenAskedEarly, "rows change", 2, NO_FALSE_ALARM),
    (
        Bug::RepairedCountsAsEqual,
        "a row is repaired",
        2,
        FENCE_EQUAL,
    ),
    (Bug::RepairedNotTouched, "a row is repaired", 2, FENCE_EQUAL),
    (
        Bug::RepairNotCollected,
        "a row decoded wrongly is repaired",
        2,
        NO_FALSE_ALARM,
    ),
    (
        Bug::OverflowForgets,
        "a transaction is decoded wrongly that the book has no room for",
        2,
        KEYS_EQUAL,
    ),
    (
        Bug::RestartKeepsBook,
        "an attempt fails after a transaction was decoded wrongly",
        2,
        FENCE_EQUAL,
    ),
    (
        Bug::CheckClearsTouchedAgain,
        "a row is decoded wrongly after it was decoded well",
        2,
        FENCE_EQUAL,
    ),
    (
        Bug::CheckAfterSnapshot,
        "a row changes again and again",
        2,
        NO_FALSE_ALARM,
    ),
    (
        Bug::CheckBelowHorizon,
        "a row changes again and again",
        2,
        NO_FALSE_ALARM,
    ),
    (
        Bug::StreamTakenAsProof,
        "a transaction is decoded wrongly",
        2,
        FENCE_EQUAL,
    ),
    (Bug::SnapshotRowForTouched, "rows change", 2, NO_FALSE_ALARM),
    (
        Bug::ColumnsFromTarget,
        "a row is repaired",
        2,
        NO_FALSE_EQUAL,
    ),
    (
        Bug::VoidTicketProves,
        "a transaction is decoded wrongly that the book has no room for",
        2,
        KEYS_EQUAL,
    ),
    (
        Bug::TruncateNotTouched,
        "rows go and the table is emptied",
        2,
        NO_FALSE_ALARM,
    ),
    (
        Bug::KeyChangeTouchesNew,
        "keys change between two ranges",
        2,
        NO_FALSE_ALARM,
    ),
    (Bug::TouchedEarly, "rows change", 2, NO_FALSE_ALARM),
    (Bug::TouchedLate, "rows change", 2, NO_FALSE_ALARM),
];

/// The same for stopping at a query's snapshot: any contents do.
pub const SEEDED_MEET: &[Bug] = &[
    Bug::MeetStopsLate,
    Bug::MeetOfNoPrefix,
    Bug::MeetUnseenApplied,
    Bug::MeetHorizonBeforeSnapshot,
];
