//! Whether a capture still holds everything from a checkpoint on.

use crossfade_store::{CaptureSpec, ErrorKind, Result, StoreError};
use rusqlite::Connection;

use crate::capture::names::change_table;
use crate::capture::state::{self, Captured, Shape, State, log_lost};
use crate::conn::Place;
use crate::sql::names::quote;

/// Checks that the stream after `from` is whole, and takes over tables that were altered where the plan knows them.
pub(crate) fn open(
    place: &Place,
    connection: &Connection,
    spec: &CaptureSpec,
    from: u64,
) -> Result<State> {
    let mut state = state::read(connection, place, &spec.migration)?;
    check_tables(place, spec, &state.tables)?;
    check_position(place, connection, &spec.migration, &state, from)?;
    adopt(place, connection, spec, &mut state.tables)?;
    Ok(state)
}

fn check_tables(place: &Place, spec: &CaptureSpec, captured: &[Captured]) -> Result<()> {
    for mapping in &spec.tables {
        let known = captured
            .iter()
            .any(|c| c.id == mapping.id && c.name.eq_ignore_ascii_case(&mapping.source.name.name));
        if !known {
            return Err(place
                .error(
                    ErrorKind::SchemaMismatch,
                    "sqlite.not_captured",
                    "the capture was made without this table",
                )
                .table(&mapping.source.name)
                .fix("Abort the migration and begin it again to add a table"));
        }
    }
    Ok(())
}

fn check_position(
    place: &Place,
    connection: &Connection,
    migration: &str,
    state: &State,
    from: u64,
) -> Result<()> {
    let failed = place.failed("cannot look for the checkpoint");
    if let Shape::Triggers(names) =
        state::check_shape(connection, &state.tables).map_err(&failed)?
    {
        return Err(triggers_lost(place, &names));
    }
    if from < state.start {
        return Err(log_lost(
            place,
            "the capture was made again after the target's checkpoint",
        ));
    }
    if from < state.trimmed {
        return Err(log_lost(
            place,
            "changes after the target's checkpoint were removed: the source was told of more progress",
        ));
    }
    let last = state::last_sequence(connection, migration).map_err(&failed)?;
    let last = last.ok_or_else(|| log_lost(place, "the change table was emptied"))?;
    if last < from {
        return Err(set_back(place));
    }
    // the row at the checkpoint is never removed
    let there = connection
        .prepare(&format!(
            "SELECT 1 FROM {} WHERE seq = ?1",
            quote(&change_table(migration))
        ))
        .and_then(|mut s| s.exists([from]))
        .map_err(&failed)?;
    if there {
        Ok(())
    } else {
        Err(log_lost(
            place,
            "the change that the target's checkpoint names is not in the change table",
        ))
    }
}

/// A run that goes on after a table was altered, under a plan that knows the table as it is now.
fn adopt(
    place: &Place,
    connection: &Connection,
    spec: &CaptureSpec,
    tables: &mut [Captured],
) -> Result<()> {
    let adopted = state::adopt(connection, &spec.migration, &spec.tables, tables)
        .map_err(place.failed("cannot take over the altered table"))?;
    if adopted {
        tracing::info!(store = %place.label, "the capture goes on with altered tables");
    }
    Ok(())
}

/// The error for a log that ends before the checkpoint.
pub(crate) fn set_back(place: &Place) -> StoreError {
    log_lost(
        place,
        "the change table ends before the target's checkpoint: the file was restored from an older copy",
    )
}

/// The error for triggers that are not as they were made.
pub(crate) fn triggers_lost(place: &Place, names: &[String]) -> StoreError {
    log_lost(
        place,
        format!(
            "triggers that log changes were dropped or altered (a table rebuild drops them): {}",
            names.join(", ")
        ),
    )
}
