//! Making and completing target tables.

use crossfade_model::{Index, Omission, Sequence, TableMapping, reverse_lane};
use crossfade_store::{ErrorKind, HeldSequence, Made, Result, SequenceState};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::conn::Place;
use crate::fence::register::{self, migration_of};
use crate::fence::triggers;
use crate::sql::names::{quote, same_name};
use crate::table_info::{self, TableInfo};
use crate::table_plan::find_key;
use crate::tenure::lock_path;
use crate::writer::Holder;
use crate::{design, guard, own_tables};

/// Kinds of what a migration makes.
const TABLE: &str = "table";
const GUARD: &str = "guard";
const RAISING: &str = "cannot raise a sequence";
/// No thing: a table whose guards somebody had taken off when they were made anew.
const LOST: &str = "lost guard";

/// The statements that make the tables and close them to others.
pub(crate) fn create_statements(tables: &[TableMapping]) -> Vec<String> {
    let mut out = Vec::new();
    for mapping in tables {
        out.push(create_table(mapping));
        out.extend(design::key_index(&mapping.target));
        out.extend(guard::statements(&mapping.target.name.name));
    }
    out
}

fn create_table(mapping: &TableMapping) -> String {
    mapping
        .target
        .definition
        .clone()
        .unwrap_or_else(|| design::create_table(&mapping.target))
}

/// Work in one transaction under the write lock, and under this store's epoch where it has one.
fn write<T>(
    conn: &mut Connection,
    place: &Place,
    holder: Option<&Holder>,
    what: &str,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let failed = place.failed(what);
    let transaction = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    if let Some(holder) = holder {
        own_tables::check_epoch(&transaction, place, &holder.migration, holder.epoch)?;
    }
    let out = work(&transaction)?;
    transaction.commit().map_err(&failed)?;
    Ok(out)
}

/// Makes absent tables and closes all of them to others.
pub(crate) fn create_tables(
    conn: &mut Connection,
    place: &Place,
    holder: Option<&Holder>,
    tables: &[TableMapping],
) -> Result<()> {
    let what = "cannot make the table";
    write(conn, place, holder, what, |conn| {
        own_tables::create(conn).map_err(place.failed(what))?;
        for mapping in tables {
            create_one(conn, holder, mapping)
                .map_err(|e| place.failed(what)(e).table(&mapping.target.name))?;
        }
        Ok(())
    })
}

fn create_one(
    conn: &Connection,
    holder: Option<&Holder>,
    mapping: &TableMapping,
) -> rusqlite::Result<()> {
    let name = &mapping.target.name.name;
    let migration = holder.map_or("", |h| h.migration.as_str());
    if table_info::read(conn, name)?.is_none() {
        conn.execute_batch(&create_table(mapping))?;
        if let Some(index) = design::key_index(&mapping.target) {
            conn.execute_batch(&index)?;
        }
        own_tables::remember(conn, migration, TABLE, name)?;
    }
    if opened(conn, migration)?.contains(name) {
        own_tables::remember(conn, migration, LOST, name)?;
    }
    close(conn, migration, name)
}

/// Closes a table to others: by the fence where the file has a register of the migration that says so, by guards where it has none. Where
/// the register says open, the application writes there rightly.
fn close(conn: &Connection, lane: &str, table: &str) -> rusqlite::Result<()> {
    let migration = migration_of(lane);
    match register::mode(conn, migration)? {
        Some(mode) if register::is_open(&mode) => return Ok(()),
        Some(_) => {
            triggers::arm(conn, migration, table)?;
        }
        // the migration's source: nothing but its register may close it
        None if migration != lane => return Ok(()),
        None => guard::close(conn, table)?,
    }
    own_tables::remember(conn, lane, GUARD, table)
}

/// The tables that were closed and to which others can write now, since somebody has taken off the guards, or the fence.
pub(crate) fn opened(conn: &Connection, lane: &str) -> rusqlite::Result<Vec<String>> {
    let migration = migration_of(lane);
    let mode = register::mode(conn, migration)?;
    if mode.as_deref().is_some_and(register::is_open) {
        return Ok(Vec::new());
    }
    let made = own_tables::made(conn, lane)?.into_iter();
    let mut closed: Vec<String> = made
        .filter(|(kind, _)| kind == GUARD)
        .map(|(_, name)| name)
        .collect();
    closed.extend(register::fenced(conn, migration)?);
    closed.sort();
    closed.dedup();
    let mut out = Vec::new();
    for name in closed {
        // without a register the fence's triggers refuse everything
        if !guard::is_closed(conn, &name)? && !triggers::is_armed(conn, migration, &name)? {
            out.push(name);
        }
    }
    Ok(out)
}

/// Before a table is closed anew: whether it was open for a while, for the lanes that write here to tell.
pub(crate) fn note_opened(conn: &Connection, migration: &str, table: &str) -> rusqlite::Result<()> {
    for lane in [migration.to_owned(), reverse_lane(migration)] {
        if own_tables::read(conn, &lane)?.is_some()
            && opened(conn, &lane)?
                .iter()
                .any(|name| same_name(name, table))
        {
            own_tables::remember(conn, &lane, LOST, table)?;
        }
    }
    Ok(())
}

