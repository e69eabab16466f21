//! What rows come from.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use crossfade_model::{
    Beginning, BucketSums, Cell, Digester, Finding, Key, Position, Replanned, Row, Schema,
    Snapshot, StreamEvent, Table, TableMapping, TableName, TransactionId,
};
use serde::{Deserialize, Serialize};

use crate::pace::Pace;
use crate::{
    Aggregates, Capabilities, Query, QueryColumn, Result, SequenceState, SumPlace, Truths,
};

/// Who a store is, so that another one under the same address is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Engine and version, for people (`PostgreSQL 17.4`). Not compared.
    pub version: String,
    /// What must stay the same for positions to mean the same (system identifier and timeline and database; file identity).
    pub identity: String,
}

/// What is to be captured.
#[derive(Debug, Clone)]
pub struct CaptureSpec {
    /// The migration's name; names of things made on the source derive from it.
    pub migration: String,
    /// The mapped tables; a change names them by their [`crossfade_model::TableId`].
    pub tables: Vec<TableMapping>,
    /// The tables were planned anew, where the stream had come to an altered one.
    pub replanned: Option<Replanned>,
}

/// Something that was made on a store, or is found to be there, and can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// `replication slot`, `publication`, `trigger`, `table`, `schema`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What else is worth knowing (log kept back by a slot, rows in a change table).
    pub detail: String,
}

/// Where a capture starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStart {
    /// The stream's first position.
    pub position: Position,
    /// A snapshot that sees everything which the stream will not bring. Every chunk's snapshot must cover it.
    pub base: Snapshot,
    /// What was made on the source.
    pub made: Vec<Made>,
}

/// What a target keeps of its source, given back to the source before anything is read from it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who the source was ([`SourceIdentity::identity`]).
    pub identity: String,
    /// How far its log was applied.
    pub checkpoint: Position,
    /// What [`Source::mark`] said of that very checkpoint.
    pub mark: Option<String>,
    /// What was said ([`SourceSnapshot::seen`]) of each snapshot of which rows are kept that may see more than the checkpoint stands for.
    pub seen: Vec<Option<String>>,
}

/// Another server that has taken the source's place, and has in its own log all that was applied and read from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Who it is.
    pub identity: SourceIdentity,
    /// Where its log goes on: exactly what was applied lies before. Behind all positions of the server before.
    pub checkpoint: Position,
    /// The mark of that checkpoint.
    pub mark: Option<String>,
    /// The end of its log: whatever a snapshot of the server before saw lies before it.
    pub end: Position,
}

/// What the source's end looks like now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// A snapshot taken now. A transaction that it sees is seen by every later snapshot.
    pub snapshot: Snapshot,
    /// The end of the log, read after the snapshot opened.
    pub log_end: Position,
    /// Bytes (or rows of the change table) of log that the source keeps back for the capture; for its budget and for reporting. More than what is
    /// not confirmed where the store needs older log to read on.
    pub log_kept_bytes: u64,
}

/// A bound of a chunk: the encoded key, and the key's cells for the store to compare with.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The encoded key.
    pub key: Key,
    /// The key columns' cells, in key order.
    pub cells: Vec<Cell>,
}

/// Which rows of a table a chunk holds.
#[derive(Debug, Clone, PartialEq)]
pub enum ChunkRange {
    /// Every row.
    All,
    /// Keys from `low` (inclusive; `None`: from the first) up to `high` (exclusive; `None`: to the last).
    Keys {
        /// Inclusive.
        low: Option<Bound>,
        /// Exclusive.
        high: Option<Bound>,
    },
    /// A part of a table by physical place, in the store's own words; from [`SourceSnapshot::parts`].
    Part(String),
}

/// A format in which one engine hands rows to the same engine, undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's COPY, binary.
    PostgresBinary,
    /// PostgreSQL's COPY, text.
    PostgresText,
}

/// How rows are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadForm {
    /// As cells.
    Rows,
    /// As the format's bytes. Blocks split anywhere, also within a row.
    Copy(CopyFormat),
}

/// Some rows, as asked for. At most a few megabytes.
#[derive(Debug, Clone)]
pub enum RowBlock {
    /// Decoded to cells, in the order of the table's captured columns.
    Rows(Vec<Row>),
    /// The format's bytes.
    Copy(Bytes),
}

