//! A consistent read on a source, presented by the mappings.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{
    BucketSums, Cell, Column, Digester, Position, Row, Snapshot, TableId, TableMapping,
};
use crossfade_store::aggregates::Measuring;
use crossfade_store::pace::{Pace, Rests};
use crossfade_store::sums::no_form;
use crossfade_store::{
    Aggregates, Bound, ChunkRange, Query, ReadForm, Result, RowBlock, RowStream, Source,
    SourceSnapshot, StoreError, SumPlace,
};

use crate::range;
use crate::table::{MappedTable, MappingError};

/// Presents the rows that a snapshot of the store below shows.
pub(crate) struct MappedSnapshot {
    inner: Box<dyn SourceSnapshot>,
    store: Arc<dyn Source>,
    tables: HashMap<TableId, MappedTable>,
    /// The range of the table below that is being read.
    range: ChunkRange,
    pace: Option<Pace>,
}

impl MappedSnapshot {
    pub(crate) fn new(inner: Box<dyn SourceSnapshot>, store: Arc<dyn Source>) -> MappedSnapshot {
        MappedSnapshot {
            inner,
            store,
            tables: HashMap::new(),
            range: ChunkRange::All,
            pace: None,
        }
    }

    fn bind(&mut self, mapping: &TableMapping) -> Result<()> {
        if !self.tables.contains_key(&mapping.id) {
            let own = |column: &Column, cell: &Cell| self.store.own_form(column, cell);
            let table = MappedTable::new(mapping, &own);
            let table = table.map_err(|e| e.at(self.store.label(), mapping.source_table()))?;
            self.tables.insert(mapping.id, table);
        }
        Ok(())
    }

    /// The table of a mapping that was bound, with the store below.
    fn parts(&mut self, id: TableId) -> Result<(&mut dyn SourceSnapshot, &MappedTable, &str)> {
        match self.tables.get(&id) {
            Some(table) => Ok((self.inner.as_mut(), table, self.store.label())),
            None => Err(unbound(self.store.label())),
        }
    }

    async fn bound(
        &mut self,
        mapping: &TableMapping,
    ) -> Result<(&mut dyn SourceSnapshot, &MappedTable, &str)> {
        self.bind(mapping)?;
        self.parts(mapping.id)
    }
}

/// Cannot happen: whoever asks has bound the table before.
fn unbound(label: &str) -> StoreError {
    StoreError::new(
        crossfade_store::ErrorKind::Internal,
        "mapping.unbound",
        label,
        "a table was read before its mapping was bound",
    )
}

#[async_trait]
impl SourceSnapshot for MappedSnapshot {
    fn snapshot(&self) -> &Snapshot {
        self.inner.snapshot()
    }

    fn horizon(&self) -> Position {
        self.inner.horizon()
    }

    fn seen(&self) -> Option<String> {
        self.inner.seen()
    }

    async fn wait_durable(&mut self) -> Result<()> {
        self.inner.wait_durable().await
    }

    async fn bounds(&mut self, mapping: &TableMapping, chunks: usize) -> Result<Vec<Bound>> {
        if mapping.origin.is_none() {
            return self.inner.bounds(mapping, chunks).await;
        }
        let (inner, table, label) = self.bound(mapping).await?;
        let bounds = inner.bounds(&table.raw, chunks).await?;
        let above = |bound: &Bound| range::above(table, bound);
        let presented: std::result::Result<_, MappingError> = bounds.iter().map(above).collect();
        presented.map_err(|e| e.at(label, &table.raw.source))
    }

    async fn parts(&mut self, mapping: &TableMapping, parts: usize) -> Result<Vec<String>> {
        if mapping.origin.is_none() {
            return self.inner.parts(mapping, parts).await;
        }
        let (inner, table, _) = self.bound(mapping).await?;
        inner.parts(&table.raw, parts).await
    }

