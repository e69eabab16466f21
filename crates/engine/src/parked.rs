//! Parked rows are read again on the source: when one has changed, and every now and then, for its column on the target may have been
//! widened. What the target takes is no longer parked; it is a row like any other, and unverified until both sides are read again.

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::EntryId;
use crossfade_model::{Key, TableId};
use crossfade_rules::frontier::{OneKeyRow, OneKeyState};
use crossfade_store::RecordWrite;
use tokio::sync::mpsc;

use crate::commands::may_pass;
use crate::durable;
use crate::error::EngineError;
use crate::progress::Event;
use crate::refused::Refused;
use crate::session::{Session, State};
use crate::switch::prepare::refused;
use crate::verify::collect::VerifyRequest;
use crate::verify::repair::{self, RepairKey, Repaired};

/// Rows that wait at once at most: where more are refused, the tables do not fit, and the run ends.
pub(crate) const MOST_PARKED: usize = 100;

/// How often rows are tried that have not changed.
pub(crate) const EVERY: Duration = Duration::from_secs(30);

/// Tries of rows that came too late, one after the other: they were changed again, or the target is not there yet.
const MOST_LATE: u32 = 5;

/// How long it is at least from one try to the next.
const REST: Duration = Duration::from_secs(2);

/// A row's key; `None` for a table without.
pub(crate) fn key_of(session: &Session, refused: &Refused) -> Result<Option<Key>, EngineError> {
    let mapping = session.table(refused.id)?;
    if mapping.source.key.is_none() {
        return Ok(None);
    }
    Ok(mapping.key_encoder().key_of(&refused.cells).ok())
}

/// What of refused rows is to be durable, by their keys.
pub(crate) fn records(
    session: &Session,
    keys: &[Key],
    found: &[Refused],
) -> Result<Vec<RecordWrite>, EngineError> {
    let mut records = Vec::with_capacity(keys.len());
    for (key, refused) in keys.iter().zip(found) {
        session.lock().tables[refused.id.0 as usize]
            .one_key_cells
            .insert(key.clone(), refused.cells.clone());
        records.push(record(session, refused.id, key, true)?);
    }
    Ok(records)
}

/// What of a parked row is durable, and whether it is parked since the target refused it. Its cells must be known already.
pub(crate) fn record(
    session: &Session,
    table: TableId,
    key: &Key,
    refused: bool,
) -> Result<RecordWrite, EngineError> {
    let row = OneKeyRow {
        key: key.clone(),
        state: OneKeyState::Parked { owed: Vec::new() },
    };
    let state = session.lock();
    let known = state.tables[table.0 as usize].one_key_cells.get(key);
    let cells = known.cloned().unwrap_or_default();
    durable::one_key_record(session.table(table)?, row, cells, refused)
}

/// The row's record is durable: memory follows, and people are told.
pub(crate) fn note(session: &Session, key: Key, refused: &Refused, entry: EntryId) {
    {
        let mut state = session.lock();
        // it has not been tried by itself
        state.parks += 1;
        let at = &mut state.tables[refused.id.0 as usize];
        at.refusals.insert(key.clone(), refused.why().to_owned());
        at.frontier.park(key);
        at.parked_cleared = false;
    }
    session.observer.event(&Event::Warning {
        what: format!(
            "{}; it waits in quarantine as entry {entry}, and is tried again when it changes and every {} seconds; everything else goes on",
            refused.told(),
            EVERY.as_secs(),
        ),
    });
    session.notify();
}

/// Tries until the attempt stops.
pub(crate) async fn run(
    session: Arc<Session>,
    requests: mpsc::Sender<VerifyRequest>,
) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    let mut late = 0;
    let mut behind = None;
    loop {
        let Some((keys, parks)) = session.wait_for(due).await else {
            return Ok(());
        };
        match read_again(&session, &requests, keys).await {
            Ok(again) => {
                late = if again.late > 0 { late + 1 } else { 0 };
                // the stream is to have come to where the source was at the first of them
                let passed = {
                    let state = session.lock();
                    behind = behind.filter(|_| late > 1).or(Some(state.source_end));
                    behind.is_none_or(|end| state.checkpoint >= end)
                };
                let is_tried = late == 0 || late >= MOST_LATE && passed;
                tried(&session, is_tried.then_some(parks), again.rows);
            }
            Err(EngineError::Ending) => return Ok(()),
            Err(error) => return Err(error),
        }
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(REST * late.clamp(1, MOST_LATE)) => {}
        }
        // one that was parked meanwhile is tried soon: somebody may wait to hear whether it is refused still
        let changed = session.wait_for(|state| {
            (state.parked_changed || state.parked_tried != state.parks).then_some(())
        });
        // the attempt's end is seen above
        let _ = tokio::time::timeout(EVERY - REST, changed).await;
    }
}

