//! A table of our own under the fence, and who writes into it.

use std::time::Duration;

use async_trait::async_trait;
use crossfade_store::{Result, WriteProbe};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::capture::state;
use crate::conn::{Place, Purpose, Shared};
use crate::fence::triggers;
use crate::sql::names::quote;
use crate::table_info::OWN_PREFIX;

fn name(migration: &str) -> String {
    format!("{OWN_PREFIX}probe_{migration}")
}

/// Makes the table where there is none, with its one row and then the fence. All in the caller's transaction.
pub(super) fn make(conn: &Connection, migration: &str) -> rusqlite::Result<()> {
    let table = name(migration);
    if !state::has_object(conn, "table", &table)? {
        let quoted = quote(&table);
        conn.execute_batch(&format!(
            "CREATE TABLE {quoted}(one INTEGER NOT NULL PRIMARY KEY, writes INTEGER NOT NULL); \
             INSERT INTO {quoted} VALUES (1, 0)"
        ))?;
    }
    triggers::put(conn, migration, &table)
}

/// The table, where it is there.
pub(super) fn found(conn: &Connection, migration: &str) -> rusqlite::Result<Option<String>> {
    let table = name(migration);
    Ok(state::has_object(conn, "table", &table)?.then_some(table))
}

/// Drops the table; returns it where it was there.
pub(super) fn remove(conn: &Connection, migration: &str) -> rusqlite::Result<Option<String>> {
    let table = found(conn, migration)?;
    if let Some(table) = &table {
        conn.execute_batch(&format!("DROP TABLE {}", quote(table)))?;
    }
    Ok(table)
}

/// A connection as an application has one: triggers run in it.
pub(super) struct Probe {
    connection: Shared<Connection>,
    statement: String,
    place: Place,
}

impl Probe {
    /// Opens the connection.
    pub(super) fn open(place: Place, migration: &str) -> Result<Probe> {
        let connection = place.open(Purpose::Write)?;
        // SQLite's own waiting looks every 100 ms in the end, which is no measure: whoever probes tries again
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)
            .and_then(|_| connection.busy_timeout(Duration::ZERO))
            .map_err(place.failed("cannot open the probe's connection"))?;
        Ok(Probe {
            connection: Shared::new(place.clone(), connection),
            statement: format!("UPDATE {} SET writes = writes + 1", quote(&name(migration))),
            place,
        })
    }
}

#[async_trait]
impl WriteProbe for Probe {
    async fn write(&mut self) -> Result<()> {
        let (statement, place) = (self.statement.clone(), self.place.clone());
        self.connection
            .run(move |connection| {
                connection
                    .prepare_cached(&statement)
                    .and_then(|mut s| s.execute([]))
                    .map(drop)
                    .map_err(place.failed("the probe cannot write"))
            })
            .await
    }
}
