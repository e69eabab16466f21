//! The row that a target refuses: found by trying, named in quarantine, never skipped.
//!
//! In the stream it is parked (`apply/park.rs`), and all else goes on. Where it cannot be (a table without key, too
//! many) nothing of its batch is written: the attempt ends with the store's error, and the next one begins at the same checkpoint, so
//! that the row is met again until it or the target's column was mended.

use std::sync::Arc;

use crossfade_control::quarantine::{KeySide, Seen};
use crossfade_control::{ControlError, EntryId};
use crossfade_model::{Cell, Row, TableId, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, Recovery, StoreError, Upsert};
use tokio::sync::{mpsc, oneshot};

use crate::apply::keeping;
use crate::error::EngineError;
use crate::parked::MOST_PARKED;
use crate::run::Run;
use crate::session::Session;
use crate::verify::differ::row_key;

/// The kind of such an entry, a stable word.
const KIND: &str = "refused";

/// Columns that are tried at most, to find the one whose value is refused.
const MOST_COLUMNS: usize = 200;

/// A row that was refused, as quarantine names it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub id: TableId,
    /// The key's cells at their columns' places, others NULL.
    pub cells: Row,
    table: String,
    seen: Seen,
    position: String,
}

/// A row that is to be entered in quarantine, and the answer: its entry, `None` where there is no room.
pub(crate) struct Waiting {
    pub refused: Refused,
    pub reply: oneshot::Sender<Result<Option<EntryId>, ControlError>>,
}

impl Refused {
    /// What happened, for people.
    pub fn told(&self) -> String {
        let (table, key) = (&self.table, &self.seen.key.text);
        format!("table {table}, key {key}: {}", self.seen.why)
    }

    /// What the target said.
    pub fn why(&self) -> &str {
        &self.seen.why
    }
}

/// Enters the row in quarantine, durably; its entry, `None` where there is no room.
pub(crate) async fn enter(
    session: &Session,
    refused: &Refused,
) -> Result<Option<EntryId>, EngineError> {
    let (reply, entered) = oneshot::channel();
    let refused = refused.clone();
    let asked = session.quarantine.send(Waiting { refused, reply }).await;
    asked.map_err(|_| EngineError::Ending)?;
    Ok(entered.await.map_err(|_| EngineError::Ending)??)
}

/// Enters rows in quarantine until the attempt stops.
pub(crate) async fn keep(
    run: Arc<Run>,
    session: Arc<Session>,
    mut waiting: mpsc::Receiver<Waiting>,
) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    loop {
        let next = tokio::select! {
            biased;
            next = waiting.recv() => next,
            _ = stop.changed() => None,
        };
        let Some(Waiting { refused, reply }) = next else {
            return Ok(());
        };
        let Refused {
            table,
            seen,
            position,
            ..
        } = refused;
        let control = &run.migration.control;
        let entered = control
            .record_refused(&run.lease, table, seen, position)
            .await;
        // whoever has gone away has no use for the answer
        let _ = reply.send(entered);
    }
}

/// How rows are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In place of those that are there, found by the key.
    Keyed,
    /// As new rows: the target's table has no key, or not yet.
    Added,
}

/// What the search works on: a target connection whose transactions are all rolled back.
struct Search<'a> {
    applier: &'a mut dyn Applier,
    /// The target's.
    label: &'a str,
    mapping: &'a TableMapping,
    form: Form,
    /// Keys of rows that the batch takes away, as far as they are taken: they give up unique values.
    deletes: Vec<Row>,
}

/// What came of trying rows.
enum Tried {
    Taken,
    /// One is refused by its values.
    Refused(StoreError),
    /// A unique value is another row's, or a row that one builds on is not there, and that may not be among those that were tried; whether
    /// one is refused is not known.
    Unclear,
}

/// Looks for the rows that made a batch fail, one more than may wait at most, and keeps them for the session. That none is found changes
/// nothing: the batch has failed.
///
/// # Errors
/// A store's that may pass.
pub(crate) async fn note_batch(
    session: &Session,
    applier: &mut dyn Applier,
    effects: &[(TableId, Effect)],
    error: &EngineError,
) -> Result<(), EngineError> {
    if !is_of(error, ErrorKind::RowRefused) {
        return Ok(());
    }
    let mut found = Vec::new();
    for (table, effect) in effects {
        let Ok(mapping) = session.table(*table) else {
            continue;
        };
        let (rows, form, deletes): (Vec<Upsert>, Form, &[Row]) = match effect {
            Effect::Keyed { upserts, deletes } => (upserts.clone(), Form::Keyed, deletes),
            Effect::Multiset { inserts, .. } => {
                (inserts.iter().map(whole).collect(), Form::Added, &[])
            }
            Effect::Clear(_) => continue,
        };
        let most = MOST_PARKED + 1 - found.len();
        let rows = (rows, form, deletes.to_vec());
        found.extend(search(session, applier, mapping, rows, most).await?);
        if found.len() > MOST_PARKED {
            break;
        }
    }
    *session.refused() = found;
    Ok(())
}

