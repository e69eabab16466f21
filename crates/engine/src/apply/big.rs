//! Source transactions too big for memory: applied alone, from their spill, in pieces of one target transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossfade_model::{Change, Position, TableId, TableMapping};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{Effect, ErrorKind, MergeMode, StoreError};

use crate::apply::applier::ApplierTask;
use crate::apply::clearing::{self, Partial};
use crate::apply::gather::BigTransaction;
use crate::apply::keeping;
use crate::apply::park::Which;
use crate::apply::waiting::{self, Look};
use crate::apply::write::{self, frontier_records, ledger_records};
use crate::durable;
use crate::error::EngineError;
use crate::kill;
use crate::refused;
use crate::session::{Keying, State};

impl ApplierTask {
    /// A transaction that was spilled: applied alone, in pieces of one target transaction, no loader starting meanwhile.
    pub(super) async fn big(&mut self, mut big: BigTransaction) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let from = session.lock().checkpoint;
        if crossfade_rules::checkpoint::already_applied(&big.end, Some(&from)) {
            return Ok(());
        }
        self.remember(std::iter::once(big.id));
        session.lock().gate_closed = true;
        let result = self.big_behind_gate(&mut big, from).await;
        session.lock().gate_closed = false;
        session.notify();
        result?;
        self.after_commit(1).await
    }

    /// Tables that a big transaction touches get their keys and parts first: a piece must not wait inside the target
    /// transaction.
    pub(super) async fn big_behind_gate(
        &mut self,
        big: &mut BigTransaction,
        from: Position,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let touched = touched_by(big).await?;
        self.tables_ready(&touched).await?;
        self.equal_keys_out_of_the_way(|| touched.iter().copied().collect())
            .await?;
        let careful = session.careful.load(Ordering::Relaxed);
        let mode = if careful {
            // last of all: a parked row that was read again since the last try may hold a value of the transaction's
            let of = |mapping: &TableMapping| {
                touched.contains(&mapping.id) && !keeping::keeps_columns(mapping)
            };
            self.out_of_the_way(Which::All, of).await?;
            MergeMode::DeleteThenInsert
        } else {
            MergeMode::Fast
        };
        match self.try_big(big, from, mode).await {
            Ok(counts) => {
                self.committed(big.end, &counts);
                // of the next one nothing is known
                session.careful.store(false, Ordering::Relaxed);
                session.lock().applied_commit_time = big.committed_at;
                Ok(())
            }
            Err(EngineError::Store(error))
                if error.kind == ErrorKind::UniqueViolation && !careful =>
            {
                session.careful.store(true, Ordering::Relaxed);
                Err(again(error))
            }
            // without the row that is refused, or without what is left of parked ones
            Err(error) if self.park(&error).await? => match error {
                EngineError::Store(error) if error.kind == ErrorKind::UniqueViolation => {
                    Err(again(error))
                }
                _ => Err(EngineError::Again),
            },
            Err(error) => Err(error),
        }
    }

    async fn piece(
        &mut self,
        group: &[&(TableId, Effect)],
        mode: MergeMode,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let (applier, label) = (self.applier.as_mut(), session.target.label());
        let mut together = Vec::with_capacity(group.len());
        for (table, effect) in group.iter().copied() {
            together.push((session.table(*table)?, effect));
        }
        let applied = keeping::apply_together(applier, label, &together, mode).await;
        if let Err(error) = &applied {
            let piece: Vec<_> = group.iter().copied().cloned().collect();
            refused::note_batch(&session, self.applier.as_mut(), &piece, error).await?;
        }
        applied
    }

    /// Waits behind the closed gate until no loader works. Whoever is not ready then has the gate opened for it; loaders
    /// may take up any other table meanwhile, so all are looked at again.
    async fn tables_ready(&mut self, touched: &[TableId]) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        loop {
            let next = session
                .wait_for(|state| {
                    let quiet = state.tables.iter().all(|t| t.loading == 0);
                    quiet.then(|| unready(state, touched))
                })
                .await
                .ok_or(EngineError::Ending)?;
            match next {
                None => return Ok(()),
                Some(table) => self.open_gate_for(table).await?,
            }
        }
    }

    /// Lets loaders work until this table's key is there and no part of it is missing, then closes the gate again.
    async fn open_gate_for(&mut self, table: TableId) -> Result<(), EngineError> {
        {
            let mut state = self.session.lock();
            let at = &mut state.tables[table.0 as usize];
            if at.keying == Keying::Without && !at.is_partial() {
                at.keying = Keying::Wanted;
            }
            state.gate_closed = false;
        }
        self.session.notify();
        self.wait_minding_the_log(table, |state| {
            let look = waiting::keyed_and_whole(state, table);
            // under the same lock: no loader starts in between
            state.gate_closed = look == Look::Ready;
            look
        })
        .await
    }

    pub(super) async fn try_big(
        &mut self,
        big: &mut BigTransaction,
        from: Position,
        mode: MergeMode,
    ) -> Result<HashMap<TableId, LedgerCounts>, EngineError> {
        let session = Arc::clone(&self.session);
        let (most_changes, most_bytes) = (
            session.options.batch_changes as usize,
            usize::try_from(session.options.batch_bytes).unwrap_or(usize::MAX),
        );
        let half = big.spill.len() / 2;
        let mut counts: HashMap<TableId, LedgerCounts> = HashMap::new();
        let mut left = false;
        let mut done = 0u64;
        self.applier.begin().await?;
        if mode == MergeMode::DeleteThenInsert {
            self.clear_touched(big).await?;
        }
        // not before: readers of a spill share its place in the file
        let mut reader = big.spill.reader().map_err(spill_failed)?;
        loop {
            let changes = reader
                .next(most_changes, most_bytes)
                .map_err(spill_failed)?;
            if changes.is_empty() {
                break;
            }
            let decided = self
                .decided(std::iter::once((big.id, changes.as_slice())), true)
                .await?;
            for group in keeping::groups(session.tables(), &decided.effects) {
                self.piece(&group, mode).await?;
            }
            self.write_staged().await?;
            for (table, added) in &decided.ledger {
                counts.entry(*table).or_default().add(added);
            }
            left |= decided.left;
            // before the commit is as good: until it has ended no request is obeyed
            self.touch(std::iter::once(changes.as_slice()));
            if let Some(collector) = &mut self.collector {
                collector.collect(big.id, &changes)?;
            }
            if done < half && done + changes.len() as u64 >= half {
                kill::point("spill.half");
            }
            done += changes.len() as u64;
        }
        if left {
            self.prune_owed().await?;
        }
        let records = {
            let mut state = session.lock();
            let mut records = ledger_records(session.tables(), &state, &counts)?;
            records.extend(frontier_records(
                session.tables(),
                &mut state,
                &mut self.expired,
            )?);
            let mark = session.source.mark(big.end);
            records.extend(durable::mark_record(big.end, mark)?);
            records
        };
        self.applier.records(&records).await?;
        write::commit(&session, self.applier.as_mut(), from, big.end).await?;
        Ok(counts)
    }

    /// Takes away every row that the transaction touches; see [`crate::apply::clearing`].
    async fn clear_touched(&mut self, big: &mut BigTransaction) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let mut partial = Partial::default();
        let mut reader = big.spill.reader().map_err(spill_failed)?;
        loop {
            let changes = reader.next(10_000, 4 << 20).map_err(spill_failed)?;
            if changes.is_empty() {
                break;
            }
            partial.note(session.tables(), &changes);
            tokio::task::yield_now().await;
        }
        let most_changes = session.options.batch_changes as usize;
        let most_bytes = usize::try_from(session.options.batch_bytes).unwrap_or(usize::MAX);
        let mut reader = big.spill.reader().map_err(spill_failed)?;
        loop {
            let changes = reader
                .next(most_changes, most_bytes)
                .map_err(spill_failed)?;
            if changes.is_empty() {
                return Ok(());
            }
            let clearable = partial.clearable(&changes);
            let decided = self
                .decided(std::iter::once((big.id, clearable.as_slice())), true)
                .await?;
            for (table, effect) in decided.effects {
                let mapping = session.table(table)?;
                if let Some(effect) = clearing::cleared(mapping, effect) {
                    self.piece(&[&(table, effect)], MergeMode::DeleteThenInsert)
                        .await?;
                }
            }
        }
    }

    /// Keys read by themselves for one piece of a big transaction become durable with it, and decide its later pieces.
    pub(super) async fn write_staged(&mut self) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let records = {
            let mut state = session.lock();
            let mut none = Vec::new();
            let records = frontier_records(session.tables(), &mut state, &mut none)?;
            for table in &mut state.tables {
                table.frontier.commit_staged();
            }
            records
        };
        self.applier.records(&records).await?;
        Ok(())
    }
}

