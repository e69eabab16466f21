//! Consistent reads of a source: what they see, and the rows in it.

mod parts;
mod splits;

use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{
    BucketSums, Canonical, Column, Digester, Position, Row, Snapshot, Table, TableMapping,
};
use crossfade_store::pace::Pace;
use crossfade_store::{
    Aggregates, Bound, ChunkRange, CopyFormat, ErrorKind, Query, ReadForm, Result, RowStream,
    SourceSnapshot, StoreError, SumPlace,
};

use crate::aggregates;
use crate::by_key;
use crate::capture::{self, LOG_END};
use crate::connect::Client;
use crate::copy_out::CopyOut;
use crate::lsn;
use crate::names::{ident_list, qualified, quote_ident};
use crate::query;
use crate::range;
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::sums::raw::RawReads;
use crate::sums::server::Forms;
use crate::sums::{self, Summand};

/// How long the source may take to make durable what a snapshot sees.
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);

/// After so long the log is flushed by a commit of our own.
const NUDGE_AFTER: Duration = Duration::from_millis(30);

/// How long the end of a snapshot may take for its connection to be used again.
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

const FLUSH_PAUSE: Duration = Duration::from_millis(3);

struct PostgresSnapshot {
    store: PostgresStore,
    client: Client,
    raw: RawReads,
    snapshot: Snapshot,
    horizon: Position,
}

/// The formats in which this table's rows can be read undecoded, best first; see [`crossfade_store::Source::copy_formats`].
///
/// Binary forms of system types mean the same on every server; those that hold object ids, or are normalised when they are
/// read as binary, do not.
#[must_use]
pub fn copy_formats(mapping: &TableMapping) -> Vec<CopyFormat> {
    if !mapping.same_shape {
        return Vec::new();
    }
    if mapping
        .source
        .captured()
        .all(|c| is_binary_safe(&c.declared))
    {
        vec![CopyFormat::PostgresBinary, CopyFormat::PostgresText]
    } else {
        vec![CopyFormat::PostgresText]
    }
}

/// System types by their formatted names; with a pinned `search_path`, a user's type has its schema before it.
fn is_binary_safe(declared: &str) -> bool {
    let base = declared.split(['(', '[']).next().unwrap_or(declared).trim();
    // `timestamp(3) without time zone`, `character varying(20)`: the name's first words say enough
    matches!(
        base,
        "boolean"
            | "smallint"
            | "integer"
            | "bigint"
            | "real"
            | "double precision"
            | "numeric"
            | "text"
            | "character varying"
            | "character"
            | "bytea"
            | "date"
            | "timestamp"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "time"
            | "time without time zone"
            | "time with time zone"
            | "uuid"
            | "json"
            | "jsonb"
            | "inet"
            | "cidr"
            | "macaddr"
            | "macaddr8"
            | "bit"
            | "bit varying"
            | "int4range"
            | "int8range"
            | "numrange"
            | "daterange"
            | "tsrange"
            | "tstzrange"
            | "point"
    ) || base.starts_with("interval")
}

/// Opens a snapshot in which `tables` can be read; see [`crossfade_store::Source::open_snapshot`].
///
/// # Errors
/// [`ErrorKind::SchemaMismatch`] where a table is not as planned; [`ErrorKind::Unsupported`] on a standby;
/// [`ErrorKind::Busy`] where a table's lock is not to be had.
pub async fn open_snapshot(
    store: &PostgresStore,
    tables: &[&Table],
) -> Result<Box<dyn SourceSnapshot>> {
    let client = store.connect(Purpose::Snapshot).await?;
    // on a standby a snapshot sees what it has replayed: that says nothing about the primary's log
    capture::refuse_standby(&client, store.label()).await?;
    // the locks come before the snapshot: a table that was rewritten between the two would read as empty
    client
        .batch("locking the tables to read", &lock_statement(tables))
        .await?;
    let doing = "opening a snapshot";
    // functions of the list are computed after the transaction's snapshot was taken
    let opening = format!("SELECT pg_current_snapshot()::text, {LOG_END}");
    let row = client.query_one(doing, &opening, &[]).await?;
    let (snapshot, horizon) = capture::snapshot_and_end(store.label(), &row)?;
    if let Some((table, what)) = capture::table_differences(&client, tables).await?.pop() {
        return Err(StoreError::new(
            ErrorKind::SchemaMismatch,
            "postgres.table_changed",
            store.label(),
            what,
        )
        .table(table));
    }
    Ok(Box::new(PostgresSnapshot {
        store: store.clone(),
        raw: RawReads::new(store, Purpose::Snapshot),
        client,
        snapshot,
        horizon,
    }))
}

