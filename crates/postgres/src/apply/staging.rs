//! Staging tables: temporary tables of the applier's session, into which a batch is copied before one statement merges it.

use crossfade_model::{Canonical, Cell, Row, TableId};
use crossfade_store::{Result, Upsert};

use super::session::Session;
use super::shape::Shape;
use crate::copy_in::CopyIn;

/// The columns that some row of a batch does not carry, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Absent(pub Vec<usize>);

impl Absent {
    /// Of these rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Absent {
        let mut places: Vec<usize> = rows
            .into_iter()
            .flat_map(|row| row.0.iter().enumerate())
            .filter(|(_, cell)| matches!(cell, Cell::Unchanged))
            .map(|(at, _)| at)
            .collect();
        places.sort_unstable();
        places.dedup();
        Absent(places)
    }

    /// The staged or, where its bit is set, the target's value of a column, as SQL over `s` and `t`.
    pub fn choose(&self, at: usize, column: &str) -> String {
        match self.0.binary_search(&at) {
            Ok(bit) => {
                format!("CASE WHEN get_bit(s.u, {bit}) = 1 THEN t.{column} ELSE s.c{at} END")
            }
            Err(_) => format!("s.c{at}"),
        }
    }

    fn bits(&self, row: &Row) -> String {
        self.0
            .iter()
            .map(|&at| match row.0.get(at) {
                Some(Cell::Unchanged) => '1',
                _ => '0',
            })
            .collect()
    }
}

/// The staging table of upserts: `c0…` the mapped columns, `b0…` the key of the row that holds the unchanged ones, `u` a bit
/// for each absent column, `m` whether that row has another key, `n` how many equal rows.
pub fn upserts(table: TableId) -> String {
    format!("pg_temp.crossfade_s{}", table.0)
}

/// The staging table of keys: `k0…`.
pub fn keys(table: TableId) -> String {
    format!("pg_temp.crossfade_k{}", table.0)
}

/// The statements that make both.
pub fn create(table: TableId, shape: &Shape) -> String {
    let key = |letter: char| {
        let columns = shape.key.iter().enumerate();
        columns
            .map(|(place, &at)| format!("{} AS {letter}{place}", shape.columns[at].name))
            .collect::<Vec<_>>()
    };
    let columns = shape.columns.iter().enumerate();
    let mut staged: Vec<String> = columns
        .map(|(at, column)| format!("{} AS c{at}", column.name))
        .collect();
    staged.extend(key('b'));
    staged.push("NULL::varbit AS u, NULL::boolean AS m, NULL::bigint AS n".into());
    let make = |name: String, columns: Vec<String>| {
        format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA;",
            columns.join(", "),
            shape.table
        )
    };
    let mut sql = make(upserts(table), staged);
    if !shape.key.is_empty() {
        sql.push_str(&make(keys(table), key('k')));
    }
    sql
}

/// What staging is called in errors.
pub const DOING: &str = "staging changes";

/// Copies upserts in; returns the columns that some of them lack, and the COPY, which is still to be ended.
///
/// # Errors
/// [`crossfade_store::ErrorKind::RowRefused`] for values that have no text here or no value of the column's type.
pub async fn stage_upserts(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    upserts: &[&Upsert],
) -> Result<(Absent, CopyIn)> {
    let absent = Absent::of(upserts.iter().map(|u| &u.row));
    let name = self::upserts(table);
    session.empty(&name).await?;
    let numbered = |letter: char, count: usize| (0..count).map(move |at| format!("{letter}{at}"));
    let mut columns: Vec<String> = numbered('c', shape.columns.len()).collect();
    let mut written: Vec<usize> = (0..shape.columns.len()).collect();
    if !absent.0.is_empty() {
        columns.extend(numbered('b', shape.key.len()));
        written.extend(&shape.key);
        columns.extend(["u".into(), "m".into()]);
    }
    let mut copy = begin(session, &name, &columns).await?;
    for upsert in upserts {
        let row = if absent.0.is_empty() {
            copy.row(shape.cells(&upsert.row))
        } else {
            let extra = BaseCells::of(shape, &absent, upsert);
            let filled = extra.filled.as_ref().unwrap_or(&upsert.row);
            let base = extra.base.as_ref();
            copy.row(
                shape
                    .cells(filled)
                    .chain(shape.key.iter().enumerate().map(|(place, &at)| {
                        let cell = base.and_then(|cells| cells.get(place));
                        (shape.columns[at].class, cell.unwrap_or(&Cell::Null))
                    }))
                    .chain(extra.marks.iter().map(|cell| (Canonical::Exact, cell))),
            )
        };
        row.map_err(|bad| shape.refused(session.label(), bad, &written))?;
        copy.flush(session.client(), DOING).await?;
    }
    Ok((absent, copy))
}

