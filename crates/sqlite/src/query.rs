//! Queries that the operator wrote.

use crossfade_store::query::{ColumnClass, Query, QueryColumn};
use crossfade_store::{ErrorKind, Result};
use rusqlite::Connection;

use crate::blocks::start_query;
use crate::conn::{Place, Shared};

/// What a query gives, without running it. Within another, it can be but one, and one that only reads.
pub(crate) fn columns(
    place: &Place,
    connection: &Connection,
    sql: &str,
) -> Result<Vec<QueryColumn>> {
    let statement = connection.prepare(&within(sql)).map_err(|e| {
        let what = format!("the query cannot be read: {e}");
        place.error(ErrorKind::Unsupported, "sqlite.query", &what)
    })?;
    let names = statement.column_names();
    Ok(names
        .map(|name| QueryColumn {
            name: name.to_owned(),
            class: ColumnClass::Any,
        })
        .collect())
}

/// Runs a query in the open transaction; see [`crossfade_store::SourceSnapshot::query`].
pub(crate) async fn run<'a>(
    place: &Place,
    connection: &Shared<Connection>,
    sql: &str,
) -> Result<Query<'a>> {
    let (at, text) = (place.clone(), sql.to_owned());
    let columns = connection
        .run(move |connection| columns(&at, connection, &text))
        .await?;
    let width = columns.len();
    let rows = start_query(place, connection.handle(), within(sql), Vec::new(), width);
    Ok(Query {
        columns,
        rows: Box::new(rows),
    })
}

fn within(sql: &str) -> String {
    format!("SELECT * FROM (\n{sql}\n)")
}
