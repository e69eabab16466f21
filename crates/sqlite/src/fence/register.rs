//! The register of a migration in this file, and what the fence's triggers read: one row, one value.

use crossfade_model::{Beginning, Mode, Register, Snapshot, reverse_lane};
use crossfade_process::Process;
use crossfade_store::{ErrorKind, Result, Standing};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::capture::{self, names, state};
use crate::conn::Place;
use crate::error::corrupt;
use crate::own_tables;

/// A row a migration: mode, epoch, where the file's own changes begin, and who fired last.
pub(crate) const REGISTER: &str = "_crossfade_register";
/// A row a fenced table.
pub(crate) const FENCED: &str = "_crossfade_fenced";

/// The migration that a lane belongs to: its register and triggers are named by it. See [`reverse_lane`].
pub(crate) fn migration_of(lane: &str) -> &str {
    lane.strip_suffix("-back").unwrap_or(lane)
}

/// Makes the tables where they are absent.
fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS _crossfade_register(
            migration TEXT NOT NULL PRIMARY KEY, mode TEXT NOT NULL, epoch INTEGER NOT NULL, beginning TEXT, holder TEXT)
            WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS _crossfade_fenced(
            migration TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (migration, name)) WITHOUT ROWID;",
    )
}

/// Makes the register where there is none.
pub(crate) fn make(
    conn: &Connection,
    place: &Place,
    migration: &str,
    first: Register,
) -> Result<()> {
    let failed = place.failed("cannot make the register");
    create(conn).map_err(&failed)?;
    // who the file is must not change when it is captured later on
    capture::create_identity(conn).map_err(&failed)?;
    let other: Option<String> = conn
        .query_row(
            "SELECT migration FROM _crossfade_register WHERE migration = ?1 COLLATE NOCASE AND migration <> ?1",
            [migration],
            |r| r.get(0),
        )
        .optional()
        .map_err(&failed)?;
    if let Some(other) = other {
        // names of triggers are one whatever their case
        return Err(place
            .error(
                ErrorKind::Unsupported,
                "sqlite.migration_name",
                format!("migration {other} has the same name but for upper and lower case"),
            )
            .fix("Give one of the migrations another name"));
    }
    conn.execute(
        "INSERT OR IGNORE INTO _crossfade_register(migration, mode, epoch) VALUES (?1, ?2, ?3)",
        params![migration, first.mode.word(), first.epoch],
    )
    .map_err(&failed)?;
    Ok(())
}

/// The mode alone; `None` where there is no register.
pub(crate) fn mode(conn: &Connection, migration: &str) -> rusqlite::Result<Option<String>> {
    if !state::has_object(conn, "table", REGISTER)? {
        return Ok(None);
    }
    conn.prepare_cached("SELECT mode FROM _crossfade_register WHERE migration = ?1")?
        .query_row([migration], |r| r.get(0))
        .optional()
}

/// Whether a mode's word says that the application writes here.
pub(crate) fn is_open(mode: &str) -> bool {
    mode == Mode::Open.word()
}

/// Reads register and beginning; `None` where none was made.
pub(crate) fn read(conn: &Connection, place: &Place, migration: &str) -> Result<Option<Standing>> {
    let failed = place.failed("cannot read the register");
    if !state::has_object(conn, "table", REGISTER).map_err(&failed)? {
        return Ok(None);
    }
    let row: Option<(String, u64, Option<String>)> = conn
        .prepare_cached(
            "SELECT mode, epoch, beginning FROM _crossfade_register WHERE migration = ?1",
        )
        .and_then(|mut s| {
            s.query_row([migration], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .optional()
        })
        .map_err(&failed)?;
    let Some((word, epoch, beginning)) = row else {
        return Ok(None);
    };
    let mode: Mode = word
        .parse()
        .map_err(|()| corrupt(&place.label, "the register holds no known mode"))?;
    let beginning: Option<Beginning> = beginning
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|e| {
            corrupt(
                &place.label,
                format!("the register's beginning is damaged: {e}"),
            )
        })?;
    Ok(Some(Standing {
        register: Register::new(mode, epoch),
        beginning,
    }))
}

/// Reads the register; an error where there is none.
pub(crate) fn expect(conn: &Connection, place: &Place, migration: &str) -> Result<Standing> {
    read(conn, place, migration)?.ok_or_else(|| {
        place
            .error(
                ErrorKind::Missing,
                "sqlite.no_register",
                format!("the file has no register of migration {migration}"),
            )
            .fix("Let the migration begin; where it had begun, the file was restored from an older copy")
    })
}

/// Changes the register by compare-and-swap; its epoch only rises.
pub(crate) fn swap(
    conn: &Connection,
    place: &Place,
    migration: &str,
    from: Register,
    to: Register,
) -> Result<()> {
    let now = expect(conn, place, migration)?.register;
    if now == from && to.epoch >= from.epoch {
        conn.execute(
            "UPDATE _crossfade_register SET mode = ?2, epoch = ?3 WHERE migration = ?1",
            params![migration, to.mode.word(), to.epoch],
        )
        .map_err(place.failed("cannot change the register"))?;
        if to.mode == Mode::Open
            && state::has_object(conn, "table", own_tables::RUN)
                .map_err(place.failed("cannot change the register"))?
        {
            // from the opening on nobody applies to this store by a right that was taken before
            conn.execute(
                "UPDATE _crossfade_run SET epoch = epoch + 1 WHERE migration IN (?1, ?2)",
                params![migration, reverse_lane(migration)],
            )
            .map_err(place.failed("cannot end the right to write"))?;
        }
        return Ok(());
    }
    Err(place
        .error(
            ErrorKind::Conflict,
            "sqlite.register",
            format!("the register says {now}; it cannot go from {from} to {to}"),
        )
        .fix("Another process changed it; run `crossfade status` and begin again from there"))
}

