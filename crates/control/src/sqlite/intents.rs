//! The table of intents.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde_json::{Value, json};

use super::{Trouble, audit, epoch, now};
use crate::{Intent, IntentId, IntentState};

pub(super) fn record(t: &Transaction<'_>, kind: &str, detail: &Value) -> Result<IntentId, Trouble> {
    let epoch = epoch(t)?;
    t.execute(
        "INSERT INTO intent (kind, detail, recorded, epoch, state) VALUES (?1, ?2, ?3, ?4, 'open')",
        params![kind, detail.to_string(), now(), epoch.cast_signed()],
    )?;
    let id = IntentId(t.last_insert_rowid());
    let recorded = json!({ "intent": id, "step": kind, "detail": detail, "lease": epoch });
    audit::append(t, audit::INTENT, &audit::person(), recorded)?;
    Ok(id)
}

pub(super) fn settle(
    t: &Transaction<'_>,
    id: IntentId,
    state: &IntentState,
) -> Result<(), Trouble> {
    let kind: Option<String> = t
        .query_row("SELECT kind FROM intent WHERE id = ?1", [id.0], |r| {
            r.get(0)
        })
        .optional()?;
    let Some(kind) = kind else {
        return Err(Trouble::Missing("intent", id.0));
    };
    let (word, outcome, said) = match state {
        IntentState::Open => ("open", None, Value::Null),
        IntentState::Done(value) => ("done", Some(value.to_string()), value.clone()),
        IntentState::Failed(why) => ("failed", Some(why.clone()), why.clone().into()),
    };
    t.execute(
        "UPDATE intent SET state = ?2, outcome = ?3 WHERE id = ?1",
        params![id.0, word, outcome],
    )?;
    let settled = json!({ "intent": id, "step": kind, "state": word, "outcome": said });
    audit::append(t, audit::SETTLED, &audit::person(), settled)?;
    Ok(())
}

pub(super) fn list(t: &Transaction<'_>, only_open: bool) -> Result<Vec<Intent>, Trouble> {
    let mut statement = t.prepare(
        "SELECT id, kind, detail, recorded, state, outcome FROM intent
         WHERE state = 'open' OR NOT ?1 ORDER BY id DESC LIMIT 100",
    )?;
    let mut rows = statement.query([only_open])?;
    let mut intents = Vec::new();
    while let Some(row) = rows.next()? {
        let state: String = row.get(4)?;
        let outcome: Option<String> = row.get(5)?;
        intents.push(Intent {
            id: IntentId(row.get(0)?),
            kind: row.get(1)?,
            detail: serde_json::from_str(&row.get::<_, String>(2)?)?,
            recorded: row.get(3)?,
            state: match state.as_str() {
                "done" => {
                    IntentState::Done(serde_json::from_str(outcome.as_deref().unwrap_or("null"))?)
                }
                "failed" => IntentState::Failed(outcome.unwrap_or_default()),
                _ => IntentState::Open,
            },
        });
    }
    Ok(intents)
}