/// Rows being read.
#[async_trait]
pub trait RowStream: Send {
    /// The next block; `None` after the last. Dropping the stream ends the read.
    async fn next(&mut self) -> Result<Option<RowBlock>>;
}

/// A consistent read on a source.
#[async_trait]
pub trait SourceSnapshot: Send {
    /// What it sees.
    fn snapshot(&self) -> &Snapshot;

    /// The source's log end, read after the snapshot opened: everything it sees lies before.
    fn horizon(&self) -> Position;

    /// All that it may see, in words that [`Source::resume`] understands; `None` where another server can never take the source's place.
    fn seen(&self) -> Option<String> {
        None
    }

    /// Returns once everything up to the horizon is durable on the source (PostgreSQL: flushed; `synchronous_commit = off`
    /// shows rows that a crash can take back). Bounded in time: an error after it.
    async fn wait_durable(&mut self) -> Result<()>;

    /// Bounds that split an ordered table into about `chunks` chunks, ascending, without the outer infinities. May be fewer.
    async fn bounds(&mut self, mapping: &TableMapping, chunks: usize) -> Result<Vec<Bound>>;

    /// Physical parts that together hold every row that this snapshot sees, about `parts` of them. Words for
    /// [`ChunkRange::Part`]. A later snapshot finds a row that was not changed in between in the same part, or this
    /// fails (the table was rewritten): see `rewritten`.
    async fn parts(&mut self, mapping: &TableMapping, parts: usize) -> Result<Vec<String>>;

    /// A text that changes when the table's rows move physically all at once (rewritten, clustered, restored).
    async fn physical_identity(&mut self, mapping: &TableMapping) -> Result<String>;

    /// Reads rows. Rows hold the source's captured columns in order.
    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
        form: ReadForm,
    ) -> Result<Box<dyn RowStream + 'a>>;

    /// The rows of these keys (`keys` hold the key's cells at their captured columns' places, others NULL). Missing rows
    /// are absent from the result. At most a few hundred keys.
    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>>;

    /// Where the digests of this table's rows can be computed. The program always can. Pure.
    fn sum_places(&self, _mapping: &TableMapping) -> Vec<SumPlace> {
        vec![SumPlace::Program]
    }

    /// Sums the digests of a range's rows. The same whatever the place is.
    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        place: SumPlace,
    ) -> Result<BucketSums>;

    /// Keeps to a pace from now on, in sums that the program computes.
    fn set_pace(&mut self, pace: Pace);

    /// Measures the columns of the whole table; see [`crate::aggregates::measures`].
    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates>;

    /// Runs a query that the operator wrote, which can only read; a bounded time. After an error nothing more can be read.
    async fn query(&mut self, sql: &str) -> Result<Query<'_>>;

    /// Ends the read.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A source's changes, in commit order.
#[async_trait]
pub trait ChangeStream: Send {
    /// Some next events, at least one and at most a few thousand (a transaction may come in several calls). Returns within about
    /// a second also when nothing happens (with a `Progress`, or empty). Cancel-safe.
    async fn next(&mut self) -> Result<Vec<StreamEvent>>;

    /// Tells the source what the target durably holds: log before it may go. Never call with more than the checkpoint.
    async fn confirm(&mut self, checkpoint: Position) -> Result<()>;
}

/// The outcome of looking at the source for what the stream does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchOutcome {
    /// As planned.
    Same,
    /// Something changed that stops the run: table and words.
    Changed(Vec<(String, String)>),
}