/// The tables that were found so when the guards were made anew; and forgets that. Where there are none nothing is written, so that
/// nobody waits for a lock.
pub(crate) fn were_opened(
    conn: &mut Connection,
    place: &Place,
    holder: Option<&Holder>,
    migration: &str,
) -> Result<Vec<String>> {
    let what = "cannot look at the guards";
    let lost = lost(conn, migration).map_err(place.failed(what))?;
    if lost.is_empty() {
        return Ok(lost);
    }
    write(conn, place, holder, what, |conn| {
        let failed = place.failed(what);
        let lost = self::lost(conn, migration).map_err(&failed)?;
        for name in &lost {
            own_tables::forget_one(conn, migration, LOST, name).map_err(&failed)?;
        }
        Ok(lost)
    })
}

fn lost(conn: &Connection, migration: &str) -> rusqlite::Result<Vec<String>> {
    let made = own_tables::made(conn, migration)?;
    let lost = made.into_iter().filter(|(kind, _)| kind == LOST);
    Ok(lost.map(|(_, name)| name).collect())
}

/// Whether the table has the unique index that changes are applied by, or needs none.
pub(crate) fn has_key(conn: &Connection, mapping: &TableMapping) -> rusqlite::Result<bool> {
    let Some(info) = table_info::read(conn, &mapping.target.name.name)? else {
        return Ok(false);
    };
    let names = mapping.target_key_names();
    Ok(names.is_empty() || find_key(&info, &names).is_some())
}

/// Builds absent indexes, one transaction each: the others' turns come in between.
pub(crate) fn build_index(
    conn: &mut Connection,
    place: &Place,
    holder: Option<&Holder>,
    mapping: &TableMapping,
    index: &Index,
) -> Result<()> {
    let what = format!("cannot build the index {}", index.name);
    write(conn, place, holder, &what, |conn| {
        let failed = |e| place.failed(&what)(e).table(&mapping.target.name);
        let info = table_info::read(conn, &mapping.target.name.name).map_err(failed)?;
        if info.is_some_and(|info| has_index(&info, index)) {
            return Ok(());
        }
        conn.execute_batch(&index.definition).map_err(failed)
    })
}

fn has_index(info: &TableInfo, wanted: &Index) -> bool {
    info.indexes.iter().any(|there| {
        let alike = !wanted.special
            && !there.partial
            && there.unique == wanted.unique
            && there.columns.len() == wanted.columns.len()
            && there
                .columns
                .iter()
                .zip(&wanted.columns)
                .all(|(a, b)| a.name.as_deref().is_some_and(|a| same_name(a, b)));
        same_name(&there.name, &wanted.name) || (alike && wanted.unique)
    })
}