fn lock_statement(tables: &[&Table]) -> String {
    let mut sql = String::from("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
    // backfill is the first load to be shed: no helpers beside the one process
    sql.push_str("SET LOCAL max_parallel_workers_per_gather = 0;");
    let names: Vec<String> = tables.iter().map(|table| relation(table)).collect();
    if !names.is_empty() {
        sql.push_str(&format!(
            "LOCK TABLE {} IN ACCESS SHARE MODE",
            names.join(", ")
        ));
    }
    sql
}

/// The table as rows are read from it: with its partitions, without the tables that inherit from it.
fn relation(table: &Table) -> String {
    match table.partition_by {
        Some(_) => qualified(&table.name),
        None => format!("ONLY {}", qualified(&table.name)),
    }
}

fn captured_list(table: &Table) -> String {
    ident_list(table.captured().map(|c| c.name.as_str()))
}

impl PostgresSnapshot {
    fn error(&self, mapping: &TableMapping, code: &'static str, what: &str) -> StoreError {
        StoreError::new(ErrorKind::Internal, code, self.store.label(), what)
            .table(&mapping.source.name)
    }

    /// A range's rows as a query reads them: what follows FROM.
    fn queried(&self, mapping: &TableMapping, range: &ChunkRange) -> Result<String> {
        let table = &mapping.source;
        match range {
            ChunkRange::Part(word) => parts::Part::parse(word)
                .filter(|part| part.belongs_to(table))
                .map(|part| part.selection())
                .ok_or_else(|| {
                    self.error(
                        mapping,
                        "postgres.part",
                        "the part is not one of this table",
                    )
                }),
            ChunkRange::All => Ok(relation(table)),
            ChunkRange::Keys { .. } => {
                let condition = range::condition(&range::source_key(mapping), range)
                    .map_err(|e| self.error(mapping, "postgres.range", &e.to_string()))?;
                Ok(format!("{} WHERE {condition}", relation(table)))
            }
        }
    }

    /// What COPY reads for a range.
    fn copied(&self, mapping: &TableMapping, range: &ChunkRange) -> Result<String> {
        let table = &mapping.source;
        let columns = captured_list(table);
        if *range == ChunkRange::All && table.partition_by.is_none() {
            return Ok(format!("{} ({columns})", qualified(&table.name)));
        }
        let rows = self.queried(mapping, range)?;
        Ok(format!("(SELECT {columns} FROM {rows})"))
    }

    fn forms(&self, mapping: &TableMapping) -> Option<Forms> {
        let columns = mapping.source.captured().map(Some);
        Forms::new(mapping, columns, self.client.version())
    }

    /// The flush position; read in the open transaction, which does not hold it still.
    async fn flushed(&self) -> Result<bool> {
        let row = self
            .client
            .query_one(
                "waiting for the log's flush",
                "SELECT pg_current_wal_flush_lsn()::text",
                &[],
            )
            .await?;
        Ok(lsn::parse(row.get(0)).is_some_and(|at| at >= self.horizon))
    }
}

#[async_trait]
impl SourceSnapshot for PostgresSnapshot {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn horizon(&self) -> Position {
        self.horizon
    }

    async fn wait_durable(&mut self) -> Result<()> {
        let begun = tokio::time::Instant::now();
        let mut nudged = false;
        while !self.flushed().await? {
            if begun.elapsed() > FLUSH_PATIENCE {
                return Err(StoreError::new(
                    ErrorKind::Unavailable,
                    "postgres.not_flushed",
                    self.store.label(),
                    format!(
                        "the log was not flushed up to {} within {} s",
                        lsn::show(self.horizon),
                        FLUSH_PATIENCE.as_secs()
                    ),
                )
                .fix("Look at the source's disk: its log is not written"));
            }
            if !nudged && begun.elapsed() > NUDGE_AFTER {
                let client = self.store.connect(Purpose::Check).await?;
                capture::flush_log(&client).await?;
                nudged = true;
            }
            tokio::time::sleep(FLUSH_PAUSE).await;
        }
        Ok(())
    }

    async fn bounds(&mut self, mapping: &TableMapping, chunks: usize) -> Result<Vec<Bound>> {
        if chunks < 2 || !mapping.source.is_ordered() {
            return Ok(Vec::new());
        }
        let from = relation(&mapping.source);
        if let Some(column) = splits::single_integer(mapping) {
            let name = quote_ident(&column.name);
            let row = self
                .client
                .query_one(
                    "looking for the first and last key",
                    &format!("SELECT min({name})::bigint, max({name})::bigint FROM {from}"),
                    &[],
                )
                .await?;
            let ends: (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
            let (Some(first), Some(last)) = ends else {
                return Ok(Vec::new());
            };
            if splits::is_dense(first, last, mapping.source.estimated_rows) {
                return Ok(splits::even(mapping, first, last, chunks));
            }
        }
        let columns: Vec<String> = mapping
            .source
            .captured()
            .enumerate()
            .map(|(at, column)| splits::sampled_column(mapping, at, column))
            .collect();
        let mut percent = splits::sample_percent(&mapping.source, chunks);
        loop {
            let sample = splits::sample_clause(percent);
            let source = format!("(SELECT {} FROM {from} {sample})", columns.join(", "));
            let width = mapping.source.captured().count();
            let rows = by_key::rows(&self.client, self.store.label(), &source, width).await?;
            if !splits::is_too_small(rows.len(), percent, chunks) {
                return Ok(splits::quantiles(mapping, rows, chunks));
            }
            // estimates were wrong
            percent = (percent * 10.0).min(100.0);
        }
    }

    async fn parts(&mut self, mapping: &TableMapping, parts: usize) -> Result<Vec<String>> {
        let leaves = parts::leaves(&self.client, &mapping.source).await?;
        // before version 14 a range of places is read by reading all
        let parts = if self.client.version() >= 140_000 {
            parts
        } else {
            1
        };
        Ok(parts::cut(&leaves, parts))
    }

    async fn physical_identity(&mut self, mapping: &TableMapping) -> Result<String> {
        let leaves = parts::leaves(&self.client, &mapping.source).await?;
        Ok(parts::identity(&leaves))
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
        form: ReadForm,
    ) -> Result<Box<dyn RowStream + 'a>> {
        let source = self.copied(mapping, range)?;
        let width = mapping.source.captured().count();
        let rows = CopyOut::begin(&self.client, self.store.label(), &source, &form, width)
            .await
            .map_err(|e| e.table(&mapping.source.name))?;
        Ok(Box::new(rows))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let captured: Vec<&Column> = mapping.source.captured().collect();
        let columns: Vec<&str> = captured.iter().map(|c| c.name.as_str()).collect();
        let selection = by_key::Selection {
            table: &mapping.source.name,
            relation: relation(&mapping.source),
            columns: &columns,
            key: by_key::parts(mapping, Canonical::Exact, |at| captured.get(at).copied()),
        };
        by_key::read(&self.client, self.store.label(), &selection, keys).await
    }

    fn sum_places(&self, mapping: &TableMapping) -> Vec<SumPlace> {
        sums::places(self.forms(mapping).as_ref())
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        place: SumPlace,
    ) -> Result<BucketSums> {
        let summand = Summand {
            mapping,
            copied: self.copied(mapping, range)?,
            queried: self.queried(mapping, range)?,
            forms: self.forms(mapping),
        };
        let label = self.store.label();
        let raw = &mut self.raw;
        summand.sum(&self.client, raw, label, digester, place).await
    }

    fn set_pace(&mut self, pace: Pace) {
        self.raw.set_pace(pace);
    }

    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates> {
        let columns: Vec<_> = mapping.source.captured().collect();
        let relation = relation(&mapping.source);
        aggregates::measure(
            &self.client,
            self.store.label(),
            mapping,
            &relation,
            &columns,
        )
        .await
        .map_err(|e| e.table(&mapping.source.name))
    }

    async fn query(&mut self, sql: &str) -> Result<Query<'_>> {
        query::run(&self.client, self.store.label(), sql).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // one whose reading was cut short has rows on the way: it is closed
        let ending = self.client.batch("ending a snapshot", "COMMIT");
        if let Ok(Ok(())) = tokio::time::timeout(CLOSE_PATIENCE, ending).await {
            self.store.keep(self.client);
        }
        Ok(())
    }
}

/// The keys as rows of literals of the columns' types; `None` where a key is not whole.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_whose_binary_form_is_everywhere_the_same_are_passed_as_binary() {
        for declared in [
            "bigint",
            "numeric(10,2)",
            "character varying(20)[]",
            "timestamp(3) with time zone",
            "interval(3)",
            "interval day to second",
            "bit(5)",
        ] {
            assert!(is_binary_safe(declared), "{declared}");
        }
        for declared in [
            "public.mood",
            "regclass",
            "xml",
            "oid",
            "public.\"numeric\"",
            "money",
        ] {
            assert!(!is_binary_safe(declared), "{declared}");
        }
    }
}