/// A store that rows come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The engine's name (`postgres`, `sqlite`): two stores of the same name speak the same dialect.
    fn engine(&self) -> &'static str;

    /// The URL without secrets.
    fn label(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The formats in which this table's rows can be read undecoded, best first. Pure.
    fn copy_formats(&self, _mapping: &TableMapping) -> Vec<CopyFormat> {
        Vec::new()
    }

    /// Tables and what stands around them.
    async fn describe(&self) -> Result<Schema>;

    /// Who it is.
    async fn identity(&self) -> Result<SourceIdentity>;

    /// What speaks against capturing these tables: settings, privileges, replica identities, keys. Makes nothing.
    async fn findings(&self, spec: &CaptureSpec) -> Result<Vec<Finding>>;

    /// SQL that makes a least-privileged role for this side, for an administrator to read and run. Empty where the store has no roles.
    fn grants(&self, spec: &CaptureSpec) -> String;

    /// What this migration has made here, as found now.
    async fn made(&self, migration: &str) -> Result<Vec<Made>>;

    /// Makes the capture (publication then slot; change table and triggers), so that every change from the returned
    /// position on is kept. An unfinished earlier try is replaced.
    async fn create_capture(&self, spec: &CaptureSpec) -> Result<CaptureStart>;

    /// Removes all that [`Source::made`] lists and returns what was removed. What it may not remove is an error that
    /// names the statement for the administrator.
    async fn remove_capture(&self, migration: &str) -> Result<Vec<Made>>;

    /// Looks whether what a target keeps of this source still holds, before anything else is read from it: the log may have been begun
    /// anew, or another server answer under the address. A server that can go on where the other ended is returned, and nothing but its
    /// checkpoint may be read from after that. `Ok(None)` where nothing changed, or where only [`Source::identity`] can tell.
    ///
    /// # Errors
    /// [`crate::ErrorKind::WrongStore`], [`crate::ErrorKind::LogLost`] where going on would lose changes or apply some twice.
    async fn resume(&self, _kept: &Kept) -> Result<Option<Successor>> {
        Ok(None)
    }

    /// What is to be kept with a checkpoint at this position, for [`Source::resume`]. Asked in order, of positions that the open stream
    /// has brought, or of the one at which the capture was made. Pure.
    fn mark(&self, _checkpoint: Position) -> Option<String> {
        None
    }

    /// A beginning of this source's own, as positions of a lane that was at `before` so far: behind it, whatever became of this source
    /// meanwhile. Pure.
    fn placed(&self, beginning: Beginning, _before: Option<Position>) -> Beginning {
        beginning
    }

    /// Opens the stream after `from`. Fails with [`crate::ErrorKind::LogLost`] where the source no longer has everything from there,
    /// also where the source was told of more progress than `from`.
    async fn open_stream(
        &self,
        spec: &CaptureSpec,
        from: Position,
    ) -> Result<Box<dyn ChangeStream>>;

    /// Opens a snapshot in which `tables` can be read. Their shape cannot change until it closes.
    async fn open_snapshot(&self, tables: &[&Table]) -> Result<Box<dyn SourceSnapshot>>;

    /// Looks at the end of the log and at what is visible now. Cheap: milliseconds.
    async fn probe(&self, migration: &str) -> Result<Probe>;

    /// Transactions that the log may show as committed and that readers may not see yet: at least those, at most all that have
    /// not ended. A process that does not know what the one before has applied asks for them.
    async fn maybe_unseen(&self) -> Result<Vec<TransactionId>> {
        Ok(Vec::new())
    }

    /// How long a query that does nothing takes on an open connection; `None` where no server answers it.
    async fn round_trip(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// Looks for what the stream does not show: partitions attached or detached, triggers dropped, DDL.
    async fn watch(&self, spec: &CaptureSpec) -> Result<WatchOutcome>;

    /// Present values of the schema's sequences; see [`Schema::sequences`].
    async fn sequences(&self) -> Result<Vec<crossfade_model::Sequence>>;

    /// The same sequences with how they go on, by name.
    async fn sequence_states(&self) -> Result<Vec<(TableName, SequenceState)>>;

    /// What a query that the operator wrote would give, without running it.
    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>>;

    /// Columns of a table that hold true and false as numbers, in a store that has no type for them, and whether they hold nothing else
    /// now. Reads the table for some seconds at most; with `look` not set, nothing is read.
    async fn truths(&self, _table: &Table, _look: bool) -> Result<Vec<Truths>> {
        Ok(Vec::new())
    }

    /// A position for people (`0/1A2B3C4`).
    fn show_position(&self, position: Position) -> String;

    /// Bytes of log between two positions, where positions are bytes; `None` where they are counts.
    fn log_bytes(&self, from: Position, to: Position) -> Option<u64>;

    /// A value of any store as this one would hand it over from a column; `None` where it has none like it. For keys of rows that
    /// only the target has. Pure.
    fn own_form(&self, column: &crossfade_model::Column, cell: &Cell) -> Option<Cell>;

    /// How the identity of a transaction reads for people.
    fn show_transaction(&self, t: TransactionId) -> String {
        t.0.to_string()
    }
}
