//! The applier: net effects of source transactions.

use async_trait::async_trait;
use crossfade_model::{Cell, Position, Row, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, RecordWrite, Result, Upsert};
use rusqlite::Connection;

use crate::blocks::CellReader;
use crate::clear::clear;
use crate::reader::{Which, rows_of};
use crate::table_plan::TablePlan;
use crate::writer::Seat;

/// The applier's connection.
pub(crate) struct SqliteApplier(pub Seat);

#[async_trait]
impl Applier for SqliteApplier {
    async fn begin(&mut self) -> Result<()> {
        self.0.begin().await
    }

    async fn apply(
        &mut self,
        mapping: &TableMapping,
        effect: &Effect,
        mode: MergeMode,
    ) -> Result<()> {
        let plan = self.0.plan(mapping).await?;
        let effect = effect.clone();
        self.0
            .run(move |w| apply(&w.connection, &plan, &effect, mode))
            .await
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let plan = self.0.plan(mapping).await?;
        let keys = keys.to_vec();
        self.0
            .run(move |w| rows_of(&w.connection, &plan, &keys, Which::Held))
            .await
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.0.records(writes).await
    }

    async fn commit(&mut self, from: Option<Position>, to: Position) -> Result<()> {
        self.0.commit(Some((from, to))).await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.0.rollback().await
    }
}

fn apply(conn: &Connection, plan: &TablePlan, effect: &Effect, mode: MergeMode) -> Result<()> {
    match effect {
        Effect::Keyed { upserts, deletes } => keyed(conn, plan, upserts, deletes, mode),
        Effect::Multiset { inserts, deletes } => multiset(conn, plan, inserts, deletes),
        Effect::Clear(range) => clear(conn, plan, range),
    }
}

fn keyed(
    conn: &Connection,
    plan: &TablePlan,
    upserts: &[Upsert],
    deletes: &[Row],
    mode: MergeMode,
) -> Result<()> {
    if plan.key.is_empty() {
        return Err(plan
            .place
            .error(
                ErrorKind::Internal,
                "sqlite.no_key",
                "changes by key for a table without a key",
            )
            .table(&plan.table));
    }
    respell_keys(conn, plan, deletes.iter())?;
    let rows = upserts.iter().map(|u| &u.row);
    let bases = upserts.iter().filter_map(|u| u.base.as_ref());
    respell_keys(conn, plan, rows.chain(bases))?;
    // read before anything of this batch is written
    let filled = fill_unchanged(conn, plan, upserts)?;
    delete_rows(conn, plan, deletes.iter())?;
    if mode != MergeMode::Fast {
        delete_rows(conn, plan, upserts.iter().map(|u| &u.row))?;
    }
    let mut statement = conn
        .prepare_cached(&plan.upsert)
        .map_err(|e| plan.row_failed(e))?;
    for (n, upsert) in upserts.iter().enumerate() {
        let row = filled
            .get(n)
            .and_then(Option::as_ref)
            .unwrap_or(&upsert.row);
        plan.bind(&mut statement, &row.0, 0..plan.columns.len())?;
        statement.raw_execute().map_err(|e| plan.row_failed(e))?;
    }
    Ok(())
}

/// Digits of a second that a server keeps.
const MOST_DIGITS: usize = 6;

/// Gives rows whose key is a time the spelling that is written here: an application may have written them with more zeros, and a row is found by its
/// key's bytes.
fn respell_keys<'a>(
    conn: &Connection,
    plan: &TablePlan,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<()> {
    let Some(respell) = &plan.respell else {
        return Ok(());
    };
    let mut statement = conn
        .prepare_cached(respell)
        .map_err(|e| plan.row_failed(e))?;
    for row in rows {
        for digits in 1..=MOST_DIGITS {
            if plan.bind_respelled(&mut statement, &row.0, digits)? {
                statement.raw_execute().map_err(|e| plan.row_failed(e))?;
            }
        }
    }
    Ok(())
}

fn delete_rows<'a>(
    conn: &Connection,
    plan: &TablePlan,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<()> {
    let mut statement = conn
        .prepare_cached(&plan.delete)
        .map_err(|e| plan.row_failed(e))?;
    for row in rows {
        plan.bind(&mut statement, &row.0, plan.key_places.iter().copied())?;
        statement.raw_execute().map_err(|e| plan.row_failed(e))?;
    }
    Ok(())
}

/// Rows whose image lacks columns, with these taken from the target's row as it is now. Empty where no row lacks any.
fn fill_unchanged(
    conn: &Connection,
    plan: &TablePlan,
    upserts: &[Upsert],
) -> Result<Vec<Option<Row>>> {
    if upserts.iter().all(|u| u.row.is_complete()) {
        return Ok(Vec::new());
    }
    let mut statement = conn
        .prepare_cached(&plan.select)
        .map_err(|e| plan.row_failed(e))?;
    let mut reader = CellReader::default();
    let mut out = Vec::with_capacity(upserts.len());
    for upsert in upserts {
        if upsert.row.is_complete() {
            out.push(None);
            continue;
        }
        let base = upsert.base.as_ref().unwrap_or(&upsert.row);
        plan.bind(&mut statement, &base.0, plan.key_places.iter().copied())?;
        let mut rows = statement.raw_query();
        let Some(older) = rows.next().map_err(|e| plan.row_failed(e))? else {
            return Err(plan
                .place
                .error(
                    ErrorKind::RowAbsent,
                    "sqlite.no_base",
                    "the row that unchanged columns are to be taken from is not there",
                )
                .table(&plan.table));
        };
        let older = reader
            .row(older, plan.columns.len())
            .map_err(|e| plan.row_failed(e))?;
        let mut row = upsert.row.clone();
        row.fill_unchanged_from(&older);
        out.push(Some(row));
    }
    Ok(out)
}

fn multiset(
    conn: &Connection,
    plan: &TablePlan,
    inserts: &[Row],
    deletes: &[(Row, u64)],
) -> Result<()> {
    let mut statement = conn
        .prepare_cached(&plan.delete_equal)
        .map_err(|e| plan.row_failed(e))?;
    for (row, count) in deletes {
        plan.bind(&mut statement, &row.0, 0..plan.columns.len())?;
        statement
            .raw_bind_parameter(plan.columns.len() + 1, count)
            .map_err(|e| plan.row_failed(e))?;
        let gone = statement.raw_execute().map_err(|e| plan.row_failed(e))?;
        if gone as u64 != *count {
            return Err(plan
                .place
                .error(
                    ErrorKind::RowAbsent,
                    "sqlite.row_absent",
                    "rows that the source deleted are not there",
                )
                .table(&plan.table)
                .fix("Somebody else wrote to the target table, or it differs: verify it"));
        }
    }
    insert_rows(conn, plan, inserts)
}

fn insert_rows(conn: &Connection, plan: &TablePlan, rows: &[Row]) -> Result<()> {
    write_rows(
        conn,
        plan,
        &plan.insert,
        rows.iter().map(|r| r.0.as_slice()),
    )
}

/// Writes whole rows by a statement that takes all columns.
pub(crate) fn write_rows<'a>(
    conn: &Connection,
    plan: &TablePlan,
    sql: &str,
    rows: impl Iterator<Item = &'a [Cell]>,
) -> Result<()> {
    let mut statement = conn.prepare_cached(sql).map_err(|e| plan.row_failed(e))?;
    for row in rows {
        plan.bind(&mut statement, row, 0..plan.columns.len())?;
        statement.raw_execute().map_err(|e| plan.row_failed(e))?;
    }
    Ok(())
}
