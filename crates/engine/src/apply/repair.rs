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
use crate::apply::decide::{Decided, Rereads, Sight, Verdict, decide};
use crate::apply::park::Which;
use crate::apply::steps::NetKey;
use crate::error::EngineError;
use crate::refused::{self, Form};
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
        if self.repaired(&ready, (&view, horizon)).await?.is_none() {
            answer.written += ready.len() as u64;
        } else {
            // one by one, so that only what is refused is left out
            for row in &ready {
                let Some(refusal) = self.repaired_alone(row, (&view, horizon)).await? else {
                    answer.written += 1;
                    continue;
                };
                answer.refused += 1;
                let older = self.session.lock().checkpoint < horizon;
                answer.late +=
                    u64::from(older && refused::is_of(&refusal, ErrorKind::UniqueViolation));
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

    /// Writes one row; what the target says where it refuses it.
    async fn repaired_alone(
        &mut self,
        row: &ReadRow,
        seen: (&Snapshot, Position),
    ) -> Result<Option<EngineError>, EngineError> {
        let one = std::slice::from_ref(row);
        let Some(mut refusal) = self.repaired(one, seen).await? else {
            return Ok(None);
        };
        // what has its unique value may be what is left of a parked row; a row that is newer than the checkpoint has it rightly
        if refused::is_of(&refusal, ErrorKind::UniqueViolation)
            && self
                .conflicting_out_of_the_way(&refusal, Which::Parked)
                .await?
        {
            match self.repaired(one, seen).await? {
                None => return Ok(None),
                Some(error) => refusal = error,
            }
        }
        self.note_refusal(row, &refusal).await?;
        Ok(Some(refusal))
    }

    /// Enters in quarantine what the target says now of a parked row. Of any other what was seen is a difference already.
    async fn note_refusal(
        &mut self,
        row: &ReadRow,
        refusal: &EngineError,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let (table, cells) = &row.key;
        let (EngineError::Store(error), Some(image)) = (refusal, &row.row) else {
            return Ok(());
        };
        let Ok(key) = self.encoders[table.0 as usize].key_of(cells) else {
            return Ok(());
        };
        let why = refused::why(error);
        {
            let state = session.lock();
            let at = &state.tables[table.0 as usize];
            if !at.frontier.is_parked(&key) || at.refusals.get(&key) == Some(&why) {
                return Ok(());
            }
        }
        let rows = (std::slice::from_ref(image), Form::Keyed);
        let applier = self.applier.as_mut();
        let found = refused::of_rows(&session, applier, session.table(*table)?, rows, 1).await?;
        for refused in found {
            refused::enter(&session, &refused).await?;
            let at = &mut session.lock().tables[table.0 as usize];
            at.refusals.insert(key.clone(), why.clone());
        }
        Ok(())
    }

    /// Writes the rows; what the target says where it refuses one of them, and none is written.
    async fn repaired(
        &mut self,
        rows: &[ReadRow],
        (view, horizon): (&Snapshot, Position),
    ) -> Result<Option<EngineError>, EngineError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let session = Arc::clone(&self.session);
        let mut rereads = Rereads::new();
        for row in rows {
            let (table, cells) = &row.key;
            // a key that has no form on the source is no row of it: the target's store refuses what it cannot find
            let Ok(key) = self.encoders[table.0 as usize].key_of(cells) else {
                return Ok(Some(EngineError::internal(
                    "a key has no form on the source",
                )));
            };
            let cells = session.table(*table)?.key_only(cells);
            let net = NetKey::new(key.clone(), Cow::Owned(cells));
            rereads.insert((*table, key), (net, row.row.clone()));
        }
        let mut decided = self.decided_again(&rereads, (view, horizon))?;
        let checkpoint = session.lock().checkpoint;
        let at = (checkpoint, checkpoint);
        let mut written = self.write(decided, at, false).await;
        if let ([ReadRow { row: None, key }], Err(error)) = (rows, &written)
            && refused::is_of(error, ErrorKind::RowRefused)
            && !self.may_be_there(session.table(key.0)?, &key.1).await?
        {
            // a key that the target cannot even look for: it has no row of it, and none is to be there
            decided = self.decided_again(&rereads, (view, horizon))?;
            decided.effects.clear();
            written = self.write(decided, at, false).await;
        }
        match written {
            Ok(()) => {}
            Err(EngineError::Store(error))
                if matches!(
                    error.kind,
                    ErrorKind::UniqueViolation | ErrorKind::RowRefused
                ) =>
            {
                self.applier.rollback().await?;
                for table in &mut session.lock().tables {
                    table.frontier.discard_staged();
                }
                return Ok(Some(error.into()));
            }
            Err(error) => return Err(error),
        }
        if let Some(proofs) = session.proofs().as_mut() {
            for row in rows {
                proofs.repaired(row.key.0.0 as usize, &row.key.1);
            }
        }
        Ok(None)
    }

    /// Stages the rows that were read, and decides what is to be written.
    fn decided_again(
        &self,
        rereads: &Rereads,
        (view, horizon): (&Snapshot, Position),
    ) -> Result<Decided, EngineError> {
        let session = &self.session;
        let mut state = session.lock();
        for table in &mut state.tables {
            table.frontier.discard_staged();
        }
        for ((table, key), (net, _)) in rereads {
            let at = &mut state.tables[table.0 as usize];
            at.frontier
                .stage_one_key(key.clone(), view.clone(), horizon);
            let cells = net.cells(session.table(*table)?);
            at.one_key_cells.insert(key.clone(), cells);
        }
        let nothing = std::iter::empty();
        let sight = Sight::Shared(&mut state);
        match decide(sight, session.tables(), &self.encoders, nothing, rereads)? {
            Verdict::Decided(decided) => Ok(decided),
            _ => Err(EngineError::internal("a repair waits for a change")),
        }
    }
}
