//! The quarantine as a run fills it, and the rows of an entry as they are now.

use std::collections::HashMap;

use crossfade_control::quarantine::{Compared, ComparedTable, Seen};
use crossfade_control::{Command, CommandId, ControlError, Entry, EntryId, EntryState};
use crossfade_model::{Cell, Row, TableMapping};
use crossfade_plan::Plan;
use crossfade_store::{ChunkRange, ReadForm, RowStream, Source, Target};
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::progress::{Event, TableVerify, VerifyReport};
use crate::run::Run;
use crate::session::Session;
use crate::strangers::Marks;
use crate::verify::differ::{self, key_digest, row_text};
use crate::verify::repair::{RepairKey, source_key};
use crate::verify::side::{own, rows_of};

/// Rows of one identity that are shown at most: a table without key may hold many.
const MOST_SHOWN: usize = 10;

/// Records what a comparison found; what a complete one no longer shows is resolved.
pub(crate) async fn record(run: &Run, report: &VerifyReport) -> Result<(), EngineError> {
    let compared = Compared {
        position: report.position.clone(),
        tables: report.tables.iter().map(compared).collect(),
    };
    let control = &run.migration.control;
    let recorded = control.record_compared(&run.lease, compared).await?;
    if recorded.not_kept > 0 {
        run.observer.event(&Event::Warning {
            what: format!(
                "the quarantine is full: {} more rows that differ are counted and not kept",
                recorded.not_kept
            ),
        });
    }
    Ok(())
}

fn compared(table: &TableVerify) -> ComparedTable {
    let seen: Vec<Seen> = table
        .differences
        .iter()
        .filter_map(|difference| {
            Some(Seen {
                key: difference.row_key.clone()?,
                kind: difference.kind.word().to_owned(),
                columns: difference.columns.clone(),
                cause: difference.cause.word().to_owned(),
                why: difference.why.clone(),
            })
        })
        .collect();
    ComparedTable {
        name: table.name.clone(),
        complete: !table.more && seen.len() == table.differences.len(),
        seen,
    }
}

/// What became of entries that were to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// Rows that were read again on the source, and written as they are there.
    pub repaired: u64,
    /// The position of the comparison, for people.
    pub position: String,
    /// Entries that it no longer shows.
    pub resolved: Vec<EntryId>,
    /// Entries that are still there.
    pub remaining: Vec<EntryId>,
}

