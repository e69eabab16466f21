//! Crossfade's own tables in a target: a row per migration, records, and what was made.

use crossfade_model::Position;
use crossfade_store::{ErrorKind, Record, RecordKey, RecordWrite, Result, StoreError, TargetState};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::capture::state::has_object;
use crate::conn::Place;

/// Run epoch and checkpoint by migration.
pub(crate) const RUN: &str = "_crossfade_run";
const RECORD: &str = "_crossfade_record";
const MADE: &str = "_crossfade_made";

/// Makes the tables where they are absent.
pub(crate) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS _crossfade_run(
            migration TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, checkpoint INTEGER) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS _crossfade_record(
            migration TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (migration, kind, id)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS _crossfade_made(
            migration TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (migration, kind, name)) WITHOUT ROWID;",
    )
}

/// What is durably held of a migration; `None` where nothing.
pub(crate) fn read(conn: &Connection, migration: &str) -> rusqlite::Result<Option<TargetState>> {
    if !has_object(conn, "table", RUN)? {
        return Ok(None);
    }
    let run = conn
        .prepare_cached("SELECT epoch, checkpoint FROM _crossfade_run WHERE migration = ?1")?
        .query_row([migration], |r| {
            Ok((r.get::<_, u64>(0)?, r.get::<_, Option<u64>>(1)?))
        })
        .optional()?;
    let Some((epoch, checkpoint)) = run else {
        return Ok(None);
    };
    let records = conn
        .prepare_cached(
            "SELECT kind, id, body FROM _crossfade_record WHERE migration = ?1 ORDER BY kind, id",
        )?
        .query_map([migration], |r| {
            Ok(Record {
                key: RecordKey {
                    kind: r.get(0)?,
                    id: r.get(1)?,
                },
                body: r.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(TargetState {
        epoch,
        checkpoint: checkpoint.map(Position),
        records,
    }))
}

/// The checkpoint alone. Reading it also fixes what the transaction at hand sees.
pub(crate) fn read_checkpoint(
    conn: &Connection,
    migration: &str,
) -> rusqlite::Result<Option<Position>> {
    if !has_object(conn, "table", RUN)? {
        return Ok(None);
    }
    let checkpoint: Option<Option<u64>> = conn
        .prepare_cached("SELECT checkpoint FROM _crossfade_run WHERE migration = ?1")?
        .query_row([migration], |r| r.get(0))
        .optional()?;
    Ok(checkpoint.flatten().map(Position))
}

/// Raises the epoch by one, from nothing to one.
pub(crate) fn raise_epoch(conn: &Connection, migration: &str) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO _crossfade_run(migration, epoch) VALUES (?1, 1)
         ON CONFLICT(migration) DO UPDATE SET epoch = epoch + 1",
        [migration],
    )
    .map(|_| ())
}

/// Whether crossfade's tables are there.
pub(crate) fn are_there(conn: &Connection) -> rusqlite::Result<bool> {
    crate::capture::state::has_object(conn, "table", "_crossfade_run")
}

/// Raises the run epoch where there is one: nobody holds it then.
pub(crate) fn end_epoch(conn: &Connection, migration: &str) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE _crossfade_run SET epoch = epoch + 1 WHERE migration = ?1",
        [migration],
    )
    .map(drop)
}

/// Fails unless `epoch` is the newest. Called under the write lock, which is the epoch's lock too.
pub(crate) fn check_epoch(
    conn: &Connection,
    place: &Place,
    migration: &str,
    epoch: u64,
) -> Result<()> {
    let failed = place.failed("cannot check the run epoch");
    let stored: Option<u64> = conn
        .prepare_cached("SELECT epoch FROM _crossfade_run WHERE migration = ?1")
        .and_then(|mut s| s.query_row([migration], |r| r.get(0)).optional())
        .map_err(failed)?;
    if stored == Some(epoch) {
        return Ok(());
    }
    Err(fenced(place, epoch, stored))
}