/// Whether this is a store's error of that kind.
pub(crate) fn is_of(error: &EngineError, kind: ErrorKind) -> bool {
    matches!(error, EngineError::Store(error) if error.kind == kind)
}

/// The refused ones of rows that a loader could not write, `most` of them at most.
pub(crate) async fn of_rows(
    session: &Session,
    applier: &mut dyn Applier,
    mapping: &TableMapping,
    (rows, form): (&[Row], Form),
    most: usize,
) -> Result<Vec<Refused>, EngineError> {
    let rows = rows.iter().map(whole).collect();
    search(session, applier, mapping, (rows, form, Vec::new()), most).await
}

/// The refused ones of rows that come and of keys that go.
async fn search(
    session: &Session,
    applier: &mut dyn Applier,
    mapping: &TableMapping,
    (rows, form, goes): (Vec<Upsert>, Form, Vec<Row>),
    most: usize,
) -> Result<Vec<Refused>, EngineError> {
    let mut search = Search {
        applier,
        label: session.target.label(),
        mapping,
        form,
        deletes: Vec::new(),
    };
    let mut out = Vec::new();
    match search.all(session, rows, goes, most, &mut out).await {
        Err(error) if error.recovery() == Recovery::Retry => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the rows that are refused could not be looked for");
        }
        Ok(()) => {}
    }
    Ok(out)
}

fn whole(row: &Row) -> Upsert {
    Upsert {
        row: row.clone(),
        base: None,
        fresh: false,
    }
}

/// The store's words, its code and what to do. Errors of stores hold no cell's value.
pub(crate) fn why(error: &StoreError) -> String {
    let code = error.server_code.as_deref().unwrap_or(error.code);
    let fix = error
        .fix
        .as_deref()
        .unwrap_or("Widen the target's column or mend the row on the source, and run again");
    format!("the target refused the row: {} ({code}). {fix}", error.what)
}

/// The first column for which the mapping has no result, and why.
fn unfit(row: &Row) -> Option<(usize, String)> {
    row.0.iter().enumerate().find_map(|(at, cell)| match cell {
        Cell::Unfit(why) => Some((at, String::from_utf8_lossy(why).into_owned())),
        _ => None,
    })
}

fn no_result(column: Option<&String>, reason: &str) -> String {
    let column = column.map_or("?", String::as_str);
    format!(
        "the mapping has no result for the row: column {column}: {reason} (mapping.value). Correct the row where it is written, or begin again with an expression that has a result for it"
    )
}

