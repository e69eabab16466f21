//! What speaks against a target: its settings, privileges, and tables that are there already.

use std::collections::BTreeMap;

use crossfade_model::{Finding, Severity, TableMapping, TableName};
use crossfade_store::{ErrorKind, Result};

use super::grants::{self, Grants};
use super::words;
use crate::connect::Client;
use crate::ddl::is_key;
use crate::describe::catalog::{self, Catalog};
use crate::design::flavor;
use crate::names::{OWN_PREFIX, quote};
use crate::server::{Flavor, Server};

pub(super) const PLACE: &str = "target";

/// Looks at the server and at the mapped tables.
pub(crate) async fn target(
    client: &mut Client,
    tables: &[TableMapping],
    fresh: bool,
) -> Result<Vec<Finding>> {
    let server = std::sync::Arc::clone(&client.server);
    let mut out = settings(&server, tables);
    out.extend(names(&server, tables));
    let grants = grants::read(client).await?;
    out.extend(rights(client, &grants, tables).await?);
    out.extend(without_triggers(&server, &grants, PLACE));
    out.extend(replication(client, &server).await?);
    out.extend(words::collations(client, &server, tables).await?);
    out.extend(words::types(&server, tables));
    let catalog = catalog::read(client).await?;
    for mapping in tables {
        present(client, &catalog, mapping, fresh, &mut out).await?;
    }
    let names: Vec<&TableName> = tables.iter().map(|m| &m.target.name).collect();
    let bare: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    out.extend(super::refused_by_triggers(client, &bare, PLACE).await?);
    let absent = tables.iter().map(|m| &m.target);
    let absent = absent.filter(|t| !catalog.columns.contains_key(&t.name.name));
    out.extend(absent.filter_map(|t| super::generated::planned(client, t, PLACE)));
    out.extend(super::acting(client, &names).await?);
    Ok(out)
}

/// A replica's applier writes without running triggers, so nothing here keeps it out.
async fn replication(client: &mut Client, server: &Server) -> Result<Option<Finding>> {
    let (sql, column, stop) = match server.flavor {
        Flavor::Mysql => (
            "SHOW REPLICA STATUS",
            "Replica_SQL_Running",
            "STOP REPLICA; RESET REPLICA ALL",
        ),
        Flavor::Mariadb => (
            "SHOW ALL SLAVES STATUS",
            "Slave_SQL_Running",
            "STOP ALL SLAVES; RESET SLAVE ALL",
        ),
    };
    let doing = "asking whether the server is a replica";
    let channels = match client.rows(doing, sql).await {
        // who may not ask is told so before a switch
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Internal) => return Ok(None),
        channels => channels?,
    };
    let runs = channels.iter().any(|channel| {
        let running: Option<String> = channel.get(column);
        running.is_some_and(|running| running != "No")
    });
    let what = "the server is a replica and applies what its source sends: such writes pass all triggers, so rows can change here that nobody notices";
    Ok(runs.then(|| Finding::blocks("mysql.target_replica", PLACE, what).fix(stop)))
}

fn settings(server: &Server, tables: &[TableMapping]) -> Vec<Finding> {
    let mut out = Vec::new();
    if server.is_on("read_only") || server.is_on("super_read_only") {
        out.push(
            Finding::blocks(
                "mysql.read_only",
                PLACE,
                "the server takes no writes (read_only)",
            )
            .fix("Name the primary, or SET GLOBAL read_only = OFF"),
        );
    }
    if server.is_on("wsrep_on") {
        out.push(
            Finding::blocks(
                "mysql.galera",
                PLACE,
                "the server is a node of a cluster: writes on other nodes cannot be kept out",
            )
            .fix("Use a single server"),
        );
    }
    let rows = server
        .variable("binlog_format")
        .is_none_or(|format| format.eq_ignore_ascii_case("ROW"));
    if server.is_on("log_bin") && !rows {
        out.push(
            Finding::blocks(
                "mysql.binlog_format",
                PLACE,
                "the server's log holds statements, which it refuses under the isolation READ COMMITTED",
            )
            .fix("SET GLOBAL binlog_format = 'ROW'"),
        );
    }
    if server.is_on("sql_require_primary_key") {
        for mapping in tables.iter().filter(|m| lacks_primary(m)) {
            out.push(
                Finding::blocks(
                    "mysql.require_primary_key",
                    PLACE,
                    "the server refuses tables without a primary key",
                )
                .table(&mapping.target.name.name)
                .fix("SET GLOBAL sql_require_primary_key = OFF, or give the table a key"),
            );
        }
    }
    if server.is_on("sql_generate_invisible_primary_key") {
        for mapping in tables.iter().filter(|m| gets_primary_later(m)) {
            out.push(
                Finding::blocks(
                    "mysql.invisible_primary_key",
                    PLACE,
                    "the server would give the table a primary key of its own before the one that is asked for is made",
                )
                .table(&mapping.target.name.name)
                .fix("SET GLOBAL sql_generate_invisible_primary_key = OFF"),
            );
        }
    }
    out
}

