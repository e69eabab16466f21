//! What the armed fence costs a writing statement: the same statement, timed with and without its triggers on a table that is made for it
//! and rolled back. The application waits for it as for any short transaction.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::fence::triggers;
use crate::sql::names::quote;
use crate::table_info::OWN_PREFIX;

/// Statements that are timed together.
const STATEMENTS: u32 = 200;

/// Measures, inside a transaction of which nothing is to stay.
pub(super) fn measure(conn: &Connection, migration: &str) -> rusqlite::Result<Duration> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    let table = format!("{OWN_PREFIX}cost_{migration}");
    let name = quote(&table);
    conn.execute_batch(&format!(
        "CREATE TABLE {name}(one INTEGER NOT NULL PRIMARY KEY, writes INTEGER NOT NULL); INSERT INTO {name} VALUES (1, 0)"
    ))?;
    let statement = format!("UPDATE {name} SET writes = writes + 1");
    // once each without being timed: what is read for the first time is read from the file
    timed(conn, &statement)?;
    let without = timed(conn, &statement)?;
    triggers::put(conn, migration, &table)?;
    timed(conn, &statement)?;
    let with = timed(conn, &statement)?;
    Ok(with.saturating_sub(without) / STATEMENTS)
}

fn timed(conn: &Connection, statement: &str) -> rusqlite::Result<Duration> {
    let mut statement = conn.prepare(statement)?;
    let begun = Instant::now();
    for _ in 0..STATEMENTS {
        statement.execute([])?;
    }
    Ok(begun.elapsed())
}
