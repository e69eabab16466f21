//! Identity and digest of one table's rows.

use bytes::Bytes;
use crossfade_model::{Cell, Digester, Row, RowDigest, TableMapping};
use crossfade_store::RowBlock;
use crossfade_store::sums::no_form;

use crate::error::EngineError;

/// A row in memory of its own: cells are slices of buffers of many rows, all of which one row that is kept would keep.
pub(crate) fn own(row: &Row) -> Row {
    let bytes = |b: &Bytes| Bytes::copy_from_slice(b);
    let cells = row.0.iter().map(|cell| match cell {
        Cell::TextForm(b) => Cell::TextForm(bytes(b)),
        Cell::Text(b) => Cell::Text(bytes(b)),
        Cell::Blob(b) => Cell::Blob(bytes(b)),
        Cell::Unfit(b) => Cell::Unfit(bytes(b)),
        Cell::Null | Cell::Unchanged | Cell::Integer(_) | Cell::Real(_) => cell.clone(),
    });
    Row(cells.collect())
}

/// Computes them for one side.
pub(crate) struct Reader<'a> {
    mapping: &'a TableMapping,
    digester: Digester,
    identity: Vec<u8>,
    label: &'a str,
}

impl<'a> Reader<'a> {
    pub fn new(mapping: &'a TableMapping, digester: &Digester, label: &'a str) -> Reader<'a> {
        Reader {
            mapping,
            digester: digester.clone(),
            identity: Vec::new(),
            label,
        }
    }

    /// The identity of a row; valid until the next call.
    pub fn identity(&mut self, row: &Row) -> Result<&[u8], EngineError> {
        self.mapping
            .identity_of(row, &mut self.identity)
            .map_err(|e| {
                let key = self.mapping.source.key.as_ref();
                let column = key.and_then(|k| k.columns.first().copied());
                let column = column.unwrap_or(usize::MAX);
                no_form(self.mapping, column, &e.to_string(), self.label)
            })?;
        Ok(&self.identity)
    }

    /// The digest of a row.
    pub fn digest(&mut self, row: &Row) -> Result<RowDigest, EngineError> {
        let digest = self.digester.row(&self.mapping.columns, row);
        let digest = digest
            .map_err(|(column, e)| no_form(self.mapping, column, &e.to_string(), self.label))?;
        Ok(digest)
    }
}

/// The decoded rows of a block.
pub(crate) fn rows_of(block: RowBlock) -> Result<Vec<Row>, EngineError> {
    match block {
        RowBlock::Rows(rows) => Ok(rows),
        RowBlock::Copy(_) => Err(EngineError::internal("rows were asked for as cells")),
    }
}
