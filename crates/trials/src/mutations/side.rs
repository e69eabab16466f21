//! One side of the migration, written to behind the program's back: as a superuser whose session fires no triggers, or as
//! a connection to the file that runs none.

use std::path::PathBuf;

use rusqlite::config::DbConfig;

use super::schema::{LIVE, Table, tables};
use crate::database::{Database, Dialect, TextRow};
use crate::postgres::describe;
use crate::sqlite::SqliteDatabase;

/// A database and a copy of its rows that are the mutations'.
#[derive(Debug)]
pub struct Side<'a> {
    database: &'a Database,
    /// The file that holds the copy; PostgreSQL has a schema for it.
    kept: PathBuf,
}

impl<'a> Side<'a> {
    /// Copies the rows of the mutations; `name` tells both sides apart.
    pub fn keep(
        database: &'a Database,
        source: Dialect,
        folder: &std::path::Path,
        name: &str,
    ) -> Self {
        let side = Self {
            database,
            kept: folder.join(format!("kept-{name}.db")),
        };
        if database.dialect() == Dialect::Postgres {
            side.write("CREATE SCHEMA kept")
                .expect("a schema can be made");
        }
        for table in tables(source) {
            let sql = format!(
                "CREATE TABLE kept.{0} AS SELECT * FROM {0} WHERE {1}",
                table.name,
                frozen(table)
            );
            side.write(&sql).expect("a copy can be made");
        }
        side
    }

    /// Runs statements in one transaction, past all triggers.
    ///
    /// # Errors
    /// The database's own words.
    pub fn write(&self, sql: &str) -> Result<(), String> {
        match self.database {
            Database::Postgres(postgres) => {
                let sql = format!("SET session_replication_role = replica; BEGIN; {sql}; COMMIT");
                let mut client = postgres.try_client()?;
                client.batch_execute(&sql).map_err(|error| describe(&error))
            }
            Database::Sqlite(sqlite) => self.write_file(sqlite, sql),
            Database::Mysql(_) => Err("no kind is planted on MySQL".to_owned()),
        }
    }

    fn write_file(&self, sqlite: &SqliteDatabase, sql: &str) -> Result<(), String> {
        let connection = sqlite.connect();
        let written = connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .and_then(|_| {
                connection.execute_batch(&format!(
                    "PRAGMA foreign_keys = OFF; ATTACH '{}' AS kept; BEGIN IMMEDIATE; {sql}; COMMIT",
                    self.kept.display()
                ))
            });
        written.map_err(|error| error.to_string())
    }

    /// Puts the kept rows of a table in the place of what is there.
    pub fn restore(&self, table: &Table) {
        let sql = format!(
            "DELETE FROM {0} WHERE {1}; INSERT INTO {0} SELECT * FROM kept.{0}",
            table.name,
            frozen(table)
        );
        self.write(&sql)
            .unwrap_or_else(|error| panic!("cannot put {} back: {error}", table.name));
    }

    /// The mutations' rows of a table in the database's own exact text, in some order.
    pub fn rows(&self, table: &Table) -> Vec<TextRow> {
        let row = match self.database.dialect() {
            Dialect::Postgres => "t::text".to_owned(),
            Dialect::Mysql => "*".to_owned(),
            Dialect::Sqlite => {
                let sql = format!("SELECT name FROM pragma_table_info('{}')", table.name);
                let names = self.database.rows(&sql);
                let names = names.into_iter().flatten().flatten();
                let exact: Vec<String> = names.map(|name| exact(&name)).collect();
                exact.join(", ")
            }
        };
        let sql = format!(
            "SELECT {row} FROM {} AS t WHERE {}",
            table.name,
            frozen(table)
        );
        let mut rows = self.database.rows(&sql);
        rows.sort();
        rows
    }
}

/// A value of SQLite with its storage class; a text by its bytes, of which a zero would end it elsewhere.
fn exact(column: &str) -> String {
    format!(
        "typeof({column}) || CASE WHEN typeof({column}) IN ('text', 'blob') THEN hex({column}) ELSE quote({column}) END"
    )
}

fn frozen(table: &Table) -> String {
    format!("{} < {LIVE}", table.whose)
}
