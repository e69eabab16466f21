//! A source whose tables are presented by the mappings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{
    Beginning, Cell, Column, Finding, Position, Schema, Sequence, Table, TableId, TableMapping,
    TableName, TransactionId,
};
use crossfade_store::{
    Capabilities, CaptureSpec, CaptureStart, ChangeStream, CopyFormat, Kept, Made, Probe,
    QueryColumn, Result, SequenceState, Source, SourceIdentity, SourceSnapshot, Successor, Truths,
    WatchOutcome,
};

use crate::snapshot::MappedSnapshot;
use crate::stream::MappedStream;
use crate::table::MappedTable;

/// A source seen through the mappings that it is asked with. Tables that are carried as they are pass untouched, and every method is
/// passed on, also where the contract has a default for it.
pub struct MappedSource {
    inner: Arc<dyn Source>,
}

impl MappedSource {
    /// Looks at `inner` through mappings.
    pub fn over(inner: Arc<dyn Source>) -> Arc<dyn Source> {
        Arc::new(MappedSource { inner })
    }

    /// What the store below is asked to capture: each table once, as it is, under the number of the first mapping of it.
    fn below(&self, spec: &CaptureSpec) -> Result<Below> {
        let mut below = Below {
            spec: CaptureSpec {
                replanned: spec.replanned,
                migration: spec.migration.clone(),
                tables: Vec::new(),
            },
            tables: HashMap::new(),
        };
        let mut first: HashMap<&TableName, TableId> = HashMap::new();
        for mapping in &spec.tables {
            let table = mapping.source_table();
            let own = |column: &Column, cell: &Cell| self.inner.own_form(column, cell);
            let mapped = MappedTable::new(mapping, &own);
            let mapped = mapped.map_err(|e| e.at(self.inner.label(), table))?;
            let id = *first.entry(&table.name).or_insert_with(|| {
                let raw = match mapping.origin {
                    None => mapping.clone(),
                    Some(_) => mapped.raw.clone(),
                };
                below.spec.tables.push(raw);
                mapping.id
            });
            below.tables.entry(id).or_default().push(mapped);
        }
        Ok(below)
    }
}

/// A capture as the store below is asked for it.
struct Below {
    spec: CaptureSpec,
    tables: HashMap<TableId, Vec<MappedTable>>,
}

fn is_mapped(tables: &[TableMapping]) -> bool {
    tables.iter().any(|mapping| mapping.origin.is_some())
}

#[async_trait]
impl Source for MappedSource {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    fn label(&self) -> &str {
        self.inner.label()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn copy_formats(&self, mapping: &TableMapping) -> Vec<CopyFormat> {
        match mapping.origin {
            None => self.inner.copy_formats(mapping),
            Some(_) => Vec::new(),
        }
    }

    async fn describe(&self) -> Result<Schema> {
        self.inner.describe().await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        self.inner.identity().await
    }

    async fn findings(&self, spec: &CaptureSpec) -> Result<Vec<Finding>> {
        self.inner.findings(&self.below(spec)?.spec).await
    }

    fn grants(&self, spec: &CaptureSpec) -> String {
        // a mapping that does not fit has its finding
        match self.below(spec) {
            Ok(below) => self.inner.grants(&below.spec),
            Err(_) => self.inner.grants(spec),
        }
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        self.inner.made(migration).await
    }

    async fn create_capture(&self, spec: &CaptureSpec) -> Result<CaptureStart> {
        self.inner.create_capture(&self.below(spec)?.spec).await
    }

    async fn remove_capture(&self, migration: &str) -> Result<Vec<Made>> {
        self.inner.remove_capture(migration).await
    }

    async fn open_stream(
        &self,
        spec: &CaptureSpec,
        from: Position,
    ) -> Result<Box<dyn ChangeStream>> {
        if !is_mapped(&spec.tables) {
            return self.inner.open_stream(spec, from).await;
        }
        let below = self.below(spec)?;
        let stream = self.inner.open_stream(&below.spec, from).await?;
        let store = Arc::clone(&self.inner);
        Ok(Box::new(MappedStream::new(stream, store, below.tables)))
    }

    async fn open_snapshot(&self, tables: &[&Table]) -> Result<Box<dyn SourceSnapshot>> {
        let snapshot = self.inner.open_snapshot(tables).await?;
        let store = Arc::clone(&self.inner);
        Ok(Box::new(MappedSnapshot::new(snapshot, store)))
    }

    async fn probe(&self, migration: &str) -> Result<Probe> {
        self.inner.probe(migration).await
    }

    async fn maybe_unseen(&self) -> Result<Vec<TransactionId>> {
        self.inner.maybe_unseen().await
    }

    async fn round_trip(&self) -> Result<Option<Duration>> {
        self.inner.round_trip().await
    }

    async fn watch(&self, spec: &CaptureSpec) -> Result<WatchOutcome> {
        if !is_mapped(&spec.tables) {
            return self.inner.watch(spec).await;
        }
        self.inner.watch(&self.below(spec)?.spec).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        self.inner.sequences().await
    }

    async fn sequence_states(&self) -> Result<Vec<(TableName, SequenceState)>> {
        self.inner.sequence_states().await
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        self.inner.query_columns(sql).await
    }

    fn show_position(&self, position: Position) -> String {
        self.inner.show_position(position)
    }

    fn log_bytes(&self, from: Position, to: Position) -> Option<u64> {
        self.inner.log_bytes(from, to)
    }

    async fn truths(&self, table: &Table, look: bool) -> Result<Vec<Truths>> {
        self.inner.truths(table, look).await
    }

    fn own_form(&self, column: &Column, cell: &Cell) -> Option<Cell> {
        self.inner.own_form(column, cell)
    }

    async fn resume(&self, kept: &Kept) -> Result<Option<Successor>> {
        self.inner.resume(kept).await
    }

    fn mark(&self, checkpoint: Position) -> Option<String> {
        self.inner.mark(checkpoint)
    }

    fn placed(&self, beginning: Beginning, before: Option<Position>) -> Beginning {
        self.inner.placed(beginning, before)
    }

    fn show_transaction(&self, t: TransactionId) -> String {
        self.inner.show_transaction(t)
    }
}
