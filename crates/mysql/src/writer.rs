//! A writing session of one tenure: its transaction, and what it knows of the tables that it writes to.

use std::collections::HashMap;
use std::sync::Arc;

use crossfade_model::{Position, TableId, TableMapping};
use crossfade_store::{RecordWrite, Result};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::connect::Client;
use crate::guard;
use crate::own;
use crate::plan::Plan;
use crate::strangers;

/// A session that writes for a tenure.
pub(crate) struct Writer {
    pub client: Client,
    migration: String,
    epoch: u64,
    plans: HashMap<TableId, Arc<Plan>>,
    /// A transaction may be open.
    open: bool,
    /// The checkpoint was moved in it: so the log says whose it is.
    moved: bool,
    turns: Turns,
    /// Held while a transaction is open.
    turn: Option<OwnedRwLockReadGuard<()>>,
}

/// Foreign keys are added between transactions. A server that adds one waits at its end for rows of the tables that refer to the altered one,
/// whose writer may wait for that: neither would see it (a table's lock and a row's), and both would give up, again and again.
pub(crate) type Turns = Arc<RwLock<()>>;

impl Writer {
    /// Turns a session into one that passes the guards.
    pub async fn new(
        mut client: Client,
        migration: &str,
        epoch: u64,
        turns: Turns,
    ) -> Result<Writer> {
        client
            .run("setting up the session", &guard::pass(migration))
            .await?;
        Ok(Writer {
            client,
            migration: migration.to_owned(),
            epoch,
            plans: HashMap::new(),
            open: false,
            moved: false,
            turns,
            turn: None,
        })
    }

    /// Opens a transaction and locks and checks the epoch. What a cancelled call left open is rolled back.
    pub async fn begin(&mut self) -> Result<()> {
        if self.open {
            self.rollback().await?;
        }
        self.turn = Some(Arc::clone(&self.turns).read_owned().await);
        self.open = true;
        self.moved = false;
        self.client
            .run("beginning a transaction", "START TRANSACTION")
            .await?;
        own::check_epoch(&mut self.client, &self.migration, self.epoch).await
    }

    /// Writes records.
    pub async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        own::write_records(&mut self.client, &self.migration, writes).await
    }

    /// Moves the checkpoint.
    pub async fn move_checkpoint(&mut self, from: Option<Position>, to: Position) -> Result<()> {
        own::move_checkpoint(&mut self.client, &self.migration, from, to).await?;
        self.moved |= from != Some(to);
        Ok(())
    }

    /// Commits.
    pub async fn commit(&mut self) -> Result<()> {
        if !self.moved {
            strangers::mark(&mut self.client, &self.migration).await?;
        }
        self.client.run("committing", "COMMIT").await?;
        self.open = false;
        self.turn = None;
        Ok(())
    }

    /// Ends the transaction without effect.
    pub async fn rollback(&mut self) -> Result<()> {
        self.client.run("rolling back", "ROLLBACK").await?;
        self.open = false;
        self.turn = None;
        Ok(())
    }

    /// How a table is written, looked up at its first use.
    pub async fn plan(&mut self, mapping: &TableMapping) -> Result<Arc<Plan>> {
        if let Some(plan) = self.plans.get(&mapping.id) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::target(&mut self.client, mapping).await?);
        self.plans.insert(mapping.id, Arc::clone(&plan));
        Ok(plan)
    }
}
