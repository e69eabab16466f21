//! Where to cut an ordered table: evenly where keys are dense integers, else at quantiles of a sample.

use bytes::Bytes;
use crossfade_model::{Cell, Column, LogicalType, Row, Table, TableMapping};
use crossfade_store::Bound;

use crate::names::quote_ident;

/// Sampled rows for each chunk.
const SAMPLES: u64 = 64;

/// Bytes of a page, as servers are usually built.
const PAGE: f64 = 8192.0;

/// Sampled rows at most.
const MOST_SAMPLES: u64 = 200_000;

/// The key's column where it is one integer.
#[must_use]
pub fn single_integer(mapping: &TableMapping) -> Option<&Column> {
    match mapping.source.key_columns()[..] {
        [column] if matches!(column.logical, LogicalType::Integer { .. }) => Some(column),
        _ => None,
    }
}

/// True where keys fill at least half of the span between the first and the last: equal spans then hold about equally many.
#[must_use]
pub fn is_dense(first: i64, last: i64, rows: u64) -> bool {
    let span = i128::from(last) - i128::from(first) + 1;
    span <= i128::from(rows) * 2
}

/// Bounds of equal spans.
#[must_use]
pub fn even(mapping: &TableMapping, first: i64, last: i64, chunks: usize) -> Vec<Bound> {
    let span = i128::from(last) - i128::from(first) + 1;
    let chunks = chunks as i128;
    let mut values: Vec<i64> = (1..chunks)
        .filter_map(|at| i64::try_from(i128::from(first) + span * at / chunks).ok())
        .filter(|value| *value > first)
        .collect();
    values.dedup();
    let cell = |value: i64| Cell::TextForm(Bytes::from(value.to_string()));
    values
        .into_iter()
        .filter_map(|value| bound(mapping, vec![cell(value)]))
        .collect()
}

/// The bound of these key cells.
fn bound(mapping: &TableMapping, cells: Vec<Cell>) -> Option<Bound> {
    let width = mapping.source.captured().count();
    let mut row = Row(vec![Cell::Null; width]);
    for (&at, cell) in mapping.source.key.as_ref()?.columns.iter().zip(&cells) {
        *row.0.get_mut(at)? = cell.clone();
    }
    let key = mapping.key_of(&row).ok()?;
    Some(Bound { key, cells })
}

/// A column of the sample: the key's, and NULL for the others, so that rows keep their places.
#[must_use]
pub fn sampled_column(mapping: &TableMapping, at: usize, column: &Column) -> String {
    let is_key = mapping
        .source
        .key
        .as_ref()
        .is_some_and(|key| key.columns.contains(&at));
    if is_key {
        quote_ident(&column.name)
    } else {
        "NULL".to_owned()
    }
}

/// Pages that a sample has at least: few pages say little about where keys lie.
const LEAST_PAGES: f64 = 200.0;

/// Per cent of the pages that hold about enough rows for `chunks`; from 0 to 100.
#[must_use]
pub fn sample_percent(table: &Table, chunks: usize) -> f64 {
    let wanted = (chunks as u64).saturating_mul(SAMPLES).min(MOST_SAMPLES) as f64;
    let by_rows = 100.0 * wanted / (table.estimated_rows.max(1) as f64);
    let by_pages = 100.0 * LEAST_PAGES * PAGE / (table.estimated_bytes.max(1) as f64);
    by_rows.max(by_pages).clamp(0.001, 100.0)
}

/// True where a sample of `percent` has too few rows, and a larger one has more.
#[must_use]
pub fn is_too_small(rows: usize, percent: f64, chunks: usize) -> bool {
    percent < 100.0 && rows < chunks.saturating_mul(8)
}

/// `TABLESAMPLE` of whole pages, and a bound on the rows.
#[must_use]
pub fn sample_clause(percent: f64) -> String {
    let limit = MOST_SAMPLES * 2;
    if percent >= 100.0 {
        return format!("LIMIT {limit}");
    }
    format!("TABLESAMPLE SYSTEM ({percent:.6}) LIMIT {limit}")
}

/// Bounds at quantiles of sampled rows, in the order of encoded keys. Fewer where the sample has few different keys.
#[must_use]
pub fn quantiles(mapping: &TableMapping, rows: Vec<Row>, chunks: usize) -> Vec<Bound> {
    let Some(key) = &mapping.source.key else {
        return Vec::new();
    };
    let mut sample: Vec<Bound> = rows
        .into_iter()
        .filter_map(|row| {
            let encoded = mapping.key_of(&row).ok()?;
            let cells = key.columns.iter().map(|&at| row.0.get(at).map(owned));
            Some(Bound {
                key: encoded,
                cells: cells.collect::<Option<_>>()?,
            })
        })
        .collect();
    sample.sort_by(|a, b| a.key.cmp(&b.key));
    sample.dedup_by(|a, b| a.key == b.key);
    let count = sample.len();
    let mut places: Vec<usize> = (1..chunks).map(|at| count * at / chunks).collect();
    places.dedup();
    places
        .into_iter()
        // a bound at the first key would leave the first chunk all but empty
        .filter(|place| *place > 0)
        .filter_map(|place| sample.get(place).cloned())
        .collect()
}

/// A copy that does not keep the network buffer alive.
fn owned(cell: &Cell) -> Cell {
    match cell {
        Cell::TextForm(text) => Cell::TextForm(Bytes::copy_from_slice(text)),
        other => other.clone(),
    }
}
