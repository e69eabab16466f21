//! What a capture remembers in the source's file.

use crossfade_model::{TableId, TableMapping};
use crossfade_store::{ErrorKind, Result, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use crate::capture::names;
use crate::conn::Place;
use crate::error::corrupt;
use crate::sql::names::quote;
use crate::table_info::{self, TableInfo};

/// A captured table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Captured {
    pub id: TableId,
    pub name: String,
    /// The statement that made it.
    pub sql: String,
    /// The logged columns.
    pub key: Vec<String>,
    /// Unique indexes whose conflicts the triggers log.
    pub unique: Vec<String>,
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
    /// This table is another: what differs. All its changes are logged.
    Table(TableId, String),
    /// This table has a unique index, or a key, that the triggers do not know: changes may be missing.
    Unlogged(String, String),
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

/// Compares tables and triggers with what they were at the start. A gap is told before a changed table.
pub(crate) fn check_shape(conn: &Connection, tables: &[Captured]) -> rusqlite::Result<Shape> {
    let mut lost = Vec::new();
    let mut changed = None;
    for captured in tables {
        let Some(now) = table_info::read(conn, &captured.name)? else {
            changed.get_or_insert((captured.id, "the table was dropped or renamed".to_owned()));
            continue;
        };
        for (name, sql) in &captured.triggers {
            if trigger_sql(conn, name)?.as_ref() != Some(sql) {
                lost.push(name.clone());
            }
        }
        if !lost.is_empty() {
            continue;
        }
        if let Some(what) = unlogged(captured, &now) {
            return Ok(Shape::Unlogged(captured.name.clone(), what));
        }
        if now.sql != captured.sql {
            changed.get_or_insert((captured.id, "its definition was changed".to_owned()));
        } else if now.unique_indexes() != captured.unique {
            changed.get_or_insert((captured.id, "a unique index was dropped".to_owned()));
        }
    }
    Ok(match changed {
        _ if !lost.is_empty() => Shape::Triggers(lost),
        Some((id, what)) => Shape::Table(id, what),
        None => Shape::Same,
    })
}

/// What the triggers do not know of.
fn unlogged(captured: &Captured, now: &TableInfo) -> Option<String> {
    if now.key_names() != captured.key {
        return Some("its key was changed".to_owned());
    }
    now.unique_indexes()
        .into_iter()
        .find(|index| !captured.unique.contains(index))
        .map(|index| {
            let name = index.lines().next().unwrap_or_default().to_owned();
            format!(
                "the unique index {name} was added: rows that REPLACE removed by it were not logged"
            )
        })
}

/// Takes present definitions for the ones to check by, where the new plan knows them and nothing of them went unlogged.
/// Returns whether anything differed.
pub(crate) fn adopt(
    conn: &Connection,
    migration: &str,
    planned: &[TableMapping],
    tables: &mut [Captured],
) -> rusqlite::Result<bool> {
    let mut differs = false;
    for captured in tables.iter_mut() {
        let Some(now) = table_info::read(conn, &captured.name)? else {
            continue;
        };
        let known = planned.iter().any(|m| {
            m.id == captured.id && m.source.definition.as_deref() == Some(now.sql.as_str())
        });
        let unique = now.unique_indexes();
        if known && (now.sql != captured.sql || unique != captured.unique) {
            differs = true;
            captured.sql = now.sql;
            captured.unique = unique;
        }
    }
    if differs {
        let json = serde_json::to_string(tables)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        conn.execute(
            &format!(
                "UPDATE {} SET tables = ?1",
                quote(&names::state_table(migration))
            ),
            [json],
        )?;
    }
    Ok(differs)
}

pub(crate) fn trigger_sql(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?1")?
        .query_row([name], |r| r.get(0))
        .optional()
        .map(Option::flatten)
}
