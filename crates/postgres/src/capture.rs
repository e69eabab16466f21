//! The capture on a source: a publication and a replication slot, made, looked at and removed.

mod publication;
mod watch;

use std::time::{Duration, Instant};

use crossfade_model::{Position, Snapshot};
use crossfade_store::{CaptureSpec, CaptureStart, ErrorKind, Made, Probe, Result, StoreError};

use crate::connect::Client;
use crate::lsn;
use crate::names::{capture_name, quote_ident, quote_literal};
use crate::replication::session::{REPLY_TIMEOUT, ReplicationSession};
use crate::replication::slot;
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::visibility::parse_snapshot;

pub use publication::{
    create_statement as create_publication_statement, difference as publication_difference,
};
pub use watch::{differences as table_differences, watch};

/// Making a slot waits for every transaction that has written something, in any database of the server.
const SLOT_TIMEOUT: Duration = Duration::from_secs(600);

/// How long to wait until a reader that was ended leaves its slot.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long other commits may take to flush what a probe saw.
const FLUSH_GRACE: Duration = Duration::from_millis(5);

const PAUSE: Duration = Duration::from_millis(50);

/// Makes the publication, then the slot; see [`crossfade_store::Source::create_capture`].
///
/// # Errors
/// Missing privileges with the statement for the administrator; settings; a standby.
pub async fn create_capture(store: &PostgresStore, spec: &CaptureSpec) -> Result<CaptureStart> {
    let client = store.connect(Purpose::Capture).await?;
    refuse_standby(&client, store.label()).await?;
    let name = capture_name(&spec.migration);
    // a slot of an unfinished try: its snapshot is gone, so it is of no use
    drop_slot(&client, store.label(), &name).await?;
    publication::ensure(&client, store.label(), &name, spec).await?;
    let (position, base) = create_slot(store, &client, &name).await?;
    let made = made_by(&client, &name).await?;
    store.keep(client);
    Ok(CaptureStart {
        position,
        base,
        made,
    })
}

/// Refuses a server in recovery: its snapshots see what it has not replayed, and its log is another's.
///
/// # Errors
/// [`ErrorKind::Unsupported`] on a standby.
pub async fn refuse_standby(client: &Client, label: &str) -> Result<()> {
    let row = client
        .query_one(
            "looking at the server's role",
            "SELECT pg_is_in_recovery()",
            &[],
        )
        .await?;
    if row.get(0) {
        return Err(StoreError::new(
            ErrorKind::Unsupported,
            "postgres.standby",
            label,
            "the server is a standby (in recovery)",
        )
        .fix("Give the primary's address: changes and chunks are read there only"));
    }
    Ok(())
}

async fn create_slot(
    store: &PostgresStore,
    client: &Client,
    name: &str,
) -> Result<(Position, Snapshot)> {
    let doing = "making the replication slot";
    let mut session = ReplicationSession::open(store.connect_target(), Purpose::Capture).await?;
    // it waits for other transactions by their locks, as long as we allow and not as long as a lock
    session
        .query(doing, "SET lock_timeout = 0", REPLY_TIMEOUT)
        .await?;
    let sql = format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput EXPORT_SNAPSHOT",
        quote_ident(name)
    );
    let rows = match session.query(doing, &sql, SLOT_TIMEOUT).await {
        Ok(rows) => rows,
        // the server drops the unfinished slot when the session ends
        Err(e) if e.code == "postgres.no_reply" => return Err(blocked(client, e).await),
        Err(e) => return Err(explain_slot(e)),
    };
    let broken = || {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.protocol",
            store.label(),
            "the server's reply to CREATE_REPLICATION_SLOT cannot be read",
        )
    };
    let field = |at: usize| rows.first()?.get(at)?.as_deref();
    let position = field(1).and_then(lsn::parse).ok_or_else(broken)?;
    let exported = field(2).ok_or_else(broken)?;
    let base = import_snapshot(store, exported).await?;
    // the exported snapshot lives until here
    drop(session);
    Ok((position, base.ok_or_else(broken)?))
}

