//! What the tests here share: mappings of a table to itself, a stream that is being followed, cells.

use std::time::{Duration, Instant};

use bytes::Bytes;
use crossfade_model::{
    Canonical, Cell, Change, ColumnMapping, Position, Row, StreamEvent, TableId, TableMapping,
    Transaction,
};
use crossfade_postgres::{Client, PostgresStore, capture, describe, replication, tenure};
use crossfade_store::{
    Applier, CaptureSpec, CaptureStart, ChangeStream, Effect, MergeMode, StoreError, Tenure, Upsert,
};

use crate::support::Database;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The mapping of each of these tables of `public` (or `schema.name`) to a table of the same name and shape.
pub async fn mappings(store: &PostgresStore, names: &[&str]) -> Vec<TableMapping> {
    let schema = describe::describe(store).await.unwrap();
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let (space, name) = name.split_once('.').unwrap_or(("public", name));
            let table = schema
                .tables
                .iter()
                .find(|t| t.name.schema.as_deref() == Some(space) && t.name.name == name)
                .unwrap_or_else(|| panic!("no table {space}.{name}"));
            TableMapping {
                id: TableId(at as u32),
                source: table.clone(),
                target: table.clone(),
                columns: table
                    .captured()
                    .map(|c| ColumnMapping {
                        source: c.name.clone(),
                        target: c.name.clone(),
                        canonical: Canonical::Exact,
                    })
                    .collect(),
                same_shape: true,
                origin: None,
                back: None,
                slice: None,
                shares_source: false,
            }
        })
        .collect()
}

/// A capture and its stream.
pub struct Follow {
    pub store: PostgresStore,
    pub spec: CaptureSpec,
    pub start: CaptureStart,
    pub stream: Box<dyn ChangeStream>,
    /// Where the last transaction ended.
    pub at: Position,
}

/// A whole transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    pub transaction: Transaction,
    pub changes: Vec<Change>,
    pub end: Position,
}

impl Follow {
    /// Captures the tables and follows from the start.
    pub async fn begin(store: &PostgresStore, migration: &str, names: &[&str]) -> Follow {
        let spec = CaptureSpec {
            replanned: None,
            migration: migration.to_owned(),
            tables: mappings(store, names).await,
        };
        let start = capture::create_capture(store, &spec).await.unwrap();
        let at = start.position;
        let stream = replication::stream::open_stream(store, &spec, at)
            .await
            .unwrap();
        Follow {
            store: store.clone(),
            spec,
            start,
            stream,
            at,
        }
    }

    /// Follows again from `from`, after the old stream was dropped.
    pub async fn again(&mut self, from: Position) {
        self.stream = replication::stream::open_stream(&self.store, &self.spec, from)
            .await
            .unwrap();
        self.at = from;
    }

    /// The next `count` transactions with changes.
    pub async fn transactions(&mut self, count: usize) -> Vec<Whole> {
        let begun = Instant::now();
        let mut whole = Vec::new();
        let mut open: Option<(Transaction, Vec<Change>)> = None;
        while whole.len() < count {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {count} came",
                whole.len()
            );
            for event in self.stream.next().await.unwrap() {
                match event {
                    StreamEvent::Begin(t) => {
                        assert!(open.is_none());
                        open = Some((t, Vec::new()));
                    }
                    StreamEvent::Change(change) => open.as_mut().unwrap().1.push(change),
                    StreamEvent::Commit { end } => {
                        assert!(end > self.at);
                        self.at = end;
                        let (transaction, changes) = open.take().unwrap();
                        whole.push(Whole {
                            transaction,
                            changes,
                            end,
                        });
                    }
                    StreamEvent::Progress(at) => {
                        assert!(open.is_none());
                        assert!(at >= self.at);
                        self.at = at;
                    }
                    StreamEvent::SchemaChanged { table, what, .. } => panic!("{table:?}: {what}"),
                }
            }
        }
        assert_eq!(whole.len(), count);
        whole
    }

    /// The changes of the next transaction.
    pub async fn changes(&mut self) -> Vec<Change> {
        self.transactions(1).await.remove(0).changes
    }

    /// Everything up to the change of a table's shape: the transactions before, and the words.
    pub async fn until_changed(&mut self) -> (usize, String) {
        let begun = Instant::now();
        let mut whole = 0;
        while begun.elapsed() < PATIENCE {
            for event in self.stream.next().await.unwrap() {
                match event {
                    StreamEvent::Commit { .. } => whole += 1,
                    StreamEvent::SchemaChanged { what, .. } => return (whole, what),
                    _ => {}
                }
            }
        }
        panic!("the change of shape was not noticed");
    }

    /// Waits until the stream has passed `position`.
    pub async fn pass(&mut self, position: Position) {
        let begun = Instant::now();
        while self.at < position {
            assert!(begun.elapsed() < PATIENCE, "the stream does not pass");
            for event in self.stream.next().await.unwrap() {
                match event {
                    StreamEvent::Commit { end: at } | StreamEvent::Progress(at) => self.at = at,
                    _ => {}
                }
            }
        }
    }

    /// Ends the stream and removes the capture.
    pub async fn end(self) {
        drop(self.stream);
        capture::remove_capture(&self.store, &self.spec.migration)
            .await
            .unwrap();
    }
}

