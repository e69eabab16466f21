//! Records what a comparison found.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Transaction, params};

use super::super::{Trouble, now};
use super::RESTING;
use crate::quarantine::{
    Compared, ComparedTable, EntryId, KeySide, LONGEST_KEY, LONGEST_KEY_CELLS, MOST_RESOLVED,
    MOST_WAITING, Recorded, Seen,
};

/// Entries that are not resolved.
fn waiting(t: &Transaction<'_>) -> Result<u64, Trouble> {
    let count: i64 = t.query_row(
        "SELECT count(*) FROM quarantine WHERE state <> 'resolved'",
        [],
        |r| r.get(0),
    )?;
    Ok(count.unsigned_abs())
}

/// One row, apart from any comparison.
pub(super) fn refused(
    t: &Transaction<'_>,
    table: &str,
    seen: &Seen,
    position: &str,
) -> Result<Option<EntryId>, Trouble> {
    if let Noted::NoRoom = note(t, table, seen, now(), position, waiting(t)?)? {
        return Ok(None);
    }
    let id = t.query_row(
        "SELECT id FROM quarantine WHERE table_name = ?1 AND key_digest = ?2",
        [table, &seen.key.digest],
        |r| r.get(0),
    )?;
    Ok(Some(EntryId(id)))
}

pub(super) fn record(t: &Transaction<'_>, compared: &Compared) -> Result<Recorded, Trouble> {
    let at = now();
    let mut recorded = Recorded::default();
    let mut waiting = waiting(t)?;
    // what is gone makes room for what is new
    for table in compared.tables.iter().filter(|table| table.complete) {
        let resolved = resolve(t, table, at, &compared.position)?;
        waiting = waiting.saturating_sub(resolved);
        recorded.resolved += resolved;
    }
    for table in &compared.tables {
        let mut not_kept = 0;
        let mut digests = HashSet::new();
        for seen in &table.seen {
            // equal rows of a table without key are one entry
            if !digests.insert(seen.key.digest.as_str()) {
                continue;
            }
            match note(t, &table.name, seen, at, &compared.position, waiting)? {
                Noted::Again => recorded.again += 1,
                Noted::Back => {
                    recorded.again += 1;
                    waiting += 1;
                }
                Noted::New => {
                    recorded.new += 1;
                    waiting += 1;
                }
                Noted::NoRoom => not_kept += 1,
            }
        }
        recorded.not_kept += not_kept;
        keep_rest(t, table, not_kept)?;
    }
    t.execute(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE state = 'resolved'
         ORDER BY resolved_at DESC, id DESC LIMIT -1 OFFSET ?1)",
        [MOST_RESOLVED.cast_signed()],
    )?;
    Ok(recorded)
}

/// Resolves the entries that a complete comparison of their table does not show.
fn resolve(
    t: &Transaction<'_>,
    table: &ComparedTable,
    at: i64,
    position: &str,
) -> Result<u64, Trouble> {
    let shown: HashSet<&str> = table.seen.iter().map(|s| s.key.digest.as_str()).collect();
    let mut waiting = t.prepare(
        "SELECT id, key_digest FROM quarantine WHERE table_name = ?1 AND state <> 'resolved'",
    )?;
    let mut rows = waiting.query([&table.name])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        if !shown.contains(row.get::<_, String>(1)?.as_str()) {
            gone.push(row.get::<_, i64>(0)?);
        }
    }
    let mut settle = t.prepare(
        "UPDATE quarantine SET state = 'resolved', resolved_at = ?2, resolved_position = ?3 WHERE id = ?1",
    )?;
    for id in &gone {
        settle.execute(params![id, at, position])?;
    }
    Ok(gone.len() as u64)
}

/// What became of a row that differs.
enum Noted {
    New,
    Again,
    /// It was resolved, and is there again.
    Back,
    NoRoom,
}

fn note(
    t: &Transaction<'_>,
    table: &str,
    seen: &Seen,
    at: i64,
    position: &str,
    waiting: u64,
) -> Result<Noted, Trouble> {
    let before: Option<String> = t
        .prepare_cached("SELECT state FROM quarantine WHERE table_name = ?1 AND key_digest = ?2")?
        .query_row([table, &seen.key.digest], |r| r.get(0))
        .optional()?;
    let was_waiting = before.as_deref().is_some_and(|state| state != "resolved");
    if !was_waiting && waiting >= MOST_WAITING {
        return Ok(Noted::NoRoom);
    }
    let text: String = seen.key.text.chars().take(LONGEST_KEY).collect();
    let mut cells = serde_json::to_string(&seen.key.cells)?;
    if cells.len() > LONGEST_KEY_CELLS {
        "[]".clone_into(&mut cells);
    }
    let side = match seen.key.side {
        KeySide::Source => "source",
        KeySide::Target => "target",
    };
    t.prepare_cached(
        "INSERT INTO quarantine (table_name, key_digest, key_text, key_cells, key_side, kind, columns, cause, why, position,
            first_seen, last_seen, times_seen, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, 1, 'open')
         ON CONFLICT (table_name, key_digest) DO UPDATE SET
            key_text = excluded.key_text, key_cells = excluded.key_cells, key_side = excluded.key_side,
            kind = excluded.kind, columns = excluded.columns, cause = excluded.cause, why = excluded.why,
            position = excluded.position, last_seen = excluded.last_seen, times_seen = times_seen + 1,
            resolved_at = NULL, resolved_position = NULL",
    )?
    .execute(params![
            table,
            seen.key.digest,
            text,
            cells,
            side,
            seen.kind,
            serde_json::to_string(&seen.columns)?,
            seen.cause,
            seen.why,
            position,
            at
        ])?;
    t.prepare_cached(&format!(
        "UPDATE quarantine SET state = {RESTING}
         WHERE table_name = ?1 AND key_digest = ?2 AND state <> 'retrying'"
    ))?
    .execute([table, &seen.key.digest])?;
    Ok(match before {
        None => Noted::New,
        Some(_) if was_waiting => Noted::Again,
        Some(_) => Noted::Back,
    })
}

/// Keeps how much of a table's last comparison the quarantine does not hold.
fn keep_rest(t: &Transaction<'_>, table: &ComparedTable, not_kept: u64) -> Result<(), Trouble> {
    if table.complete && not_kept == 0 {
        t.execute(
            "DELETE FROM quarantine_rest WHERE table_name = ?1",
            [&table.name],
        )?;
    } else {
        t.execute(
            "INSERT OR REPLACE INTO quarantine_rest (table_name, not_kept, unlisted) VALUES (?1, ?2, ?3)",
            params![table.name, not_kept.cast_signed(), !table.complete],
        )?;
    }
    Ok(())
}
