//! The tables of the quarantine.

mod record;

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::json;

use super::{SqliteControl, Trouble, audit, commands, now};
use crate::quarantine::{
    Classification, Compared, Entry, EntryId, EntryState, Filter, KeySide, LONGEST_NAME,
    LONGEST_REASON, MOST_LISTED, Page, QuarantineCounts, QuarantineStore, Recorded, Resolution,
    RowKey, Seen, Verdict, written,
};
use crate::{Command, CommandId, ControlError, Lease};

const COLUMNS: &str = "id, table_name, key_digest, key_text, key_cells, key_side, kind, columns, cause, why, position,
    first_seen, last_seen, times_seen, state, verdict, classified_by, reason, classified_at, resolved_at, resolved_position";

/// The state that an entry has when it is not being retried and not resolved: a person's word counts for the difference that
/// it was said of.
const RESTING: &str =
    "CASE WHEN classified_as = kind || ' ' || columns THEN 'classified' ELSE 'open' END";

#[async_trait]
impl QuarantineStore for SqliteControl {
    async fn record_compared(
        &self,
        lease: &Lease,
        compared: Compared,
    ) -> Result<Recorded, ControlError> {
        self.held(lease, move |t| record::record(t, &compared))
            .await
    }

    async fn record_refused(
        &self,
        lease: &Lease,
        table: String,
        seen: Seen,
        position: String,
    ) -> Result<Option<EntryId>, ControlError> {
        self.held(lease, move |t| record::refused(t, &table, &seen, &position))
            .await
    }

    async fn quarantine(&self, filter: Filter) -> Result<Page, ControlError> {
        self.transaction(move |t| list(t, &filter)).await
    }

    async fn entry(&self, id: EntryId) -> Result<Entry, ControlError> {
        self.transaction(move |t| get(t, id)).await
    }

    async fn entry_states(
        &self,
        ids: Vec<EntryId>,
    ) -> Result<Vec<(EntryId, EntryState)>, ControlError> {
        self.transaction(move |t| {
            let mut states = Vec::with_capacity(ids.len());
            for id in ids {
                states.extend(state_of(t, id)?.map(|state| (id, state)));
            }
            Ok(states)
        })
        .await
    }

    async fn classify(
        &self,
        id: EntryId,
        verdict: Verdict,
        by: String,
        reason: String,
    ) -> Result<Entry, ControlError> {
        let by = written("the name of who classifies", &by, LONGEST_NAME)?;
        let reason = written("the reason", &reason, LONGEST_REASON)?;
        self.transaction(move |t| classify(t, id, verdict, &by, &reason))
            .await
    }

    async fn retry(
        &self,
        ids: Option<Vec<EntryId>>,
    ) -> Result<Option<(CommandId, Vec<EntryId>)>, ControlError> {
        self.transaction(move |t| {
            let ids = match ids {
                Some(ids) => chosen(t, ids)?,
                None => retryable(t)?,
            };
            if ids.is_empty() {
                return Ok(None);
            }
            let mut mark = t.prepare("UPDATE quarantine SET state = 'retrying' WHERE id = ?1")?;
            for id in &ids {
                mark.execute([id.0])?;
            }
            let command = commands::post(t, &Command::Retry { ids: ids.clone() })?;
            Ok(Some((command, ids)))
        })
        .await
    }
}

fn list(t: &Transaction<'_>, filter: &Filter) -> Result<Page, Trouble> {
    let limit = filter.limit.clamp(1, MOST_LISTED) as usize;
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine
         WHERE id > ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR table_name = ?3) ORDER BY id LIMIT ?4"
    );
    let mut statement = t.prepare(&sql)?;
    let mut rows = statement.query(params![
        filter.after.map_or(0, |id| id.0),
        filter.state.map(EntryState::word),
        filter.table,
        limit as i64 + 1
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row)?);
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Page {
        next: entries.last().filter(|_| more).map(|e| e.id),
        entries,
    })
}

