//! Loaders: rows of chunks.

use async_trait::async_trait;
use crossfade_model::TableMapping;
use crossfade_store::{ChunkRange, ErrorKind, Loader, ReadForm, RecordWrite, Result, RowBlock};

use crate::apply::{clear, insert, write_again};
use crate::bulk;
use crate::writer::Writer;

/// A loader's session.
pub(crate) struct MysqlLoader {
    writer: Writer,
    /// Rows written since the last `finish`.
    rows: u64,
    /// A file was not taken as it is: until a commit rows go in by statements.
    strict: bool,
}

impl MysqlLoader {
    pub fn new(writer: Writer) -> MysqlLoader {
        MysqlLoader {
            writer,
            rows: 0,
            strict: false,
        }
    }
}

#[async_trait]
impl Loader for MysqlLoader {
    async fn begin(&mut self) -> Result<()> {
        self.rows = 0;
        self.writer.begin().await
    }

    async fn clear(&mut self, mapping: &TableMapping, range: &ChunkRange) -> Result<()> {
        let plan = self.writer.plan(mapping).await?;
        let clause = plan.own_range(mapping, range)?;
        clear(&mut self.writer.client, &plan, &clause).await
    }

    async fn write(
        &mut self,
        mapping: &TableMapping,
        block: RowBlock,
        form: &ReadForm,
        upsert: bool,
    ) -> Result<()> {
        let plan = self.writer.plan(mapping).await?;
        let (RowBlock::Rows(rows), ReadForm::Rows) = (block, form) else {
            return Err(plan.fault(
                ErrorKind::Unsupported,
                "mysql.copy_format",
                "the server takes rows, not another engine's stream",
            ));
        };
        self.rows += rows.len() as u64;
        let client = &mut self.writer.client;
        if upsert && !plan.key.is_empty() {
            write_again(client, &plan, &rows, bulk::DOING).await
        } else if !self.strict && bulk::is_for(client, &plan, &rows) {
            let written = bulk::write(client, &plan, &rows).await;
            self.strict = written.is_err();
            written
        } else {
            insert(client, &plan, rows.iter(), usize::MAX, bulk::DOING).await
        }
    }

    async fn finish(&mut self) -> Result<u64> {
        Ok(std::mem::take(&mut self.rows))
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.writer.records(writes).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.writer.commit().await?;
        self.strict = false;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<()> {
        self.rows = 0;
        self.writer.rollback().await
    }
}
