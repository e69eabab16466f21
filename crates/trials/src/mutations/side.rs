//! One side of the migration, written to behind the program's back: as a superuser whose session fires no triggers, as a
//! connection to the file that runs none, or as an administrator of MySQL who has the guards take him for the migration and
//! whose session writes no log.

use std::path::PathBuf;

use rusqlite::config::DbConfig;

use super::schema::{LIVE, Table, tables};
use crate::compare::{self, TableName, literal};
use crate::database::{Database, Dialect, TextRow};
use crate::postgres::describe;
use crate::sqlite::SqliteDatabase;
use crate::trial::Trial;

/// A database and a copy of its rows that are the mutations'.
#[derive(Debug)]
pub struct Side<'a> {
    database: &'a Database,
    /// The file that holds the copy; PostgreSQL has a schema for it, MySQL a database.
    kept: PathBuf,
    migration: &'a str,
}

impl<'a> Side<'a> {
    /// Copies the rows of the mutations; `name` tells both sides apart.
    pub fn keep(trial: &'a Trial, database: &'a Database, name: &str) -> Self {
        let side = Self {
            database,
            kept: trial.folder().join(format!("kept-{name}.db")),
            migration: &trial.name,
        };
        match database {
            Database::Postgres(_) => side.write("CREATE SCHEMA kept"),
            Database::Mysql(_) => side.write(&format!("CREATE DATABASE {}", side.place())),
            Database::Sqlite(_) => Ok(()),
        }
        .expect("a place for a copy can be made");
        for table in tables(trial.source.dialect(), trial.target.dialect()) {
            let sql = format!(
                "CREATE TABLE {2}.{0} AS SELECT * FROM {0} WHERE {1}",
                table.name,
                frozen(table),
                side.place()
            );
            side.write(&sql).expect("a copy can be made");
        }
        side
    }

    /// Where the copy is.
    fn place(&self) -> String {
        match self.database {
            Database::Mysql(mysql) => format!("{}_kept", mysql.name()),
            Database::Postgres(_) | Database::Sqlite(_) => "kept".to_owned(),
        }
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
            Database::Mysql(mysql) => mysql.try_run(&format!(
                "SET @_crossfade_migration = {}, SESSION sql_log_bin = 0, SESSION foreign_key_checks = 0;
                 BEGIN; {sql}; COMMIT",
                literal(self.migration)
            )),
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
            "DELETE FROM {0} WHERE {1}; INSERT INTO {0} SELECT * FROM {2}.{0}",
            table.name,
            frozen(table),
            self.place()
        );
        self.write(&sql)
            .unwrap_or_else(|error| panic!("cannot put {} back: {error}", table.name));
    }

    /// The mutations' rows of a table in the database's own exact text, in some order.
    pub fn rows(&self, table: &Table) -> Vec<TextRow> {
        let row = match self.database.dialect() {
            Dialect::Postgres => "t::text".to_owned(),
            Dialect::Mysql => {
                let table = TableName::new(None, table.name);
                let columns = compare::columns(self.database, &table);
                let exact: Vec<String> = columns.iter().map(exact_on_mysql).collect();
                exact.join(", ")
            }
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

impl Drop for Side<'_> {
    fn drop(&mut self) {
        if let (Database::Mysql(mysql), false) = (self.database, std::thread::panicking()) {
            // the server goes with the trials, and what is left on it
            let _ = mysql.try_run(&format!("DROP DATABASE IF EXISTS {}", self.place()));
        }
    }
}

/// A value of SQLite with its storage class; a text by its bytes, of which a zero would end it elsewhere.
fn exact(column: &str) -> String {
    format!(
        "typeof({column}) || CASE WHEN typeof({column}) IN ('text', 'blob') THEN hex({column}) ELSE quote({column}) END"
    )
}

/// A value of MySQL by its bytes; of a float both its own text and that of the double which it is; of a word its number, too.
fn exact_on_mysql(column: &compare::Column) -> String {
    let name = &column.name;
    match column.kind.as_str() {
        "float" | "double" => format!("concat({name}, ' ', {name} + 0e0)"),
        "bit" => format!("bin({name})"),
        "enum" | "set" => format!("concat({name}, ' ', {name} + 0)"),
        _ => format!("hex(concat({name}, ''))"),
    }
}

fn frozen(table: &Table) -> String {
    format!("{} < {LIVE}", table.whose)
}
