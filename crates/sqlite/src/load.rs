//! Loaders: rows of chunks.

use async_trait::async_trait;
use crossfade_model::TableMapping;
use crossfade_store::{ChunkRange, ErrorKind, Loader, ReadForm, RecordWrite, Result, RowBlock};

use crate::apply::write_rows;
use crate::clear::clear;
use crate::conn::Place;
use crate::writer::Seat;

/// A loader's connection.
pub(crate) struct SqliteLoader {
    place: Place,
    seat: Seat,
    /// Rows written since the last `finish`.
    rows: u64,
}

impl SqliteLoader {
    pub fn new(place: &Place, seat: Seat) -> SqliteLoader {
        SqliteLoader {
            place: place.clone(),
            seat,
            rows: 0,
        }
    }
}

#[async_trait]
impl Loader for SqliteLoader {
    async fn begin(&mut self) -> Result<()> {
        self.rows = 0;
        self.seat.begin().await
    }

    async fn clear(&mut self, mapping: &TableMapping, range: &ChunkRange) -> Result<()> {
        let plan = self.seat.plan(mapping).await?;
        let range = range.clone();
        self.seat
            .run(move |w| clear(&w.connection, &plan, &range))
            .await
    }

    async fn write(
        &mut self,
        mapping: &TableMapping,
        block: RowBlock,
        form: &ReadForm,
        upsert: bool,
    ) -> Result<()> {
        let (RowBlock::Rows(rows), ReadForm::Rows) = (block, form) else {
            return Err(self
                .place
                .error(
                    ErrorKind::Unsupported,
                    "sqlite.copy_format",
                    "SQLite takes rows, not another engine's stream",
                )
                .table(&mapping.target.name));
        };
        self.rows += rows.len() as u64;
        let plan = self.seat.plan(mapping).await?;
        self.seat
            .run(move |w| {
                let sql = if upsert && !plan.upsert.is_empty() {
                    &plan.upsert
                } else {
                    &plan.insert
                };
                write_rows(
                    &w.connection,
                    &plan,
                    sql,
                    rows.iter().map(|r| r.0.as_slice()),
                )
            })
            .await
    }

    async fn finish(&mut self) -> Result<u64> {
        Ok(std::mem::take(&mut self.rows))
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.seat.records(writes).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.seat.commit_bulk().await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.rows = 0;
        self.seat.rollback().await
    }
}
