//! The fence's triggers: every write of an application reads the register in its own transaction.
//!
//! SQLite has one writer at a time, so the write lock is the latch: who has it holds writers off, and who gets it after the register
//! was changed reads the new one. A transaction that read before the change cannot write after it (`SQLITE_BUSY_SNAPSHOT`).
//!
//! Triggers of INSERT also meet REPLACE and upserts, those of tables also what INSTEAD OF triggers of views write. They run before
//! anything else and use nothing that an old library in the application lacks.

use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::fence::register::{self, REGISTER};
use crate::guard;
use crate::sql::names::{literal, quote};
use crate::table_info::{self, OWN_PREFIX};

const EVENTS: [&str; 3] = ["insert", "update", "delete"];

/// No migration's name has a `-`: the name says where it ends.
fn name(migration: &str, event: &str, table: &str) -> String {
    format!("{OWN_PREFIX}fence_{migration}-{event}-{table}")
}

/// The table's part of a trigger's name, if it is one of this migration's fence.
fn is_of(migration: &str, trigger: &str) -> bool {
    let event = trigger
        .strip_prefix(OWN_PREFIX)
        .and_then(|rest| rest.strip_prefix("fence_"))
        .and_then(|rest| rest.strip_prefix(migration))
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split_once('-'));
    event.is_some_and(|(event, _)| EVENTS.contains(&event))
}

/// Names and statements of a table's triggers. A register that is gone refuses too.
fn triggers(migration: &str, table: &str) -> Vec<(String, String)> {
    let given = format!(
        "crossfade: migration {migration} has moved table {table} to its other store; write there"
    );
    let fenced = format!(
        "crossfade: migration {migration} takes no writes to table {table} here; write to the store that crossfade status names"
    );
    let mode = format!(
        "(SELECT mode FROM {REGISTER} WHERE migration = {})",
        literal(migration)
    );
    EVENTS
        .iter()
        .map(|event| {
            let name = name(migration, event, table);
            let sql = format!(
                "CREATE TRIGGER {} BEFORE {} ON {} WHEN {mode} IS NOT 'open' BEGIN \
                 SELECT RAISE(ABORT, {}) WHERE {mode} = 'given'; SELECT RAISE(ABORT, {}); END",
                quote(&name),
                event.to_ascii_uppercase(),
                quote(table),
                literal(&given),
                literal(&fenced),
            );
            (name, sql)
        })
        .collect()
}

fn stored(conn: &Connection, trigger: &str) -> Result<Option<String>> {
    conn.prepare_cached(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE",
    )?
    .query_row([trigger], |r| r.get(0))
    .optional()
}

/// Puts the fence into a table and takes the guards of its filling off, all in the caller's transaction. Returns `false` where there
/// is no such table.
pub(crate) fn arm(conn: &Connection, migration: &str, table: &str) -> Result<bool> {
    let Some(info) = table_info::read(conn, table)? else {
        return Ok(false);
    };
    put(conn, migration, &info.name)?;
    guard::open(conn, &info.name)?;
    register::remember(conn, migration, &info.name)?;
    Ok(true)
}

/// Makes a table's triggers; what is there is put right.
pub(crate) fn put(conn: &Connection, migration: &str, table: &str) -> Result<()> {
    for (name, sql) in triggers(migration, table) {
        let there = stored(conn, &name)?;
        if there.as_deref() == Some(sql.as_str()) {
            continue;
        }
        if there.is_some() {
            conn.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
        }
        conn.execute_batch(&sql)?;
    }
    Ok(())
}

/// Takes the fence off a table.
pub(crate) fn disarm(conn: &Connection, migration: &str, table: &str) -> Result<()> {
    for event in EVENTS {
        let name = name(migration, event, table);
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {}", quote(&name)))?;
    }
    register::forget(conn, migration, table)
}

/// Whether the table has the whole fence as it was made.
pub(crate) fn is_armed(conn: &Connection, migration: &str, table: &str) -> Result<bool> {
    for (name, sql) in triggers(migration, table) {
        if stored(conn, &name)? != Some(sql) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The fence's triggers, as found now.
pub(crate) fn found(conn: &Connection, migration: &str) -> Result<Vec<String>> {
    let all: Vec<String> = conn
        .prepare_cached("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_>>()?;
    Ok(all
        .into_iter()
        .filter(|name| is_of(migration, name))
        .collect())
}

/// What is missing of the fence, in words.
pub(crate) fn missing(conn: &Connection, migration: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for table in register::fenced(conn, migration)? {
        if table_info::read(conn, &table)?.is_none() {
            out.push(format!("table {table} was dropped or renamed"));
        } else if !is_armed(conn, migration, &table)? {
            out.push(format!(
                "triggers of table {table} that refuse writes were dropped or altered"
            ));
        }
    }
    Ok(out)
}

/// Drops all triggers of the fence.
pub(crate) fn remove(conn: &Connection, migration: &str) -> Result<Vec<String>> {
    let gone = found(conn, migration)?;
    for name in &gone {
        conn.execute_batch(&format!("DROP TRIGGER {}", quote(name)))?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_do_not_take_each_others_triggers() {
        assert!(is_of("shop", &name("shop", "insert", "a-b")));
        assert!(!is_of("shop", &name("shop_x", "insert", "t")));
        // the capture of the lane back of a migration with an odd name
        assert!(!is_of(
            "shop",
            &crate::capture::names::trigger("fence_shop-back", 1, "ai")
        ));
    }
}
