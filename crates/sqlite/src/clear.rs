//! Ranges of the source's keys in a target table.

use crossfade_model::{Cell, LogicalType};
use crossfade_store::{Bound, ChunkRange, ErrorKind, Result};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use crate::blocks::{CellReader, Parameter};
use crate::cells::source_key;
use crate::snapshot::key_condition;
use crate::sql::names::{quote, quote_all};
use crate::table_plan::TablePlan;

/// Name of the function that orders target rows as the source does; known in our connections only.
const ORDER_FUNCTION: &str = "crossfade_source_key";

/// Deletes the rows of a range.
pub(crate) fn clear(conn: &Connection, plan: &TablePlan, range: &ChunkRange) -> Result<()> {
    let (condition, values) = range_condition(conn, plan, range)?;
    let sql = format!("DELETE FROM {}{condition}", quote(&plan.table));
    conn.execute(&sql, params_from_iter(values.iter().map(Parameter)))
        .map(|_| ())
        .map_err(|e| plan.row_failed(e))
}

/// The WHERE clause of a range of the source's keys in the target's table, with its parameters. Good on this connection only.
pub(crate) fn range_condition(
    conn: &Connection,
    plan: &TablePlan,
    range: &ChunkRange,
) -> Result<(String, Vec<Cell>)> {
    let (mut condition, values) = range_of_keys(conn, plan, range)?;
    // the rows of others stay out
    if let Some(own) = &plan.own {
        condition.push_str(if condition.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        condition.push_str(own);
    }
    Ok((condition, values))
}

fn range_of_keys(
    conn: &Connection,
    plan: &TablePlan,
    range: &ChunkRange,
) -> Result<(String, Vec<Cell>)> {
    match range {
        ChunkRange::All => Ok((String::new(), Vec::new())),
        ChunkRange::Part(_) => Err(plan
            .place
            .error(
                ErrorKind::Unsupported,
                "sqlite.clear_part",
                "a physical part of the source cannot be found again in the target",
            )
            .table(&plan.table)),
        ChunkRange::Keys { low, high } if is_ordered_alike(plan, [low, high]) => {
            ordered(plan, low.as_ref(), high.as_ref())
        }
        ChunkRange::Keys { low, high } => {
            by_source_order(conn, plan, low.as_ref(), high.as_ref()).map_err(|e| plan.row_failed(e))
        }
    }
}

/// SQLite orders the kept values as the source orders its own.
fn is_ordered_alike(plan: &TablePlan, bounds: [&Option<Bound>; 2]) -> bool {
    let text_forms = bounds
        .iter()
        .filter_map(|b| b.as_ref())
        .flat_map(|b| &b.cells)
        .any(|c| matches!(c, Cell::TextForm(_)));
    !text_forms
        || plan.key_logical.iter().all(|logical| {
            matches!(
                logical,
                LogicalType::Integer { .. }
                    | LogicalType::Boolean
                    | LogicalType::Bytes
                    | LogicalType::Uuid
            )
        })
}

fn ordered(
    plan: &TablePlan,
    low: Option<&Bound>,
    high: Option<&Bound>,
) -> Result<(String, Vec<Cell>)> {
    let (condition, cells) = key_condition(&plan.key, low, high);
    let converted = cells.iter().enumerate().map(|(n, cell)| {
        // bounds come one after another, each in key order
        let place = plan.key_places.get(n % plan.key_places.len().max(1));
        let place = place.copied().unwrap_or(usize::MAX);
        plan.conversions
            .get(place)
            .and_then(|conversion| crate::cells::convert(*conversion, cell).ok())
            .map(|value| owned(&value))
            .ok_or_else(|| plan.unfit(place))
    });
    Ok((condition, converted.collect::<Result<_>>()?))
}

fn owned(value: &ToSqlOutput<'_>) -> Cell {
    let mut reader = CellReader::default();
    match value {
        ToSqlOutput::Borrowed(value) => reader.cell(*value),
        ToSqlOutput::Owned(value) => reader.cell(value.into()),
        _ => Cell::Null,
    }
}

/// Reads every key: for texts whose order here is not that of the source (dates beyond the year 9999, BC, infinity).
fn by_source_order(
    conn: &Connection,
    plan: &TablePlan,
    low: Option<&Bound>,
    high: Option<&Bound>,
) -> rusqlite::Result<(String, Vec<Cell>)> {
    let logical = plan.key_logical.clone();
    conn.create_scalar_function(
        ORDER_FUNCTION,
        -1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        move |context| {
            let columns = logical.iter().copied().enumerate().map(|(n, logical)| {
                let value = if n < context.len() {
                    context.get_raw(n)
                } else {
                    ValueRef::Null
                };
                (logical, value)
            });
            Ok(source_key(columns))
        },
    )?;
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    let call = format!(
        "{ORDER_FUNCTION}({})",
        quote_all(plan.key.iter().map(|k| k.name.as_str()))
    );
    for (bound, operator) in [(low, ">="), (high, "<")] {
        if let Some(bound) = bound {
            parameters.push(Cell::Blob(bound.key.0.clone()));
            conditions.push(format!("{call} {operator} ?{}", parameters.len()));
        }
    }
    if conditions.is_empty() {
        return Ok((String::new(), parameters));
    }
    Ok((format!(" WHERE {}", conditions.join(" AND ")), parameters))
}
