//! The tables of the control store, its format's number, and steps from older formats.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};

use super::{Trouble, failed};
use crate::ControlError;

/// SQLite's `application_id` of a control store: "xfdC".
const APPLICATION: i64 = 0x7866_6443;

/// `STEPS[n]` takes a store from format n to n + 1. A step that has shipped is never changed.
const STEPS: &[&str] = &[
    "
    CREATE TABLE migration (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        name TEXT NOT NULL,
        phase TEXT NOT NULL DEFAULT 'planned',
        paused INTEGER NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        progress_at INTEGER,
        progress TEXT,
        report TEXT
    ) STRICT;
    CREATE TABLE intent (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        recorded INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL,
        outcome TEXT
    ) STRICT;
    CREATE TABLE command (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        command TEXT NOT NULL,
        posted INTEGER NOT NULL,
        state TEXT NOT NULL,
        outcome TEXT
    ) STRICT;
",
    "
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        table_name TEXT NOT NULL,
        key_digest TEXT NOT NULL,
        key_text TEXT NOT NULL,
        key_cells TEXT NOT NULL,
        key_side TEXT NOT NULL,
        kind TEXT NOT NULL,
        columns TEXT NOT NULL,
        cause TEXT NOT NULL,
        why TEXT NOT NULL,
        position TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        times_seen INTEGER NOT NULL,
        state TEXT NOT NULL,
        verdict TEXT,
        classified_by TEXT,
        reason TEXT,
        classified_at INTEGER,
        classified_as TEXT,
        resolved_at INTEGER,
        resolved_position TEXT,
        UNIQUE (table_name, key_digest)
    ) STRICT;
    CREATE INDEX quarantine_by_state ON quarantine (state, id);
    CREATE TABLE quarantine_rest (
        table_name TEXT PRIMARY KEY,
        not_kept INTEGER NOT NULL,
        unlisted INTEGER NOT NULL
    ) STRICT;
",
    // AUTOINCREMENT: sqlite_sequence then knows the highest number that ever was. REPLACE removes rows without asking the trigger on
    // DELETE, hence the one on INSERT
    "
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        record TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_appended_to BEFORE INSERT ON audit
    WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM audit)
        OR NEW.previous IS NOT coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1),
            '0000000000000000000000000000000000000000000000000000000000000000')
    BEGIN SELECT RAISE(ABORT, 'the audit log is appended to only'); END;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is appended to only'); END;
    CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is appended to only'); END;
",
];

/// Checks the file's format, brings an older one up to date, and checks whose it is. A file that is not ours is not touched.
pub(super) fn prepare(
    connection: &mut Connection,
    label: &str,
    migration: &str,
) -> Result<(), ControlError> {
    let setup = |e| failed(label, "it cannot be set up", e);
    {
        // all of it at one moment: another process may be making the store at this very time
        let moment = connection.transaction().map_err(setup)?;
        format(&moment, label)?;
    }
    write_ahead(connection).map_err(setup)?;
    // FULL: what was recorded is durable when the call returns, also through a power cut
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(setup)?;
    // what is forgotten (rows' values in a command's result) is overwritten, not only unlinked
    connection
        .pragma_update(None, "secure_delete", "on")
        .map_err(setup)?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(setup)?;
    // read again: another process may have brought it up to date meanwhile
    let at = format(&transaction, label)?;
    for (number, step) in STEPS.iter().enumerate().skip(at) {
        let next = i64::try_from(number + 1).unwrap_or(i64::MAX);
        transaction
            .execute_batch(step)
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION))
            .and_then(|()| transaction.pragma_update(None, "user_version", next))
            .map_err(|e| failed(label, "it cannot be brought up to date", e))?;
    }
    let name = owner(&transaction, migration).map_err(|e| e.at(label))?;
    if name != migration {
        return Err(ControlError::WrongMigration {
            store: label.to_owned(),
            found: name,
            expected: migration.to_owned(),
        });
    }
    transaction.commit().map_err(setup)
}

/// Turns to a write-ahead log. Where another connection is at it, SQLite does not wait, whatever its busy timeout is (SQLite
/// documentation, "Write-Ahead Logging", section 9): this does.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < super::BUSY =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            turned => return turned,
        }
    }
}

/// The file's format; 0 for an empty file.
fn format(connection: &Connection, label: &str) -> Result<usize, ControlError> {
    let unreadable = |e| failed(label, "it cannot be read", e);
    let read = |name: &str| {
        connection
            .pragma_query_value(None, name, |r| r.get::<_, i64>(0))
            .map_err(unreadable)
    };
    let application = read("application_id")?;
    let format = read("user_version")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .map_err(unreadable)?;
    let is_new = application == 0 && format == 0 && tables == 0;
    if !is_new && application != APPLICATION {
        return Err(ControlError::NotControl {
            store: label.to_owned(),
            what: "it is a SQLite database of something else".to_owned(),
        });
    }
    match usize::try_from(format) {
        Ok(at) if at <= STEPS.len() => Ok(at),
        _ => Err(ControlError::Newer {
            store: label.to_owned(),
            found: format,
            known: i64::try_from(STEPS.len()).unwrap_or(i64::MAX),
        }),
    }
}

fn owner(t: &Transaction<'_>, migration: &str) -> Result<String, Trouble> {
    let name = t
        .query_row("SELECT name FROM migration", [], |r| r.get::<_, String>(0))
        .optional()?;
    match name {
        Some(name) => Ok(name),
        None => {
            t.execute(
                "INSERT INTO migration (one, name) VALUES (1, ?1)",
                [migration],
            )?;
            Ok(migration.to_owned())
        }
    }
}