/// The keys of entries, for their rows to be read again. What has none (a table without key) is compared only.
pub(crate) async fn keys(
    run: &Run,
    session: &Session,
    ids: &[EntryId],
) -> Result<Vec<RepairKey>, EngineError> {
    let mut keys = Vec::new();
    for id in ids {
        let entry = match run.migration.control.entry(*id).await {
            Ok(entry) => entry,
            // forgotten since it was asked for
            Err(ControlError::NoEntry { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut tables = session.tables().iter();
        let mapping = tables.find(|t| t.called() == entry.table);
        let key = mapping.and_then(|mapping| {
            let key = source_key(session.source.as_ref(), mapping, &entry.key)?;
            Some((mapping.id, key))
        });
        keys.extend(key);
    }
    Ok(keys)
}

/// What became of entries, after a comparison was recorded.
pub(crate) async fn retried(
    run: &Run,
    ids: Vec<EntryId>,
    repaired: u64,
    report: &VerifyReport,
) -> Result<Retried, EngineError> {
    let states = run.migration.control.entry_states(ids.clone()).await?;
    let states: HashMap<EntryId, EntryState> = states.into_iter().collect();
    // one that is forgotten was resolved before
    let is_resolved = |id: &EntryId| states.get(id).is_none_or(|s| *s == EntryState::Resolved);
    let (resolved, remaining) = ids.into_iter().partition(is_resolved);
    Ok(Retried {
        repaired,
        position: report.position.clone(),
        resolved,
        remaining,
    })
}

/// Retries that are ordered now: a comparison that begins later obeys them.
pub(crate) async fn ordered_retries(
    run: &Run,
) -> Result<Vec<(CommandId, Vec<EntryId>)>, EngineError> {
    let open = run.migration.control.open_commands().await?;
    let retries = open.into_iter().filter_map(|posted| match posted.command {
        Command::Retry { ids } => Some((posted.id, ids)),
        _ => None,
    });
    Ok(retries.collect())
}

/// Answers retries that were ordered before a comparison, after it was recorded.
pub(crate) async fn obey_retries(
    run: &Run,
    retries: Vec<(CommandId, Vec<EntryId>)>,
    repaired: u64,
    report: &VerifyReport,
) -> Result<(), EngineError> {
    for (command, ids) in retries {
        let told = serde_json::to_value(retried(run, ids, repaired, report).await?);
        let told = told.map_err(|e| e.to_string());
        let control = &run.migration.control;
        control.finish(&run.lease, command, told).await?;
    }
    Ok(())
}

/// An entry's rows as both sides have them now. They go to the person who asked, never to a file or a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    /// Mapped columns' names, the order of the rows' values.
    pub columns: Vec<String>,
    /// The source's rows as text, NULL as `None`; at most a few, and for a table with key at most one.
    pub source: Vec<Vec<Option<String>>>,
    /// The target's rows.
    pub target: Vec<Vec<Option<String>>>,
    /// The columns that differ now, where the row is on both sides.
    pub differ: Vec<String>,
    /// Both sides have the same.
    pub equal: bool,
}

/// Reads an entry's row on both sides, one after the other: while it is being written to, they may be of different positions.
///
/// # Errors
/// A store that cannot be read; a table that is no longer part of the plan.
pub async fn reveal(
    plan: &Plan,
    source: &dyn Source,
    target: &dyn Target,
    entry: &Entry,
) -> Result<Revealed, EngineError> {
    let mut tables = plan.tables.iter();
    let mapping = tables.find(|t| t.called() == entry.table);
    let Some(mapping) = mapping else {
        return Err(EngineError::Stopped {
            code: "quarantine.no_table",
            table: Some(entry.table.clone()),
            key: None,
            what: "the table is no longer part of the migration".to_owned(),
            fix: "look at the row in both databases by its key".to_owned(),
        });
    };
    let theirs = source_rows(mapping, source, entry).await?;
    let ours = target_rows(mapping, target, &plan.migration, entry).await?;
    let mut differ = Vec::new();
    let mut equal = theirs.len() == ours.len();
    let marks = Marks::default();
    for n in 0..theirs.len().max(ours.len()) {
        let difference = differ::difference(mapping, &marks, theirs.get(n), ours.get(n), None);
        if let Some(difference) = difference {
            equal = false;
            differ.extend(difference.columns);
        }
    }
    Ok(Revealed {
        columns: mapping.columns.iter().map(|c| c.source.clone()).collect(),
        source: theirs.iter().map(row_text).collect(),
        target: ours.iter().map(row_text).collect(),
        differ,
        equal,
    })
}

/// The source's rows of an entry: by its key, else by reading the table.
async fn source_rows(
    mapping: &TableMapping,
    source: &dyn Source,
    entry: &Entry,
) -> Result<Vec<Row>, EngineError> {
    let mut snapshot = source.open_snapshot(&[mapping.source_table()]).await?;
    let rows = match source_key(source, mapping, &entry.key) {
        Some(key) => snapshot.read_keys(mapping, &[key]).await?,
        None => {
            let mut stream = snapshot
                .read(mapping, &ChunkRange::All, ReadForm::Rows)
                .await?;
            identified(mapping, stream.as_mut(), entry).await?
        }
    };
    snapshot.close().await?;
    Ok(rows)
}

/// The target's rows of an entry: by its key, else by reading the table.
async fn target_rows(
    mapping: &TableMapping,
    target: &dyn Target,
    migration: &str,
    entry: &Entry,
) -> Result<Vec<Row>, EngineError> {
    let mut snapshot = target.open_reader(migration).await?;
    let rows = match key_row(mapping, entry) {
        Some(key) => snapshot.read_keys(mapping, &[key]).await?,
        None => {
            let mut stream = snapshot.read(mapping, &ChunkRange::All).await?;
            identified(mapping, stream.as_mut(), entry).await?
        }
    };
    snapshot.close().await?;
    Ok(rows)
}

/// The entry's key at its columns' places, in the form of either side; `None` for a table without key.
fn key_row(mapping: &TableMapping, entry: &Entry) -> Option<Row> {
    let key = mapping.source.key.as_ref()?;
    if entry.key.cells.len() != key.columns.len() {
        return None;
    }
    let mut row = Row(vec![Cell::Null; mapping.columns.len()]);
    for (&place, cell) in key.columns.iter().zip(&entry.key.cells) {
        *row.0.get_mut(place)? = cell.clone();
    }
    // the table may have another key by now
    (key_digest(mapping, &row)? == entry.key.digest).then_some(row)
}

/// The rows of a stream that have an entry's identity.
async fn identified(
    mapping: &TableMapping,
    stream: &mut (dyn RowStream + '_),
    entry: &Entry,
) -> Result<Vec<Row>, EngineError> {
    let most = match mapping.source.key {
        Some(_) => 1,
        None => MOST_SHOWN,
    };
    let mut found = Vec::new();
    while let Some(block) = stream.next().await? {
        for row in rows_of(block)? {
            if key_digest(mapping, &row).as_deref() == Some(entry.key.digest.as_str()) {
                found.push(own(&row));
                if found.len() == most {
                    return Ok(found);
                }
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(found)
}