    async fn physical_identity(&mut self, mapping: &TableMapping) -> Result<String> {
        if mapping.origin.is_none() {
            return self.inner.physical_identity(mapping).await;
        }
        let (inner, table, _) = self.bound(mapping).await?;
        inner.physical_identity(&table.raw).await
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
        form: ReadForm,
    ) -> Result<Box<dyn RowStream + 'a>> {
        if mapping.origin.is_none() {
            return self.inner.read(mapping, range, form).await;
        }
        self.bind(mapping)?;
        let MappedSnapshot {
            inner,
            store,
            tables,
            range: kept,
            ..
        } = self;
        let label = store.label();
        let table = tables.get(&mapping.id).ok_or_else(|| unbound(label))?;
        *kept = range::below(table, range).map_err(|e| e.at(label, &table.raw.source))?;
        let rows = inner.read(&table.raw, kept, ReadForm::Rows).await?;
        Ok(Box::new(MappedRows { rows, table, label }))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        if mapping.origin.is_none() {
            return self.inner.read_keys(mapping, keys).await;
        }
        let (inner, table, label) = self.bound(mapping).await?;
        let raw: Vec<Row> = keys.iter().map(|key| table.raw_key_row(key)).collect();
        let rows = inner.read_keys(&table.raw, &raw).await?;
        present(table, &rows, label)
    }

    fn sum_places(&self, mapping: &TableMapping) -> Vec<SumPlace> {
        match mapping.origin {
            None => self.inner.sum_places(mapping),
            Some(_) => vec![SumPlace::Program],
        }
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        place: SumPlace,
    ) -> Result<BucketSums> {
        if mapping.origin.is_none() {
            return self.inner.sum(mapping, range, digester, place).await;
        }
        let (mut rests, label) = (
            Rests::new(self.pace.as_ref()),
            self.store.label().to_owned(),
        );
        let (mut digester, mut sums) = (digester.clone(), BucketSums::default());
        let mut rows = self.read(mapping, range, ReadForm::Rows).await?;
        while let Some(block) = rows.next().await? {
            for row in in_rows(block) {
                let digest = digester.row(&mapping.columns, &row);
                sums.add(digest.map_err(|(at, e)| no_form(mapping, at, &e.to_string(), &label))?);
            }
            rests.take().await;
        }
        Ok(sums)
    }

    fn set_pace(&mut self, pace: Pace) {
        self.inner.set_pace(pace.clone());
        self.pace = Some(pace);
    }

    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates> {
        if mapping.origin.is_none() {
            return self.inner.aggregates(mapping).await;
        }
        let label = self.store.label().to_owned();
        let places = 0..mapping.columns.len();
        let mut measuring: Vec<Measuring> = places.map(|at| Measuring::new(mapping, at)).collect();
        let mut count = 0;
        let mut rows = self.read(mapping, &ChunkRange::All, ReadForm::Rows).await?;
        while let Some(block) = rows.next().await? {
            for row in in_rows(block) {
                count += 1;
                for (at, (measuring, cell)) in measuring.iter_mut().zip(&row.0).enumerate() {
                    let added = measuring.add(cell);
                    added.map_err(|e| no_form(mapping, at, &e.to_string(), &label))?;
                }
            }
        }
        Ok(Aggregates {
            rows: count,
            columns: measuring.into_iter().map(Measuring::cells).collect(),
        })
    }

    async fn query(&mut self, sql: &str) -> Result<Query<'_>> {
        self.inner.query(sql).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

/// Rows read below, presented.
struct MappedRows<'a> {
    rows: Box<dyn RowStream + 'a>,
    table: &'a MappedTable,
    label: &'a str,
}

#[async_trait]
impl RowStream for MappedRows<'_> {
    async fn next(&mut self) -> Result<Option<RowBlock>> {
        match self.rows.next().await? {
            None => Ok(None),
            // empty where the mapping moves none of them
            Some(block) => {
                let rows = present(self.table, &in_rows(block), self.label)?;
                Ok(Some(RowBlock::Rows(rows)))
            }
        }
    }
}

fn present(table: &MappedTable, rows: &[Row], label: &str) -> Result<Vec<Row>> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        out.extend(table.row(row).map_err(|e| e.at(label, &table.raw.source))?);
    }
    Ok(out)
}

/// Rows are asked for as cells.
fn in_rows(block: RowBlock) -> Vec<Row> {
    match block {
        RowBlock::Rows(rows) => rows,
        RowBlock::Copy(_) => Vec::new(),
    }
}
