//! SQLite's result codes as kinds of errors (SQLite documentation, "Result and Error Codes").

use crossfade_store::{ErrorKind, StoreError};
use rusqlite::ffi;
use rusqlite::{Error, ErrorCode};

/// The kind of an error of SQLite.
pub(crate) fn kind_of(error: &Error) -> ErrorKind {
    let Some(code) = error.sqlite_error() else {
        return match error {
            // rusqlite could not even send it
            Error::InvalidPath(_) | Error::NulError(_) => ErrorKind::Usage,
            _ => ErrorKind::Internal,
        };
    };
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
        ErrorCode::NotADatabase => ErrorKind::Usage,
        ErrorCode::DatabaseCorrupt => ErrorKind::Corrupt,
        ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => ErrorKind::Permission,
        ErrorCode::DiskFull => ErrorKind::NoSpace,
        // the file of shared memory beside a WAL could not be made larger
        ErrorCode::SystemIoFailure if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            ErrorKind::NoSpace
        }
        // whether a commit under way is on the disk is unknown
        ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => ErrorKind::Connection,
        ErrorCode::ConstraintViolation => match code.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => ErrorKind::UniqueViolation,
            _ => ErrorKind::RowRefused,
        },
        ErrorCode::TypeMismatch | ErrorCode::TooBig => ErrorKind::RowRefused,
        ErrorCode::SchemaChanged => ErrorKind::Conflict,
        ErrorCode::OutOfMemory => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Busy => "sqlite.busy",
        ErrorKind::Usage => "sqlite.not_a_database",
        ErrorKind::Corrupt => "sqlite.corrupt",
        ErrorKind::Permission => "sqlite.permission",
        ErrorKind::NoSpace => "sqlite.no_space",
        ErrorKind::Connection => "sqlite.io",
        ErrorKind::UniqueViolation => "sqlite.unique",
        ErrorKind::RowRefused => "sqlite.row_refused",
        _ => "sqlite.failed",
    }
}

fn fix_of(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Busy => {
            "Another process holds the write lock for long; look for a long transaction"
        }
        ErrorKind::Usage => {
            "The file is no SQLite database, or an encrypted one; name the right file"
        }
        ErrorKind::Corrupt => "Check the file with PRAGMA integrity_check and restore it",
        ErrorKind::Permission => {
            "Give this user the right to read and write the file and its directory"
        }
        ErrorKind::NoSpace => "Free space on the file's disk, or lift the quota",
        _ => return None,
    })
}

/// An error of SQLite while doing `what`, at the store `label`.
pub(crate) fn store_error(label: &str, what: &str, error: Error) -> StoreError {
    let kind = kind_of(&error);
    let mut out = StoreError::new(kind, code_of(kind), label, format!("{what}: {error}"));
    out.server_code = error
        .sqlite_error()
        .map(|code| format!("SQLITE {}", code.extended_code));
    out.fix = fix_of(kind).map(str::to_owned);
    out.cause(error)
}

/// A damaged row of crossfade's own tables, or a defect.
pub(crate) fn corrupt(label: &str, what: impl Into<String>) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, "sqlite.own_tables", label, what).fix(
        "Crossfade's own tables were changed by somebody else; abort the migration and begin again",
    )
}
