//! Measures of a table's columns. SQLite is in this process, and has no exact sums: its values are taken as they are stepped
//! through.

use crossfade_model::TableMapping;
use crossfade_store::aggregates::Measuring;
use crossfade_store::sums::no_form;
use crossfade_store::{Aggregates, Result};
use rusqlite::Connection;

use crate::blocks::CellReader;
use crate::conn::Place;
use crate::sql::names::{quote, quote_all};

/// Measures `columns` (names in mapping order) of a table; see [`crossfade_store::SourceSnapshot::aggregates`].
pub(crate) fn measure<'a>(
    place: &Place,
    connection: &Connection,
    mapping: &TableMapping,
    (table, clause): (&str, &str),
    columns: impl Iterator<Item = &'a str>,
) -> Result<Aggregates> {
    let failed = |e| place.failed("cannot measure the columns")(e).table(table);
    let sql = format!(
        "SELECT {} FROM {}{clause}",
        quote_all(columns),
        quote(table)
    );
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let width = mapping.columns.len();
    let mut measuring: Vec<Measuring> = (0..width).map(|at| Measuring::new(mapping, at)).collect();
    let mut reader = CellReader::default();
    let mut rows = statement.raw_query();
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        count += 1;
        for (at, column) in measuring.iter_mut().enumerate() {
            let cell = reader.cell(row.get_ref(at).map_err(failed)?);
            column
                .add(&cell)
                .map_err(|e| no_form(mapping, at, &e.to_string(), &place.label))?;
        }
    }
    Ok(Aggregates {
        rows: count,
        columns: measuring.into_iter().map(Measuring::cells).collect(),
    })
}
