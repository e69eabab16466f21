//! A database as a source.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{
    Beginning, Cell, Column, Finding, Position, Schema, Sequence, Snapshot, Table, TableName,
    TransactionId,
};
use crossfade_mysql_binlog::LogPosition;
use crossfade_store::{
    Capabilities, CaptureSpec, CaptureStart, ChangeStream, ErrorKind, Kept, Made, Probe,
    QueryColumn, Result, SequenceState, Source, SourceIdentity, SourceSnapshot, Successor, Truths,
    WatchOutcome,
};

use crate::describe::key_name;
use crate::session::Purpose;
use crate::snapshot::MysqlSnapshot;
use crate::{MysqlStore, describe, findings, grants, lineage, position, query, stream, truths};

#[async_trait]
impl Source for MysqlStore {
    fn engine(&self) -> &'static str {
        crate::ENGINE
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn capabilities(&self) -> Capabilities {
        crate::CAPABILITIES
    }

    fn own_form(&self, column: &Column, cell: &Cell) -> Option<Cell> {
        crate::cells::own_form(crate::types::Kind::parse(&column.declared), cell)
    }

    async fn truths(&self, table: &Table, look: bool) -> Result<Vec<Truths>> {
        truths::of_table(self, table, look).await
    }

    async fn describe(&self) -> Result<Schema> {
        self.described().await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        self.identified().await
    }

    async fn findings(&self, spec: &CaptureSpec) -> Result<Vec<Finding>> {
        let mut client = self.connect(Purpose::Check).await?;
        let found = findings::source(&mut client, spec).await?;
        client.close().await;
        Ok(found)
    }

    fn grants(&self, spec: &CaptureSpec) -> String {
        grants::source(&self.address.database, spec)
    }

    /// The server's own log is the capture.
    async fn made(&self, _migration: &str) -> Result<Vec<Made>> {
        Ok(Vec::new())
    }

    async fn create_capture(&self, _spec: &CaptureSpec) -> Result<CaptureStart> {
        let mut client = self.connect(Purpose::Check).await?;
        let position = position::visible_end(&mut client).await?;
        lineage::begin(self, &mut client, position).await?;
        client.close().await;
        Ok(CaptureStart {
            position,
            base: Snapshot::Sequence(position.0),
            made: Vec::new(),
        })
    }

    async fn remove_capture(&self, _migration: &str) -> Result<Vec<Made>> {
        Ok(Vec::new())
    }

    async fn resume(&self, kept: &Kept) -> Result<Option<Successor>> {
        lineage::resume(self, kept).await
    }

    fn mark(&self, checkpoint: Position) -> Option<String> {
        self.lineage.mark(checkpoint)
    }

    fn placed(&self, beginning: Beginning, before: Option<Position>) -> Beginning {
        position::placed(beginning, before)
    }

    async fn open_stream(
        &self,
        spec: &CaptureSpec,
        from: Position,
    ) -> Result<Box<dyn ChangeStream>> {
        Ok(Box::new(stream::open(self, spec, from).await?))
    }

    async fn open_snapshot(&self, tables: &[&Table]) -> Result<Box<dyn SourceSnapshot>> {
        Ok(Box::new(MysqlSnapshot::open(self, tables).await?))
    }

    async fn probe(&self, _migration: &str) -> Result<Probe> {
        let mut client = lineage::connect(self, Purpose::Check).await?;
        let seen = position::visible_end(&mut client).await?;
        let log_end = position::log_end(&mut client).await?;
        client.close().await;
        Ok(Probe {
            snapshot: Snapshot::Sequence(seen.0),
            log_end,
            // the server keeps its log as its own settings say, not as long as it is read
            log_kept_bytes: 0,
        })
    }

    /// One id stands for all: a snapshot that sees the last transaction of the log sees those before it.
    async fn maybe_unseen(&self) -> Result<Vec<TransactionId>> {
        let mut client = lineage::connect(self, Purpose::Check).await?;
        let unseen = position::unseen_end(&mut client).await?;
        client.close().await;
        Ok(unseen.map(|end| TransactionId(end.0)).into_iter().collect())
    }

    async fn watch(&self, spec: &CaptureSpec) -> Result<WatchOutcome> {
        let mut client = self.connect(Purpose::Check).await?;
        let mut changed = Vec::new();
        for mapping in &spec.tables {
            let table = &mapping.source;
            let now = match describe::printed(&mut client, &table.name.name).await {
                Ok(now) => now,
                Err(e) if e.kind == ErrorKind::Missing => None,
                Err(e) => return Err(e),
            };
            let shape = |sql: &str| describe::statement::shape(sql, key_name(table));
            let what = match (&now, &table.definition) {
                (None, _) => "the table is gone",
                (Some(now), Some(planned)) if shape(now) != shape(planned) => {
                    "the table's definition is not the planned one"
                }
                _ => continue,
            };
            changed.push((table.name.to_string(), what.to_owned()));
        }
        client.close().await;
        Ok(if changed.is_empty() {
            WatchOutcome::Same
        } else {
            WatchOutcome::Changed(changed)
        })
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        let mut client = self.connect(Purpose::Check).await?;
        let sequences = describe::sequences(&mut client).await?;
        client.close().await;
        Ok(sequences)
    }

    async fn sequence_states(&self) -> Result<Vec<(TableName, SequenceState)>> {
        let sequences = Source::sequences(self).await?;
        let states = sequences.into_iter().map(|sequence| {
            let state = SequenceState {
                value: sequence.last_value,
                first: Some(1),
                // a setting of the session, not of the table
                increment: None,
                cycles: false,
            };
            (sequence.name, state)
        });
        Ok(states.collect())
    }

    async fn round_trip(&self) -> Result<Option<Duration>> {
        let mut client = self.connect(Purpose::Check).await?;
        let begun = Instant::now();
        client.run("asking nothing", "DO 0").await?;
        let took = begun.elapsed();
        client.close().await;
        Ok(Some(took))
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let mut client = self.connect(Purpose::Check).await?;
        let columns = query::columns(&mut client, sql).await?;
        client.close().await;
        Ok(columns)
    }

    fn show_position(&self, position: Position) -> String {
        self.server
            .get()
            .and_then(|server| position::base(server))
            .map_or_else(
                || position::show(position),
                |base| format!("{base}.{}", position::show(position)),
            )
    }

    /// Within one file; how long the files between are is not in the positions.
    fn log_bytes(&self, from: Position, to: Position) -> Option<u64> {
        let same_server = LogPosition::succession(from) == LogPosition::succession(to);
        let (from, to) = (LogPosition::unpack(from), LogPosition::unpack(to));
        (same_server && from.file == to.file).then(|| to.offset.saturating_sub(from.offset))
    }
}
