//! Errors of stores: a stable code, where it happened, the cause and the fix; and the one table that says what to do.

use std::error::Error as StdError;

/// The result of a store's work.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What kind of thing went wrong. Decides between retry and stop, see [`ErrorKind::recovery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The connection could not be made or was lost; what was under way may or may not have happened.
    Connection,
    /// A deadlock victim or a serialization failure: the transaction did not happen.
    Conflict,
    /// The store is busy (SQLite's lock, a lock timeout).
    Busy,
    /// The server is starting up, shutting down, or has no free connection or slot right now.
    Unavailable,
    /// Another run has taken over (run epoch): this one must end.
    Fenced,
    /// Another run of the same migration is active.
    AlreadyRunning,
    /// Wrong user, password, certificate.
    Authentication,
    /// A privilege is missing; the fix is the GRANT.
    Permission,
    /// A server setting is wrong (`wal_level`), the version is too old, a slot is not free.
    Setting,
    /// Something that should be there is not (table, column, database).
    Missing,
    /// The store's shape is not the planned one.
    SchemaMismatch,
    /// The store is not the one that this migration began with.
    WrongStore,
    /// The log that is needed is gone (slot lost, WAL removed, change table trimmed or triggers dropped): a gap.
    LogLost,
    /// A unique key was violated.
    UniqueViolation,
    /// Another constraint or a value's range or form refused a row.
    RowRefused,
    /// A row that a change builds on, or takes away, is not there: whatever its values.
    RowAbsent,
    /// No space left, a quota was reached.
    NoSpace,
    /// The store's file or its reply is damaged, or the protocol was broken.
    Corrupt,
    /// The request is beyond what the store can do.
    Unsupported,
    /// Wrong URL, wrong option.
    Usage,
    /// A defect in this program.
    Internal,
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Begin again from what is durable, after a pause; bounded.
    Retry,
    /// Try again in a more careful way (rows one by one, delete before insert).
    Narrow,
    /// Stop and say so: a person must act. Exit 1.
    Stop,
    /// Refuse: nothing was begun. Exit 2.
    Refuse,
    /// Bad usage. Exit 3.
    Usage,
}

impl ErrorKind {
    /// The one table of what to do.
    pub fn recovery(self) -> Recovery {
        match self {
            ErrorKind::Connection
            | ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Unavailable => Recovery::Retry,
            ErrorKind::UniqueViolation | ErrorKind::RowRefused | ErrorKind::RowAbsent => {
                Recovery::Narrow
            }
            ErrorKind::Fenced
            | ErrorKind::WrongStore
            | ErrorKind::LogLost
            | ErrorKind::NoSpace
            | ErrorKind::Corrupt
            | ErrorKind::Internal => Recovery::Stop,
            ErrorKind::AlreadyRunning
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::Setting
            | ErrorKind::Missing
            | ErrorKind::SchemaMismatch
            | ErrorKind::Unsupported => Recovery::Refuse,
            ErrorKind::Usage => Recovery::Usage,
        }
    }
}

/// An error of a store. Never carries a cell's value, a password or a whole URL.
#[derive(Debug)]
pub struct StoreError {
    /// What kind.
    pub kind: ErrorKind,
    /// Stable code, such as `postgres.wal_level`.
    pub code: &'static str,
    /// The store, as the user knows it, without secrets (`postgres://app@old/shop`).
    pub store: String,
    /// The table, where there is one.
    pub table: Option<String>,
    /// What happened.
    pub what: String,
    /// What to do next.
    pub fix: Option<String>,
    /// The server's own code (SQLSTATE, SQLite's result code).
    pub server_code: Option<String>,
    /// The cause.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// An error without table, fix and cause.
    pub fn new(
        kind: ErrorKind,
        code: &'static str,
        store: impl Into<String>,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError {
            kind,
            code,
            store: store.into(),
            table: None,
            what: what.into(),
            fix: None,
            server_code: None,
            source: None,
        }
    }

    /// With the table.
    #[must_use]
    pub fn table(mut self, table: impl ToString) -> StoreError {
        self.table = Some(table.to_string());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> StoreError {
        self.fix = Some(fix.into());
        self
    }

    /// With the cause.
    #[must_use]
    pub fn cause(mut self, cause: impl StdError + Send + Sync + 'static) -> StoreError {
        self.source = Some(Box::new(cause));
        self
    }

    /// What to do about it.
    pub fn recovery(&self) -> Recovery {
        self.kind.recovery()
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.code, self.store)?;
        if let Some(table) = &self.table {
            write!(f, ", table {table}")?;
        }
        write!(f, ": {}", self.what)?;
        if let Some(code) = &self.server_code {
            write!(f, " ({code})")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, ". {fix}")?;
        }
        Ok(())
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}
