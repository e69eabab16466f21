//! What speaks against a source: its log's settings, privileges, tables.

use crossfade_model::{Canonical, Finding, Index, Severity, Table, TableMapping};
use crossfade_store::{CaptureSpec, ErrorKind, Result};

use super::grants;
use crate::connect::{Client, Texts};
use crate::describe::catalog::{self, ForeignKey};
use crate::names::quote;
use crate::position;
use crate::server::{Flavor, Server};
use crate::types::Kind;

const PLACE: &str = "source";

/// Looks at the server and the mapped tables.
pub(crate) async fn source(client: &mut Client, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let server = std::sync::Arc::clone(&client.server);
    let mut out = log_settings(&server);
    if server.is_on("log_bin") {
        out.extend(left_out(client, &server).await?);
    }
    out.extend(privileges(client).await?);
    out.extend(prepared(client).await?);
    out.extend(character_sets(client, spec).await?);
    let catalog = catalog::read(client).await?;
    for mapping in &spec.tables {
        let name = &mapping.source.name.name;
        let Some(listed) = catalog.tables.iter().find(|t| &t.name == name) else {
            out.push(Finding::blocks("mysql.table", PLACE, "there is no such table").table(name));
            continue;
        };
        if !listed.engine.eq_ignore_ascii_case("InnoDB") {
            out.push(
                Finding::blocks(
                    "mysql.engine",
                    PLACE,
                    format!(
                        "the table's engine is {}, which has no consistent snapshots",
                        listed.engine
                    ),
                )
                .table(name)
                .fix(format!("ALTER TABLE {} ENGINE = InnoDB", quote(name))),
            );
        }
        if mapping.source.key.is_none() {
            out.push(no_key(mapping.source_table()));
        }
        if logs_no_cascades(&server) {
            let keys = catalog.foreign_keys.get(name);
            out.extend(
                keys.into_iter()
                    .flatten()
                    .filter_map(|key| cascade(name, key)),
            );
        }
        out.extend(zero_dates(client, mapping).await?);
    }
    Ok(out)
}

/// Rows that nothing that is copied tells apart.
fn no_key(table: &Table) -> Finding {
    let name = &table.name.name;
    let generated = |column: &String| {
        let of = table.columns.iter();
        of.filter(|c| c.generated.is_some())
            .any(|c| c.name == *column)
    };
    let by_generated = |i: &&Index| i.unique && i.columns.iter().any(generated);
    let alter = format!("ALTER TABLE {} ADD COLUMN", quote(name));
    let (what, column) = match table.indexes.iter().find(by_generated) {
        Some(index) => (
            format!(
                "a generated column is part of its key ({}): generated columns are not copied, and without them its rows cannot be told apart",
                index.name
            ),
            "row_id BIGINT NOT NULL AUTO_INCREMENT UNIQUE",
        ),
        None => (
            "the table has no primary key and no unique index over NOT NULL columns: its rows cannot be told apart in the log".to_owned(),
            "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
        ),
    };
    Finding::blocks("mysql.no_key", PLACE, what)
        .table(name)
        .fix(format!("{alter} {column}"))
}

/// MariaDB and MySQL before 9.6 do cascades within InnoDB, where the log does not see them.
fn logs_no_cascades(server: &Server) -> bool {
    match server.flavor {
        Flavor::Mariadb => true,
        Flavor::Mysql => {
            server.variable("innodb_native_foreign_keys").is_none()
                || server.is_on("innodb_native_foreign_keys")
        }
    }
}

fn cascade(table: &str, key: &ForeignKey) -> Option<Finding> {
    let acts = |rule: &str| matches!(rule, "CASCADE" | "SET NULL" | "SET DEFAULT");
    (acts(&key.on_delete) || acts(&key.on_update)).then(|| {
        Finding::blocks(
            "mysql.cascade",
            PLACE,
            format!(
                "foreign key {} changes rows when rows of {} change, and this server does not write such changes to its log",
                key.name, key.parent
            ),
        )
        .table(table)
        .fix(format!(
            "Let the application change the rows itself, and replace the key by one without actions: ALTER TABLE {} DROP FOREIGN KEY {}",
            quote(table),
            quote(&key.name)
        ))
    })
}

fn setting(out: &mut Vec<Finding>, is_right: bool, code: &str, what: &str, fix: &str) {
    if !is_right {
        out.push(Finding::blocks(code, PLACE, what).fix(fix));
    }
}

