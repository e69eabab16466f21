//! PostgreSQL as a source: what the engine asks, and where it is done.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{
    Cell, Column, Finding, Position, Schema, Sequence, Table, TableMapping, TableName,
    TransactionId,
};
use crossfade_store::{
    Capabilities, CaptureSpec, CaptureStart, ChangeStream, CopyFormat, Made, Probe, QueryColumn,
    Result, SequenceState, Source, SourceIdentity, SourceSnapshot, WatchOutcome,
};

use crate::design::ENGINE;
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::{
    capture, cell_text, describe, findings, grants, identity, lsn, query, replication, snapshot,
    unseen,
};

/// What every PostgreSQL server can do.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        copy_formats: vec![CopyFormat::PostgresBinary, CopyFormat::PostgresText],
        concurrent_writers: true,
        streams_transactions: true,
        captures_in_place: false,
        key_after_load: true,
        // the plan refuses such a key
        differing_keys_are_equal: false,
    }
}

#[async_trait]
impl Source for PostgresStore {
    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn label(&self) -> &str {
        PostgresStore::label(self)
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn copy_formats(&self, mapping: &TableMapping) -> Vec<CopyFormat> {
        snapshot::copy_formats(mapping)
    }

    fn own_form(&self, column: &Column, cell: &Cell) -> Option<Cell> {
        cell_text::own_form(column.logical, cell)
    }

    async fn describe(&self) -> Result<Schema> {
        describe::describe(self).await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        identity::identity(self).await
    }

    async fn findings(&self, spec: &CaptureSpec) -> Result<Vec<Finding>> {
        findings::source(self, spec).await
    }

    fn grants(&self, spec: &CaptureSpec) -> String {
        grants::source(&self.connect_target().dbname, spec)
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        capture::made(self, migration).await
    }

    async fn create_capture(&self, spec: &CaptureSpec) -> Result<CaptureStart> {
        capture::create_capture(self, spec).await
    }

    async fn remove_capture(&self, migration: &str) -> Result<Vec<Made>> {
        capture::remove_capture(self, migration).await
    }

    async fn open_stream(
        &self,
        spec: &CaptureSpec,
        from: Position,
    ) -> Result<Box<dyn ChangeStream>> {
        replication::stream::open_stream(self, spec, from).await
    }

    async fn open_snapshot(&self, tables: &[&Table]) -> Result<Box<dyn SourceSnapshot>> {
        snapshot::open_snapshot(self, tables).await
    }

    async fn probe(&self, migration: &str) -> Result<Probe> {
        capture::probe(self, migration).await
    }

    async fn maybe_unseen(&self) -> Result<Vec<TransactionId>> {
        unseen::maybe_unseen(self).await
    }

    async fn round_trip(&self) -> Result<Option<Duration>> {
        let client = self.connect(Purpose::Check).await?;
        let begun = Instant::now();
        client.batch("asking nothing", "SELECT 1").await?;
        let took = begun.elapsed();
        self.keep(client);
        Ok(Some(took))
    }

    async fn watch(&self, spec: &CaptureSpec) -> Result<WatchOutcome> {
        capture::watch(self, spec).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        describe::sequences(self).await
    }

    async fn sequence_states(&self) -> Result<Vec<(TableName, SequenceState)>> {
        describe::sequence_states(self).await
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        query::columns(self, sql).await
    }

    fn show_position(&self, position: Position) -> String {
        lsn::show(position)
    }

    fn log_bytes(&self, from: Position, to: Position) -> Option<u64> {
        Some(to.0.saturating_sub(from.0))
    }
}