/// What to do about parked rows.
const FIX: &str =
    "`crossfade quarantine list` names them: mend them on the source or widen the target's columns";

/// A run that is to follow, or to switch, while rows are parked.
///
/// # Errors
/// Where some are: the target does not follow.
pub(crate) fn refuse(session: &Session) -> Result<(), EngineError> {
    match told(session) {
        Some((table, what)) => Err(EngineError::Stopped {
            code: "apply.rows_parked",
            table: Some(table),
            key: None,
            what,
            fix: format!("{FIX}, and run again"),
        }),
        None => Ok(()),
    }
}

/// As [`refuse`], for a switch: the run goes on.
pub(crate) fn refuse_switch(session: &Session) -> Result<(), EngineError> {
    match told(session) {
        Some((_, what)) => Err(refused("switch.rows_parked", what, FIX)),
        None => Ok(()),
    }
}

/// Waits until the target is complete, for a switch that needs it.
///
/// # Errors
/// Where rows are parked: it is not, and what is there lacks their changes.
pub(crate) async fn finished(session: &Session) -> Result<(), EngineError> {
    session
        .wait_for(|state| (state.finished || state.hangs()).then_some(()))
        .await
        .ok_or(EngineError::Ending)?;
    refuse_switch(session)?;
    // they may have been taken just now
    session
        .wait_for(|state| (state.finished && !state.keys_awaited).then_some(()))
        .await
        .ok_or(EngineError::Ending)
}

/// The first table with parked rows, and how many there are in all, in words.
fn told(session: &Session) -> Option<(String, String)> {
    let state = session.lock();
    let mut tables = session.tables().iter().zip(&state.tables);
    let (mapping, _) = tables.find(|(_, at)| at.frontier.parked_count() > 0)?;
    let what = format!(
        "{} rows wait to be read again, {} of them in quarantine because the target refused them; everything else is applied up to {}",
        state.parked(),
        state.waiting(),
        session.source.show_position(state.checkpoint),
    );
    Some((mapping.called(), what))
}

/// All that is parked, once nothing else is missing: not before the horizons of all copies, at which a unique value that two snapshots
/// showed twice is at one row only.
fn due(state: &mut State) -> Option<(Vec<RepairKey>, u64)> {
    if state.paused || state.gate_closed || !state.followed_beside_parked() {
        return None;
    }
    let keys: Vec<RepairKey> = (0..)
        .map(TableId)
        .zip(&state.tables)
        .flat_map(|(id, table)| {
            let due = table.frontier.due(&state.checkpoint);
            let cells = due
                .into_iter()
                .filter_map(|key| table.one_key_cells.get(&key));
            cells.map(move |cells| (id, cells.clone()))
        })
        .collect();
    if keys.is_empty() {
        return None;
    }
    state.parked_changed = false;
    Some((keys, state.parks))
}

/// Has the rows read again and written. What cannot be done for all at once is done for each.
async fn read_again(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    keys: Vec<RepairKey>,
) -> Result<Repaired, EngineError> {
    let mut all = Repaired::default();
    let mut parts = vec![keys];
    while let Some(some) = parts.pop() {
        match repair::repair(session, requests, some.clone()).await {
            Ok(repaired) => {
                all.rows += repaired.rows;
                all.late += repaired.late;
            }
            Err(error) if may_pass(&error) => return Err(error),
            Err(_) if some.len() > 1 => parts.extend(some.into_iter().map(|key| vec![key])),
            // said of this row, not of the stream
            Err(error) => tracing::warn!(%error, "a parked row could not be read again"),
        }
    }
    Ok(all)
}

/// Notes a try; `parks` where it was one of all that were parked then.
fn tried(session: &Session, parks: Option<u64>, rows: u64) {
    {
        let mut state = session.lock();
        state.parked_tried = parks.unwrap_or(state.parked_tried);
        for table in &mut state.tables {
            let frontier = &table.frontier;
            table.refusals.retain(|key, _| frontier.is_parked(key));
        }
    }
    session.notify();
    if rows > 0 {
        session.observer.event(&Event::Warning {
            what: format!(
                "{rows} rows that had been refused were taken by the target; `crossfade verify` shows that they are equal"
            ),
        });
    }
}
