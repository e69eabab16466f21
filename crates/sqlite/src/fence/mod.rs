//! The authority of a file over a migration's tables: register, fence, latch.

mod cost;
mod findings;
pub(crate) mod holder;
mod latch;
pub(crate) mod lock;
mod probe;
pub(crate) mod register;
pub(crate) mod triggers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{
    Beginning, Finding, Position, Register, Sequence, Table, TableMapping, TableName, reverse_lane,
};
use crossfade_store::{Blocker, ErrorKind, Fence, Fire, Latch, Made, Result, Standing, WriteProbe};
use rusqlite::Connection;

use crate::capture::trim::Trimmer;
use crate::conn::{PATIENCE, Place, Purpose, blocking};
use crate::{Role, SqliteStore, ddl, tenure};

/// How long the lock is waited for where the application goes first.
const SHORT: Duration = Duration::from_millis(200);

/// How long a holder that was ended may take to be gone.
const ENDING: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Work under the latch, in one transaction that a loss of power does not take back. Our own writers wait their turn for it.
    async fn latched<T: Send + 'static>(
        &self,
        migration: &str,
        within: Duration,
        work: impl FnOnce(&Connection, &Place, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let migration = migration.to_owned();
        self.locked(within, move |connection, place, left| {
            lock::begin_written_down(connection, place, &migration, left)?;
            work(connection, place, &migration)
        })
        .await
    }

    /// The same for work that begins the transaction itself, in the time that it is told.
    async fn locked<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&Connection, &Place, Duration) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let begun = Instant::now();
        let turns = Arc::clone(&self.writers.turns).lock_owned();
        let Ok(turn) = tokio::time::timeout(within, turns).await else {
            return Err(lock::busy(&self.place));
        };
        let place = self.place.clone();
        blocking(&self.place, move || {
            let _turn = turn;
            let connection = lock::open(&place)?;
            let left = || within.saturating_sub(begun.elapsed());
            // dropped with the connection where it fails: rolled back
            let out = work(&connection, &place, left())?;
            lock::commit(&connection, &place, left().max(lock::SHORTEST))?;
            Ok(out)
        })
        .await
    }
}

fn made(kind: &str, name: impl Into<String>, detail: impl Into<String>) -> Made {
    Made {
        kind: kind.to_owned(),
        name: name.into(),
        detail: detail.into(),
    }
}

#[async_trait]
impl Fence for SqliteStore {
    async fn fence_findings(&self, migration: &str, tables: &[Table]) -> Result<Vec<Finding>> {
        let side = match self.role {
            Role::Source => "source",
            Role::Target => "target",
        };
        let mut out = findings::limits(side);
        if self.place.exists() {
            let (migration, tables) = (migration.to_owned(), tables.to_vec());
            out.extend(
                self.reading("cannot look at the file", move |conn, _| {
                    findings::of_file(conn, side, &migration, &tables)
                })
                .await?,
            );
        }
        Ok(out)
    }

    async fn incarnation(&self) -> Result<Option<String>> {
        let place = self.place.clone();
        blocking(&self.place, move || {
            Ok(place.inode().map(|inode| format!("file {inode}")))
        })
        .await
    }

    async fn standing(&self, migration: &str) -> Result<Option<Standing>> {
        if !self.place.exists() {
            return Ok(None);
        }
        let migration = migration.to_owned();
        self.latched(&migration.clone(), PATIENCE, move |conn, place, _| {
            register::read(conn, place, &migration)
        })
        .await
    }

    async fn peek_standing(&self, migration: &str) -> Result<Option<Standing>> {
        if !self.place.exists() {
            return Ok(None);
        }
        let migration = migration.to_owned();
        self.working(Purpose::Read, move |conn, place| {
            register::read(conn, place, &migration)
        })
        .await
    }

    async fn make_register(&self, migration: &str, first: Register) -> Result<()> {
        if self.role == Role::Target && !self.place.exists() {
            let place = self.place.clone();
            blocking(&self.place, move || tenure::open_or_make(&place).map(drop)).await?;
        }
        self.latched(migration, PATIENCE, move |conn, place, migration| {
            register::make(conn, place, migration, first)
        })
        .await
    }

