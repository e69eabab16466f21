//! A truncate is decided chunk by chunk, and survives no row but those read after it.

use std::borrow::Cow;

use crossfade_model::{Key, TableId, TransactionId};
use crossfade_rules::frontier::{Decision, truncate_outcome};
use crossfade_rules::ledger::Outcome;
use crossfade_store::ChunkRange;

use super::{Cut, Pass, Sight};
use crate::apply::steps::NetKey;
use crate::error::EngineError;

impl<'a> Pass<'a> {
    /// Decided chunk by chunk; a barrier to netting.
    pub(super) fn truncate(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
    ) -> Result<(), Cut> {
        self.mapping(table)?;
        self.count(table).capture(1);
        let Some(parts) = sight.truncate(table, t) else {
            self.count(table).settle(Outcome::Applied);
            self.steps.clear(table, ChunkRange::All);
            return Ok(());
        };
        let Some(outcome) = truncate_outcome(&parts) else {
            return Err(Cut::Wait(table));
        };
        if outcome == Outcome::Applied && !sight.is_keyed(table) {
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
                    let range = sight.range(table, part.chunk);
                    self.steps.clear(table, range);
                }
                Decision::Leave(to) => {
                    self.left = true;
                    sight.leave(table, &nowhere, to, t);
                }
                Decision::Skip | Decision::Hold(_) => {}
            }
            for (key, own) in &part.other_keys {
                self.truncated_key(sight, t, table, key, *own, part.decision)?;
            }
        }
        Ok(())
    }

    /// Some rows are gone, and the log does not say which. Where the table's rows were read after it, or are yet to be read, that
    /// is nothing to be done; a copy that still has them is made again.
    pub(super) fn truncate_partitions(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
    ) -> Result<(), Cut> {
        self.mapping(table)?;
        self.count(table).capture(1);
        let Some(parts) = sight.truncate(table, t) else {
            return Err(Cut::CopyAnew(table, t));
        };
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
                sight.leave(table, &nowhere, to, t);
            }
            for (key, own) in &part.other_keys {
                if let Decision::Leave(to) = *own {
                    self.left = true;
                    sight.leave(table, key, to, t);
                }
            }
        }
        Ok(())
    }

    /// A key that has a frontier of its own inside a truncated chunk.
    fn truncated_key(
        &mut self,
        sight: &mut Sight<'_>,
        t: TransactionId,
        table: TableId,
        key: &Key,
        own: Decision,
        chunk: Decision,
    ) -> Result<(), Cut> {
        let rereads = self.rereads;
        let reread = rereads.get(&(table, key.clone()));
        let own_key = |sight: &Sight<'_>| -> Option<NetKey<'a>> {
            match sight.one_key_cells(table, key) {
                Some(cells) => Some(NetKey::new(key.clone(), Cow::Owned(cells))),
                None => reread.map(|r| r.0.clone()),
            }
        };
        let unknown = || EngineError::internal("a key with a frontier of its own has no cells");
        match own {
            Decision::Leave(to) => {
                self.left = true;
                sight.leave(table, key, to, t);
            }
            // its row was read after the truncate, and must survive what was emptied around it
            Decision::Skip if chunk == Decision::Apply => match reread {
                Some((key, row)) => self.put_reread(table, key, row.as_ref()),
                None => {
                    let key = own_key(sight).ok_or_else(unknown)?;
                    self.request(table, key, t)?;
                }
            },
            Decision::Apply => {
                let key = own_key(sight).ok_or_else(unknown)?;
                self.steps.delete(table, key);
            }
            Decision::Skip | Decision::Hold(_) => {}
        }
        Ok(())
    }
}
