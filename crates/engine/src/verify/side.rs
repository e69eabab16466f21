//! Reads one side of one table: sums of digests per bucket, and apart from them the rows of keys that were changing.

use std::collections::{HashMap, HashSet};
use std::hash::Hasher;

use bytes::Bytes;
use crossfade_model::digest::RowDigest;
use crossfade_model::{BucketSum, Cell, Digester, Row, TableMapping};
use crossfade_store::{RowBlock, RowStream};

use crate::error::EngineError;

/// Buckets of a table.
pub(crate) const BUCKETS: usize = 1024;

/// Bytes of the rows kept apart at most: a comparison that meets more begins again.
const MOST_APART_BYTES: usize = 256 << 20;

/// One side's sums.
#[derive(Debug)]
pub(crate) struct Sums {
    pub buckets: Vec<BucketSum>,
    pub rows: u64,
    /// Rows of the keys that were changing.
    pub apart: HashMap<Vec<u8>, Row>,
    /// There were more of them than can be held.
    pub too_much: bool,
}

/// A row in memory of its own: cells are slices of buffers of many rows, all of which one row that is kept would keep.
pub(crate) fn own(row: &Row) -> Row {
    let bytes = |b: &Bytes| Bytes::copy_from_slice(b);
    let cells = row.0.iter().map(|cell| match cell {
        Cell::TextForm(b) => Cell::TextForm(bytes(b)),
        Cell::Text(b) => Cell::Text(bytes(b)),
        Cell::Blob(b) => Cell::Blob(bytes(b)),
        Cell::Null | Cell::Unchanged | Cell::Integer(_) | Cell::Real(_) => cell.clone(),
    });
    Row(cells.collect())
}

/// The bucket of a row by its identity.
pub(crate) fn bucket_of(identity: &[u8]) -> usize {
    (hash(identity) % BUCKETS as u64) as usize
}

/// Spreads identities; the same on both sides of one comparison.
pub(crate) fn hash(identity: &[u8]) -> u64 {
    #[allow(clippy::disallowed_types)]
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    hasher.write(identity);
    hasher.finish()
}

/// Identity and digest of rows of one table.
pub(crate) struct Reader<'a> {
    mapping: &'a TableMapping,
    digester: Digester,
    identity: Vec<u8>,
    side: &'static str,
}

impl<'a> Reader<'a> {
    pub fn new(mapping: &'a TableMapping, digester: Digester, side: &'static str) -> Reader<'a> {
        Reader {
            mapping,
            digester,
            identity: Vec::new(),
            side,
        }
    }

    /// The identity of a row; valid until the next call.
    pub fn identity(&mut self, row: &Row) -> Result<&[u8], EngineError> {
        self.mapping
            .identity_of(row, &mut self.identity)
            .map_err(|e| self.unreadable("a key column", &e.to_string()))?;
        Ok(&self.identity)
    }

    /// The digest of a row.
    pub fn digest(&mut self, row: &Row) -> Result<RowDigest, EngineError> {
        self.digester
            .row(&self.mapping.columns, row)
            .map_err(|(column, e)| {
                let name = self
                    .mapping
                    .columns
                    .get(column)
                    .map_or("?", |c| c.source.as_str());
                self.unreadable(&format!("column {name}"), &e.to_string())
            })
    }

    fn unreadable(&self, what: &str, why: &str) -> EngineError {
        EngineError::Stopped {
            code: "verify.form",
            table: Some(self.mapping.source.name.to_string()),
            key: None,
            what: format!("{what} of a row on the {} has no comparable form: {why}", self.side),
            fix: "The value is not of its column's declared type; correct it, or declare the column otherwise"
                .to_owned(),
        }
    }

    /// Sums all rows of a stream but those of `apart`, which are kept.
    pub async fn sum(
        &mut self,
        stream: &mut (dyn RowStream + '_),
        apart: &HashSet<Vec<u8>>,
    ) -> Result<Sums, EngineError> {
        let mut sums = Sums {
            buckets: vec![BucketSum::default(); BUCKETS],
            rows: 0,
            apart: HashMap::new(),
            too_much: false,
        };
        let mut kept = 0;
        while let Some(block) = stream.next().await? {
            for row in rows_of(block)? {
                sums.rows += 1;
                let digest = self.digest(&row)?;
                let identity = self.identity(&row)?;
                let bucket = &mut sums.buckets[bucket_of(identity)];
                if apart.is_empty() || !apart.contains(identity) {
                    bucket.add(digest);
                    continue;
                }
                kept += identity.len() + row.weight();
                if kept > MOST_APART_BYTES {
                    sums.too_much = true;
                    return Ok(sums);
                }
                // a second row of one key is no row that can be compared by its key: the sums tell of it
                if sums.apart.insert(identity.to_vec(), own(&row)).is_some() {
                    bucket.add(digest);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(sums)
    }
}

/// The decoded rows of a block.
pub(crate) fn rows_of(block: RowBlock) -> Result<Vec<Row>, EngineError> {
    match block {
        RowBlock::Rows(rows) => Ok(rows),
        RowBlock::Copy(_) => Err(EngineError::internal("rows were asked for as cells")),
    }
}

#[cfg(test)]
#[path = "side_tests.rs"]
mod tests;
