//! Scratch files beside a file; see [`crossfade_store::Rehearsing`].

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{Column, Table, TableName};
use crossfade_store::{ErrorKind, Exerciser, Rehearsing, Result, Scratch, Store};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use crate::conn::{PATIENCE, Place, Purpose, Shared, blocking};
use crate::sql::names::quote;
use crate::{Role, SqliteStore};

/// No round begins beyond so many rows: they are read over to get there.
const FARTHEST: u64 = 5_000;

/// What SQLite keeps beside a database (SQLite documentation, "Temporary Files Used By SQLite").
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file that was made.
struct SqliteScratch {
    place: Place,
}

#[async_trait]
impl Rehearsing for SqliteStore {
    async fn make_scratch(&self, name: &str) -> Result<Box<dyn Scratch>> {
        let place = Place::new(self.place.beside(&format!(".{name}")));
        blocking(&self.place, move || {
            // whoever is there keeps his file
            match std::fs::File::create_new(&place.path) {
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(place
                        .error(ErrorKind::Conflict, "sqlite.file_there", "there is such a file already")
                        .fix("If nobody needs it, remove it"));
                }
                Err(e) => {
                    return Err(place
                        .error(
                            ErrorKind::Permission,
                            "sqlite.create",
                            format!("no file can be made in this folder: {e}"),
                        )
                        .fix("Permit it, or name empty databases with --scratch-source and --scratch-target"));
                }
            }
            let scratch = SqliteScratch { place };
            if let Err(error) = scratch.begin() {
                scratch.unlink()?;
                return Err(error);
            }
            Ok(Box::new(scratch) as Box<dyn Scratch>)
        })
        .await
    }

    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>> {
        let place = self.place.clone();
        let exerciser = blocking(&self.place, move || SqliteExerciser::open(place)).await?;
        Ok(Box::new(exerciser))
    }

    async fn drop_tables(&self, tables: &[TableName]) -> Result<()> {
        if !self.place.exists() {
            return Ok(());
        }
        let names: Vec<String> = tables.iter().map(|t| quote(&t.name)).collect();
        self.working(Purpose::Write, move |conn, place| {
            let failed = place.failed("cannot drop a table");
            for name in &names {
                conn.execute_batch(&format!("DROP TABLE IF EXISTS {name}"))
                    .map_err(&failed)?;
            }
            Ok(())
        })
        .await
    }
}

impl SqliteScratch {
    fn begin(&self) -> Result<()> {
        let connection = self.place.open(Purpose::Write)?;
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .map_err(self.place.failed("cannot begin the file"))
    }

    fn open(&self, role: Role) -> Result<Arc<dyn Store>> {
        let url = format!("sqlite:{}", self.place.path.display());
        Ok(Arc::new(SqliteStore::open(&url, role)?))
    }

    /// The files that hold the right to write to this one.
    fn locks(&self) -> Vec<PathBuf> {
        let (Some(folder), Some(name)) = (self.place.path.parent(), self.place.path.file_name())
        else {
            return Vec::new();
        };
        let first = format!("{}-crossfade-", name.to_string_lossy());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&first))
            .map(|entry| entry.path())
            .collect()
    }

    fn unlink(&self) -> Result<()> {
        let files = BESIDE.map(|suffix| self.place.beside(suffix));
        for file in files.into_iter().chain(self.locks()) {
            match std::fs::remove_file(file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self
                        .place
                        .error(
                            ErrorKind::Permission,
                            "sqlite.remove",
                            format!("the file cannot be removed: {e}"),
                        )
                        .fix("Remove it yourself"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Scratch for SqliteScratch {
    fn label(&self) -> &str {
        &self.place.label
    }

    fn source(&self) -> Result<Arc<dyn Store>> {
        self.open(Role::Source)
    }

    fn target(&self) -> Result<Arc<dyn Store>> {
        self.open(Role::Target)
    }

    async fn remove(&self) -> Result<()> {
        let scratch = SqliteScratch {
            place: self.place.clone(),
        };
        blocking(&self.place, move || scratch.unlink()).await
    }
}

/// A connection as an application has one: triggers run in it.
struct SqliteExerciser {
    connection: Shared<Connection>,
    place: Place,
}

impl SqliteExerciser {
    fn open(place: Place) -> Result<SqliteExerciser> {
        let connection = place.open(Purpose::Write)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)
            .and_then(|_| connection.busy_timeout(PATIENCE))
            .map_err(place.failed("cannot open a writing connection"))?;
        Ok(SqliteExerciser {
            connection: Shared::new(place.clone(), connection),
            place,
        })
    }
}

/// A round's statements: foreign keys are not enforced in this connection, so that no child follows a row that comes back.
struct Statements {
    touch: Option<String>,
    again: [String; 4],
}

impl Statements {
    fn new(table: &Table, rows: u32, round: u64) -> Option<Statements> {
        let key: Vec<&str> = (table.key_columns().iter())
            .map(|column| column.name.as_str())
            .collect();
        if key.is_empty() {
            return None;
        }
        let list = |names: &[&str]| {
            let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
            quoted.join(", ")
        };
        let name = quote(&table.name.name);
        let from = round * u64::from(rows) % table.estimated_rows.clamp(1, FARTHEST);
        let keys = list(&key);
        let some = format!("({keys}) IN (SELECT {keys} FROM {name} LIMIT {rows} OFFSET {from})");
        let columns: Vec<&str> = table.captured().map(|c| c.name.as_str()).collect();
        let columns = list(&columns);
        let free = |c: &&Column| !key.contains(&c.name.as_str());
        let touched = table.captured().find(free).or(table.captured().next());
        Some(Statements {
            touch: touched.map(|column| {
                let column = quote(&column.name);
                format!("UPDATE {name} SET {column} = {column} WHERE {some}")
            }),
            again: [
                format!("CREATE TEMP TABLE gone AS SELECT {columns} FROM {name} WHERE {some}"),
                format!("DELETE FROM {name} WHERE ({keys}) IN (SELECT {keys} FROM temp.gone)"),
                format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM temp.gone"),
                "DROP TABLE temp.gone".to_owned(),
            ],
        })
    }

    fn run(&self, connection: &mut Connection) -> rusqlite::Result<u64> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut written = 0;
        if let Some(touch) = &self.touch {
            written += transaction.execute(touch, [])? as u64;
        }
        let [make, delete, insert, end] = &self.again;
        transaction.execute_batch(make)?;
        written += transaction.execute(delete, [])? as u64;
        written += transaction.execute(insert, [])? as u64;
        transaction.execute_batch(end)?;
        transaction.commit()?;
        Ok(written)
    }
}

#[async_trait]
impl Exerciser for SqliteExerciser {
    async fn exercise(&mut self, table: &Table, rows: u32, round: u64) -> Result<u64> {
        let Some(statements) = Statements::new(table, rows, round) else {
            return Ok(0);
        };
        let (place, name) = (self.place.clone(), table.name.clone());
        self.connection
            .run(move |connection| {
                statements
                    .run(connection)
                    .map_err(|e| place.failed("cannot write rows again")(e).table(&name))
            })
            .await
    }
}
