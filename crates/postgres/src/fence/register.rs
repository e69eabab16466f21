//! The register's row and the gate beside it.

use crossfade_model::{Beginning, Mode, Register, reverse_lane};
use crossfade_store::{ErrorKind, Result, Standing, StoreError};

use super::names;
use super::sql::{self, Gate, IS_LATCH};
use crate::connect::Client;
use crate::ddl::make_schema;
use crate::guard;
use crate::names::{OWN_SCHEMA, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::strangers;

/// The oldest server whose sessions end by themselves when nothing is heard (`idle_session_timeout`).
pub(super) const OLDEST: u32 = 140_000;

/// A register's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) standing: Standing,
    /// What writers ought to read.
    pub(super) gate: Gate,
    /// The tables that were armed, quoted, without what hangs on them.
    pub(super) tables: Vec<String>,
}

/// What writers read where the register becomes `to`. Only a store that was open tells them to try again.
fn gate(from: Register, was: Gate, to: Register) -> Gate {
    match to.mode {
        Mode::Open => Gate::Open,
        Mode::Fenced if from.mode == Mode::Open => Gate::Window,
        Mode::Fenced if from.mode == Mode::Fenced => was,
        Mode::Given => Gate::Moved,
        Mode::Fenced | Mode::Refused => Gate::Closed,
    }
}

/// Makes the register where there is none, and what the fence's triggers need.
///
/// # Errors
/// [`ErrorKind::Unsupported`] on an old server; the server's.
pub(super) async fn make(store: &PostgresStore, migration: &str, first: Register) -> Result<()> {
    let client = store.connect(Purpose::Fence).await?;
    require_version(&client)?;
    make_schema(&client, OWN_SCHEMA).await?;
    let gate = match first.mode {
        Mode::Open => Gate::Open,
        Mode::Given => Gate::Moved,
        Mode::Fenced | Mode::Refused => Gate::Closed,
    };
    let epoch = signed(store.label(), first.epoch)?;
    // two that make it at once wait for each other; the gate is moved before the row says so, and only by who makes the row
    let sql = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock({key});
         {make};
         SELECT setval('{sequence}', {value}) WHERE NOT EXISTS (
             SELECT FROM {OWN_SCHEMA}.register WHERE migration = {migration});
         INSERT INTO {OWN_SCHEMA}.register (migration, mode, epoch, gate)
         VALUES ({migration}, '{mode}', {epoch}, {value}) ON CONFLICT DO NOTHING;
         COMMIT",
        key = names::latch(""),
        make = sql::make(migration, gate),
        sequence = names::gate(migration),
        value = gate.value(),
        migration = quote_literal(migration),
        mode = first.mode,
    );
    let doing = "making the register";
    let made = client.batch(doing, &sql).await;
    if made.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch(doing, "ROLLBACK").await;
    }
    made?;
    // those that an older version of the program made know no gate
    guard::renew_function(&client).await?;
    strangers::renew_function(&client).await?;
    store.keep(client);
    Ok(())
}

/// Requires a server that ends silent sessions.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
pub(super) fn require_version(client: &Client) -> Result<()> {
    if client.version() >= OLDEST {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::Unsupported,
        "postgres.fence_version",
        client.label(),
        format!(
            "the server is version {}: the fence needs 14, which ends a session that is silent",
            client.version() / 10_000
        ),
    )
    .fix("Upgrade the server"))
}

/// Reads the register as it is.
///
/// # Errors
/// The server's; [`ErrorKind::Corrupt`] for what the program never writes.
pub(super) async fn read(client: &Client, migration: &str) -> Result<Option<Row>> {
    let doing = "reading the register";
    let there = client
        .query_one(
            doing,
            "SELECT to_regclass($1) IS NOT NULL",
            &[&format!("{OWN_SCHEMA}.register")],
        )
        .await?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = format!(
        "SELECT mode, epoch, gate, beginning, tables FROM {OWN_SCHEMA}.register WHERE migration = $1"
    );
    let row = client.query_opt(doing, &sql, &[&migration]).await?;
    row.map(|row| parse(client.label(), &row)).transpose()
}

/// As [`read`], where there must be one.
///
/// # Errors
/// [`ErrorKind::Missing`] where there is none.
pub(super) async fn require(client: &Client, migration: &str) -> Result<Row> {
    read(client, migration).await?.ok_or_else(|| {
        StoreError::new(
            ErrorKind::Missing,
            "postgres.no_register",
            client.label(),
            format!("there is no register of migration {migration}"),
        )
        .fix("Run `crossfade run` first: it makes the register")
    })
}

fn parse(label: &str, row: &tokio_postgres::Row) -> Result<Row> {
    let corrupt = || {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.register",
            label,
            format!("table {OWN_SCHEMA}.register holds what the program never writes"),
        )
    };
    let mode = row.get::<_, &str>(0).parse().map_err(|()| corrupt())?;
    let epoch = u64::try_from(row.get::<_, i64>(1)).map_err(|_| corrupt())?;
    let beginning: Option<Beginning> = row
        .get::<_, Option<&str>>(3)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| corrupt())?;
    Ok(Row {
        standing: Standing {
            register: Register::new(mode, epoch),
            beginning,
        },
        gate: Gate::of(row.get::<_, i16>(2).into()),
        tables: row.get(4),
    })
}

