//! What speaks against capturing tables of a file.

use crossfade_model::{Finding, Severity, TableId, TableMapping};
use crossfade_store::CaptureSpec;
use rusqlite::{Connection, Result};

use crate::capture::triggers::{Uncapturable, triggers};
use crate::conn::Place;
use crate::describe::is_utf8;
use crate::sql::names::same_name;
use crate::table_info::{self, TableInfo};

const PLACE: &str = "source";

/// Everything found.
pub(crate) fn find(conn: &Connection, place: &Place, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    out.extend(journal_mode(conn, PLACE)?);
    out.extend(writable(conn, place)?);
    if !is_utf8(conn)? {
        out.push(
            Finding::new(
                "sqlite.encoding",
                Severity::Warning,
                PLACE,
                "the file keeps text as UTF-16: text that is no valid UTF-16 cannot be carried unchanged, and tables with text keys are copied in physical parts",
            )
            .fix("Nothing to do where all text is valid"),
        );
    }
    for mapping in &spec.tables {
        table(conn, spec, mapping, &mut out)?;
    }
    Ok(out)
}

/// Readers and the writer must not shut each other out.
pub(crate) fn journal_mode(conn: &Connection, side: &str) -> Result<Option<Finding>> {
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |r| r.get(0))?;
    if same_name(&mode, "wal") {
        return Ok(None);
    }
    Ok(Some(
        Finding::blocks(
            "sqlite.journal_mode",
            side,
            format!(
                "the journal mode is {mode}: a long read would keep the application from writing"
            ),
        )
        .fix("Run PRAGMA journal_mode=WAL on the file once; it stays"),
    ))
}

fn writable(conn: &Connection, place: &Place) -> Result<Option<Finding>> {
    let directory = place
        .path
        .parent()
        .and_then(|p| std::fs::metadata(p).ok())
        .is_some_and(|m| !m.permissions().readonly());
    if directory && !conn.is_readonly("main")? {
        return Ok(None);
    }
    Ok(Some(
        Finding::blocks(
            "sqlite.not_writable",
            PLACE,
            "the file or its directory cannot be written: the capture needs a table and triggers in the file",
        )
        .fix("Give this user the right to write the file and its directory"),
    ))
}

fn table(
    conn: &Connection,
    spec: &CaptureSpec,
    mapping: &TableMapping,
    out: &mut Vec<Finding>,
) -> Result<()> {
    let name = &mapping.source.name;
    let Some(info) = table_info::read(conn, &name.name)? else {
        out.push(
            Finding::blocks("sqlite.table", PLACE, "there is no such table")
                .table(name.to_string())
                .fix("Name an ordinary table; views and virtual tables are not copied"),
        );
        return Ok(());
    };
    capturable(&info, PLACE, &spec.migration, mapping.id, out);
    Ok(())
}

/// What speaks against capturing this table.
pub(crate) fn capturable(
    info: &TableInfo,
    side: &str,
    migration: &str,
    id: TableId,
    out: &mut Vec<Finding>,
) {
    let Some(key) = info.key() else {
        out.push(no_key(info, side));
        return;
    };
    let foreign = foreign_collations(info);
    if !foreign.is_empty() {
        out.push(
            Finding::blocks(
                "sqlite.collation",
                side,
                format!(
                    "a key or unique index uses a collation that only the application has: {}",
                    foreign.join(", ")
                ),
            )
            .table(&info.name)
            .fix("Crossfade can compare with BINARY, NOCASE and RTRIM; leave the table out or change the collation"),
        );
    }
    if let Err(why) = triggers(migration, id, info, &key) {
        out.push(uncapturable(info, side, &why));
    }
}

fn no_key(info: &TableInfo, side: &str) -> Finding {
    let nullable = info.nullable_key_columns();
    if nullable.is_empty() {
        return Finding::blocks(
            "sqlite.no_key",
            side,
            "the table has no primary key: its rowid is not kept by VACUUM, so its rows cannot be followed",
        )
        .table(&info.name)
        .fix("Add an INTEGER PRIMARY KEY, or a unique index over NOT NULL columns, or leave the table out");
    }
    Finding::blocks(
        "sqlite.nullable_key",
        side,
        format!(
            "columns of the only keys may be NULL ({}): SQLite allows any number of rows with NULL in a primary key",
            nullable.join(", ")
        ),
    )
    .table(&info.name)
    .fix("Rebuild the table with NOT NULL on the key's columns, or leave the table out")
}

/// Collations of unique indexes that SQLite does not bring.
fn foreign_collations(info: &TableInfo) -> Vec<String> {
    let mut out: Vec<String> = info
        .indexes
        .iter()
        .filter(|i| i.unique)
        .flat_map(|i| &i.columns)
        .map(|c| c.collation.clone())
        .filter(|c| {
            !["BINARY", "NOCASE", "RTRIM"]
                .iter()
                .any(|b| same_name(b, c))
        })
        .collect();
    out.sort();
    out.dedup();
    out
}

fn uncapturable(info: &TableInfo, side: &str, why: &Uncapturable) -> Finding {
    match why {
        Uncapturable::Expression(index) => Finding::blocks(
            "sqlite.unique_expression",
            side,
            format!("the unique index {index} is on an expression: a row that REPLACE removes by it cannot be logged"),
        )
        .table(&info.name)
        .fix("Drop the index for the time of the migration, or leave the table out"),
        Uncapturable::Default(index, column) => Finding::blocks(
            "sqlite.unique_default",
            side,
            format!(
                "column {column} of the unique index {index} is NOT NULL with a default that is no constant: a row that REPLACE removes by it cannot be logged"
            ),
        )
        .table(&info.name)
        .fix("Drop the index for the time of the migration, or leave the table out"),
    }
}
