//! Per change: apply, skip, leave or hold.

use std::borrow::Borrow;

use super::{Bounds, Chunk, ChunkId, Frontier, OneKeyState, State};
use crate::ledger::Outcome;
use crate::visibility::{Covers, Sees};

/// What becomes of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Apply it.
    Apply,
    /// The rows were read at a snapshot that sees it.
    Skip,
    /// A later snapshot brings it. [`Frontier::leave`] must be called before the mutex is released.
    Leave(LeftTo),
    /// The chunk is loading: wait until it is loaded, decide again. Nothing may be committed for the
    /// transaction meanwhile.
    Hold(ChunkId),
}

/// Whose later snapshot brings a change that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeftTo {
    /// The chunk's.
    Chunk(ChunkId),
    /// The one-key read of a parked key.
    Key,
}

impl Decision {
    /// The ledger's word for it; `None` for a held change, which has no outcome yet.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Apply => Some(Outcome::Applied),
            Self::Skip => Some(Outcome::Covered),
            Self::Leave(LeftTo::Chunk(_)) => Some(Outcome::Left),
            Self::Leave(LeftTo::Key) => Some(Outcome::Parked),
            Self::Hold(_) => None,
        }
    }
}

/// Where the columns come from that an image without its unchanged columns lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImagePlan {
    /// The new row is not applied: they are not needed.
    Unneeded,
    /// From the target's row (or the batch's) of the old key. If there is none, which only a row filter can
    /// cause: as `Reread`.
    Carry,
    /// The row of the new key is read again, by a snapshot that sees the transaction
    /// ([`Frontier::accept_one_key`]).
    Reread,
    /// A half is held: wait, decide again.
    Hold(ChunkId),
}

/// A truncate's effect on one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeDecision<K> {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its range: with `Apply`, all its rows go but those of `other_keys`.
    pub bounds: Bounds<K>,
    /// What becomes of the truncate in it.
    pub decision: Decision,
    /// Keys in it that one-key state decides otherwise: `Apply` deletes the row, all others keep it (and
    /// `Leave` must be recorded).
    pub other_keys: Vec<(K, Decision)>,
}

/// The ledger's one word for a truncate; `None` if any of it is held.
pub fn truncate_outcome<K>(parts: &[RangeDecision<K>]) -> Option<Outcome> {
    let mut outcome = Outcome::Covered;
    let decisions = parts.iter().flat_map(|part| {
        std::iter::once(part.decision).chain(part.other_keys.iter().map(|(_, decision)| *decision))
    });
    for decision in decisions {
        match decision.outcome()? {
            Outcome::Applied => outcome = Outcome::Applied,
            left @ (Outcome::Left | Outcome::Parked) if outcome == Outcome::Covered => {
                outcome = left;
            }
            _ => {}
        }
    }
    Some(outcome)
}

