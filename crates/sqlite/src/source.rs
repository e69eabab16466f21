//! A SQLite file as a source.

use async_trait::async_trait;
use crossfade_model::{
    Cell, Column, Finding, Position, Schema, Sequence, Snapshot, Table, TableName,
};
use crossfade_store::{
    Capabilities, CaptureSpec, CaptureStart, ChangeStream, Made, Probe, QueryColumn, Result,
    SequenceState, Source, SourceIdentity, SourceSnapshot, WatchOutcome,
};

use crate::capture::state::{self, Shape};
use crate::conn::Purpose;
use crate::snapshot::SqliteSnapshot;
use crate::{SqliteStore, capture, cells, describe, findings, query, stream, table_info};

#[async_trait]
impl Source for SqliteStore {
    fn engine(&self) -> &'static str {
        crate::ENGINE
    }

    fn label(&self) -> &str {
        &self.place.label
    }

    fn capabilities(&self) -> Capabilities {
        crate::CAPABILITIES
    }

    fn own_form(&self, column: &Column, cell: &Cell) -> Option<Cell> {
        cells::own_form(column.logical, cell)
    }

    async fn describe(&self) -> Result<Schema> {
        self.described().await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        self.identified().await
    }

    async fn findings(&self, spec: &CaptureSpec) -> Result<Vec<Finding>> {
        self.remember(&spec.migration);
        let spec = spec.clone();
        self.reading("cannot look at the file", move |conn, place| {
            findings::find(conn, place, &spec)
        })
        .await
    }

    fn grants(&self, _spec: &CaptureSpec) -> String {
        String::new()
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        self.remember(migration);
        let migration = migration.to_owned();
        self.reading("cannot list the capture", move |conn, _| {
            capture::made(conn, &migration)
        })
        .await
    }

    async fn create_capture(&self, spec: &CaptureSpec) -> Result<CaptureStart> {
        self.remember(&spec.migration);
        let spec = spec.clone();
        self.working(Purpose::Write, move |conn, place| {
            capture::create(conn, place, &spec)
        })
        .await
    }

    async fn remove_capture(&self, migration: &str) -> Result<Vec<Made>> {
        let migration = migration.to_owned();
        self.working(Purpose::Write, move |conn, place| {
            capture::remove(conn, place, &migration)
        })
        .await
    }

    async fn open_stream(
        &self,
        spec: &CaptureSpec,
        from: Position,
    ) -> Result<Box<dyn ChangeStream>> {
        self.remember(&spec.migration);
        Ok(Box::new(stream::open(&self.place, spec, from).await?))
    }

    async fn open_snapshot(&self, tables: &[&Table]) -> Result<Box<dyn SourceSnapshot>> {
        Ok(Box::new(
            SqliteSnapshot::open(&self.place, self.remembered(), tables).await?,
        ))
    }

    async fn probe(&self, migration: &str) -> Result<Probe> {
        self.remember(migration);
        let migration = migration.to_owned();
        self.working(Purpose::Read, move |conn, place| {
            let state = state::read(conn, place, &migration)?;
            let last = state::last_sequence(conn, &migration)
                .map_err(place.failed("cannot read the change table's end"))?
                .ok_or_else(|| state::log_lost(place, "the change table was emptied"))?;
            Ok(Probe {
                snapshot: Snapshot::Sequence(last),
                log_end: Position(last),
                log_kept_bytes: last.saturating_sub(state.trimmed),
            })
        })
        .await
    }

    async fn watch(&self, spec: &CaptureSpec) -> Result<WatchOutcome> {
        self.remember(&spec.migration);
        let spec = spec.clone();
        self.working(Purpose::Read, move |conn, place| {
            let state = state::read(conn, place, &spec.migration)?;
            let shape = state::check_shape(conn, &state.tables)
                .map_err(place.failed("cannot check the captured tables"))?;
            let table_of = |id| {
                spec.tables
                    .iter()
                    .find(|m| m.id == id)
                    .map_or_else(String::new, |m| m.source.name.to_string())
            };
            Ok(match shape {
                Shape::Same => WatchOutcome::Same,
                Shape::Table(id, what) => WatchOutcome::Changed(vec![(table_of(id), what)]),
                // what carries the changes: named by itself, for no table's change can heal it
                Shape::Triggers(names) => WatchOutcome::Changed(
                    names
                        .into_iter()
                        .map(|name| (name, "the trigger was dropped or altered".to_owned()))
                        .collect(),
                ),
                Shape::Unlogged(table, what) => {
                    WatchOutcome::Changed(vec![(format!("capture of {table}"), what)])
                }
            })
        })
        .await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        self.reading("cannot read the sequences", |conn, _| {
            let mut out = Vec::new();
            for name in table_info::application_tables(conn)? {
                if let Some(info) = table_info::read(conn, &name)? {
                    out.extend(describe::sequence(conn, &info)?);
                }
            }
            Ok(out)
        })
        .await
    }

    async fn sequence_states(&self) -> Result<Vec<(TableName, SequenceState)>> {
        let sequences = self.sequences().await?;
        let states = sequences.into_iter().map(|s| {
            let state = SequenceState {
                value: s.last_value,
                first: Some(1),
                increment: None,
                cycles: false,
            };
            (s.name, state)
        });
        Ok(states.collect())
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let sql = sql.to_owned();
        self.working(Purpose::Read, move |connection, place| {
            query::columns(place, connection, &sql)
        })
        .await
    }

    fn show_position(&self, position: Position) -> String {
        position.0.to_string()
    }

    /// Positions count changes.
    fn log_bytes(&self, _from: Position, _to: Position) -> Option<u64> {
        None
    }
}
