//! The applier's session: statements prepared once, and staging tables made once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crossfade_model::{TableId, TableMapping};
use crossfade_store::Result;
use tokio_postgres::Statement;

use super::shape::Shape;
use super::staging;
use crate::connect::Client;
use crate::copy_in::CopyIn;
use crate::writer::Writer;

/// Statements kept prepared; beyond, all are forgotten (a plan of very many tables).
const MOST_STATEMENTS: usize = 4000;

/// The session.
pub struct Session {
    writer: Writer,
    statements: HashMap<String, Statement>,
    shapes: HashMap<TableId, Arc<Shape>>,
    /// Staging tables that are there for good.
    staged: HashSet<TableId>,
    /// Staging tables made by the open transaction: a rollback takes them away.
    fresh: Vec<TableId>,
    /// Staging tables that hold rows of the open transaction.
    filled: HashSet<String>,
}

/// Staging tables have no statistics, and target tables may grow by orders of magnitude under a prepared plan: rows are always
/// looked up by the index. A batch is sorted in memory.
const SETTINGS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET work_mem = '64MB'";

/// For statements that look up rows without a key: for the transaction, ended by [`BY_INDEX`].
pub const BY_SCAN: &str = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on";

/// Back to looking up by index.
pub const BY_INDEX: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off";

impl Session {
    /// Over a writing session.
    pub fn new(writer: Writer) -> Session {
        Session {
            writer,
            statements: HashMap::new(),
            shapes: HashMap::new(),
            staged: HashSet::new(),
            fresh: Vec::new(),
            filled: HashSet::new(),
        }
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        self.writer.client()
    }

    /// The store's label.
    pub fn label(&self) -> &str {
        self.writer.label()
    }

    /// The writing session.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Sets how statements are planned. Once, before the first.
    ///
    /// # Errors
    /// The connection's.
    pub async fn plan_by_index(&self) -> Result<()> {
        self.client()
            .batch("setting up the session", SETTINGS)
            .await
    }

    /// A statement, prepared at its first use.
    ///
    /// # Errors
    /// The server's.
    pub async fn statement(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let client = self.writer.client();
        let prepared = client
            .raw()
            .prepare(sql)
            .await
            .map_err(|e| client.error("preparing a statement", &e))?;
        if self.statements.len() >= MOST_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Runs a statement without parameters; returns the rows touched.
    ///
    /// # Errors
    /// The server's.
    pub async fn run(&mut self, doing: &str, sql: &str) -> Result<u64> {
        let touched = self.run_all(doing, None, &[sql]).await?;
        Ok(touched.first().copied().unwrap_or(0))
    }

    /// Ends a COPY and runs statements without parameters, all sent at once; returns the rows that each statement touched. The
    /// first error counts: what follows it in a transaction fails for it.
    ///
    /// # Errors
    /// The server's.
    pub async fn run_all(
        &mut self,
        doing: &str,
        mut copy: Option<CopyIn>,
        statements: &[&str],
    ) -> Result<Vec<u64>> {
        // nothing can be prepared while a COPY is open
        let unprepared = statements
            .iter()
            .any(|sql| !self.statements.contains_key(*sql));
        if unprepared && let Some(copy) = copy.take() {
            copy.finish(self.client(), staging::DOING).await?;
        }
        let mut prepared = Vec::with_capacity(statements.len());
        for sql in statements {
            prepared.push(self.statement(sql).await?);
        }
        let client = self.writer.client();
        let ending = async {
            match copy {
                Some(copy) => copy.finish(client, staging::DOING).await.map(drop),
                None => Ok(()),
            }
        };
        let running = prepared.iter().map(|statement| async move {
            let done = client.raw().execute(statement, &[]).await;
            done.map_err(|e| client.error(doing, &e))
        });
        // each sends its messages when it is first polled, in this order
        let (ended, ran) = tokio::join!(biased; ending, futures_util::future::join_all(running));
        ended?;
        ran.into_iter().collect()
    }

    /// What is known of the target table.
    ///
    /// # Errors
    /// See [`Shape::read`].
    pub async fn shape(&mut self, mapping: &TableMapping) -> Result<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(&mapping.id) {
            return Ok(Arc::clone(shape));
        }
        let shape = Arc::new(Shape::read(self.client(), self.label(), mapping).await?);
        self.shapes.insert(mapping.id, Arc::clone(&shape));
        Ok(shape)
    }

    /// Makes the table's staging tables where they are not there.
    ///
    /// # Errors
    /// The server's.
    pub async fn make_staging(&mut self, table: TableId, shape: &Shape) -> Result<()> {
        if self.staged.contains(&table) {
            return Ok(());
        }
        let sql = staging::create(table, shape);
        self.client()
            .batch("making staging tables", &sql)
            .await
            .map_err(|e| shape.at(e))?;
        self.staged.insert(table);
        self.fresh.push(table);
        Ok(())
    }

    /// Makes sure that a staging table has no rows of this transaction, and notes that it will have some. At commit the server
    /// empties it.
    ///
    /// # Errors
    /// The server's.
    pub async fn empty(&mut self, staging_table: &str) -> Result<()> {
        if !self.filled.insert(staging_table.to_owned()) {
            self.run(
                "emptying a staging table",
                &format!("DELETE FROM {staging_table}"),
            )
            .await?;
        }
        Ok(())
    }

    /// The transaction was committed.
    pub fn committed(&mut self) {
        self.fresh.clear();
        self.filled.clear();
    }

    /// The transaction was rolled back: what it made is gone, with the statements that name it.
    pub fn rolled_back(&mut self) {
        if !self.fresh.is_empty() {
            for table in self.fresh.drain(..) {
                self.staged.remove(&table);
            }
            self.statements.clear();
        }
        self.filled.clear();
    }
}