/// Looks for rows whose parents are missing. The foreign keys are in the tables since they were made.
pub(crate) fn check_foreign_keys(
    conn: &Connection,
    tables: &[TableMapping],
) -> rusqlite::Result<Vec<Omission>> {
    let mut out = Vec::new();
    for mapping in tables {
        if mapping.target.foreign_keys.is_empty() {
            continue;
        }
        let name = &mapping.target.name.name;
        match orphans(conn, name) {
            Ok(found) => out.extend(found.into_iter().map(|(parent, rows)| Omission {
                kind: "foreign key".to_owned(),
                name: format!("{name} → {parent}"),
                why: format!(
                    "{rows} rows of {name} have no parent row in {parent}; SQLite does not refuse them, find them with PRAGMA foreign_key_check"
                ),
            })),
            // the parent has no unique index over the named columns: the foreign key is wrong on both sides
            Err(e) if is_mismatch(&e) => out.push(Omission {
                kind: "foreign key".to_owned(),
                name: name.clone(),
                why: "a foreign key names parent columns that have no unique index".to_owned(),
            }),
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

fn is_mismatch(error: &rusqlite::Error) -> bool {
    error.to_string().contains("foreign key mismatch")
}

fn orphans(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(String, u64)>> {
    conn.prepare("SELECT parent, count(*) FROM pragma_foreign_key_check(?1) GROUP BY 1 ORDER BY 1")?
        .query_map([table], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}

/// Raises AUTOINCREMENT's counters; never lowers them.
pub(crate) fn raise_sequences(
    conn: &mut Connection,
    place: &Place,
    holder: Option<&Holder>,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    write(conn, place, holder, RAISING, |conn| {
        raise_all(conn, place, sequences, tables)
    })
}

/// The same within a transaction.
pub(crate) fn raise_all(
    conn: &Connection,
    place: &Place,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    for sequence in sequences {
        let (Some((owner, column)), Some(last)) = (&sequence.owner, sequence.last_value) else {
            continue;
        };
        for mapping in tables.iter().filter(|m| &m.source.name == owner) {
            raise_one(conn, mapping, column, last)
                .map_err(|e| place.failed(RAISING)(e).table(&mapping.target.name))?;
        }
    }
    Ok(())
}

/// AUTOINCREMENT's counters that stand for these sequences. Only the counter counts: the highest rowid, which SQLite looks at
/// too, goes back when its row goes.
pub(crate) fn sequence_states(
    conn: &Connection,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> rusqlite::Result<Vec<HeldSequence>> {
    let mut out = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let mut held = Vec::new();
        if let Some((owner, column)) = &sequence.owner {
            for mapping in tables.iter().filter(|m| &m.source.name == owner) {
                held.push(match counted(conn, mapping, column)? {
                    None => HeldSequence::NotCounted,
                    Some(table) => HeldSequence::Here(SequenceState {
                        value: conn.query_row(
                            "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?1",
                            [table],
                            |r| r.get(0),
                        )?,
                        first: Some(1),
                        increment: None,
                        cycles: false,
                    }),
                });
            }
        }
        out.push(HeldSequence::furthest_behind(held));
    }
    Ok(out)
}

/// The target's table, as the counters call it, where the source's column goes to one that AUTOINCREMENT numbers.
fn counted(
    conn: &Connection,
    mapping: &TableMapping,
    column: &str,
) -> rusqlite::Result<Option<String>> {
    let Some(info) = table_info::read(conn, &mapping.target.name.name)? else {
        return Ok(None);
    };
    let target = mapping
        .columns
        .iter()
        .find(|c| c.source == column)
        .map_or(column, |c| c.target.as_str());
    let counts = info.column(target).is_some_and(|c| c.autoincrement);
    Ok(counts.then_some(info.name))
}

fn raise_one(
    conn: &Connection,
    mapping: &TableMapping,
    column: &str,
    last: i64,
) -> rusqlite::Result<()> {
    let Some(table) = counted(conn, mapping, column)? else {
        return Ok(());
    };
    let raised = conn.execute(
        "UPDATE sqlite_sequence SET seq = max(CAST(seq AS INTEGER), ?2) WHERE name = ?1",
        params![table, last],
    )?;
    if raised == 0 {
        conn.execute(
            "INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)",
            params![table, last],
        )?;
    }
    Ok(())
}

/// What a migration made here besides the tables.
pub(crate) fn made(
    conn: &Connection,
    place: &Place,
    migration: &str,
) -> rusqlite::Result<Vec<Made>> {
    let mut out = Vec::new();
    for (kind, name) in own_tables::made(conn, migration)? {
        if kind == GUARD && guard::is_closed(conn, &name)? {
            out.push(Made {
                kind: "trigger".to_owned(),
                name: format!("guards of {name}"),
                detail: "refuse writes of others".to_owned(),
            });
        }
    }
    if let Some(state) = own_tables::read(conn, migration)? {
        out.push(Made {
            kind: "rows".to_owned(),
            name: format!("{} and {} records", own_tables::RUN, state.records.len()),
            detail: String::new(),
        });
    }
    let lock = lock_path(place, migration);
    if lock.exists() {
        out.push(Made {
            kind: "file".to_owned(),
            name: lock.display().to_string(),
            detail: String::new(),
        });
    }
    Ok(out)
}

/// Removes guards, crossfade's rows, and those of `tables` that the migration made.
pub(crate) fn remove(
    conn: &mut Connection,
    place: &Place,
    migration: &str,
    tables: &[TableMapping],
) -> Result<Vec<Made>> {
    let what = "cannot remove what the migration made";
    let mut gone = write(conn, place, None, what, |conn| {
        remove_objects(conn, migration, tables).map_err(place.failed(what))
    })?;
    let lock = lock_path(place, migration);
    match std::fs::remove_file(&lock) {
        Ok(()) => gone.push(removed("file", lock.display().to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => {
            return Err(place
                .error(
                    ErrorKind::Permission,
                    "sqlite.lock_file",
                    format!("cannot remove {}", lock.display()),
                )
                .cause(e));
        }
    }
    Ok(gone)
}

fn removed(kind: &str, name: impl Into<String>) -> Made {
    Made {
        kind: kind.to_owned(),
        name: name.into(),
        detail: String::new(),
    }
}

fn remove_objects(
    conn: &Connection,
    migration: &str,
    tables: &[TableMapping],
) -> rusqlite::Result<Vec<Made>> {
    let mut gone = Vec::new();
    for (kind, name) in own_tables::made(conn, migration)? {
        if kind == GUARD {
            let guards = guard::open(conn, &name)?;
            gone.extend(guards.into_iter().map(|g| removed("trigger", g)));
        } else if kind == TABLE && tables.iter().any(|m| same_name(&m.target.name.name, &name)) {
            conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", quote(&name)))?;
            gone.push(removed("table", name));
        }
    }
    gone.extend(
        own_tables::forget(conn, migration)?
            .into_iter()
            .map(|t| removed("table", t)),
    );
    Ok(gone)
}

/// Whether the table holds a row.
pub(crate) fn has_rows(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    conn.query_row(
        &format!("SELECT 1 FROM {} LIMIT 1", quote(table)),
        [],
        |_| Ok(()),
    )
    .optional()
    .map(|row| row.is_some())
}
