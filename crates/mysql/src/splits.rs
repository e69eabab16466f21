//! Where a table is cut: bounds between chunks of an ordered key, and parts of any key in the server's own order.
//!
//! A table is stored by its key, so that a range of keys is a physical part too; and it is a better one than others: a row that
//! was not changed keeps its key, wherever it lies. Keys whose comparison with a literal is not by the order in which the server
//! sorts them (`enum` by numbers, JSON) are one part.

use crossfade_model::{Canonical, Cell, Row, TableMapping};
use crossfade_store::{Bound, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::cells;
use crate::connect::Client;
use crate::plan::{Plan, beyond};
use crate::read::Rows;
use crate::types::Kind;

/// The word for a table that is one part.
const WHOLE: &str = "all";

const DOING: &str = "splitting a table";

/// A part's ends: from the first inclusive to the second exclusive.
#[derive(Debug, Serialize, Deserialize)]
struct Ends {
    low: Option<Vec<Cell>>,
    high: Option<Vec<Cell>>,
}

/// The literals of key cells in this store's own form.
fn literals(plan: &Plan, cells: &[Cell]) -> Option<Vec<String>> {
    if cells.len() != plan.key.len() || cells.is_empty() {
        return None;
    }
    plan.key
        .iter()
        .zip(cells)
        .map(|(&place, cell)| {
            let mut literal = String::new();
            let column = plan.columns.get(place)?;
            cells::write_literal(column.kind, Canonical::Exact, cell, &mut literal).ok()?;
            Some(literal)
        })
        .collect()
}

fn key_columns(plan: &Plan, exact: bool) -> Vec<String> {
    plan.key
        .iter()
        .filter_map(|&place| plan.columns.get(place))
        .map(|c| {
            if exact {
                plan.ordered(c)
            } else {
                c.quoted.clone()
            }
        })
        .collect()
}

/// A part's word as a condition.
pub(crate) fn condition(plan: &Plan, word: &str) -> Option<String> {
    if word == WHOLE {
        return Some("TRUE".to_owned());
    }
    let ends: Ends = serde_json::from_str(word).ok()?;
    let columns = key_columns(plan, false);
    let mut out = Vec::new();
    if let Some(low) = &ends.low {
        out.push(beyond(&columns, &literals(plan, low)?, ">", ">="));
    }
    if let Some(high) = &ends.high {
        out.push(beyond(&columns, &literals(plan, high)?, "<", "<"));
    }
    Some(if out.is_empty() {
        "TRUE".to_owned()
    } else {
        out.join(" AND ")
    })
}

/// Parts of a table.
pub(crate) async fn parts(client: &mut Client, plan: &Plan, parts: usize) -> Result<Vec<String>> {
    let sorted_as_compared = plan.key.iter().all(|&place| {
        plan.columns.get(place).is_some_and(|c| {
            matches!(
                c.kind,
                Kind::Integer { .. }
                    | Kind::Year
                    | Kind::Decimal { .. }
                    | Kind::Text { .. }
                    | Kind::Bytes { .. }
                    | Kind::Date
                    | Kind::Datetime { .. }
                    | Kind::Timestamp { .. }
            )
        })
    });
    if plan.key.is_empty() || !sorted_as_compared {
        return Ok(vec![WHOLE.to_owned()]);
    }
    let steps = steps(client, plan, parts, false).await?;
    let mut words = Vec::with_capacity(steps.len() + 1);
    let mut low = None;
    for high in steps.into_iter().map(Some).chain(std::iter::once(None)) {
        let ends = Ends {
            low: low.clone(),
            high: high.clone(),
        };
        words.push(
            serde_json::to_string(&ends)
                .map_err(|e| plan.fault(ErrorKind::Internal, "mysql.part", e.to_string()))?,
        );
        low = high;
    }
    Ok(words)
}

/// Bounds of chunks of an ordered key.
pub(crate) async fn bounds(
    client: &mut Client,
    plan: &Plan,
    mapping: &TableMapping,
    chunks: usize,
) -> Result<Vec<Bound>> {
    steps(client, plan, chunks, true)
        .await?
        .into_iter()
        .map(|cells| {
            let mut row = Row(vec![Cell::Null; mapping.columns.len()]);
            for (&place, cell) in plan.key.iter().zip(&cells) {
                if let Some(at) = row.0.get_mut(place) {
                    *at = cell.clone();
                }
            }
            let key = mapping
                .key_of(&row)
                .map_err(|e| plan.fault(ErrorKind::RowRefused, "mysql.key", e.to_string()))?;
            Ok(Bound { key, cells })
        })
        .collect()
}

/// Keys at about equal numbers of rows, without the first.
async fn steps(
    client: &mut Client,
    plan: &Plan,
    chunks: usize,
    exact: bool,
) -> Result<Vec<Vec<Cell>>> {
    if let Some(even) = even_steps(client, plan, chunks).await? {
        return Ok(even);
    }
    let count = client
        .text_row(DOING, &format!("SELECT COUNT(*) FROM {}", plan.quoted))
        .await
        .map_err(|e| e.table(&plan.table))?;
    let rows: u64 = count.and_then(|row| row.number(0)).unwrap_or(0);
    let step = rows.div_ceil(chunks.max(1) as u64).max(1);
    let columns = key_columns(plan, exact);
    let order = columns.join(", ");
    let mut out: Vec<Vec<Cell>> = Vec::new();
    while out.len() + 1 < chunks {
        let (clause, skipped) = match out.last() {
            None => (String::new(), step),
            Some(last) => {
                let literals = literals(plan, last).ok_or_else(|| {
                    plan.fault(ErrorKind::Internal, "mysql.key", "a key cannot be written")
                })?;
                (
                    format!(" WHERE {}", beyond(&columns, &literals, ">", ">")),
                    step - 1,
                )
            }
        };
        let sql = format!(
            "SELECT {} FROM {}{clause} ORDER BY {order} LIMIT 1 OFFSET {skipped}",
            selected_key(plan),
            plan.quoted
        );
        let mut found = Rows::begin(client, &sql, key_shape(plan))
            .await
            .map_err(|e| e.table(&plan.table))?;
        match found.row().await? {
            Some(row) => out.push(row.0),
            None => break,
        }
    }
    Ok(out)
}

fn selected_key(plan: &Plan) -> String {
    let columns: Vec<String> = plan
        .key
        .iter()
        .filter_map(|&place| plan.columns.get(place))
        .map(|c| cells::selected(&c.quoted, c.kind))
        .collect();
    columns.join(", ")
}

fn key_shape(plan: &Plan) -> Vec<(Kind, bool)> {
    plan.key
        .iter()
        .filter_map(|&place| plan.columns.get(place))
        .map(|c| (c.kind, false))
        .collect()
}

/// Where one integer is the key and its values fill at least half of their span: bounds at equal spans, for which no row is
/// read. No chunk then holds more than about twice as many rows as was asked for.
async fn even_steps(
    client: &mut Client,
    plan: &Plan,
    chunks: usize,
) -> Result<Option<Vec<Vec<Cell>>>> {
    let [place] = plan.key.as_slice() else {
        return Ok(None);
    };
    let Some(column) = plan.columns.get(*place) else {
        return Ok(None);
    };
    if !matches!(column.kind, Kind::Integer { .. }) {
        return Ok(None);
    }
    let name = &column.quoted;
    let ends = client
        .text_row(
            DOING,
            &format!(
                "SELECT MIN({name}), MAX({name}), (SELECT TABLE_ROWS FROM information_schema.TABLES
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {}) FROM {}",
                crate::names::literal(&plan.table.name),
                plan.quoted
            ),
        )
        .await
        .map_err(|e| e.table(&plan.table))?;
    let Some(ends) = ends else { return Ok(None) };
    let (Some(first), Some(last)) = (ends.number::<i128>(0), ends.number::<i128>(1)) else {
        return Ok(Some(Vec::new()));
    };
    let rows = ends.number::<i128>(2).unwrap_or(0);
    let span = last - first + 1;
    if span > rows * 2 {
        return Ok(None);
    }
    let mut values: Vec<i128> = (1..chunks as i128)
        .map(|at| first + span * at / chunks as i128)
        .filter(|value| *value > first)
        .collect();
    values.dedup();
    Ok(Some(
        values
            .into_iter()
            .map(|v| vec![Cell::TextForm(v.to_string().into())])
            .collect(),
    ))
}
