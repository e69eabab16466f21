//! Source transactions too big for memory: applied alone, from their spill, in pieces of one target transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossfade_model::{Change, Position, TableId};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{ErrorKind, MergeMode, StoreError};

use crate::apply::applier::ApplierTask;
use crate::apply::gather::BigTransaction;
use crate::apply::write::{frontier_records, ledger_records};
use crate::error::EngineError;
use crate::kill;
use crate::session::Keying;

impl ApplierTask {
    /// A transaction that was spilled: applied alone, in pieces of one target transaction, no loader starting meanwhile.
    pub(super) async fn big(&mut self, mut big: BigTransaction) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let from = session.lock().checkpoint;
        if crossfade_rules::checkpoint::already_applied(&big.end, Some(&from)) {
            return Ok(());
        }
        session.lock().gate_closed = true;
        let quiet = session
            .wait_for(|state| state.tables.iter().all(|t| t.loading == 0).then_some(()))
            .await;
        let result = match quiet {
            None => Err(EngineError::Ending),
            Some(()) => self.big_behind_gate(&mut big, from).await,
        };
        session.lock().gate_closed = false;
        session.notify();
        result?;
        self.after_commit(std::iter::once(big.id), 1).await
    }

    /// Tables that a big transaction touches get their keys first: a piece must not wait inside the target transaction.
    pub(super) async fn big_behind_gate(
        &mut self,
        big: &mut BigTransaction,
        from: Position,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        self.keys_for(big).await?;
        let careful = session.careful.load(Ordering::Relaxed);
        let mode = if careful {
            MergeMode::DeleteThenInsert
        } else {
            MergeMode::Fast
        };
        match self.try_big(big, from, mode).await {
            Ok(counts) => {
                self.committed(big.end, &counts);
                session.lock().applied_commit_time = big.committed_at;
                Ok(())
            }
            // what its pieces left in memory is not durable: the attempt begins again, and then with care
            Err(EngineError::Store(error))
                if error.kind == ErrorKind::UniqueViolation && !careful =>
            {
                session.careful.store(true, Ordering::Relaxed);
                Err(StoreError {
                    kind: ErrorKind::Conflict,
                    ..error
                }
                .into())
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the tables that the transaction touches and waits for their keys and parts, before the target transaction.
    pub(super) async fn keys_for(&mut self, big: &mut BigTransaction) -> Result<(), EngineError> {
        let mut reader = big.spill.reader().map_err(spill_failed)?;
        let mut waits: Vec<TableId> = Vec::new();
        loop {
            let changes = reader.next(10_000, 4 << 20).map_err(spill_failed)?;
            if changes.is_empty() {
                break;
            }
            for change in &changes {
                for table in tables_of(change) {
                    if !waits.contains(&table) {
                        waits.push(table);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        for table in waits {
            let without = {
                let mut state = self.session.lock();
                let at = &mut state.tables[table.0 as usize];
                let progress = at.frontier.progress();
                // rows are there (or coming) and the key is not: changes to them need it
                let partial = progress.loading > 0;
                let without = at.keying != Keying::Keyed
                    && (progress.loaded + progress.settled > 0 || partial);
                if without && at.keying == Keying::Without && !partial {
                    at.keying = Keying::Wanted;
                }
                without || partial
            };
            if without {
                self.open_gate_for(table).await?;
            }
        }
        Ok(())
    }

    /// Lets loaders work until this table's key is there and no part of it is missing, then closes the gate again.
    pub(super) async fn open_gate_for(&mut self, table: TableId) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        session.lock().gate_closed = false;
        session.notify();
        let index = table.0 as usize;
        session
            .wait_for(|state| {
                let at = &state.tables[index];
                let ready = at.keying == Keying::Keyed && at.frontier.progress().loading == 0;
                if ready {
                    state.gate_closed = true;
                }
                ready.then_some(())
            })
            .await
            .ok_or(EngineError::Ending)?;
        session
            .wait_for(|state| state.tables.iter().all(|t| t.loading == 0).then_some(()))
            .await
            .ok_or(EngineError::Ending)
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
        let mut reader = big.spill.reader().map_err(spill_failed)?;
        let mut counts: HashMap<TableId, LedgerCounts> = HashMap::new();
        let mut left = false;
        let mut done = 0u64;
        self.applier.begin().await?;
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
            for (table, effect) in &decided.effects {
                self.applier
                    .apply(session.table(*table)?, effect, mode)
                    .await?;
            }
            self.write_staged().await?;
            for (table, added) in &decided.ledger {
                counts.entry(*table).or_default().add(added);
            }
            left |= decided.left;
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
            records
        };
        self.applier.records(&records).await?;
        kill::point("apply.before_commit");
        self.applier.commit(Some(from), big.end).await?;
        kill::point("apply.after_commit");
        Ok(counts)
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

fn tables_of(change: &Change) -> Vec<TableId> {
    match change {
        Change::Insert { table, .. }
        | Change::Update { table, .. }
        | Change::Upsert { table, .. }
        | Change::Delete { table, .. } => vec![*table],
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
