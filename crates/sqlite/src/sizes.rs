//! How big a table is, by a look that stays short in big files.

use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::sql::names::quote;
use crate::table_info::TableInfo;

/// Files up to this many bytes are counted, which reads all of them; in bigger ones sizes are guessed.
const COUNTED_FILE_BYTES: u64 = 16 << 20;

/// A row and its cell take at least this many bytes of a page.
const LEAST_ROW_BYTES: u64 = 8;

/// Rows and bytes of a table.
pub(crate) fn estimate(conn: &Connection, table: &TableInfo) -> Result<(u64, u64)> {
    let file = file_bytes(conn)?;
    if file <= COUNTED_FILE_BYTES {
        let rows = conn.query_row(
            &format!("SELECT count(*) FROM {}", quote(&table.name)),
            [],
            |r| r.get::<_, u64>(0),
        )?;
        return Ok((rows, counted_bytes(conn, table)?));
    }
    let rows = match analyzed_rows(conn, table)? {
        Some(rows) => rows,
        None => span_of_rowids(conn, table)?
            .unwrap_or(file / 128)
            .min(file / LEAST_ROW_BYTES),
    };
    let tables: u64 = conn.query_row(
        "SELECT max(1, count(*)) FROM sqlite_master WHERE type = 'table'",
        [],
        |r| r.get(0),
    )?;
    Ok((rows, rows.saturating_mul(64).max(file / tables).min(file)))
}

pub(crate) fn file_bytes(conn: &Connection) -> Result<u64> {
    let pages: u64 = conn.query_row("PRAGMA page_count", [], |r| r.get(0))?;
    let size: u64 = conn.query_row("PRAGMA page_size", [], |r| r.get(0))?;
    Ok(pages.saturating_mul(size))
}

fn counted_bytes(conn: &Connection, table: &TableInfo) -> Result<u64> {
    conn.query_row(
        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?1 AND aggregate = 1",
        [&table.name],
        |r| r.get(0),
    )
}

/// The row count that ANALYZE left.
fn analyzed_rows(conn: &Connection, table: &TableInfo) -> Result<Option<u64>> {
    let there = conn
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    if there.is_none() {
        return Ok(None);
    }
    let stat: Option<String> = conn
        .query_row(
            "SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 LIMIT 1",
            [&table.name],
            |r| r.get(0),
        )
        .optional()?;
    Ok(stat.and_then(|s| s.split(' ').next()?.parse().ok()))
}

fn span_of_rowids(conn: &Connection, table: &TableInfo) -> Result<Option<u64>> {
    let Some(rowid) = table.rowid_name() else {
        return Ok(None);
    };
    let name = quote(&table.name);
    let (low, high): (Option<i64>, Option<i64>) = conn.query_row(
        &format!("SELECT (SELECT min({rowid}) FROM {name}), (SELECT max({rowid}) FROM {name})"),
        [],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )?;
    Ok(Some(match (low, high) {
        (Some(low), Some(high)) => high.abs_diff(low).saturating_add(1),
        _ => 0,
    }))
}
