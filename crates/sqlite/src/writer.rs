//! A writing connection of one tenure: its transaction, its turn, its statements.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crossfade_model::{Position, TableId, TableMapping};
use crossfade_store::{RecordWrite, Result};
use rusqlite::Connection;
use tokio::sync::OwnedMutexGuard;

use crate::conn::{Place, Purpose, Shared};
use crate::own_tables;
use crate::table_plan::TablePlan;

/// The right to write, which one transaction at a time has.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Size of the write-ahead log from which on it is moved to the database file before the next transaction, not beside it. While
/// others write beside, the log goes on growing.
const LONGEST_LOG: u64 = 256 << 20;

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub migration: String,
    pub epoch: u64,
}

/// A connection that writes for a tenure.
pub(crate) struct Writer {
    // closed, and so rolled back, before the turn is passed on
    pub connection: Connection,
    pub place: Place,
    pub holder: Holder,
    turn: Option<Turn>,
}

impl Writer {
    pub fn open(place: &Place, holder: Holder) -> Result<Writer> {
        let connection = place.open(Purpose::Write)?;
        // the source is told of progress that a loss of power must not take back
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(place.failed("cannot open a writing connection"))?;
        Ok(Writer {
            connection,
            place: place.clone(),
            holder,
            turn: None,
        })
    }

    /// Moves what is committed from the write-ahead log to the database file. It is durable in either: where it cannot be moved
    /// now, somebody else is at it, or a later commit does it.
    pub fn checkpoint(&self) {
        let moved = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = moved {
            tracing::debug!(%error, "the write-ahead log was not moved");
        }
    }

    fn log_is_long(&self) -> bool {
        std::fs::metadata(self.place.beside("-wal")).is_ok_and(|log| log.len() > LONGEST_LOG)
    }

    /// Opens a transaction, takes the write lock and checks the epoch under it. A transaction that a cancelled call left
    /// open is rolled back.
    pub fn begin(&mut self, turn: Turn) -> Result<()> {
        self.rollback();
        if self.log_is_long() {
            self.checkpoint();
        }
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(self.place.failed("cannot begin a transaction"))?;
        self.turn = Some(turn);
        let checked = own_tables::check_epoch(
            &self.connection,
            &self.place,
            &self.holder.migration,
            self.holder.epoch,
        );
        if checked.is_err() {
            self.rollback();
        }
        checked
    }

    /// Commits and passes the turn on. After an error the transaction is still open.
    pub fn commit(&mut self) -> Result<()> {
        self.connection
            .execute_batch("COMMIT")
            .map_err(self.place.failed("cannot commit"))?;
        self.turn = None;
        Ok(())
    }

    /// Ends the transaction without effect and passes the turn on.
    pub fn rollback(&mut self) {
        if !self.connection.is_autocommit() {
            // where it fails SQLite has rolled back by itself
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.turn = None;
    }

    pub fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        own_tables::write_records(&self.connection, &self.holder.migration, writes)
            .map_err(self.place.failed("cannot write records"))
    }

    pub fn move_checkpoint(&mut self, from: Option<Position>, to: Position) -> Result<()> {
        own_tables::move_checkpoint(
            &self.connection,
            &self.place,
            &self.holder.migration,
            from,
            to,
        )
    }
}

/// A writer as the async side holds it, and the plans of the tables that it wrote to.
pub(crate) struct Seat {
    writer: Shared<Writer>,
    turns: Arc<tokio::sync::Mutex<()>>,
    plans: HashMap<TableId, Arc<TablePlan>>,
    /// A transaction may be open.
    open: bool,
}

impl Seat {
    pub fn new(place: &Place, writer: Writer, turns: Arc<tokio::sync::Mutex<()>>) -> Seat {
        Seat {
            writer: Shared::new(place.clone(), writer),
            turns,
            plans: HashMap::new(),
            open: false,
        }
    }

    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.writer.run(work).await
    }

    pub async fn begin(&mut self) -> Result<()> {
        if self.open {
            self.rollback().await?;
        }
        let turn = Arc::clone(&self.turns).lock_owned().await;
        self.open = true;
        self.run(move |w| w.begin(turn)).await
    }

    pub async fn commit(&mut self, checkpoint: Option<(Option<Position>, Position)>) -> Result<()> {
        self.run(move |w| {
            if let Some((from, to)) = checkpoint {
                w.move_checkpoint(from, to)?;
            }
            w.commit()
        })
        .await?;
        self.open = false;
        Ok(())
    }

    /// Commits bulk rows. Their way from the write-ahead log to the database file does not hold up the next writer, nor the
    /// caller; only this connection's next use waits for it.
    pub async fn commit_bulk(&mut self) -> Result<()> {
        self.run(|w| {
            // else the commit itself would do it, before it passes the turn on
            w.connection
                .pragma_update(None, "wal_autocheckpoint", 0)
                .map_err(w.place.failed("cannot commit"))?;
            w.commit()
        })
        .await?;
        self.open = false;
        let writer = self.writer.handle();
        drop(tokio::task::spawn_blocking(move || {
            writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .checkpoint();
        }));
        Ok(())
    }

    pub async fn rollback(&mut self) -> Result<()> {
        self.run(|w| {
            w.rollback();
            Ok(())
        })
        .await?;
        self.open = false;
        Ok(())
    }

    pub async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        let writes = writes.to_vec();
        self.run(move |w| w.records(&writes)).await
    }

    /// The plan of a mapping, made at its first use.
    pub async fn plan(&mut self, mapping: &TableMapping) -> Result<Arc<TablePlan>> {
        if let Some(plan) = self.plans.get(&mapping.id) {
            return Ok(Arc::clone(plan));
        }
        let id = mapping.id;
        let mapping = mapping.clone();
        let plan = self
            .run(move |w| TablePlan::new(&w.connection, &w.place, &mapping))
            .await?;
        let plan = Arc::new(plan);
        self.plans.insert(id, Arc::clone(&plan));
        Ok(plan)
    }
}