/// What stands beside a row's own cells where a batch has rows with absent columns.
struct BaseCells {
    /// The row with NULL for what is absent; `None` where nothing is.
    filled: Option<Row>,
    /// The key of the row that holds the absent columns.
    base: Option<Vec<Cell>>,
    /// `u` and `m`.
    marks: [Cell; 2],
}

impl BaseCells {
    fn of(shape: &Shape, absent: &Absent, upsert: &Upsert) -> BaseCells {
        if upsert.row.is_complete() {
            return BaseCells {
                filled: None,
                base: None,
                marks: [Cell::Null, Cell::Null],
            };
        }
        let mut filled = upsert.row.clone();
        for cell in &mut filled.0 {
            if matches!(cell, Cell::Unchanged) {
                *cell = Cell::Null;
            }
        }
        let holder = upsert.base.as_ref().unwrap_or(&upsert.row);
        let moved = if upsert.base.is_some() { "t" } else { "f" };
        BaseCells {
            filled: Some(filled),
            base: Some(
                shape
                    .key_cells(holder)
                    .map(|(_, cell)| cell.clone())
                    .collect(),
            ),
            marks: [
                Cell::TextForm(absent.bits(&upsert.row).into()),
                Cell::TextForm(bytes::Bytes::from_static(moved.as_bytes())),
            ],
        }
    }
}

/// Copies keys in; the COPY is still to be ended.
///
/// # Errors
/// As [`stage_upserts`].
pub async fn stage_keys(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    rows: &[Row],
) -> Result<CopyIn> {
    let name = keys(table);
    session.empty(&name).await?;
    let columns: Vec<String> = (0..shape.key.len()).map(|at| format!("k{at}")).collect();
    let mut copy = begin(session, &name, &columns).await?;
    for row in rows {
        copy.row(shape.key_cells(row))
            .map_err(|bad| shape.refused(session.label(), bad, &shape.key))?;
        copy.flush(session.client(), DOING).await?;
    }
    Ok(copy)
}

/// Copies distinct rows in, each with how many of it; the COPY is still to be ended.
///
/// # Errors
/// As [`stage_upserts`].
pub async fn stage_counted(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    rows: &[(Row, u64)],
) -> Result<CopyIn> {
    let name = upserts(table);
    session.empty(&name).await?;
    let mut columns: Vec<String> = (0..shape.columns.len())
        .map(|at| format!("c{at}"))
        .collect();
    columns.push("n".into());
    let written: Vec<usize> = (0..shape.columns.len()).collect();
    let mut copy = begin(session, &name, &columns).await?;
    for (row, count) in rows {
        let count = Cell::TextForm(count.to_string().into());
        let count = (Canonical::Exact, &count);
        copy.row(shape.cells(row).chain(std::iter::once(count)))
            .map_err(|bad| shape.refused(session.label(), bad, &written))?;
        copy.flush(session.client(), DOING).await?;
    }
    Ok(copy)
}

/// Copies rows straight into the target table.
///
/// # Errors
/// The server's for any row, with the table.
pub async fn copy_direct(session: &mut Session, shape: &Shape, rows: &[&Row]) -> Result<u64> {
    let written: Vec<usize> = (0..shape.columns.len()).collect();
    let sql = format!("COPY {} ({}) FROM STDIN", shape.table, shape.column_list());
    let statement = session.statement(&sql).await?;
    let doing = "copying new rows";
    let mut copy = CopyIn::begin(session.client(), doing, &statement)
        .await
        .map_err(|e| shape.at(e))?;
    for row in rows {
        copy.row(shape.cells(row))
            .map_err(|bad| shape.refused(session.label(), bad, &written))?;
        copy.flush(session.client(), doing).await?;
    }
    copy.finish(session.client(), doing)
        .await
        .map_err(|e| shape.at(e))
}

async fn begin(session: &mut Session, table: &str, columns: &[String]) -> Result<CopyIn> {
    let sql = format!("COPY {table} ({}) FROM STDIN", columns.join(", "));
    let statement = session.statement(&sql).await?;
    CopyIn::begin(session.client(), DOING, &statement).await
}
