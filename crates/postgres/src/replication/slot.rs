//! The replication slot: whether it still has the log that is needed, and who reads it.

use std::time::{Duration, Instant};

use crossfade_model::Position;
use crossfade_store::{ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::lsn;
use crate::session::Purpose;

/// How long to wait until a dead predecessor's walsender is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// After so long, a reader of this program and role is ended.
const POLITE: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(50);

/// A slot as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `pgoutput`.
    pub plugin: Option<String>,
    /// It belongs to the database that we are connected to.
    pub here: bool,
    /// The process that reads it.
    pub active_pid: Option<i32>,
    /// Everything before was confirmed; nothing before comes again.
    pub confirmed: Option<Position>,
    /// Why it cannot be read any more.
    pub lost: Option<String>,
    /// Bytes of log that it keeps on the server.
    pub kept_bytes: u64,
}

/// Reads a slot; `None` where there is none of this name.
///
/// # Errors
/// The connection's.
pub async fn read(client: &Client, name: &str) -> Result<Option<Slot>> {
    let reason = match client.version() {
        170_000.. => "invalidation_reason",
        160_000.. => "CASE WHEN conflicting THEN 'conflict' END",
        _ => "NULL::text",
    };
    let sql = format!(
        "SELECT plugin::text, database = current_database(), active_pid, confirmed_flush_lsn::text,
                CASE WHEN wal_status = 'lost' THEN coalesce({reason}, 'log removed') ELSE {reason} END,
                greatest(0, CASE WHEN pg_is_in_recovery() THEN 0
                    ELSE pg_current_wal_lsn() - restart_lsn END)::bigint
         FROM pg_replication_slots WHERE slot_name = $1"
    );
    let row = client
        .query_opt("reading the replication slot", &sql, &[&name])
        .await?;
    Ok(row.map(|row| Slot {
        plugin: row.get(0),
        here: row.get::<_, Option<bool>>(1).unwrap_or(false),
        active_pid: row.get(2),
        confirmed: row.get::<_, Option<&str>>(3).and_then(lsn::parse),
        lost: row.get(4),
        kept_bytes: row
            .get::<_, Option<i64>>(5)
            .and_then(|b| u64::try_from(b).ok())
            .unwrap_or(0),
    }))
}

/// Requires that the slot has everything after `from` and that nobody reads it. Waits for a dead predecessor.
///
/// # Errors
/// [`ErrorKind::LogLost`]; [`ErrorKind::Unavailable`] while somebody else reads it.
pub async fn require(client: &Client, label: &str, name: &str, from: Position) -> Result<()> {
    let begun = Instant::now();
    loop {
        let slot = read(client, name).await?;
        let slot = check(slot, label, name, from)?;
        let Some(pid) = slot.active_pid else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "postgres.slot_active",
                label,
                format!("replication slot {name} is read by process {pid}"),
            )
            .fix("End the other reader: a slot of crossfade belongs to one run"));
        }
        if begun.elapsed() > POLITE {
            end_own_reader(client, pid).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn check(slot: Option<Slot>, label: &str, name: &str, from: Position) -> Result<Slot> {
    let lost = |code: &'static str, what: String| {
        StoreError::new(ErrorKind::LogLost, code, label, what)
            .fix("Changes are missing: begin the migration anew with an empty target")
    };
    let Some(slot) = slot else {
        return Err(lost(
            "postgres.slot_missing",
            format!("replication slot {name} does not exist"),
        ));
    };
    if slot.plugin.as_deref() != Some("pgoutput") || !slot.here {
        return Err(lost(
            "postgres.slot_foreign",
            format!("replication slot {name} is of another plugin or database"),
        ));
    }
    if let Some(why) = &slot.lost {
        return Err(lost(
            "postgres.slot_lost",
            format!("replication slot {name} was invalidated by the server: {why}"),
        ));
    }
    match slot.confirmed {
        Some(confirmed) if confirmed <= from => Ok(slot),
        Some(confirmed) => Err(lost(
            "postgres.slot_ahead",
            format!(
                "replication slot {name} was confirmed up to {}, beyond the checkpoint {}",
                lsn::show(confirmed),
                lsn::show(from)
            ),
        )),
        None => Err(lost(
            "postgres.slot_unfinished",
            format!("replication slot {name} was never finished"),
        )),
    }
}

/// Ends a walsender of this program under this role. Whoever holds the target's epoch is the only rightful reader.
pub async fn end_own_reader(client: &Client, pid: i32) -> Result<()> {
    client
        .execute(
            "ending a dead run's stream",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid = $1 AND usename = current_user AND application_name = $2",
            &[&pid, &Purpose::Stream.application_name()],
        )
        .await?;
    Ok(())
}
