//! Writing changes: net effects, records and the checkpoint in one transaction.

mod keyed;
mod multiset;
mod session;
mod shape;
mod staging;

use async_trait::async_trait;
use crossfade_model::{Position, Row, TableMapping};
use crossfade_store::slice;
use crossfade_store::{
    Applier, ChunkRange, Effect, ErrorKind, MergeMode, RecordWrite, Result, StoreError,
};

use crate::range;
use crate::reader;
use crate::writer::Writer;

pub use keyed::merge_staged;
pub use session::Session;
pub use shape::Shape;
pub use staging::upserts as staging_table;

/// The applier's session.
pub struct PostgresApplier {
    session: Session,
}

impl PostgresApplier {
    /// Over a writing session.
    ///
    /// # Errors
    /// The connection's.
    pub async fn new(writer: Writer) -> Result<PostgresApplier> {
        let session = Session::new(writer);
        session.plan_by_index().await?;
        Ok(PostgresApplier { session })
    }

    async fn clear(&mut self, mapping: &TableMapping, range: &ChunkRange) -> Result<()> {
        let shape = self.session.shape(mapping).await?;
        let condition = range::condition(&shape.range_key, range)
            .map_err(|e| range_error(self.session.label(), &shape.shown, e))?;
        let own = own_rows(mapping, self.session.label())?;
        self.session
            .client()
            .batch(
                "emptying a range",
                &format!("DELETE FROM {} t WHERE {condition}{own}", shape.alone),
            )
            .await
            .map_err(|e| shape.at(e))
    }
}

/// The condition that keeps the rows of other mappings out, to be added to another one.
pub fn own_rows(mapping: &TableMapping, label: &str) -> Result<String> {
    let own = slice::condition(mapping, label, &range::Words)?;
    Ok(own.map_or_else(String::new, |own| format!(" AND {own}")))
}

/// The error for a range that means nothing on a target.
pub fn range_error(label: &str, table: &str, e: range::NotKeys) -> StoreError {
    StoreError::new(ErrorKind::Internal, "postgres.range", label, e.to_string()).table(table)
}

#[async_trait]
impl Applier for PostgresApplier {
    async fn begin(&mut self) -> Result<()> {
        self.session.writer().begin().await
    }

    async fn apply(
        &mut self,
        mapping: &TableMapping,
        effect: &Effect,
        mode: MergeMode,
    ) -> Result<()> {
        let shape = self.session.shape(mapping).await?;
        let session = &mut self.session;
        match effect {
            Effect::Keyed { upserts, deletes } => {
                keyed::apply(session, mapping.id, &shape, upserts, deletes, mode).await
            }
            Effect::Multiset { inserts, deletes } => {
                multiset::apply(session, mapping.id, &shape, inserts, deletes).await
            }
            Effect::Clear(range) => self.clear(mapping, range).await,
        }
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        reader::rows_of(self.session.client(), self.session.label(), mapping, keys).await
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.session.writer().records(writes).await
    }

    async fn commit(&mut self, from: Option<Position>, to: Position) -> Result<()> {
        self.session.writer().advance_and_commit(from, to).await?;
        self.session.committed();
        Ok(())
    }

    async fn rollback(&mut self) -> Result<()> {
        self.session.rolled_back();
        self.session.writer().rollback().await
    }
}
