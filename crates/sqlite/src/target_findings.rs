//! What speaks against writing tables into a file.

use crossfade_model::{Finding, Severity, TableMapping};
use rusqlite::{Connection, Result};

use crate::conn::Place;
use crate::ddl::has_rows;
use crate::findings::journal_mode;
use crate::sql::names::{quote, same_name};
use crate::table_info::{self, TableInfo, is_internal};
use crate::table_plan::find_key;

const PLACE: &str = "target";

/// What can be said of the mappings alone, and of a file that is not there yet.
pub(crate) fn of_names(place: &Place, tables: &[TableMapping]) -> Vec<Finding> {
    let mut out = Vec::new();
    for (n, mapping) in tables.iter().enumerate() {
        let name = &mapping.target.name.name;
        if is_internal(name) {
            out.push(
                Finding::blocks(
                    "sqlite.reserved_name",
                    PLACE,
                    "SQLite or crossfade keeps names like this for itself",
                )
                .table(name)
                .fix("Map the table to another name"),
            );
        }
        if tables[..n]
            .iter()
            .any(|m| same_name(&m.target.name.name, name))
        {
            out.push(
                Finding::blocks(
                    "sqlite.same_name",
                    PLACE,
                    "two tables have this name but for upper and lower case, which SQLite does not tell apart",
                )
                .table(name)
                .fix("Map one of them to another name"),
            );
        }
        out.extend(same_columns(mapping));
    }
    if !place.exists() {
        let directory = place.path.parent().and_then(|p| std::fs::metadata(p).ok());
        if !directory.is_some_and(|m| m.is_dir() && !m.permissions().readonly()) {
            out.push(
                Finding::blocks(
                    "sqlite.directory",
                    PLACE,
                    "the file's directory is not there, or cannot be written",
                )
                .fix("Make the directory, or name another file"),
            );
        }
    }
    out
}

fn same_columns(mapping: &TableMapping) -> Vec<Finding> {
    let columns = &mapping.target.columns;
    columns
        .iter()
        .enumerate()
        .filter(|(n, column)| columns[..*n].iter().any(|c| same_name(&c.name, &column.name)))
        .map(|(_, column)| {
            Finding::blocks(
                "sqlite.same_column",
                PLACE,
                format!(
                    "two columns are named {} but for upper and lower case, which SQLite does not tell apart",
                    column.name
                ),
            )
            .table(&mapping.target.name.name)
            .fix("Rename one of the columns on the source, or leave the table out")
        })
        .collect()
}

/// What can be said of a file that is there.
pub(crate) fn of_file(
    conn: &Connection,
    tables: &[TableMapping],
    fresh: bool,
) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    if conn.is_readonly("main")? {
        out.push(
            Finding::blocks("sqlite.not_writable", PLACE, "the file cannot be written")
                .fix("Give this user the right to write the file and its directory"),
        );
    }
    let objects: u64 = conn.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))?;
    if objects > 0 {
        out.extend(journal_mode(conn, PLACE)?);
    }
    for mapping in tables {
        let name = &mapping.target.name.name;
        match table_info::read(conn, name)? {
            Some(info) => present(conn, mapping, &info, fresh, &mut out)?,
            None => out.extend(other_object(conn, name)?),
        }
    }
    Ok(out)
}

/// Something that is no table has the name.
fn other_object(conn: &Connection, name: &str) -> Result<Option<Finding>> {
    let taken = conn
        .prepare_cached("SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE")?
        .exists([name])?;
    Ok(taken.then(|| {
        Finding::blocks(
            "sqlite.name_taken",
            PLACE,
            "an index, a view or a virtual table has this name",
        )
        .table(name)
        .fix("Drop it, or map the table to another name")
    }))
}

fn present(
    conn: &Connection,
    mapping: &TableMapping,
    info: &TableInfo,
    fresh: bool,
    out: &mut Vec<Finding>,
) -> Result<()> {
    let name = &info.name;
    if fresh && has_rows(conn, name)? {
        out.push(
            Finding::blocks("sqlite.not_empty", PLACE, "the table is not empty")
                .table(name)
                .fix("Empty or drop the table, or map to another one"),
        );
    }
    let missing: Vec<&str> = mapping
        .columns
        .iter()
        .map(|c| c.target.as_str())
        .filter(|c| info.column(c).is_none_or(|c| c.generated.is_some()))
        .collect();
    if !missing.is_empty() {
        out.push(
            Finding::blocks(
                "sqlite.columns",
                PLACE,
                format!("the table lacks columns: {}", missing.join(", ")),
            )
            .table(name)
            .fix("Add the columns, or drop the table and let crossfade make it"),
        );
        return Ok(());
    }
    out.extend(key(mapping, info));
    if fresh {
        out.extend(unique_indexes(mapping, info));
    }
    let own_triggers: u64 = conn.query_row(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
         AND name NOT GLOB '_crossfade_*'",
        [name],
        |r| r.get(0),
    )?;
    if own_triggers > 0 {
        out.push(
            Finding::new(
                "sqlite.target_triggers",
                Severity::Note,
                PLACE,
                format!("{own_triggers} triggers of the table do not run for the rows that crossfade writes"),
            )
            .table(name),
        );
    }
    Ok(())
}

/// The table has the key's unique index, and it tells apart what the source tells apart.
fn key(mapping: &TableMapping, info: &TableInfo) -> Option<Finding> {
    let names = mapping.target_key_names();
    if names.is_empty() {
        return None;
    }
    let Some(key) = find_key(info, &names) else {
        return Some(
            Finding::blocks(
                "sqlite.target_key",
                PLACE,
                format!(
                    "the table has no unique index over exactly ({})",
                    names.join(", ")
                ),
            )
            .table(&info.name)
            .fix("Create a unique index over these columns"),
        );
    };
    let source = mapping.source.key_columns();
    let coarser: Vec<&str> = key
        .iter()
        .enumerate()
        .filter(|(n, column)| {
            let own = source
                .get(*n)
                .and_then(|c| c.collation.as_deref())
                .unwrap_or("\"BINARY\"");
            !same_name(&column.collation, "BINARY") && !same_name(&quote(&column.collation), own)
        })
        .map(|(_, column)| column.name.as_str())
        .collect();
    (!coarser.is_empty()).then(|| {
        Finding::blocks(
            "sqlite.coarser_key",
            PLACE,
            format!(
                "the key holds values equal that the source holds different, by its collation: {}",
                coarser.join(", ")
            ),
        )
        .table(&info.name)
        .fix("Use the collation BINARY in the target's key")
    })
}

/// Until a table is followed it is no prefix of the source's history, and may hold two rows with one unique value.
fn unique_indexes(mapping: &TableMapping, info: &TableInfo) -> Option<Finding> {
    let key = mapping.target_key_names();
    let others: Vec<&str> = info
        .indexes
        .iter()
        .filter(|i| i.unique)
        .filter(|i| {
            i.columns.len() != key.len()
                || !i.columns.iter().all(|c| {
                    c.name
                        .as_deref()
                        .is_some_and(|name| key.iter().any(|k| same_name(k, name)))
                })
        })
        .map(|i| i.name.as_str())
        .collect();
    (!others.is_empty()).then(|| {
        Finding::new(
            "sqlite.unique_while_loading",
            Severity::Warning,
            PLACE,
            format!(
                "unique indexes are in the way while rows are loaded in chunks: {}",
                others.join(", ")
            ),
        )
        .table(&info.name)
        .fix("Drop them, or let crossfade make the table: it builds unique indexes after the load")
    })
}
