//! The authority of a database over a migration's tables: register, fence, latch.

pub(crate) mod blockers;
mod cost;
mod findings;
mod latch;
mod probe;
pub(crate) mod register;
pub(crate) mod triggers;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{
    Beginning, Finding, LogOwner, Mode, Position, Register, Sequence, Snapshot, Table,
    TableMapping, TableName,
};
use crossfade_store::{Blocker, ErrorKind, Fence, Fire, Latch, Made, Result, Standing, WriteProbe};

use crate::connect::Client;
use crate::names::quote;
use crate::session::Purpose;
use crate::{MysqlStore, ddl, lineage, tenure};
use register::Lock;

/// How long the latch is waited for by what needs no drain, in seconds.
const PATIENCE: u32 = 15;

/// How long a table's lock is waited for at once, in seconds, the least that the server counts: whoever waits for it makes all later users of
/// the table wait.
const SHORT: u32 = 1;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds to wait for a row before it is looked who is in the way.
const SHORTLY: u32 = 2;

impl MysqlStore {
    /// A session that waits so long for tables, and for rows.
    async fn fencer(&self, table: u32, row: u32) -> Result<Client> {
        let mut client = self.connect(Purpose::Fence).await?;
        client
            .run(
                "setting up the session",
                &format!(
                    "SET SESSION lock_wait_timeout = {table}, innodb_lock_wait_timeout = {row}"
                ),
            )
            .await?;
        Ok(client)
    }
}

fn made(kind: &str, name: impl Into<String>, detail: impl Into<String>) -> Made {
    Made {
        kind: kind.to_owned(),
        name: name.into(),
        detail: detail.into(),
    }
}

/// Fences a table, as often as somebody is in the way, until the time is over.
async fn arm_one(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
    table: &Table,
    until: Instant,
) -> Result<()> {
    loop {
        match triggers::arm(client, migration, &table.name.name).await {
            Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Conflict) => {
                if Instant::now() < until {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                let who: Vec<String> = blockers::list(store)
                    .await?
                    .into_iter()
                    .map(|b| b.who)
                    .take(5)
                    .collect();
                return Err(client
                    .fault(
                        ErrorKind::Busy,
                        "mysql.arm",
                        format!("the table is in use all the time: {}", who.join("; ")),
                    )
                    .table(&table.name)
                    .fix("Let long transactions on it end, then try again"));
            }
            done => return done.map_err(|e| e.table(&table.name)),
        }
    }
}

#[async_trait]
impl Fence for MysqlStore {
    async fn fence_findings(&self, _migration: &str, tables: &[Table]) -> Result<Vec<Finding>> {
        let mut client = self.connect(Purpose::Check).await?;
        let found = findings::findings(&mut client, tables).await?;
        client.close().await;
        Ok(found)
    }

    async fn standby_findings(&self, named: &[String]) -> Result<Vec<Finding>> {
        Ok(findings::standbys(named))
    }

