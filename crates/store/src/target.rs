//! What rows go to.

use async_trait::async_trait;
use crossfade_model::{
    BucketSums, Canonical, Column, Digester, Finding, Omission, Position, Row, Schema, Sequence,
    Table, TableMapping, TableName, UserType,
};

use crate::pace::Pace;
use crate::source::{ChunkRange, Made, RowBlock, RowStream, SourceIdentity};
use crate::{
    Aggregates, Capabilities, Custom, HeldSequence, Query, QueryColumn, RecordWrite, Result,
    Strangers, SumPlace, TargetState,
};

/// The word for the engine of a column that an expression makes: no store's.
pub const MADE: &str = "expression";

/// Whose columns these are: a column that an expression makes is no engine's, and is kept by its meaning.
pub fn engine_of(source_engine: &str, is_made: bool) -> &str {
    if is_made { MADE } else { source_engine }
}

/// How a target would keep a source's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredColumn {
    /// The column as it is to be on the target.
    pub column: Column,
    /// The form in which both sides' values are compared.
    pub canonical: Canonical,
    /// What cannot be kept, where something cannot.
    pub lossy: Option<String>,
    /// Values that the source's type may hold and the target's does not: none is changed, a run stops at the first and names its row.
    pub refuses: Option<String>,
    /// Parts of the column that are not carried (a default in another dialect).
    pub omissions: Vec<Omission>,
}

/// One row to be there after the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsert {
    /// The row; unchanged columns are taken from the target's row of key `base` as it was before this batch.
    pub row: Row,
    /// The key (cells at their columns' places, others NULL) of the target row that holds the unchanged columns, where it is not
    /// `row`'s own key. A row that lacks none needs it not.
    pub base: Option<Row>,
    /// The row was not there before (an insert that nothing in the batch preceded), as far as the log says.
    pub fresh: bool,
}

/// The net effect of a batch on one table. Rows hold the mapped columns, in mapping order, in the source's encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A table with a key. No key stands twice.
    Keyed {
        /// Rows that are there afterwards.
        upserts: Vec<Upsert>,
        /// Keys that are gone afterwards (cells at their columns' places, others NULL). A row whose key is not the same but equal by the
        /// target's collation ('A' for 'a') is another one, and stays.
        deletes: Vec<Row>,
    },
    /// A table without a key: how many equal rows come and go.
    Multiset {
        /// Rows to add.
        inserts: Vec<Row>,
        /// Rows to take away, and how many of each. Fewer found is an error ([`crate::ErrorKind::RowAbsent`]).
        deletes: Vec<(Row, u64)>,
    },
    /// All rows of a chunk are gone.
    Clear(ChunkRange),
}

/// How an [`Effect::Keyed`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMode {
    /// Deletes, then upserts; a unique value that moves between rows of the batch may fail with
    /// [`crate::ErrorKind::UniqueViolation`], and the whole transaction must be rolled back.
    Fast,
    /// Unchanged columns filled, then all touched keys deleted, then rows inserted: any end state that is valid converges.
    DeleteThenInsert,
    /// As `DeleteThenInsert`, row by row, so that the error names the key.
    RowByRow,
}

/// The applier's connection. One transaction at a time: `begin`, any `apply` and `records`, then `commit` or `rollback`.
#[async_trait]
pub trait Applier: Send {
    /// Opens a transaction and locks and checks the run epoch ([`crate::ErrorKind::Fenced`]).
    async fn begin(&mut self) -> Result<()>;

    /// Applies a net effect.
    async fn apply(
        &mut self,
        mapping: &TableMapping,
        effect: &Effect,
        mode: MergeMode,
    ) -> Result<()>;

    /// The rows of these keys as the open transaction sees them, in the target's own form and mapping order. `keys` hold the key's
    /// cells at their columns' places. Missing rows are absent from the result. At most a few hundred keys. Rows of other mappings
    /// are among them, and rows of keys that differ, but are equal to these for the key's index.
    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>>;

    /// Writes records.
    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()>;

    /// Moves the checkpoint from `from` to `to` by compare-and-swap and commits. After an error whose kind is
    /// [`crate::ErrorKind::Connection`] the outcome is unknown: read the state again under a new epoch.
    async fn commit(&mut self, from: Option<Position>, to: Position) -> Result<()>;