fn fenced(place: &Place, held: u64, stored: Option<u64>) -> StoreError {
    let now = stored.map_or_else(|| "gone".to_owned(), |e| e.to_string());
    place
        .error(
            ErrorKind::Fenced,
            "sqlite.fenced",
            format!(
                "this run holds epoch {held}, but the target's is {now}: another run took over"
            ),
        )
        .fix("Let the newer run go on")
}

/// Writes records.
pub(crate) fn write_records(
    conn: &Connection,
    migration: &str,
    writes: &[RecordWrite],
) -> rusqlite::Result<()> {
    for write in writes {
        match write {
            RecordWrite::Put(record) => conn
                .prepare_cached(
                    "INSERT INTO _crossfade_record(migration, kind, id, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT(migration, kind, id) DO UPDATE SET body = excluded.body",
                )?
                .execute(params![
                    migration,
                    record.key.kind,
                    record.key.id,
                    record.body
                ])?,
            RecordWrite::Remove(key) => conn
                .prepare_cached(
                    "DELETE FROM _crossfade_record WHERE migration = ?1 AND kind = ?2 AND id = ?3",
                )?
                .execute(params![migration, key.kind, key.id])?,
        };
    }
    Ok(())
}

/// Moves the checkpoint by compare-and-swap, never backwards.
pub(crate) fn move_checkpoint(
    conn: &Connection,
    place: &Place,
    migration: &str,
    from: Option<Position>,
    to: Position,
) -> Result<()> {
    let moved = conn
        .prepare_cached(
            "UPDATE _crossfade_run SET checkpoint = ?3
             WHERE migration = ?1 AND checkpoint IS ?2 AND (checkpoint IS NULL OR checkpoint <= ?3)",
        )
        .and_then(|mut s| s.execute(params![migration, from.map(|p| p.0), to.0]))
        .map_err(place.failed("cannot move the checkpoint"))?;
    if moved == 1 {
        return Ok(());
    }
    Err(place
        .error(
            ErrorKind::Fenced,
            "sqlite.checkpoint",
            "the target's checkpoint is not where this run left it: another run took over",
        )
        .fix("Let the newer run go on"))
}

/// Remembers that this migration made something.
pub(crate) fn remember(
    conn: &Connection,
    migration: &str,
    kind: &str,
    name: &str,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO _crossfade_made(migration, kind, name) VALUES (?1, ?2, ?3)",
    )?
    .execute([migration, kind, name])
    .map(|_| ())
}

/// Forgets that.
pub(crate) fn forget_one(
    conn: &Connection,
    migration: &str,
    kind: &str,
    name: &str,
) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM _crossfade_made WHERE migration = ?1 AND kind = ?2 AND name = ?3",
        [migration, kind, name],
    )
    .map(|_| ())
}

/// What this migration made: kind and name.
pub(crate) fn made(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<(String, String)>> {
    if !has_object(conn, "table", MADE)? {
        return Ok(Vec::new());
    }
    conn.prepare_cached(
        "SELECT kind, name FROM _crossfade_made WHERE migration = ?1 ORDER BY kind, name",
    )?
    .query_map([migration], |r| Ok((r.get(0)?, r.get(1)?)))?
    .collect()
}

/// Forgets the migration, and drops the tables with the last one. Returns the dropped ones.
pub(crate) fn forget(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<&'static str>> {
    let mut dropped = Vec::new();
    for table in [MADE, RECORD, RUN] {
        if !has_object(conn, "table", table)? {
            continue;
        }
        conn.execute(
            &format!("DELETE FROM {table} WHERE migration = ?1"),
            [migration],
        )?;
        let used = conn
            .prepare(&format!("SELECT 1 FROM {table}"))?
            .exists([])?;
        if !used {
            conn.execute_batch(&format!("DROP TABLE {table}"))?;
            dropped.push(table);
        }
    }
    Ok(dropped)
}