fn get(t: &Transaction<'_>, id: EntryId) -> Result<Entry, Trouble> {
    let mut statement = t.prepare(&format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    match rows.next()? {
        Some(row) => read(row),
        None => Err(Trouble::Control(ControlError::NoEntry { id })),
    }
}

fn read(row: &Row<'_>) -> Result<Entry, Trouble> {
    let state: String = row.get(14)?;
    let verdict: Option<String> = row.get(15)?;
    let classification = match verdict.as_deref() {
        None => None,
        Some(word) => Some(Classification {
            verdict: match word {
                "expected" => Verdict::Expected,
                _ => Verdict::Bug,
            },
            by: row.get(16)?,
            reason: row.get(17)?,
            at: row.get(18)?,
        }),
    };
    let resolved: Option<i64> = row.get(19)?;
    let resolved_position: Option<String> = row.get(20)?;
    let side: String = row.get(5)?;
    Ok(Entry {
        id: EntryId(row.get(0)?),
        table: row.get(1)?,
        key: RowKey {
            digest: row.get(2)?,
            text: row.get(3)?,
            cells: serde_json::from_str(&row.get::<_, String>(4)?)?,
            side: match side.as_str() {
                "target" => KeySide::Target,
                _ => KeySide::Source,
            },
        },
        kind: row.get(6)?,
        columns: serde_json::from_str(&row.get::<_, String>(7)?)?,
        cause: row.get(8)?,
        why: row.get(9)?,
        position: row.get(10)?,
        first_seen: row.get(11)?,
        last_seen: row.get(12)?,
        times_seen: row.get::<_, i64>(13)?.unsigned_abs(),
        state: state_from(&state),
        classification,
        resolution: resolved
            .zip(resolved_position)
            .map(|(at, position)| Resolution { at, position }),
    })
}

fn state_from(word: &str) -> EntryState {
    match word {
        "classified" => EntryState::Classified,
        "retrying" => EntryState::Retrying,
        "resolved" => EntryState::Resolved,
        _ => EntryState::Open,
    }
}

fn state_of(t: &Transaction<'_>, id: EntryId) -> Result<Option<EntryState>, Trouble> {
    let word: Option<String> = t
        .query_row("SELECT state FROM quarantine WHERE id = ?1", [id.0], |r| {
            r.get(0)
        })
        .optional()?;
    Ok(word.as_deref().map(state_from))
}

/// The state of an entry that something is to be done with.
fn waiting_state(t: &Transaction<'_>, id: EntryId) -> Result<EntryState, Trouble> {
    match state_of(t, id)? {
        None => Err(Trouble::Control(ControlError::NoEntry { id })),
        Some(EntryState::Resolved) => Err(Trouble::Control(ControlError::EntryState {
            id,
            state: EntryState::Resolved,
        })),
        Some(state) => Ok(state),
    }
}

fn classify(
    t: &Transaction<'_>,
    id: EntryId,
    verdict: Verdict,
    by: &str,
    reason: &str,
) -> Result<Entry, Trouble> {
    waiting_state(t, id)?;
    t.execute(
        "UPDATE quarantine SET verdict = ?2, classified_by = ?3, reason = ?4, classified_at = ?5,
            classified_as = kind || ' ' || columns,
            state = CASE WHEN state = 'retrying' THEN state ELSE 'classified' END
         WHERE id = ?1",
        params![id.0, verdict.word(), by, reason, now()],
    )?;
    let detail = json!({ "entry": id, "verdict": verdict.word(), "reason": reason });
    audit::append(t, audit::CLASSIFIED, by, detail)?;
    get(t, id)
}

/// The entries that were named, each once; all of them can be retried.
fn chosen(t: &Transaction<'_>, ids: Vec<EntryId>) -> Result<Vec<EntryId>, Trouble> {
    let mut known = HashSet::new();
    let mut chosen = Vec::new();
    for id in ids {
        if !known.insert(id) {
            continue;
        }
        match waiting_state(t, id)? {
            state @ EntryState::Retrying => {
                return Err(Trouble::Control(ControlError::EntryState { id, state }));
            }
            _ => chosen.push(id),
        }
    }
    Ok(chosen)
}

/// All entries that are open or held to be a bug.
fn retryable(t: &Transaction<'_>) -> Result<Vec<EntryId>, Trouble> {
    let mut statement = t.prepare(
        "SELECT id FROM quarantine WHERE state = 'open' OR (state = 'classified' AND verdict = 'bug') ORDER BY id",
    )?;
    let ids = statement.query_map([], |r| r.get(0).map(EntryId))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Takes the mark off entries whose retry has ended without resolving them.
pub(super) fn unmark(t: &Transaction<'_>, ids: &[EntryId]) -> Result<(), Trouble> {
    let mut unmark = t.prepare(&format!(
        "UPDATE quarantine SET state = {RESTING} WHERE id = ?1 AND state = 'retrying'"
    ))?;
    for id in ids {
        unmark.execute([id.0])?;
    }
    Ok(())
}

pub(super) fn counts(t: &Transaction<'_>) -> Result<QuarantineCounts, Trouble> {
    let mut counts = QuarantineCounts::default();
    let mut statement =
        t.prepare("SELECT state, count(*), sum(verdict = 'bug') FROM quarantine GROUP BY state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entries = row.get::<_, i64>(1)?.unsigned_abs();
        match state_from(&row.get::<_, String>(0)?) {
            EntryState::Open => counts.open = entries,
            EntryState::Classified => {
                counts.classified = entries;
                counts.bugs = row.get::<_, Option<i64>>(2)?.unwrap_or(0).unsigned_abs();
            }
            EntryState::Retrying => counts.retrying = entries,
            EntryState::Resolved => counts.resolved = entries,
        }
    }
    let (not_kept, unlisted) = t.query_row(
        "SELECT coalesce(sum(not_kept), 0), coalesce(sum(unlisted), 0) FROM quarantine_rest",
        [],
        |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?)),
    )?;
    counts.not_kept = not_kept.unsigned_abs();
    counts.unlisted_tables = unlisted.unsigned_abs();
    Ok(counts)
}
