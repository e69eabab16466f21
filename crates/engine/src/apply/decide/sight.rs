//! What decides a change: the frontiers under their lock, or the knowledge that they decide nothing any more.

use crossfade_model::{Key, TableId, TransactionId};
use crossfade_rules::frontier::{Decision, ImagePlan, LeftTo, RangeDecision};
use crossfade_store::ChunkRange;

use super::Cut;
use crate::session::{Keying, State};

/// Where decisions come from.
pub(crate) enum Sight<'a> {
    /// The frontiers that loaders share, locked for the whole pass.
    Shared(&'a mut State),
    /// [`State::applies_all`] was seen: every change is applied, whatever loaders do. Needs no lock.
    Settled,
}

impl Sight<'_> {
    /// The decision for one key; a row that would be written to a table without its key waits.
    pub(super) fn decision(
        &self,
        table: TableId,
        key: &Key,
        t: TransactionId,
    ) -> Result<Decision, Cut> {
        let Sight::Shared(state) = self else {
            return Ok(Decision::Apply);
        };
        let at = &state.tables[table.0 as usize];
        match at.frontier.decide(key, &t) {
            Decision::Hold(_) => Err(Cut::Wait(table)),
            Decision::Apply if at.keying != Keying::Keyed => Err(Cut::Wait(table)),
            decided => Ok(decided),
        }
    }

    /// Where the missing columns of an update come from.
    pub(super) fn carry_or_reread(
        &self,
        table: TableId,
        old: &Key,
        new: &Key,
        t: TransactionId,
    ) -> ImagePlan {
        match self {
            Sight::Shared(state) => state.tables[table.0 as usize]
                .frontier
                .carry_or_reread(old, new, &t),
            Sight::Settled => ImagePlan::Carry,
        }
    }

    /// Remembers that a change was left to a later snapshot, which happens only while there is one to come.
    pub(super) fn leave(&mut self, table: TableId, key: &Key, to: LeftTo, t: TransactionId) {
        if let Sight::Shared(state) = self {
            state.tables[table.0 as usize].frontier.leave(key, to, &t);
            state.parked_changed |= to == LeftTo::Key;
        }
    }

    /// What becomes of a truncate, chunk by chunk; `None` where everything is emptied without looking.
    pub(super) fn truncate(
        &self,
        table: TableId,
        t: TransactionId,
    ) -> Option<Vec<RangeDecision<Key>>> {
        match self {
            Sight::Shared(state) => Some(state.tables[table.0 as usize].frontier.truncate(&t)),
            Sight::Settled => None,
        }
    }

    /// Whether the table has the key that the applier needs.
    pub(super) fn is_keyed(&self, table: TableId) -> bool {
        match self {
            Sight::Shared(state) => state.tables[table.0 as usize].keying == Keying::Keyed,
            Sight::Settled => true,
        }
    }

    /// The range of a chunk.
    pub(super) fn range(
        &self,
        table: TableId,
        chunk: crossfade_rules::frontier::ChunkId,
    ) -> ChunkRange {
        match self {
            Sight::Shared(state) => state.tables[table.0 as usize].range(chunk),
            Sight::Settled => ChunkRange::All,
        }
    }

    /// The cells of a key that has a frontier of its own.
    pub(super) fn one_key_cells(&self, table: TableId, key: &Key) -> Option<crossfade_model::Row> {
        match self {
            Sight::Shared(state) => state.tables[table.0 as usize]
                .one_key_cells
                .get(key)
                .cloned(),
            Sight::Settled => None,
        }
    }
}