/// What writers read now.
///
/// # Errors
/// The server's.
pub(super) async fn read_gate(client: &Client, migration: &str) -> Result<Gate> {
    let sql = format!("SELECT last_value FROM {}", names::gate(migration));
    let row = client.query_one("reading the gate", &sql, &[]).await?;
    Ok(Gate::of(row.get(0)))
}

/// Makes the gate agree with the register, under the exclusive latch.
///
/// # Errors
/// The server's.
pub(super) async fn agree(client: &Client, migration: &str, gate: Gate) -> Result<()> {
    let sql = format!(
        "SELECT setval('{}', {})",
        names::gate(migration),
        gate.value()
    );
    client.batch("moving the gate", &sql).await
}

/// Changes the register by compare-and-swap in the session that holds the latch exclusively.
///
/// # Errors
/// [`ErrorKind::Conflict`] where it is not `from`; [`ErrorKind::Connection`] where the outcome is unknown.
pub(super) async fn swap(
    client: &Client,
    migration: &str,
    from: Register,
    to: Register,
) -> Result<()> {
    if to.epoch < from.epoch {
        return Err(StoreError::new(
            ErrorKind::Usage,
            "postgres.register_epoch",
            client.label(),
            format!("the register's epoch never falls: from {from} to {to}"),
        ));
    }
    let doing = "changing the register";
    client
        .batch(doing, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        .await?;
    match swap_in_transaction(client, migration, from, to).await {
        Ok(gate) => {
            // a transaction that has failed answers a lone COMMIT with ROLLBACK and no error
            let committed = client.batch(doing, "SELECT; COMMIT").await;
            committed.map_err(|e| in_doubt(client, e))?;
            if gate == Gate::Open {
                agree(client, migration, gate).await?;
            }
            Ok(())
        }
        Err(e) => {
            if let Err(lost) = client.batch(doing, "ROLLBACK").await {
                return Err(in_doubt(client, lost));
            }
            // the gate is no part of the transaction: where it was moved already, it goes back
            if let Ok(row) = require(client, migration).await {
                agree(client, migration, row.gate).await?;
            }
            Err(e)
        }
    }
}

/// Compares, closes the gate where it is to be closed, and changes the row; returns what writers ought to read.
async fn swap_in_transaction(
    client: &Client,
    migration: &str,
    from: Register,
    to: Register,
) -> Result<Gate> {
    require_held(client, migration).await?;
    let doing = "changing the register";
    let lock = format!("SELECT FROM {OWN_SCHEMA}.register WHERE migration = $1 FOR UPDATE");
    client.query_opt(doing, &lock, &[&migration]).await?;
    let present = require(client, migration).await?;
    if present.standing.register != from {
        return Err(StoreError::new(
            ErrorKind::Conflict,
            "postgres.register_changed",
            client.label(),
            format!(
                "the register of migration {migration} is {}, not {from}",
                present.standing.register
            ),
        )
        .fix("Another switch has gone on meanwhile: look at `crossfade status`"));
    }
    let gate = gate(from, present.gate, to);
    if gate != Gate::Open {
        agree(client, migration, gate).await?;
    }
    let update = format!(
        "UPDATE {OWN_SCHEMA}.register SET mode = $2, epoch = $3, gate = $4 WHERE migration = $1"
    );
    let epoch = signed(client.label(), to.epoch)?;
    client
        .execute(
            doing,
            &update,
            &[&migration, &to.mode.word(), &epoch, &gate.value()],
        )
        .await?;
    if to.mode == Mode::Open {
        end_appliers(client, migration).await?;
    }
    Ok(gate)
}

/// From the opening on nobody applies to this store by a right that was taken before: the run epoch of either lane that fills it is raised.
async fn end_appliers(client: &Client, migration: &str) -> Result<()> {
    let doing = "ending the right to write";
    if !crate::tenure::has_tables(client).await? {
        return Ok(());
    }
    let sql = format!("UPDATE {OWN_SCHEMA}.run SET epoch = epoch + 1 WHERE migration IN ($1, $2)");
    client
        .execute(doing, &sql, &[&migration, &reverse_lane(migration)])
        .await?;
    Ok(())
}

/// Whether this session holds the latch exclusively.
///
/// # Errors
/// The connection's.
pub(super) async fn is_held(client: &Client, migration: &str) -> Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_locks l WHERE {IS_LATCH} AND l.mode = 'ExclusiveLock' AND l.pid = pg_backend_pid())"
    );
    let row = client
        .query_one("looking at the latch", &sql, &[&names::latch(migration)])
        .await?;
    Ok(row.get(0))
}

/// Requires that this session holds the latch exclusively: behind a pooler that changes sessions between transactions it may not.
///
/// # Errors
/// [`ErrorKind::Setting`].
pub(super) async fn require_held(client: &Client, migration: &str) -> Result<()> {
    if is_held(client, migration).await? {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::Setting,
        "postgres.latch_lost",
        client.label(),
        "this session does not hold the latch that it took: the connection goes through a pooler that changes sessions",
    )
    .fix("Give the server's own address in the URL, not the pooler's"))
}

/// A server that ends the session may have committed before.
fn in_doubt(client: &Client, mut e: StoreError) -> StoreError {
    if e.kind == ErrorKind::Unavailable || client.is_closed() {
        e.kind = ErrorKind::Connection;
    }
    e
}

/// A number as the server stores it.
///
/// # Errors
/// [`ErrorKind::Internal`] where it is too large.
pub(super) fn signed(label: &str, number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| {
        StoreError::new(
            ErrorKind::Internal,
            "postgres.register",
            label,
            "an epoch is too large to store",
        )
    })
}
