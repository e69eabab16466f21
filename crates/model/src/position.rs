//! Where in a source's commit order something is, and what a snapshot of it sees.

use serde::{Deserialize, Serialize};

/// A point in a source's commit order: PostgreSQL's LSN, SQLite's change-log sequence, MySQL's number of a log file and offset in
/// it. Opaque outside its store, except that positions of one source compare in commit order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position(pub u64);

/// The identity of one source transaction: PostgreSQL's top-level xid widened to 64 bits, SQLite's last change sequence
/// of the poll that carried it, the position of a MySQL transaction's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransactionId(pub u64);

/// What a consistent read sees of the source's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// A set of transactions: all below `xmin`, none from `xmax` on, and between them all but `in_progress` (sorted).
    /// (PostgreSQL documentation, "System Information Functions", `pg_snapshot`.)
    Transactions {
        /// Every transaction below is visible (or rolled back).
        xmin: u64,
        /// No transaction from here on is visible.
        xmax: u64,
        /// Transactions between the two that were in progress; sorted.
        in_progress: Vec<u64>,
    },
    /// Every transaction up to and including this sequence.
    Sequence(u64),
}

impl Snapshot {
    /// True where a reader at this snapshot sees what committed transaction `t` wrote.
    pub fn sees(&self, t: TransactionId) -> bool {
        match self {
            Snapshot::Transactions {
                xmin,
                xmax,
                in_progress,
            } => t.0 < *xmin || (t.0 < *xmax && in_progress.binary_search(&t.0).is_err()),
            Snapshot::Sequence(s) => t.0 <= *s,
        }
    }

    /// True where this snapshot sees every transaction that `base` sees. Snapshots of different kinds never cover.
    pub fn covers(&self, base: &Snapshot) -> bool {
        match (self, base) {
            (
                Snapshot::Transactions {
                    xmax, in_progress, ..
                },
                Snapshot::Transactions { xmax: base_max, .. },
            ) => {
                // every transaction that base sees and this one does not is either from xmax on or in progress here
                let beyond =
                    *base_max > *xmax && (*xmax..*base_max).any(|x| base.sees(TransactionId(x)));
                !beyond && !in_progress.iter().any(|x| base.sees(TransactionId(*x)))
            }
            (Snapshot::Sequence(s), Snapshot::Sequence(b)) => s >= b,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(xmin: u64, xmax: u64, in_progress: &[u64]) -> Snapshot {
        Snapshot::Transactions {
            xmin,
            xmax,
            in_progress: in_progress.to_vec(),
        }
    }

    #[test]
    fn sees_what_committed_before_and_not_what_was_in_progress() {
        let s = snapshot(10, 20, &[10, 15]);
        assert!(s.sees(TransactionId(9)));
        assert!(!s.sees(TransactionId(10)));
        assert!(s.sees(TransactionId(11)));
        assert!(!s.sees(TransactionId(15)));
        assert!(!s.sees(TransactionId(20)));
    }

    #[test]
    fn covers_compares_sets_and_not_bounds() {
        let base = snapshot(10, 20, &[10]);
        assert!(snapshot(10, 20, &[10]).covers(&base));
        assert!(snapshot(30, 30, &[]).covers(&base));
        // 15 is visible in base but still in progress here: a commit that the log showed before readers could see it
        assert!(!snapshot(10, 25, &[10, 15]).covers(&base));
        assert!(!snapshot(10, 15, &[10]).covers(&base));
        assert!(Snapshot::Sequence(4).covers(&Snapshot::Sequence(4)));
        assert!(!Snapshot::Sequence(3).covers(&Snapshot::Sequence(4)));
        assert!(!Snapshot::Sequence(3).covers(&base));
    }
}
