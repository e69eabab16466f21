//! Bounds of a presented key as bounds of the table's own, and back.
//!
//! A presented key is the table's own with the same columns, and perhaps others that are the same in every row: both are in the
//! same order.

use crossfade_model::{Cell, KeyError, Row};
use crossfade_store::{Bound, ChunkRange};

use crate::table::{MappedTable, MappingError};

/// The range of the table below that holds the rows of a presented range.
///
/// # Errors
/// A bound that is no key.
pub(crate) fn below(table: &MappedTable, range: &ChunkRange) -> Result<ChunkRange, MappingError> {
    Ok(match range {
        ChunkRange::Keys { low, high } => ChunkRange::Keys {
            low: low.as_ref().map(|b| bound_below(table, b)).transpose()?,
            high: high.as_ref().map(|b| bound_below(table, b)).transpose()?,
        },
        other => other.clone(),
    })
}

fn bound_below(table: &MappedTable, bound: &Bound) -> Result<Bound, MappingError> {
    let mut presented = vec![Cell::Null; table.presented_key.iter().max().map_or(0, |m| m + 1)];
    for (&at, cell) in table.presented_key.iter().zip(&bound.cells) {
        presented[at] = cell.clone();
    }
    let row = table.raw_key_row(&Row(presented));
    let places = table.raw.source.key_places();
    Ok(Bound {
        key: table.raw_encoder.key_of(&row).map_err(no_key)?,
        cells: cells_at(&row, places),
    })
}

/// A bound of the table below as one of the presented table.
///
/// # Errors
/// A bound that is no key.
pub(crate) fn above(table: &MappedTable, bound: &Bound) -> Result<Bound, MappingError> {
    let mut raw = vec![Cell::Null; table.raw.source.captured().count()];
    let places = table.raw.source.key_places();
    for (&at, cell) in places.iter().zip(&bound.cells) {
        if let Some(to) = raw.get_mut(at) {
            *to = cell.clone();
        }
    }
    let row = table.key_row(&Row(raw))?;
    Ok(Bound {
        key: table.encoder.key_of(&row).map_err(no_key)?,
        cells: cells_at(&row, &table.presented_key),
    })
}

fn cells_at(row: &Row, places: &[usize]) -> Vec<Cell> {
    let cell = |&at: &usize| row.0.get(at).cloned().unwrap_or(Cell::Null);
    places.iter().map(cell).collect()
}

fn no_key(error: KeyError) -> MappingError {
    MappingError::Value {
        column: "key".to_owned(),
        what: error.to_string(),
    }
}
