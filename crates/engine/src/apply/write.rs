//! Writes a decided batch: rows, checkpoint, what is owed, keys read by themselves, ledger, in one target transaction.

use std::collections::HashMap;

use crossfade_model::{Position, TableId, TableMapping};
use crossfade_rules::checkpoint::may_move;
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, RecordWrite, StoreError};

use crate::apply::keeping;
use crate::durable;
use crate::error::EngineError;
use crate::kill;
use crate::session::{Session, State};

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;

/// Tries of one batch that met a deadlock or a busy store.
const BATCH_TRIES: u32 = 50;

/// Runs `body` in a target transaction that moves the checkpoint; a deadlock or a busy store repeats it whole, a unique
/// conflict repeats it more carefully.
pub(crate) async fn write(
    session: &Session,
    applier: &mut dyn Applier,
    effects: &[(TableId, Effect)],
    records: &[RecordWrite],
    from: Position,
    to: Position,
) -> Result<(), EngineError> {
    let mut mode = MergeMode::Fast;
    let mut refused = None;
    for attempt in 1.. {
        let result = try_write(session, applier, effects, records, from, to, mode).await;
        let Err(EngineError::Store(error)) = result else {
            return result;
        };
        match narrower(&error, mode) {
            Next::Again if attempt < BATCH_TRIES => {
                applier.rollback().await?;
                tokio::time::sleep(std::time::Duration::from_millis(
                    5 * u64::from(attempt.min(20)),
                ))
                .await;
            }
            Next::With(careful) => {
                applier.rollback().await?;
                mode = careful;
                refused = (error.kind == ErrorKind::RowRefused).then_some(error);
            }
            // rows that exchange a unique value cannot be written one by one: what was refused before is the cause
            Next::Stop if error.kind == ErrorKind::UniqueViolation => {
                return Err(refused.unwrap_or(error).into());
            }
            Next::Again | Next::Stop => return Err(error.into()),
        }
    }
    Ok(())
}

enum Next {
    Again,
    With(MergeMode),
    Stop,
}

/// What to try after an error. Kinds that say for certain that nothing was committed only.
fn narrower(error: &StoreError, mode: MergeMode) -> Next {
    match (error.kind, mode) {
        (ErrorKind::Conflict | ErrorKind::Busy, _) => Next::Again,
        (ErrorKind::UniqueViolation, MergeMode::Fast) => Next::With(MergeMode::DeleteThenInsert),
        (ErrorKind::RowRefused, MergeMode::Fast)
        | (ErrorKind::UniqueViolation | ErrorKind::RowRefused, MergeMode::DeleteThenInsert) => {
            Next::With(MergeMode::RowByRow)
        }
        _ => Next::Stop,
    }
}

async fn try_write(
    session: &Session,
    applier: &mut dyn Applier,
    effects: &[(TableId, Effect)],
    records: &[RecordWrite],
    from: Position,
    to: Position,
    mode: MergeMode,
) -> Result<(), EngineError> {
    applier.begin().await?;
    let label = session.target.label();
    for group in keeping::groups(session.tables(), effects) {
        let mut together = Vec::with_capacity(group.len());
        for (table, effect) in group {
            together.push((session.table(*table)?, effect));
        }
        keeping::apply_together(applier, label, &together, mode).await?;
        kill::point("apply.rows");
    }
    match durable::mark_record(to, session.source.mark(to))? {
        None => applier.records(records).await?,
        Some(mark) => {
            let all: Vec<RecordWrite> = records.iter().cloned().chain([mark]).collect();
            applier.records(&all).await?;
        }
    }
    commit(session, applier, from, to).await
}

/// Moves the checkpoint and commits. The target refuses a checkpoint that is not where this process believes it to be; that it
/// is moved from there, and never back, is decided here.
pub(crate) async fn commit(
    session: &Session,
    applier: &mut dyn Applier,
    from: Position,
    to: Position,
) -> Result<(), EngineError> {
    let durable = session.lock().checkpoint;
    may_move(Some(&durable), Some(&from), &to)
        .map_err(|e| EngineError::internal(format!("the checkpoint may not be moved: {e:?}")))?;
    kill::point("apply.before_commit");
    applier.commit(Some(from), to).await?;
    kill::point("apply.after_commit");
    Ok(())
}

/// Adds a batch's counts to a copy of the ledger and checks that it balances.
///
/// # Errors
/// A table whose captured changes are not all accounted for: the run stops.
pub(crate) fn ledger_records(
    tables: &[TableMapping],
    state: &State,
    added: &HashMap<TableId, LedgerCounts>,
) -> Result<Vec<RecordWrite>, EngineError> {
    let mut records = Vec::with_capacity(added.len());
    for (table, counts) in added {
        let mapping = named(tables, *table)?;
        let mut sum = state.tables[table.0 as usize].ledger;
        sum.add(counts);
        if !sum.balances() {
            return Err(EngineError::Stopped {
                code: "ledger.unbalanced",
                table: Some(mapping.called()),
                key: None,
                what: format!(
                    "{} changes were captured and {} accounted for",
                    sum.captured,
                    sum.settled()
                ),
                fix: "Nothing was written; please report it".to_owned(),
            });
        }
        records.push(durable::ledger_record(mapping, &sum)?);
    }
    Ok(records)
}

/// The records of what is owed and of keys read by themselves, after a batch was decided.
pub(crate) fn frontier_records(
    tables: &[TableMapping],
    state: &mut State,
    expired: &mut Vec<(TableId, crossfade_model::Key)>,
) -> Result<Vec<RecordWrite>, EngineError> {
    let mut records = Vec::new();
    for (mapping, table) in tables.iter().zip(&mut state.tables) {
        let owed: Vec<_> = table.frontier.owed_rows().collect();
        if !owed.is_empty() || table.owed_stored {
            records.push(durable::owed_record(mapping, &owed)?);
            table.owed_stored = !owed.is_empty();
        }
        for row in table
            .frontier
            .staged_rows()
            .chain(table.frontier.parked_rows())
        {
            let cells = table
                .one_key_cells
                .get(&row.key)
                .cloned()
                .unwrap_or_default();
            let refused = table.refusals.contains_key(&row.key);
            records.push(durable::one_key_record(mapping, row, cells, refused)?);
        }
    }
    for (table, key) in expired.drain(..) {
        let at = &mut state.tables[table.0 as usize];
        // a key that was read again meanwhile, also by an earlier piece of the same big transaction, keeps its row
        if !at.frontier.has_one_key(&key) {
            at.one_key_cells.remove(&key);
            records.push(durable::one_key_gone(named(tables, table)?, &key));
        }
    }
    Ok(records)
}

fn named(tables: &[TableMapping], id: TableId) -> Result<&TableMapping, EngineError> {
    tables
        .get(id.0 as usize)
        .ok_or_else(|| EngineError::internal("a change names a table that is not mapped"))
}
