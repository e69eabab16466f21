//! The frontier of one table: which key ranges hold rows, read at which snapshot, and what follows
//! for each change of the stream.
//!
//! # How the engine uses it
//!
//! One `Frontier` a table, behind one mutex that the applier and the loaders share. Nothing here waits.
//!
//! **Applier**, per batch: [`Frontier::discard_staged`]; for each change [`Frontier::decide`]
//! (updates: also [`Frontier::carry_or_reread`]; truncates: [`Frontier::truncate`]). The answers are:
//!
//! * `Apply`: into the net batch; `Skip`: the rows already show it;
//! * `Leave`: [`Frontier::leave`] **before the mutex is released**;
//! * `Hold`: release the mutex, wait without a target transaction until that chunk is loaded, then
//!   decide the batch (or from that change on) again;
//! * `Reread`: open a snapshot, [`Frontier::accept_one_key`] or open again, read the row by its new
//!   key, read the log end, [`Frontier::stage_one_key`]. The row (or its absence: a delete) goes into the
//!   net batch as a whole image: either here and now, or at the batch's beginning, all of which is then
//!   decided again with what was staged (and so on, until nothing more has to be read). Both are model-checked.
//!
//! Then one target transaction: epoch, rows, checkpoint, [`Frontier::owed_rows`] in place of those stored,
//! [`Frontier::staged_rows`], ledger. After its commit [`Frontier::commit_staged`] and
//! [`Frontier::settle`]. If it failed: [`Frontier::discard_staged`] and decide the batch again.
//!
//! **Loader**, per chunk: [`Frontier::begin_loading`] → open a snapshot → [`Frontier::accept`], else open
//! another → read the log end (the horizon) → read rows → [`Frontier::row_for`] → one target transaction
//! with epoch, rows and that row, once [`crate::checkpoint::horizon_is_durable`] → after its commit
//! [`Frontier::park`] for keys that were parked and [`Frontier::loaded`], under one lock. A loader that fails
//! **must settle what became of its commit** (lock the epoch row, look for the frontier row), then
//! either `loaded` or [`Frontier::lost`].

mod decide;
mod one_key;
mod rows;

pub use decide::{Decision, ImagePlan, LeftTo, RangeDecision, truncate_outcome};
pub use rows::{
    Bounds, DurableFrontier, FrontierRow, OneKeyRow, OneKeyState, OwedRow, RestoreError,
};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::visibility::{Covers, Sees};

/// A chunk of this table. Stable for the life of the process; never durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(u32);

impl ChunkId {
    /// As an index, for the caller's own per-chunk data: below [`Frontier::chunk_count`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a chunk is at, without its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkState {
    /// No row of it is in the target; its changes are left to its snapshot.
    Pending,
    /// A loader is at it; its changes are held.
    Loading,
    /// Some physical parts of it are durable, others are not; its changes are held, with or without a
    /// loader. Never becomes pending again.
    Partial,
    /// Its rows are in the target and its changes are decided by its snapshot.
    Loaded,
    /// Loaded, and the checkpoint has passed its horizon: every change is applied.
    Settled,
}

/// Answer of [`Frontier::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Read the rows under this snapshot.
    Accept,
    /// Something owed is not visible yet: close it, open another, ask again; the chunk stays loading.
    Again,
}

/// A chunk was not in the state that the call needs: a fault of the caller, nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongState {
    /// The chunk.
    pub chunk: ChunkId,
    /// The state that it is in.
    pub state: ChunkState,
    /// What was asked for.
    pub wanted: &'static str,
}

impl fmt::Display for WrongState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "chunk {} is {:?}: cannot {}",
            self.chunk.0, self.state, self.wanted
        )
    }
}

impl std::error::Error for WrongState {}