/// Whether a table comes to be without a primary key.
fn lacks_primary(mapping: &TableMapping) -> bool {
    mapping.target.key.is_none() || gets_primary_later(mapping)
}

/// A primary key over other columns than those of its rows' key is made after the load.
fn gets_primary_later(mapping: &TableMapping) -> bool {
    mapping.target.indexes.iter().any(|index| index.primary)
}

/// Names that are one here.
fn names(server: &Server, tables: &[TableMapping]) -> Vec<Finding> {
    let mut out = Vec::new();
    let folds = server.variable("lower_case_table_names") != Some("0");
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for mapping in tables {
        let name = mapping.target.name.name.as_str();
        if name.starts_with(OWN_PREFIX) {
            out.push(
                Finding::blocks(
                    "mysql.name",
                    PLACE,
                    format!("names that begin with {OWN_PREFIX} are crossfade's own"),
                )
                .table(name),
            );
        }
        let one = if folds {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        if let Some(other) = seen.insert(one, name) {
            out.push(
                Finding::blocks(
                    "mysql.name_clash",
                    PLACE,
                    format!("{other} and {name} are one table here (lower_case_table_names)"),
                )
                .table(name)
                .fix("Give one of them another name in the migration file"),
            );
        }
        let mut columns: BTreeMap<String, &str> = BTreeMap::new();
        for column in &mapping.columns {
            if let Some(other) = columns.insert(column.target.to_lowercase(), &column.target) {
                out.push(
                    Finding::blocks(
                        "mysql.column_clash",
                        PLACE,
                        format!(
                            "columns {other} and {} are one here: names are not told apart by case",
                            column.target
                        ),
                    )
                    .table(name)
                    .fix("Give one of them another name in the migration file"),
                );
            }
        }
    }
    out
}

/// What a run does in the target's database. (`plan --grants` gives INDEX too; indexes are added by ALTER TABLE, which asks for ALTER.)
const RIGHTS: [&str; 8] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRIGGER",
];

/// Rights that the user has not got, as far as his grants say: those of a table may be enough for one that is there already.
async fn rights(
    client: &mut Client,
    grants: &Grants,
    tables: &[TableMapping],
) -> Result<Option<Finding>> {
    if grants.has_roles() {
        return Ok(None);
    }
    let Some(database) = client
        .text_row("asking for the database's name", "SELECT DATABASE()")
        .await?
        .map(|row| row.text(0).to_owned())
    else {
        return Ok(None);
    };
    let refers = tables.iter().any(|m| !m.target.foreign_keys.is_empty());
    let wanted = RIGHTS.into_iter().chain(refers.then_some("REFERENCES"));
    let missing: Vec<&str> = wanted
        .filter(|right| !grants.has_within(&database, right))
        .collect();
    Ok((!missing.is_empty()).then(|| {
        Finding::blocks(
            "mysql.target_rights",
            PLACE,
            format!(
                "this user may not {} in the database, by what he was granted",
                missing.join(", ")
            ),
        )
        .fix(format!(
            "GRANT {} ON {}.* TO {}",
            missing.join(", "),
            quote(&database),
            grants.user
        ))
    }))
}

/// With a binary log, triggers need a right that is not the tables' (MySQL documentation, "Stored Program Binary Logging"): SUPER, and
/// none of those that it was parted into (seen on MySQL 9.7, MariaDB 10.11 and 11.8).
pub(crate) async fn trigger_rights(
    client: &mut Client,
    server: &Server,
    place: &str,
) -> Result<Option<Finding>> {
    if trusts_triggers(server) {
        return Ok(None);
    }
    let grants = grants::read(client).await?;
    Ok(without_triggers(server, &grants, place))
}

/// Whether the server lets whoever has the tables' right make triggers.
fn trusts_triggers(server: &Server) -> bool {
    !server.is_on("log_bin") || server.is_on("log_bin_trust_function_creators")
}

/// See [`trigger_rights`].
fn without_triggers(server: &Server, grants: &Grants, place: &str) -> Option<Finding> {
    if trusts_triggers(server) || grants.has_roles() || grants.has_global("SUPER") {
        return None;
    }
    Some(
        Finding::blocks(
            "mysql.trigger_right",
            place,
            "this user may not make triggers while the server writes a binary log; they keep others from writing",
        )
        .fix("SET GLOBAL log_bin_trust_function_creators = ON, or GRANT SUPER to this user"),
    )
}