    /// All tables in one transaction: triggers are made without a look at the rows.
    async fn arm(&self, migration: &str, tables: &[Table], within: Duration) -> Result<()> {
        let tables = tables.to_vec();
        self.latched(migration, within, move |conn, place, migration| {
            register::expect(conn, place, migration)?;
            for table in &tables {
                let name = &table.name.name;
                let there = ddl::note_opened(conn, migration, name)
                    .and_then(|()| triggers::arm(conn, migration, name))
                    .map_err(|e| place.failed("cannot fence the table")(e).table(&table.name))?;
                if !there {
                    return Err(place
                        .error(ErrorKind::Missing, "sqlite.table", "there is no such table")
                        .table(&table.name));
                }
            }
            Ok(())
        })
        .await
    }

    async fn disarm(&self, migration: &str, tables: &[Table]) -> Result<Vec<TableName>> {
        let names: Vec<TableName> = tables.iter().map(|t| t.name.clone()).collect();
        let off = names.clone();
        let done = self
            .latched(migration, SHORT, move |conn, place, migration| {
                let now = register::expect(conn, place, migration)?.register;
                if !register::is_open(now.mode.word()) {
                    return Err(place.error(
                        ErrorKind::Conflict,
                        "sqlite.register",
                        format!("the register says {now}: the fence stays"),
                    ));
                }
                for table in &off {
                    triggers::disarm(conn, migration, &table.name)
                        .map_err(|e| place.failed("cannot take the fence off")(e).table(table))?;
                }
                Ok(())
            })
            .await;
        match done {
            Ok(()) => Ok(Vec::new()),
            Err(e) if e.kind == ErrorKind::Busy => Ok(names),
            Err(e) => Err(e),
        }
    }

    async fn open_probe(&self, migration: &str) -> Result<Box<dyn WriteProbe>> {
        self.latched(migration, PATIENCE, |conn, place, migration| {
            register::expect(conn, place, migration)?;
            probe::make(conn, migration).map_err(place.failed("cannot make the probe's table"))
        })
        .await?;
        let (place, migration) = (self.place.clone(), migration.to_owned());
        let probe = blocking(&self.place, move || probe::Probe::open(place, &migration)).await?;
        Ok(Box::new(probe))
    }

    async fn fence_cost(&self, migration: &str) -> Result<Option<Duration>> {
        let (place, migration) = (self.place.clone(), migration.to_owned());
        blocking(&self.place, move || {
            let connection = place.open(Purpose::Write)?;
            lock::begin(&connection, &place, SHORT)?;
            let measured = cost::measure(&connection, &migration);
            lock::rollback(&connection);
            measured
                .map(Some)
                .map_err(place.failed("cannot measure the fence"))
        })
        .await
    }

    /// Since when they have it is not told by the system: their age is zero. None can be ended: an application's transaction ends with
    /// its process only.
    async fn blockers(&self, _migration: &str) -> Result<Vec<Blocker>> {
        let place = self.place.clone();
        blocking(&self.place, move || {
            let connection = place.open(Purpose::Write)?;
            match lock::begin(&connection, &place, Duration::ZERO) {
                Ok(()) => {
                    lock::rollback(&connection);
                    Ok(Vec::new())
                }
                Err(e) if e.kind == ErrorKind::Busy => {
                    let mut who = holder::holders_named(&place);
                    if who.is_empty() {
                        who.push(holder::in_the_way(&place));
                    }
                    let blocker = |who| Blocker {
                        who,
                        age: Duration::ZERO,
                        can_end: false,
                    };
                    Ok(who.into_iter().map(blocker).collect())
                }
                Err(e) => Err(e),
            }
        })
        .await
    }

    async fn fire(&self, migration: &str, fire: &Fire) -> Result<Box<dyn Latch>> {
        let begun = Instant::now();
        let turns = Arc::clone(&self.writers.turns).lock_owned();
        let Ok(turn) = tokio::time::timeout(fire.within, turns).await else {
            return Err(lock::busy(&self.place));
        };
        let (place, migration) = (self.place.clone(), migration.to_owned());
        let fire = Fire {
            within: fire.within.saturating_sub(begun.elapsed()),
            ..*fire
        };
        let latch = blocking(&self.place, move || {
            // taken, not held: what this store is asked to write meanwhile is told that the file is busy
            let _turn = turn;
            latch::fire(&place, &migration, &fire)
        })
        .await?;
        Ok(Box::new(latch))
    }

