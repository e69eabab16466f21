//! The row that a target refuses: found by trying, named in quarantine, never skipped.
//!
//! Nothing of a batch or chunk with such a row is written: the attempt ends with the store's error, and the next one begins at the same
//! checkpoint, so that the row is met again until it or the target's column was mended.

use crossfade_control::quarantine::{KeySide, Seen};
use crossfade_model::{Cell, Row, TableId, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, StoreError, Upsert};

use crate::error::EngineError;
use crate::run::Run;
use crate::session::Session;
use crate::verify::differ::row_key;

/// The kind of such an entry, a stable word.
const KIND: &str = "refused";

/// Columns that are tried at most, to find the one whose value is refused.
const MOST_COLUMNS: usize = 200;

/// A row that was refused, as quarantine names it.
pub(crate) struct Refused {
    table: String,
    seen: Seen,
    position: String,
}

/// What the search works on: a target connection whose transactions are all rolled back.
struct Search<'a> {
    applier: &'a mut dyn Applier,
    mapping: &'a TableMapping,
}

/// Looks for the row that made a batch fail, and keeps it for [`record`]. That none is found changes nothing: the batch has failed.
pub(crate) async fn note_batch(
    session: &Session,
    applier: &mut dyn Applier,
    effects: &[(TableId, Effect)],
    error: &EngineError,
) {
    if !is_refusal(error) {
        return;
    }
    for (table, effect) in effects {
        let Ok(mapping) = session.table(*table) else {
            continue;
        };
        let rows: Vec<Upsert> = match effect {
            Effect::Keyed { upserts, .. } => upserts.clone(),
            Effect::Multiset { inserts, .. } => inserts.iter().map(whole).collect(),
            Effect::Clear(_) => continue,
        };
        if note(session, applier, mapping, rows).await {
            return;
        }
    }
}

/// As [`note_batch`] for rows that a loader could not write. True where one of them is refused.
pub(crate) async fn note_rows(
    session: &Session,
    applier: &mut dyn Applier,
    mapping: &TableMapping,
    rows: &[Row],
) -> bool {
    note(session, applier, mapping, rows.iter().map(whole).collect()).await
}

/// True for an error that says that a row is refused by its values.
pub(crate) fn is_refusal(error: &EngineError) -> bool {
    matches!(error, EngineError::Store(error) if error.kind == ErrorKind::RowRefused)
}

fn whole(row: &Row) -> Upsert {
    Upsert {
        row: row.clone(),
        base: None,
        fresh: false,
    }
}

async fn note(
    session: &Session,
    applier: &mut dyn Applier,
    mapping: &TableMapping,
    rows: Vec<Upsert>,
) -> bool {
    let mut search = Search { applier, mapping };
    let found = match search.row(&rows).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "the row that is refused could not be looked for");
            return false;
        }
    };
    let Some((at, error)) = found else {
        return false;
    };
    let row = &rows[at];
    let columns = search.columns(row, &error).await.unwrap_or_default();
    let Some(key) = row_key(mapping, &row.row, KeySide::Source) else {
        return false;
    };
    let position = session.source.show_position(session.lock().checkpoint);
    *session.refused() = Some(Refused {
        table: mapping.called(),
        seen: Seen {
            key,
            kind: KIND.to_owned(),
            columns,
            cause: "value_refused".to_owned(),
            why: why(&error),
        },
        position,
    });
    true
}

/// The store's words, its code and what to do. Errors of stores hold no cell's value.
fn why(error: &StoreError) -> String {
    let code = error.server_code.as_deref().unwrap_or(error.code);
    let fix = error
        .fix
        .as_deref()
        .unwrap_or("Widen the target's column or mend the row on the source, and run again");
    format!("the target refused the row: {} ({code}). {fix}", error.what)
}

impl Search<'_> {
    /// The first of the rows that is refused by itself, by halves.
    async fn row(&mut self, rows: &[Upsert]) -> Result<Option<(usize, StoreError)>, StoreError> {
        if self.tried(rows).await?.is_none() {
            return Ok(None);
        }
        let (mut low, mut high) = (0, rows.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.tried(&rows[low..middle]).await?.is_some() {
                high = middle;
            } else {
                low = middle;
            }
        }
        // rows that are refused only together have none to name
        let alone = self.tried(&rows[low..high]).await?;
        Ok(alone.map(|error| (low, error)))
    }

    /// The one column without whose value the row would be taken; else the one that the store names.
    async fn columns(
        &mut self,
        row: &Upsert,
        error: &StoreError,
    ) -> Result<Vec<String>, StoreError> {
        let named = self.mapping.columns.iter().find(|column| {
            [&column.target, &column.source]
                .iter()
                .any(|name| error.what.starts_with(&format!("column {name}:")))
        });
        if let Some(column) = named {
            return Ok(vec![column.source.clone()]);
        }
        let key = self.mapping.source.key.as_ref();
        let mut found = Vec::new();
        for (at, column) in self.mapping.columns.iter().enumerate().take(MOST_COLUMNS) {
            let is_key = key.is_some_and(|key| key.columns.contains(&at));
            let holds = !matches!(row.row.0.get(at), None | Some(Cell::Null | Cell::Unchanged));
            if is_key || !holds {
                continue;
            }
            let mut without = row.clone();
            without.row.0[at] = Cell::Null;
            if self.tried(&[without]).await?.is_none() {
                found.push(column.source.clone());
            }
        }
        // where several would do, a rule over both refuses the row
        Ok(found)
    }

    /// Writes rows and takes them back; why they are refused, where they are.
    async fn tried(&mut self, rows: &[Upsert]) -> Result<Option<StoreError>, StoreError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let effect = if self.mapping.source.key.is_some() {
            Effect::Keyed {
                upserts: rows.to_vec(),
                deletes: Vec::new(),
            }
        } else {
            Effect::Multiset {
                inserts: rows.iter().map(|u| u.row.clone()).collect(),
                deletes: Vec::new(),
            }
        };
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let applied = self
            .applier
            .apply(self.mapping, &effect, MergeMode::DeleteThenInsert)
            .await;
        self.applier.rollback().await?;
        match applied {
            Err(error) if error.kind == ErrorKind::RowRefused => Ok(Some(error)),
            // a unique value that another row of the batch gives up is no refusal
            Err(error) if error.kind == ErrorKind::UniqueViolation => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        }
    }
}

/// Puts the row that ended an attempt into quarantine, durably, and tells so with the error.
pub(crate) async fn record(run: &Run, session: &Session, error: EngineError) -> EngineError {
    let Some(refused) = session.refused().take() else {
        return error;
    };
    let EngineError::Store(mut error) = error else {
        return error;
    };
    let Refused {
        table,
        seen,
        position,
    } = refused;
    let column = match seen.columns.as_slice() {
        [] => String::new(),
        columns => format!(", column {}", columns.join(", ")),
    };
    let control = &run.migration.control;
    let recorded = control
        .record_refused(&run.lease, table, seen, position)
        .await;
    let told = match recorded {
        Ok(Some(id)) => format!(
            "The row waits in quarantine as entry {id}{column}: mend it on the source or widen the target's column, then \
             `crossfade quarantine retry` and `crossfade run`; nothing after it was applied"
        ),
        Ok(None) => "The quarantine is full: the row is not in it".to_owned(),
        Err(failed) => format!("The row could not be put into quarantine: {failed}"),
    };
    error.fix = Some(match error.fix.take() {
        Some(fix) => format!("{fix}. {told}"),
        None => told,
    });
    EngineError::Store(error)
}