/// A table that is there already.
async fn present(
    client: &mut Client,
    catalog: &Catalog,
    mapping: &TableMapping,
    fresh: bool,
    out: &mut Vec<Finding>,
) -> Result<()> {
    let name = &mapping.target.name.name;
    let Some(listed) = catalog.tables.iter().find(|t| &t.name == name) else {
        return Ok(());
    };
    if listed.kind != "BASE TABLE" || !listed.engine.eq_ignore_ascii_case("InnoDB") {
        out.push(
            Finding::blocks(
                "mysql.engine",
                PLACE,
                format!(
                    "the target is a {} of engine {}; transactions need InnoDB",
                    listed.kind, listed.engine
                ),
            )
            .table(name)
            .fix(format!("ALTER TABLE {} ENGINE = InnoDB", quote(name))),
        );
        return Ok(());
    }
    if fresh {
        let row = client
            .text_row(
                "looking for rows",
                &format!("SELECT 1 FROM {} LIMIT 1", quote(name)),
            )
            .await?;
        if row.is_some() {
            out.push(
                Finding::blocks("mysql.not_empty", PLACE, "the table is not empty")
                    .table(name)
                    .fix("Empty or drop the table, or map to another one"),
            );
        }
    }
    columns(catalog, mapping, out);
    keys(&client.server, catalog, mapping, fresh, out);
    Ok(())
}

fn columns(catalog: &Catalog, mapping: &TableMapping, out: &mut Vec<Finding>) {
    let name = &mapping.target.name.name;
    let empty = Vec::new();
    let present = catalog.columns.get(name).unwrap_or(&empty);
    let missing: Vec<&str> = mapping
        .columns
        .iter()
        .map(|c| c.target.as_str())
        .filter(|c| {
            !present
                .iter()
                .any(|p| p.name == *c && p.generated.is_none())
        })
        .collect();
    if !missing.is_empty() {
        out.push(
            Finding::blocks(
                "mysql.columns",
                PLACE,
                format!("the table lacks columns: {}", missing.join(", ")),
            )
            .table(name)
            .fix("Add the columns, or drop the table and let crossfade make it"),
        );
    }
    let unfilled: Vec<&str> = present
        .iter()
        .filter(|p| p.generated.is_none() && !p.nullable && p.default.is_none() && !p.counts)
        .map(|p| p.name.as_str())
        .filter(|p| !mapping.columns.iter().any(|c| c.target == *p))
        .collect();
    if !unfilled.is_empty() {
        out.push(
            Finding::blocks(
                "mysql.unfilled",
                PLACE,
                format!(
                    "columns that no source column goes to must have a value: {}",
                    unfilled.join(", ")
                ),
            )
            .table(name)
            .fix("Give them a default, or allow NULL"),
        );
    }
}

fn keys(
    server: &Server,
    catalog: &Catalog,
    mapping: &TableMapping,
    fresh: bool,
    out: &mut Vec<Finding>,
) {
    let name = &mapping.target.name.name;
    let names = mapping.target_key_names();
    let empty = Vec::new();
    let indexes = catalog.indexes.get(name).unwrap_or(&empty);
    if !names.is_empty() {
        if !indexes.iter().any(|i| is_key(i, &names)) {
            out.push(
                Finding::blocks(
                    "mysql.target_key",
                    PLACE,
                    format!(
                        "the table has no unique index over exactly ({})",
                        names.join(", ")
                    ),
                )
                .table(name)
                .fix("Create a unique index over these columns"),
            );
        }
        out.extend(coarser_key(server, catalog, mapping, &names));
    }
    let others: Vec<&str> = indexes
        .iter()
        .filter(|i| i.unique && !is_key(i, &names))
        .map(|i| i.name.as_str())
        .collect();
    if fresh && !others.is_empty() {
        out.push(
            Finding::new(
                "mysql.unique_while_loading",
                Severity::Warning,
                PLACE,
                format!(
                    "unique indexes are in the way while rows are loaded in chunks: {}",
                    others.join(", ")
                ),
            )
            .table(name)
            .fix("Drop them, or let crossfade make the table: it builds unique indexes after the load"),
        );
    }
}

/// The target's key tells apart what the source's does: by the same collation, or by one that tells all apart.
fn coarser_key(
    server: &Server,
    catalog: &Catalog,
    mapping: &TableMapping,
    names: &[&str],
) -> Option<Finding> {
    let present = catalog.columns.get(&mapping.target.name.name)?;
    let source = mapping.source.key_columns();
    let coarser: Vec<&str> = names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| {
            let column = present.iter().find(|c| c.name == *name)?;
            let collation = column.collation.as_deref()?;
            let tells_all = collation.ends_with("_0900_bin") || collation.ends_with("_nopad_bin");
            let own = source.get(at).and_then(|c| c.collation.as_deref());
            // digits and hyphens have no blanks at their end
            let is_uuid = source
                .get(at)
                .is_some_and(|c| c.logical == crossfade_model::LogicalType::Uuid);
            let from_same = mapping.source.definition.is_some()
                && own.is_none_or(|own| flavor::collation(own, server) == collation)
                && mapping.target.definition.is_some();
            (!tells_all && !is_uuid && !from_same && own != Some(collation)).then_some(*name)
        })
        .collect();
    (!coarser.is_empty()).then(|| {
        Finding::blocks(
            "mysql.coarser_key",
            PLACE,
            format!(
                "the key may hold values equal that the source holds different, by its collation: {}",
                coarser.join(", ")
            ),
        )
        .table(&mapping.target.name.name)
        .fix("Use utf8mb4_0900_bin (MySQL) or utf8mb4_nopad_bin (MariaDB) in the target's key")
    })
}
