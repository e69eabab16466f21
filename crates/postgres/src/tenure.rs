//! The right to write to a target for one migration.
//!
//! A session-level advisory lock says that a run is alive; the run epoch, a row that every writing transaction locks and
//! compares, makes sure that a run which lost that right without noticing commits nothing. Writers' sessions hold a second
//! advisory lock, shared, by which a successor finds what a dead run left open.

mod holder;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::Position;
use crossfade_store::{
    Applier, ErrorKind, Loader, Record, RecordKey, Result, StoreError, TargetState, Tenure,
};
use sha2::{Digest as _, Sha256};

use crate::apply::PostgresApplier;
use crate::capture::refuse_standby;
use crate::connect::Client;
use crate::load::PostgresLoader;
use crate::names::{OWN_SCHEMA, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::writer::{self, Writer};
use holder::{Life, Mark, Process};

/// How long a run that has just died may still seem alive: its server process notices the closed socket within milliseconds,
/// one that is busy at its next message.
const ALIVE_PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for a dead run's sessions after they were told to end.
const ENDING_PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);

/// Which advisory lock.
#[derive(Debug, Clone, Copy)]
enum Lock {
    /// Held by the run, exclusively.
    Run,
    /// Held by each of its writing sessions, shared.
    Writers,
    /// Held for the transaction that makes crossfade's tables.
    Tables,
}