/// The slot's snapshot in 64-bit ids: everything it sees, the stream will not bring, and the other way round.
async fn import_snapshot(store: &PostgresStore, exported: &str) -> Result<Option<Snapshot>> {
    let client = store.connect(Purpose::Capture).await?;
    let doing = "reading the slot's snapshot";
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
        quote_literal(exported)
    );
    client.batch(doing, &begin).await?;
    let row = client
        .query_one(doing, "SELECT pg_current_snapshot()::text", &[])
        .await?;
    Ok(parse_snapshot(row.get(0)))
}

/// Names what the making of the slot waited for.
async fn blocked(client: &Client, e: StoreError) -> StoreError {
    let rows = client
        .query(
            "looking for old transactions",
            "SELECT coalesce(datname::text, ''), pid,
                    extract(epoch FROM now() - xact_start)::bigint
             FROM pg_stat_activity
             WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
             ORDER BY xact_start LIMIT 3",
            &[],
        )
        .await
        .unwrap_or_default();
    let open: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "process {} in database {} for {} s",
                row.get::<_, i32>(1),
                row.get::<_, &str>(0),
                row.get::<_, i64>(2)
            )
        })
        .collect();
    let mut error = e;
    error.code = "postgres.slot_waits";
    error.kind = ErrorKind::Busy;
    error.fix(format!(
        "A slot waits for every open transaction that wrote something, in any database; end the old ones ({})",
        if open.is_empty() {
            "see pg_stat_activity and pg_prepared_xacts".to_owned()
        } else {
            open.join(", ")
        }
    ))
}

fn explain_slot(mut error: StoreError) -> StoreError {
    match error.server_code.as_deref() {
        // object_not_in_prerequisite_state
        Some("55000") => {
            error.kind = ErrorKind::Setting;
            error.fix("Set wal_level = logical on the source and restart it")
        }
        // configuration_limit_exceeded
        Some("53400") => {
            error.kind = ErrorKind::Setting;
            error.fix("Raise max_replication_slots on the source, or drop unused slots")
        }
        _ => error,
    }
}

/// Drops the slot where it is there; ends a reader of ours before.
async fn drop_slot(client: &Client, label: &str, name: &str) -> Result<bool> {
    let begun = Instant::now();
    loop {
        let Some(found) = slot::read(client, name).await? else {
            return Ok(false);
        };
        let Some(pid) = found.active_pid else {
            break;
        };
        if begun.elapsed() > RELEASE_TIMEOUT {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "postgres.slot_active",
                label,
                format!("replication slot {name} is read by process {pid}"),
            )
            .fix(format!(
                "SELECT pg_terminate_backend({pid}), as its role or an administrator"
            )));
        }
        slot::end_own_reader(client, pid).await?;
        tokio::time::sleep(PAUSE).await;
    }
    client
        .execute(
            "dropping the replication slot",
            "SELECT pg_drop_replication_slot($1::text::name)",
            &[&name],
        )
        .await
        .map_err(|e| {
            let statement = format!("SELECT pg_drop_replication_slot({})", quote_literal(name));
            e.fix(format!("As an administrator: {statement}"))
        })?;
    Ok(true)
}

/// What is there of this migration; see [`crossfade_store::Source::made`].
///
/// # Errors
/// The connection's.
pub async fn made(store: &PostgresStore, migration: &str) -> Result<Vec<Made>> {
    let client = store.connect(Purpose::Check).await?;
    let made = made_by(&client, &capture_name(migration)).await?;
    store.keep(client);
    Ok(made)
}

async fn made_by(client: &Client, name: &str) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    if let Some(found) = slot::read(client, name).await? {
        let state = match (&found.lost, found.active_pid) {
            (Some(why), _) => format!(", invalidated: {why}"),
            (None, Some(pid)) => format!(", read by process {pid}"),
            (None, None) => String::new(),
        };
        made.push(Made {
            kind: "replication slot".into(),
            name: name.to_owned(),
            detail: format!("keeps {} bytes of log{state}", found.kept_bytes),
        });
    }
    if let Some(tables) = publication::table_count(client, name).await? {
        made.push(Made {
            kind: "publication".into(),
            name: name.to_owned(),
            detail: format!("{tables} tables"),
        });
    }
    Ok(made)
}