fn log_settings(server: &Server) -> Vec<Finding> {
    let mut out = Vec::new();
    let is = |name: &str, wanted: &str| {
        server
            .variable(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    if !server.is_on("log_bin") {
        out.push(
            Finding::blocks("mysql.log_bin", PLACE, "the server writes no binary log")
                .fix("Set log_bin in the server's configuration and restart it"),
        );
        return out;
    }
    setting(
        &mut out,
        is("binlog_format", "ROW") || server.variable("binlog_format").is_none(),
        "mysql.binlog_format",
        "the log holds statements, not rows",
        "SET GLOBAL binlog_format = 'ROW'; sessions that are open keep the old one until they end",
    );
    setting(
        &mut out,
        is("binlog_row_image", "FULL"),
        "mysql.binlog_row_image",
        "the log does not hold whole rows",
        "SET GLOBAL binlog_row_image = 'FULL'; sessions that are open keep the old one until they end",
    );
    setting(
        &mut out,
        is("binlog_row_metadata", "FULL"),
        "mysql.binlog_row_metadata",
        "the log does not hold the columns' names and signs",
        "SET GLOBAL binlog_row_metadata = 'FULL'",
    );
    setting(
        &mut out,
        server
            .variable("binlog_row_value_options")
            .is_none_or(str::is_empty),
        "mysql.binlog_row_value_options",
        "the log holds changes of JSON values in parts",
        "SET GLOBAL binlog_row_value_options = ''; sessions that are open keep the old one until they end",
    );
    setting(
        &mut out,
        server.flavor == Flavor::Mariadb || is("gtid_mode", "ON"),
        "mysql.gtid_mode",
        "the server gives transactions no global ids, by which a snapshot is placed in the log",
        position::NAME_TRANSACTIONS,
    );
    setting(
        &mut out,
        !server.is_on("wsrep_on"),
        "mysql.galera",
        "the server is a node of a cluster: other nodes' writes cannot be followed safely",
        "Follow a replica of the cluster that is no node of it",
    );
    for (name, wanted) in [
        ("sync_binlog", "1"),
        ("innodb_flush_log_at_trx_commit", "1"),
    ] {
        if !is(name, wanted) {
            out.push(
                Finding::new(
                    "mysql.durability",
                    Severity::Warning,
                    PLACE,
                    format!("{name} is not {wanted}: a crash of the source's machine can take back what was already copied"),
                )
                .fix(format!("SET GLOBAL {name} = {wanted}")),
            );
        }
    }
    out
}

/// Why the server's log does not hold all rows that are written, if it does not.
///
/// # Errors
/// The server's.
pub(crate) async fn unfit_log(client: &mut Client) -> Result<Option<Finding>> {
    let server = std::sync::Arc::clone(&client.server);
    let mut found = log_settings(&server);
    if server.is_on("log_bin") {
        found.extend(left_out(client, &server).await?);
    }
    // rows are in it whatever their transactions are called
    let unfit = |f: &Finding| f.severity == Severity::Blocks && f.code != "mysql.gtid_mode";
    Ok(found.into_iter().find(unfit))
}

/// What the server's log leaves out: databases by its options, and what a replica has applied.
async fn left_out(client: &mut Client, server: &Server) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    let doing = "looking at what the log leaves out";
    let unless_refused = |rows: Result<Vec<Texts>>| match rows {
        // the privilege that is missing is named elsewhere
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Internal) => Ok(Vec::new()),
        rows => rows,
    };
    let status = client
        .texts(doing, position::status_statement(server))
        .await;
    let filtered = unless_refused(status)?
        .iter()
        .any(|row| !row.text(2).is_empty() || !row.text(3).is_empty());
    if filtered {
        out.push(
            Finding::blocks(
                "mysql.log_filter",
                PLACE,
                "the server leaves databases out of its log (binlog-do-db, binlog-ignore-db)",
            )
            .fix("Take these options out of the server's configuration and restart it"),
        );
    }
    let logs_what_it_applies =
        server.is_on("log_slave_updates") || server.is_on("log_replica_updates");
    if !logs_what_it_applies {
        let channels = match server.flavor {
            Flavor::Mysql => "SHOW REPLICA STATUS",
            Flavor::Mariadb => "SHOW ALL SLAVES STATUS",
        };
        let channels = client.texts(doing, channels).await;
        if !unless_refused(channels)?.is_empty() {
            out.push(
                Finding::blocks(
                    "mysql.replica_log",
                    PLACE,
                    "the server is a replica, and does not write to its log what it applies",
                )
                .fix("Set log_replica_updates (log_slave_updates) in its configuration and restart it, or follow its source"),
            );
        }
    }
    Ok(out)
}

