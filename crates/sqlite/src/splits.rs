//! Where a table is cut: bounds between chunks, and physical parts.

use crossfade_model::{Cell, Key, Row, TableMapping};
use crossfade_store::{Bound, ErrorKind, Result};
use rusqlite::Connection;

use crate::blocks::{CellReader, bind};
use crate::conn::Place;
use crate::key_sql::{self, KeyColumn};
use crate::snapshot::{WHOLE, keyed};
use crate::sql::names::{quote, quote_all, same_name};
use crate::table_info::TableInfo;

/// Bounds at equal spans of a dense integer key; else at equal numbers of rows, by a pass over the key's index, which does
/// not mind gaps between keys.
pub(crate) fn bounds(
    place: &Place,
    connection: &Connection,
    mapping: &TableMapping,
    chunks: usize,
) -> Result<Vec<Bound>> {
    let (info, key) = keyed(place, connection, &mapping.source.name.name)?;
    let failed = |e| place.failed("cannot split the table")(e).table(&info.name);
    let even = even_steps(
        connection,
        &info,
        &key,
        mapping.source.estimated_rows,
        chunks,
    );
    let rows = match even.map_err(failed)? {
        Some(rows) => rows,
        None => key_steps(connection, &info, &key, chunks).map_err(failed)?,
    };
    let positions = mapping.source.key_places();
    let width = mapping.columns.len();
    rows.into_iter()
        .map(|cells| {
            let mut row = Row(vec![Cell::Null; width]);
            for (at, cell) in positions.iter().zip(&cells) {
                if let Some(place) = row.0.get_mut(*at) {
                    *place = cell.clone();
                }
            }
            let key: Key = mapping.key_of(&row).map_err(|e| {
                place
                    .error(ErrorKind::SchemaMismatch, "sqlite.key", e.to_string())
                    .table(&info.name)
            })?;
            Ok(Bound { key, cells })
        })
        .collect()
}

/// Where an integer that is the rowid is the key and its values fill at least half of their span: bounds at equal spans, for
/// which no row is read. No chunk then holds more than about twice as many rows as was asked for.
fn even_steps(
    connection: &Connection,
    info: &TableInfo,
    key: &[KeyColumn],
    rows: u64,
    chunks: usize,
) -> rusqlite::Result<Option<Vec<Vec<Cell>>>> {
    let ([column], Some(alias)) = (key, info.rowid_alias()) else {
        return Ok(None);
    };
    if !same_name(&column.name, &alias.name) {
        return Ok(None);
    }
    let (table, name) = (quote(&info.name), quote(&column.name));
    // two queries, each one step at an end of the tree
    let ends: (Option<i64>, Option<i64>) = connection.query_row(
        &format!("SELECT (SELECT min({name}) FROM {table}), (SELECT max({name}) FROM {table})"),
        [],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )?;
    let (Some(first), Some(last)) = ends else {
        return Ok(Some(Vec::new()));
    };
    let span = i128::from(last) - i128::from(first) + 1;
    if span > i128::from(rows) * 2 {
        return Ok(None);
    }
    let mut values: Vec<i64> = (1..chunks as i128)
        .filter_map(|at| i64::try_from(i128::from(first) + span * at / chunks as i128).ok())
        .filter(|value| *value > first)
        .collect();
    values.dedup();
    Ok(Some(
        values.into_iter().map(|v| vec![Cell::Integer(v)]).collect(),
    ))
}

fn key_steps(
    connection: &Connection,
    info: &TableInfo,
    key: &[KeyColumn],
    chunks: usize,
) -> rusqlite::Result<Vec<Vec<Cell>>> {
    let table = quote(&info.name);
    let rows: u64 =
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0))?;
    let step = rows.div_ceil(chunks.max(1) as u64).max(1);
    let select = quote_all(key.iter().map(|c| c.name.as_str()));
    let order = key_sql::order_by(key);
    let mut first = connection.prepare(&format!(
        "SELECT {select} FROM {table} ORDER BY {order} LIMIT 1 OFFSET ?1"
    ))?;
    let mut next = connection.prepare(&format!(
        "SELECT {select} FROM {table} WHERE {} > {} ORDER BY {order} LIMIT 1 OFFSET ?{}",
        key_sql::ordered(key),
        key_sql::parameters(key.len(), 1),
        key.len() + 1
    ))?;
    let mut reader = CellReader::default();
    let mut out: Vec<Vec<Cell>> = Vec::new();
    while out.len() + 1 < chunks {
        let statement = match out.last() {
            None => {
                first.raw_bind_parameter(1, step)?;
                &mut first
            }
            Some(last) => {
                bind(&mut next, 1, last)?;
                next.raw_bind_parameter(key.len() + 1, step - 1)?;
                &mut next
            }
        };
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => out.push(reader.row(row, key.len())?.0),
            None => break,
        }
    }
    Ok(out)
}

/// Parts by rowid, `rowid:name:low:high` with an open side empty; one part where the table has no rowid to name.
pub(crate) fn rowid_parts(
    connection: &Connection,
    info: &TableInfo,
    parts: usize,
) -> rusqlite::Result<Vec<String>> {
    let Some(rowid) = info.rowid_name() else {
        return Ok(vec![WHOLE.to_owned()]);
    };
    let key = [KeyColumn {
        name: rowid.to_owned(),
        collation: "BINARY".to_owned(),
        column_collation: "BINARY".to_owned(),
    }];
    let mut starts: Vec<String> = vec![String::new()];
    for cells in key_steps(connection, info, &key, parts)? {
        if let Some(Cell::Integer(at)) = cells.first() {
            starts.push(at.to_string());
        }
    }
    starts.push(String::new());
    Ok(starts
        .windows(2)
        .map(|w| format!("rowid:{rowid}:{}:{}", w[0], w[1]))
        .collect())
}
