//! A truncate is decided chunk by chunk, and survives no row but those read after it.

use crossfade_model::{Key, TableId, TransactionId};
use crossfade_rules::frontier::{Decision, truncate_outcome};
use crossfade_rules::ledger::Outcome;
use crossfade_store::ChunkRange;

use super::{Cut, Pass};
use crate::apply::steps::NetKey;
use crate::error::EngineError;
use crate::session::{Keying, State};

impl Pass<'_> {
    /// Decided chunk by chunk; a barrier to netting.
    pub(super) fn truncate(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
    ) -> Result<(), Cut> {
        self.mapping(table)?;
        self.count(table).capture(1);
        let index = table.0 as usize;
        let parts = state.tables[index].frontier.truncate(&t);
        let Some(outcome) = truncate_outcome(&parts) else {
            return Err(Cut::Wait(table));
        };
        if outcome == Outcome::Applied && state.tables[index].keying != Keying::Keyed {
            return Err(Cut::Wait(table));
        }
        self.count(table).settle(outcome);
        let plain = parts
            .iter()
            .all(|p| p.decision == Decision::Apply && p.other_keys.is_empty());
        if plain {
            self.steps.clear(table, ChunkRange::All);
            return Ok(());
        }
        let nowhere = Key(bytes::Bytes::new());
        for part in &parts {
            match part.decision {
                Decision::Apply => {
                    let range = state.tables[index].range(part.chunk);
                    self.steps.clear(table, range);
                }
                Decision::Leave(to) => {
                    self.left = true;
                    state.tables[index].frontier.leave(&nowhere, to, &t);
                }
                Decision::Skip | Decision::Hold(_) => {}
            }
            for (key, own) in &part.other_keys {
                self.truncated_key(state, t, table, key, *own, part.decision)?;
            }
        }
        Ok(())
    }

    /// Some rows are gone, and the log does not say which. Where the table's rows were read after it, or are yet to be read, that
    /// is nothing to be done; a copy that still has them is made again.
    pub(super) fn truncate_partitions(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
    ) -> Result<(), Cut> {
        self.mapping(table)?;
        self.count(table).capture(1);
        let frontier = &mut state.tables[table.0 as usize].frontier;
        let parts = frontier.truncate(&t);
        let outcome = match truncate_outcome(&parts) {
            None => return Err(Cut::Wait(table)),
            Some(Outcome::Applied) => return Err(Cut::CopyAnew(table, t)),
            Some(outcome) => outcome,
        };
        self.count(table).settle(outcome);
        let nowhere = Key(bytes::Bytes::new());
        for part in &parts {
            if let Decision::Leave(to) = part.decision {
                self.left = true;
                frontier.leave(&nowhere, to, &t);
            }
            for (key, own) in &part.other_keys {
                if let Decision::Leave(to) = own {
                    self.left = true;
                    frontier.leave(key, *to, &t);
                }
            }
        }
        Ok(())
    }

    /// A key that has a frontier of its own inside a truncated chunk.
    fn truncated_key(
        &mut self,
        state: &mut State,
        t: TransactionId,
        table: TableId,
        key: &Key,
        own: Decision,
        chunk: Decision,
    ) -> Result<(), Cut> {
        let at = |state: &State| {
            let cells = state.tables[table.0 as usize]
                .one_key_cells
                .get(key)
                .cloned()
                .or_else(|| {
                    self.rereads
                        .get(&(table, key.clone()))
                        .map(|r| r.0.cells.clone())
                });
            cells.map(|cells| NetKey {
                key: key.clone(),
                cells,
            })
        };
        let unknown = || EngineError::internal("a key with a frontier of its own has no cells");
        match own {
            Decision::Leave(to) => {
                self.left = true;
                state.tables[table.0 as usize].frontier.leave(key, to, &t);
            }
            // its row was read after the truncate, and must survive what was emptied around it
            Decision::Skip if chunk == Decision::Apply => {
                match self.rereads.get(&(table, key.clone())) {
                    Some((key, row)) => self.put_reread(table, &key.clone(), row.as_ref()),
                    None => {
                        let key = at(state).ok_or_else(unknown)?;
                        self.request(table, key, t);
                    }
                }
            }
            Decision::Apply => {
                let key = at(state).ok_or_else(unknown)?;
                self.steps.delete(table, key);
            }
            Decision::Skip | Decision::Hold(_) => {}
        }
        Ok(())
    }
}