/// The lane whose changes this file logs: the migration's own where the file is its source, the one back where it is its target.
pub(crate) fn lane_here(conn: &Connection, place: &Place, migration: &str) -> Result<String> {
    let failed = place.failed("cannot look for the capture");
    let back = reverse_lane(migration);
    let there =
        |lane: &str| state::has_object(conn, "table", &names::state_table(lane)).map_err(&failed);
    match (there(migration)?, there(&back)?) {
        (true, false) => Ok(migration.to_owned()),
        (false, true) => Ok(back),
        // the file would be source and target of migrations of one name: whose changes these are is not known
        (true, true) => Err(place
            .error(
                ErrorKind::Unsupported,
                "sqlite.two_captures",
                format!("the file has captures of both lanes of migration {migration}"),
            )
            .fix("Remove the one that another migration of this name has left")),
        (false, false) => Err(state::log_lost(
            place,
            format!("the file has no capture of migration {migration}"),
        )),
    }
}

/// The newest logged change of a lane.
pub(crate) fn log_end(conn: &Connection, place: &Place, lane: &str) -> Result<u64> {
    // also that the capture is this migration's
    state::read(conn, place, lane)?;
    state::last_sequence(conn, lane)
        .map_err(place.failed("cannot read the change table's end"))?
        .ok_or_else(|| state::log_lost(place, "the change table was emptied"))
}

/// Notes where the file's own changes begin. What our appliers write is not logged: it lies before the log's end, whenever it was.
pub(crate) fn note_beginning(
    conn: &Connection,
    place: &Place,
    migration: &str,
    epoch: u64,
) -> Result<Beginning> {
    let standing = expect(conn, place, migration)?;
    let now = standing.register;
    let noted = standing.beginning.as_ref().map(|b| b.epoch);
    // a process that comes late must not move the beginning of a tenure that lives, open or under a held fence
    let held = now.mode == Mode::Fenced && now.epoch > 0;
    if now.mode == Mode::Open || held || epoch <= now.epoch || noted > Some(epoch) {
        return Err(place.error(
            ErrorKind::Conflict,
            "sqlite.register",
            format!("the register says {now}: its changes have begun already, or a later switch is at work"),
        ));
    }
    let end = log_end(conn, place, &lane_here(conn, place, migration)?)?;
    let beginning = Beginning {
        epoch,
        position: crossfade_model::Position(end),
        snapshot: Snapshot::Sequence(end),
        log: None,
    };
    let json = serde_json::to_string(&beginning).map_err(|e| {
        place.error(
            ErrorKind::Internal,
            "sqlite.state",
            format!("the beginning could not be written: {e}"),
        )
    })?;
    conn.execute(
        "UPDATE _crossfade_register SET beginning = ?2 WHERE migration = ?1",
        [migration, &json],
    )
    .map_err(place.failed("cannot note the beginning"))?;
    Ok(beginning)
}

/// Who fired last.
pub(crate) fn holder(conn: &Connection, migration: &str) -> rusqlite::Result<Option<Process>> {
    if !state::has_object(conn, "table", REGISTER)? {
        return Ok(None);
    }
    let json: Option<String> = conn
        .query_row(
            "SELECT holder FROM _crossfade_register WHERE migration = ?1",
            [migration],
            |r| r.get(0),
        )
        .optional()?
        .flatten();
    // of a form that this version does not know: nobody that it could end
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Writes down who is about to fire.
pub(crate) fn set_holder(
    conn: &Connection,
    migration: &str,
    process: &Process,
) -> rusqlite::Result<()> {
    let json = serde_json::to_string(process)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    conn.execute(
        "UPDATE _crossfade_register SET holder = ?2 WHERE migration = ?1",
        [migration, &json],
    )
    .map(|_| ())
}

/// Remembers a fenced table.
pub(crate) fn remember(conn: &Connection, migration: &str, table: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO _crossfade_fenced(migration, name) VALUES (?1, ?2)")?
        .execute([migration, table])
        .map(|_| ())
}

/// Forgets it.
pub(crate) fn forget(conn: &Connection, migration: &str, table: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM _crossfade_fenced WHERE migration = ?1 AND name = ?2")?
        .execute([migration, table])
        .map(|_| ())
}

/// The tables that were fenced.
pub(crate) fn fenced(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<String>> {
    if !state::has_object(conn, "table", FENCED)? {
        return Ok(Vec::new());
    }
    conn.prepare_cached("SELECT name FROM _crossfade_fenced WHERE migration = ?1 ORDER BY name")?
        .query_map([migration], |r| r.get(0))?
        .collect()
}

/// Removes the migration's rows, and the tables with the last one. Returns what is gone.
pub(crate) fn remove(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<&'static str>> {
    let mut gone = Vec::new();
    for table in [FENCED, REGISTER] {
        if !state::has_object(conn, "table", table)? {
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
            gone.push(table);
        }
    }
    capture::drop_identity(conn)?;
    Ok(gone)
}