/// How far a table is from being followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chunks of each state.
    pub pending: usize,
    /// Chunks loading or partial.
    pub loading: usize,
    /// Chunks loaded whose horizon the checkpoint has not passed.
    pub loaded: usize,
    /// Chunks loaded and passed.
    pub settled: usize,
    /// Keys that were read again and whose horizon the checkpoint has not passed.
    pub one_key: usize,
    /// Keys that wait to be read again.
    pub parked: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State<S, P> {
    Pending,
    Loading,
    Partial {
        first: S,
        horizon: P,
        mixed: bool,
    },
    Loaded {
        snapshot: S,
        horizon: P,
        mixed: bool,
    },
    Settled {
        horizon: P,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Chunk<K, S, T, P> {
    bounds: Bounds<K>,
    state: State<S, P>,
    /// What its next snapshot must see. Empty once loaded.
    owed: BTreeSet<T>,
}

/// The frontier of one table. `K`: key, ordered exactly as the source orders it where there is more
/// than one chunk; `S`: snapshot; `T`: transaction identity; `P`: position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frontier<K, S, T, P> {
    /// What every snapshot must cover: the snapshot that the stream's start stands for.
    base: Option<S>,
    /// Low bounds of all chunks but the first, ascending.
    starts: Vec<K>,
    /// Chunk by place in key order; one longer than `starts`.
    order: Vec<u32>,
    /// Chunk by identity.
    chunks: Vec<Chunk<K, S, T, P>>,
    /// Chunks that are not settled; at zero, and without one-key state, every change is applied.
    unsettled: usize,
    one_key: BTreeMap<K, OneKeyState<S, T, P>>,
    /// One-key reads of the batch at hand: they decide its later changes, and become durable with it.
    staged: BTreeMap<K, (S, P)>,
}

impl<K, S, T, P> Frontier<K, S, T, P>
where
    K: Ord + Clone,
    S: Sees<T> + Covers + Clone + PartialEq,
    T: Ord + Clone,
    P: Ord + Clone,
{
    /// A table of which nothing is in the target. `splits` are the low bounds of all chunks but the
    /// first; none gives one chunk from -∞ to +∞ (keyless tables, keys whose order is unknown).
    /// `base` is the snapshot that the stream's start stands for (PostgreSQL: the one that the slot
    /// exported); `None` only where a later snapshot certainly sees all that the start covers.
    pub fn new(base: Option<S>, splits: impl IntoIterator<Item = K>) -> Self {
        let mut starts: Vec<K> = splits.into_iter().collect();
        starts.sort();
        starts.dedup();
        let mut frontier = Self {
            base,
            starts: Vec::new(),
            order: Vec::with_capacity(starts.len() + 1),
            chunks: Vec::with_capacity(starts.len() + 1),
            unsettled: 0,
            one_key: BTreeMap::new(),
            staged: BTreeMap::new(),
        };
        for place in 0..=starts.len() {
            let low = place.checked_sub(1).map(|before| starts[before].clone());
            let high = starts.get(place).cloned();
            frontier.push(Bounds { low, high }, State::Pending);
        }
        frontier.starts = starts;
        frontier
    }

    fn push(&mut self, bounds: Bounds<K>, state: State<S, P>) -> ChunkId {
        // Four thousand million chunks would need more memory than any machine has.
        let id = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        self.unsettled += usize::from(!matches!(state, State::Settled { .. }));
        self.chunks.push(Chunk {
            bounds,
            state,
            owed: BTreeSet::new(),
        });
        self.order.push(id);
        ChunkId(id)
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// All chunks in key order.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.order.iter().map(|id| ChunkId(*id))
    }

    /// The first chunk in key order that waits for a loader: pending, or partial and not in `busy`.
    pub fn next_to_load(&self, busy: &[ChunkId]) -> Option<ChunkId> {
        self.chunks().find(|id| {
            matches!(self.state(*id), ChunkState::Pending | ChunkState::Partial)
                && !busy.contains(id)
        })
    }

    /// The key range of a chunk: low inclusive, high exclusive, `None` infinite.
    pub fn bounds(&self, chunk: ChunkId) -> &Bounds<K> {
        &self.chunks[chunk.index()].bounds
    }

    /// What a chunk is at.
    pub fn state(&self, chunk: ChunkId) -> ChunkState {
        match self.chunks[chunk.index()].state {
            State::Pending => ChunkState::Pending,
            State::Loading => ChunkState::Loading,
            State::Partial { .. } => ChunkState::Partial,
            State::Loaded { .. } => ChunkState::Loaded,
            State::Settled { .. } => ChunkState::Settled,
        }
    }

    /// Splits a pending chunk at `at`: it keeps the keys below, the new chunk gets the rest. Both owe
    /// what the whole owed. Lets a loader cut the next chunk to its time and byte budget.
    ///
    /// # Errors
    /// [`WrongState`] unless the chunk is pending and `at` lies inside it, above its low bound.
    pub fn split(&mut self, chunk: ChunkId, at: K) -> Result<ChunkId, WrongState> {
        let inside = {
            let bounds = self.bounds(chunk);
            bounds.contains(&at) && bounds.low.as_ref() != Some(&at)
        };
        if !inside || self.state(chunk) != ChunkState::Pending {
            return Err(self.wrong(chunk, "split it there"));
        }
        let place = self.starts.partition_point(|start| *start < at);
        let old = &mut self.chunks[chunk.index()];
        let upper = Bounds {
            low: Some(at.clone()),
            high: old.bounds.high.replace(at.clone()),
        };
        let owed = old.owed.clone();
        let id = self.push(upper, State::Pending);
        self.chunks[id.index()].owed = owed;
        self.order.pop();
        self.order.insert(place + 1, id.0);
        self.starts.insert(place, at);
        Ok(id)
    }

    /// Marks a chunk as loading: from now on its changes are held and what it is owed does not grow.
    /// Must come before its snapshot is opened. A partial chunk stays partial.
    ///
    /// # Errors
    /// [`WrongState`] unless the chunk is pending or partial.
    pub fn begin_loading(&mut self, chunk: ChunkId) -> Result<(), WrongState> {
        match self.chunks[chunk.index()].state {
            State::Pending => self.chunks[chunk.index()].state = State::Loading,
            State::Partial { .. } => {}
            _ => return Err(self.wrong(chunk, "begin to load it")),
        }
        Ok(())
    }

    /// Whether rows may be read under `snapshot`, which must have been opened after
    /// [`Self::begin_loading`]: it sees everything owed to this chunk and covers the stream's start.
    pub fn accept(&self, chunk: ChunkId, snapshot: &S) -> Acceptance {
        let chunk = &self.chunks[chunk.index()];
        let later_than_first = match &chunk.state {
            State::Partial { first, .. } => snapshot.covers(first),
            _ => true,
        };
        let covers_base = self.base.as_ref().is_none_or(|base| snapshot.covers(base));
        if later_than_first && covers_base && chunk.owed.iter().all(|owed| snapshot.sees(owed)) {
            Acceptance::Accept
        } else {
            Acceptance::Again
        }
    }

    /// The durable row to write in the target transaction that holds rows of `chunk` read under
    /// `snapshot`. `complete`: with this transaction every row of the chunk is in the target; `false` for
    /// all physical parts but the last. The first part's snapshot stays the one that decides.
    ///
    /// # Errors
    /// [`WrongState`] unless the chunk is loading or partial and `snapshot` is acceptable.
    pub fn row_for(
        &self,
        chunk: ChunkId,
        snapshot: &S,
        horizon: &P,
        complete: bool,
    ) -> Result<FrontierRow<K, S, P>, WrongState> {
        if self.accept(chunk, snapshot) == Acceptance::Again {
            return Err(self.wrong(
                chunk,
                "load it at a snapshot that does not see all it is owed",
            ));
        }
        let bounds = self.bounds(chunk).clone();
        match &self.chunks[chunk.index()].state {
            State::Loading => Ok(FrontierRow {
                bounds,
                snapshot: snapshot.clone(),
                horizon: horizon.clone(),
                mixed: false,
                complete,
            }),
            State::Partial {
                first,
                horizon: before,
                mixed,
            } => Ok(FrontierRow {
                bounds,
                snapshot: first.clone(),
                horizon: before.max(horizon).clone(),
                mixed: *mixed || first != snapshot,
                complete,
            }),
            _ => Err(self.wrong(chunk, "load it")),
        }
    }

    /// Takes over a row of [`Self::row_for`] **after the commit that made it durable**, never before:
    /// the chunk becomes loaded, or partial if the row is not complete. Its held changes can be decided.
    ///
    /// # Errors
    /// [`WrongState`] unless the chunk is loading or partial and the row is of this chunk.
    pub fn loaded(&mut self, chunk: ChunkId, row: &FrontierRow<K, S, P>) -> Result<(), WrongState> {
        let at = &mut self.chunks[chunk.index()];
        if !matches!(at.state, State::Loading | State::Partial { .. }) || at.bounds != row.bounds {
            return Err(self.wrong(chunk, "take it as loaded"));
        }
        at.state = state_of(row);
        if row.complete {
            at.owed.clear();
        }
        Ok(())
    }

    /// Its loader is gone, **and it is settled that its commit did not happen**: a loading chunk becomes
    /// pending, what it was owed is still owed. A partial chunk stays partial.
    ///
    /// # Errors
    /// [`WrongState`] unless the chunk is loading or partial.
    pub fn lost(&mut self, chunk: ChunkId) -> Result<(), WrongState> {
        match self.chunks[chunk.index()].state {
            State::Loading => self.chunks[chunk.index()].state = State::Pending,
            State::Partial { .. } => {}
            _ => return Err(self.wrong(chunk, "give it up")),
        }
        Ok(())
    }

    /// Moves on with a **durable** checkpoint: chunks whose horizon it has reached need their snapshot
    /// no more, one-key reads whose horizon it has reached go. Returns the keys of the latter: their
    /// durable rows are to be deleted in any later target transaction.
    pub fn settle(&mut self, checkpoint: &P) -> Vec<K> {
        if self.unsettled > 0 {
            for chunk in &mut self.chunks {
                if let State::Loaded { horizon, .. } = &chunk.state
                    && horizon <= checkpoint
                {
                    chunk.state = State::Settled {
                        horizon: horizon.clone(),
                    };
                    self.unsettled -= 1;
                }
            }
        }
        self.expire_one_key(checkpoint)
    }

    /// The highest horizon of all chunks and one-key reads; `None` if nothing was loaded.
    pub fn max_horizon(&self) -> Option<&P> {
        let chunks = self.chunks.iter().filter_map(|chunk| match &chunk.state {
            State::Pending | State::Loading => None,
            State::Partial { horizon, .. }
            | State::Loaded { horizon, .. }
            | State::Settled { horizon } => Some(horizon),
        });
        chunks.chain(self.one_key_horizons()).max()
    }

    /// Whether the table is followed at the **durable** `checkpoint`: all chunks loaded, nothing parked
    /// or in one-key state beyond its horizon, every horizon reached. From then on, together with
    /// the other tables, the target shows prefixes of the source's history.
    pub fn followed(&self, checkpoint: &P) -> bool {
        self.followed_beside_parked(checkpoint) && self.parked_count() == 0
    }

    /// As [`Self::followed`], whatever is parked: the rows of parked keys are older than the checkpoint, no row is newer.
    pub fn followed_beside_parked(&self, checkpoint: &P) -> bool {
        let horizon_reached = |chunk: &Chunk<K, S, T, P>| match &chunk.state {
            State::Settled { .. } => true,
            State::Loaded { horizon, .. } => horizon <= checkpoint,
            State::Pending | State::Loading | State::Partial { .. } => false,
        };
        (self.unsettled == 0 || self.chunks.iter().all(horizon_reached))
            && self.one_key_passed(checkpoint)
    }

    /// Counts for people.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for chunk in &self.chunks {
            match chunk.state {
                State::Pending => progress.pending += 1,
                State::Loading | State::Partial { .. } => progress.loading += 1,
                State::Loaded { .. } => progress.loaded += 1,
                State::Settled { .. } => progress.settled += 1,
            }
        }
        for state in self.one_key.values() {
            match state {
                OneKeyState::Read { .. } => progress.one_key += 1,
                OneKeyState::Parked { .. } => progress.parked += 1,
            }
        }
        progress
    }

    fn wrong(&self, chunk: ChunkId, wanted: &'static str) -> WrongState {
        WrongState {
            chunk,
            state: self.state(chunk),
            wanted,
        }
    }
}

fn state_of<K, S: Clone, P: Clone>(row: &FrontierRow<K, S, P>) -> State<S, P> {
    let (snapshot, horizon, mixed) = (row.snapshot.clone(), row.horizon.clone(), row.mixed);
    if row.complete {
        State::Loaded {
            snapshot,
            horizon,
            mixed,
        }
    } else {
        State::Partial {
            first: snapshot,
            horizon,
            mixed,
        }
    }
}

#[cfg(test)]
mod tests;