/// A text form.
pub fn t(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

/// A row of text forms; `None` is NULL.
pub fn row(cells: &[Option<&str>]) -> Row {
    Row(cells
        .iter()
        .map(|cell| cell.map_or(Cell::Null, t))
        .collect())
}

/// A row of text forms without NULL.
pub fn full(cells: &[&str]) -> Row {
    Row(cells.iter().map(|cell| t(cell)).collect())
}

/// A database whose sessions, as an application's, find tables in `public`.
pub struct Db(Database);

impl std::ops::Deref for Db {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

impl Db {
    /// Makes one on the server that `variable` names.
    pub async fn create(server: &str) -> Db {
        Db(Database::create(server).await)
    }

    /// A connection of an application.
    pub async fn client(&self) -> Client {
        let client = self.0.client().await;
        let sql = "SET search_path = public, pg_catalog";
        client.batch("preparing a test", sql).await.unwrap();
        client
    }

    /// Runs statements; several are one transaction.
    pub async fn run(&self, sql: &str) {
        let client = self.client().await;
        client.batch(&format!("running {sql}"), sql).await.unwrap();
    }

    /// Drops this role with the database.
    pub fn own(&mut self, role: &str) {
        self.0.own(role);
    }

    /// One text that a query brings.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let client = self.client().await;
        let row = client.query_one("looking in a test", sql, &[]).await;
        row.unwrap().get(0)
    }

    /// Drops a slot once its reader is gone.
    pub async fn drop_slot(&self, slot: &str) {
        let sql = format!("SELECT pg_drop_replication_slot('{slot}')");
        let begun = Instant::now();
        let client = self.client().await;
        while client.batch("dropping a slot", &sql).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "{slot} is still read");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Drops it.
    pub async fn drop(self) {
        self.0.drop().await;
    }
}

/// All rows of a table as one text, in a fixed order; computed by the server, by none of the code under test.
pub async fn contents(db: &Db, table: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(r::text, E'\\n' ORDER BY r::text COLLATE \"C\"), '') FROM {table} r"
    );
    db.text(&sql).await.unwrap()
}

/// An upsert of a whole row that may be there.
pub fn upsert(row: Row) -> Upsert {
    Upsert {
        row,
        base: None,
        fresh: false,
    }
}

/// A net effect on a table with a key.
pub fn keyed(upserts: Vec<Upsert>, deletes: Vec<Row>) -> Effect {
    Effect::Keyed { upserts, deletes }
}

/// A tenure and its applier.
pub struct Apply {
    pub tenure: Box<dyn Tenure>,
    pub applier: Box<dyn Applier>,
    pub at: Option<Position>,
}

impl Apply {
    /// Takes the target.
    pub async fn begin(store: &PostgresStore, migration: &str) -> Apply {
        let tenure = tenure::acquire(store, migration).await.unwrap();
        let applier = tenure.open_applier().await.unwrap();
        let at = tenure.state().checkpoint;
        Apply {
            tenure,
            applier,
            at,
        }
    }

    /// Applies in a transaction of its own; rolls back after an error.
    pub async fn apply(
        &mut self,
        mapping: &TableMapping,
        effect: &Effect,
        mode: MergeMode,
    ) -> Result<(), StoreError> {
        self.applier.begin().await?;
        let applied = self.applier.apply(mapping, effect, mode).await;
        let to = Position(self.at.map_or(1, |at| at.0 + 1));
        let done = match applied {
            Ok(()) => self.applier.commit(self.at, to).await,
            Err(e) => Err(e),
        };
        match done {
            Ok(()) => self.at = Some(to),
            Err(_) => self.applier.rollback().await.unwrap(),
        }
        done
    }
}