    async fn standbys_holding(
        &self,
        _named: &[String],
        _position: Position,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// A server keeps its own name for itself beside its data (`server_uuid`, MariaDB's `server_uid`); a copy of the data on another host has
    /// another host.
    async fn incarnation(&self) -> Result<Option<String>> {
        let mut client = self.connect(Purpose::Check).await?;
        let rows = client
            .texts(
                "asking which server this is",
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                 ('server_uuid', 'server_uid', 'server_id', 'hostname', 'port', 'datadir', 'read_only')",
            )
            .await?;
        client.close().await;
        let each = rows
            .iter()
            .map(|row| format!("{} {}", row.text(0), row.text(1)));
        Ok(Some(each.collect::<Vec<_>>().join(", ")))
    }

    async fn standing(&self, migration: &str) -> Result<Option<Standing>> {
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        client
            .run("reading the register", "START TRANSACTION")
            .await?;
        let standing = register::read(&mut client, migration, Lock::Shared).await?;
        client.run("reading the register", "ROLLBACK").await?;
        client.close().await;
        Ok(standing)
    }

    async fn peek_standing(&self, migration: &str) -> Result<Option<Standing>> {
        let mut client = self.connect(Purpose::Check).await?;
        let standing = register::read(&mut client, migration, Lock::No).await?;
        client.close().await;
        Ok(standing)
    }

    async fn make_register(&self, migration: &str, first: Register) -> Result<()> {
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        register::make(&mut client, migration, first).await?;
        client.close().await;
        Ok(())
    }

    async fn arm(&self, migration: &str, tables: &[Table], within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let mut client = self.fencer(SHORT, SHORT).await?;
        register::expect(&mut client, migration, Lock::No).await?;
        for table in tables {
            arm_one(self, &mut client, migration, table, until).await?;
        }
        client.close().await;
        Ok(())
    }

    async fn end_writers(&self, _migration: &str, _tables: &[Table]) -> Result<()> {
        blockers::end(self).await
    }

    async fn disarm(&self, migration: &str, tables: &[Table]) -> Result<Vec<TableName>> {
        let mut client = self.fencer(SHORT, SHORT).await?;
        let now = register::expect(&mut client, migration, Lock::No).await?;
        if now.register.mode != Mode::Open {
            return Err(register::conflict(
                &client,
                format!("the register says {}: the fence stays", now.register),
            ));
        }
        let mut left = Vec::new();
        for table in tables {
            match triggers::disarm(&mut client, migration, &table.name.name).await {
                Ok(_) => {}
                Err(e) if e.kind == ErrorKind::Busy => left.push(table.name.clone()),
                Err(e) => return Err(e.table(&table.name)),
            }
        }
        client.close().await;
        Ok(left)
    }

    async fn open_probe(&self, migration: &str) -> Result<Box<dyn WriteProbe>> {
        Ok(Box::new(probe::open(self, migration).await?))
    }

    async fn fence_cost(&self, migration: &str) -> Result<Option<Duration>> {
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        let cost = cost::measure(&mut client, migration).await?;
        client.close().await;
        Ok(Some(cost))
    }

    async fn blockers(&self, _migration: &str) -> Result<Vec<Blocker>> {
        blockers::list(self).await
    }

    async fn fire(&self, migration: &str, fire: &Fire) -> Result<Box<dyn Latch>> {
        Ok(Box::new(latch::fire(self, migration, fire).await?))
    }

    async fn end_holder(&self, migration: &str) -> Result<Option<String>> {
        let mut client = self.connect(Purpose::Check).await?;
        let holder = latch::holder(&mut client, self, migration).await?;
        if let Some(id) = holder {
            blockers::kill(&mut client, id).await?;
        }
        client.close().await;
        Ok(holder.map(|id| format!("connection {id}")))
    }

    async fn swap(&self, migration: &str, from: Register, to: Register) -> Result<()> {
        let doing = "changing the register";
        let mut client = self.fencer(PATIENCE, SHORTLY).await?;
        let until = Instant::now() + Duration::from_secs(2 * u64::from(PATIENCE));
        loop {
            client.run(doing, "START TRANSACTION").await?;
            let swapped = register::swap(&mut client, migration, from, to).await;
            match swapped {
                Ok(()) => break,
                // whoever applies to a store that is to open has lost the right to; one that nobody hears of any more would stay
                Err(e) if e.kind == ErrorKind::Busy && Instant::now() < until => {
                    client.run(doing, "ROLLBACK").await?;
                    if to.mode == Mode::Open {
                        tenure::end_writers_of_lanes(self, &mut client, migration).await?;
                    }
                }
                Err(e) => return Err(e),
            }
        }
        client.run(doing, "COMMIT").await?;
        client.close().await;
        Ok(())
    }

    /// What was applied here has been committed, so that it lies before the log's end and readers see it.
    async fn note_beginning(&self, migration: &str, epoch: u64) -> Result<Beginning> {
        let doing = "noting the beginning";
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        client.run(doing, "START TRANSACTION").await?;
        register::expect(&mut client, migration, Lock::Exclusive).await?;
        let mut other = lineage::connect(self, Purpose::Check).await?;
        let (end, mark) = lineage::marked_end(self, &mut other).await?;
        let log = LogOwner {
            identity: self.identity_of(&other.server).identity,
            mark,
        };
        other.close().await;
        let beginning = Beginning {
            epoch,
            position: end,
            snapshot: Snapshot::Sequence(end.0),
            log: Some(log),
        };
        register::note(&mut client, migration, &beginning).await?;
        client.run(doing, "COMMIT").await?;
        client.close().await;
        Ok(beginning)
    }

    async fn raise_for_switch(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        ddl::raise_sequences(&mut client, sequences, tables).await?;
        client.close().await;
        Ok(())
    }

    /// The server keeps its log as its own settings say.
    async fn skip_log(&self, _lane: &str, _position: Position) -> Result<()> {
        Ok(())
    }

    /// Servers have no triggers on definitions: changes of them are seen, not refused.
    async fn freeze_ddl(&self, _migration: &str, _tables: &[Table], _frozen: bool) -> Result<bool> {
        Ok(false)
    }

    async fn fence_made(&self, migration: &str) -> Result<Vec<Made>> {
        let mut client = self.connect(Purpose::Check).await?;
        let mut out = Vec::new();
        if let Some(standing) = register::read(&mut client, migration, Lock::No).await? {
            let detail = standing.register.to_string();
            out.push(made("row", register::REGISTER, detail));
        }
        let triggers = triggers::found(&mut client, migration).await?;
        out.extend(triggers.into_iter().map(|name| made("trigger", name, "")));
        client.close().await;
        Ok(out)
    }

    async fn remove_fence(&self, migration: &str) -> Result<Vec<Made>> {
        let mut client = self.fencer(PATIENCE, PATIENCE).await?;
        let mut out = Vec::new();
        for table in register::fenced(&mut client, migration).await? {
            let gone = triggers::disarm(&mut client, migration, &table).await?;
            out.extend(gone.into_iter().map(|name| made("trigger", name, "")));
        }
        // who made nothing may have no right to drop it
        let probe = probe::table(migration);
        if register::has(&mut client, &probe).await? {
            client
                .run(
                    "removing the probe's table",
                    &format!("DROP TABLE IF EXISTS {}", quote(&probe)),
                )
                .await?;
            out.push(made("table", probe, ""));
        }
        let tables = register::remove(&mut client, migration).await?;
        out.extend(tables.into_iter().map(|t| made("table", t, "")));
        client.close().await;
        Ok(out)
    }
}
