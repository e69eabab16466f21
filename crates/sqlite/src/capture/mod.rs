//! Capture on a source: a change table, triggers that log keys into it, and a state row to check them by.

pub(crate) mod check;
pub(crate) mod names;
pub(crate) mod state;
pub(crate) mod triggers;
pub(crate) mod trim;

use std::time::{SystemTime, UNIX_EPOCH};

use crossfade_model::{Position, Snapshot, TableMapping};
use crossfade_store::{CaptureSpec, CaptureStart, ErrorKind, Made, Result, StoreError};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::conn::Place;
use crate::fence::register::REGISTER;
use crate::sql::names::quote;
use crate::table_info::{self, TableInfo};
use state::{Captured, has_object};
use triggers::Uncapturable;

/// Makes the capture in one transaction: from its commit on every change of the tables is logged.
pub(crate) fn create(
    conn: &mut Connection,
    place: &Place,
    spec: &CaptureSpec,
) -> Result<CaptureStart> {
    let failed = place.failed("cannot make the capture");
    let transaction = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    refuse_other_owner(&transaction, place, &spec.migration)?;
    drop_all(&transaction, &spec.migration).map_err(&failed)?;
    let tables = tables_of(&transaction, place, spec)?;
    let start = first_sequence();
    create_tables(&transaction, &spec.migration, &tables, start).map_err(&failed)?;
    let mut captured = Vec::with_capacity(tables.len());
    for (mapping, info) in &tables {
        captured.push(create_triggers(
            &transaction,
            place,
            &spec.migration,
            mapping,
            info,
        )?);
    }
    let json = serde_json::to_string(&captured).map_err(|e| {
        place.error(
            ErrorKind::Internal,
            "sqlite.state",
            format!("the capture's state could not be written: {e}"),
        )
    })?;
    transaction
        .execute(
            &format!(
                "INSERT INTO {}(one, migration, start, trimmed, tables) VALUES (1, ?1, ?2, ?2 - 1, ?3)",
                quote(&names::state_table(&spec.migration))
            ),
            rusqlite::params![spec.migration, start, json],
        )
        .map_err(&failed)?;
    transaction.commit().map_err(&failed)?;
    Ok(CaptureStart {
        position: Position(start),
        base: Snapshot::Sequence(start),
        made: made(conn, &spec.migration).map_err(&failed)?,
    })
}

/// Sequences begin at the time in microseconds, so that a capture that was made again lies after every checkpoint of the one
/// before it, and a stale checkpoint is noticed.
fn first_sequence() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |d| u64::try_from(d.as_micros()).unwrap_or(1))
}

/// Names of SQLite's objects are one whatever their case; names of migrations are not.
fn refuse_other_owner(conn: &Connection, place: &Place, migration: &str) -> Result<()> {
    let table = names::state_table(migration);
    let failed = place.failed("cannot read the capture's state");
    if !has_object(conn, "table", &table).map_err(&failed)? {
        return Ok(());
    }
    let owner: Option<String> = conn
        .query_row(
            &format!("SELECT migration FROM {}", quote(&table)),
            [],
            |r| r.get(0),
        )
        .optional()
        .map_err(&failed)?;
    match owner {
        Some(owner) if owner != migration => Err(place
            .error(
                ErrorKind::Unsupported,
                "sqlite.migration_name",
                format!("migration {owner} has the same name but for upper and lower case"),
            )
            .fix("Give one of the migrations another name")),
        _ => Ok(()),
    }
}

fn tables_of<'a>(
    conn: &Connection,
    place: &Place,
    spec: &'a CaptureSpec,
) -> Result<Vec<(&'a TableMapping, TableInfo)>> {
    let failed = place.failed("cannot read the table's definition");
    spec.tables
        .iter()
        .map(|mapping| {
            let name = &mapping.source.name;
            let info = table_info::read(conn, &name.name)
                .map_err(&failed)?
                .ok_or_else(|| {
                    place
                        .error(ErrorKind::Missing, "sqlite.table", "there is no such table")
                        .table(name)
                })?;
            Ok((mapping, info))
        })
        .collect()
}

fn create_tables(
    conn: &Connection,
    migration: &str,
    tables: &[(&TableMapping, TableInfo)],
    start: u64,
) -> rusqlite::Result<()> {
    let width = tables
        .iter()
        .filter_map(|(_, info)| info.key().map(|k| k.columns.len()))
        .max()
        .unwrap_or(1);
    // columns without a type: values are kept as they are
    let columns: Vec<String> = (1..=width).map(|n| format!("k{n}")).collect();
    let change = quote(&names::change_table(migration));
    conn.execute_batch(&format!(
        "CREATE TABLE {change}(seq INTEGER PRIMARY KEY AUTOINCREMENT, tbl INTEGER NOT NULL, {});
         CREATE TABLE {}(one INTEGER PRIMARY KEY CHECK (one = 1), migration TEXT NOT NULL, start INTEGER NOT NULL,
            trimmed INTEGER NOT NULL, tables TEXT NOT NULL);",
        columns.join(", "),
        quote(&names::state_table(migration)),
    ))?;
    create_identity(conn)?;
    // table -1: no table's. It is the first position, and stands for "nothing yet"
    conn.execute(
        &format!("INSERT INTO {change}(seq, tbl) VALUES (?1, -1)"),
        [start],
    )?;
    Ok(())
}

