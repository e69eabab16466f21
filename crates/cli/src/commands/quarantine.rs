//! `quarantine`: rows that did not match. What is kept of them, what a person says of them, and looking at them again.

use std::sync::Arc;

use crossfade_control::quarantine::{Filter, Page};
use crossfade_control::{
    CommandId, CommandState, ControlStore, Entry, EntryId, EntryState, QuarantineStore as _,
    SqliteControl, Verdict,
};
use crossfade_engine::{Retried, reveal, stored_plan};
use serde_json::json;

use super::{LOOK, signal};
use crate::args::{self, File};
use crate::failure::{FAILED, Failure, REFUSED};
use crate::load::{control_path, load, read};
use crate::show::number::of;
use crate::show::{Output, quarantine as show};

/// Lists, shows, classifies, or orders a retry. The databases are asked for `show --reveal` only.
///
/// # Errors
/// An entry that is not there or stands where this cannot be done; a control store or a database that cannot be used.
pub async fn quarantine(asked: &args::Quarantine, output: &Output) -> Result<u8, Failure> {
    match asked {
        args::Quarantine::List(asked) => list(asked, output).await,
        args::Quarantine::Show(asked) => one(asked, output).await,
        args::Quarantine::Classify(asked) => classify(asked, output).await,
        args::Quarantine::Retry(asked) => retry(asked, output).await,
    }
}

/// The control store where there is one: looking makes nothing.
fn existing(named: &File) -> Result<Option<SqliteControl>, Failure> {
    let file = read(&named.file)?;
    Ok(SqliteControl::open_existing(
        &control_path(named),
        &file.name,
    )?)
}

/// As [`existing`]; without a control store there is no entry to do anything with.
fn begun(named: &File) -> Result<SqliteControl, Failure> {
    existing(named)?.ok_or_else(|| {
        Failure::new(
            REFUSED,
            "quarantine.not_begun",
            "the migration has not begun: nothing is in quarantine",
        )
        .fix("`crossfade run` first; or name its control store with `--control`")
    })
}

async fn list(asked: &args::List, output: &Output) -> Result<u8, Failure> {
    let page = match existing(&asked.file)? {
        Some(control) => control.quarantine(filter(asked)).await?,
        None => Page {
            entries: Vec::new(),
            next: None,
        },
    };
    output.say(show::page(&page));
    output.tell(&json!({
        "entries": page.entries.iter().map(fields).collect::<Vec<_>>(),
        "next": page.next,
    }));
    Ok(0)
}

fn filter(asked: &args::List) -> Filter {
    Filter {
        state: asked.state.map(|state| match state {
            args::EntryState::Open => EntryState::Open,
            args::EntryState::Classified => EntryState::Classified,
            args::EntryState::Retrying => EntryState::Retrying,
            args::EntryState::Resolved => EntryState::Resolved,
        }),
        table: asked.table.clone(),
        after: asked.after.map(EntryId),
        limit: asked.limit,
    }
}

/// An entry as `--json` shows it: the key as text, not as its cells are kept.
fn fields(entry: &Entry) -> serde_json::Value {
    json!({
        "id": entry.id,
        "table": entry.table,
        "key": entry.key.text,
        "kind": entry.kind,
        "columns": entry.columns,
        "cause": entry.cause,
        "why": entry.why,
        "position": entry.position,
        "first_seen": entry.first_seen,
        "last_seen": entry.last_seen,
        "times_seen": entry.times_seen,
        "state": entry.state,
        "classification": entry.classification,
        "resolution": entry.resolution,
    })
}

async fn one(asked: &args::Show, output: &Output) -> Result<u8, Failure> {
    let entry = begun(&asked.file)?.entry(EntryId(asked.id)).await?;
    output.say(show::entry(&entry));
    let mut told = json!({ "entry": fields(&entry) });
    if asked.reveal {
        let loaded = load(&asked.file)?;
        let state = loaded.target.peek(&loaded.file.name).await?;
        let plan = match &state {
            Some(state) => stored_plan(state, loaded.target.as_ref())?,
            None => None,
        };
        let plan = plan.ok_or_else(|| {
            Failure::new(
                REFUSED,
                "quarantine.not_begun",
                "the target holds nothing of this migration: there is no row to read",
            )
            .fix("`crossfade run` first")
        })?;
        let (source, target) = (loaded.source.as_ref(), loaded.target.as_ref());
        let revealed = reveal(&plan, source, target, &entry).await?;
        output.say(show::revealed(&revealed));
        told["now"] = json!(revealed);
    }
    output.tell(&told);
    Ok(0)
}

async fn classify(asked: &args::Classify, output: &Output) -> Result<u8, Failure> {
    let verdict = match asked.verdict {
        args::Verdict::Expected => Verdict::Expected,
        args::Verdict::Bug => Verdict::Bug,
    };
    let control = begun(&asked.file)?;
    let (id, by, reason) = (EntryId(asked.id), asked.by.clone(), asked.reason.clone());
    let entry = control.classify(id, verdict, by, reason).await?;
    output.say(show::entry(&entry));
    output.tell(&json!({ "entry": fields(&entry) }));
    Ok(0)
}

async fn retry(asked: &args::Retry, output: &Output) -> Result<u8, Failure> {
    let control: Arc<dyn ControlStore> = Arc::new(begun(&asked.file)?);
    let ids = (!asked.all).then(|| asked.ids.iter().copied().map(EntryId).collect());
    let Some((command, ids)) = control.retry(ids).await? else {
        output.say("There is no row to look at again.");
        output.tell(&json!({ "ids": [], "running": false, "result": null }));
        return Ok(0);
    };
    let rows = of(ids.len() as u64, "row", "rows");
    let state = control.state().await?;
    if state.running && !state.paused {
        output.say(format!("Asked the running `run` to look again at {rows}."));
    }
    let result = if state.paused {
        None
    } else {
        wait(control.as_ref(), command).await?
    };
    match &result {
        Some(retried) => output.say(show::retried(retried)),
        None if state.paused => output.say(format!(
            "Ordered for {rows}: the migration is paused; it is obeyed after `crossfade resume`."
        )),
        None => output.say(format!(
            "Ordered for {rows}: no run is active; the next `crossfade run` or `verify` obeys."
        )),
    }
    output.tell(&json!({ "ids": ids, "running": result.is_some(), "result": result }));
    Ok(match &result {
        Some(retried) if !retried.remaining.is_empty() => REFUSED,
        _ => 0,
    })
}

/// Waits for the running `run` to obey; `None` where none is active: the order stays, and the next one obeys.
async fn wait(control: &dyn ControlStore, command: CommandId) -> Result<Option<Retried>, Failure> {
    let mut stop = signal::stop()?;
    loop {
        let running = control.state().await?.running;
        match control.command(command).await?.state {
            CommandState::Done(value) => {
                return serde_json::from_value(value).map(Some).map_err(|e| {
                    Failure::internal(format!("the run's answer cannot be read: {e}"))
                });
            }
            CommandState::Failed(why) => {
                return Err(Failure::new(FAILED, "command.failed", why).fix(
                    "look at `crossfade status`; the rows are in quarantine as before, and `retry` can be given again",
                ));
            }
            CommandState::Posted | CommandState::Acknowledged if !running => return Ok(None),
            CommandState::Posted | CommandState::Acknowledged => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => {
                return Err(Failure::new(
                    FAILED,
                    "quarantine.stopped",
                    "stopped waiting; the order stays, and the run obeys",
                )
                .fix("`crossfade quarantine list` shows what became of the rows"));
            }
        }
    }
}