impl<K, S, T, P> Frontier<K, S, T, P>
where
    K: Ord + Clone,
    S: Sees<T> + Covers + Clone + PartialEq,
    T: Ord + Clone,
    P: Ord + Clone,
{
    /// What becomes of a change of committed transaction `transaction` to `key`. Changes must be asked
    /// about in the source's commit order, each only once its commit record was read. A change of key is two
    /// questions. Allocates nothing.
    pub fn decide<Q>(&self, key: &Q, transaction: &T) -> Decision
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        if let Some(decision) = self.decide_by_one_key(key, transaction) {
            return decision;
        }
        if self.unsettled == 0 {
            return Decision::Apply;
        }
        let id = self.chunk_of(key);
        decide_by_chunk(id, &self.chunks[id.index()], transaction)
    }

    /// Whether every change will be applied, whatever its key and transaction: nothing is left to load, to settle or to read
    /// by itself.
    pub fn applies_all(&self) -> bool {
        self.unsettled == 0 && self.one_key.is_empty() && self.staged.is_empty()
    }

    /// The chunk that `key` lies in.
    pub fn chunk_of<Q>(&self, key: &Q) -> ChunkId
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        ChunkId(self.order[self.starts.partition_point(|start| start.borrow() <= key)])
    }

    fn decide_by_one_key<Q>(&self, key: &Q, transaction: &T) -> Option<Decision>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        if !self.staged.is_empty()
            && let Some((snapshot, _)) = self.staged.get(key)
        {
            return Some(by_snapshot(snapshot, transaction));
        }
        if self.one_key.is_empty() {
            return None;
        }
        match self.one_key.get(key)? {
            OneKeyState::Parked { .. } => Some(Decision::Leave(LeftTo::Key)),
            OneKeyState::Read { snapshot, .. } => Some(by_snapshot(snapshot, transaction)),
        }
    }

    /// Remembers that a change was left: the next snapshot of its range, or of its key, must see the
    /// transaction. To be called under the same lock as the [`Self::decide`] that said so; a chunk that
    /// is no longer pending is not touched.
    pub fn leave<Q>(&mut self, key: &Q, to: LeftTo, transaction: &T)
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        // Most changes of a transaction find it there already, and so does a batch decided again.
        match to {
            LeftTo::Chunk(id) => {
                if let Chunk {
                    state: State::Pending,
                    owed,
                    ..
                } = &mut self.chunks[id.index()]
                    && !owed.contains(transaction)
                {
                    owed.insert(transaction.clone());
                }
            }
            LeftTo::Key => {
                if let Some(OneKeyState::Parked { owed }) = self.one_key.get_mut(key)
                    && !owed.contains(transaction)
                {
                    owed.push(transaction.clone());
                }
            }
        }
    }

    /// Where the missing columns of an update come from, whose new image is not whole. `old` is the
    /// key before, `new` the key after; equal if the key did not change. The halves themselves are still
    /// decided by [`Self::decide`], each by its own key.
    pub fn carry_or_reread<Q>(&self, old: &Q, new: &Q, transaction: &T) -> ImagePlan
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self.decide(new, transaction) {
            Decision::Hold(chunk) => return ImagePlan::Hold(chunk),
            Decision::Skip | Decision::Leave(_) => return ImagePlan::Unneeded,
            Decision::Apply => {}
        }
        match self.decide(old, transaction) {
            Decision::Hold(chunk) => ImagePlan::Hold(chunk),
            Decision::Apply if !self.is_mixed(old) => ImagePlan::Carry,
            // The target's old row, if any, is not the one that the source's update started from.
            Decision::Apply | Decision::Skip | Decision::Leave(_) => ImagePlan::Reread,
        }
    }

    /// Whether the target's row of `key` may be newer than the changes applied to it so far.
    fn is_mixed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.unsettled > 0
            && matches!(
                self.chunks[self.chunk_of(key).index()].state,
                State::Partial { mixed: true, .. } | State::Loaded { mixed: true, .. }
            )
    }

    /// What becomes of a truncate, chunk by chunk in key order. Adjacent ranges that are all applied
    /// with no other keys may be emptied at once. If any chunk says `Hold`, wait and ask again before acting
    /// on the others. A truncate is a barrier to net effects: flush the batch first.
    pub fn truncate(&self, transaction: &T) -> Vec<RangeDecision<K>> {
        self.chunks()
            .map(|chunk| {
                let at = &self.chunks[chunk.index()];
                let decision = decide_by_chunk(chunk, at, transaction);
                let other_keys = self
                    .one_key_keys(&at.bounds)
                    .filter_map(|key| Some((key, self.decide_by_one_key(key, transaction)?)))
                    .filter(|(_, own)| *own != decision)
                    .map(|(key, own)| (key.clone(), own))
                    .collect();
                RangeDecision {
                    chunk,
                    bounds: at.bounds.clone(),
                    decision,
                    other_keys,
                }
            })
            .collect()
    }
}

fn by_snapshot<S: Sees<T>, T>(snapshot: &S, transaction: &T) -> Decision {
    if snapshot.sees(transaction) {
        Decision::Skip
    } else {
        Decision::Apply
    }
}

fn decide_by_chunk<K, S: Sees<T>, T, P>(
    id: ChunkId,
    chunk: &Chunk<K, S, T, P>,
    transaction: &T,
) -> Decision {
    match &chunk.state {
        State::Settled { .. } => Decision::Apply,
        State::Loaded { snapshot, .. } => by_snapshot(snapshot, transaction),
        State::Pending => Decision::Leave(LeftTo::Chunk(id)),
        State::Loading | State::Partial { .. } => Decision::Hold(id),
    }
}
