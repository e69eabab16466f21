//! A database of a test's own, on any engine.

use std::path::Path;

use crate::mysql::MysqlDatabase;
use crate::postgres::PostgresDatabase;
use crate::sqlite::SqliteDatabase;

/// What kind of database, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The first server of PostgreSQL 15.
    Pg15,
    /// The second server of PostgreSQL 15.
    Pg15b,
    /// PostgreSQL 17.
    Pg17,
    /// PostgreSQL 18.
    Pg18,
    /// The server that lets in by TLS only.
    PgTls,
    /// MySQL 9.7.
    Mysql97,
    /// MariaDB 10.11.
    Maria1011,
    /// MariaDB 11.8.
    Maria118,
    /// A SQLite file.
    Sqlite,
}

impl Engine {
    /// Whether it is MySQL or MariaDB.
    #[must_use]
    pub fn is_mysql(self) -> bool {
        matches!(self, Self::Mysql97 | Self::Maria1011 | Self::Maria118)
    }

    /// Whether it is MariaDB, whose log has no cascades of foreign keys.
    #[must_use]
    pub fn is_mariadb(self) -> bool {
        matches!(self, Self::Maria1011 | Self::Maria118)
    }

    /// Whether it is SQLite.
    #[must_use]
    pub fn is_sqlite(self) -> bool {
        self == Self::Sqlite
    }

    /// The variable with the superuser's URL.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Pg15 => "CROSSFADE_TEST_PG15A",
            Self::Pg15b => "CROSSFADE_TEST_PG15B",
            Self::Pg17 => "CROSSFADE_TEST_PG17",
            Self::Pg18 => "CROSSFADE_TEST_PG18",
            Self::PgTls => "CROSSFADE_TEST_TLS_URL",
            Self::Mysql97 => "CROSSFADE_TEST_MYSQL97",
            Self::Maria1011 => "CROSSFADE_TEST_MARIADB1011",
            Self::Maria118 => "CROSSFADE_TEST_MARIADB118",
            Self::Sqlite => "",
        }
    }
}

/// The SQL that a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// MySQL's and MariaDB's.
    Mysql,
    /// SQLite's.
    Sqlite,
}

/// A row as text, NULL as `None`.
pub type TextRow = Vec<Option<String>>;

/// A database; dropped with this value.
#[derive(Debug)]
pub enum Database {
    /// On a server.
    Postgres(PostgresDatabase),
    /// On a server of MySQL or MariaDB.
    Mysql(MysqlDatabase),
    /// In a file.
    Sqlite(SqliteDatabase),
}

impl Database {
    /// Makes one; a file goes into `folder` under `name`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn create(engine: Engine, folder: &Path, name: &str) -> Self {
        if engine.is_sqlite() {
            Self::Sqlite(SqliteDatabase::create(&folder.join(format!("{name}.db"))))
        } else if engine.is_mysql() {
            Self::Mysql(MysqlDatabase::create(engine))
        } else {
            Self::Postgres(PostgresDatabase::create(engine))
        }
    }

    /// Its SQL.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The URL with all rights.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Mysql(database) => database.url(),
            Self::Sqlite(database) => database.url(),
        }
    }

    /// Runs statements with all rights.
    ///
    /// # Panics
    /// When one fails.
    #[track_caller]
    pub fn run(&self, sql: &str) {
        if let Err(error) = self.try_run(sql) {
            panic!("{error}\nin: {}", shortened(sql));
        }
    }

    /// Runs statements with all rights.
    ///
    /// # Errors
    /// The database's own words.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Postgres(database) => database.try_run(sql),
            Self::Mysql(database) => database.try_run(sql),
            Self::Sqlite(database) => database.try_run(sql),
        }
    }

    /// The rows of a query, as text.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<TextRow> {
        match self {
            Self::Postgres(database) => database.rows(sql),
            Self::Mysql(database) => database.rows(sql),
            Self::Sqlite(database) => database.rows(sql),
        }
    }

    /// The first column of a query's first row, as text.
    ///
    /// # Panics
    /// When the query fails or brings no row.
    #[track_caller]
    #[must_use]
    pub fn text(&self, sql: &str) -> Option<String> {
        let mut rows = self.rows(sql);
        assert!(!rows.is_empty(), "no row: {}", shortened(sql));
        rows.swap_remove(0).swap_remove(0)
    }

    /// The number that a query brings.
    ///
    /// # Panics
    /// When it fails or brings none.
    #[track_caller]
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        let text = self.text(sql).expect("a number, not NULL");
        text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
    }

    /// The PostgreSQL database that this is.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn postgres(&self) -> &PostgresDatabase {
        match self {
            Self::Postgres(database) => database,
            _ => panic!("not a PostgreSQL database"),
        }
    }

    /// The MySQL or MariaDB database that this is.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn mysql(&self) -> &MysqlDatabase {
        match self {
            Self::Mysql(database) => database,
            _ => panic!("not a MySQL or MariaDB database"),
        }
    }

    /// The SQLite database that this is.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn sqlite(&self) -> &SqliteDatabase {
        match self {
            Self::Sqlite(database) => database,
            _ => panic!("not a SQLite database"),
        }
    }
}

/// The beginning of a statement, for messages.
pub(crate) fn shortened(sql: &str) -> String {
    sql.chars().take(300).collect()
}