/// What its pieces left in memory is not durable: the attempt begins again, so often as any other that moves nothing.
fn again(error: StoreError) -> EngineError {
    StoreError {
        kind: ErrorKind::Conflict,
        ..error
    }
    .into()
}

/// The tables that the transaction touches.
async fn touched_by(big: &mut BigTransaction) -> Result<Vec<TableId>, EngineError> {
    let mut reader = big.spill.reader().map_err(spill_failed)?;
    let mut touched: Vec<TableId> = Vec::new();
    loop {
        let changes = reader.next(10_000, 4 << 20).map_err(spill_failed)?;
        if changes.is_empty() {
            return Ok(touched);
        }
        for table in changes.iter().flat_map(tables_of) {
            if !touched.contains(&table) {
                touched.push(table);
            }
        }
        tokio::task::yield_now().await;
    }
}

/// The first of these tables whose changes would have to wait, while no loader works.
fn unready(state: &State, touched: &[TableId]) -> Option<TableId> {
    let waits = |id: &&TableId| !waiting::is_decidable(&state.tables[id.0 as usize]);
    touched.iter().find(waits).copied()
}

pub(super) fn tables_of(change: &Change) -> Vec<TableId> {
    match change {
        Change::Insert { table, .. }
        | Change::Update { table, .. }
        | Change::Upsert { table, .. }
        | Change::Delete { table, .. }
        | Change::Unclear { table, .. }
        | Change::Filtered { table }
        | Change::TruncatePartitions { table } => vec![*table],
        Change::Truncate { tables } => tables.clone(),
    }
}

fn spill_failed(error: std::io::Error) -> EngineError {
    EngineError::stopped(
        "engine.spill",
        format!("the temporary file of a big transaction could not be read: {error}"),
        "Nothing of it was written; run again",
    )
}

#[cfg(test)]
#[path = "big_tests.rs"]
mod tests;
