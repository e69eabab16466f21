//! Who is in the way.

use std::time::Duration;

use crossfade_store::{Blocker, Result};
use tokio_postgres::Row;

use super::names;
use super::sql::IS_LATCH;
use crate::connect::Client;
use crate::names::qualified;

/// Those that are named in a message.
const MOST_NAMED: usize = 5;

/// Who holds something.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) blocker: Blocker,
    /// The server process; none for a prepared transaction.
    pub(super) pid: Option<i32>,
    /// The lock is exclusive: another holder of the latch.
    pub(super) exclusive: bool,
    /// It waits for its client, a transaction open.
    pub(super) idle: bool,
}

/// Columns of a lock `l`, read by [`held`].
const COLUMNS: &str =
    "l.pid, l.mode, a.usename::text, host(a.client_addr), a.application_name, a.state,
     (extract(epoch FROM clock_timestamp() - coalesce(p.prepared, a.xact_start, a.state_change, a.backend_start)) * 1000)::bigint,
     p.gid, p.owner::text, a.backend_type = 'autovacuum worker'";

/// A prepared transaction's locks have no process; that on its own id tells which it is.
const FROM: &str = "pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
         AND x.virtualtransaction = l.virtualtransaction
     LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid";

/// Those that hold the latch, the oldest first.
///
/// # Errors
/// The server's.
pub(super) async fn of_latch(client: &Client, migration: &str) -> Result<Vec<Held>> {
    let sql = format!(
        "SELECT DISTINCT {COLUMNS} FROM {FROM}
         WHERE {IS_LATCH} AND l.pid IS DISTINCT FROM pg_backend_pid() ORDER BY 7 DESC NULLS FIRST LIMIT 100"
    );
    let rows = client
        .query(
            "looking who holds the latch",
            &sql,
            &[&names::latch(migration)],
        )
        .await?;
    Ok(rows.iter().map(held).collect())
}

/// Those that hold a lock on a table which its writers hold, or a stronger one, the oldest first.
///
/// # Errors
/// The server's.
pub(super) async fn of_table(
    client: &Client,
    table: &crossfade_model::TableName,
) -> Result<Vec<Held>> {
    let sql = format!(
        "SELECT DISTINCT {COLUMNS} FROM {FROM}
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.relation = to_regclass($1) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
         ORDER BY 7 DESC NULLS FIRST LIMIT 100"
    );
    let rows = client
        .query("looking who holds a table", &sql, &[&qualified(table)])
        .await?;
    Ok(rows.iter().map(held).collect())
}

/// Prepared transactions that hold a lock on one of these tables which its writers hold, or a stronger one.
///
/// # Errors
/// The server's.
pub(super) async fn prepared(client: &Client, tables: &[u32]) -> Result<Vec<Held>> {
    let sql = format!(
        "SELECT DISTINCT {COLUMNS} FROM {FROM}
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS NULL
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.relation = ANY ($1) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
         ORDER BY 7 DESC NULLS FIRST LIMIT 100"
    );
    let rows = client
        .query("looking for prepared transactions", &sql, &[&tables])
        .await?;
    Ok(rows.iter().map(held).collect())
}

fn held(row: &Row) -> Held {
    let pid: Option<i32> = row.get(0);
    let text = |at: usize| row.get::<_, Option<&str>>(at);
    let who = match (pid, text(7)) {
        (None, Some(gid)) => format!(
            "prepared transaction {gid:?} of role {}",
            text(8).unwrap_or("unknown")
        ),
        (None, None) => "a prepared transaction of which the server says nothing".to_owned(),
        (Some(pid), _) if row.get::<_, Option<bool>>(9).unwrap_or(false) => {
            format!("autovacuum, server process {pid}")
        }
        (Some(pid), _) => format!(
            "role {} from {}, {}, server process {pid}, {}",
            text(2).unwrap_or("unknown"),
            text(3).unwrap_or("a local socket"),
            text(4)
                .filter(|name| !name.is_empty())
                .unwrap_or("unnamed program"),
            text(5).unwrap_or("active"),
        ),
    };
    let millis = row.get::<_, Option<i64>>(6).unwrap_or(0);
    Held {
        blocker: Blocker {
            who,
            age: Duration::from_millis(u64::try_from(millis).unwrap_or(0)),
            can_end: pid.is_some(),
        },
        pid,
        exclusive: text(1) == Some("ExclusiveLock"),
        idle: text(5).is_some_and(|state| state.starts_with("idle in transaction")),
    }
}

/// What to do about them.
pub(super) fn way_out(held: &[Held]) -> &'static str {
    if held.iter().any(|h| h.pid.is_none()) {
        "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts shows, then try again"
    } else {
        "Let these transactions end, or end them, then try again"
    }
}

/// They in words, for a message.
pub(super) fn named(held: &[Held]) -> String {
    if held.is_empty() {
        return "transactions that end and begin again".to_owned();
    }
    let mut named: Vec<String> = held
        .iter()
        .take(MOST_NAMED)
        .map(|h| {
            let millis = h.blocker.age.as_millis();
            format!(
                "{} (since {}.{} s)",
                h.blocker.who,
                millis / 1000,
                millis % 1000 / 100
            )
        })
        .collect();
    if held.len() > MOST_NAMED {
        named.push(format!("and {} more", held.len() - MOST_NAMED));
    }
    named.join("; ")
}
