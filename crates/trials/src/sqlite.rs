//! SQLite files of the tests' own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::database::{TextRow, shortened};

/// A file in WAL mode, as an application would make it.
#[derive(Debug)]
pub struct SqliteDatabase {
    path: PathBuf,
}

impl SqliteDatabase {
    /// Makes an empty database in WAL mode.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let database = Self {
            path: path.to_owned(),
        };
        let mode: String = database
            .connect()
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .expect("a new file can be written");
        assert_eq!(mode, "wal");
        database
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// A connection as the application has it.
    ///
    /// # Panics
    /// When the file cannot be opened.
    #[must_use]
    pub fn connect(&self) -> Connection {
        open(&self.path)
    }

    /// Runs statements.
    ///
    /// # Errors
    /// SQLite's words.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        self.connect()
            .execute_batch(sql)
            .map_err(|error| error.to_string())
    }

    /// The rows of a query; numbers in SQLite's own text, blobs as hexadecimal digits.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<TextRow> {
        let connection = self.connect();
        let mut statement = connection
            .prepare(sql)
            .unwrap_or_else(|error| panic!("{error}\nin: {}", shortened(sql)));
        let width = statement.column_count();
        let mut rows = statement.query([]).expect("no parameters");
        let mut all = Vec::new();
        while let Some(row) = rows
            .next()
            .unwrap_or_else(|error| panic!("{error}\nin: {}", shortened(sql)))
        {
            all.push(
                (0..width)
                    .map(|i| text(row.get_ref(i).expect("a column of the row")))
                    .collect(),
            );
        }
        all
    }
}

/// A connection to a file as an application has it: it waits for locks and enforces foreign keys.
///
/// # Panics
/// When the file cannot be opened.
#[must_use]
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path)
        .unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
    connection
        .busy_timeout(Duration::from_secs(60))
        .expect("a time-out can be set");
    connection
        .execute_batch("PRAGMA foreign_keys = ON")
        .expect("a setting of the connection");
    connection
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(integer) => Some(integer.to_string()),
        ValueRef::Real(real) => Some(real.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(hexadecimal(bytes)),
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
