//! A table that was altered on the source: how the run ends, and what the next one must copy anew.

use crossfade_model::{Position, Table, TableId, TableMapping};
use crossfade_plan::Plan;
use crossfade_store::Source;

use crate::error::EngineError;
use crate::session::Altered;

/// The end of a run at an altered table, everything up to `checkpoint` applied.
pub(crate) fn stop(
    source: &dyn Source,
    tables: &[TableMapping],
    checkpoint: Position,
    altered: Altered,
) -> EngineError {
    if !is_mapped(tables, &altered) {
        return gap(altered);
    }
    EngineError::Stopped {
        code: "capture.schema_changed",
        table: Some(altered.table),
        key: None,
        what: format!(
            "the table was altered on the source after position {}: {}. Everything before is applied",
            source.show_position(checkpoint),
            altered.what
        ),
        fix: "Make the same change on the target, then `run` again".to_owned(),
    }
}

fn is_mapped(tables: &[TableMapping], altered: &Altered) -> bool {
    tables
        .iter()
        .any(|t| t.source.name.to_string() == altered.table)
}

/// What carries the changes was altered, and no table: nobody knows which changes the log lacks since.
fn gap(altered: Altered) -> EngineError {
    EngineError::Stopped {
        code: "capture.gap",
        table: None,
        key: None,
        what: format!(
            "{}: {}. Changes made since may be missing from the log",
            altered.table, altered.what
        ),
        fix: "`abort` and begin again".to_owned(),
    }
}

/// The tables that a run under the new plan copies anew, after the run before ended at an altered table.
///
/// A column's change is followed: the operator has made the same one on the target. Whatever else is altered (partitions that
/// came or went with their rows, a table that was not logged for a while) moves rows past the log, and so does a table that took another's
/// name or rows, whatever columns it has.
///
/// # Errors
/// The log may have a gap.
pub(crate) fn to_copy_anew(
    old: &Plan,
    new: &Plan,
    altered: &Altered,
) -> Result<Vec<TableId>, EngineError> {
    if !is_mapped(&new.tables, altered) {
        return Err(gap(altered.clone()));
    }
    let mut anew = Vec::new();
    for (was, is) in old.tables.iter().zip(&new.tables) {
        let name = is.source.name.to_string();
        let named = name == altered.table;
        let past_the_log =
            altered.moved.contains(&name) || (named && columns(&was.source) == columns(&is.source));
        if !past_the_log && partitions(&was.source) == partitions(&is.source) {
            continue;
        }
        anew.push(is.id);
    }
    Ok(anew)
}

fn columns(table: &Table) -> Vec<(&str, &str)> {
    table
        .captured()
        .map(|c| (c.name.as_str(), c.declared.as_str()))
        .collect()
}

fn partitions(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = table
        .partitions
        .iter()
        .map(|p| format!("{} {}", p.name, p.bound))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
#[path = "altered_tests.rs"]
mod tests;
