//! What one captured change of a table becomes by a mapping.
//!
//! A row that enters or leaves the filter comes or goes. Where the log does not say what a row was before, it counts as one
//! that was there: writing it whole and deleting it are the same whether it was or not.

use crossfade_model::{Cell, Change, Row, TableId};

use crate::limits::Place;

use crate::table::{Image, MappedTable, MappingError};

/// Appends what `change`, a change of the table as it is, becomes by this mapping.
///
/// # Errors
/// Values that have no result.
pub(crate) fn mapped(
    table: &MappedTable,
    change: &Change,
    out: &mut Vec<Change>,
) -> Result<(), MappingError> {
    let id = table.id;
    match change {
        Change::Insert { row, .. } => match table.row(row)? {
            Some(row) => out.push(Change::Insert { table: id, row }),
            None => out.push(Change::Filtered { table: id }),
        },
        Change::Upsert { row, .. } => match table.row(row)? {
            Some(row) => out.push(Change::Upsert { table: id, row }),
            None if table.place(&table.raw_key_only(row))? == Place::Elsewhere => {
                out.push(Change::Filtered { table: id });
            }
            None => out.push(gone(table, row)?),
        },
        Change::Delete { before, .. } => delete(table, before, out)?,
        Change::Update { before, row, .. } if table.keyed => {
            update(table, before.as_ref(), row, out)?;
        }
        Change::Update { before, row, .. } => keyless_update(table, before.as_ref(), row, out)?,
        Change::Unclear { key, .. } => out.push(unclear(table, key)?),
        Change::Filtered { .. } => out.push(Change::Filtered { table: id }),
        Change::Truncate { .. } => out.push(Change::Truncate { tables: vec![id] }),
        Change::TruncatePartitions { .. } => out.push(Change::TruncatePartitions { table: id }),
    }
    Ok(())
}

/// The table that a change is of; a truncate may be of several.
pub(crate) fn tables_of(change: &Change) -> &[TableId] {
    match change {
        Change::Insert { table, .. }
        | Change::Update { table, .. }
        | Change::Upsert { table, .. }
        | Change::Delete { table, .. }
        | Change::Unclear { table, .. }
        | Change::Filtered { table }
        | Change::TruncatePartitions { table } => std::slice::from_ref(table),
        Change::Truncate { tables } => tables,
    }
}

/// The raw key of the row that a change leaves; `None` where it leaves none, or does not say.
pub(crate) fn raw_key(table: &MappedTable, change: &Change) -> Option<Row> {
    let (before, row) = match change {
        Change::Insert { row, .. } | Change::Upsert { row, .. } => (None, row),
        Change::Update { before, row, .. } => (before.as_ref(), row),
        _ => return None,
    };
    let row = completed(table, before, None, row);
    let key = table.raw.key_only(&row);
    (table.raw.source.key.is_some() && key.is_complete()).then_some(key)
}

fn gone(table: &MappedTable, raw: &Row) -> Result<Change, MappingError> {
    Ok(Change::Delete {
        table: table.id,
        before: table.key_row(raw)?,
    })
}

fn unclear(table: &MappedTable, raw: &Row) -> Result<Change, MappingError> {
    Ok(Change::Unclear {
        table: table.id,
        key: table.key_row(raw)?,
    })
}

/// Whether the log has brought the old row whole. Where it has not, all but the key's cells are NULL: an old row that is NULL
/// but for its key counts as one that is not known.
fn is_whole(table: &MappedTable, before: &Row) -> bool {
    let key = table.raw.source.key_places();
    let mut others = before
        .0
        .iter()
        .enumerate()
        .filter(|(at, _)| !key.contains(at));
    others.any(|(_, cell)| !matches!(cell, Cell::Null | Cell::Unchanged))
}

fn delete(table: &MappedTable, before: &Row, out: &mut Vec<Change>) -> Result<(), MappingError> {
    let filtered = Change::Filtered { table: table.id };
    if !table.keyed {
        let row = table.row(before)?;
        out.push(row.map_or(filtered, |before| Change::Delete {
            table: table.id,
            before,
        }));
        return Ok(());
    }
    out.push(if never_there(&was(table, before)?) {
        filtered
    } else {
        gone(table, before)?
    });
    Ok(())
}

