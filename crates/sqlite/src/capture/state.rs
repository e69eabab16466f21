//! What a capture remembers in the source's file.

use crossfade_model::TableId;
use crossfade_store::{ErrorKind, Result, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use crate::capture::names;
use crate::conn::Place;
use crate::error::corrupt;
use crate::sql::names::quote;
use crate::table_info;

/// A captured table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Captured {
    pub id: TableId,
    pub name: String,
    /// [`table_info::TableInfo::fingerprint`] at the start.
    pub fingerprint: String,
    /// Names and statements, as SQLite keeps them.
    pub triggers: Vec<(String, String)>,
}

/// The state row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The first position.
    pub start: u64,
    /// Changes up to here may have been removed.
    pub trimmed: u64,
    pub tables: Vec<Captured>,
}

/// What became of the captured tables and triggers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Same,
    /// This table is another: what differs.
    Table(TableId, String),
    /// These triggers are not as they were made.
    Triggers(Vec<String>),
}

/// Whether a table or trigger of this name is in the file.
pub(crate) fn has_object(conn: &Connection, kind: &str, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM sqlite_master WHERE type = ?1 AND name = ?2 COLLATE NOCASE")?
        .exists([kind, name])
}

/// The error for a capture that is no longer there.
pub(crate) fn log_lost(place: &Place, what: impl Into<String>) -> StoreError {
    place
        .error(ErrorKind::LogLost, "sqlite.log_lost", what)
        .fix("Changes may be missing from here on: abort the migration and begin it again")
}

/// Reads the state row; an error where there is none.
pub(crate) fn read(conn: &Connection, place: &Place, migration: &str) -> Result<State> {
    let table = names::state_table(migration);
    let failed = place.failed("cannot read the capture's state");
    let change = names::change_table(migration);
    for name in [&table, &change] {
        if !has_object(conn, "table", name).map_err(&failed)? {
            return Err(log_lost(
                place,
                format!("the capture's table {name} is gone"),
            ));
        }
    }
    let row = conn
        .query_row(
            &format!(
                "SELECT migration, start, trimmed, tables FROM {}",
                quote(&table)
            ),
            [],
            |r| {
                Ok((
                    r.get::<_, String>(0)?,
                    r.get::<_, u64>(1)?,
                    r.get::<_, u64>(2)?,
                    r.get::<_, String>(3)?,
                ))
            },
        )
        .optional()
        .map_err(&failed)?;
    let Some((owner, start, trimmed, tables)) = row else {
        return Err(log_lost(place, "the capture's state row is gone"));
    };
    if owner != migration {
        return Err(corrupt(
            &place.label,
            format!("the capture belongs to migration {owner}"),
        ));
    }
    let tables = serde_json::from_str(&tables)
        .map_err(|e| corrupt(&place.label, format!("the capture's state is damaged: {e}")))?;
    Ok(State {
        start,
        trimmed,
        tables,
    })
}

/// The newest logged sequence. The newest row is never removed, so this does not rest on `sqlite_sequence`, which
/// applications are known to empty.
pub(crate) fn last_sequence(conn: &Connection, migration: &str) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached(&format!(
        "SELECT max(seq) FROM {}",
        quote(&names::change_table(migration))
    ))?
    .query_row([], |r| r.get(0))
}

/// Compares tables and triggers with what they were at the start.
pub(crate) fn check_shape(conn: &Connection, tables: &[Captured]) -> rusqlite::Result<Shape> {
    let mut lost = Vec::new();
    for captured in tables {
        let Some(now) = table_info::read(conn, &captured.name)? else {
            return Ok(Shape::Table(
                captured.id,
                "the table was dropped or renamed".to_owned(),
            ));
        };
        for (name, sql) in &captured.triggers {
            if trigger_sql(conn, name)?.as_ref() != Some(sql) {
                lost.push(name.clone());
            }
        }
        if lost.is_empty() && now.fingerprint() != captured.fingerprint {
            return Ok(Shape::Table(
                captured.id,
                "its definition or one of its unique indexes was changed".to_owned(),
            ));
        }
    }
    Ok(if lost.is_empty() {
        Shape::Same
    } else {
        Shape::Triggers(lost)
    })
}

pub(crate) fn trigger_sql(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?1")?
        .query_row([name], |r| r.get(0))
        .optional()
        .map(Option::flatten)
}
