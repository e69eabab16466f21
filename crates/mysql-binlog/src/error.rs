//! What can go wrong with a log and its transport: a stable code, the cause and the fix. No cell's value, no secret.

use crossfade_store::{ErrorKind, StoreError};

/// The result of this crate's work.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the log or of the connection that brings it. It does not know the store's label:
/// [`Error::into_store`] adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[{code}] {what}")]
pub struct Error {
    /// What kind: decides between retry and stop.
    pub kind: ErrorKind,
    /// Stable code, such as `binlog.row_image`.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// What to do next.
    pub fix: Option<String>,
    /// The table, as `database.table`, where there is one.
    pub table: Option<String>,
    /// The server's own error code.
    pub server_code: Option<String>,
}

impl Error {
    /// An error without table, fix and server's code.
    pub fn new(kind: ErrorKind, code: &'static str, what: impl Into<String>) -> Error {
        Error {
            kind,
            code,
            what: what.into(),
            fix: None,
            table: None,
            server_code: None,
        }
    }

    /// The log holds what its format does not allow.
    pub fn corrupt(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, "binlog.corrupt", what)
    }

    /// An event ends in the middle of `what`.
    pub(crate) fn short(what: &str) -> Error {
        Error::corrupt(format!("an event ends inside {what}"))
    }

    /// The connection broke the protocol.
    pub(crate) fn protocol(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, "mysql.protocol", what)
    }

    /// The connection could not be made or was lost.
    pub(crate) fn connection(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Connection, "mysql.connection", what)
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Error {
        self.fix = Some(fix.into());
        self
    }

    /// With the table, where none was named.
    #[must_use]
    pub fn table(mut self, table: impl ToString) -> Error {
        self.table.get_or_insert_with(|| table.to_string());
        self
    }

    /// As an error of the store that the user knows as `label`.
    pub fn into_store(self, label: &str) -> StoreError {
        let mut error = StoreError::new(self.kind, self.code, label, self.what);
        error.fix = self.fix;
        error.table = self.table;
        error.server_code = self.server_code;
        error
    }
}
