//! What the rules ask of a store's snapshot.

use crossfade_model::{Snapshot, TransactionId};

/// A snapshot that can say of a transaction whether it sees it.
///
/// `T` is a source transaction's identity: top-level xid widened to 64 bits on PostgreSQL, GTID on
/// MySQL, position on MariaDB, sequence on SQLite. A position in the log is no substitute where the
/// log's order and the order of visibility differ (PostgreSQL).
pub trait Sees<T: ?Sized> {
    /// Whether this snapshot sees the committed transaction `transaction`. Must be exact: an
    /// uncertain answer is not allowed to be `true`.
    fn sees(&self, transaction: &T) -> bool;
}

/// A snapshot that can be compared with another of the same store.
pub trait Covers {
    /// Whether this snapshot certainly sees everything that `base` sees. `false` only costs another
    /// attempt to open a snapshot; a wrong `true` loses rows.
    fn covers(&self, base: &Self) -> bool;
}

impl Sees<TransactionId> for Snapshot {
    fn sees(&self, transaction: &TransactionId) -> bool {
        Snapshot::sees(self, *transaction)
    }
}

impl Covers for Snapshot {
    fn covers(&self, base: &Self) -> bool {
        Snapshot::covers(self, base)
    }
}
