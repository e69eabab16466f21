//! The fence: who may write, and that nobody else does; see [`crossfade_store::Fence`].
//!
//! - The **latch** is an advisory lock. A statement trigger on every fenced table takes it shared, for the transaction; who fires takes it
//!   exclusively, in a session of its own, and holds it as long as that session lives.
//! - The **register** is a row of `crossfade.register`, changed only under the exclusive latch.
//! - The **gate** is a sequence, one a migration: what writers read after they have the latch. A sequence is no part of transactions, so
//!   that a snapshot taken long before sees it. A closed register never stands beside an open gate: closing moves the gate
//!   first, opening moves it last; [`crossfade_store::Fence::standing`] makes up for who died in between.
//!
//! The session is the proof of the latch: what is done under it is done in the very session that holds it, and checked there.

mod arm;
mod blockers;
mod closure;
mod cost;
mod findings;
mod fire;
mod freeze;
mod hold;
mod names;
mod probe;
mod register;
mod remove;
mod skip;
mod sql;
mod standbys;

use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{
    Beginning, Finding, Position, Register, Sequence, Table, TableMapping, TableName,
};
use crossfade_store::{Blocker, Fence, Fire, Latch, Made, Result, Standing, WriteProbe};

use crate::ddl;
use crate::identity;
use crate::session::Purpose;
use crate::store::PostgresStore;

pub(crate) use sql::gate_lookup;

/// The function of a migration's triggers, as `to_regprocedure` reads it.
pub(crate) fn trigger_function(migration: &str) -> String {
    format!("{}()", names::function(migration))
}

#[async_trait]
impl Fence for PostgresStore {
    async fn fence_findings(&self, migration: &str, tables: &[Table]) -> Result<Vec<Finding>> {
        findings::findings(self, migration, tables).await
    }

    async fn standby_findings(&self, named: &[String]) -> Result<Vec<Finding>> {
        standbys::findings(self, named).await
    }

    async fn standbys_holding(&self, named: &[String], position: Position) -> Result<Vec<String>> {
        let client = self.connect(Purpose::Check).await?;
        let holding = standbys::holding(&client, named, position).await?;
        self.keep(client);
        Ok(holding)
    }

    async fn incarnation(&self) -> Result<Option<String>> {
        identity::incarnation(self).await.map(Some)
    }

    async fn standing(&self, migration: &str) -> Result<Option<Standing>> {
        fire::standing(self, migration).await
    }

    async fn peek_standing(&self, migration: &str) -> Result<Option<Standing>> {
        let client = self.connect(Purpose::Fence).await?;
        let row = register::read(&client, migration).await?;
        self.keep(client);
        Ok(row.map(|row| row.standing))
    }

    async fn make_register(&self, migration: &str, first: Register) -> Result<()> {
        register::make(self, migration, first).await
    }

    async fn arm(&self, migration: &str, tables: &[Table], within: Duration) -> Result<()> {
        arm::arm(self, migration, tables, within).await
    }

    async fn end_writers(&self, migration: &str, tables: &[Table]) -> Result<()> {
        arm::end_writers(self, migration, tables).await
    }

    async fn disarm(&self, migration: &str, tables: &[Table]) -> Result<Vec<TableName>> {
        arm::disarm(self, migration, tables).await
    }

    async fn open_probe(&self, migration: &str) -> Result<Box<dyn WriteProbe>> {
        Ok(Box::new(probe::open(self, migration).await?))
    }

    async fn fence_cost(&self, migration: &str) -> Result<Option<Duration>> {
        cost::measure(self, migration).await
    }

    async fn blockers(&self, migration: &str) -> Result<Vec<Blocker>> {
        let client = self.connect(Purpose::Fence).await?;
        let found = blockers::of_latch(&client, migration).await?;
        self.keep(client);
        Ok(found.into_iter().map(|held| held.blocker).collect())
    }

    async fn fire(&self, migration: &str, fire: &Fire) -> Result<Box<dyn Latch>> {
        Ok(Box::new(fire::fire(self, migration, fire).await?))
    }

    async fn end_holder(&self, migration: &str) -> Result<Option<String>> {
        fire::end_holder(self, migration).await
    }

    async fn swap(&self, migration: &str, from: Register, to: Register) -> Result<()> {
        fire::swap(self, migration, from, to).await
    }

    async fn note_beginning(&self, migration: &str, epoch: u64) -> Result<Beginning> {
        fire::note_beginning(self, migration, epoch).await
    }

    async fn raise_for_switch(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        ddl::raise_for_switch(self, sequences, tables).await
    }

    async fn skip_log(&self, lane: &str, position: Position) -> Result<()> {
        skip::skip_log(self, lane, position).await
    }

    async fn freeze_ddl(&self, migration: &str, tables: &[Table], frozen: bool) -> Result<bool> {
        freeze::freeze_ddl(self, migration, tables, frozen).await
    }

    async fn fence_made(&self, migration: &str) -> Result<Vec<Made>> {
        remove::made(self, migration).await
    }

    async fn remove_fence(&self, migration: &str) -> Result<Vec<Made>> {
        remove::remove(self, migration).await
    }
}
