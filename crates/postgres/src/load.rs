//! Writing chunks: COPY into the table, or through a staging table where rows may be there already.

use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{TableId, TableMapping};
use crossfade_store::{
    ChunkRange, CopyFormat, ErrorKind, Loader, ReadForm, RecordWrite, Result, RowBlock, StoreError,
};

use crate::apply::{Session, Shape, merge_staged, own_rows, range_error, staging_table};
use crate::copy_in::CopyIn;
use crate::range;
use crate::writer::Writer;

const DOING: &str = "loading rows";

/// A loader's session.
pub struct PostgresLoader {
    session: Session,
    /// The COPY of the chunk that is being written.
    open: Option<Open>,
}

struct Open {
    table: TableId,
    shape: Arc<Shape>,
    form: ReadForm,
    copy: CopyIn,
    /// Rows go through the staging table.
    upsert: bool,
}

impl PostgresLoader {
    /// Over a writing session.
    #[must_use]
    pub fn new(writer: Writer) -> PostgresLoader {
        PostgresLoader {
            session: Session::new(writer),
            open: None,
        }
    }

    async fn open(
        &mut self,
        mapping: &TableMapping,
        form: &ReadForm,
        upsert: bool,
    ) -> Result<Open> {
        let session = &mut self.session;
        let shape = session.shape(mapping).await?;
        let format = match form {
            ReadForm::Copy(CopyFormat::PostgresBinary) => " WITH (FORMAT binary)",
            ReadForm::Copy(CopyFormat::PostgresText) | ReadForm::Rows => "",
        };
        let (table, columns) = if upsert {
            session.make_staging(mapping.id, &shape).await?;
            let table = staging_table(mapping.id);
            session.empty(&table).await?;
            let places = (0..shape.columns.len()).map(|at| format!("c{at}"));
            (table, places.collect::<Vec<_>>().join(", "))
        } else {
            (shape.table.clone(), shape.column_list())
        };
        let sql = format!("COPY {table} ({columns}) FROM STDIN{format}");
        let statement = session.statement(&sql).await.map_err(|e| shape.at(e))?;
        let copy = CopyIn::begin(session.client(), DOING, &statement)
            .await
            .map_err(|e| shape.at(e))?;
        Ok(Open {
            table: mapping.id,
            shape,
            form: form.clone(),
            copy,
            upsert,
        })
    }
}

#[async_trait]
impl Loader for PostgresLoader {
    async fn begin(&mut self) -> Result<()> {
        self.session.writer().begin().await
    }

    async fn clear(&mut self, mapping: &TableMapping, range: &ChunkRange) -> Result<()> {
        let shape = self.session.shape(mapping).await?;
        let condition = range::condition(&shape.range_key, range)
            .map_err(|e| range_error(self.session.label(), &shape.shown, e))?;
        let own = own_rows(mapping, self.session.label())?;
        let sql = format!("DELETE FROM {} t WHERE {condition}{own}", shape.alone);
        self.session
            .client()
            .batch("emptying a range", &sql)
            .await
            .map_err(|e| shape.at(e))
    }

    async fn write(
        &mut self,
        mapping: &TableMapping,
        block: RowBlock,
        form: &ReadForm,
        upsert: bool,
    ) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open(mapping, form, upsert).await?,
        };
        if open.table != mapping.id || open.form != *form || open.upsert != upsert {
            return Err(mixed(self.session.label(), &open.shape));
        }
        let client = self.session.client();
        match (block, &open.form) {
            (RowBlock::Copy(bytes), ReadForm::Copy(_)) => {
                open.copy
                    .block(client, DOING, bytes)
                    .await
                    .map_err(|e| open.shape.at(e))?;
            }
            (RowBlock::Rows(rows), ReadForm::Rows) => {
                for row in &rows {
                    open.copy.row(open.shape.cells(row)).map_err(|bad| {
                        let written: Vec<usize> = (0..open.shape.columns.len()).collect();
                        open.shape.refused(self.session.label(), bad, &written)
                    })?;
                    open.copy.flush(client, DOING).await?;
                }
            }
            _ => return Err(mixed(self.session.label(), &open.shape)),
        }
        self.open = Some(open);
        Ok(())
    }

    async fn finish(&mut self) -> Result<u64> {
        // a chunk without a single row was never opened
        let Some(open) = self.open.take() else {
            return Ok(0);
        };
        let rows = open
            .copy
            .finish(self.session.client(), DOING)
            .await
            .map_err(|mut e| {
                e.table = Some(open.shape.shown.clone());
                e
            })?;
        if open.upsert {
            merge_staged(&mut self.session, open.table, &open.shape).await?;
        }
        Ok(rows)
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.session.writer().records(writes).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.session.writer().commit().await?;
        self.session.committed();
        Ok(())
    }

    async fn rollback(&mut self) -> Result<()> {
        self.open = None;
        self.session.rolled_back();
        self.session.writer().rollback().await
    }
}

fn mixed(label: &str, shape: &Shape) -> StoreError {
    StoreError::new(
        ErrorKind::Internal,
        "postgres.mixed_chunk",
        label,
        "the blocks of one chunk have several forms or tables",
    )
    .table(&shape.shown)
}
