//! The run epoch: which process may write to the target.
//!
//! The target holds one row with a number. A process that starts raises it by one; every writing
//! transaction locks the row, reads it and asks [`may_write`]. A process that slept through its
//! successor's start can therefore commit nothing. A lost reply to a commit is settled the same way:
//! locking the row waits for the transaction in doubt to end, then the durable rows say what it did.

use serde::{Deserialize, Serialize};

/// The number of a run, raised by one at every start. Zero is never held by a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Why a process may no longer write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochRefusal {
    /// The target's epoch row is gone: the target was cleaned or is not the one that was prepared.
    Missing,
    /// Another process has started since; this one must stop.
    Superseded {
        /// The epoch of this process.
        held: Epoch,
        /// The epoch in the target.
        stored: Epoch,
    },
    /// The target holds a lower epoch than this process took: the target was set back.
    SetBack {
        /// The epoch of this process.
        held: Epoch,
        /// The epoch in the target.
        stored: Epoch,
    },
}

/// Whether a process that took `held` may commit, given the row it has locked in the target.
///
/// # Errors
/// [`EpochRefusal`] unless both are equal; the caller must roll back.
pub fn may_write(held: Epoch, stored: Option<Epoch>) -> Result<(), EpochRefusal> {
    match stored {
        None => Err(EpochRefusal::Missing),
        Some(stored) if stored == held => Ok(()),
        Some(stored) if stored > held => Err(EpochRefusal::Superseded { held, stored }),
        Some(stored) => Err(EpochRefusal::SetBack { held, stored }),
    }
}

/// The epoch that a starting process takes, given the row it has locked (`None` on a new target).
#[must_use]
pub fn next(stored: Option<Epoch>) -> Epoch {
    Epoch(stored.map_or(0, |epoch| epoch.0) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_run_writes() {
        let first = next(None);
        let second = next(Some(first));
        assert_eq!((first, second), (Epoch(1), Epoch(2)));
        assert_eq!(may_write(second, Some(second)), Ok(()));
        assert_eq!(
            may_write(first, Some(second)),
            Err(EpochRefusal::Superseded {
                held: first,
                stored: second
            })
        );
        assert_eq!(
            may_write(second, Some(first)),
            Err(EpochRefusal::SetBack {
                held: second,
                stored: first
            })
        );
        assert_eq!(may_write(first, None), Err(EpochRefusal::Missing));
    }
}
