//! The kinds of corruption.

pub mod rows;
pub mod sequence;
pub mod values;

use crate::database::Dialect;

/// SQL of all dialects; `None` where one cannot say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql {
    postgres: Option<&'static str>,
    sqlite: Option<&'static str>,
    mysql: Option<&'static str>,
}

impl Sql {
    /// What this dialect says.
    #[must_use]
    pub fn of(self, dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
            Dialect::Mysql => self.mysql,
        }
    }

    /// With what MySQL and MariaDB say.
    const fn on_mysql(self, sql: &'static str) -> Self {
        Self {
            mysql: Some(sql),
            ..self
        }
    }
}

/// The same in all.
const fn all(sql: &'static str) -> Sql {
    both(sql).on_mysql(sql)
}

const fn mysql(sql: &'static str) -> Sql {
    Sql {
        postgres: None,
        sqlite: None,
        mysql: Some(sql),
    }
}

/// The same in PostgreSQL and SQLite, and nothing that MySQL could hold.
const fn both(sql: &'static str) -> Sql {
    each(sql, sql)
}

const fn each(postgres: &'static str, sqlite: &'static str) -> Sql {
    Sql {
        postgres: Some(postgres),
        sqlite: Some(sqlite),
        mysql: None,
    }
}

const fn postgres(sql: &'static str) -> Sql {
    Sql {
        postgres: Some(sql),
        sqlite: None,
        mysql: None,
    }
}

const fn sqlite(sql: &'static str) -> Sql {
    Sql {
        postgres: None,
        sqlite: Some(sql),
        mysql: None,
    }
}

/// How a row differs, in the program's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// On the source only.
    Missing,
    /// On the target only.
    Extra,
    /// On both, with other values.
    Changed,
}

impl How {
    /// The word of the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Changed => "changed",
        }
    }
}
