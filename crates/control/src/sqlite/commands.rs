//! The table of commands.

use rusqlite::{Row, Transaction, params};
use serde_json::{Value, json};

use super::{Trouble, audit, now, quarantine};
use crate::{Command, CommandId, CommandState, PostedCommand};

const COLUMNS: &str = "id, command, posted, state, outcome";

pub(super) fn post(t: &Transaction<'_>, command: &Command) -> Result<CommandId, Trouble> {
    command.check().map_err(Trouble::Control)?;
    t.execute(
        "INSERT INTO command (command, posted, state) VALUES (?1, ?2, 'posted')",
        params![serde_json::to_string(command)?, now()],
    )?;
    let id = CommandId(t.last_insert_rowid());
    let detail = json!({ "command": id, "what": command });
    audit::append(t, audit::POSTED, &audit::who_of(command), detail)?;
    // bounded: what is over is kept for a while, for people
    t.execute(
        "DELETE FROM command WHERE state IN ('done', 'failed')
         AND id <= (SELECT max(id) - 1000 FROM command)",
        [],
    )?;
    Ok(id)
}

/// Orders that move authority: never obeyed but by the run that they were given to, while somebody waits for them.
const OF_ONE_RUN: &str = "json_extract(command, '$.command') IN ('switch', 'rollback')";

/// What a run that died had taken is open again. Not so a switch: who gave the order was told how it ended, or that the run did, and
/// nobody expects writes to stop for it at some later time. One that was taken stays so, for the next run to say what became of it; one that
/// was not has failed.
pub(super) fn reopen(t: &Transaction<'_>) -> Result<(), Trouble> {
    t.execute(
        &format!(
            "UPDATE command SET state = 'posted' WHERE state = 'acknowledged' AND NOT {OF_ONE_RUN}"
        ),
        [],
    )?;
    let why = "the run that it was given to has ended: nothing has changed";
    let late: Vec<i64> = t
        .prepare(&format!(
            "UPDATE command SET state = 'failed', outcome = ?1 WHERE state = 'posted' AND {OF_ONE_RUN} RETURNING id"
        ))?
        .query_map([why], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in late {
        ended(
            t,
            CommandId(id),
            audit::FINISHED,
            "failed",
            Some(why.to_owned()),
        )?;
    }
    Ok(())
}

pub(super) fn open(t: &Transaction<'_>) -> Result<Vec<PostedCommand>, Trouble> {
    let sql = format!(
        "SELECT {COLUMNS} FROM command WHERE state IN ('posted', 'acknowledged') ORDER BY id LIMIT 100"
    );
    let mut statement = t.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut commands = Vec::new();
    while let Some(row) = rows.next()? {
        commands.push(read(row)?);
    }
    Ok(commands)
}

pub(super) fn get(t: &Transaction<'_>, id: CommandId) -> Result<PostedCommand, Trouble> {
    let mut statement = t.prepare(&format!("SELECT {COLUMNS} FROM command WHERE id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    match rows.next()? {
        Some(row) => read(row),
        None => Err(Trouble::Missing("command", id.0)),
    }
}

fn read(row: &Row<'_>) -> Result<PostedCommand, Trouble> {
    let state: String = row.get(3)?;
    let outcome: Option<String> = row.get(4)?;
    Ok(PostedCommand {
        id: CommandId(row.get(0)?),
        command: serde_json::from_str(&row.get::<_, String>(1)?)?,
        posted: row.get(2)?,
        state: match state.as_str() {
            "acknowledged" => CommandState::Acknowledged,
            "done" => {
                CommandState::Done(serde_json::from_str(outcome.as_deref().unwrap_or("null"))?)
            }
            "failed" => CommandState::Failed(outcome.unwrap_or_default()),
            _ => CommandState::Posted,
        },
    })
}

pub(super) fn acknowledge(t: &Transaction<'_>, id: CommandId) -> Result<(), Trouble> {
    let changed = t.execute(
        "UPDATE command SET state = 'acknowledged' WHERE id = ?1 AND state = 'posted'",
        [id.0],
    )?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Trouble::Missing("open command", id.0))
    }
}

pub(super) fn finish(
    t: &Transaction<'_>,
    id: CommandId,
    result: Result<Value, String>,
) -> Result<(), Trouble> {
    let (state, outcome, why) = match result {
        Ok(value) => ("done", value.to_string(), None),
        Err(why) => ("failed", why.clone(), Some(why)),
    };
    let changed = t.execute(
        "UPDATE command SET state = ?2, outcome = ?3 WHERE id = ?1 AND state IN ('posted', 'acknowledged')",
        params![id.0, state, outcome],
    )?;
    if changed == 1 {
        ended(t, id, audit::FINISHED, state, why)
    } else {
        Err(Trouble::Missing("open command", id.0))
    }
}

/// Takes back what was marked for a command that has ended, and appends its end to the audit log: never its result, which may hold
/// rows' values.
fn ended(
    t: &Transaction<'_>,
    id: CommandId,
    kind: &str,
    state: &str,
    why: Option<String>,
) -> Result<(), Trouble> {
    let command = get(t, id)?.command;
    let mut detail = json!({ "command": id, "what": command.word(), "state": state });
    if let Some(why) = why {
        detail["why"] = why.into();
    }
    audit::append(t, kind, &audit::who_of(&command), detail)?;
    match command {
        Command::Retry { ids } => quarantine::unmark(t, &ids),
        _ => Ok(()),
    }
}

pub(super) fn withdraw(t: &Transaction<'_>, id: CommandId, running: bool) -> Result<bool, Trouble> {
    let changed = t.execute(
        "UPDATE command SET state = 'failed', outcome = 'withdrawn'
         WHERE id = ?1 AND (state = 'posted' OR state = 'acknowledged' AND NOT ?2)",
        (id.0, running),
    )?;
    if changed == 1 {
        ended(t, id, audit::WITHDRAWN, "failed", None)?;
    }
    Ok(changed == 1)
}

pub(super) fn forget_result(t: &Transaction<'_>, id: CommandId) -> Result<(), Trouble> {
    t.execute(
        "UPDATE command SET outcome = 'null' WHERE id = ?1 AND state = 'done'",
        [id.0],
    )?;
    Ok(())
}