fn create_triggers(
    conn: &Connection,
    place: &Place,
    migration: &str,
    mapping: &TableMapping,
    info: &TableInfo,
) -> Result<Captured> {
    let key = info.key().ok_or_else(|| {
        place
            .error(
                ErrorKind::Unsupported,
                "sqlite.no_key",
                "the table has no key that can be logged",
            )
            .table(&info.name)
    })?;
    let made = triggers::triggers(migration, mapping.id, info, &key)
        .map_err(|e| uncapturable(place, &info.name, &e))?;
    let failed = place.failed("cannot make the capture's triggers");
    let mut kept = Vec::with_capacity(made.len());
    for (name, sql) in made {
        conn.execute_batch(&sql)
            .map_err(|e| failed(e).table(&info.name))?;
        let stored = state::trigger_sql(conn, &name)
            .map_err(&failed)?
            .unwrap_or_default();
        kept.push((name, stored));
    }
    Ok(Captured {
        id: mapping.id,
        name: info.name.clone(),
        sql: info.sql.clone(),
        key: info.key_names(),
        unique: info.unique_indexes(),
        triggers: kept,
    })
}

fn uncapturable(place: &Place, table: &str, why: &Uncapturable) -> StoreError {
    let what = match why {
        Uncapturable::Expression(index) => {
            format!(
                "the unique index {index} is on an expression: what REPLACE removes by it cannot be logged"
            )
        }
        Uncapturable::Default(index, column) => format!(
            "column {column} of the unique index {index} has a default that is no constant: what REPLACE removes by it cannot be logged"
        ),
    };
    place
        .error(ErrorKind::Unsupported, "sqlite.uncapturable", what)
        .table(table)
}

/// What this migration has made, as found now.
pub(crate) fn made(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<Made>> {
    let mut out = Vec::new();
    for name in trigger_names(conn, migration)? {
        out.push(Made {
            kind: "trigger".to_owned(),
            detail: String::new(),
            name,
        });
    }
    let change = names::change_table(migration);
    if has_object(conn, "table", &change)? {
        let rows: u64 = conn.query_row(
            &format!(
                "SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM {}",
                quote(&change)
            ),
            [],
            |r| r.get(0),
        )?;
        out.push(Made {
            kind: "table".to_owned(),
            name: change,
            detail: format!("about {rows} logged changes"),
        });
    }
    let state = names::state_table(migration);
    if has_object(conn, "table", &state)? {
        out.push(Made {
            kind: "table".to_owned(),
            name: state,
            detail: String::new(),
        });
    }
    Ok(out)
}

fn trigger_names(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<String>> {
    let all: Vec<String> = conn
        .prepare_cached("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")?
        .query_map([], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(all
        .into_iter()
        .filter(|name| names::is_trigger_of(migration, name))
        .collect())
}

fn drop_all(conn: &Connection, migration: &str) -> rusqlite::Result<()> {
    for name in trigger_names(conn, migration)? {
        conn.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
    }
    for name in [
        names::change_table(migration),
        names::state_table(migration),
    ] {
        conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", quote(&name)))?;
    }
    Ok(())
}

/// Removes everything of this migration, and the file's identity with the last of all.
pub(crate) fn remove(conn: &mut Connection, place: &Place, migration: &str) -> Result<Vec<Made>> {
    let failed = place.failed("cannot remove the capture");
    let transaction = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    refuse_other_owner(&transaction, place, migration)?;
    let gone = made(&transaction, migration).map_err(&failed)?;
    drop_all(&transaction, migration).map_err(&failed)?;
    drop_identity(&transaction).map_err(&failed)?;
    transaction.commit().map_err(&failed)?;
    Ok(gone)
}

/// Gives the file an identifier where it has none.
pub(crate) fn create_identity(conn: &Connection) -> rusqlite::Result<()> {
    let table = quote(names::IDENTITY_TABLE);
    conn.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table}(one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)"
    ))?;
    conn.execute(
        &format!("INSERT OR IGNORE INTO {table}(one, id) VALUES (1, ?1)"),
        [format!("{:032x}", rand::random::<u128>())],
    )
    .map(|_| ())
}

/// Takes it away with the last capture or register.
pub(crate) fn drop_identity(conn: &Connection) -> rusqlite::Result<()> {
    let used = conn
        .prepare(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name GLOB '_crossfade_*_change'",
        )?
        .exists([])?
        || has_object(conn, "table", REGISTER)?;
    if used {
        return Ok(());
    }
    conn.execute_batch(&format!(
        "DROP TABLE IF EXISTS {}",
        quote(names::IDENTITY_TABLE)
    ))
}

/// Who the file is: an identifier of its own once a capture or a register is there, before that its path.
pub(crate) fn identity(conn: &Connection, place: &Place) -> rusqlite::Result<String> {
    if has_object(conn, "table", names::IDENTITY_TABLE)? {
        let id: Option<String> = conn
            .query_row(
                &format!("SELECT id FROM {}", quote(names::IDENTITY_TABLE)),
                [],
                |r| r.get(0),
            )
            .optional()?;
        if let Some(id) = id {
            return Ok(format!("file {id}"));
        }
    }
    Ok(format!("path {}", place.path.display()))
}