/// The lock's number; a migration's locks differ from another's, and hardly meet an application's.
fn lock_key(lock: Lock, migration: &str) -> i64 {
    let purpose = match lock {
        Lock::Run => "run",
        Lock::Writers => "writers",
        Lock::Tables => "tables",
    };
    let digest = Sha256::digest(format!("crossfade {purpose} {migration}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// What the target holds of a migration, without taking it; see [`crossfade_store::Target::peek`].
///
/// # Errors
/// The connection's.
pub async fn peek(store: &PostgresStore, migration: &str) -> Result<Option<TargetState>> {
    let client = store.connect(Purpose::Read).await?;
    if !has_tables(&client).await? {
        store.keep(client);
        return Ok(None);
    }
    // one snapshot for both tables
    client
        .batch(
            "reading the migration's state",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await?;
    read_state(&client, store.label(), migration).await
}

/// True where crossfade's own tables are there.
///
/// # Errors
/// The connection's.
pub async fn has_tables(client: &Client) -> Result<bool> {
    let row = client
        .query_one(
            "looking for crossfade's tables",
            "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL",
            &[
                &format!("{OWN_SCHEMA}.run"),
                &format!("{OWN_SCHEMA}.record"),
            ],
        )
        .await?;
    Ok(row.get(0))
}

async fn read_state(client: &Client, label: &str, migration: &str) -> Result<Option<TargetState>> {
    let doing = "reading the migration's state";
    let run = format!("SELECT epoch, checkpoint FROM {OWN_SCHEMA}.run WHERE migration = $1");
    let Some(row) = client.query_opt(doing, &run, &[&migration]).await? else {
        return Ok(None);
    };
    let records = format!(
        "SELECT kind, id, body FROM {OWN_SCHEMA}.record WHERE migration = $1 ORDER BY kind, id"
    );
    let records = client.query(doing, &records, &[&migration]).await?;
    Ok(Some(TargetState {
        epoch: unsigned(label, row.get(0))?,
        checkpoint: row
            .get::<_, Option<i64>>(1)
            .map(|at| unsigned(label, at).map(Position))
            .transpose()?,
        records: records
            .iter()
            .map(|row| Record {
                key: RecordKey::new(row.get::<_, &str>(0), row.get::<_, &str>(1)),
                body: row.get(2),
            })
            .collect(),
    }))
}

fn unsigned(label: &str, stored: i64) -> Result<u64> {
    u64::try_from(stored).map_err(|_| {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.state",
            label,
            format!("table {OWN_SCHEMA}.run holds a negative number"),
        )
    })
}

/// Takes the right to write; see [`crossfade_store::Target::acquire`].
///
/// # Errors
/// [`ErrorKind::AlreadyRunning`]; [`ErrorKind::Unavailable`] where a dead run's session does not end.
pub async fn acquire(store: &PostgresStore, migration: &str) -> Result<Box<dyn Tenure>> {
    let client = store.connect(Purpose::Tenure).await?;
    refuse_standby(&client, store.label()).await?;
    let mark = name_session(&client).await?;
    take_run_lock(&client, store.label(), migration).await?;
    end_old_writers(&client, store.label(), migration).await?;
    make_tables(&client).await?;
    let state = raise_epoch(&client, store.label(), migration).await?;
    Ok(Box::new(PostgresTenure {
        store: store.clone(),
        migration: migration.to_owned(),
        client,
        state,
        _mark: mark,
    }))
}

/// Says in the session's name whose it is.
async fn name_session(client: &Client) -> Result<Mark> {
    let doing = "setting up the session";
    if let Some(process) = Process::this() {
        let name = quote_literal(&process.session_name());
        client
            .batch(doing, &format!("SET application_name = {name}"))
            .await?;
    }
    let row = client
        .query_one(doing, "SELECT pg_backend_pid()", &[])
        .await?;
    Ok(Mark::new(row.get(0)))
}

async fn take_run_lock(client: &Client, label: &str, migration: &str) -> Result<()> {
    let doing = "taking the right to write";
    let key = lock_key(Lock::Run, migration);
    let begun = Instant::now();
    loop {
        let row = client
            .query_one(doing, "SELECT pg_try_advisory_lock($1)", &[&key])
            .await?;
        if row.get(0) {
            return Ok(());
        }
        let holder = holder(client, key).await?;
        if let Some(holder) = &holder
            && holder.life == Life::Ended
        {
            end_session(client, holder.backend).await?;
        }
        if begun.elapsed() > ALIVE_PATIENCE {
            let shown = holder.map_or_else(String::new, |h| format!(": {}", h.shown));
            return Err(StoreError::new(
                ErrorKind::AlreadyRunning,
                "postgres.already_running",
                label,
                format!("another run of migration {migration} holds the target{shown}"),
            )
            .fix("Let it go on, or end that process first"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The session that holds a lock.
struct Holder {
    backend: i32,
    life: Life,
    shown: String,
}

async fn holder(client: &Client, key: i64) -> Result<Option<Holder>> {
    let sql = format!(
        "SELECT a.pid, coalesce(a.application_name, ''),
                coalesce(a.client_addr::text, 'a local socket'), coalesce(a.backend_start::text, '')
         FROM {HOLDERS}"
    );
    let row = client
        .query("looking for the other run", &sql, &[&key])
        .await?;
    Ok(row.first().map(|row| {
        let backend = row.get(0);
        let process = Process::parse(row.get(1));
        Holder {
            backend,
            life: process.map_or(Life::PerhapsAlive, |process| process.life(backend)),
            shown: format!(
                "server process {backend} from {} since {}",
                row.get::<_, &str>(2),
                row.get::<_, &str>(3)
            ),
        }
    }))
}

async fn end_session(client: &Client, backend: i32) -> Result<()> {
    client
        .execute(
            "ending a dead run's session",
            "SELECT pg_terminate_backend($1)",
            &[&backend],
        )
        .await
        .map(drop)
}

/// Sessions that hold the advisory lock `$1` (PostgreSQL documentation, `pg_locks`: a 64-bit key stands in two columns).
const HOLDERS: &str = "pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::bigint = (($1::bigint >> 32) & 4294967295)
       AND l.objid::bigint = ($1::bigint & 4294967295)
       AND l.pid <> pg_backend_pid()";

/// Ends the sessions of a run that is no more: whoever holds the run's lock knows that nobody alive uses them.
async fn end_old_writers(client: &Client, label: &str, migration: &str) -> Result<()> {
    let doing = "ending a dead run's sessions";
    let key = lock_key(Lock::Writers, migration);
    let begun = Instant::now();
    loop {
        let left = client
            .query(
                doing,
                &format!("SELECT a.pid, pg_terminate_backend(a.pid) FROM {HOLDERS}"),
                &[&key],
            )
            .await?;
        let Some(first) = left.first() else {
            return Ok(());
        };
        if begun.elapsed() > ENDING_PATIENCE {
            let pid: i32 = first.get(0);
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "postgres.old_writer",
                label,
                format!("a dead run's session (server process {pid}) does not end"),
            )
            .fix(format!("SELECT pg_terminate_backend({pid})")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends whoever has the right to write; see [`crossfade_store::Target::end_tenure`].
///
/// # Errors
/// [`ErrorKind::Permission`]; [`ErrorKind::Unavailable`] where a session does not end; the connection's.
pub async fn end(store: &PostgresStore, migration: &str) -> Result<Option<String>> {
    let client = store.connect(Purpose::Tenure).await?;
    if !has_tables(&client).await? {
        store.keep(client);
        return Ok(None);
    }
    // before its sessions: what it commits from here on is refused, whichever of them it uses
    let sql = format!("UPDATE {OWN_SCHEMA}.run SET epoch = epoch + 1 WHERE migration = $1");
    client
        .execute("raising the run epoch", &sql, &[&migration])
        .await?;
    let key = lock_key(Lock::Run, migration);
    let begun = Instant::now();
    let mut ended = None;
    while let Some(holder) = holder(&client, key).await? {
        if begun.elapsed() > ENDING_PATIENCE {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "postgres.holder_stays",
                store.label(),
                format!(
                    "a session that holds the target does not end: {}",
                    holder.shown
                ),
            )
            .fix(format!("SELECT pg_terminate_backend({})", holder.backend)));
        }
        end_session(&client, holder.backend).await?;
        ended = Some(holder.shown);
        tokio::time::sleep(PAUSE).await;
    }
    end_old_writers(&client, store.label(), migration).await?;
    store.keep(client);
    Ok(ended)
}

async fn make_tables(client: &Client) -> Result<()> {
    if has_tables(client).await? {
        return Ok(());
    }
    let key = lock_key(Lock::Tables, "");
    // an existing schema needs no right to make schemas in this database
    let sql = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock({key});
         DO $$ BEGIN
             IF to_regnamespace('{OWN_SCHEMA}') IS NULL THEN CREATE SCHEMA {OWN_SCHEMA}; END IF;
         END $$;
         CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.run (
             migration text COLLATE \"C\" PRIMARY KEY,
             epoch bigint NOT NULL,
             checkpoint bigint);
         CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.record (
             migration text COLLATE \"C\" NOT NULL,
             kind text COLLATE \"C\" NOT NULL,
             id text COLLATE \"C\" NOT NULL,
             body text NOT NULL,
             PRIMARY KEY (migration, kind, id));
         COMMIT"
    );
    client.batch("making crossfade's tables", &sql).await
}

async fn raise_epoch(client: &Client, label: &str, migration: &str) -> Result<TargetState> {
    let doing = "raising the run epoch";
    client.batch(doing, "BEGIN").await?;
    let insert = format!(
        "INSERT INTO {OWN_SCHEMA}.run (migration, epoch) VALUES ($1, 0) ON CONFLICT DO NOTHING"
    );
    client.execute(doing, &insert, &[&migration]).await?;
    // waits for a transaction of the old run that is just committing; whatever begins after is refused
    let lock = format!("SELECT epoch FROM {OWN_SCHEMA}.run WHERE migration = $1 FOR UPDATE");
    client.query_one(doing, &lock, &[&migration]).await?;
    let raise = format!("UPDATE {OWN_SCHEMA}.run SET epoch = epoch + 1 WHERE migration = $1");
    client.execute(doing, &raise, &[&migration]).await?;
    let state = read_state(client, label, migration).await?;
    client.batch(doing, "COMMIT").await?;
    state.ok_or_else(|| {
        StoreError::new(
            ErrorKind::Internal,
            "postgres.state",
            label,
            "the run's row is not there after it was written",
        )
    })
}

/// The right to write, while its connection lives.
struct PostgresTenure {
    store: PostgresStore,
    migration: String,
    client: Client,
    state: TargetState,
    /// As long as it is there, the session is not taken for a dead one.
    _mark: Mark,
}

impl PostgresTenure {
    async fn open_writer(&self, purpose: Purpose) -> Result<Writer> {
        let key = lock_key(Lock::Writers, &self.migration);
        Writer::open(&self.store, purpose, &self.migration, self.state.epoch, key).await
    }
}

#[async_trait]
impl Tenure for PostgresTenure {
    fn state(&self) -> &TargetState {
        &self.state
    }

    async fn check(&self) -> Result<()> {
        let sql = format!("SELECT epoch FROM {OWN_SCHEMA}.run WHERE migration = $1");
        let row = self
            .client
            .query_opt("checking the right to write", &sql, &[&self.migration])
            .await?;
        let stored = row.map(|row| row.get::<_, i64>(0));
        writer::may_write(self.store.label(), self.state.epoch, stored)
    }

    async fn open_applier(&self) -> Result<Box<dyn Applier>> {
        let writer = self.open_writer(Purpose::Apply).await?;
        Ok(Box::new(PostgresApplier::new(writer).await?))
    }

    async fn open_loader(&self) -> Result<Box<dyn Loader>> {
        let writer = self.open_writer(Purpose::Load).await?;
        Ok(Box::new(PostgresLoader::new(writer)))
    }
}