impl Search<'_> {
    fn column_at(&self, at: usize) -> Option<String> {
        let column = self.mapping.columns.get(at);
        column.map(|column| column.source.clone())
    }

    /// All that are refused, `most` of them at most: first of what goes, each key by itself, for where that is refused no row could be told
    /// innocent.
    async fn all(
        &mut self,
        session: &Session,
        rest: Vec<Upsert>,
        goes: Vec<Row>,
        most: usize,
        out: &mut Vec<Refused>,
    ) -> Result<(), StoreError> {
        let mut parts = vec![goes];
        while let Some(mut some) = parts.pop() {
            if some.is_empty() {
                continue;
            }
            match self.goes(&some).await? {
                None => self.deletes.extend(some),
                Some(error) if some.len() == 1 => {
                    let named = some.first();
                    let named = named.and_then(|key| self.named(session, key, &error, Vec::new()));
                    out.extend(named);
                    if out.len() >= most {
                        return Ok(());
                    }
                }
                Some(_) => {
                    let half = some.split_off(some.len() / 2);
                    parts.extend([half, some]);
                }
            }
        }
        // what has no result is refused whatever else is in its way: by itself it may meet a row that its batch takes out of another part
        let (unfit_rows, mut rest): (Vec<Upsert>, Vec<Upsert>) =
            rest.into_iter().partition(|u| unfit(&u.row).is_some());
        for upsert in unfit_rows.iter().take(most.saturating_sub(out.len())) {
            let columns = unfit(&upsert.row).and_then(|(at, _)| self.column_at(at));
            let error = StoreError::new(
                ErrorKind::RowRefused,
                "mapping.value",
                self.label,
                "the mapping has no result for the row",
            );
            out.extend(self.named(session, &upsert.row, &error, columns.into_iter().collect()));
        }
        while out.len() < most {
            let Some((at, error)) = self.row(&rest).await? else {
                break;
            };
            let Some(row) = rest.get(at).cloned() else {
                break;
            };
            let columns = self.columns(&row, &error).await.unwrap_or_default();
            out.extend(self.named(session, &row.row, &error, columns));
            // those before it are taken
            rest.drain(..=at);
        }
        Ok(())
    }

    /// What the target says where it refuses that these keys go.
    async fn goes(&mut self, keys: &[Row]) -> Result<Option<StoreError>, StoreError> {
        let effect = Effect::Keyed {
            upserts: Vec::new(),
            deletes: keys.to_vec(),
        };
        match self.write(&effect).await {
            Ok(()) => Ok(None),
            Err(error) if error.kind == ErrorKind::RowRefused => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    fn named(
        &self,
        session: &Session,
        row: &Row,
        error: &StoreError,
        columns: Vec<String>,
    ) -> Option<Refused> {
        let key = row_key(self.mapping, row, KeySide::Source)?;
        Some(Refused {
            id: self.mapping.id,
            cells: self.mapping.key_only(row),
            table: self.mapping.called(),
            seen: Seen {
                key,
                kind: KIND.to_owned(),
                cause: "value_refused".to_owned(),
                why: match unfit(row) {
                    Some((_, reason)) => no_result(columns.first(), &reason),
                    None => why(error),
                },
                columns,
            },
            position: session.source.show_position(session.lock().checkpoint),
        })
    }

    /// The first of the rows that is refused by itself, by halves. Rows that are refused only together have none to name.
    async fn row(&mut self, rows: &[Upsert]) -> Result<Option<(usize, StoreError)>, StoreError> {
        let mut parts = vec![(0, rows.len())];
        while let Some((low, high)) = parts.pop() {
            match self.tried(&rows[low..high]).await? {
                Tried::Taken => {}
                Tried::Refused(error) if high - low == 1 => return Ok(Some((low, error))),
                Tried::Unclear if high - low == 1 => {}
                Tried::Refused(_) | Tried::Unclear => {
                    let middle = low + (high - low) / 2;
                    parts.extend([(middle, high), (low, middle)]);
                }
            }
        }
        Ok(None)
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
            if !matches!(self.tried(&[without]).await?, Tried::Refused(_)) {
                found.push(column.source.clone());
            }
        }
        // where several would do, a rule over both refuses the row
        Ok(found)
    }

    /// Writes rows and takes them back.
    async fn tried(&mut self, rows: &[Upsert]) -> Result<Tried, StoreError> {
        if rows.is_empty() {
            return Ok(Tried::Taken);
        }
        let effect = match self.form {
            Form::Keyed => Effect::Keyed {
                upserts: rows.to_vec(),
                deletes: self.deletes.clone(),
            },
            Form::Added => Effect::Multiset {
                inserts: rows.iter().map(|u| u.row.clone()).collect(),
                deletes: Vec::new(),
            },
        };
        match self.write(&effect).await {
            Ok(()) => Ok(Tried::Taken),
            Err(error) if error.kind == ErrorKind::RowRefused => Ok(Tried::Refused(error)),
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::UniqueViolation | ErrorKind::RowAbsent
                ) =>
            {
                Ok(Tried::Unclear)
            }
            // by itself it meets the row that its batch takes out of another part of the table
            Err(error) if error.code == keeping::OTHERS_ROW => Ok(Tried::Unclear),
            Err(error) => Err(error),
        }
    }

    /// Writes, and takes it back.
    async fn write(&mut self, effect: &Effect) -> Result<(), StoreError> {
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let mode = MergeMode::DeleteThenInsert;
        // as it is written, with what is not the mapping's own
        let applied = keeping::apply(self.applier, self.label, self.mapping, effect, mode).await;
        self.applier.rollback().await?;
        applied.map_err(|error| match error {
            EngineError::Store(error) => error,
            other => StoreError::new(
                ErrorKind::Internal,
                "engine.search",
                self.label,
                other.to_string(),
            ),
        })
    }
}

/// Puts the first row that ended an attempt into quarantine, durably, and tells so with the error.
pub(crate) async fn record(run: &Run, session: &Session, error: EngineError) -> EngineError {
    let Some(refused) = std::mem::take(&mut *session.refused()).into_iter().next() else {
        return error;
    };
    let EngineError::Store(mut error) = error else {
        return error;
    };
    let Refused {
        table,
        seen,
        position,
        ..
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
