//! The ledger: every captured change is accounted for, per table, at every checkpoint.
//!
//! A change of key counts as two: the delete of the old key and the insert of the new one. A truncate
//! counts as one ([`crate::frontier::truncate_outcome`]).

use serde::{Deserialize, Serialize};

/// What became of one captured change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written to the target (or folded into a later change of the same batch).
    Applied,
    /// Already in the rows that a snapshot brought.
    Covered,
    /// Left to the later snapshot of its key range.
    Left,
    /// Dropped by the mapping.
    Filtered,
    /// Parked, or in quarantine.
    Parked,
}

/// Counts of changes, of one table or summed. Added to the durable row in the target transaction that
/// holds the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LedgerCounts {
    /// Changes read from the source's log. Counted where they are decoded, never derived from the others.
    pub captured: u64,
    /// Changes written.
    pub applied: u64,
    /// Changes that a snapshot had already brought.
    pub covered: u64,
    /// Changes left to a later snapshot.
    pub left: u64,
    /// Changes that the mapping drops.
    pub filtered: u64,
    /// Changes parked or quarantined.
    pub parked: u64,
}

impl LedgerCounts {
    /// Counts `changes` as captured.
    pub fn capture(&mut self, changes: u64) {
        self.captured += changes;
    }

    /// Counts one change's outcome. Does not touch `captured`.
    pub fn settle(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Applied => &mut self.applied,
            Outcome::Covered => &mut self.covered,
            Outcome::Left => &mut self.left,
            Outcome::Filtered => &mut self.filtered,
            Outcome::Parked => &mut self.parked,
        };
        *count += 1;
    }

    /// Adds another count, field by field.
    pub fn add(&mut self, other: &Self) {
        self.captured += other.captured;
        self.applied += other.applied;
        self.covered += other.covered;
        self.left += other.left;
        self.filtered += other.filtered;
        self.parked += other.parked;
    }

    /// The sum of all outcomes.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.applied + self.covered + self.left + self.filtered + self.parked
    }

    /// Whether every captured change has exactly one outcome. If not, the run stops.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.captured == self.settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Outcome; 5] = [
        Outcome::Applied,
        Outcome::Covered,
        Outcome::Left,
        Outcome::Filtered,
        Outcome::Parked,
    ];

    #[test]
    fn each_outcome_is_counted_once() {
        let mut counts = LedgerCounts::default();
        assert!(counts.balances());
        for outcome in ALL {
            counts.capture(1);
            assert!(!counts.balances());
            counts.settle(outcome);
            assert!(counts.balances());
        }
        assert_eq!(
            counts,
            LedgerCounts {
                captured: 5,
                applied: 1,
                covered: 1,
                left: 1,
                filtered: 1,
                parked: 1
            }
        );
    }

    #[test]
    fn sums_field_by_field() {
        let one = LedgerCounts {
            captured: 15,
            applied: 1,
            covered: 2,
            left: 3,
            filtered: 4,
            parked: 5,
        };
        let mut sum = one;
        sum.add(&one);
        assert_eq!(
            sum,
            LedgerCounts {
                captured: 30,
                applied: 2,
                covered: 4,
                left: 6,
                filtered: 8,
                parked: 10
            }
        );
        assert!(sum.balances());
        sum.settle(Outcome::Left);
        assert!(!sum.balances());
    }
}
