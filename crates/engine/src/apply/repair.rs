//! The applier's part of a repair: rows that were read again on the source are written as they are there, in a target transaction
//! of their own that leaves the checkpoint where it is.
//!
//! Each has a durable frontier of its own, so that changes which the reading saw are not applied again. The reading saw every
//! transaction that was applied before it was asked for; a key that was changed since is read again instead.

use std::borrow::Cow;
use std::sync::Arc;

use crossfade_model::{Position, Snapshot};
use crossfade_store::ErrorKind;

use crate::apply::applier::ApplierTask;
use crate::apply::decide::{Rereads, Sight, Verdict, decide};
use crate::apply::steps::NetKey;
use crate::error::EngineError;
use crate::parked;
use crate::refused;
use crate::verify::collect::Collector;
use crate::verify::repair::{Answer, ReadRow, Repairs};

impl ApplierTask {
    /// Obeys one request.
    pub(super) async fn repair(&mut self, repairs: Repairs) -> Result<(), EngineError> {
        let collector = self.collector.take();
        let Repairs {
            rows,
            view,
            horizon,
            reply,
        } = repairs;
        let mut answer = Answer::default();
        let mut ready = Vec::with_capacity(rows.len());
        // from the fence on the target may be somebody else's at any moment: a row of the old authority must not come after
        let closing = self.session.draining();
        for row in rows {
            if !closing && self.may_repair(collector.as_ref(), &row, &view)? {
                ready.push(row);
            } else {
                answer.again.push(row.key);
            }
        }
        if self.repaired(&ready, &view, horizon).await? {
            answer.written += ready.len() as u64;
        } else {
            // one by one, so that only what is refused is left out
            for row in ready {
                if self
                    .repaired(std::slice::from_ref(&row), &view, horizon)
                    .await?
                {
                    answer.written += 1;
                } else {
                    answer.refused += 1;
                }
            }
        }
        // a comparison that has gone away is no reason to stop
        let _ = reply.send(answer);
        Ok(())
    }

    /// Whether nobody has changed the key since the reading was asked for, and the reading saw all that it had to.
    fn may_repair(
        &self,
        collector: Option<&Collector>,
        row: &ReadRow,
        view: &Snapshot,
    ) -> Result<bool, EngineError> {
        let Some(collector) = collector else {
            return Ok(false);
        };
        let (table, cells) = &row.key;
        if collector.has_changed(*table, cells)? {
            return Ok(false);
        }
        let Ok(key) = self.encoders[table.0 as usize].key_of(cells) else {
            return Ok(true);
        };
        let state = self.session.lock();
        let frontier = &state.tables[table.0 as usize].frontier;
        Ok(frontier.accept_one_key(&key, view, None).is_accepted())
    }

    /// Writes the rows; false where the target refuses one of them, and none is written.
    async fn repaired(
        &mut self,
        rows: &[ReadRow],
        view: &Snapshot,
        horizon: Position,
    ) -> Result<bool, EngineError> {
        if rows.is_empty() {
            return Ok(true);
        }
        let session = Arc::clone(&self.session);
        let mut rereads = Rereads::new();
        for row in rows {
            let (table, cells) = &row.key;
            // a key that has no form on the source is no row of it: the target's store refuses what it cannot find
            let Ok(key) = self.encoders[table.0 as usize].key_of(cells) else {
                return Ok(false);
            };
            let cells = session.table(*table)?.key_only(cells);
            let net = NetKey::new(key.clone(), Cow::Owned(cells));
            rereads.insert((*table, key), (net, row.row.clone()));
        }
        let decided = {
            let mut state = session.lock();
            for table in &mut state.tables {
                table.frontier.discard_staged();
            }
            for ((table, key), (net, _)) in &rereads {
                let at = &mut state.tables[table.0 as usize];
                at.frontier
                    .stage_one_key(key.clone(), view.clone(), horizon);
                let cells = net.cells(session.table(*table)?);
                at.one_key_cells.insert(key.clone(), cells);
            }
            let nothing = std::iter::empty();
            let sight = Sight::Shared(&mut state);
            decide(sight, session.tables(), &self.encoders, nothing, &rereads)?
        };
        let Verdict::Decided(decided) = decided else {
            return Err(EngineError::internal("a repair waits for a change"));
        };
        let checkpoint = session.lock().checkpoint;
        match self.write(decided, checkpoint, checkpoint).await {
            Ok(()) => {}
            Err(EngineError::Store(error))
                if matches!(
                    error.kind,
                    ErrorKind::UniqueViolation | ErrorKind::RowRefused
                ) =>
            {
                self.applier.rollback().await?;
                let refused = session.refused().take();
                for table in &mut session.lock().tables {
                    table.frontier.discard_staged();
                }
                // of any other row what was seen is a difference already
                if let ([_], Some(refused)) = (rows, refused)
                    && parked::is_parked(&session, &refused)?
                {
                    refused::enter(&session, &refused).await?;
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if let Some(proofs) = session.proofs().as_mut() {
            for row in rows {
                proofs.repaired(row.key.0.0 as usize, &row.key.1);
            }
        }
        Ok(true)
    }
}
