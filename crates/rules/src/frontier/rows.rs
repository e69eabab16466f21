//! The durable rows of a frontier, and its rebuilding from them.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Acceptance, ChunkId, Frontier, State, state_of};
use crate::visibility::{Covers, Sees};

/// A range of keys: low inclusive, high exclusive, `None` infinite.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds<K> {
    /// The lowest key in the range; `None` is -∞.
    pub low: Option<K>,
    /// The lowest key above the range; `None` is +∞.
    pub high: Option<K>,
}

impl<K: Ord> Bounds<K> {
    /// From -∞ to +∞.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            low: None,
            high: None,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.low.as_ref().is_none_or(|low| low.borrow() <= key)
            && self.high.as_ref().is_none_or(|high| key < high.borrow())
    }

    /// Whether a key can lie in both ranges.
    pub fn overlaps(&self, other: &Self) -> bool {
        let below = |high: &Option<K>, low: &Option<K>| match (high, low) {
            (Some(high), Some(low)) => high <= low,
            _ => false,
        };
        !below(&self.high, &other.low) && !below(&other.high, &self.low)
    }
}

/// A chunk whose rows are in the target: written in the same target transaction as (the last of) them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrontierRow<K, S, P> {
    /// The key range.
    pub bounds: Bounds<K>,
    /// The snapshot that decides its changes: that of its first part.
    pub snapshot: S,
    /// The source's log end, read after the latest of its snapshots opened.
    pub horizon: P,
    /// Its parts were read under more than one snapshot, so that until the checkpoint reaches the horizon
    /// its rows are of different times.
    pub mixed: bool,
    /// Whether all of its rows are in the target; `false`: more physical parts are to come. The
    /// caller keeps which parts are done.
    pub complete: bool,
}

/// A transaction that every later snapshot of a key range must see. By range, because chunks may be cut
/// otherwise after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwedRow<K, T> {
    /// The key range.
    pub bounds: Bounds<K>,
    /// The transaction.
    pub transaction: T,
}

/// State of a single key that its chunk does not decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneKeyState<S, T, P> {
    /// The row is not in the target as its chunk's snapshot saw it; it will be read again, by a
    /// snapshot that sees all `owed`.
    Parked {
        /// Transactions whose changes were left to that reading.
        owed: Vec<T>,
    },
    /// The row was read by itself at `snapshot`, which decides its changes until the checkpoint reaches
    /// `horizon`.
    Read {
        /// The snapshot.
        snapshot: S,
        /// The source's log end, read after it opened.
        horizon: P,
    },
}

/// A key with a frontier of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OneKeyRow<K, S, T, P> {
    /// The key.
    pub key: K,
    /// Its state.
    pub state: OneKeyState<S, T, P>,
}

/// Everything durable of one table's frontier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DurableFrontier<K, S, T, P> {
    /// Chunks whose rows, or some of them, are in the target.
    pub chunks: Vec<FrontierRow<K, S, P>>,
    /// What ranges are owed.
    pub owed: Vec<OwedRow<K, T>>,
    /// Keys with a frontier of their own.
    pub one_key: Vec<OneKeyRow<K, S, T, P>>,
}

/// The durable rows contradict each other: a fault in the program, or somebody else's hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreError<K> {
    /// Two loaded chunks share keys.
    Overlap(Bounds<K>, Bounds<K>),
    /// A loaded chunk's snapshot does not see a transaction that its range is owed.
    OwedNotSeen(Bounds<K>),
}

impl<K: fmt::Debug> fmt::Display for RestoreError<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(..) => write!(out, "two loaded chunks share keys"),
            Self::OwedNotSeen(_) => {
                write!(
                    out,
                    "a loaded chunk's snapshot misses a transaction that it was owed"
                )
            }
        }
    }
}

impl<K: fmt::Debug> std::error::Error for RestoreError<K> {}

