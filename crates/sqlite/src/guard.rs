//! Guards: triggers that refuse everybody's writes to a target table while it is migrated. Crossfade's own connections run
//! no triggers, so they cost it nothing; readers are not touched.

use rusqlite::{Connection, Result};

use crate::sql::names::{literal, quote};
use crate::table_info::OWN_PREFIX;

const EVENTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

fn name(table: &str, event: &str) -> String {
    format!("{OWN_PREFIX}guard_{}_{table}", event.to_ascii_lowercase())
}

/// The statements that close a table.
pub(crate) fn statements(table: &str) -> Vec<String> {
    let message = format!(
        "crossfade: table {table} is being migrated into; writes are refused until the migration ends"
    );
    EVENTS
        .iter()
        .map(|event| {
            format!(
                "CREATE TRIGGER IF NOT EXISTS {} BEFORE {event} ON {} BEGIN SELECT RAISE(ABORT, {}); END",
                quote(&name(table, event)),
                quote(table),
                literal(&message)
            )
        })
        .collect()
}

/// Closes a table.
pub(crate) fn close(conn: &Connection, table: &str) -> Result<()> {
    for statement in statements(table) {
        conn.execute_batch(&statement)?;
    }
    Ok(())
}

/// Whether the table refuses others' writes.
pub(crate) fn is_closed(conn: &Connection, table: &str) -> Result<bool> {
    for event in EVENTS {
        let there = conn
            .prepare_cached(
                "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1 AND instr(sql, 'RAISE(ABORT') > 0",
            )?
            .exists([&name(table, event)])?;
        if !there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a table; returns the guards that were there.
pub(crate) fn open(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let mut gone = Vec::new();
    for event in EVENTS {
        let name = name(table, event);
        let there = conn
            .prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1")?
            .exists([&name])?;
        if there {
            conn.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
            gone.push(name);
        }
    }
    Ok(gone)
}