    async fn end_holder(&self, migration: &str) -> Result<Option<String>> {
        if !self.place.exists() {
            return Ok(None);
        }
        let migration = migration.to_owned();
        self.working(Purpose::Write, move |conn, place| {
            let recorded = register::holder(conn, &migration)
                .map_err(place.failed("cannot read who holds the fence"))?;
            // an applier that stands still holds the very same lock
            let appliers = [migration.clone(), reverse_lane(&migration)]
                .into_iter()
                .filter_map(|lane| tenure::written_down(place, &lane));
            let mut recorded = recorded.into_iter().chain(appliers);
            let Some(who) = recorded.find_map(|process| holder::end_if_holding(&process, place))
            else {
                return Ok(None);
            };
            lock::begin(conn, place, ENDING)?;
            lock::rollback(conn);
            Ok(Some(who))
        })
        .await
    }

    async fn swap(&self, migration: &str, from: Register, to: Register) -> Result<()> {
        self.latched(migration, PATIENCE, move |conn, place, migration| {
            register::swap(conn, place, migration, from, to)
        })
        .await
    }

    async fn note_beginning(&self, migration: &str, epoch: u64) -> Result<Beginning> {
        self.latched(migration, PATIENCE, move |conn, place, migration| {
            register::note_beginning(conn, place, migration, epoch)
        })
        .await
    }

    async fn raise_for_switch(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        let (sequences, tables) = (sequences.to_vec(), tables.to_vec());
        self.locked(PATIENCE, move |conn, place, left| {
            lock::begin(conn, place, left)?;
            ddl::raise_all(conn, place, &sequences, &tables)
        })
        .await
    }

    async fn skip_log(&self, lane: &str, position: Position) -> Result<()> {
        let lane = lane.to_owned();
        self.working(Purpose::Write, move |conn, place| {
            let end = register::log_end(conn, place, &lane)?;
            Trimmer::new(&lane, 0)
                .skip(conn, position.0.min(end))
                .map_err(place.failed("cannot give up the change table's rows"))
        })
        .await
    }

    /// SQLite has no triggers on its schema: changes of it are seen, not refused.
    async fn freeze_ddl(&self, _migration: &str, _tables: &[Table], _frozen: bool) -> Result<bool> {
        Ok(false)
    }

    async fn fence_made(&self, migration: &str) -> Result<Vec<Made>> {
        if !self.place.exists() {
            return Ok(Vec::new());
        }
        let migration = migration.to_owned();
        self.working(Purpose::Read, move |conn, place| {
            let mut out = Vec::new();
            if let Some(standing) = register::read(conn, place, &migration)? {
                let detail = standing.register.to_string();
                out.push(made("row", register::REGISTER, detail));
            }
            let triggers = triggers::found(conn, &migration)
                .map_err(place.failed("cannot list the fence's triggers"))?;
            out.extend(triggers.into_iter().map(|name| made("trigger", name, "")));
            let probe = probe::found(conn, &migration)
                .map_err(place.failed("cannot look for the probe's table"))?;
            out.extend(probe.map(|name| made("table", name, "")));
            Ok(out)
        })
        .await
    }

    async fn remove_fence(&self, migration: &str) -> Result<Vec<Made>> {
        if !self.place.exists() {
            return Ok(Vec::new());
        }
        self.latched(migration, PATIENCE, move |conn, place, migration| {
            let failed = place.failed("cannot remove the fence");
            let gone = triggers::remove(conn, migration).map_err(&failed)?;
            let mut out: Vec<Made> = gone.into_iter().map(|t| made("trigger", t, "")).collect();
            let probe = probe::remove(conn, migration).map_err(&failed)?;
            out.extend(probe.map(|name| made("table", name, "")));
            let tables = register::remove(conn, migration).map_err(&failed)?;
            out.extend(tables.into_iter().map(|t| made("table", t, "")));
            Ok(out)
        })
        .await
    }
}