    /// Ends the transaction without effect. Safe to call after any error.
    async fn rollback(&mut self) -> Result<()>;
}

/// A loader's connection. One transaction at a time: `begin`, optionally `clear`, any `write`, `finish`, `records`, `commit`.
#[async_trait]
pub trait Loader: Send {
    /// Opens a transaction and locks (shared with other writers of this run) and checks the run epoch.
    async fn begin(&mut self) -> Result<()>;

    /// Empties a range before it is loaded again.
    async fn clear(&mut self, mapping: &TableMapping, range: &ChunkRange) -> Result<()>;

    /// Writes rows. All blocks of one chunk have one form. With `upsert`, rows that are there are replaced (re-read of
    /// parts under a later snapshot); otherwise a row that is there is a [`crate::ErrorKind::UniqueViolation`].
    async fn write(
        &mut self,
        mapping: &TableMapping,
        block: RowBlock,
        form: &crate::ReadForm,
        upsert: bool,
    ) -> Result<()>;

    /// Ends the chunk's rows and returns how many were written.
    async fn finish(&mut self) -> Result<u64>;

    /// Writes records.
    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()>;

    /// Commits.
    async fn commit(&mut self) -> Result<()>;

    /// Ends the transaction without effect. Safe to call after any error.
    async fn rollback(&mut self) -> Result<()>;
}

/// A consistent read on a target.
#[async_trait]
pub trait TargetSnapshot: Send {
    /// The checkpoint as this snapshot sees it: the position that its rows are at.
    fn position(&self) -> Option<Position>;

    /// Reads rows as cells in the target's own form, in mapping order. A range of keys is the source's: it holds the rows
    /// whose keys the source would put there.
    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
    ) -> Result<Box<dyn RowStream + 'a>>;

    /// The mapping's own rows of these keys, in the target's own form. `keys` are in the source's or the target's form, with the key's cells
    /// at their columns' places. Missing rows are absent from the result. At most a few hundred keys.
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

/// The right to write to a target for one migration. Dropped with the process or its connection.
#[async_trait]
pub trait Tenure: Send + Sync {
    /// What the target holds, read after the epoch was raised.
    fn state(&self) -> &TargetState;

    /// Fails once the right is lost (its connection broke).
    async fn check(&self) -> Result<()>;

    /// Opens the applier's connection.
    async fn open_applier(&self) -> Result<Box<dyn Applier>>;

    /// Opens a loader's connection.
    async fn open_loader(&self) -> Result<Box<dyn Loader>>;
}

/// A store that rows go to.
#[async_trait]
pub trait Target: Send + Sync {
    /// The engine's name.
    fn engine(&self) -> &'static str;

