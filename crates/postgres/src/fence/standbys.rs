//! Standbys that somebody could promote: what they durably hold of this server's log.

use crossfade_model::{Finding, Position, Severity};
use crossfade_store::Result;

use super::findings::PLACE;
use crate::connect::Client;
use crate::lsn;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Receivers of the whole log (PostgreSQL documentation, `pg_stat_replication`). Those that decode it are no copies of the server, and
/// one that takes a base backup is none yet. Without the right to read statistics `flush_lsn` is null.
const STANDBYS: &str = "pg_stat_replication r
     WHERE coalesce(r.state, '') <> 'backup'
       AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')";

/// Unnamed standbys that a finding lists.
const MOST_LISTED: usize = 5;

/// Those of `named` that have durably received the log up to `position`; where several are connected under one name, all of them.
///
/// # Errors
/// The connection's.
pub(super) async fn holding(
    client: &Client,
    named: &[String],
    position: Position,
) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT r.application_name FROM {STANDBYS} AND r.application_name = ANY ($1)
         GROUP BY 1 HAVING bool_and(coalesce(r.flush_lsn >= $2::text::pg_lsn, false))"
    );
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let rows = client
        .query(
            "looking what standbys hold",
            &sql,
            &[&named, &lsn::show(position)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The end of what is durable here.
///
/// # Errors
/// The connection's.
pub(super) async fn durable_end(client: &Client) -> Result<Position> {
    let doing = "looking how far the log is durable";
    let row = client
        .query_one(doing, "SELECT pg_current_wal_flush_lsn()::text", &[])
        .await?;
    lsn::parse(row.get(0)).ok_or_else(|| super::fire::unreadable(client))
}

/// What speaks against waiting for these standbys, and which others there are.
///
/// # Errors
/// The connection's.
pub(super) async fn findings(store: &PostgresStore, named: &[String]) -> Result<Vec<Finding>> {
    let client = store.connect(Purpose::Check).await?;
    let sql = format!(
        "SELECT r.application_name, bool_and(r.flush_lsn IS NOT NULL), current_user::text
         FROM {STANDBYS} GROUP BY 1 ORDER BY 1"
    );
    let doing = "looking for standbys";
    let rows = client.query(doing, &sql, &[]).await?;
    store.keep(client);
    let connected: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let role = rows.first().map(|row| row.get::<_, String>(2));
    let mut out: Vec<Finding> = named
        .iter()
        .filter_map(|name| of_named(name, &connected, role.as_deref().unwrap_or_default()))
        .collect();
    let others: Vec<&str> = connected
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !named.iter().any(|n| n == name))
        .take(MOST_LISTED)
        .collect();
    if !others.is_empty() {
        let what = format!(
            "connected, and not named in [standbys]: {}. One that is promoted in the middle of a switch may not know of it",
            others.join(", ")
        );
        let warning = Finding::new("postgres.standby_unnamed", Severity::Warning, PLACE, what);
        out.push(warning.fix("Name in [standbys] those that could be promoted"));
    }
    Ok(out)
}

fn of_named(name: &str, connected: &[(String, bool)], role: &str) -> Option<Finding> {
    match connected.iter().find(|(known, _)| known == name) {
        None => {
            let what = format!(
                "standby {name} is not connected: authority is not given away before it holds the fence"
            );
            Some(
                Finding::blocks("postgres.standby_missing", PLACE, what).fix(
                    "Let it connect under this application_name (primary_conninfo), or take it out of [standbys]",
                ),
            )
        }
        Some((_, false)) => {
            let what = format!("how far standby {name} is cannot be seen by role {role}");
            Some(
                Finding::blocks("postgres.standby_unseen", PLACE, what).fix(format!(
                    "GRANT pg_read_all_stats TO {}; or wait until it streams",
                    crate::names::quote_ident(role)
                )),
            )
        }
        Some((_, true)) => None,
    }
}