/// Where an old row was, by as much of it as the log has brought.
fn was(table: &MappedTable, before: &Row) -> Result<Place, MappingError> {
    match is_whole(table, before) {
        true => table.place(before),
        false => table.place(&table.raw_key_only(before)),
    }
}

/// Whether the other side has never had a row of its key.
fn never_there(place: &Place) -> bool {
    matches!(place, Place::Elsewhere | Place::Nobodys(_))
}

/// Of a table with a key.
fn update(
    table: &MappedTable,
    before: Option<&Row>,
    row: &Row,
    out: &mut Vec<Change>,
) -> Result<(), MappingError> {
    let whole_before = before.filter(|before| is_whole(table, before));
    let row = completed(table, before, whole_before, row);
    // where the log says nothing of the old row, its key is that of the new one
    let was = was(table, before.unwrap_or(&table.raw_key_only(&row)))?;
    let old_key = before.map(|before| table.key_row(before)).transpose()?;
    let new_key = table.key_row(&row)?;
    let moved = old_key.filter(|old| *old != new_key);
    let id = table.id;
    let image = match table.place(&row)? {
        Place::Elsewhere if never_there(&was) => {
            out.push(Change::Filtered { table: id });
            return Ok(());
        }
        Place::Elsewhere => None,
        Place::Nobodys(what) => return Err(MappingError::Nobodys { what }),
        Place::Unknown => Some(Image::Unclear),
        Place::Nowhere(why) => Some(Image::Row(table.unfit(&row, &why)?)),
        Place::Here => Some(table.image(&row)?),
    };
    match image {
        // the row is not moved any more, under its old key or its own
        None => out.push(Change::Delete {
            table: id,
            before: moved.unwrap_or(new_key),
        }),
        // it was there: its columns that the image lacks can be carried over
        Some(Image::Row(row)) if was == Place::Here => out.push(Change::Update {
            table: id,
            before: moved,
            row,
        }),
        Some(Image::Row(row)) if row.is_complete() => match moved {
            // it may have been there: what the target has of it besides is under the old key
            Some(before) if !never_there(&was) => out.push(Change::Update {
                table: id,
                before: Some(before),
                row,
            }),
            moved => {
                out.extend(moved.map(|before| Change::Delete { table: id, before }));
                out.push(Change::Upsert { table: id, row });
            }
        },
        Some(_) => {
            out.extend(moved.map(|before| Change::Delete { table: id, before }));
            out.push(Change::Unclear {
                table: id,
                key: new_key,
            });
        }
    }
    Ok(())
}

/// The new image with what the old one can give: everything where that is whole, else the key.
fn completed<'a>(
    table: &MappedTable,
    before: Option<&Row>,
    whole_before: Option<&Row>,
    row: &'a Row,
) -> std::borrow::Cow<'a, Row> {
    if row.is_complete() {
        return std::borrow::Cow::Borrowed(row);
    }
    let mut filled = row.clone();
    if let Some(before) = whole_before {
        filled.fill_unchanged_from(before);
    } else if let Some(before) = before {
        for &at in table.raw.source.key_places() {
            if let (Some(cell), Some(old)) = (filled.0.get_mut(at), before.0.get(at))
                && matches!(cell, Cell::Unchanged)
            {
                *cell = old.clone();
            }
        }
    }
    std::borrow::Cow::Owned(filled)
}

fn keyless_update(
    table: &MappedTable,
    before: Option<&Row>,
    row: &Row,
    out: &mut Vec<Change>,
) -> Result<(), MappingError> {
    let id = table.id;
    let Some(before) = before else {
        // the engine says what is missing
        out.push(Change::Update {
            table: id,
            before: None,
            row: row.clone(),
        });
        return Ok(());
    };
    let row = completed(table, Some(before), Some(before), row);
    out.push(match (table.row(before)?, table.row(&row)?) {
        (None, None) => Change::Filtered { table: id },
        (Some(before), None) => Change::Delete { table: id, before },
        (None, Some(row)) => Change::Insert { table: id, row },
        (Some(before), Some(row)) => Change::Update {
            table: id,
            before: Some(before),
            row,
        },
    });
    Ok(())
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
