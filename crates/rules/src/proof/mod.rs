//! What is proven equal of a table, and what a comparison may conclude.
//!
//! # How the engine uses it
//!
//! One [`Book`] a table, behind the lock under which the applier moves the checkpoint. Nothing here waits.
//!
//! **Applier**, per batch, in the critical section in which the checkpoint moves and before anybody can open the
//! target's snapshot at it: [`Book::touch`] for the key of every applied change (both keys of a change of key),
//! [`Book::touch_all`] for a truncate. Where touches may have been missed (the attempt began again, a commit whose
//! outcome is not known): [`Book::reset`].
//!
//! **A comparison of ranges**, once the table is followed, in this order:
//!
//! 1. [`Book::begin`], under the applier's lock, together with the list of applied transactions that readers of the
//!    source may not see yet. From here on the keys that change are collected, here and with their last images.
//! 2. Open the source's snapshot S1; [`accept`] it, else open another. Only then read its horizon.
//! 3. Open the target's snapshot between two batches, at a position p2 for which [`pair_is_exact`] holds and the table
//!    is followed. The keys collected up to here are T.
//! 4. Take T's rows out of both sums; the rest must be equal. For each key of T the target's row must be
//!    [`expected_at_target`].
//! 5. [`Book::finish`]. What was touched since step 1 stays **stream-proven** only: a decoder's error would
//!    have given the target and the expectation the same wrong image.
//!
//! **Touched keys** become proven by a reading of them alone, on both sides, by the same steps, with
//! [`Book::begin_touched`] and [`Book::finish_touched`]: also keys of T are then read at S1, and those touched since
//! are not decided. Inside a fence nothing is touched any more, so this leaves nothing undecided, and costs what changed lately.
//!
//! **Repairs** go through the stream as one-key chunks, no more than [`may_repair`] allows; each is entered as [`Book::repaired`].
//!
//! Whole query results are compared at one position instead: [`meet`] says where the target must stop for that.

mod book;
mod check;
pub mod meet;

pub use book::{Book, Finished, Outcome, Progress, RangeId, Status, Ticket};
pub use check::{Check, Checked, Verdict};

use crate::frontier::Acceptance;
use crate::net::Image;
use crate::visibility::Sees;

/// Whether a source snapshot may be compared. It was opened after collecting began, and `unseen` are the transactions that
/// were applied before collecting began and that readers of the source may not have seen then: the log can show a
/// commit before readers see it. What was applied before is not collected, so the snapshot must see it.
pub fn accept<'a, S, T>(snapshot: &S, unseen: impl IntoIterator<Item = &'a T>) -> Acceptance
where
    S: Sees<T>,
    T: 'a,
{
    if unseen.into_iter().all(|applied| snapshot.sees(applied)) {
        Acceptance::Accept
    } else {
        Acceptance::Again
    }
}

/// Whether the target at `p2` can be compared with an accepted source snapshot of this horizon: everything that the snapshot
/// sees was applied, so that both sides differ by nothing but what was collected. The horizon was read after the snapshot opened.
pub fn pair_is_exact<P: Ord>(horizon: &P, p2: &P) -> bool {
    horizon <= p2
}

/// What the log said last of a key, from when collecting began to p2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LastImage<I> {
    /// The row is gone.
    Gone,
    /// The row has this image; columns that the log left out as unchanged may be missing.
    Row(I),
}

/// What the target must show of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected<I> {
    /// This row.
    Row(I),
    /// No row.
    Absent,
    /// Not known: an image misses columns and there is no row to take them from. Compare again.
    Unknown,
}

/// What the target must show at p2 of a key in T (or of any key, for which `last` is then `None`). `at_snapshot` is the row at
/// S1; after a change of key, the row that S1 shows under the identity that it had then. It gives the columns that no image
/// carried: nobody changed them since collecting began. Where the log carried them, S1 has no say: it may be older.
pub fn expected_at_target<I: Image>(
    last: Option<LastImage<I>>,
    at_snapshot: Option<I>,
) -> Expected<I> {
    match (last, at_snapshot) {
        (None, None) | (Some(LastImage::Gone), _) => Expected::Absent,
        (None, Some(row)) => Expected::Row(row),
        (Some(LastImage::Row(image)), _) if image.is_complete() => Expected::Row(image),
        (Some(LastImage::Row(_)), None) => Expected::Unknown,
        (Some(LastImage::Row(image)), Some(mut row)) => {
            row.overlay(image);
            Expected::Row(row)
        }
    }
}

/// What may be done about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repair {
    /// Repair them.
    Repair,
    /// There are more than the cap: something is wrong that repairs would only hide. Nothing is repaired.
    Refuse,
}

/// Whether `found` differences may be repaired. `found` counts all that were found since the cap was granted, those repaired
/// already included, so that a steady leak is not mended for ever.
#[must_use]
pub fn may_repair(found: u64, cap: u64) -> Repair {
    if found <= cap {
        Repair::Repair
    } else {
        Repair::Refuse
    }
}

#[cfg(test)]
mod tests;
