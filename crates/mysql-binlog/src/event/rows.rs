//! Rows that were written, changed or deleted (MySQL internals, "ROWS_EVENT", "PARTIAL_UPDATE_ROWS_EVENT"; MariaDB knowledge base, "Rows_event_v1/v2").

use std::sync::Arc;

use bytes::Bytes;
use crossfade_model::{Cell, Row};
use crossfade_store::ErrorKind;

use super::column::ColumnType;
use super::kind;
use super::table_map::{Column, TableMap, bit};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::interest::Interest;
use crate::value::{Values, long};

/// What was done to a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChange {
    /// A new row.
    Insert {
        /// The row.
        row: Row,
    },
    /// A changed row.
    Update {
        /// The row before.
        before: Row,
        /// The row after.
        after: Row,
    },
    /// A row that is gone.
    Delete {
        /// The row.
        before: Row,
    },
}

impl RowChange {
    /// Bytes it holds in memory, for budgets; not exact.
    pub fn weight(&self) -> usize {
        match self {
            RowChange::Insert { row } | RowChange::Delete { before: row } => row.weight(),
            RowChange::Update { before, after } => before.weight() + after.weight(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Insert,
    Update,
    Delete,
}

/// The statement's last rows: its tables' numbers mean nothing after (`STMT_END_F`).
pub(crate) const STATEMENT_END: u16 = 1;

/// What stands before the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsHead {
    action: Action,
    /// The number of the table.
    pub table: u64,
    /// Flags.
    pub flags: u16,
    /// Whether the rest is compressed, and whether it has room for extra data.
    compressed: bool,
    second_version: bool,
    /// Whether new JSON values may be differences of the old.
    partial: bool,
}

impl RowsHead {
    /// Whether events of this type hold rows.
    pub fn is_rows(number: u8) -> bool {
        action(number).is_some()
    }

    /// Reads the fixed part.
    pub fn read(number: u8, cursor: &mut Cursor) -> Result<RowsHead> {
        const WHAT: &str = "rows";
        let action = action(number).ok_or_else(|| Error::corrupt("an event holds no rows"))?;
        Ok(RowsHead {
            action,
            table: cursor.uint(6, WHAT)?,
            flags: cursor.u16(WHAT)?,
            compressed: (kind::MARIADB_WRITE_ROWS_COMPRESSED_V1
                ..=kind::MARIADB_DELETE_ROWS_COMPRESSED)
                .contains(&number),
            second_version: matches!(
                number,
                kind::WRITE_ROWS..=kind::DELETE_ROWS
                    | kind::PARTIAL_UPDATE_ROWS
                    | kind::MARIADB_WRITE_ROWS_COMPRESSED..=kind::MARIADB_DELETE_ROWS_COMPRESSED
            ),
            partial: number == kind::PARTIAL_UPDATE_ROWS,
        })
    }
}

fn action(number: u8) -> Option<Action> {
    Some(match number {
        kind::WRITE_ROWS_V1
        | kind::WRITE_ROWS
        | kind::MARIADB_WRITE_ROWS_COMPRESSED_V1
        | kind::MARIADB_WRITE_ROWS_COMPRESSED => Action::Insert,
        kind::UPDATE_ROWS_V1
        | kind::UPDATE_ROWS
        | kind::PARTIAL_UPDATE_ROWS
        | kind::MARIADB_UPDATE_ROWS_COMPRESSED_V1
        | kind::MARIADB_UPDATE_ROWS_COMPRESSED => Action::Update,
        kind::DELETE_ROWS_V1
        | kind::DELETE_ROWS
        | kind::MARIADB_DELETE_ROWS_COMPRESSED_V1
        | kind::MARIADB_DELETE_ROWS_COMPRESSED => Action::Delete,
        _ => return None,
    })
}

/// The rows of one event, read one by one.
#[derive(Debug)]
pub struct Rows {
    table: Arc<TableMap>,
    action: Action,
    /// The columns that are there: of the only image, or of those before and after.
    present: Vec<Present>,
    left: Cursor,
    values: Values,
    partial: bool,
    /// Where new values may be differences: the old row's JSON documents, by column.
    documents: Vec<Option<Bytes>>,
}

/// Which columns an image has.
#[derive(Debug)]
struct Present {
    columns: Bytes,
    count: usize,
}

impl Rows {
    /// Reads what stands between the fixed part and the first row, and inflates the rows. Images must have the columns
    /// that `needed` says.
    pub(crate) fn open(
        head: RowsHead,
        mut cursor: Cursor,
        table: Arc<TableMap>,
        needed: &Interest,
        mariadb: bool,
        inflate: impl Fn(Bytes) -> Result<Bytes>,
    ) -> Result<Rows> {
        const WHAT: &str = "rows";
        let named = |e: Error| e.table(table.label());
        if head.second_version {
            // its length counts itself
            let extra = usize::from(cursor.u16(WHAT)?);
            cursor.skip(extra.saturating_sub(2), WHAT)?;
        }
        let width = cursor.length(WHAT)?;
        if width != table.columns.len() {
            return Err(named(Error::corrupt(
                "rows have another number of columns than their table",
            )));
        }
        let images = if head.action == Action::Update { 2 } else { 1 };
        let mut present = Vec::with_capacity(images);
        for _ in 0..images {
            let columns = cursor.take(width.div_ceil(8), WHAT)?;
            let missing = |(index, column): (usize, &Column)| {
                !bit(&columns, index) && needed.needs(&column.name)
            };
            if table.columns.iter().enumerate().any(missing) {
                return Err(named(partial_image()));
            }
            let count = (0..width).filter(|index| bit(&columns, *index)).count();
            if count == 0 {
                // a row would take no bytes, and there would be no end of them
                return Err(named(partial_image()));
            }
            present.push(Present { columns, count });
        }
        require_metadata(&table).map_err(named)?;
        let left = match head.compressed {
            true => Cursor::new(inflate(cursor.rest()).map_err(named)?),
            false => cursor,
        };
        Ok(Rows {
            action: head.action,
            present,
            values: Values::new(mariadb, left.len()),
            left,
            partial: head.partial,
            documents: Vec::new(),
            table,
        })
    }

    /// Whose rows they are.
    pub fn table(&self) -> &Arc<TableMap> {
        &self.table
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// Bytes that are no row of this table, a type that cannot be read.
    pub fn next_change(&mut self) -> Result<Option<RowChange>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let first = self.image(0)?;
        Ok(Some(match self.action {
            Action::Insert => RowChange::Insert { row: first },
            Action::Delete => RowChange::Delete { before: first },
            Action::Update => RowChange::Update {
                before: first,
                after: self.image(1)?,
            },
        }))
    }

    fn image(&mut self, which: usize) -> Result<Row> {
        let table = Arc::clone(&self.table);
        self.cells(&table, which)
            .map(Row)
            .map_err(|e| e.table(table.label()))
    }

    fn cells(&mut self, table: &TableMap, which: usize) -> Result<Vec<Cell>> {
        let changed = match self.partial && which == 1 {
            true => self.changed_documents(table)?,
            false => Bytes::new(),
        };
        let present = self
            .present
            .get(which)
            .ok_or_else(|| Error::corrupt("a row has no image"))?;
        let nulls = self.left.take(present.count.div_ceil(8), "a row")?;
        if which == 0 {
            self.documents.clear();
        }
        let mut cells = Vec::with_capacity(table.columns.len());
        // the marks of NULL count only columns that are there, those of differences only JSON's
        let (mut place, mut document) = (0, 0);
        for (index, column) in table.columns.iter().enumerate() {
            let is_changed = match column.kind {
                ColumnType::Json { .. } => {
                    document += 1;
                    bit(&changed, document - 1)
                }
                _ => false,
            };
            if self.partial && which == 0 {
                self.documents.push(None);
            }
            if !bit(&present.columns, index) {
                cells.push(Cell::Unchanged);
                continue;
            }
            let is_null = bit(&nulls, place);
            place += 1;
            cells.push(match column.kind {
                _ if is_null => Cell::Null,
                ColumnType::Json { length } if is_changed => {
                    let differences = long(length, &mut self.left)?;
                    let before = self.documents.get(index).cloned().flatten();
                    let before = before.ok_or_else(partial_image)?;
                    self.values.changed_json(&before, differences)?
                }
                ColumnType::Json { length } if self.partial && which == 0 => {
                    let mut ahead = self.left.clone();
                    let before = long(length, &mut ahead)?;
                    self.documents.pop();
                    self.documents.push(Some(before));
                    self.values.read(column, &mut self.left)?
                }
                _ => self.values.read(column, &mut self.left)?,
            });
        }
        Ok(cells)
    }

    /// Which new JSON values are differences (MySQL: `Rows_log_event::unpack_row`, `PARTIAL_UPDATE_ROWS_EVENT`).
    fn changed_documents(&mut self, table: &TableMap) -> Result<Bytes> {
        const WHAT: &str = "a row's differences";
        match self.left.lenenc(WHAT)? {
            0 => Ok(Bytes::new()),
            1 => {
                let is_json = |column: &&Column| matches!(column.kind, ColumnType::Json { .. });
                let count = table.columns.iter().filter(is_json).count();
                self.left.take(count.div_ceil(8), WHAT)
            }
            options => Err(Error::new(
                ErrorKind::Setting,
                "binlog.row_value_options",
                format!("the log has rows in an unknown form (options {options})"),
            )
            .fix("SET GLOBAL binlog_row_value_options = ''; then copy anew")),
        }
    }
}

fn partial_image() -> Error {
    Error::new(
        ErrorKind::Setting,
        "binlog.row_image",
        "the log has rows without all their columns (binlog_row_image is not FULL)",
    )
    .fix("SET GLOBAL binlog_row_image = 'FULL'; sessions that are open keep their old setting until they end; then copy anew")
}

fn require_metadata(table: &TableMap) -> Result<()> {
    if table.has_names {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Setting,
        "binlog.row_metadata",
        "the log does not name columns (binlog_row_metadata is not FULL)",
    )
    .fix("SET GLOBAL binlog_row_metadata = 'FULL'; then copy anew"))
}
