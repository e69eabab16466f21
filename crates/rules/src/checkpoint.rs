//! Rules on positions: moving the checkpoint, what it has already covered, when a horizon is durable.
//!
//! Positions are only compared within one source and one timeline; [`crate::resume`] sees to that.

/// Why a checkpoint may not be moved. The transaction must be rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointRefusal<P> {
    /// The target holds another checkpoint than the one that this batch was decided from.
    NotWhereExpected {
        /// What the batch was decided from.
        expected: Option<P>,
        /// What the target holds.
        stored: Option<P>,
    },
    /// The batch would move the checkpoint backwards.
    Backwards {
        /// What the target holds.
        from: P,
        /// Where the batch would move it.
        to: P,
    },
}

/// Compare-and-swap: whether the checkpoint may move from `from` to `to` when the target holds `stored`.
///
/// # Errors
/// [`CheckpointRefusal`] if the target holds another one or the move goes backwards.
pub fn may_move<P: Ord + Clone>(
    stored: Option<&P>,
    from: Option<&P>,
    to: &P,
) -> Result<(), CheckpointRefusal<P>> {
    if stored != from {
        return Err(CheckpointRefusal::NotWhereExpected {
            expected: from.cloned(),
            stored: stored.cloned(),
        });
    }
    match stored {
        Some(stored) if to < stored => Err(CheckpointRefusal::Backwards {
            from: stored.clone(),
            to: to.clone(),
        }),
        _ => Ok(()),
    }
}

/// Whether a transaction that the source sends was already applied before a restart: its end is not
/// beyond the checkpoint. `end` is the position after its commit record, the same that a batch ending
/// with it would have written as checkpoint.
pub fn already_applied<P: Ord>(end: &P, checkpoint: Option<&P>) -> bool {
    checkpoint.is_some_and(|checkpoint| end <= checkpoint)
}

/// Whether a chunk (or a one-key read) may be committed to the target: the source has made its log
/// durable up to the horizon, so a crash of the source cannot take back, and reuse the identity of,
/// anything that the snapshot saw. `flushed` is the source's durable log end.
pub fn horizon_is_durable<P: Ord>(horizon: &P, flushed: &P) -> bool {
    horizon <= flushed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_from_what_is_stored_and_never_back() {
        assert_eq!(may_move(None, None, &5), Ok(()));
        assert_eq!(may_move(Some(&5), Some(&5), &5), Ok(()));
        assert_eq!(may_move(Some(&5), Some(&5), &9), Ok(()));
        assert_eq!(
            may_move(Some(&6), Some(&5), &9),
            Err(CheckpointRefusal::NotWhereExpected {
                expected: Some(5),
                stored: Some(6)
            })
        );
        assert!(may_move(None, Some(&5), &9).is_err());
        assert!(may_move(Some(&5), None, &9).is_err());
        assert_eq!(
            may_move(Some(&5), Some(&5), &4),
            Err(CheckpointRefusal::Backwards { from: 5, to: 4 })
        );
    }

    #[test]
    fn a_transaction_ending_at_the_checkpoint_is_covered() {
        assert!(already_applied(&5, Some(&5)));
        assert!(!already_applied(&6, Some(&5)));
        assert!(!already_applied(&1, None));
    }

    #[test]
    fn horizon_needs_flush() {
        assert!(horizon_is_durable(&5, &5));
        assert!(!horizon_is_durable(&6, &5));
    }
}
