//! Rows from SQLite to blocks of cells, and over a bounded channel to the async side.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use crossfade_model::{Cell, Row};
use crossfade_store::{ErrorKind, Result, RowBlock, RowStream};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};
use tokio::sync::mpsc;

use crate::conn::Place;

/// Rows of a block at most.
const BLOCK_ROWS: usize = 4096;

/// Bytes of a block's cells from which on it is full.
const BLOCK_BYTES: usize = 1 << 20;

/// Blocks read ahead, so that reading and writing overlap.
const BLOCKS_AHEAD: usize = 3;

/// Texts and blobs of many rows share buffers of this size.
const BUFFER_BYTES: usize = 256 << 10;

/// Copies cells out of SQLite's memory with few allocations.
#[derive(Default)]
pub(crate) struct CellReader {
    buffer: BytesMut,
}

impl CellReader {
    /// The first `columns` columns of a row.
    pub fn row(&mut self, row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
        self.row_from(row, 0, columns)
    }

    /// `columns` columns of a row from `first` on.
    pub fn row_from(
        &mut self,
        row: &rusqlite::Row<'_>,
        first: usize,
        columns: usize,
    ) -> rusqlite::Result<Row> {
        let mut cells = Vec::with_capacity(columns);
        for index in first..first + columns {
            cells.push(self.cell(row.get_ref(index)?));
        }
        Ok(Row(cells))
    }

    pub fn cell(&mut self, value: ValueRef<'_>) -> Cell {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(i) => Cell::Integer(i),
            ValueRef::Real(r) => Cell::Real(r),
            ValueRef::Text(t) => Cell::Text(self.bytes(t)),
            ValueRef::Blob(b) => Cell::Blob(self.bytes(b)),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if self.buffer.capacity() < bytes.len() {
            self.buffer = BytesMut::with_capacity(BUFFER_BYTES.max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.split().freeze()
    }
}

/// A cell bound as it is: texts may be invalid UTF-8 and hold NUL.
pub(crate) struct Parameter<'a>(pub &'a Cell);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null | Cell::Unchanged | Cell::Unfit(_) => ValueRef::Null,
            Cell::Integer(i) => ValueRef::Integer(*i),
            Cell::Real(r) => ValueRef::Real(*r),
            Cell::Text(t) | Cell::TextForm(t) => ValueRef::Text(t),
            Cell::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

/// Binds cells from parameter `first` on.
pub(crate) fn bind<'a>(
    statement: &mut Statement<'_>,
    first: usize,
    cells: impl IntoIterator<Item = &'a Cell>,
) -> rusqlite::Result<()> {
    for (n, cell) in cells.into_iter().enumerate() {
        statement.raw_bind_parameter(first + n, Parameter(cell))?;
    }
    Ok(())
}

/// What a reader thread sends. The end is said, so that a thread that died is not taken for it.
enum Message {
    Rows(Vec<Row>),
    End,
    Failed(Box<crossfade_store::StoreError>),
}

/// A query's rows, read by a thread of its own.
pub(crate) struct QueryRows {
    place: Place,
    messages: mpsc::Receiver<Message>,
    ended: bool,
}

/// Starts to read `columns` columns of a query. The connection is held until the read ends or is dropped.
pub(crate) fn start_query(
    place: &Place,
    connection: Arc<Mutex<Connection>>,
    sql: String,
    parameters: Vec<Cell>,
    columns: usize,
) -> QueryRows {
    let (sender, messages) = mpsc::channel(BLOCKS_AHEAD);
    let thread_place = place.clone();
    // the thread ends with the channel, whose end is watched: the handle is not needed
    drop(tokio::task::spawn_blocking(move || {
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match send_rows(&connection, &sql, &parameters, columns, &sender) {
            Ok(()) => Message::End,
            Err(e) => Message::Failed(Box::new(thread_place.failed("cannot read rows")(e))),
        };
        drop(connection);
        // nobody listens any more: nothing to tell
        let _ = sender.blocking_send(last);
    }));
    QueryRows {
        place: place.clone(),
        messages,
        ended: false,
    }
}

fn send_rows(
    connection: &Connection,
    sql: &str,
    parameters: &[Cell],
    columns: usize,
    sender: &mpsc::Sender<Message>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, 1, parameters)?;
    let mut rows = statement.raw_query();
    let mut reader = CellReader::default();
    let mut block = Vec::with_capacity(BLOCK_ROWS.min(1024));
    let mut weight = 0;
    while let Some(row) = rows.next()? {
        let row = reader.row(row, columns)?;
        weight += row.weight();
        block.push(row);
        if block.len() >= BLOCK_ROWS || weight >= BLOCK_BYTES {
            let full = std::mem::replace(&mut block, Vec::with_capacity(BLOCK_ROWS));
            weight = 0;
            if sender.blocking_send(Message::Rows(full)).is_err() {
                return Ok(());
            }
        }
    }
    if !block.is_empty() {
        let _ = sender.blocking_send(Message::Rows(block));
    }
    Ok(())
}

#[async_trait]
impl RowStream for QueryRows {
    async fn next(&mut self) -> Result<Option<RowBlock>> {
        if self.ended {
            return Ok(None);
        }
        match self.messages.recv().await {
            Some(Message::Rows(rows)) => Ok(Some(RowBlock::Rows(rows))),
            Some(Message::End) => {
                self.ended = true;
                Ok(None)
            }
            Some(Message::Failed(error)) => Err(*error),
            None => Err(self.place.error(
                ErrorKind::Internal,
                "sqlite.reader",
                "the reading thread ended early",
            )),
        }
    }
}
