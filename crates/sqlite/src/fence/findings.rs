//! What speaks against fencing tables of a file, and what the fence cannot stop.

use crossfade_model::{Finding, Severity, Table, TableId};
use rusqlite::{Connection, Result};

use crate::findings::{capturable, journal_mode};
use crate::table_info;

/// What is so of every file.
pub(crate) fn limits(side: &str) -> Vec<Finding> {
    vec![
        Finding::new(
            "sqlite.fence_limits",
            Severity::Note,
            side,
            "the fence cannot stop DROP and ALTER, a file that is put in the place of this one, writes to a blob by its handle, and connections that run no triggers",
        )
        .fix("Keep such connections away during the switch; dropped triggers, altered tables and a replaced file are told"),
        Finding::new(
            "sqlite.busy_timeout",
            Severity::Note,
            side,
            "while the fence is fired, writers wait for SQLite's lock only as long as their own busy timeout; without one they see SQLITE_BUSY",
        )
        .fix("Set a busy timeout above the switch's budget in the application"),
        Finding::new(
            "sqlite.blockers_stay",
            Severity::Note,
            side,
            "a long transaction can be waited for, not ended: SQLite has nobody who could end it but its process",
        ),
    ]
}

/// What is so of this file and these tables. The other store's writes are captured from them after the switch.
pub(crate) fn of_file(
    conn: &Connection,
    side: &str,
    migration: &str,
    tables: &[Table],
) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    out.extend(journal_mode(conn, side)?);
    for table in tables {
        // a target's tables may not be there yet
        if let Some(info) = table_info::read(conn, &table.name.name)? {
            capturable(&info, side, migration, TableId(0), &mut out);
        }
    }
    Ok(out)
}
