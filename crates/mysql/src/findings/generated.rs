//! Generated columns that are NOT NULL: MySQL (seen on 9.7) takes their values for absent where a trigger stands before an insert that does not name
//! them, and refuses the row ("Column … cannot be null"). Guards and fence are such triggers.

use std::collections::BTreeMap;

use crossfade_model::{Finding, Table};
use crossfade_store::Result;

use crate::connect::Client;
use crate::server::Flavor;

/// Tables of this database that would take no rows once a trigger of crossfade's stands before them.
///
/// # Errors
/// The server's.
pub(crate) async fn refused_by_triggers(
    client: &mut Client,
    tables: &[&str],
    place: &str,
) -> Result<Vec<Finding>> {
    // MariaDB has no such columns
    if client.server.flavor == Flavor::Mariadb {
        return Ok(Vec::new());
    }
    let rows = client
        .texts(
            "looking for generated columns",
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = DATABASE() AND IS_NULLABLE = 'NO' AND GENERATION_EXPRESSION <> ''
             ORDER BY TABLE_NAME, ORDINAL_POSITION",
        )
        .await?;
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &rows {
        if tables.contains(&row.text(0)) {
            found.entry(row.text(0)).or_default().push(row.text(1));
        }
    }
    let found = found.into_iter();
    Ok(found
        .map(|(table, columns)| finding(table, &columns, place))
        .collect())
}

/// The same of a table that is to be made here.
pub(crate) fn planned(client: &Client, table: &Table, place: &str) -> Option<Finding> {
    let columns = table.columns.iter();
    let columns: Vec<&str> = columns
        .filter(|c| c.generated.is_some() && !c.nullable)
        .map(|c| c.name.as_str())
        .collect();
    (client.server.flavor == Flavor::Mysql && !columns.is_empty())
        .then(|| finding(&table.name.name, &columns, place))
}

fn finding(table: &str, columns: &[&str], place: &str) -> Finding {
    Finding::blocks(
        "mysql.generated_not_null",
        place,
        format!(
            "generated columns are NOT NULL ({}): MySQL refuses inserts into such a table once a trigger stands before them, as crossfade's guards and fence do",
            columns.join(", ")
        ),
    )
    .table(table)
    .fix("Let these columns be NULL, as far as they are part of no primary key; their expressions can say themselves what is never NULL")
}