    /// The URL without secrets.
    fn label(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// What is usual in it, for files that are proposed.
    fn custom(&self) -> Custom;

    /// Tables and what stands around them; crossfade's own tables are left out.
    async fn describe(&self) -> Result<Schema>;

    /// Who it is.
    async fn identity(&self) -> Result<SourceIdentity>;

    /// How this store would keep a column of a source of engine `source_engine`. Pure.
    fn declare(&self, source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn;

    /// The form in which an existing target column is compared with a source's column, or why it cannot hold its values.
    /// Pure.
    fn compare(
        &self,
        source_engine: &str,
        source: &Column,
        target: &Column,
    ) -> std::result::Result<Canonical, String>;

    /// The name that a source table has here where the migration file does not say. Pure.
    fn default_name(&self, source: &TableName) -> TableName;

    /// What a table of the source is to be here: columns by [`Target::declare`], key, indexes, checks and foreign keys as far as
    /// this dialect has them; and what is not carried. `rename` gives the target names of mapped tables. Pure.
    fn design(
        &self,
        source_engine: &str,
        table: &Table,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>);

    /// As [`Target::design`] for a table of which columns were renamed, left out or made by expressions: what the source keeps as text
    /// of its own dialect is of no use, whatever its engine is. `made` names the columns that expressions make; they are
    /// kept as [`Target::declare`] says of columns of [`MADE`]. Pure.
    fn design_mapped(
        &self,
        source_engine: &str,
        table: &Table,
        made: &std::collections::BTreeSet<String>,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>);

    /// What speaks against these tables here: privileges, settings, tables that are not empty, indexes that would be in the way,
    /// types that are missing. Makes nothing. `fresh`: this migration has not begun.
    async fn findings(
        &self,
        migration: &str,
        tables: &[TableMapping],
        fresh: bool,
    ) -> Result<Vec<Finding>>;

    /// What would act on its own on rows of these tables as crossfade writes them: triggers of applications that fire in its sessions too, and
    /// what else the store cannot keep quiet there. Such writes are crossfade's own by all that the store can tell, so nothing else shows them.
    /// Asked while rows are written, so it is to cost little. All that is found blocks.
    async fn acting(&self, migration: &str, tables: &[&TableName]) -> Result<Vec<Finding>>;

    /// SQL that makes a least-privileged role for this side. Empty where the store has no roles.
    fn grants(&self, migration: &str, tables: &[TableMapping]) -> String;

    /// The statements that [`Target::create_tables`] would run, for `plan` to show.
    fn create_statements(&self, types: &[UserType], tables: &[TableMapping]) -> Vec<String>;

    /// What the target holds of this migration, without taking it; `None` where nothing.
    async fn peek(&self, migration: &str) -> Result<Option<TargetState>>;

    /// Takes the right to write: refuses ([`crate::ErrorKind::AlreadyRunning`]) while another process of this migration is alive,
    /// makes crossfade's tables where absent, raises the epoch, ends what a dead predecessor left open.
    async fn acquire(&self, migration: &str) -> Result<Box<dyn Tenure>>;

    /// Takes the right to write from whoever has it, alive or not, and gives it to nobody: its sessions end, and what it still tries is refused by
    /// the run epoch. A process that stands still with a lock that only its end can free is ended. Returns who it was, where there was one.
    async fn end_tenure(&self, migration: &str) -> Result<Option<String>>;

    /// Makes what is absent: schemas, types, sequences, tables without secondary indexes and foreign keys, and without keys where
    /// [`Capabilities::key_after_load`]. Present tables stay. Closes the tables to others' writes where the store can.
    async fn create_tables(
        &self,
        types: &[UserType],
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()>;

    /// True where the table has its key (or needs none).
    async fn has_key(&self, mapping: &TableMapping) -> Result<bool>;

    /// Builds the key after the load, and the non-unique indexes with it. Done before is no error.
    async fn build_key(&self, mapping: &TableMapping) -> Result<()>;

    /// Builds unique indexes and constraints; the applier may go on meanwhile. Done before is no error.
    async fn build_unique_indexes(&self, mapping: &TableMapping) -> Result<()>;

    /// Adds and validates foreign keys and checks. Done before is no error. Returns what could not be added now and why.
    async fn build_foreign_keys(&self, tables: &[TableMapping]) -> Result<Vec<Omission>>;

    /// Raises sequences to at least these values.
    async fn raise_sequences(&self, sequences: &[Sequence], tables: &[TableMapping]) -> Result<()>;

    /// What the target has in the place of each of these sequences, in their order.
    async fn sequence_states(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<Vec<HeldSequence>>;

    /// Has the target note every write on these tables that is not this migration's, in the writer's own transaction or by its
    /// log, and with the row's key, so far as the store can; done before is no error. Called once the tables are followed: before, they are
    /// only fenced. Returns the tables whose marks a person had taken off or switched off meanwhile: they note again, but
    /// not what was written in between.
    async fn watch_strangers(
        &self,
        migration: &str,
        tables: &[TableMapping],
    ) -> Result<Vec<TableName>>;

    /// What the target has noted, or only what was committed since `seen` of an earlier answer: every entry is in exactly one
    /// of the answers to a caller that asks so, whatever order transactions commit in.
    async fn strangers(&self, migration: &str, seen: Option<&str>) -> Result<Strangers>;

    /// Remembers that these entries were told to a person.
    async fn told_strangers(&self, migration: &str, entries: &[i64]) -> Result<()>;

    /// Opens a snapshot for reading rows at a position.
    async fn open_reader(&self, migration: &str) -> Result<Box<dyn TargetSnapshot>>;

    /// What a query that the operator wrote would give, without running it.
    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>>;

    /// What this migration has made here besides the tables, as found now.
    async fn made(&self, migration: &str) -> Result<Vec<Made>>;

    /// Removes crossfade's own rows and guards; drops the tables that the migration created where `tables` names them.
    async fn remove(&self, migration: &str, tables: &[TableMapping]) -> Result<Vec<Made>>;
}