impl<K, S, T, P> Frontier<K, S, T, P>
where
    K: Ord + Clone,
    S: Sees<T> + Covers + Clone + PartialEq,
    T: Ord + Clone,
    P: Ord + Clone,
{
    /// Rebuilds the frontier from durable rows. Whatever is not loaded is pending again; `splits` (any,
    /// not only those of the run before) cut the pending ranges. The caller has taken over the run
    /// epoch first, so that no transaction of the run before can still commit.
    ///
    /// # Errors
    /// [`RestoreError`] if the rows contradict each other.
    pub fn restore(
        base: Option<S>,
        splits: impl IntoIterator<Item = K>,
        durable: DurableFrontier<K, S, T, P>,
    ) -> Result<Self, RestoreError<K>> {
        let mut rows = durable.chunks;
        rows.sort_by(|one, other| one.bounds.low.cmp(&other.bounds.low));
        for pair in rows.windows(2) {
            if pair[0].bounds.overlaps(&pair[1].bounds) {
                return Err(RestoreError::Overlap(
                    pair[0].bounds.clone(),
                    pair[1].bounds.clone(),
                ));
            }
        }
        let inside = |key: &K| {
            let after = rows.partition_point(|row| row.bounds.low.as_ref() <= Some(key));
            after
                .checked_sub(1)
                .is_some_and(|at| rows[at].bounds.contains(key))
        };
        let edges = rows
            .iter()
            .flat_map(|row| [row.bounds.low.clone(), row.bounds.high.clone()]);
        let cuts: Vec<K> = splits
            .into_iter()
            .filter(|key| !inside(key))
            .chain(edges.flatten())
            .collect();
        let mut frontier = Self::new(base, cuts);
        for row in &rows {
            let place = frontier.place_of_low(row.bounds.low.as_ref());
            let id = frontier.order[place] as usize;
            frontier.chunks[id].state = state_of(row);
        }
        for owed in &durable.owed {
            frontier.restore_owed(owed)?;
        }
        frontier.one_key = durable
            .one_key
            .into_iter()
            .map(|row| (row.key, row.state))
            .collect();
        Ok(frontier)
    }

    fn place_of_low(&self, low: Option<&K>) -> usize {
        low.map_or(0, |low| self.starts.partition_point(|start| start <= low))
    }

    fn restore_owed(&mut self, row: &OwedRow<K, T>) -> Result<(), RestoreError<K>> {
        for chunk in self
            .chunks
            .iter_mut()
            .filter(|chunk| chunk.bounds.overlaps(&row.bounds))
        {
            match &chunk.state {
                State::Pending | State::Loading => {
                    chunk.owed.insert(row.transaction.clone());
                }
                State::Partial {
                    first: snapshot, ..
                }
                | State::Loaded { snapshot, .. } => {
                    if !snapshot.sees(&row.transaction) {
                        return Err(RestoreError::OwedNotSeen(chunk.bounds.clone()));
                    }
                }
                State::Settled { .. } => {}
            }
        }
        Ok(())
    }

    /// What is owed now, to be stored **in place of** all stored rows of this table in the applier's
    /// target transaction. After [`Self::prune_owed`] with a probe snapshot these are few.
    pub fn owed_rows(&self) -> impl Iterator<Item = OwedRow<K, T>> + '_ {
        self.chunks.iter().flat_map(|chunk| {
            chunk.owed.iter().map(|transaction| OwedRow {
                bounds: chunk.bounds.clone(),
                transaction: transaction.clone(),
            })
        })
    }

    /// How many owed entries are kept in memory: for the caller's bound.
    pub fn owed_count(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.owed.len()).sum()
    }

    /// Forgets owed transactions that `probe` sees: visibility only grows, so every snapshot opened on
    /// the same (primary) source from now on sees them too. A chunk that is loading keeps its own: its snapshot
    /// may have been opened before `probe`. A parked key must not be read under an older one.
    pub fn prune_owed(&mut self, probe: &S) {
        for chunk in &mut self.chunks {
            if matches!(chunk.state, State::Pending) {
                chunk.owed.retain(|owed| !probe.sees(owed));
            }
        }
        self.prune_parked(probe);
    }
}

impl<K, S, T, P> Frontier<K, S, T, P> {
    /// Transactions that the next snapshot of `chunk` must see: for messages while waiting.
    pub fn owed(&self, chunk: ChunkId) -> impl Iterator<Item = &T> {
        self.chunks[chunk.index()].owed.iter()
    }
}

impl Acceptance {
    /// Whether the snapshot may be read.
    #[must_use]
    pub fn is_accepted(self) -> bool {
        self == Self::Accept
    }
}