/// Removes slot and publication; see [`crossfade_store::Source::remove_capture`].
///
/// # Errors
/// What may not be removed, with the statement for the administrator.
pub async fn remove_capture(store: &PostgresStore, migration: &str) -> Result<Vec<Made>> {
    let client = store.connect(Purpose::Capture).await?;
    let name = capture_name(migration);
    let mut removed = Vec::new();
    for made in made_by(&client, &name).await? {
        // the slot first: it is what keeps log on the source
        if made.kind == "publication" {
            publication::remove(&client, &name).await?;
            removed.push(made);
        } else if drop_slot(&client, store.label(), &name).await? {
            removed.push(made);
        }
    }
    Ok(removed)
}

/// Looks at the end of the log and at what is visible now; see [`crossfade_store::Source::probe`].
///
/// # Errors
/// The connection's.
pub async fn probe(store: &PostgresStore, migration: &str) -> Result<Probe> {
    let mut prober = store.prober().lock().await;
    // the kept connection may have been idle for long: one that is gone is made anew
    if let Some(client) = prober.take()
        && let Ok(probe) = probe_by(&client, store.label(), migration).await
    {
        *prober = Some(client);
        return Ok(probe);
    }
    let client = store.connect(Purpose::Check).await?;
    let probe = probe_by(&client, store.label(), migration).await?;
    *prober = Some(client);
    Ok(probe)
}

async fn probe_by(client: &Client, label: &str, migration: &str) -> Result<Probe> {
    let name = capture_name(migration);
    // functions of the list are computed after the statement's snapshot was taken
    let row = client
        .query_one(
            "probing the end of the log",
            &format!(
                "SELECT pg_current_snapshot()::text, {LOG_END},
                    (SELECT greatest(0, pg_current_wal_insert_lsn() - restart_lsn)::bigint
                     FROM pg_replication_slots WHERE slot_name = $1),
                    pg_current_wal_flush_lsn()::text"
            ),
            &[&name],
        )
        .await?;
    let (snapshot, log_end) = snapshot_and_end(label, &row)?;
    let kept = row.get::<_, Option<i64>>(4);
    if lsn::parse(row.get(5)).is_none_or(|flushed| flushed < log_end) {
        flush_beyond(client, log_end).await?;
    }
    Ok(Probe {
        snapshot,
        log_end,
        log_kept_bytes: kept.and_then(|b| u64::try_from(b).ok()).unwrap_or(0),
    })
}

/// The stream brings what is flushed, and nobody flushes the last record of a transaction that stays open: whoever waits for
/// the stream to reach the end would wait for long.
async fn flush_beyond(client: &Client, end: Position) -> Result<()> {
    let doing = "looking at the log's flush";
    tokio::time::sleep(FLUSH_GRACE).await;
    let row = client
        .query_one(doing, "SELECT pg_current_wal_flush_lsn()::text", &[])
        .await?;
    if lsn::parse(row.get(0)).is_some_and(|flushed| flushed >= end) {
        return Ok(());
    }
    flush_log(client).await
}

/// Flushes the log: whatever was written before a durable commit is durable with it. The commit is of a message of its own, as
/// one that wrote nothing flushes nothing.
///
/// # Errors
/// The connection's.
pub async fn flush_log(client: &Client) -> Result<()> {
    client
        .batch(
            "flushing the log",
            "SELECT set_config('synchronous_commit', 'local', true);
             SELECT pg_logical_emit_message(true, 'crossfade', '')",
        )
        .await
}

/// Columns from which [`snapshot_and_end`] reads the end of the log: where the next record begins, and the sizes of pages and
/// segments.
pub const LOG_END: &str = "pg_current_wal_insert_lsn()::text, current_setting('wal_block_size')::bigint, \
     pg_size_bytes(current_setting('wal_segment_size'))";

/// A snapshot's text in column 0 and [`LOG_END`] in columns 1 to 3.
///
/// # Errors
/// Texts that no server writes.
pub fn snapshot_and_end(label: &str, row: &tokio_postgres::Row) -> Result<(Snapshot, Position)> {
    let broken = || {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.snapshot",
            label,
            "the server's snapshot or position cannot be read",
        )
    };
    let snapshot = parse_snapshot(row.get(0)).ok_or_else(broken)?;
    let next = lsn::parse(row.get(1)).ok_or_else(broken)?;
    let size = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    let end = lsn::end_of_last_record(next.0, size(2), size(3));
    Ok((snapshot, Position(end)))
}