async fn privileges(client: &mut Client) -> Result<Vec<Finding>> {
    let grants = grants::read(client).await?;
    let monitor = match client.server.flavor {
        Flavor::Mysql => ["REPLICATION CLIENT", "REPLICATION CLIENT"],
        Flavor::Mariadb => ["BINLOG MONITOR", "REPLICATION CLIENT"],
    };
    let mut missing = Vec::new();
    if !grants.has_global("REPLICATION SLAVE") {
        missing.push("REPLICATION SLAVE");
    }
    if !monitor.iter().any(|p| grants.has_global(p)) {
        missing.push(monitor[0]);
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let severity = if grants.has_roles() {
        Severity::Warning
    } else {
        Severity::Blocks
    };
    Ok(vec![
        Finding::new(
            "mysql.privilege",
            severity,
            PLACE,
            format!(
                "the user may not read the log: {} is missing",
                missing.join(", ")
            ),
        )
        .fix(format!(
            "GRANT {} ON *.* TO {}",
            missing.join(", "),
            grants.user
        )),
    ])
}

/// Texts of the log come in their columns' own character sets: not all are known here.
async fn character_sets(client: &mut Client, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let rows = client
        .texts(
            "looking for character sets",
            "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = DATABASE() AND CHARACTER_SET_NAME IS NOT NULL",
        )
        .await?;
    let mut known = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for row in &rows {
        let (table, column, set) = (row.text(0), row.text(1), row.text(2));
        let captured = spec.tables.iter().any(|mapping| {
            mapping.source.name.name == table && mapping.source.captured().any(|c| c.name == column)
        });
        if !captured {
            continue;
        }
        if !known.contains_key(set) {
            let is_known = crate::stream::reads(client, set).await?;
            known.insert(set.to_owned(), is_known);
        }
        if known.get(set) == Some(&false) {
            out.push(
                Finding::blocks(
                    "mysql.charset",
                    PLACE,
                    format!("the log holds column {column} in the character set {set}, which is not read here"),
                )
                .table(table)
                .fix(format!(
                    "ALTER TABLE {} CONVERT TO CHARACTER SET utf8mb4",
                    quote(table)
                )),
            );
        }
    }
    Ok(out)
}

/// Prepared transactions: their rows are in the log before they are decided.
async fn prepared(client: &mut Client) -> Result<Vec<Finding>> {
    let found = match client
        .rows("looking for prepared transactions", "XA RECOVER")
        .await
    {
        Ok(found) => found.len(),
        // who may not ask is told nothing
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Internal) => 0,
        Err(e) => return Err(e),
    };
    if found == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![
        Finding::blocks(
            "mysql.prepared",
            PLACE,
            format!("{found} prepared transactions are open: their rows are in the log and not yet to be seen"),
        )
        .fix("Commit or roll back what XA RECOVER lists"),
    ])
}

/// Dates that are none (`0000-00-00`, `2024-00-10`), where the target has no such values. The days of the year 0 are days, those of 1 BC.
async fn zero_dates(client: &mut Client, mapping: &TableMapping) -> Result<Vec<Finding>> {
    let columns: Vec<String> = mapping
        .source
        .captured()
        .zip(&mapping.columns)
        .filter(|(_, mapped)| mapped.canonical != Canonical::Exact)
        .filter(|(column, _)| {
            matches!(
                Kind::parse(&column.declared),
                Kind::Date | Kind::Datetime { .. } | Kind::Timestamp { .. }
            )
        })
        .map(|(column, _)| column.name.clone())
        .collect();
    let mut out = Vec::new();
    for column in columns {
        let c = quote(&column);
        let sql = format!(
            "SELECT 1 FROM {} WHERE MONTH({c}) = 0 OR DAYOFMONTH({c}) = 0 LIMIT 1",
            quote(&mapping.source.name.name)
        );
        if client
            .text_row("looking for zero dates", &sql)
            .await?
            .is_some()
        {
            out.push(
                Finding::blocks(
                    "mysql.zero_date",
                    PLACE,
                    format!("column {column} holds dates that are no dates (0000-00-00), and the target has none like them"),
                )
                .table(&mapping.source.name.name)
                .fix(format!("Set them to NULL or to a date, or leave the column out: SELECT * FROM {} WHERE MONTH({c}) = 0 OR DAYOFMONTH({c}) = 0",
                    quote(&mapping.source.name.name))),
            );
        }
    }
    Ok(out)
}
