//! Whether the file still says what a migration that has begun was planned with.

use crossfade_expression::Expression;
use crossfade_model::{Finding, TableMapping};

use super::{as_text, with_loss};
use crate::table_entry::{ColumnEntry, Lossy, TableEntry};

/// What the file says of a table that a migration which has begun maps otherwise.
pub(in crate::assemble) fn drift(
    mapping: &TableMapping,
    entry: Option<&TableEntry>,
) -> Option<Finding> {
    let filter = mapping.origin.as_ref().and_then(|o| o.filter.clone());
    let written = entry
        .and_then(|e| e.filter.as_ref())
        .map(|f| f.expression.text().to_owned());
    let what = if filter != written {
        "`where` is not what it was"
    } else if entry.is_some_and(|e| e.drop.iter().any(|d| carries(mapping, &d.text))) {
        "`drop` names a column that is moved"
    } else if entry.is_some_and(|e| e.columns.iter().any(|c| !is_made_so(mapping, c))) {
        "[table.columns] is not what it was"
    } else {
        return None;
    };
    Some(
        Finding::blocks(
            "drift.file",
            "file",
            format!("the migration has begun, and {what}"),
        )
        .table(mapping.source.name.to_string())
        .fix("put the file back, or `abort` and begin again"),
    )
}

/// Whether a column of the source is carried as it is.
fn carries(mapping: &TableMapping, name: &str) -> bool {
    let column = Expression::column(name);
    match &mapping.origin {
        Some(origin) => origin.columns.iter().any(|text| text == column.text()),
        None => mapping.columns.iter().any(|c| c.source == name),
    }
}

fn is_made_so(mapping: &TableMapping, entry: &ColumnEntry) -> bool {
    let Some(at) = mapping
        .columns
        .iter()
        .position(|c| c.target == entry.name.text)
    else {
        return false;
    };
    match &mapping.origin {
        Some(origin) => {
            let was = origin
                .columns
                .get(at)
                .and_then(|text| Expression::parse(text).ok());
            let is = |made: Result<Expression, String>| made.is_ok_and(|made| was == Some(made));
            is(with_loss(entry)) || entry.lossy == Some(Lossy::Accept) && is(as_text(entry))
        }
        None => entry.made.expression.as_column() == Some(mapping.columns[at].source.as_str()),
    }
}
