//! The source server's settings and room.

use crossfade_model::{Finding, Severity};
use crossfade_store::{CaptureSpec, Result};
use tokio_postgres::Row;

use super::SOURCE;
use crate::connect::Client;
use crate::names::capture_name;
use crate::session::Purpose;

const FACTS: &str = "
    SELECT current_setting('wal_level') AS wal_level,
           pg_is_in_recovery() AS in_recovery,
           current_setting('max_replication_slots')::int8
               - (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> $1) AS free_slots,
           current_setting('max_wal_senders')::int8
               - (SELECT count(*) FROM pg_stat_replication) AS free_walsenders,
           EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1) AS has_slot,
           (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
               OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication'
                          AND pg_has_role(current_user, r.oid, 'MEMBER')) AS may_replicate,
           current_user::text AS role,
           (SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep_megabytes,
           (SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS idle_timeout,
           current_setting('synchronous_standby_names') AS synchronous,
           current_setting('fsync')::bool AS fsync,
           (SELECT count(*) FROM pg_prepared_xacts) AS prepared";

/// What the server itself speaks against.
pub async fn source(client: &Client, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let slot = capture_name(&spec.migration);
    let row = client
        .query_one("checking the source's settings", FACTS, &[&slot])
        .await?;
    let mut out = must_be_set(&row);
    out.extend(worth_knowing(&row));
    Ok(out)
}

fn blocks(code: &str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::blocks(code, SOURCE, what).fix(fix)
}

fn must_be_set(row: &Row) -> Vec<Finding> {
    let mut out = Vec::new();
    let wal_level: String = row.get("wal_level");
    if wal_level != "logical" {
        out.push(blocks(
            "postgres.wal_level",
            format!("wal_level is {wal_level}: the log does not hold rows' changes"),
            "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
        ));
    }
    if row.get("in_recovery") {
        out.push(blocks(
            "postgres.standby",
            "the server is a standby: its snapshots do not say which transactions of the log they see",
            "Give the primary's URL",
        ));
    }
    let has_slot: bool = row.get("has_slot");
    if row.get::<_, i64>("free_slots") < 1 {
        out.push(blocks(
            "postgres.no_free_slot",
            "all replication slots are in use",
            "Drop slots that nobody reads (pg_replication_slots), or raise max_replication_slots and restart the server",
        ));
    }
    if row.get::<_, i64>("free_walsenders") < 1 && !has_slot {
        out.push(blocks(
            "postgres.no_free_walsender",
            "all WAL senders are in use",
            "Raise max_wal_senders and restart the server",
        ));
    }
    if !row.get::<_, bool>("may_replicate") {
        let role: String = row.get("role");
        out.push(blocks(
            "postgres.role_replication",
            format!("role {role} may not read the log"),
            format!(
                "ALTER ROLE {} REPLICATION;",
                crate::names::quote_ident(&role)
            ),
        ));
    }
    let synchronous: String = row.get("synchronous");
    if names_our_walsender(&synchronous) {
        out.push(blocks(
            "postgres.synchronous_standby",
            "synchronous_standby_names names our own WAL sender: commits of the application would wait for the migration",
            "Name the standbys in synchronous_standby_names one by one instead of *",
        ));
    }
    out
}

fn worth_knowing(row: &Row) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut warn = |code: &str, what: String, fix: &str| {
        out.push(Finding::new(code, Severity::Warning, SOURCE, what).fix(fix));
    };
    if let Some(megabytes) = row
        .get::<_, Option<i64>>("keep_megabytes")
        .filter(|m| *m >= 0)
    {
        warn(
            "postgres.slot_keep_size",
            format!(
                "max_slot_wal_keep_size is {megabytes} MB: if the migration falls behind by more, its slot is lost and it must begin again"
            ),
            "Make it larger than what the application writes during the copy, or -1 while the disk is watched",
        );
    }
    if let Some(timeout) = row
        .get::<_, Option<String>>("idle_timeout")
        .filter(|t| t != "0")
    {
        warn(
            "postgres.idle_slot_timeout",
            format!(
                "idle_replication_slot_timeout is {timeout} s: a migration that is paused for longer loses its slot"
            ),
            "Set it to 0 until the migration has ended",
        );
    }
    if !row.get::<_, bool>("fsync") {
        warn(
            "postgres.fsync_off",
            "fsync is off: after a crash of the machine the source may have lost what the target has".into(),
            "ALTER SYSTEM SET fsync = on",
        );
    }
    let prepared: i64 = row.get("prepared");
    if prepared > 0 {
        warn(
            "postgres.prepared_transactions",
            format!(
                "{prepared} prepared transactions are open: the capture cannot start before they end"
            ),
            "COMMIT PREPARED or ROLLBACK PREPARED them (pg_prepared_xacts)",
        );
    }
    out
}

/// True where a value of `synchronous_standby_names` counts our WAL sender among the standbys. (A name is compared without
/// regard to case, `*` matches every name: PostgreSQL documentation, section 20.6.2.)
pub fn names_our_walsender(setting: &str) -> bool {
    let ours = [Purpose::Stream, Purpose::Capture].map(Purpose::application_name);
    let mut names: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    for c in setting.chars() {
        match c {
            '"' => quoted = !quoted,
            c if quoted => current.push(c),
            ',' | '(' | ')' | ' ' | '\t' | '\n' => names.push(std::mem::take(&mut current)),
            c => current.push(c),
        }
    }
    names.push(current);
    names
        .iter()
        .any(|n| n == "*" || ours.iter().any(|our| our.eq_ignore_ascii_case(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synchronous_standbys_that_are_ourselves_are_seen() {
        for (setting, ours) in [
            ("", false),
            ("*", true),
            ("ANY 1 (*)", true),
            ("FIRST 2 (a, b)", false),
            ("a, \"CROSSFADE:stream\"", true),
            ("\"a*b\"", false),
        ] {
            assert_eq!(names_our_walsender(setting), ours, "{setting}");
        }
    }
}
